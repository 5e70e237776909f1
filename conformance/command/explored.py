"""What has been explored
======================

The state of an exploration: the tally of each operation's cases, and the failures. It is one
file per target, so an exploration continues where it stopped.
"""

import contextlib
import fcntl
import json
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from subbit import reference
from subbit.conformance.cases import OPERATIONS, Outcome
from subbit.conformance.runs.records import write_atomically
from subbit.conformance.schema import check_schema
from subbit.reference.errors import ArgumentError

FORMAT = 1
LEAST = 0.01
"""Minimum seconds that a case counts when the next operation is chosen."""


@dataclass(frozen=True)
class Tally:
    """The results of an operation's cases.

    Parameters
    ----------
    cases, missing : int
        Number of cases, and how many of them the port does not implement or declare.
    compared, unbounded : int
        How many numbers were compared, and how many have no bound.
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

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], seconds: float) -> Self:
        """Count outcomes.

        Parameters
        ----------
        outcomes : sequence of Outcome
            Outcomes of cases.
        seconds : float
            Processor time that they took.

        Returns
        -------
        Tally
            Their numbers.
        """
        return cls(
            cases=len(outcomes),
            missing=sum(outcome.status in {"missing", "declared"} for outcome in outcomes),
            compared=sum(outcome.compared for outcome in outcomes),
            unbounded=sum(outcome.unbounded for outcome in outcomes),
            worst=max((outcome.ratio for outcome in outcomes), default=0.0),
            seconds=seconds,
        )

    @property
    def weight(self) -> float:
        """Time spent on the operation so far; the one with the least is next."""
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
        The input drawn, the result expected and the result found.
    """

    operation: str
    seed: int
    message: str

    @property
    def replay(self) -> str:
        """The argument of ``subbit check --replay``."""
        return f"{self.operation}:{self.seed}"


@dataclass
class Explored:
    """State of an exploration.

    Parameters
    ----------
    target, dtype : str
        The port's name, and the type that it declares.
    stream : int
        Seed that the seeds of all cases follow from.
    round : int
        Number of times it was started.
    operations : dict of str to Tally
        Results of the cases.
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
            The result of :meth:`to_json`, validated against the schema.

        Returns
        -------
        Explored
            The state, without operations that no longer exist in this suite.
        """
        given = {key: content[key] for key in ("target", "dtype")}
        tallies = {
            name: _tally(row) for name, row in content["operations"].items() if name in OPERATIONS
        }
        failures = [
            Failure(row["operation"], int(row["seed"]), row["message"])
            for row in content["failures"]
            if row["operation"] in OPERATIONS
        ]
        stream, begun = int(content["stream"]), int(content["round"])
        return cls(**given, stream=stream, round=begun, operations=tallies, failures=failures)


def _tally(row: Mapping[str, Any]) -> Tally:
    counts = {key: int(row[key]) for key in ("cases", "missing", "compared", "unbounded")}
    worst = math.inf if row["worst"] is None else float(row["worst"])
    return Tally(**counts, worst=worst, seconds=float(row["seconds"]))


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")


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
    """Return the state of an exploration, or a new one if there is none.

    Parameters
    ----------
    path : Path
        The file.
    target, dtype : str
        The port's name, and the type that it declares.

    Returns
    -------
    Explored
        The state, at the next round.

    Raises
    ------
    ArgumentError
        If the file is not the state of this target under this specification.
    """
    state = Explored(target, dtype, secrets.randbits(32))
    if path.exists():
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text, parse_constant=_no_number)
            check_schema(content, "explored")
        except (ValueError, RecursionError) as error:
            reason = f"{path} ({str(error).splitlines()[0][:200]})"
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
        The file, which is replaced atomically.
    state : Explored
        The state.
    """
    write_atomically(path, (json.dumps(state.to_json(), indent=1) + "\n").encode())


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Limit a state to one exploration at a time.

    Parameters
    ----------
    path : Path
        The file of the state.

    Yields
    ------
    None
        To the body, while no other process may claim the state.

    Raises
    ------
    ArgumentError
        If another exploration is using it.
    """
    with path.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            expected = "a folder in which this target is not being explored"
            raise ArgumentError("--out", expected, path.parent) from error
        yield
