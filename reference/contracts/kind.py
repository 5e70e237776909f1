"""What a kind of argument is
==========================

A kind checks one argument of a call, given what the other arguments have settled, and says
how its type is written in documentation.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from subbit.reference.errors import ArgumentError

from .room import Arrays, Room, Shape


@dataclass
class Call:
    """The arguments of one call while they are checked.

    Parameters
    ----------
    values : dict
        Arguments by name; once checked, each is replaced by the form that the function takes.
    arrays : Arrays
        Handling of arrays.
    room : Room
        Room that the door belongs to.
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
            One length per letter; None if it is not settled yet.
        """
        return tuple(self.sizes.get(axis) for axis in axes)

    def settle(self, name: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> None:
        """Record the lengths of an argument's axes.

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
    """Kind of an argument: how it is checked, and how it is documented.

    Parameters
    ----------
    text : str
        Its meaning, in a sentence or two.
    """

    text: str = field(default="", kw_only=True)
    stage: ClassVar[int] = 1
    """Records settle sizes first (0); kinds that depend on other arguments come last (2)."""

    @property
    def fills(self) -> bool:
        """Whether `check` replaces None with a value."""
        return False

    @property
    def covers(self) -> bool:
        """Whether an omitted argument means the same as a mask that is True everywhere."""
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
            A kind with the same checks.
        """
        return replace(self, text=text)

    def refused(self, name: str) -> str:  # noqa: ARG002
        """Return the section Raises of what only the computation finds out.

        Parameters
        ----------
        name : str
            Name of the argument.

        Returns
        -------
        str
            An error and its condition in numpydoc style; empty if there is none.
        """
        return ""

    def describe(self) -> str:
        """Return the type as written in documentation.

        Returns
        -------
        str
            The type in numpydoc style.
        """
        raise NotImplementedError

    def short(self) -> str:
        """Return the type as written in a signature.

        Returns
        -------
        str
            A word or two.
        """
        return self.describe()

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the argument and return it as the function takes it.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            Value received.
        call : Call
            The other arguments.

        Returns
        -------
        object
            Value passed to the function.
        """
        raise NotImplementedError
