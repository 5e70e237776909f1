"""Contracts
============

The arguments of a public function are declared once, above it::

    @contract(2, W=WEIGHTS, mask=ENTRIES, order=ORDER)
    def arb(W: Array, mask: Mask, *, order: int = 1) -> BinaryGroup:

A letter is a size: axes with the same letter have the same length in a call. The declaration
provides the checks at the function's door, its signature in ``help()``, the Parameters and
Raises sections of its documentation, the demands of conformance level 0, and the text that
``subbit init-port`` writes. The equations below the summary are those of the code.

Only the outermost call is checked. Inside it, the functions of a room call each other
directly, with arrays that already satisfy the contracts: a layer's weights are checked once.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, wraps
from math import isfinite
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from subbit.reference.errors import ArgumentError

from .kind import Call, Kind
from .room import REFERENCE, Arrays, Room
from .shown import LINE, equations_of, indented, shown

F = TypeVar("F", bound=Callable[..., Any])
ALL: Any = None
"""An omitted mask: the function gets one that is True everywhere."""


class _Written:
    """An annotation that prints the type as written in documentation."""

    def __init__(self, kind: Kind) -> None:
        self.text = kind.short()

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False)
class Contract:
    """Arguments of a public function, and the level at which its answers are compared.

    Parameters
    ----------
    function : callable
        The function, without checks.
    level : int
        1 exact, 2 within a bound, 3 layers.
    kinds : mapping of str to Kind
        Kind of each parameter, in the order of the signature.
    skip : int, default 0
        Leading parameters that it does not cover, such as `self`.
    """

    function: Callable[..., Any]
    level: int
    kinds: Mapping[str, Kind]
    skip: int = 0

    def __post_init__(self) -> None:
        if list(self.kinds) != list(self.signature.parameters):
            name, own = self.function.__qualname__, list(self.signature.parameters)
            message = f"the contract of {name} is about {list(self.kinds)}, but it takes {own}"
            raise TypeError(message)

    @cached_property
    def signature(self) -> inspect.Signature:
        """The function's parameters, with kinds as annotations."""
        signature = inspect.signature(self.function)
        parameters = [
            p.replace(annotation=_Written(self.kinds[p.name])) if p.name in self.kinds else p
            for p in signature.parameters.values()
        ]
        return signature.replace(parameters=parameters[self.skip :])

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        parameters = self.signature.parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    @cached_property
    def _placed(self) -> list[str]:
        """Parameters that can be passed by position."""
        parameters = self.signature.parameters.values()
        return [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]

    @cached_property
    def _required(self) -> set[str]:
        return self.kinds.keys() - self._defaults.keys()

    @cached_property
    def _in_turn(self) -> list[tuple[str, Kind]]:
        return sorted(self.kinds.items(), key=lambda item: item[1].stage)

    @cached_property
    def _filled(self) -> list[tuple[int, str]]:
        """Positions and names of arguments for which None stands for another value."""
        kinds = enumerate(self.kinds.items())
        return [(place, name) for place, (name, kind) in kinds if kind.fills]

    def is_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether a call inside the room leaves nothing to fill in.

        Parameters
        ----------
        args : tuple
            Positional arguments.
        kwargs : dict
            Keyword arguments.

        Returns
        -------
        bool
            False if an omitted mask stands for all entries.
        """
        for place, name in self._filled:
            value = args[place] if place < len(args) else kwargs.get(name)
            if value is None:
                return False
        return True

    def checked(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], arrays: Arrays, room: Room
    ) -> dict[str, Any]:
        """Return the arguments of a call as the function takes them.

        Parameters
        ----------
        args : tuple
            Positional arguments.
        kwargs : dict
            Keyword arguments.
        arrays : Arrays
            The room's handling of arrays.
        room : Room
            The room.

        Returns
        -------
        dict
            Arguments by name.

        Raises
        ------
        ArgumentError
            If an argument violates the contract.
        """
        call = Call(self._bound(args, kwargs), arrays, room)
        for name, kind in self._in_turn:
            value = call.values[name]
            omitted = value is None and self._defaults.get(name, self) is None
            if not omitted or kind.fills:
                call.values[name] = kind.check(name, value, call)
        return call.values

    def answered(self, answer: Any) -> Any:  # noqa: ANN401
        """Return an answer, or raise an error if it is not finite.

        Parameters
        ----------
        answer : object
            The function's return value.

        Returns
        -------
        object
            The same value.

        Raises
        ------
        ArgumentError
            If a number in it is NaN or infinite.
        """
        if not is_finite(answer):
            what = "numbers whose answer is finite"
            raise ArgumentError(next(iter(self.kinds)), what, "others")
        return answer

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        # Usual calls are bound by hand, which is faster; Python rejects anything else.
        named = dict(zip(self._placed, args, strict=False))
        values = self._defaults | named | kwargs
        usual = len(named) == len(args) and not named.keys() & kwargs.keys()
        if usual and len(values) == len(self.kinds) and not self._required - values.keys():
            return values
        return self._defaults | self.signature.bind(*args, **kwargs).arguments

    def documented(self, text: str) -> str:
        """Complete a docstring with its equations and the sections Parameters and Raises.

        Parameters
        ----------
        text : str
            The function's own docstring: summary, Returns, notes, examples.

        Returns
        -------
        str
            The complete docstring.
        """
        sections = _sections(text)
        head = sections.pop("").rstrip() + self.stated(sections.get("References", ""))
        answer = "".join(sections.pop(name, "") for name in ("Returns", "Yields"))
        own = sections.pop("Raises", _title("Raises"))
        refused = "ArgumentError\n    If an argument does not match its description above.\n"
        refused += "".join(kind.refused(name) for name, kind in self.kinds.items())
        raises = own.replace(_title("Raises"), _title("Raises") + refused)
        parts = [head, self._parameters(), answer, raises, *sections.values()]
        return "\n".join(part.strip("\n") + "\n" for part in parts if part)

    def stated(self, references: str = "") -> str:
        """Return what a function computes, as lines below its summary.

        Parameters
        ----------
        references : str
            The section of its documentation. Its first sentence stands for a whole method, and
            where there is no equation.

        Returns
        -------
        str
            An indented paragraph.
        """
        lines = equations_of(self.function.__module__, self.function.__name__)
        if references and (self.level == 3 or not lines):
            cited, _, _ = references.removeprefix(_title("References")).partition("\n\n")
            lines = [*cited.strip().splitlines(), *lines]
        return "\n\n" + "".join(f"    {line}\n" for line in lines) if lines else ""

    def _parameters(self) -> str:
        return _title("Parameters") + "".join(
            f"{self._typed(name, kind)}\n{indented(kind.text)}\n"
            for name, kind in self.kinds.items()
        )

    def _typed(self, name: str, kind: Kind) -> str:
        line = f"{name} : {kind.describe()}"
        default = self._default(name)
        # A long default is in the signature.
        return f"{line}{default if len(line + default) <= LINE else ', optional'}"

    def _default(self, name: str) -> str:
        if name not in self._defaults:
            return ""
        default = self._defaults[name]
        return ", optional" if default is None else f", default {default!r}"


def _title(name: str) -> str:
    return f"{name}\n{'-' * len(name)}\n"


def _sections(text: str) -> dict[str, str]:
    """Return the parts of a numpydoc docstring by title; that of the summary is empty."""
    found, name = {"": ""}, ""
    lines = inspect.cleandoc(text).splitlines() or [""]
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line and below == "-" * len(line):
            name = line
            found[name] = ""
        found[name] += line + "\n"
    return found


def is_finite(answer: Any) -> bool:  # noqa: ANN401
    """Tell whether the numbers of an answer are finite.

    Parameters
    ----------
    answer : object
        An array on any device, a number, or a record or tuple of them.

    Returns
    -------
    bool
        False if any is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> is_finite((1.0, np.array([np.inf])))
    False
    """
    if isinstance(answer, tuple | list):
        return all(map(is_finite, answer))
    if is_dataclass(answer) and not isinstance(answer, type):
        return all(is_finite(getattr(answer, field.name)) for field in fields(answer))
    dtype = getattr(answer, "dtype", None)
    if dtype is not None and dtype.kind == "f":
        return bool(np.isfinite(answer).all())
    return not isinstance(answer, float) or isfinite(answer)


def with_door(
    function: F, terms: Contract, room: Room, arrays: Callable[..., Arrays], skip: int = 0
) -> F:
    """Return a function behind a door that checks the outermost call.

    Parameters
    ----------
    function : callable
        The function.
    terms : Contract
        Its contract.
    room : Room
        Room whose functions call each other without checks.
    arrays : callable
        Maps the first `skip` arguments of a call to its handling of arrays.
    skip : int, default 0
        Leading arguments that the contract does not cover.

    Returns
    -------
    callable
        The function with its door.

    Examples
    --------
    >>> from subbit.reference import sign
    >>> with_door(sign, sign.contract, REFERENCE, Arrays)([-2.0])
    array([-1], dtype=int8)
    """
    front = list(inspect.signature(function).parameters)[:skip]

    def door(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        for name in front[len(args) :]:
            if name not in kwargs:
                # Python reports what is missing.
                return function(*args, **kwargs)
            args = (*args, kwargs.pop(name))
        if room.entered and terms.is_whole(args[skip:], kwargs):
            return function(*args, **kwargs)
        first, rest = args[:skip], args[skip:]
        values = terms.checked(rest, kwargs, arrays(*first), room)
        with room.inside():
            answer = function(*first, **values)
        if generates:
            return room.iterate(answer, entered=True)
        return terms.answered(answer)

    generates = inspect.isgeneratorfunction(function)
    # Doctest tells by its globals whether a function is the module's own.
    own = FunctionType(
        door.__code__, function.__globals__, function.__name__, None, door.__closure__
    )
    return cast("F", wraps(function)(own))


def contract(level: int, /, **kinds: Kind) -> Callable[[F], F]:
    """Declare what a public function takes, and check its outermost calls.

    Parameters
    ----------
    level : int
        The conformance level that compares its answers: 1 exact, 2 within a bound, 3 layers.
    **kinds : Kind
        Kind of each parameter, in the order of the signature.

    Returns
    -------
    callable
        A decorator. It gives the function a door, complete documentation and an attribute
        ``contract``.

    Examples
    --------
    >>> from subbit.reference.contracts.kinds import matrix
    >>> @contract(2, W=matrix("n", "k"))
    ... def total(W):
    ...     '''Sum of the weights.'''
    ...     return float(W.sum())
    >>> total([[1, 2]])
    3.0
    """

    def declare(function: F) -> F:
        skip = int("self" in inspect.signature(function).parameters)
        terms = Contract(function, level, kinds, skip)
        door: Any = with_door(function, terms, REFERENCE, lambda *_: Arrays(), skip)
        if not skip:
            door.__doc__ = terms.documented(function.__doc__ or "")
            door.__signature__ = shown(terms.signature, function.__name__)
        door.contract = terms
        return cast("F", door)

    return declare
