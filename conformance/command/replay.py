"""Repeating one case
==================

``subbit check TARGET --replay OPERATION:SEED`` runs a case again and shows what the port was
asked, what it answered, and every comparison with its expected and found numbers and its
bound. What the port was asked is known even if its process ends before it answers.
"""

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from subbit.conformance.cases import OPERATIONS, Outcome
from subbit.conformance.cases.counts import Counts
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.names import parts_of
from subbit.conformance.programs.worker import Allowance, EndedError, Send, Worker
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import Port, arithmetic_of
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.contracts.settings import Switches
from subbit.reference.errors import ArgumentError

from .workers import failed, judge_case

SHOWN: Mapping[str, Any] = {"threshold": 60, "edgeitems": 3, "linewidth": 100, "precision": 9}
"""How NumPy shortens arrays on the terminal."""
_SETTINGS = (Switches, str, bool, int, float, type(None), slice)


@dataclass(frozen=True)
class Said:
    """Numbers and settings with a title.

    Parameters
    ----------
    title : str
        What they are.
    values : dict of str to ndarray or str
        Arrays, and settings as text, by name.
    """

    title: str
    values: dict[str, Any]


@dataclass
class Replayed:
    """A case that was run again.

    Parameters
    ----------
    case : str
        OPERATION:SEED.
    said : list of Said
        Calls, answers and comparisons, in their order.
    outcome : Outcome
        The outcome.
    """

    case: str
    said: list[Said] = field(default_factory=list)
    outcome: Outcome = field(default_factory=lambda: Outcome("", 0, "missing"))


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays by their path, and everything else as text."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, _SETTINGS) or callable(value):
            found[name] = repr(value)
            continue
        try:
            found |= {f"{name}{path}": host(part) for path, part in parts_of(value).items()}
        # Bad arguments of level 0 need not be arrays at all.
        except (ValueError, TypeError):
            found[name] = repr(value)
    return found


class _Overheard:
    """A port whose calls and answers are sent."""

    def __init__(self, port: Port, send: Send) -> None:
        self._port, self._send, self._calls = port, send, 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the port has)
        value = getattr(self._port, name)
        if name not in PROTOCOL or not callable(value):
            return value

        @functools.wraps(value, updated=())
        def overheard(*places: Any, **names: Any) -> Any:  # noqa: ANN401
            self._calls += 1
            call = f"call {self._calls} {name}"
            given = dict(zip(PROTOCOL[name].contract.kinds, places, strict=False)) | names
            self._send(Said(call, _shown(given)))
            answer = value(*places, **names)
            if isinstance(answer, Iterator):
                return self._each(call, answer)
            self._send(Said(f"{call} answer", _shown({"answer": answer})))
            return answer

        return overheard

    def _each(self, call: str, answer: Iterator[Any]) -> Iterator[Any]:
        for number, item in enumerate(answer):
            self._send(Said(f"{call} answer {number}", _shown({"answer": item})))
            yield item


