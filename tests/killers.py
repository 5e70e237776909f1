"""The case that rejects each wrong port, and each bug in a kernel.

Of the cases that the depth ``ci`` checks, ``killers.json`` names the first that rejects each
mutant of ``subbit.conformance.mutants``, and ``kernel_killers.json`` the first that notices each
bug of ``planted_sources.py`` and ``planted_unwritten.py``, so that a test need not go through
those before it. Where cases, mutants or bugs have changed, ``python tests/killers.py`` looks
again.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from planted_sources import BUGS, Bug, Faulty
from planted_unwritten import UNWRITTEN

from project import write_rows
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.judge import Outcome
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.mutants import MUTANTS
from subbit.conformance.target import arithmetic_of
from subbit.fast.port import Port
from subbit.reference.bounds.rounding import Arithmetic

T = TypeVar("T")
FILE = Path(__file__).with_name("killers.json")
KERNELS = Path(__file__).with_name("kernel_killers.json")
DECLARED = Arithmetic()
PLANTED = (*BUGS, *UNWRITTEN)
# They are wrong only after the cases before, so these are tried again.
REMEMBERING = {"answers in one workspace", "remembered by shapes", "one sum for all"}


def killers(file: Path = FILE) -> dict:
    """For each operation, the seed that rejects each mutant; for each bug, its seed."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def first_failure(port: object, name: str, known: int | None = None) -> Outcome | None:
    """The known case if it still rejects a port, or else the first that does."""
    item, arithmetic = OPERATIONS[name], arithmetic_of(port)
    seeds = seeds_of(item, "ci")
    outcomes = (
        item.check(port, arithmetic, seed)
        for seed in ([known, *seeds] if known in seeds else seeds)
    )
    return next((found for found in outcomes if found.status == "failed"), None)


def _killer(port: object, name: str, known: int | None) -> int | None:
    found = first_failure(port, name, known)
    return found and found.seed


def _of_operation(kept: dict[str, dict[str, int]], name: str) -> dict[str, int | None]:
    known = kept.get(name, {})
    return {
        m.name: _killer(m.port, name, None if m.name in REMEMBERING else known.get(m.name))
        for m in MUTANTS[name]
    }


def _of_bug(kept: dict[str, int], bug: Bug) -> int | None:
    return _killer(Port(Faulty(bug), "simulated"), bug.operation, kept.get(bug.name))


def _look(job: Callable[[T], object], wanted: Iterable[T], said: str) -> Iterator[object]:
    wanted = list(wanted)
    with ProcessPoolExecutor(2) as pool:
        for number, found in enumerate(pool.map(job, wanted), 1):
            sys.stderr.write(f"\r{number} of {len(wanted)} {said}")
            sys.stderr.flush()
            yield found
    sys.stderr.write("\n")


def main() -> int:
    found = _look(partial(_of_operation, killers()), MUTANTS, "operations")
    ports = dict(zip(MUTANTS, found, strict=True))
    write_rows(FILE, ports)
    names = [bug.name for bug in PLANTED]
    found = _look(partial(_of_bug, killers(KERNELS)), PLANTED, "bugs")
    bugs = dict(zip(names, found, strict=True))
    write_rows(KERNELS, bugs)
    missed = [name for name, seed in bugs.items() if seed is None]
    missed += [f"{o}: {m}" for o, row in ports.items() for m, seed in row.items() if seed is None]
    sys.stdout.write("".join(f"no case rejects {name}\n" for name in missed))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
