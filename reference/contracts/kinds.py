"""Kinds of arguments: arrays
==========================

Arrays are described by the letters of their axes. Scalars are in ``scalars``, records and
configurations in ``records``.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from subbit.reference.errors import ArgumentError, HessianError, as_array, check_count

from .kind import Call, Kind

ASYMMETRY = 1e-6
"""Share of the largest entry by which mirrored entries may differ."""


def _axes(name: str, value: Any) -> int:  # noqa: ANN401
    """Return the number of axes of an array on any device, or of a value that becomes one."""
    axes = getattr(value, "ndim", None)
    return axes if isinstance(axes, int) else as_array(name, value).ndim


def _written(axes: tuple[str, ...]) -> str:
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


@dataclass(frozen=True)
class Shaped(Kind):
    """An array whose axes have letters.

    Parameters
    ----------
    axes : tuple of str
        A letter for each axis.
    """

    axes: tuple[str, ...]
    element: ClassVar[str] = "float64"
    word: ClassVar[str] = "array"

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return f"array_like of {self.element}, shape {_written(self.axes)}"

    def short(self) -> str:
        """Return the type as written in a signature."""
        return f"{self.word} {_written(self.axes)}"


@dataclass(frozen=True)
class Numbers(Shaped):
    """Finite real numbers.

    Parameters
    ----------
    positive : bool, default False
        Whether negative numbers are rejected.
    nonzero : bool, default False
        Whether zeros are rejected.
    few : bool, default False
        Whether they are few, and stay on the host in float64.
    """

    positive: bool = False
    nonzero: bool = False
    few: bool = False

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the numbers and return them as the room takes arrays."""
        taken = call.arrays.few if self.few else call.arrays.numbers
        array = taken(name, value, call.lengths(self.axes))
        call.settle(name, self.axes, array.shape)
        if self.positive and (least := float(array.min())) < 0:
            raise ArgumentError(name, "numbers that are not negative", f"{least:g}")
        if self.nonzero and bool((array == 0).any()):
            raise ArgumentError(name, "numbers that are not zero", "a zero")
        return array


@dataclass(frozen=True)
class Symmetric(Numbers):
    """A symmetric matrix.

    Parameters
    ----------
    definite : {"", "as given", "after damping"}, default ""
        The form of it that the function factors.
    """

    definite: Literal["", "as given", "after damping"] = field(default="", kw_only=True)

    def refused(self, name: str) -> str:
        """Return the section Raises of a matrix that cannot be factored."""
        if not self.definite:
            return ""
        damped = " after damping" if self.definite == "after damping" else ""
        return f"HessianError\n    If `{name}` is not positive definite{damped}.\n"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the matrix and return it as the room takes arrays."""
        array = super().check(name, value, call)
        asymmetry = call.arrays.asymmetry(array)
        if asymmetry and asymmetry > ASYMMETRY * float(abs(array).max()):
            said = f"entries that differ by {asymmetry:g}"
            raise HessianError(name, "a symmetric matrix", said)
        return array


@dataclass(frozen=True)
class Spread(Kind):
    """Numbers of a given shape, or one per row.

    Parameters
    ----------
    axes : tuple of str
        A letter for each of the two axes.
    """

    axes: tuple[str, str]

    def describe(self) -> str:
        """Return the type as written in documentation."""
        rows, columns = self.axes
        return f"array_like of float64, shape ({rows}, 1) or ({rows}, {columns})"

    def short(self) -> str:
        """Return the type as written in a signature."""
        return f"array ({self.axes[0]}, 1 or {self.axes[1]})"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the numbers and return them as the room takes arrays."""
        rows, width = (call.sizes[axis] for axis in self.axes)
        array = call.arrays.numbers(name, value, (rows, None))
        if array.shape[1] not in {1, width}:
            raise ArgumentError(name, f"1 or {width} columns", array.shape[1])
        return array


@dataclass(frozen=True)
class Values(Kind):
    """Finite real numbers of any shape; a scalar is one of them."""

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "array_like of float64, any shape"

    def short(self) -> str:
        """Return the type as written in a signature."""
        return "array"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the numbers and return them as the room takes arrays."""
        return call.arrays.numbers(name, value, (None,) * _axes(name, value))


@dataclass(frozen=True)
class Tokens(Kind):
    """A vector for each token, with or without an axis of sequences in front.

    Parameters
    ----------
    axes : tuple of str
        Letters for tokens and features.
    """

    axes: tuple[str, str]

    def describe(self) -> str:
        """Return the type as written in documentation."""
        tokens, features = self.axes
        return f"array_like of float64, shape ({tokens}, {features}) or (N, L, {features})"

    def short(self) -> str:
        """Return the type as written in a signature."""
        return f"array {_written(self.axes)}"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check and return the vectors of all tokens."""
        if _axes(name, value) > len(self.axes):
            array = call.arrays.numbers(name, value, (None, None, None))
            array = array.reshape(-1, array.shape[-1])  # (N, L, m) -> (N L, m)
        else:
            array = call.arrays.numbers(name, value, (None, None))
        known = call.lengths(self.axes)
        if None not in known and array.shape != known:
            raise ArgumentError(name, f"shape {known}", f"shape {array.shape}")
        call.settle(name, self.axes, array.shape)
        return array


