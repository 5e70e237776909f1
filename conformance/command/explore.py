"""Exploration
===========

New cases of all operations, for as long as they are given, in several processes. What has
been looked at is kept in a folder, one file for each target, so that an exploration can be
stopped at any time and goes on where it was; each start draws cases of its own.

All operations get the same processor time, each of their cases counting :data:`LEAST` seconds
more than it takes; so an operation of many slow cases has fewer of them, and none is forgotten.
Level 0 has nothing to draw: a check looks at all of its cases.
"""

import json
import math
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

from subbit import reference
from subbit.conformance.cases import OPERATIONS, Outcome, of_level
from subbit.conformance.cases.seeds import seed_of
from subbit.conformance.runs.records import write_atomically
from subbit.conformance.target import Port, arithmetic_of, resolve
from subbit.reference.errors import ArgumentError, SubbitError

FORMAT = 1
LEAST = 0.01
"""Seconds that a case counts for at least when the next operation is chosen."""
BATCH_SECONDS = 2.0
LARGEST_BATCH = 256
SAVED_EVERY = 10.0
"""Seconds between two writes of the state."""


@dataclass(frozen=True)
class Tally:
    """What became of an operation's cases.

    Parameters
    ----------
    cases, missing : int
        Numbers of cases, and of those among them that the port does not implement.
    compared, unbounded : int
        Numbers that were compared, and numbers without a bound.
    worst : float
        Largest error ÷ bound.
    seconds : float
        Processor time.
    """

    cases: int = 0
    missing: int = 0
    compared: int = 0
    unbounded: int = 0
    worst: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.cases + other.cases,
            self.missing + other.missing,
            self.compared + other.compared,
            self.unbounded + other.unbounded,
            max(self.worst, other.worst),
            self.seconds + other.seconds,
        )

    @property
    def weight(self) -> float:
        """What the operation has had so far; the one with the least is next."""
        return self.seconds + LEAST * self.cases


@dataclass(frozen=True)
class Failure:
    """A case that failed.

    Parameters
    ----------
    operation : str
        The operation.
    seed : int
        The case.
    message : str
        What was drawn, expected and found.
    """

    operation: str
    seed: int
    message: str

    @property
    def replay(self) -> str:
        """What ``subbit check --replay`` takes."""
        return f"{self.operation}:{self.seed}"


