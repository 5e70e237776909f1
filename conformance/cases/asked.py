"""A port as a case asks it
=======================

Much about a call must not matter: how its arrays lie in memory, whether they can be
written to, whether an argument that has its default is passed at all, whether the function
was called before with something else. Cases are written without a thought of these;
:class:`Asked` stands between a case and the port and varies them, by the case's number, so
that every operation meets them all. A port that changes its arguments, or an answer that it
has given before, is told so by name.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance import protocol
from subbit.conformance.cases.formed import components_of, misfits
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.target import Port
from subbit.reference.contracts.door import Contract
from subbit.reference.contracts.settings import Switches
from subbit.reference.notation import AnyArray

AGAIN = 2
"""The case in which functions are called again; its number is small, and so are its shapes."""


def _reversed(x: AnyArray) -> AnyArray:
    """Return a view that cannot be written to, columns first and from the last element back."""
    back = tuple(slice(None, None, -1) for _ in x.shape)
    view = np.array(x[back], order="F")[back]
    view.flags.writeable = False
    return view


def _strided(x: AnyArray) -> AnyArray:
    """Return every second element of a larger array, along all axes."""
    wide = np.zeros([2 * length for length in x.shape], dtype=x.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def _fortran(x: AnyArray) -> AnyArray:
    return np.array(x, order="F")


def _narrow(x: AnyArray) -> AnyArray:
    """Return an array that cannot be written to, of a smaller type if it holds the same numbers."""
    narrow = x.copy()
    if x.dtype == np.float64:
        with np.errstate(over="ignore", invalid="ignore"):
            for kind in (np.float32, np.int32):
                if np.array_equal(x.astype(kind).astype(np.float64), x):
                    narrow = x.astype(kind)
    narrow.flags.writeable = False
    return narrow


LAYOUTS: Mapping[str, Callable[[AnyArray], AnyArray]] = {
    "plain": np.array,
    "read-only, reversed, in Fortran order": _reversed,
    "strided": _strided,
    "in Fortran order": _fortran,
    "read-only, of narrow types": _narrow,
}
"""Ways to hand over an array, by name."""


def layout_of(seed: int) -> str:
    """Return how a case hands over its arrays.

    Parameters
    ----------
    seed : int
        The case.

    Returns
    -------
    str
        A key of :data:`LAYOUTS`; the first cases of an operation go through all of them.

    Examples
    --------
    >>> [layout_of(seed) for seed in range(3)]
    ['plain', 'read-only, reversed, in Fortran order', 'strided']
    """
    return tuple(LAYOUTS)[seed % len(LAYOUTS)]


class Asked:
    """A port whose functions are called in ways that must not matter.

    Parameters
    ----------
    port : object
        The port.
    judge : Judge
        Told of changed arguments and answers.
    seed : int
        The case.
    again : bool, default True
        Whether functions are called again in the case :data:`AGAIN`.

    Examples
    --------
    >>> from subbit import reference
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> judge = Judge(Arithmetic())
    >>> Asked(reference, judge, 2).sign(np.array([-2.0, 0.0]), 0), judge.sentence
    (array([-1,  0], dtype=int8), '')
    """

    def __init__(self, port: Port, judge: Judge, seed: int, *, again: bool = True) -> None:
        self._port, self._judge, self._seed = port, judge, seed
        self._repeats = again and seed == AGAIN

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the port has)
        value = getattr(self._port, name)
        if name not in protocol.PROTOCOL or name in protocol.CLASSES:
            return value

        def ask(*places: Any, **names: Any) -> Any:  # noqa: ANN401
            return self._ask(name, value, places, names)

        return ask

    def _ask(
        self,
        name: str,
        function: Callable[..., Any],
        places: tuple[Any, ...],
        names: dict[str, Any],
    ) -> Any:  # noqa: ANN401
        contract = protocol.PROTOCOL[name].contract
        arguments = contract.signature.bind(*places, **names).arguments
        call = _Call(contract, arguments, layout_of(self._seed))
        call = call.without_defaults() if self._seed % 2 else call.with_defaults()
        if self._repeats and call.repeatable:
            self._again(name, function, call)
            self._defaults(name, function, call)
        given = call.laid_out()
        before = {argument: snapshot_of(value) for argument, value in given.arguments.items()}
        answer = _answer(function, given)
        # A generator's answers are not gone through: they may not be made in advance.
        for wrong in misfits(answer):
            self._judge.fail(f"{name} answers a record with {wrong}")
        for argument, value in given.arguments.items():
            if snapshot_of(value) != before[argument]:
                self._judge.fail(f"{name} changes its argument `{argument}`")
        return answer

    def _again(self, name: str, function: Callable[..., Any], call: "_Call") -> None:
        """Ask twice, with another input between."""
        first = taken(_answer(function, call.laid_out()))
        kept, other = snapshot_of(first), call.another()
        # The other input need not be valid.
        with suppress(Exception):
            between = snapshot_of(taken(_answer(function, other)))
            if between == kept and self._differs(name, call.laid_out(), other):
                self._judge.fail(f"{name} answers other numbers of the same shapes as those before")
        if snapshot_of(first) != kept:
            self._judge.fail(f"{name} changes an answer it gave when it is called again")
        if snapshot_of(taken(_answer(function, call.laid_out()))) != kept:
            self._judge.fail(f"{name} answers the same call differently after another call")

    def _differs(self, name: str, one: "_Passed", other: "_Passed") -> bool:
        """Tell whether the correct answers to two calls differ by more than any rounding."""
        correct = getattr(reference, name)
        found = [list(numbers_in(taken(_answer(correct, given)))) for given in (one, other)]
        return any(
            x.shape != y.shape or not np.allclose(x, y, rtol=0.01, atol=0.0, equal_nan=True)
            for x, y in zip(*found, strict=False)
        )

    def _defaults(self, name: str, function: Callable[..., Any], call: "_Call") -> None:
        """Leave out each argument that can be, and pass what it then is."""
        for argument, default in call.defaults.items():
            # A default need not go with the other arguments.
            with suppress(Exception):
                given = taken(_answer(function, call.changed({argument: default})))
                left_out = taken(_answer(function, call.changed({}, without=argument)))
                if snapshot_of(given) != snapshot_of(left_out):
                    self._judge.fail(f"{name} answers differently if `{argument}` is left out")


def _answer(function: Callable[..., Any], given: "_Passed") -> Any:  # noqa: ANN401
    return function(*given.args, **given.kwargs)


@dataclass(frozen=True, eq=False)
class _Passed:
    """Arguments as a call passes them: those without a default by place, the others by name."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    arguments: dict[str, Any]


