"""Exploration
===========

New cases of all operations, for a given time, in several processes; each start draws cases
of its own.

All operations get the same processor time, where each case counts
:data:`~subbit.conformance.command.explored.LEAST` seconds more than it takes; so an operation
with slow cases gets fewer of them, and none is forgotten. An operation that has ended a
process is left out for the rest of the round. Level 0 has nothing to draw: a check runs all
of its cases.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from subbit.conformance.cases import OPERATIONS, of_level
from subbit.conformance.inputs.seeds import seed_of
from subbit.conformance.target import Port, arithmetic_of

from .explored import LEAST, Explored, Failure, Tally, claimed, load_state, save_state
from .workers import Batch, Workers

BATCH_SECONDS = 2.0
LARGEST_BATCH = 256
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
        return name, [seed_of(*stream, first + n) for n in range(number)]

    def enter(self, name: str, tally: Tally, failed: list[Failure]) -> None:
        """Add the results of some cases."""
        self.pending[name] = max(self.pending[name] - tally.cases, 0)
        self.state.operations[name] += tally
        self.state.failures += failed

    def leave_out(self, ended: set[str]) -> None:
        """Hand out no more cases of operations that have ended a process."""
        self.names = [name for name in self.names if name not in ended]
        self.pending |= dict.fromkeys(ended & set(self.pending), 0)

    def _each(self, name: str) -> float:
        tally = self.state.operations[name]
        return max(tally.seconds / tally.cases, 1e-6) if tally.cases else BATCH_SECONDS

    def _weight(self, name: str) -> float:
        pending = self.pending.get(name, 0) * (self._each(name) + LEAST)
        return self.state.operations[name].weight + pending


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
    port: Port,
    path: Path,
    *,
    level: int = 3,
    jobs: int | None = None,
    cases: int | None = None,
    seconds: float = math.inf,
    listener: Listener = SILENT,
) -> Explored:
    """Judge new cases until there are enough, or time is up.

    Parameters
    ----------
    target : str
        The port's name.
    port : object
        The port.
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
    with claimed(path):
        state = load_state(path, target, arithmetic_of(port).dtype)
        names = [item.name for item in of_level(level) if item.level > 0]
        state.operations = dict.fromkeys(names, Tally()) | state.operations
        _judge_again(state, port, listener)
        save_state(path, state)
        workers = Workers(target, jobs or os.cpu_count() or 1)
        plan = _Plan(state, names, cases, time.monotonic() + seconds)
        try:
            _run(workers, plan, path, listener)
        finally:
            save_state(path, state)
            workers.close()
    return state


def _judge_again(state: Explored, port: Port, listener: Listener) -> None:
    arithmetic = arithmetic_of(port)
    again = [OPERATIONS[f.operation].check(port, arithmetic, f.seed) for f in state.failures]
    state.failures = [
        Failure(outcome.operation, outcome.seed, outcome.message)
        for outcome in again
        if outcome.status == "failed"
    ]
    for failure in state.failures:
        listener.found(failure)


def _run(workers: Workers, plan: _Plan, path: Path, listener: Listener) -> None:
    saved = time.monotonic()
    while True:
        while len(workers.running) < 2 * workers.jobs and (batch := plan.next_batch()):
            workers.submit(batch)
        if not workers.running:
            return
        for name, tally, failed in workers.results():
            plan.enter(name, tally, failed)
            for failure in failed:
                listener.found(failure)
        plan.leave_out(workers.ended)
        listener.progress(plan.state)
        if time.monotonic() - saved > SAVED_EVERY:
            save_state(path, plan.state)
            saved = time.monotonic()
