"""How many small changes to the reference does the suite notice?

Each mutant of ``mutated.py`` is tested on the cases that run the changed statement, until one
fails, and then on the theorems of ``proving.py``. Run with ``make mutation``; ``mutation.json``
keeps for every mutant the case or theorem that rejects it, and the same command continues from
there: what is recorded is tried first, and only mutants of functions that have changed, or that
were never tried, are looked for. ``survivors.json`` says of the others why nothing rejects them.
"""

import argparse
import json
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mutated import Mutation, digest_of, mutant, mutations
from proving import files_for, theorem_against
from reaching import Case, Reaching, reaching

from project import write_rows
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.names import bad_of
from subbit.conformance.inputs.seeds import seed_of
from subbit.reference.bounds.rounding import Arithmetic

FILE = Path(__file__).with_name("mutation.json")
SURVIVORS = FILE.with_name("survivors.json")
EQUIVALENT, DIFFERENT = "equivalent: ", "not equivalent: "
"""How the reasons in ``survivors.json`` begin."""
SECONDS = 20
"""CPU time after which a case counts as one that never ends, however busy the machine is."""
MEMORY = 6 << 30
SHARE = 10
"""Seconds for a mutant's theorems, as a multiple of the CPU seconds for its cases."""
UNREACHED = "no case runs it"
ALIVE = "alive"


@dataclass(frozen=True)
class Found:
    """What became of a mutant.

    `by` is the case that rejects it, or the theorem, as ``file::test``; else `ALIVE` or
    `UNREACHED`. `tried` counts the cases that did not, and `of` all that run the changed statement.
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
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return item.check(mutant(mutation), Arithmetic(), seed).status == "failed"
    except TimeoutError:
        return True
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def look_for(
    cases: Reaching, budget: float, mutation: Mutation, first: Iterable[Case] = ()
) -> Found:
    """Try the cases that run the changed statement, within a number of CPU seconds."""
    found, began = cases.cases(mutation), time.process_time()
    found = list(dict.fromkeys((*first, *found)))
    for tried, case in enumerate(found):
        if time.process_time() - began > budget:
            return Found(ALIVE, tried, len(found))
        if rejects(mutation, case):
            return Found(f"{case[0]}:{case[1]}", tried, len(found))
    return Found(ALIVE if found else UNREACHED, len(found), len(found))


def prove(mutation: Mutation, found: Found, seconds: float) -> Found:
    """Try the theorems, within a number of seconds, on what no case rejects."""
    tests = [] if found.killed else files_for(mutation.module)
    by = theorem_against(mutation, tests, seconds) if tests else None
    return replace(found, by=by) if by else found


def case_of(text: str) -> Case:
    name, _, seed = text.rpartition(":")
    return name, int(seed)


def _kept(file: Path) -> dict[str, dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def cases_by_function(file: Path = FILE) -> dict[str, list[Case]]:
    """Cases that reject mutants of each function, or did before it changed: most often first."""
    found = {}
    for function, row in _kept(file).items():
        by = Counter(entry[0] for entry in row["mutants"].values() if len(entry) == 1)
        found[function] = [case_of(name) for name, _ in by.most_common() if "::" not in name]
    return found


@dataclass(frozen=True)
class Reason:
    """Why nothing rejects a mutant, and the change that this was said of."""

    said: str
    reason: str

    @property
    def equivalent(self) -> bool:
        return self.reason.startswith(EQUIVALENT)


def survivors(file: Path = SURVIVORS) -> dict[str, Reason]:
    """The reasons why mutants survive, by their names."""
    return {key: Reason(**row) for key, row in _kept(file).items()}


def recorded(file: Path = FILE) -> dict[str, Found]:
    """What is recorded of mutants whose function has not changed since."""
    kept = _kept(file)
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


def holds(entry: Found, mutation: Mutation, seconds: float = 600.0) -> bool:
    """Tell whether what is recorded for a mutant still rejects it."""
    if "::" in entry.by:
        return theorem_against(mutation, [entry.by], seconds) is not None
    name, _, _ = entry.by.rpartition(":")
    return name in OPERATIONS and rejects(mutation, case_of(entry.by))


@dataclass(frozen=True)
class Looking:
    """CPU seconds for a mutant's cases, whether theorems follow, and mutants that need none."""

    budget: float
    theorems: bool
    proven: frozenset[str]


