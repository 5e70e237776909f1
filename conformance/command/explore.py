"""Exploration
===========

New cases of all operations, for a given time, in several processes; each start draws cases
of its own.

All operations get the same processor time, where each case counts
:data:`~subbit.conformance.command.explored.LEAST` seconds more than it takes; so an operation
with slow cases gets fewer of them, and none is forgotten. An operation that has ended a
process is left out for the rest of the round, and one that a port does not have after its first
case. Level 0 has nothing to draw: a check runs all of its cases.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from subbit.conformance.cases import OPERATIONS, of_level
from subbit.conformance.cases.draw import BARE, NEAR
from subbit.conformance.inputs.seeds import seed_of
from subbit.conformance.programs.worker import Allowance

from .explored import LEAST, Explored, Failure, Tally, claimed, load_state, save_state
from .workers import Batch, Judged, Workers, said_of

BATCH_SECONDS = 2.0
LARGEST_BATCH = 256
SPECIAL = 16
"""In so many cases one is degenerate, and two lie beside a decision."""
SAVED_EVERY = 10.0
"""Seconds between two writes of the state."""


@dataclass
class _Plan:
    """The next cases: those of the operation with the least time so far."""

    state: Explored
    names: list[str]
    most: int | None
    end: float
    handed: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)

    def next_batch(self) -> Batch | None:
        """Return cases to judge; None if there are enough, or time is up."""
        left = LARGEST_BATCH
        if self.most is not None:
            left = self.most - self.state.total.cases - sum(self.pending.values())
        if left <= 0 or not self.names or time.monotonic() >= self.end:
            return None
        name = min(self.names, key=self._weight)
        # Batches double, so a short exploration has the same number of cases of all operations.
        first, begun = self.handed.get(name, 0), self.state.operations[name].cases
        number = min(LARGEST_BATCH, int(BATCH_SECONDS / self._each(name)), begun + first)
        number = min(max(1, number), left)
        self.handed[name] = first + number
        self.pending[name] = self.pending.get(name, 0) + number
        stream = (self.state.stream, self.state.round, name)
        return name, [_in_turn(name, n, seed_of(*stream, n)) for n in range(first, first + number)]

    def enter(self, judged: Judged) -> list[Failure]:
        """Add the results of some cases, and return the failures."""
        name, failed = judged.operation, failures_of(judged)
        self.pending[name] -= len(judged.seeds)
        self.state.operations[name] += Tally.of(judged.outcomes, judged.seconds)
        self.state.failures += failed
        lacking = all(outcome.status == "missing" for outcome in judged.outcomes)
        if judged.ended or lacking:
            # Whatever ends a process takes long, and may do so again.
            self.names = [other for other in self.names if other != name]
        return failed

    def _each(self, name: str) -> float:
        tally = self.state.operations[name]
        return max(tally.seconds / tally.cases, 1e-6) if tally.cases else BATCH_SECONDS

    def _weight(self, name: str) -> float:
        pending = self.pending.get(name, 0) * (self._each(name) + LEAST)
        return self.state.operations[name].weight + pending


def _in_turn(name: str, number: int, seed: int) -> int:
    """Return the seed of an operation's next case, of the kind whose turn it is."""
    item, turn = OPERATIONS[name], number % SPECIAL
    if turn == SPECIAL - 1 and not item.numbered:
        return BARE + seed
    return NEAR + seed if item.decides and turn in {SPECIAL // 4, SPECIAL // 2} else seed


@dataclass(frozen=True)
class Listener:
    """Callbacks for the progress of an exploration.

    Parameters
    ----------
    found : callable
        Called with each failure; earlier failures that still fail come first.
    progress : callable
        Called with the state after each batch.
    """

    found: Callable[[Failure], None]
    progress: Callable[[Explored], None]


def _ignore(_: object) -> None:
    pass


SILENT = Listener(_ignore, _ignore)
"""A listener that ignores everything."""


def explore(
    target: str,
    path: Path,
    *,
    level: int = 3,
    jobs: int | None = None,
    cases: int | None = None,
    seconds: float = math.inf,
    allowance: Allowance | None = None,
    listener: Listener = SILENT,
) -> Explored:
    """Judge new cases until there are enough, or time is up.

    Parameters
    ----------
    target : str
        The port's name.
    path : Path
        The file of the state; it is read, and updated during the exploration.
    level : int, default 3
        The highest level.
    jobs : int, optional
        Number of processes; one for each processor by default.
    cases : int, optional
        Number of cases to reach, including those of earlier rounds.
    seconds : float, optional
        Time limit.
    allowance : Allowance, optional
        What each case may take.
    listener : Listener, optional
        Callbacks for the progress.

    Returns
    -------
    Explored
        The final state. Ctrl-C ends an exploration as if time were up, and is raised again
        after the state has been written.

    Raises
    ------
    ArgumentError
        If a file there is not the state of this target, another exploration is using it, or
        a process cannot import the port.
    """
    with claimed(path), Workers(target, jobs or os.cpu_count() or 1, allowance) as workers:
        state = load_state(path, target, workers.about.dtype)
        names = [item.name for item in of_level(level) if item.level > 0]
        state.operations = dict.fromkeys(names, Tally()) | state.operations
        _judge_again(state, workers, listener)
        save_state(path, state)
        plan = _Plan(state, names, cases, time.monotonic() + seconds)
        try:
            _run(workers, plan, path, listener)
        finally:
            save_state(path, state)
    return state


def failures_of(judged: Judged) -> list[Failure]:
    """Return the cases that failed.

    Parameters
    ----------
    judged : Judged
        Outcomes of cases.

    Returns
    -------
    list of Failure
        Those that failed; one that ended its process says that others are left out.
    """
    failed = [one for one in judged.outcomes if one.status == "failed"]
    return [Failure(judged.operation, one.seed, said_of(judged, one)) for one in failed]


def _judge_again(state: Explored, workers: Workers, listener: Listener) -> None:
    again = [workers.judge(failure.operation, [failure.seed]) for failure in state.failures]
    state.failures = [failure for judged in again for failure in failures_of(judged)]
    for failure in state.failures:
        listener.found(failure)


def _run(workers: Workers, plan: _Plan, path: Path, listener: Listener) -> None:
    saved = time.monotonic()
    while True:
        while workers.pending < 2 * workers.jobs and (batch := plan.next_batch()):
            workers.submit(batch)
        if not workers.pending:
            return
        for judged in workers.results():
            for failure in plan.enter(judged):
                listener.found(failure)
        listener.progress(plan.state)
        if time.monotonic() - saved > SAVED_EVERY:
            save_state(path, plan.state)
            saved = time.monotonic()
