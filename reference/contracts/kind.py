"""What a kind of argument is
==========================

A kind checks an argument of a call, with what the other arguments have settled, and says how
documentation writes it.
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
        """Whether None is short for something that `check` makes of it."""
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
