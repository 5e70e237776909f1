"""Rounded numbers
===============

The algebra behind ``bounds``. A port computes the reference's operations in its own
floating-point type and order; a :class:`Rounded` array holds the reference's values and,
for each, how far the port's may lie from it. The rules below are all there is: the bound
of a formula is that formula, written again with such arrays.

========== ================================================================
symbol     meaning
========== ================================================================
``u``      unit roundoff of the port, ``u₀ = 2⁻⁵³`` of the reference
``p``      additions that one term of the port's sum passes through
``γ_p``    ``p u / (1 - p u)``, the relative error of p roundings in a row
``x, e``   the reference's value, and ``|x̂ - x| ≤ e`` for the port's ``x̂``
``t``      the smallest normal number: what flushing to zero may lose
========== ================================================================

The reference rounds too, so each rule counts both: ``γ_p`` of the port plus ``γ`` of
the reference. With ``a = |x| + e`` as the largest magnitude either may meet:

* sum and difference: ``e_x + e_y + γ_1 (|x ± y| + e_x + e_y) + t``
* product: ``|x| e_y + e_x |y| + e_x e_y`` and the same rounding of it
* quotient: ``(e_x + |x/y| e_y) / (|y| - e_y)`` and two roundings, so a product with the
  reciprocal is allowed
* sum of many: ``Σ e + γ_p Σ a + (c - 1) t`` for c terms

A result that may overflow, or come from a division by zero, has the bound infinity.

References
----------
N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 2.2, 3.1, 4.2.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import check_choice, check_count, check_matrix
from subbit.reference.notation import AnyArray, Array, Mask

REFERENCE_ROUNDOFF = 2.0**-53
_SMALLEST = float(np.finfo(np.float64).tiny)
TYPES = ("float16", "float32", "float64")
STORED = ("scales", "means")
"""Numbers of a record that may have a storage type of their own."""
Kind: TypeAlias = Literal["row", "column", "column_fit", "objective", "library", "product", "any"]


@functools.cache
def _numbers(dtype: str) -> tuple[float, float, float]:
    """Return a type's unit roundoff, smallest normal number and largest number."""
    type_ = np.finfo(dtype)
    return float(type_.eps) / 2, float(type_.tiny), float(type_.max)


def _gamma(depth: npt.ArrayLike, unit_roundoff: float) -> Array:
    product = np.asarray(depth, dtype=np.float64) * unit_roundoff
    return np.where(product < 1.0, product / np.maximum(1.0 - product, _SMALLEST), np.inf)


@functools.cache
def _gammas(depth: int, unit_roundoff: float) -> Array:
    # Most bounds are of one rounding.
    both = np.asarray(_gamma(depth, unit_roundoff) + _gamma(depth, REFERENCE_ROUNDOFF))
    both.flags.writeable = False
    return both


