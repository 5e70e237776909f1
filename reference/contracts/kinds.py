"""Kinds of arguments
==================

The words that contracts are written in: arrays by the letters of their axes, and scalars by
their domains. Records and configurations are in ``records``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np

from subbit.reference.errors import (
    LARGEST,
    ArgumentError,
    check_choice,
    check_count,
    check_real,
    check_share,
)
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import SignOfZero

from .door import Call, Kind


def _written(axes: tuple[str, ...]) -> str:
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


@dataclass(frozen=True)
class Numbers(Kind):
    """Finite real numbers.

    Parameters
    ----------
    axes : tuple of str
        A letter for each axis.
    positive : bool, default False
        Whether negative numbers are refused.
    """

    axes: tuple[str, ...]
    positive: bool = False

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return f"array_like of float64, shape {_written(self.axes)}"

    def short(self) -> str:
        """Return the type as a signature writes it."""
        return f"array {_written(self.axes)}"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the numbers as the room takes arrays, or refuse."""
        array = call.arrays.numbers(name, value, call.lengths(self.axes))
        call.settle(name, self.axes, array.shape)
        if self.positive and (least := float(array.min())) < 0:
            raise ArgumentError(name, "numbers that are not negative", f"{least:g}")
        return array


@dataclass(frozen=True)
class Spread(Kind):
    """Numbers of a shape, or one for each row.

    Parameters
    ----------
    axes : tuple of str
        A letter for each of the two axes.
    """

    axes: tuple[str, str]

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        rows, columns = self.axes
        return f"array_like of float64, shape ({rows}, 1) or ({rows}, {columns})"

    def short(self) -> str:
        """Return the type as a signature writes it."""
        return f"array ({self.axes[0]}, 1 or {self.axes[1]})"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the numbers as the room takes arrays, or refuse."""
        rows, width = (call.sizes[axis] for axis in self.axes)
        array = call.arrays.numbers(name, value, (rows, None))
        if array.shape[1] not in {1, width}:
            raise ArgumentError(name, f"1 or {width} columns", array.shape[1])
        return array


@dataclass(frozen=True)
class Values(Kind):
    """Finite real numbers of any shape; a scalar is one of them."""

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "array_like of float64, any shape"

    def short(self) -> str:
        """Return the type as a signature writes it."""
        return "array"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the numbers as the room takes arrays, or refuse."""
        return call.arrays.numbers(name, value, (None,) * np.ndim(value))


@dataclass(frozen=True)
class Flags(Kind):
    """A boolean mask.

    Parameters
    ----------
    axes : tuple of str
        A letter for each axis.
    whole : bool, default True
        Whether an omitted mask is all True; None otherwise.
    """

    axes: tuple[str, ...]
    whole: bool = True

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return f"array_like of bool, shape {_written(self.axes)}"

    def short(self) -> str:
        """Return the type as a signature writes it."""
        return f"mask {_written(self.axes)}"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the mask as the room takes arrays, or refuse."""
        return call.arrays.flags(name, value, tuple(call.sizes[axis] for axis in self.axes))

    @property
    def fills(self) -> bool:
        """Whether None is short for a mask that is True everywhere."""
        return self.whole

    def absent(self, name: str, call: Call) -> Any:  # noqa: ANN401
        """Return the mask that is True everywhere, or None."""
        return self.check(name, None, call) if self.whole else None


@dataclass(frozen=True)
class Part(Kind):
    """Columns, or entries, that take part.

    Parameters
    ----------
    axes : tuple of str
        A letter for each of the two axes.
    """

    axes: tuple[str, str]

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return f"array_like of bool, shape ({self.axes[1]},) or ({', '.join(self.axes)})"

    def short(self) -> str:
        """Return the type as a signature writes it."""
        return f"mask ({self.axes[1]},) or {_written(self.axes)}"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the mask as the room takes arrays, or refuse."""
        rows, width = (call.sizes[axis] for axis in self.axes)
        shape = (rows, width) if np.ndim(value) > 1 else (width,)
        return call.arrays.flags(name, value, shape)


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few settings.

    Parameters
    ----------
    options : tuple
        The settings.
    """

    options: tuple[Any, ...]

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        if set(self.options) == {False, True} and isinstance(self.options[0], bool):
            return "bool"
        return "{" + ", ".join(map(repr, self.options)) + "}"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return the setting, or refuse."""
        return check_choice(name, value, self.options)


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number.

    Parameters
    ----------
    least : int, default 1
        The smallest.
    most : int, str or None, default None
        The largest, or the argument that it may not exceed.
    """

    least: int = 1
    most: int | str | None = None
    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "int"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the number, or refuse."""
        most = self.most
        if isinstance(most, str):
            most = check_count(most, call.values[most])
        return check_count(name, value, self.least, most)


@dataclass(frozen=True)
class Real(Kind):
    """A finite number.

    Parameters
    ----------
    least, most : float
        The range, ends included.
    """

    least: float = -LARGEST
    most: float = LARGEST

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "float"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return the number, or refuse."""
        return check_real(name, value, self.least, self.most)


@dataclass(frozen=True)
class Share(Kind):
    """A number from 0 to 1.

    Parameters
    ----------
    below : bool, default False
        Whether 1 itself is refused.
    """

    below: bool = False

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "float"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return the share, or refuse."""
        return check_share(name, value, below=self.below)


@dataclass(frozen=True)
class Text(Kind):
    """A name."""

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "str"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return the name, or refuse."""
        if not isinstance(value, str):
            raise ArgumentError(name, "a name", value)
        return value


@dataclass(frozen=True)
class Orders(Kind):
    """Orders of several zones.

    Parameters
    ----------
    number : int
        How many.
    most : int or None, default None
        The highest.
    """

    number: int
    most: int | None = None

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "tuple of int"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return the orders, or refuse."""
        if not isinstance(value, tuple) or len(value) != self.number:
            raise ArgumentError(name, f"{self.number} whole numbers", value)
        return tuple(check_count(name, order, 1, self.most) for order in value)


def matrix(*axes: str, text: str = "Weights.") -> Numbers:
    """Real numbers, by the letters of their axes.

    Parameters
    ----------
    *axes : str
        Letters.
    text : str, default "Weights."
        What they mean.

    Returns
    -------
    Numbers
        The kind.

    Examples
    --------
    >>> matrix("n", "k")
    Numbers(text='Weights.', axes=('n', 'k'), positive=False)
    """
    return Numbers(axes, text=text)


def choice(literal: Any, text: str) -> Choice:  # noqa: ANN401
    """One of the settings that a Literal type names.

    Parameters
    ----------
    literal : type
        The type, or bool.
    text : str
        What the switch does.

    Returns
    -------
    Choice
        The kind.

    Examples
    --------
    >>> choice(bool, "Whether it rains.").options
    (False, True)
    """
    return Choice((False, True) if literal is bool else get_args(literal), text=text)


WEIGHTS = matrix("n", "k")
GRAM = matrix("k", "k", text="Gram matrix of the inputs.")
ENTRIES = Flags(("n", "k"), text="The group's entries; all by default.")
ORDER = Choice((1, 2), text="Number of sign planes.")
NAME = Text(text="Name of the group in the record.")
SIGN_ZERO = choice(SignOfZero, "Sign of zero.")
EPS = Share(text="Number added to a denominator.")
EPS_KIND = choice(
    EpsKind, "Whether `eps` is a number, or a share of the mean denominator of all rows."
)
