"""Recording a case
================

A case is run with the reference as its port. What it asks and what it is answered are kept, and
so is each comparison: its rule, and, if it is about an array of an answer as it is, where that
array stands. Comparisons of derived numbers, such as residuals, are kept by name.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from subbit import reference
from subbit.conformance.cases.counts import Counts
from subbit.conformance.cases.draw import WIDE
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.names import parts_of
from subbit.conformance.cases.registry import Operation
from subbit.conformance.programs.arrays import Tensors
from subbit.conformance.programs.calls import write_call, write_error
from subbit.conformance.programs.forms import Codec
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.errors import SubbitError
from subbit.reference.notation import AnyArray

_ARITHMETIC: Mapping[str, Arithmetic] = {
    "float64": Arithmetic(),
    "float32": Arithmetic("float32"),
}
"""Those that vectors have bounds for, straight sums in both."""
_WHOLE = 2**62


class StatefulError(BaseException):
    """A case that no file can hold; no case may take it for a refusal."""


def key_of(function: str, arguments: Mapping[str, Any]) -> str:
    """Return what identifies a call.

    Parameters
    ----------
    function : str
        The function.
    arguments : mapping
        Its arguments, with all arrays inside.

    Returns
    -------
    str
        A SHA-256 in hexadecimal digits.

    Examples
    --------
    >>> key_of("sign", {"x": 1.0, "zero": 1})[:8]
    'db3cb214'
    """
    text = json.dumps([function, arguments], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def key_of_call(function: str, places: tuple[Any, ...], names: Mapping[str, Any]) -> str:
    """Return what identifies a call in Python.

    Parameters
    ----------
    function : str
        The function.
    places, names : tuple and mapping
        Its arguments.

    Returns
    -------
    str
        As :func:`key_of`.

    Raises
    ------
    StatefulError
        If an argument is a function.
    """
    codec = Codec(Tensors(_WHOLE))
    arguments = write_call(function, places, names, codec)
    if codec.callbacks:
        raise StatefulError(f"{function} takes a function of the caller's")
    return key_of(function, arguments)


@dataclass
class Asked:
    """A call, and the correct answer.

    Parameters
    ----------
    function, key : str
        The function, and what identifies the call.
    arguments : dict
        Forms by name.
    answer : dict
        ``value``, or ``error``.
    """

    function: str
    key: str
    arguments: dict[str, Any]
    answer: dict[str, Any]


@dataclass
class Note:
    """A comparison.

    Parameters
    ----------
    what : str
        Its name.
    rule : str
        ``exact``, ``bound``, ``decision``, or that of derived numbers.
    actual : object
        What the port answered.
    values : dict of str to ndarray
        What it is compared with.
    """

    what: str
    rule: str
    actual: Any = None
    values: dict[str, AnyArray] = field(default_factory=dict)


class Noting(Judge):
    """A judge that keeps its comparisons.

    Parameters
    ----------
    arithmetic : Arithmetic
        How the port computes.
    """

    def __init__(self, arithmetic: Arithmetic) -> None:
        super().__init__(arithmetic)
        self.notes: list[Note] = []

    def _keep(self, what: str, rule: str, actual: Any = None, **values: npt.ArrayLike) -> None:  # noqa: ANN401
        arrays = {name: np.asarray(host(value)) for name, value in values.items()}
        self.notes.append(Note(what, rule, actual, arrays))

    def take(self, other: Judge) -> None:
        """Add the findings of another judge."""
        super().take(other)
        if isinstance(other, Noting):
            self.notes += other.notes

    def true(self, what: str, fact: object) -> None:
        """Note whether a required condition holds."""
        self._keep(what, "condition")
        super().true(what, fact)

    def form(self, what: str, actual: Any, expected: npt.ArrayLike) -> None:  # noqa: ANN401
        """Compare the form of an answer."""
        self._keep(what, "form")
        super().form(what, actual, expected)

    def _equal(self, what: str, actual: Any, expected: npt.ArrayLike, counts: Counts) -> None:  # noqa: ANN401
        if not counts.facts:
            self._keep(what, "exact", actual, expected=expected)
        super()._equal(what, actual, expected, counts)

    def bound(self, what: str, actual: Any, expected: Rounded) -> None:  # noqa: ANN401
        """Compare continuous values with their bound."""
        self._keep(what, "bound", actual, expected=expected.value, bound=expected.error)
        super().bound(what, actual, expected)

    def within(self, what: str, residual: Rounded) -> None:
        """Compare a residual with its bound."""
        self._keep(what, "residual")
        super().within(what, residual)

    def choice(self, what: str, margin: Rounded) -> None:
        """Compare choices by how much better another one would have been."""
        self._keep(what, "choice")
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
        wanted = np.asarray(expected)
        value, error = (np.broadcast_to(x, wanted.shape) for x in (margin.value, margin.error))
        free = (value == 0.0) & ~np.asarray(ordered)
        left_open = ~np.isfinite(error) | free | ((error > 0.0) & (np.abs(value) <= error))
        self._keep(what, "decision", actual, expected=wanted, margin=value, open=left_open)
        super().decision(what, actual, expected, margin, ordered=ordered)

    def objective(
        self, what: str, reached: float, best: float, allowed: float, flushed: float
    ) -> None:
        """Compare the objective of a choice with the best."""
        self._keep(what, "objective")
        super().objective(what, reached, best, allowed, flushed)


class Recorder:
    """The reference, with its calls and answers kept.

    Parameters
    ----------
    inputs, expected : Codec
        Write arguments and answers.
    """

    def __init__(self, inputs: Codec, expected: Codec) -> None:
        self.calls: list[Asked] = []
        self.inputs, self.expected = inputs, expected
        self.places: dict[int, tuple[int, str]] = {}
        self._kept: list[Any] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever a port has)
        value = getattr(reference, name)
        if name not in PROTOCOL:
            raise AttributeError(name)
        if name in CLASSES:
            raise StatefulError(f"{name} is an object with a state")
        return lambda *places, **names: self._asked(name, value, places, names)

    def _asked(self, name: str, function: Any, places: tuple[Any, ...], names: Any) -> Any:  # noqa: ANN401
        # Half steps are asked for once.
        places = tuple(list(x) if isinstance(x, Iterator) else x for x in places)
        names = {n: list(x) if isinstance(x, Iterator) else x for n, x in names.items()}
        key = key_of_call(name, places, names)
        try:
            answer = function(*places, **names)
            answer = tuple(answer) if isinstance(answer, Iterator) else answer
        except (SubbitError, TypeError) as error:
            self._place(name, key, places, names, {"error": write_error(error)})
            raise
        number = self._place(name, key, places, names, answer)
        self._kept.append(answer)
        for place, part in parts_of(answer).items():
            self.places[id(part)] = (number, place.strip("."))
        return iter(answer) if _yields(name) else answer

    def _place(self, name: str, key: str, places: Any, names: Any, answer: Any) -> int:  # noqa: ANN401
        """Return the number of a call; one that was asked before has its number."""
        for number, one in enumerate(self.calls):
            if one.key == key:
                return number
        arguments = write_call(name, places, names, self.inputs)
        refused = isinstance(answer, dict) and answer.keys() == {"error"}
        form = answer if refused else {"value": self.expected.write(answer)}
        self.calls.append(Asked(name, key, arguments, form))
        return len(self.calls) - 1


def _yields(name: str) -> bool:
    return "Iterator" in str(PROTOCOL[name].contract.function.__annotations__.get("return"))


@dataclass
class Recorded:
    """A case that was recorded.

    Parameters
    ----------
    operation : Operation
        The operation.
    seed : int
        The case.
    label : str
        What was drawn.
    calls : list of Asked
        The calls.
    comparisons : list of dict
        Comparisons of arrays, and the names and rules of all others.
    inputs, expected : Tensors
        Arrays of arguments, and of answers and comparisons.
    dtype : str, default ""
        The type of the ports that it is for, if others are asked something else.
    """

    operation: Operation
    seed: int
    label: str
    calls: list[Asked]
    comparisons: list[dict[str, Any]]
    inputs: Tensors
    expected: Tensors
    dtype: str = ""


def record(item: Operation, seed: int) -> Recorded:
    """Record a case.

    Parameters
    ----------
    item : Operation
        The operation.
    seed : int
        The case.

    Returns
    -------
    Recorded
        What was asked, answered and compared.

    Raises
    ------
    StatefulError
        If it passes functions, or asks an object with a state.
    SubbitError
        If the reference does not pass it.
    """
    codecs = Codec(Tensors(0)), Codec(Tensors(0))
    runs: dict[str, tuple[Recorder, Noting]] = {}
    label = ""
    for name, arithmetic in _ARITHMETIC.items():
        recorder, judge = (
            Recorder(*(codecs if not runs else (Codec(), Codec()))),
            Noting(arithmetic),
        )
        outcome = item.check(recorder, arithmetic, seed, judge)
        if outcome.status not in {"passed", "empty"}:
            raise SubbitError(f"{item.name}:{seed}, {name}: {outcome.message}")
        runs[name], label = (recorder, judge), label or outcome.message
    first = runs["float64"][0]
    # What comes after the first call may depend on what rounding decided in it. The few small cases
    # that ask ports of another type for something else are not asked of these, as ever.
    asked = {run[0].calls[0].key for run in runs.values() if run[0].calls}
    alike = len(asked) <= 1 or seed < WIDE
    if not alike:
        runs = {"float64": runs["float64"]}
    comparisons = _comparisons(runs, codecs[1])
    inputs, expected = (codec.tensors for codec in codecs)
    dtype = "" if alike else "float64"
    return Recorded(item, seed, label, first.calls, comparisons, inputs, expected, dtype)


def _comparisons(runs: Mapping[str, tuple[Recorder, Noting]], codec: Codec) -> list[dict[str, Any]]:
    recorder, judge = runs["float64"]
    stored: list[dict[str, Any]] = []
    derived: set[tuple[str, str]] = set()
    notes = [(name, run[1].notes) for name, run in runs.items()]
    for number, note in enumerate(judge.notes):
        place = recorder.places.get(id(note.actual)) if note.values else None
        if place is None:
            derived.add((note.what, note.rule))
            continue
        said = {"what": note.what, "rule": note.rule, "call": place[0], "place": place[1]}
        stored.append(said | _stored(notes, number, codec))
    return stored + [{"what": what, "rule": rule} for what, rule in sorted(derived)]


def _stored(runs: Sequence[tuple[str, list[Note]]], number: int, codec: Codec) -> dict[str, Any]:
    """Write the arrays of a comparison; those that depend on the arithmetic by its name."""
    note = runs[0][1][number]
    found = {n: codec.write(x) for n, x in note.values.items() if n in {"expected", "margin"}}
    for key in note.values.keys() & {"bound", "open"}:
        found[key] = {
            name: codec.write(np.array(notes[number].values[key]))
            for name, notes in runs
            if _alike(note, notes, number)
        }
    return found


def _alike(note: Note, notes: list[Note], number: int) -> bool:
    """Tell whether another arithmetic led to the same comparison."""
    if number >= len(notes) or (notes[number].what, notes[number].rule) != (note.what, note.rule):
        return False
    return np.array_equal(notes[number].values["expected"], note.values["expected"])