class _Call:
    """Arguments of a call."""

    def __init__(self, contract: Contract, arguments: Mapping[str, Any], layout: str) -> None:
        self._contract, self._arguments, self._layout = contract, dict(arguments), layout
        self._signature = contract.signature

    @property
    def repeatable(self) -> bool:
        """Whether the arguments can be used more than once, and a callback sees no difference."""
        return not any(callable(x) or isinstance(x, Iterator) for x in self._arguments.values())

    def with_defaults(self) -> "_Call":
        """Return the call with every argument passed."""
        bound = inspect.BoundArguments(self._signature, self._arguments)
        bound.apply_defaults()
        rest = {n: x for n, x in bound.arguments.items() if x is not None}
        return _Call(self._contract, rest, self._layout)

    def without_defaults(self) -> "_Call":
        """Return the call without what can be left out."""
        kept: dict[str, Any] = {}
        later = False
        for name, value in reversed(self._arguments.items()):
            parameter = self._signature.parameters[name]
            spare = self._is_default(name, value)
            by_place = parameter.kind is not parameter.KEYWORD_ONLY
            if not spare or (by_place and later):
                kept[name] = value
                later = later or by_place
        return _Call(self._contract, dict(reversed(kept.items())), self._layout)

    def _covers(self, name: str) -> bool:
        return self._contract.kinds[name].covers

    def _is_default(self, name: str, value: object) -> bool:
        default = self._signature.parameters[name].default
        if isinstance(value, np.ndarray):
            return default is None and self._covers(name) and bool(value.all())
        return type(default) is type(value) and bool(default == value)

    @property
    def defaults(self) -> dict[str, Any]:
        """Values of the arguments that can be left out; a mask's covers everything."""
        found: dict[str, Any] = {}
        for name, parameter in self._signature.parameters.items():
            default, given = parameter.default, self._arguments.get(name)
            if default is None and self._covers(name) and isinstance(given, np.ndarray):
                found[name] = np.ones_like(given)
            elif default not in {parameter.empty, None}:
                found[name] = default
        return found

    def changed(self, arguments: Mapping[str, Any], without: str = "") -> _Passed:
        """Return the call with other arguments, or without one; zeros are not left out entries."""
        kept = {n: _each(x, _with_a_zero) for n, x in self._arguments.items() if n != without}
        return self._bound(kept | dict(arguments))

    def laid_out(self) -> _Passed:
        """Return the arguments, their arrays in the layout of the case."""
        change = LAYOUTS[self._layout]
        return self._bound({name: _each(value, change) for name, value in self._arguments.items()})

    def another(self) -> _Passed:
        """Return arguments of the same shapes with other numbers."""
        return self._bound({name: _each(value, _other) for name, value in self._arguments.items()})

    def _bound(self, arguments: dict[str, Any]) -> _Passed:
        ordered = {
            name: arguments[name] for name in self._signature.parameters if name in arguments
        }
        positional = [
            name
            for name, p in self._signature.parameters.items()
            if p.kind is not p.KEYWORD_ONLY and p.default is p.empty
        ]
        by_name = {n: x for n, x in ordered.items() if n not in positional}
        return _Passed(tuple(ordered[n] for n in positional if n in ordered), by_name, ordered)


