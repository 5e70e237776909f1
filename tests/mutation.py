"""How many small changes to the reference does the suite notice?

Each mutant of ``mutated.py`` is tested on the cases that run the changed statement, until one
fails. Run with ``make mutation``; ``mutation.json`` keeps for every mutant the case that rejects
it, and the same command continues from there: what is recorded is tried first, and only mutants
of functions that have changed, or that were never tried, are looked for.
"""

import argparse
import json
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutated import Mutation, digest_of, mutant, mutations
from reaching import Case, Reaching, reaching

from project import write_rows
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.names import bad_of
from subbit.conformance.inputs.seeds import seed_of
from subbit.reference.bounds.rounding import Arithmetic

FILE = Path(__file__).with_name("mutation.json")
SECONDS = 20
"""Time after which a case counts as one that never ends."""
MEMORY = 6 << 30
UNREACHED = "no case runs it"
ALIVE = "alive"


@dataclass(frozen=True)
class Found:
    """What became of a mutant.

    `by` is the case that rejects it, `ALIVE` or `UNREACHED`; `tried` counts the cases that did
    not, and `of` all that run the changed statement.
    """

    by: str
    tried: int = 0
    of: int = 0

    @property
    def killed(self) -> bool:
        return self.by not in {ALIVE, UNREACHED}


def rejects(mutation: Mutation, case: Case) -> bool:
    """Tell whether a case distinguishes a mutant from the reference."""

    def late(*_):
        raise TimeoutError

    name, seed = case
    item = OPERATIONS[name]
    if not item.level:
        # What has to be refused is asked of the reference, before anything is changed.
        bad_of(item.needs[0])
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        return item.check(mutant(mutation), Arithmetic(), seed).status == "failed"
    except TimeoutError:
        return True
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def look_for(cases: Reaching, budget: float, mutation: Mutation) -> Found:
    """Try the cases that run the changed statement, within a number of CPU seconds."""
    found, began = cases.cases(mutation), time.process_time()
    for tried, case in enumerate(found):
        if time.process_time() - began > budget:
            return Found(ALIVE, tried, len(found))
        if rejects(mutation, case):
            return Found(f"{case[0]}:{case[1]}", tried, len(found))
    return Found(ALIVE if found else UNREACHED, len(found), len(found))


def case_of(text: str) -> Case:
    name, _, seed = text.rpartition(":")
    return name, int(seed)


def recorded(file: Path = FILE) -> dict[str, Found]:
    """What is recorded of mutants whose function has not changed since."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    found = {}
    for one in mutations():
        row = kept.get(f"{one.module}:{one.function}", {})
        if row.get("source") == digest_of(one.module, one.function):
            entry = row["mutants"].get(str(one.number))
            if entry is not None:
                found[one.key] = Found(*entry)
    return found


def save(found: dict[str, Found], file: Path) -> None:
    rows: dict[str, dict] = {}
    for one in mutations():
        if one.key in found:
            new = {"source": digest_of(one.module, one.function), "mutants": {}}
            row = rows.setdefault(f"{one.module}:{one.function}", new)
            entry = found[one.key]
            row["mutants"][str(one.number)] = (
                [entry.by] if entry.killed else [entry.by, entry.tried, entry.of]
            )
    write_rows(file, rows)


def sample(number: int, seed: int, found: list[Mutation]) -> list[Mutation]:
    # By their keys, so that a new mutant changes no other's place.
    return sorted(found, key=lambda one: seed_of(seed, one.key))[:number]


def _holds(entry: Found, mutation: Mutation) -> bool:
    name, _, _ = entry.by.rpartition(":")
    return name in OPERATIONS and rejects(mutation, case_of(entry.by))


class _Process:
    """What each process starts with, so that it does not travel with every mutant."""

    cases: Reaching
    budget: float
    known: dict[str, Found]


def _begin(cases: Reaching, budget: float, known: dict[str, Found]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    _Process.cases, _Process.budget, _Process.known = cases, budget, known


def _try(mutation: Mutation) -> Found:
    entry = _Process.known.get(mutation.key)
    if entry is not None and entry.killed and _holds(entry, mutation):
        return entry
    return look_for(_Process.cases, _Process.budget, mutation)


def run(
    wanted: list[Mutation], known: dict[str, Found], jobs: int, budget: float
) -> Iterator[tuple[Mutation, Found]]:
    """Try mutants in several processes; each is handed out as it is done."""
    if not wanted:
        return
    cases = reaching(jobs, lambda text: sys.stderr.write(f"\r{text}") and sys.stderr.flush())
    sys.stderr.write("\n")
    own = (cases, budget, known)
    with ProcessPoolExecutor(jobs, initializer=_begin, initargs=own) as pool:
        yield from zip(wanted, pool.map(_try, wanted), strict=True)


def report(found: dict[str, Found]) -> Iterator[str]:
    rows = [(one, found[one.key]) for one in mutations() if one.key in found]
    total = Counter(one.module for one, _ in rows)
    killed = Counter(one.module for one, entry in rows if entry.killed)
    for module, count in total.items():
        yield f"{module.removeprefix('subbit.')}: {killed[module]} of {count}"
    for one, entry in rows:
        if not entry.killed:
            tried = f", {entry.tried} of {entry.of} cases tried" if entry.of else ""
            yield f"{one.key} (line {one.first}): {one.said} [{entry.by}{tried}]"
    share = killed.total() / max(1, total.total())
    yield f"{killed.total()} of {total.total()} mutants rejected, {share:.1%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a module's or function's name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=30.0, help="CPU seconds for a mutant")
    parser.add_argument("--alive", action="store_true", help="try the recorded survivors again")
    parser.add_argument("--verify", action="store_true", help="try the recorded cases again")
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    found = recorded(options.out)
    wanted = [one for one in mutations() if options.only in one.key]
    wanted = sample(options.sample, options.seed, wanted) if options.sample else wanted
    left = [
        one
        for one in wanted
        if one.key not in found or (options.verify if found[one.key].killed else options.alive)
    ]
    done = 0
    for done, (one, entry) in enumerate(run(left, found, options.jobs, options.budget), 1):
        found[one.key] = entry
        sys.stderr.write(f"\r{done} of {len(left)}")
        if done % 20 == 0:
            save(found, options.out)
    save(found, options.out)
    sys.stderr.write("\n" if done else "")
    shown = {one.key: found[one.key] for one in wanted}
    sys.stdout.write("\n".join(report(shown)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
