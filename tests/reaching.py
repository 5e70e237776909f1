"""Which cases run which lines of the reference, and what a case costs.

A case that does not run a line cannot notice that it has changed. All cases of the depth ``ci``
are run once with a tracer, refusals of level 0 too; the result is kept in ``explored`` for as
long as no source of the reference or the suite changes.
"""

import hashlib
import importlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mutated import Inside, Mutation, mutated_modules

from project import ROOT, sources
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.reference.bounds.rounding import Arithmetic

FILE = ROOT / "explored" / "reaching.json"
Line = tuple[str, int]
Case = tuple[str, int]


def traced(files: dict[str, str], ran: set[Line]) -> Inside:
    """The reference, recording the lines that run in the given files."""

    def inner(frame, event, _):
        if event == "line":
            ran.add((files[frame.f_code.co_filename], frame.f_lineno))
        return inner

    def outer(frame, *_):
        return inner if frame.f_code.co_filename in files else None

    @contextmanager
    def recording():
        # Contexts nest where a class's methods run.
        before = sys.gettrace()
        sys.settrace(outer)
        try:
            yield
        finally:
            sys.settrace(before)

    return Inside(recording)


def reached(name: str) -> list[tuple[int, float, list[Line]]]:
    """Seed, CPU seconds with the tracer, and lines of each case of an operation."""
    files = {importlib.import_module(m).__file__ or "": m for m in mutated_modules()}
    item, found = OPERATIONS[name], []
    for seed in seeds_of(item, "ci"):
        ran: set[Line] = set()
        began = time.process_time()
        item.check(traced(files, ran), Arithmetic(), seed)
        found.append((seed, time.process_time() - began, sorted(ran)))
    return found


def digest() -> str:
    files = [p for p in sources("reference", "conformance") if "command" not in p.parts]
    return hashlib.sha256(b"".join(map(Path.read_bytes, files))).hexdigest()


class Reaching:
    """Cases by the lines that they run."""

    def __init__(self, rows: list[tuple[str, int, float, list[Line]]]) -> None:
        self._cases = [(name, seed, seconds) for name, seed, seconds, _ in rows]
        self._by_line = defaultdict(list)
        for number, (*_, lines) in enumerate(rows):
            for module, line in lines:
                self._by_line[module, line].append(number)

    def cases(self, mutation: Mutation) -> list[Case]:
        """Cases that run the changed statement.

        They are ordered by what is spent on their operation up to them, so that the cheap
        operations come first, and none waits for the last case of an expensive one.
        """
        lines = range(mutation.first, mutation.last + 1)
        numbers = {n for line in lines for n in self._by_line.get((mutation.module, line), ())}
        spent: dict[str, float] = defaultdict(float)
        ordered = []
        for number in sorted(numbers):
            name, seed, seconds = self._cases[number]
            spent[name] += seconds
            ordered.append((spent[name], name, seed))
        return [(name, seed) for _, name, seed in sorted(ordered)]


def reaching(jobs: int, say: Callable[[str], object]) -> Reaching:
    """Load what was recorded for these sources, or record it."""
    key = digest()
    if FILE.exists():
        kept = json.loads(FILE.read_text(encoding="utf-8"))
        if kept["sources"] == key:
            return Reaching(kept["rows"])
    rows, names = [], list(OPERATIONS)
    with ProcessPoolExecutor(jobs) as pool:
        for number, (name, found) in enumerate(zip(names, pool.map(reached, names), strict=True)):
            rows += [(name, *case) for case in found]
            say(f"lines that cases run: {number + 1} of {len(names)} operations")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({"sources": key, "rows": rows}), encoding="utf-8")
    return Reaching(rows)