@dataclass(frozen=True)
class Several(Kind):
    """A sequence of number arrays of any shapes."""

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "sequence of array_like of float64"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check and return the arrays."""
        if not isinstance(value, list | tuple) or not value:
            raise ArgumentError(name, "a sequence of at least one array", type(value).__name__)
        return [call.arrays.numbers(name, part, (None,) * _axes(name, part)) for part in value]


@dataclass(frozen=True)
class WholeNumbers(Shaped):
    """Whole numbers in an array."""

    element: ClassVar[str] = "int"
    word: ClassVar[str] = "int array"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the numbers and return them on the host."""
        numbers = call.arrays.host(name, value)
        if numbers.ndim != len(self.axes) or numbers.dtype.kind not in "iu":
            came = f"{numbers.ndim} axes of {numbers.dtype}"
            raise ArgumentError(name, f"whole numbers on {len(self.axes)} axes", came)
        call.settle(name, self.axes, numbers.shape)
        return numbers


@dataclass(frozen=True)
class Flags(Shaped):
    """A boolean mask.

    Parameters
    ----------
    whole : bool, default True
        Whether an omitted mask is all True; otherwise it is None.
    chosen : bool, default False
        Whether the function chooses the entries itself if the mask is omitted.
    """

    whole: bool = True
    chosen: bool = False
    element: ClassVar[str] = "bool"
    word: ClassVar[str] = "mask"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the mask and return it as the room takes arrays."""
        if value is None and not self.whole:
            raise ArgumentError(name, f"a boolean array of shape {_written(self.axes)}", "None")
        known = call.lengths(self.axes)
        own = np.shape(value) if _axes(name, value) == len(known) else (0,) * len(known)
        lengths = tuple(o if k is None else k for o, k in zip(own, known, strict=True))
        mask = call.arrays.flags(name, value, lengths)
        call.settle(name, self.axes, mask.shape)
        return mask

    @property
    def fills(self) -> bool:
        """Whether None is replaced with a mask that is True everywhere."""
        return self.whole

    @property
    def covers(self) -> bool:
        """Whether an omitted mask means all entries."""
        return not self.chosen


@dataclass(frozen=True)
class Nested(Flags):
    """Masks along the first axis, each within the one before."""

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the masks and return them as the room takes arrays."""
        masks = super().check(name, value, call)
        if bool((masks[1:] & ~masks[:-1]).any()):
            came = "an entry that comes back"
            raise ArgumentError(name, "each mask within the one before", came)
        return masks


@dataclass(frozen=True)
class Part(Kind):
    """Columns or entries that take part.

    Parameters
    ----------
    axes : tuple of str
        A letter for each of the two axes.
    """

    axes: tuple[str, str]

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return f"array_like of bool, shape ({self.axes[1]},) or ({', '.join(self.axes)})"

    def short(self) -> str:
        """Return the type as written in a signature."""
        return f"mask ({self.axes[1]},) or {_written(self.axes)}"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the mask and return it as the room takes arrays."""
        rows, width = (call.sizes[axis] for axis in self.axes)
        shape = (rows, width) if _axes(name, value) > 1 else (width,)
        return call.arrays.flags(name, value, shape)

    @property
    def covers(self) -> bool:
        """Whether an omitted mask means all entries."""
        return True


@dataclass(frozen=True)
class Places(WholeNumbers):
    """Whole numbers that name positions on an axis, or count leading ones.

    Parameters
    ----------
    of : str
        The letter of the axis that they refer to.
    distinct : bool, default False
        Whether they are distinct positions; otherwise they are counts, from 0 to all.
    """

    of: str
    distinct: bool = False

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check the numbers and return them on the host."""
        numbers = call.arrays.host(name, value)
        if numbers.ndim != 1 or numbers.size == 0 or numbers.dtype.kind not in "iu":
            raise ArgumentError(name, "a list of whole numbers, not empty", numbers.tolist())
        size = call.sizes[self.of]
        if numbers.min() < 0 or numbers.max() > size - self.distinct:
            raise ArgumentError(name, f"numbers from 0 to {size - self.distinct}", numbers.tolist())
        if self.distinct and len(np.unique(numbers)) < numbers.size:
            raise ArgumentError(name, "distinct numbers", numbers.tolist())
        call.settle(name, self.axes, numbers.shape)
        return numbers.astype(np.intp)


@dataclass(frozen=True)
class Span(Kind):
    """A range of columns.

    Parameters
    ----------
    axis : str
        The letter of its axis.
    """

    axis: str

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "slice"

    def check(self, name: str, value: Any, call: Call) -> slice:  # noqa: ANN401
        """Check and return the range."""
        if not isinstance(value, slice) or value.step is not None:
            raise ArgumentError(name, "a slice without a step", value)
        width = call.sizes[self.axis]
        start = check_count(name, value.start, 0, width - 1)
        return slice(start, check_count(name, value.stop, start + 1, width))


def matrix(*axes: str, text: str = "Weights.") -> Numbers:
    """Describe real numbers by the letters of their axes.

    Parameters
    ----------
    *axes : str
        Letters.
    text : str, default "Weights."
        Their meaning.

    Returns
    -------
    Numbers
        The kind.

    Examples
    --------
    >>> matrix("n", "k")
    Numbers(text='Weights.', axes=('n', 'k'), positive=False, nonzero=False, few=False)
    """
    return Numbers(axes, text=text)


def symmetric(
    axis: str,
    text: str = "Proxy Hessian, not damped.",
    *,
    definite: Literal["", "as given", "after damping"] = "",
) -> Symmetric:
    """Describe a proxy Hessian by the letter of its axes.

    Parameters
    ----------
    axis : str
        The letter.
    text : str, default "Proxy Hessian, not damped."
        Its meaning.
    definite : {"", "as given", "after damping"}, default ""
        As in :class:`Symmetric`.

    Returns
    -------
    Symmetric
        The kind.

    Examples
    --------
    >>> symmetric("m").axes
    ('m', 'm')
    """
    return Symmetric((axis, axis), text=text, definite=definite)
