"""Exploring on the command line
=============================

The output of ``subbit check --random``: each failure when it is found, with the command that
repeats it, the number of cases from time to time, and a summary at the end.
"""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.text import Text

from subbit.conformance.command.console import SECONDS_BETWEEN_LINES, make_console
from subbit.conformance.command.explore import Listener, explore
from subbit.conformance.command.explored import Explored, Failure, state_file
from subbit.conformance.command.outputs import made_for
from subbit.conformance.command.verdicts import CONFORMS, DIVERGES, INCOMPLETE
from subbit.conformance.programs.worker import Allowance
from subbit.conformance.protocol import LEVELS
from subbit.reference.errors import ArgumentError

EXPLORED = Path("explored")
PINS = "conformance/vectors/pinned.json"


@dataclass(frozen=True)
class Limits:
    """Limits of an exploration.

    Parameters
    ----------
    level : int
        The highest level.
    minutes : float or None
        Time limit; None runs until interrupted.
    cases : int or None
        Number of cases to reach.
    jobs : int or None
        Number of processes.
    allowance : Allowance
        Limits of each case.
    """

    level: int
    minutes: float | None
    cases: int | None
    jobs: int | None
    allowance: Allowance = field(default_factory=Allowance)

    def __post_init__(self) -> None:
        for name in ("minutes", "cases", "jobs"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ArgumentError(f"--{name}", "a number above 0", value)
        if self.level not in LEVELS[1:]:
            expected = f"a level from {LEVELS[1]} to {LEVELS[-1]}: level 0 has no cases to draw"
            raise ArgumentError("--level", expected, self.level)


class _Teller:
    """Progress on a terminal, an occasional line elsewhere."""

    def __init__(self, console: Console, target: str) -> None:
        self.console, self.target = console, target
        self.quiet = make_console(stderr=True)
        self.status = self.quiet.status(Text(f"{target}: starting"))
        self.told = 0.0

    def found(self, failure: Failure) -> None:
        call = f"subbit check {quote(self.target)} --replay {failure.replay}"
        self.console.print(call, style="bold red", markup=False, soft_wrap=True)
        self.console.print(failure.message, markup=False, soft_wrap=True)

    def progress(self, state: Explored) -> None:
        line = f"{self.target}: {_summary(state)}"
        if self.quiet.is_terminal:
            self.status.update(Text(line))
        elif time.monotonic() - self.told > SECONDS_BETWEEN_LINES:
            self.told = time.monotonic()
            self.quiet.print(line, markup=False, soft_wrap=True)


def _summary(state: Explored) -> str:
    total, failures = state.total, len(state.failures)
    return (
        f"{total.cases:,} cases in {total.seconds / 3600:.2f} CPU-hours, "
        f"{failures} failure{'s' * (failures != 1)}"
    )


def run_exploration(console: Console, target: str, folder: Path, limits: Limits) -> int:
    """Explore a target, and report the results.

    Parameters
    ----------
    console : Console
        Console to print to.
    target : str
        The port's name.
    folder : Path
        Folder of the state.
    limits : Limits
        Limits of the exploration.

    Returns
    -------
    int
        The exit code: 1 if a case fails, 2 if one is not implemented, else 0.
    """
    teller, path = _Teller(console, target), state_file(folder, target)
    with teller.status, made_for(folder, ("*.json",)):
        folder.mkdir(parents=True, exist_ok=True)
        state = explore(
            target,
            path,
            level=limits.level,
            jobs=limits.jobs,
            cases=limits.cases,
            seconds=math.inf if limits.minutes is None else 60.0 * limits.minutes,
            allowance=limits.allowance,
            listener=Listener(teller.found, teller.progress),
        )
    _tell_end(console, state, path)
    if state.failures:
        return DIVERGES
    return INCOMPLETE if state.total.missing else CONFORMS


def _tell_end(console: Console, state: Explored, path: Path) -> None:
    total, counts = state.total, [tally.cases for tally in state.operations.values()]
    worst = max(state.operations, key=lambda name: state.operations[name].worst)
    console.print(
        f"{state.target} ({state.dtype}): {_summary(state)}; {min(counts):,} to {max(counts):,} "
        f"cases of each of {len(counts)} operations above level 0",
        markup=False,
        soft_wrap=True,
    )
    console.print(
        f"{total.compared:,} numbers compared, {total.unbounded:,} without a bound, "
        f"{total.missing:,} cases not implemented or declared; largest error ÷ bound "
        f"{state.operations[worst].worst:.3g}, in {worst}",
        markup=False,
        soft_wrap=True,
    )
    if state.failures:
        console.print(f"Pin each in {PINS}, with the correct outcome.", soft_wrap=True)
    console.print(f"State: {path}", markup=False, soft_wrap=True)