@dataclass(frozen=True)
class Arithmetic:
    """How a port computes.

    Parameters
    ----------
    dtype : {"float16", "float32", "float64"}, default "float64"
        Its floating-point type. Operations are correctly rounded; results below the
        smallest normal number may be flushed to zero.
    lanes : int, default 1
        How it adds where `depths` does not say: T lanes take every T-th term, a tree adds
        the lanes. Sums over a whole matrix have that shape either at once or first
        within the rows and then over them. One lane is a straight sum.
    depths : mapping of str to callable, optional
        Depth for a number of terms, of sums along a ``"row"``, down a ``"column"``, down
        one for a ``"column_fit"``, over the rows of a search's ``"objective"``, and of a
        library's ``"product"`` or sum. If none is declared for products, every order is
        allowed.
    stored : mapping of str to str, optional
        Types that the ``"scales"`` and ``"means"`` of a record are rounded to when a function
        returns it; by default they stay as they were computed.

    Examples
    --------
    >>> port = Arithmetic("float32", lanes=32)
    >>> int(port.depth("row", 128)), int(port.depth("row", 3)), int(port.depth("product", 128))
    (9, 2, 127)
    """

    dtype: str = "float64"
    lanes: int = 1
    depths: Mapping[str, Callable[[int], int]] = field(default_factory=dict)
    stored: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, TYPES)
        check_count("lanes", self.lanes)
        for kind in self.depths:
            check_choice("depths", kind, ("row", "column", "column_fit", "objective", "product"))
        for kind, dtype in self.stored.items():
            check_choice("stored", kind, STORED)
            check_choice("stored", dtype, TYPES)

    @classmethod
    def of(cls, capabilities: Mapping[str, Any] | None = None) -> "Arithmetic":
        """Return the arithmetic that a port declares.

        Parameters
        ----------
        capabilities : mapping, optional
            The port's ``CAPABILITIES``, with the keys ``"dtype"``, ``"lanes"``, ``"depth"``
            and ``"stored"``; others are not about arithmetic.

        Returns
        -------
        Arithmetic
            By default float64, added straight.

        Raises
        ------
        ArgumentError
            If a declared value is not one of those allowed.
        """
        declared = capabilities or {}
        return cls(
            declared.get("dtype", "float64"),
            declared.get("lanes", 1),
            declared.get("depth", {}),
            declared.get("stored", {}),
        )

    @property
    def narrows(self) -> bool:
        """Whether a record holds fewer digits than were computed."""
        own = np.dtype(self.dtype)
        return any(
            np.promote_types(dtype, own) != np.dtype(dtype) for dtype in self.stored.values()
        )

    @property
    def unit_roundoff(self) -> float:
        """Largest relative error of one rounding, ``u``."""
        return _numbers(self.dtype)[0]

    @property
    def tiny(self) -> float:
        """Smallest normal number: the error of a result that is flushed to zero."""
        return _numbers(self.dtype)[1]

    @property
    def largest(self) -> float:
        """Largest number."""
        return _numbers(self.dtype)[2]

    def depth(self, kind: Kind, terms: npt.ArrayLike, length: int | None = None) -> Array:
        """Count the additions that one term of a sum passes through.

        Parameters
        ----------
        kind : {"row", "column", "column_fit", "objective", "library", "product", "any"}
            Kind of sum: as in `depths`, a sum or a product by a library, or a sum whose
            order is unspecified.
        terms : array_like of int, any shape
            Numbers of terms that are not masked out.
        length : int, optional
            Number of positions that the sum runs over; `terms` by default.

        Returns
        -------
        ndarray of float64, shape of `terms`
            The declared depth, else ``⌈k / T⌉ + ⌈log2 T⌉``, and never more than c - 1: no
            order of c terms is deeper, since adding a zero is exact.
        """
        count = np.asarray(terms, dtype=np.float64)
        places = int(count) if length is None else length
        most = np.maximum(count - 1.0, 0.0)
        declared = self.depths.get("product" if kind == "library" else kind)
        if declared is not None:
            return np.minimum(most, float(declared(places)))
        if kind in {"product", "any"} or self.lanes == 1:
            return most
        return np.minimum(most, -(-places // self.lanes) + float(np.ceil(np.log2(self.lanes))))

    def gamma(self, depth: npt.ArrayLike, reference: npt.ArrayLike | None = None) -> Array:
        """Return the relative error of several roundings in a row, plus the reference's.

        Parameters
        ----------
        depth : array_like of float64, any shape
            Roundings of the port.
        reference : array_like of float64, any shape, optional
            Roundings of the reference; as many by default.

        Returns
        -------
        ndarray of float64, shape of `depth`
            ``γ_p`` for ``u`` plus ``γ_q`` for ``2⁻⁵³``.
        """
        if reference is None and isinstance(depth, int):
            return _gammas(depth, self.unit_roundoff)
        own = _gamma(depth, self.unit_roundoff)
        return own + _gamma(depth if reference is None else reference, REFERENCE_ROUNDOFF)

    def checked(
        self,
        argument: str,
        value: "npt.ArrayLike | Rounded",
        *,
        shape: tuple[int | None, ...] = (None, None),
    ) -> "Rounded":
        """Read a port's input of known shape; see :meth:`read`.

        Parameters
        ----------
        argument : str
            Name for error messages.
        value : array_like of float64 or Rounded, shape `shape`
            The input.
        shape : tuple of int or None, default (None, None)
            Expected lengths; None stands for any.

        Returns
        -------
        Rounded
            The values with the error of their conversion.

        Raises
        ------
        ArgumentError
            If the shape differs or a number is not finite.
        """
        if isinstance(value, Rounded):
            check_matrix(argument, value.value, shape=shape)
            return value
        return self.read(check_matrix(argument, value, shape=shape))

    def exactly(self, values: npt.ArrayLike) -> "Rounded":
        """Wrap numbers that every port holds exactly, such as counts.

        Parameters
        ----------
        values : array_like of float64, any shape
            The numbers.

        Returns
        -------
        Rounded
            The numbers, with no error.
        """
        numbers = np.asarray(values, dtype=np.float64)
        return Rounded(numbers, np.zeros(numbers.shape), self)

    def read(self, values: "npt.ArrayLike | Rounded") -> "Rounded":
        """Read a port's input, converted to its type.

        Parameters
        ----------
        values : array_like of float64 or Rounded, any shape
            The port's input; a Rounded array is one it has computed itself.

        Returns
        -------
        Rounded
            The values with the error of the conversion, which is 0 where the type holds
            them.
        """
        if isinstance(values, Rounded):
            return values
        given = np.asarray(values, dtype=np.float64)
        # Eq. (B1), subbit:  e = |fl(x) − x|, 0 where the port's type holds x
        return Rounded(given, np.abs(given - self.held(given)), self)

    def held(self, values: npt.ArrayLike) -> Array:
        """Convert numbers to the port's type.

        Parameters
        ----------
        values : array_like of float64, any shape
            The numbers.

        Returns
        -------
        ndarray of float64, shape of `values`
            The nearest numbers that the type holds, without subnormal ones.

        Examples
        --------
        >>> Arithmetic("float32").held([0.5, 1e-45]).tolist()
        [0.5, 0.0]
        """
        converted = self._converted(values)
        return np.where(np.abs(converted) < self.tiny, 0.0, converted)

    def _converted(self, values: npt.ArrayLike) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(values, np.float64).astype(self.dtype).astype(np.float64)

    def copies(self, values: npt.ArrayLike, found: npt.ArrayLike) -> Mask:
        """Say where numbers are copies of others.

        Parameters
        ----------
        values : array_like of float64, any shape
            The numbers.
        found : array_like of float, shape of `values`
            What a port made of them.

        Returns
        -------
        ndarray of bool, shape of `values`
            True for the number itself, the one that the port's type holds, and a zero where that
            is subnormal.

        Examples
        --------
        >>> Arithmetic("float32").copies([0.1, 0.1], [np.float32(0.1), 0.1000001]).tolist()
        [True, False]
        """
        own = np.asarray(found, dtype=np.float64)
        same = (own == np.asarray(values)) | (own == self._converted(values))
        return np.asarray(same | (own == self.held(values)))


@dataclass(frozen=True, eq=False)
class Rounded:
    """Values of the reference, and how far a port's may lie from them.

    Parameters
    ----------
    value : ndarray of float64, any shape
        The reference's values.
    error : ndarray of float64, shape of `value`
        Bound of the absolute difference; infinite where there is no bound.
    arithmetic : Arithmetic
        How the port computes.

    Examples
    --------
    >>> port = Arithmetic("float32")
    >>> third = port.read([1.0]) / port.read([3.0])
    >>> bool(abs(np.float32(1) / np.float32(3) - third.value[0]) <= third.error[0] < 1e-7)
    True
    """

    value: Array
    error: Array
    arithmetic: Arithmetic

    # Arrays leave mixed operations to this class.
    __array_ufunc__ = None

    @property
    def reach(self) -> Array:
        """Largest magnitude that port or reference can meet."""
        return np.asarray(np.abs(self.value) + self.error)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values."""
        return self.value.shape

    @property
    def copied(self) -> Mask:
        """Numbers whose only error is their conversion to the port's type."""
        converted = np.abs(self.value - self.arithmetic.held(self.value))
        bounded = (self.error > 0.0) & np.isfinite(self.error)
        return np.asarray(bounded & (self.error == converted))

    @property
    def T(self) -> "Rounded":
        """The transposed array."""
        return Rounded(self.value.T, self.error.T, self.arithmetic)

    def __getitem__(self, index: Any) -> "Rounded":  # noqa: ANN401  (whatever NumPy takes)
        return Rounded(self.value[index], self.error[index], self.arithmetic)

    def __add__(self, other: "Rounded") -> "Rounded":
        # Eq. (B2), subbit:  |(x̂ ⊕ ŷ) − (x + y)| ≤ e_x + e_y + γ_1 (|x + y| + e_x + e_y) + t
        return _rounded(self.value + other.value, self.error + other.error, self.arithmetic)

    def __sub__(self, other: "Rounded") -> "Rounded":
        return self + other.flip(-1)

    def __mul__(self, other: "Rounded") -> "Rounded":
        # Eq. (B3), subbit:  |(x̂ ⊗ ŷ) − x y| ≤ e + γ_1 (|x y| + e) + t,  e = |x| e_y + a_y e_x
        carried = np.abs(self.value) * other.error + self.error * other.reach
        return _rounded(self.value * other.value, carried, self.arithmetic)

    def __truediv__(self, other: "Rounded") -> "Rounded":
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.value / other.value
            left = np.maximum(np.abs(other.value) - other.error, 0.0)
            # Eq. (B4), subbit:  |(x̂ ⊘ ŷ) − x / y| ≤ e + γ_2 (|x/y| + e) + t,  e as carried here
            carried = (self.error + np.abs(value) * other.error) / left
        return _rounded(value, carried, self.arithmetic, roundings=2)

    def __matmul__(self, other: "Rounded") -> "Rounded":
        length = self.shape[-1]
        gamma = self.arithmetic.gamma(self.arithmetic.depth("product", length) + 1, length)
        with np.errstate(invalid="ignore", over="ignore"):
            reach = self.reach @ other.reach
            carried = np.abs(self.value) @ other.error + self.error @ other.reach
        # Eq. (B5), subbit:  |Σ x̂ ŷ − Σ x y| ≤ Σ(|x| e_y + a_y e_x) + γ_{p+1} Σ a_x a_y + 2 k t
        flushed = np.where(reach > 0.0, 2 * length * self.arithmetic.tiny, 0.0)
        error = carried + gamma * reach + flushed
        return _bounded(self.value @ other.value, error, reach, self.arithmetic)

    def flip(self, signs: npt.ArrayLike) -> "Rounded":
        """Multiply by signs, powers of two or zero, which is exact.

        Parameters
        ----------
        signs : array_like of float64, any shape
            Factors.

        Returns
        -------
        Rounded
            The products.
        """
        factors = np.asarray(signs, dtype=np.float64)
        return Rounded(self.value * factors, self.error * np.abs(factors), self.arithmetic)

    def absolute(self) -> "Rounded":
        """Return magnitudes, exactly.

        Returns
        -------
        Rounded
            ``|x|``.
        """
        return Rounded(np.abs(self.value), self.error, self.arithmetic)

    def widen(self, extra: npt.ArrayLike) -> "Rounded":
        """Allow more error.

        Parameters
        ----------
        extra : array_like of float64, shape of the values
            Error to add.

        Returns
        -------
        Rounded
            The same values with the larger error.
        """
        return Rounded(self.value, self.error + np.asarray(extra, np.float64), self.arithmetic)

    def kept_as(self, kind: str) -> "Rounded":
        """Round to the type that a record keeps these numbers in.

        Parameters
        ----------
        kind : {"scales", "means"}
            What they are.

        Returns
        -------
        Rounded
            The same values with the error of that rounding as well; the same object if the
            port declares no type, or one that holds all numbers of its own. Numbers that may
            be beyond the type's largest have no bound.

        Examples
        --------
        >>> port = Arithmetic("float32", stored={"scales": "float16"})
        >>> float(port.exactly([1.0]).kept_as("scales").error[0]) == 2.0**-11
        True
        """
        dtype = self.arithmetic.stored.get(kind, self.arithmetic.dtype)
        if np.promote_types(dtype, self.arithmetic.dtype) == np.dtype(dtype):
            return self
        of = Arithmetic(dtype)
        # Eq. (B118), subbit:  |fl_s(x̂) − x| ≤ e + u_s a + f,  f = min(a, t_s) if |x| − e < t_s
        least = np.abs(self.value) - self.error
        lost = np.where(least < of.tiny, np.minimum(self.reach, of.tiny), 0.0)
        error = self.error + of.unit_roundoff * self.reach + lost
        beyond = ~(self.reach + error <= of.largest)
        return Rounded(self.value, np.where(beyond, np.inf, error), self.arithmetic)

    def as_computed(self, kind: str) -> "Rounded":
        """Return what these numbers may have been before a record kept them.

        Parameters
        ----------
        kind : {"scales", "means"}
            What they are.

        Returns
        -------
        Rounded
            The same values with the error of the rounding that :meth:`kept_as` adds, seen from
            its result; the same object if there is none.

        Examples
        --------
        >>> port = Arithmetic("float32", stored={"scales": "float16"})
        >>> port.exactly([1.0, 0.0]).as_computed("scales").error < 1e-3
        array([ True,  True])
        """
        dtype = self.arithmetic.stored.get(kind, self.arithmetic.dtype)
        if np.promote_types(dtype, self.arithmetic.dtype) == np.dtype(dtype):
            return self
        of, size = Arithmetic(dtype), np.abs(self.value)
        share = of.unit_roundoff / (1.0 - of.unit_roundoff)
        # Eq. (B121), subbit:  |x − x̂| ≤ e + u_s / (1 − u_s) |x̂|  + t_s if |x̂| ≤ t_s
        error = self.error + share * size + np.where(size <= of.tiny, of.tiny, 0.0)
        return Rounded(self.value, np.where(np.isfinite(size), error, np.inf), self.arithmetic)

    def or_else(self, other: "Rounded") -> "Rounded":
        """Allow another way to compute the same values.

        Parameters
        ----------
        other : Rounded, shape of the values
            Result of the other way.

        Returns
        -------
        Rounded
            The values with the larger of the errors.
        """
        return Rounded(self.value, np.maximum(self.error, other.error), self.arithmetic)

    def keep(self, mask: Mask) -> "Rounded":
        """Zero outside a mask, exactly.

        Parameters
        ----------
        mask : ndarray of bool, shape of the values
            Entries to keep.

        Returns
        -------
        Rounded
            The values under the mask.
        """
        return Rounded(
            np.where(mask, self.value, 0.0), np.where(mask, self.error, 0.0), self.arithmetic
        )

    def sum(self, kind: Kind, mask: Mask | None = None) -> "Rounded":
        """Add in the order that the port declares.

        Parameters
        ----------
        kind : {"row", "column", "column_fit", "library", "any"}
            Kind of sum; rows along the last axis, all others along the first.
        mask : ndarray of bool, shape of the values, optional
            The terms; all by default.

        Returns
        -------
        Rounded
            The sums.
        """
        axis = -1 if kind == "row" else 0
        terms = self if mask is None else self.keep(mask)
        count = np.asarray(self.shape[axis] if mask is None else np.sum(mask, axis=axis))
        return _summed(terms, axis, count, self.arithmetic.depth(kind, count, self.shape[axis]))

    def total(self, kind: Kind = "library") -> "Rounded":
        """Add a whole matrix.

        Parameters
        ----------
        kind : {"library", "objective"}, default "library"
            Kind of sum.

        Returns
        -------
        Rounded
            The sum, a scalar.
        """
        (rows, columns), of = self.shape, self.arithmetic.depth
        nested = of("row", columns) + of("objective", rows)
        at_once = of(kind, self.value.size)
        if kind == "objective" and "objective" in self.arithmetic.depths:
            at_once = nested
        depth = np.minimum(np.maximum(at_once, nested), max(self.value.size - 1, 0))
        return _summed(self, None, np.asarray(self.value.size), depth)


def _rounded(
    value: Array, carried: Array, arithmetic: Arithmetic, *, roundings: int = 1
) -> Rounded:
    gamma = arithmetic.gamma(roundings)
    with np.errstate(invalid="ignore", over="ignore"):
        error = carried + gamma * (np.abs(value) + carried) + arithmetic.tiny
    # From exact operands a zero is exact.
    error = np.where((value == 0.0) & (carried == 0.0), 0.0, error)
    return _bounded(value, error, np.abs(value), arithmetic)


def _summed(terms: Rounded, axis: int | None, count: AnyArray, depth: Array) -> Rounded:
    reach = np.asarray(np.sum(terms.reach, axis=axis))
    others = np.maximum(count - 1, 0)
    gamma = terms.arithmetic.gamma(depth, others)
    # Eq. (B6), subbit:  |Σ x̂ − Σ x| ≤ Σ e + γ_p Σ a + (c − 1) t
    with np.errstate(invalid="ignore"):
        error = np.sum(terms.error, axis=axis) + gamma * reach
    flushed = np.where(reach > 0.0, others * terms.arithmetic.tiny, 0.0)
    value = np.asarray(np.sum(terms.value, axis=axis))
    return _bounded(value, error + flushed, reach, terms.arithmetic)


def _bounded(value: Array, error: Array, reach: Array, arithmetic: Arithmetic) -> Rounded:
    # Not "greater", so NaN counts too.
    unbounded = ~(reach + error <= arithmetic.largest)
    return Rounded(value, np.where(unbounded, np.inf, error), arithmetic)


Input: TypeAlias = npt.ArrayLike | Rounded