class _Keeping(Judge):
    """A judge that keeps what it compares."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        super().__init__(arithmetic)
        self.kept: list[Said] = []

    def _keep(self, what: str, **values: Any) -> None:  # noqa: ANN401
        self.kept.append(Said(what, {name: np.asarray(host(x)) for name, x in values.items()}))

    def take(self, other: Judge) -> None:
        """Add the findings of another judge."""
        super().take(other)
        if isinstance(other, _Keeping):
            self.kept += other.kept

    def _equal(self, what: str, actual: Any, expected: npt.ArrayLike, counts: Counts) -> None:  # noqa: ANN401
        self._keep(what, expected=expected, found=actual)
        super()._equal(what, actual, expected, counts)

    def bound(self, what: str, actual: Any, expected: Rounded) -> None:  # noqa: ANN401
        """Compare continuous values with their bound."""
        self._keep(what, expected=expected.value, found=actual, bound=expected.error)
        super().bound(what, actual, expected)

    def within(self, what: str, residual: Rounded) -> None:
        """Compare a residual with its bound."""
        self._keep(what, found=residual.value, bound=residual.error)
        super().within(what, residual)

    def choice(self, what: str, margin: Rounded) -> None:
        """Compare choices by how much better another one would have been."""
        self._keep(what, margin=margin.value, bound=margin.error)
        super().choice(what, margin)

    def decision(
        self,
        what: str,
        actual: Any,  # noqa: ANN401
        expected: npt.ArrayLike,
        margin: Rounded,
        *,
        ordered: bool = True,
    ) -> None:
        """Compare decisions, which may differ within their margin."""
        own = {"expected": expected, "found": actual, "margin": margin.value, "bound": margin.error}
        self._keep(what, **own)
        super().decision(what, actual, expected, margin, ordered=ordered)

    def objective(
        self, what: str, reached: float, best: float, allowed: float, flushed: float
    ) -> None:
        """Compare the objective of a choice with the best."""
        self._keep(what, expected=best, found=reached, bound=allowed + flushed)
        super().objective(what, reached, best, allowed, flushed)


def replay_case(port: Port, send: Send, name: str, seed: int) -> None:
    """Run a case, and send calls, answers, comparisons and the outcome.

    Parameters
    ----------
    port : object
        The port.
    send : callable
        Sends each.
    name : str
        The operation.
    seed : int
        The case.
    """
    arithmetic = arithmetic_of(port)
    judge = _Keeping(arithmetic)
    outcome = judge_case(_Overheard(port, send), arithmetic, name, seed, judge)
    for number, said in enumerate(judge.kept, 1):
        send(Said(f"compared {number} {said.title}", said.values))
    send(outcome)


def parse_case(case: str) -> tuple[str, int]:
    """Read the name of a case.

    Parameters
    ----------
    case : str
        OPERATION:SEED.

    Returns
    -------
    tuple of str and int
        The operation and the seed.

    Raises
    ------
    ArgumentError
        If there is no such operation, or the seed is no number.

    Examples
    --------
    >>> parse_case("sign:7")
    ('sign', 7)
    """
    name, _, number = case.partition(":")
    if name not in OPERATIONS or not re.fullmatch("[0-9]{1,40}", number):
        raise ArgumentError("--replay", "OPERATION:SEED as the table shows it", case)
    return name, int(number)


def replay(target: str, case: str, allowance: Allowance) -> Replayed:
    """Run a case of a port again, in a process of its own.

    Parameters
    ----------
    target : str
        The port's name.
    case : str
        OPERATION:SEED.
    allowance : Allowance
        What it may take.

    Returns
    -------
    Replayed
        What was asked, answered and compared, and the outcome.

    Raises
    ------
    ArgumentError
        If there is no such case.
    """
    name, seed = parse_case(case)
    found, worker = Replayed(case), Worker(target, allowance)
    try:
        worker.describe()
        for item in worker.items(replay_case, name, seed):
            if isinstance(item, Said):
                found.said.append(item)
            else:
                found.outcome = item
    except EndedError as error:
        found.outcome = failed(name, seed, str(error))
    finally:
        worker.close()
    return found


def show(found: Replayed, console: Console) -> None:
    """Print a case that was run again.

    Parameters
    ----------
    found : Replayed
        The case.
    console : Console
        Console to print to.
    """
    with np.printoptions(**SHOWN):
        for said in found.said:
            console.print(said.title, style="bold", markup=False, soft_wrap=True)
            for name, value in said.values.items():
                console.print(_written(name, value), markup=False, soft_wrap=True)
    ratio = found.outcome.ratio
    shown = f"{ratio:.3g}" if math.isfinite(ratio) else "∞"
    console.print(f"{found.outcome.status}, error ÷ bound {shown}", style="bold")
    console.print(found.outcome.message, markup=False, soft_wrap=True)


def _written(name: str, value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str):
        return f"  {name} = {value}"
    head = f"  {name} : {value.dtype} {value.shape}" if value.ndim else f"  {name} ="
    lines = str(value).splitlines()
    return f"{head} {lines[0]}" if len(lines) == 1 else "\n    ".join([head, *lines])


def write_arrays(found: Replayed, folder: Path) -> Path:
    """Write the arrays of a case, each under its title and name.

    Parameters
    ----------
    found : Replayed
        The case.
    folder : Path
        The folder; it is made.

    Returns
    -------
    Path
        The file, ``OPERATION-SEED.npz``, which needs no pickle. Settings are in it as text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for said in found.said:
        for name, value in said.values.items():
            array = np.asarray(value)
            # Only what is no array of numbers has objects in it; it is kept as text.
            plain = np.asarray(repr(value)) if array.dtype.hasobject else array
            arrays[re.sub(r"[^\w.]+", "_", f"{said.title}.{name}")] = plain
    file = folder / f"{found.case.replace(':', '-')}.npz"
    save: Callable[..., None] = np.savez
    save(file, **arrays)
    return file
