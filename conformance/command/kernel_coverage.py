"""Coverage of kernels by the cases of a check
===========================================

The work of ``subbit kernels --coverage``: the cases of a depth run on a simulated device
that records what runs, and lines of the kernels that none of them reached are listed. The
fast path is one port among others, so it is found by name.
"""

import importlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from threadpoolctl import threadpool_limits

from subbit.conformance.cases import Outcome
from subbit.conformance.cases.registry import Operation, of_level
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.command.console import Table, make_console
from subbit.conformance.protocol import LEVELS
from subbit.conformance.target import arithmetic_of

Case = tuple[Operation, int]


@dataclass(frozen=True)
class Covered:
    """Kernels after some cases.

    Parameters
    ----------
    files : sequence of Reached
        What was reached of each source file, see :mod:`subbit.fast.coverage`.
    unused : mapping of str to list of str
        Compiled forms that were never launched, by entry.
    failed : sequence of Outcome
        Cases that did not pass.
    cases : int
        Number of cases that ran.
    """

    files: Sequence[Any]
    unused: dict[str, list[str]]
    failed: Sequence[Outcome]
    cases: int

    @property
    def complete(self) -> bool:
        """Whether every line was reached in cases that passed, and every form was launched."""
        return not (self.failed or self.unused or any(file.missed for file in self.files))


def cases_of(depth: str) -> list[Case]:
    """Return the cases of a check that compute something.

    Parameters
    ----------
    depth : {"quick", "ci", "long"}
        The depth.

    Returns
    -------
    list of (Operation, int)
        In the order of a check.
    """
    return [
        (item, seed)
        for item in of_level(LEVELS[-1])
        if item.level
        for seed in seeds_of(item, depth)
    ]


def cover(cases: Iterable[Case]) -> Covered:
    """Run cases on a simulated device that records what runs.

    Parameters
    ----------
    cases : iterable of (Operation, int)
        The cases.

    Returns
    -------
    Covered
        What they reached.
    """
    kind = importlib.import_module("subbit.fast.device.simulated").Coverage
    coverage = importlib.import_module("subbit.fast.coverage")
    port = importlib.import_module("subbit.fast").on("simulated")
    arithmetic, failed, count, recorder = arithmetic_of(port), [], 0, kind()
    for item, seed in cases:
        port.device.coverage = kind()
        outcome = item.check(port, arithmetic, seed)
        count += 1
        # What no comparison looked at counts as not reached.
        if outcome.status == "passed":
            recorder.add(port.device.coverage)
        elif outcome.status != "empty":
            failed.append(outcome)
    return Covered(coverage.reached(recorder), coverage.never_launched(recorder), failed, count)


def _share(part: int, whole: int) -> str:
    return f"{part} / {whole}"


def _table(found: Covered) -> Table:
    rows = []
    for file in found.files:
        sides = [both for _, _, both in file.branches.values()]
        lines = _share(len(file.lines) - len(file.missed), len(file.lines))
        rows.append((file.file, lines, _share(sum(sides), len(sides))))
    total = sum(len(file.lines) for file in found.files)
    missed = sum(len(file.missed) for file in found.files)
    sides = [both for file in found.files for _, _, both in file.branches.values()]
    rows.append(("all", _share(total - missed, total), _share(sum(sides), len(sides))))
    names = ("source", "lines reached", "branches two-sided")
    return Table(f"Kernels after {found.cases} cases", names, tuple(rows), ())


def _list_places(console: Console, found: Covered) -> None:
    for file in found.files:
        for line, column in file.one_sided:
            taken, _, _ = file.branches[line, column]
            side = "always" if taken else "never"
            text = f"{file.file}:{line}:{column} {side} jumps: {file.text(line)}"
            console.print(text, style="yellow", markup=False, soft_wrap=True)
    for file in found.files:
        for line in file.missed:
            text = f"{file.file}:{line} never reached: {file.text(line)}"
            console.print(text, style="red", markup=False, soft_wrap=True)
    for entry, options in found.unused.items():
        text = f"{entry} never launched as: {', '.join(options)}"
        console.print(text, style="red", markup=False, soft_wrap=True)
    for outcome in found.failed:
        console.print(f"{outcome.replay} {outcome.status}: {outcome.message}", markup=False)


def _as_json(found: Covered, depth: str) -> str:
    files = {
        file.file: {
            "lines": len(file.lines),
            "missed": file.missed,
            "branches": len(file.branches),
            "one_sided": file.one_sided,
        }
        for file in found.files
    }
    content = {
        "depth": depth,
        "cases": found.cases,
        "failed": [outcome.replay for outcome in found.failed],
        "files": files,
        "never_launched": found.unused,
    }
    return json.dumps(content, indent=1) + "\n"


def cover_kernels(depth: str, json_file: Path | None) -> bool:
    """Print which lines of the kernels the cases of a depth reach.

    Parameters
    ----------
    depth : {"quick", "ci", "long"}
        The depth.
    json_file : Path or None
        File for the numbers.

    Returns
    -------
    bool
        Whether all cases passed, all lines were reached and all forms were launched.
    """
    console = make_console()
    cases = cases_of(depth)
    with threadpool_limits(1):
        found = cover(track(cases, "checking", console=make_console(stderr=True)))
    _table(found).show(console)
    _list_places(console, found)
    if json_file is not None:
        json_file.write_text(_as_json(found, depth), encoding="utf-8")
    if found.complete:
        console.print(f"every line is reached at depth {depth}, and every form launched")
    return found.complete