class _Process:
    """What each process starts with, so that it does not travel with every mutant."""

    cases: Reaching
    how: Looking
    known: dict[str, Found]
    first: dict[str, list[Case]]


def _begin(
    cases: Reaching, how: Looking, known: dict[str, Found], first: dict[str, list[Case]]
) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    _Process.cases, _Process.how, _Process.known, _Process.first = cases, how, known, first


def _try(mutation: Mutation) -> Found:
    entry = _Process.known.get(mutation.key)
    if entry is not None and entry.killed and holds(entry, mutation):
        return entry
    # What passed all of its cases passes them again.
    how, first = _Process.how, _Process.first.get(f"{mutation.module}:{mutation.function}", ())
    if entry is not None and 0 < entry.tried == entry.of == len(_Process.cases.cases(mutation)):
        found = entry
    else:
        found = look_for(_Process.cases, how.budget, mutation, first)
    if not how.theorems or mutation.key in how.proven:
        return found
    return prove(mutation, found, SHARE * how.budget)


def run(
    wanted: list[Mutation], known: dict[str, Found], jobs: int, how: Looking
) -> Iterator[tuple[Mutation, Found]]:
    """Try mutants in several processes; each is handed out as it is done."""
    if not wanted:
        return
    cases = reaching(jobs, lambda text: sys.stderr.write(f"\r{text}") and sys.stderr.flush())
    sys.stderr.write("\n")
    own = (cases, how, known, cases_by_function())
    with ProcessPoolExecutor(jobs, initializer=_begin, initargs=own) as pool:
        yield from zip(wanted, pool.map(_try, wanted), strict=True)


def report(found: dict[str, Found]) -> Iterator[str]:
    rows = [(one, found[one.key]) for one in mutations() if one.key in found]
    total = Counter(one.module for one, _ in rows)
    killed = Counter(one.module for one, entry in rows if entry.killed)
    for module, count in total.items():
        yield f"{module.removeprefix('subbit.')}: {killed[module]} of {count}"
    reasons = survivors()
    for one, entry in rows:
        if not entry.killed:
            tried = f", {entry.tried} of {entry.of} cases tried" if entry.of else ""
            said = reasons[one.key].reason if one.key in reasons else "no reason recorded"
            yield f"{one.key} (line {one.first}): {one.said} [{entry.by}{tried}] {said}"
    alive = [one.key for one, entry in rows if not entry.killed]
    proven = sum(key in reasons and reasons[key].equivalent for key in alive)
    yield f"{proven} survivors change nothing, by proof; {len(alive) - proven} do, or may"
    count, all_of = killed.total(), total.total()
    share, other = count / max(1, all_of), count / max(1, all_of - proven)
    yield f"{count} of {all_of} mutants rejected, {share:.1%}; of those not equivalent {other:.1%}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a module's or function's name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=30.0, help="CPU seconds for a mutant")
    parser.add_argument(
        "--alive", action="store_true", help="try recorded survivors again that no proof excuses"
    )
    parser.add_argument("--verify", action="store_true", help="try the recorded cases again")
    parser.add_argument("--cases-only", action="store_true", help="leave out the theorems")
    parser.add_argument("--out", type=Path, default=FILE)
    return parser.parse_args()


def main() -> int:
    options = _options()
    found = recorded(options.out)
    wanted = [one for one in mutations() if options.only in one.key]
    wanted = sample(options.sample, options.seed, wanted) if options.sample else wanted
    proven = frozenset(key for key, one in survivors().items() if one.equivalent)
    how = Looking(options.budget, not options.cases_only, proven)
    left = [
        one
        for one in wanted
        if one.key not in found
        or (options.verify if found[one.key].killed else options.alive and one.key not in proven)
    ]
    done = 0
    for done, (one, entry) in enumerate(run(left, found, options.jobs, how), 1):
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
