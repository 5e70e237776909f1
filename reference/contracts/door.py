"""Contracts
============

What a public function takes is declared once, above it::

    @contract(2, W=matrix("n", "k"), mask=entries("n", "k"), order=ORDER)
    def arb(W: Array, mask: Mask, *, order: int = 1) -> BinaryGroup:

A letter is a size: axes with the same letter have the same length in a call. From the
declaration come the checks at the function's door, its signature in ``help()``, the sections
Parameters and Raises of its documentation, what ``subbit init-port`` writes, and the domains
that conformance cases are drawn from.

Only the outermost call is checked. Inside of it, the functions of a room call each other
plainly, with arrays that are what the contracts say: a layer's weights are checked once.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property, wraps
from types import FunctionType
from typing import Any, ClassVar, Self, TypeVar, cast

from subbit.reference.errors import ArgumentError, as_array, check_mask, check_matrix
from subbit.reference.notation import AnyArray

F = TypeVar("F", bound=Callable[..., Any])
Shape = tuple[int | None, ...]
ALL: Any = None
"""An omitted mask: the function gets one that is True everywhere."""


class Room:
    """Functions that call each other plainly.

    Parameters
    ----------
    name : str
        The room's name.

    Examples
    --------
    >>> room = Room("reference")
    >>> with room.inside():
    ...     room.entered
    True
    """

    def __init__(self, name: str) -> None:
        self._entered: ContextVar[bool] = ContextVar(name, default=False)

    @property
    def entered(self) -> bool:
        """Whether a call of this room has been checked already."""
        return self._entered.get()

    @contextmanager
    def inside(self, entered: bool = True) -> Iterator[None]:  # noqa: FBT001, FBT002
        """Run a piece of code with the checks off, or on again.

        Parameters
        ----------
        entered : bool, default True
            False for a caller's own code, such as a callback.

        Yields
        ------
        None
            While the code runs.
        """
        token = self._entered.set(entered)
        try:
            yield
        finally:
            self._entered.reset(token)

    def iterate(self, items: Iterator[Any], *, entered: bool) -> Iterator[Any]:
        """Yield from an iterator whose code runs with the checks off, or on again.

        Parameters
        ----------
        items : iterator
            The iterator.
        entered : bool
            Whether checks are off while it computes an item.

        Yields
        ------
        object
            Its items.
        """
        while True:
            with self.inside(entered):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


REFERENCE = Room("reference")


class Arrays:
    """How a room takes arrays: here, as float64 and boolean arrays of NumPy."""

    def numbers(self, name: str, value: Any, shape: Shape) -> AnyArray:  # noqa: ANN401
        """Return finite numbers of the wanted shape, or refuse.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            The argument.
        shape : tuple of int or None
            Wanted lengths.

        Returns
        -------
        array
            The numbers.
        """
        return check_matrix(name, value, shape=shape)

    def few(self, name: str, value: Any, shape: Shape) -> AnyArray:  # noqa: ANN401
        """Return a few finite numbers of the wanted shape on the host, or refuse.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            The argument.
        shape : tuple of int or None
            Wanted lengths.

        Returns
        -------
        ndarray of float64
            The numbers.
        """
        return check_matrix(name, self.host(name, value), shape=shape)

    def host(self, name: str, value: Any) -> AnyArray:  # noqa: ANN401
        """Return an array of small numbers, such as column numbers, on the host.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            The argument.

        Returns
        -------
        ndarray
            The numbers.
        """
        return as_array(name, value)

    def flags(self, name: str, value: Any, shape: tuple[int, ...]) -> AnyArray:  # noqa: ANN401
        """Return a boolean array of the wanted shape, or refuse; None means all True.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            The argument.
        shape : tuple of int
            Wanted lengths.

        Returns
        -------
        array of bool
            The mask.
        """
        return check_mask(name, value, shape)


@dataclass
class Call:
    """The arguments of one call while they are checked.

    Parameters
    ----------
    values : dict
        Arguments by name; what has been checked is replaced by what the function takes.
    arrays : Arrays
        How arrays are taken.
    room : Room
        Whose door this is.
    sizes : dict of str to int
        Lengths of axes, by letter.
    """

    values: dict[str, Any]
    arrays: Arrays
    room: Room
    sizes: dict[str, int] = field(default_factory=dict)

    def lengths(self, axes: tuple[str, ...]) -> Shape:
        """Return the lengths that are known so far.

        Parameters
        ----------
        axes : tuple of str
            Letters.

        Returns
        -------
        tuple of int or None
            One length for each; None where nothing has settled it.
        """
        return tuple(self.sizes.get(axis) for axis in axes)

    def settle(self, name: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> None:
        """Note the lengths that an argument has.

        Parameters
        ----------
        name : str
            Name of the argument.
        axes : tuple of str
            Letters.
        shape : tuple of int
            Lengths.
        """
        for axis, length in zip(axes, shape, strict=True):
            if self.sizes.setdefault(axis, length) != length:
                raise ArgumentError(name, "a square matrix", f"shape {shape}")


@dataclass(frozen=True)
class Kind:
    """What an argument is: how it is checked, and what documentation says of it.

    Parameters
    ----------
    text : str
        What it means, in a sentence or two.
    """

    text: str = field(default="", kw_only=True)
    stage: ClassVar[int] = 1
    """Records settle sizes first (0); what depends on other arguments comes last (2)."""

    @property
    def fills(self) -> bool:
        """Whether None is short for something else."""
        return False

    def says(self, text: str) -> Self:
        """Return the kind with another meaning.

        Parameters
        ----------
        text : str
            The meaning.

        Returns
        -------
        Kind
            The same checks.
        """
        return replace(self, text=text)

    def describe(self) -> str:
        """Return the type as documentation writes it.

        Returns
        -------
        str
            In the manner of numpydoc.
        """
        raise NotImplementedError

    def short(self) -> str:
        """Return the type as a signature writes it.

        Returns
        -------
        str
            A word or two.
        """
        return self.describe()

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the argument as the function takes it, or refuse.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            What came.
        call : Call
            The other arguments.

        Returns
        -------
        object
            What the function gets.
        """
        raise NotImplementedError

    def absent(self, name: str, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return what an omitted argument stands for.

        Parameters
        ----------
        name : str
            Name of the argument.
        call : Call
            The other arguments.

        Returns
        -------
        object
            None, or what None is short for.
        """
        return None


class _Written:
    """An annotation that prints as documentation writes the type."""

    def __init__(self, kind: Kind) -> None:
        self.text = kind.short()

    def __repr__(self) -> str:
        return self.text


class _Short:
    """A configuration as a default: its class, without every switch."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"{type(self.value).__name__}()"


@dataclass(frozen=True, eq=False)
class Contract:
    """What a public function takes, and the level its answers are compared at.

    Parameters
    ----------
    function : callable
        The function, without checks.
    level : int
        1 exact, 2 within a bound, 3 layers.
    kinds : mapping of str to Kind
        By parameter, in the order of the signature.
    skip : int, default 0
        Parameters in front that it does not speak of, such as `self`.
    """

    function: Callable[..., Any]
    level: int
    kinds: Mapping[str, Kind]
    skip: int = 0

    def __post_init__(self) -> None:
        if list(self.kinds) != list(self.signature.parameters):
            name, own = self.function.__qualname__, list(self.signature.parameters)
            message = f"the contract of {name} is about {list(self.kinds)}, which takes {own}"
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
        return {p.name: p.default for p in self.signature.parameters.values()}

    @cached_property
    def _in_turn(self) -> list[tuple[str, Kind]]:
        return sorted(self.kinds.items(), key=lambda item: item[1].stage)

    @cached_property
    def _filled(self) -> list[tuple[int, str]]:
        """Places and names of arguments for which None is short for something."""
        kinds = enumerate(self.kinds.items())
        return [(place, name) for place, (name, kind) in kinds if kind.fills]

    def is_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether a call inside the room leaves nothing to be filled in.

        Parameters
        ----------
        args : tuple
            Arguments by place.
        kwargs : dict
            Arguments by name.

        Returns
        -------
        bool
            False where an omitted mask stands for all entries.
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
            Arguments by place.
        kwargs : dict
            Arguments by name.
        arrays : Arrays
            How the room takes arrays.
        room : Room
            The room.

        Returns
        -------
        dict
            By name.

        Raises
        ------
        ArgumentError
            If one is not what the contract says.
        """
        given = self.signature.bind(*args, **kwargs).arguments
        call = Call(self._defaults | given, arrays, room)
        for name, kind in self._in_turn:
            value = call.values[name]
            omitted = value is None and self._defaults[name] is None
            call.values[name] = (
                kind.absent(name, call) if omitted else kind.check(name, value, call)
            )
        return call.values

    def documented(self, text: str) -> str:
        """Complete a docstring by the sections Parameters and Raises.

        Parameters
        ----------
        text : str
            The function's own docstring: summary, answer, notes, examples.

        Returns
        -------
        str
            The whole docstring.
        """
        sections = _sections(text)
        head = sections.pop("")
        answer = "".join(sections.pop(name, "") for name in ("Returns", "Yields"))
        own = sections.pop("Raises", _title("Raises"))
        refused = "ArgumentError\n    If an argument is not what its line above says.\n"
        raises = own.replace(_title("Raises"), _title("Raises") + refused)
        parts = [head, self._parameters(), answer, raises, *sections.values()]
        return "\n".join(part.strip("\n") + "\n" for part in parts if part)

    def _parameters(self) -> str:
        return _title("Parameters") + "".join(
            f"{name} : {kind.describe()}{self._default(name)}\n    {kind.text}\n"
            for name, kind in self.kinds.items()
        )

    def _default(self, name: str) -> str:
        default = self._defaults[name]
        if default is inspect.Parameter.empty:
            return ""
        if default is None:
            return ", optional"
        return f", default {_Short(default) if is_dataclass(default) else repr(default)}"


def _title(name: str) -> str:
    return f"{name}\n{'-' * len(name)}\n"


def _sections(text: str) -> dict[str, str]:
    """Parts of a numpydoc docstring by their titles; the summary has none."""
    found, name = {"": ""}, ""
    lines = inspect.cleandoc(text).splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line and below == "-" * len(line):
            name = line
            found[name] = ""
        found[name] += line + "\n"
    return found


def with_door(
    function: F, terms: Contract, room: Room, arrays: Callable[..., Arrays], skip: int = 0
) -> F:
    """Return a function behind a door that checks the outermost call.

    Parameters
    ----------
    function : callable
        The function.
    terms : Contract
        What it takes.
    room : Room
        Whose functions call each other plainly.
    arrays : callable
        From the first `skip` arguments of a call to how it takes arrays.
    skip : int, default 0
        Arguments in front that the contract does not speak of.

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

    def door(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if room.entered and terms.is_whole(args[skip:], kwargs):
            return function(*args, **kwargs)
        first, rest = args[:skip], args[skip:]
        values = terms.checked(rest, kwargs, arrays(*first), room)
        with room.inside():
            answer = function(*first, **values)
        return room.iterate(answer, entered=True) if generates else answer

    generates = inspect.isgeneratorfunction(function)
    # Doctest takes a function for a module's own by its globals.
    own = FunctionType(
        door.__code__, function.__globals__, function.__name__, None, door.__closure__
    )
    return cast("F", wraps(function)(own))


def contract(level: int, /, **kinds: Kind) -> Callable[[F], F]:
    """Declare what a public function takes, and check its outermost calls.

    Parameters
    ----------
    level : int
        The level of conformance that compares its answers: 1 exact, 2 within a bound, 3 layers.
    **kinds : Kind
        What each parameter is, in the order of the signature.

    Returns
    -------
    callable
        A decorator. The function gets a door, whole documentation and an attribute
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
            door.__signature__ = terms.signature
        door.contract = terms
        return cast("F", door)

    return declare