@dataclass
class Explored:
    """State of an exploration.

    Parameters
    ----------
    target, dtype : str
        The port's name, and the type that it declares.
    stream : int
        What the seeds of all cases follow from.
    round : int
        How many times it was started.
    operations : dict of str to Tally
        What became of the cases.
    failures : list of Failure
        Cases that failed.
    """

    target: str
    dtype: str
    stream: int
    round: int = 0
    operations: dict[str, Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def total(self) -> Tally:
        """The sum over all operations."""
        return sum(self.operations.values(), Tally())

    def to_json(self) -> dict[str, Any]:
        """Return the state as ``schemas/explored.json`` describes it.

        Returns
        -------
        dict
            The state.
        """
        about = {"format": FORMAT, "specification": reference.SPEC_VERSION}
        content: dict[str, Any] = about | asdict(self)
        for tally in content["operations"].values():
            tally["worst"] = tally["worst"] if math.isfinite(tally["worst"]) else None
        return content

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the state that a file describes.

        Parameters
        ----------
        content : mapping
            What :meth:`to_json` returned.

        Returns
        -------
        Explored
            The state.
        """
        given = {key: content[key] for key in ("target", "dtype", "stream", "round")}
        worst = {name: row["worst"] for name, row in content["operations"].items()}
        tallies = {
            name: replace(Tally(**row), worst=math.inf if worst[name] is None else worst[name])
            for name, row in content["operations"].items()
        }
        failures = [Failure(**row) for row in content["failures"]]
        return cls(**given, operations=tallies, failures=failures)


def state_file(folder: Path, target: str) -> Path:
    """Return the file that holds the state of a target's exploration.

    Parameters
    ----------
    folder : Path
        The folder.
    target : str
        The port's name.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> state_file(Path("explored"), "fast:simulated+race").name
    'fast-simulated-race.json'
    """
    return folder / ("".join(c if c.isalnum() or c in "_." else "-" for c in target) + ".json")


def load_state(path: Path, target: str, dtype: str) -> Explored:
    """Return the state of an exploration, a new one where there is none.

    Parameters
    ----------
    path : Path
        The file.
    target, dtype : str
        The port's name, and the type that it declares.

    Returns
    -------
    Explored
        The state, one round further.

    Raises
    ------
    ArgumentError
        If the file is not the state of this target under this specification.
    """
    import jsonschema

    state = Explored(target, dtype, secrets.randbits(32))
    if path.exists():
        schema = files("subbit.conformance").joinpath("schemas/explored.json")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            jsonschema.validate(content, json.loads(schema.read_text(encoding="utf-8")))
        except (ValueError, RecursionError, jsonschema.ValidationError) as error:
            reason = f"{path} ({str(error).splitlines()[0]})"
            raise ArgumentError("--out", "a folder of explorations", reason) from error
        state = Explored.of_json(content)
        found = (state.target, state.dtype, content["specification"])
        wanted = (target, dtype, reference.SPEC_VERSION)
        if found != wanted:
            expected = "{} in {} under specification {}".format(*wanted)
            raise ArgumentError("--out", f"an exploration of {expected}", f"{path} of {found}")
    state.round += 1
    return state


def save_state(path: Path, state: Explored) -> None:
    """Write the state of an exploration.

    Parameters
    ----------
    path : Path
        The file, which is replaced at once.
    state : Explored
        The state.
    """
    write_atomically(path, (json.dumps(state.to_json(), indent=1) + "\n").encode())


# What a process works on: a port is looked up once, when the process starts.
_PORT: list[Port] = []


def _start(target: str) -> None:
    from threadpoolctl import threadpool_limits

    # The process that started this one is told of Ctrl-C, and says what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    _PORT.append(resolve(target))


def _judge(name: str, seeds: list[int]) -> tuple[str, Tally, list[Outcome]]:
    port, item, began = _PORT[0], OPERATIONS[name], time.process_time()
    outcomes = [item.check(port, arithmetic_of(port), seed) for seed in seeds]
    tally = Tally(
        cases=len(outcomes),
        missing=sum(outcome.status == "missing" for outcome in outcomes),
        compared=sum(outcome.compared for outcome in outcomes),
        unbounded=sum(outcome.unbounded for outcome in outcomes),
        worst=max((outcome.ratio for outcome in outcomes), default=0.0),
        seconds=time.process_time() - began,
    )
    return name, tally, [outcome for outcome in outcomes if outcome.status == "failed"]


@dataclass
class _Plan:
    """Which cases come next: of the operation that has had the least so far."""

    state: Explored
    names: list[str]
    most: int | None
    end: float
    ahead: int
    handed: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)

    def next_batch(self) -> tuple[str, list[int]] | None:
        """Cases to judge; None where there are enough, or time is up."""
        left = LARGEST_BATCH
        if self.most is not None:
            left = self.most - self.state.total.cases - sum(self.pending.values())
        if left <= 0 or time.monotonic() >= self.end:
            return None
        name = min(self.names, key=self._weight)
        # Batches double, so that a short exploration has as many cases of all operations.
        first, begun = self.handed.get(name, 0), self.state.operations[name].cases
        number = min(LARGEST_BATCH, int(BATCH_SECONDS / self._each(name)), begun + first)
        number = min(max(1, number), left)
        self.handed[name] = first + number
        self.pending[name] = self.pending.get(name, 0) + number
        stream = (self.state.stream, self.state.round, name)
        return name, [seed_of(*stream, first + n) for n in range(number)]

    def enter(self, name: str, tally: Tally) -> None:
        """Add what became of a batch."""
        self.pending[name] -= tally.cases
        self.state.operations[name] += tally

    def _each(self, name: str) -> float:
        tally = self.state.operations[name]
        return max(tally.seconds / tally.cases, 1e-6) if tally.cases else BATCH_SECONDS

    def _weight(self, name: str) -> float:
        pending = self.pending.get(name, 0) * (self._each(name) + LEAST)
        return self.state.operations[name].weight + pending


def explore(
    target: str,
    port: Port,
    path: Path,
    *,
    level: int = 3,
    jobs: int | None = None,
    cases: int | None = None,
    seconds: float = math.inf,
    found: Callable[[Failure], None] = lambda _: None,
    progress: Callable[[Explored], None] = lambda _: None,
) -> Explored:
    """Judge new cases until there are enough of them, or time is up.

    Parameters
    ----------
    target : str
        The port's name.
    port : object
        The port.
    path : Path
        The file of the state; it is read, and written as the exploration goes on.
    level : int, default 3
        The highest level.
    jobs : int, optional
        Number of processes; one for each processor by default.
    cases : int, optional
        Number of cases to reach, those of earlier rounds included.
    seconds : float, optional
        How long it may take.
    found : callable, optional
        Told of each failure, those of earlier rounds that still fail first.
    progress : callable, optional
        Told the state after each batch.

    Returns
    -------
    Explored
        The state in the end. Ctrl-C ends an exploration like time that is up, and is
        raised again when the state has been written.

    Raises
    ------
    ArgumentError
        If a file there is not the state of this target.
    SubbitError
        If a process died in the middle of a case; what had been judged is kept.
    """
    arithmetic = arithmetic_of(port)
    state = load_state(path, target, arithmetic.dtype)
    names = [item.name for item in of_level(level) if item.level > 0]
    state.operations = dict.fromkeys(names, Tally()) | state.operations
    again = [OPERATIONS[f.operation].check(port, arithmetic, f.seed) for f in state.failures]
    state.failures = [_failure(outcome) for outcome in again if outcome.status == "failed"]
    for failure in state.failures:
        found(failure)
    save_state(path, state)
    workers = jobs or os.cpu_count() or 1
    plan = _Plan(state, names, cases, time.monotonic() + seconds, 2 * workers)
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start, initargs=(target,)
    )
    try:
        _run(pool, plan, path, found, progress)
    except BrokenProcessPool as error:
        raise SubbitError(f"a process died while it judged a case of {target}") from error
    finally:
        pool.shutdown(cancel_futures=True)
        save_state(path, state)
    return state


def _run(
    pool: ProcessPoolExecutor,
    plan: _Plan,
    path: Path,
    found: Callable[[Failure], None],
    progress: Callable[[Explored], None],
) -> None:
    running, saved = set[Future[Any]](), time.monotonic()
    while True:
        while len(running) < plan.ahead and (batch := plan.next_batch()) is not None:
            running.add(pool.submit(_judge, *batch))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for name, tally, failed in (future.result() for future in done):
            plan.enter(name, tally)
            for failure in map(_failure, failed):
                plan.state.failures.append(failure)
                found(failure)
        progress(plan.state)
        if time.monotonic() - saved > SAVED_EVERY:
            save_state(path, plan.state)
            saved = time.monotonic()


def _failure(outcome: Outcome) -> Failure:
    return Failure(outcome.operation, outcome.seed, outcome.message)