def _each(value: Any, change: Callable[[AnyArray], AnyArray]) -> Any:  # noqa: ANN401
    """Change arrays, also in sequences; records and configurations stay as they are."""
    if isinstance(value, np.ndarray) and value.ndim:
        return change(value)
    if isinstance(value, list | tuple) and any(isinstance(x, np.ndarray) for x in value):
        return type(value)(_each(x, change) for x in value)
    return value


def _with_a_zero(x: AnyArray) -> AnyArray:
    zeroed = x.copy()
    if x.dtype == np.float64 and x.ndim > 1 and not _is_square(x):
        zeroed.reshape(-1)[0] = 0.0
    return zeroed


def _is_square(x: AnyArray) -> bool:
    return x.ndim == 2 and x.shape[0] == x.shape[1]


def _other(x: AnyArray) -> AnyArray:
    """Return rows in reverse order, halved; what may be symmetric or triangular is only halved."""
    if x.dtype != np.float64:
        return x.copy()
    if not x.any():
        return np.ones_like(x)
    return 0.5 * (x if x.ndim < 2 or _is_square(x) else x[..., ::-1, :])


def taken(answer: Any) -> Any:  # noqa: ANN401
    """Return an answer, a generator's in a list.

    Parameters
    ----------
    answer : object
        An answer.

    Returns
    -------
    object
        The answer, or all that it yields.
    """
    return list(answer) if isinstance(answer, Iterator) else answer


def numbers_in(value: Any) -> Iterator[AnyArray]:  # noqa: ANN401
    """Iterate over the numbers of an answer.

    Parameters
    ----------
    value : object
        Arrays, records, numbers, and sequences of them.

    Yields
    ------
    ndarray
        Each array; a number as one without axes.

    Examples
    --------
    >>> [x.tolist() for x in numbers_in((np.ones(2), "a", 3))]
    [[1.0, 1.0], 3]
    """
    if hasattr(value, "dtype") or isinstance(value, (int, float)):
        yield host(value)
        return
    for part in components_of(value):
        yield from numbers_in(part)


def snapshot_of(value: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the contents of arguments and answers, for comparison bit by bit.

    Parameters
    ----------
    value : object
        Arrays, records, numbers, and sequences of them.

    Returns
    -------
    tuple
        Types, shapes and bytes.

    Examples
    --------
    >>> x = np.zeros(2)
    >>> before = snapshot_of([x])
    >>> x[0] = 1.0
    >>> snapshot_of([x]) == before
    False
    """
    if hasattr(value, "dtype"):
        array = host(value)
        return (str(array.dtype), array.shape, array.tobytes())
    if isinstance(value, Switches) or value is None or isinstance(value, (str, int, float, bool)):
        return (repr(value),)
    if is_dataclass(value) and not isinstance(value, type):
        return tuple((f.name, snapshot_of(getattr(value, f.name))) for f in fields(value))
    if isinstance(value, Mapping):
        return tuple((name, snapshot_of(x)) for name, x in value.items())
    if isinstance(value, Sequence):
        return tuple(snapshot_of(x) for x in value)
    return (type(value).__name__,)
