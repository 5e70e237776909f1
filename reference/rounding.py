"""Rounded numbers
===============

The algebra behind ``bounds``. A port computes the reference's operations in its own
floating-point type and order; a :class:`Rounded` array holds the reference's values and,
for each, how far the port's may lie from it. The rules below are all there is: a bound
of a formula is that formula, written once more with such arrays.

========== ================================================================
symbol     meaning
========== ================================================================
``u``      unit roundoff of the port, ``u₀ = 2⁻⁵³`` of the reference
``p``      additions that one term of the port's sum passes through
``γ_p``    ``p u / (1 - p u)``, the relative error of p roundings in a row
``x, e``   the reference's value, and ``|x̂ - x| ≤ e`` for the port's ``x̂``
``t``      the smallest normal number: what flushing to zero may lose
========== ================================================================

The reference rounds as well, so each rule counts both: ``γ_p`` of the port plus ``γ`` of
the reference. With ``a = |x| + e`` as the largest magnitude either may meet:

* sum and difference: ``e_x + e_y + γ_1 (|x ± y| + e_x + e_y) + t``
* product: ``|x| e_y + e_x |y| + e_x e_y`` and the same rounding of it
* quotient: ``(e_x + |x/y| e_y) / (|y| - e_y)`` and two roundings, so that a product with
  the reciprocal is allowed
* sum of many: ``Σ e + γ_p Σ a + (c - 1) t`` for c terms

What may overflow, or be divided by zero, has the bound infinity.

References
----------
N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 2.2, 3.1, 4.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import check_choice, check_count, check_matrix
from .notation import AnyArray, Array, Mask

REFERENCE_ROUNDOFF = 2.0**-53
TYPES = ("float16", "float32", "float64")


def _gamma(depth: npt.ArrayLike, unit_roundoff: float) -> Array:
    product = np.asarray(depth, dtype=np.float64) * unit_roundoff
    return np.where(product < 1.0, product / np.maximum(1.0 - product, np.finfo(float).tiny), np.inf)


@dataclass(frozen=True)
class Arithmetic:
    """How a port computes.

    Parameters
    ----------
    dtype : {"float16", "float32", "float64"}, default "float64"
        Its floating-point type. Operations are correctly rounded; results below the
        smallest normal number may be flushed to zero.
    lanes : int, default 1
        How it adds: T lanes take every T-th term, a tree adds the lanes. Sums over a
        whole matrix are of that shape either at once or first within the rows and then
        over them.
    product_lanes : int, default 1
        The same for matrix products, which come from a library whose order is seldom
        known; 1 covers every order.

    Examples
    --------
    >>> port = Arithmetic("float32", lanes=32)
    >>> int(port.depth(128)), int(port.depth(3)), int(Arithmetic().depth(128))
    (9, 2, 127)
    """

    dtype: str = "float64"
    lanes: int = 1
    product_lanes: int = 1

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, TYPES)
        check_count("lanes", self.lanes)
        check_count("product_lanes", self.product_lanes)

    @classmethod
    def of(cls, capabilities: Mapping[str, Any] | None = None) -> "Arithmetic":
        """Arithmetic that a port declares.

        Parameters
        ----------
        capabilities : mapping, optional
            The port's ``CAPABILITIES``; keys that are not about arithmetic do not matter.

        Returns
        -------
        Arithmetic
            What is not declared is float64, added straight.

        Raises
        ------
        ArgumentError
            If a declared value is none that exists.
        """
        known = {"dtype", "lanes", "product_lanes"}
        return cls(**{key: value for key, value in (capabilities or {}).items() if key in known})

    @property
    def unit_roundoff(self) -> float:
        """Largest relative error of one rounding, ``u``."""
        return float(np.finfo(self.dtype).eps) / 2

    @property
    def tiny(self) -> float:
        """Smallest normal number: the error of a result that is flushed to zero."""
        return float(np.finfo(self.dtype).tiny)

    @property
    def largest(self) -> float:
        """Largest number."""
        return float(np.finfo(self.dtype).max)

    def depth(
        self, terms: npt.ArrayLike, length: int | None = None, *, lanes: int | None = None
    ) -> Array:
        """Additions that one term of a sum passes through.

        Parameters
        ----------
        terms : array_like of int, any shape
            Numbers of terms that are not masked out.
        length : int, optional
            Number of places that the lanes run over; `terms` by default.
        lanes : int, optional
            The lanes, as declared by default.

        Returns
        -------
        ndarray of float64, shape of `terms`
            ``min(c - 1, ⌈k / T⌉ + ⌈log2 T⌉)``: no order of c terms is deeper than c - 1,
            since adding a zero is exact.
        """
        count = np.asarray(terms, dtype=np.float64)
        width = self.lanes if lanes is None else lanes
        places = count if length is None else np.float64(length)
        shaped = np.ceil(places / width) + float(np.ceil(np.log2(width)))
        return np.maximum(np.minimum(count - 1.0, count if width == 1 else shaped), 0.0)

    def gamma(self, depth: npt.ArrayLike, reference: npt.ArrayLike | None = None) -> Array:
        """Relative error of several roundings in a row, the reference's added.

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
        own = _gamma(depth, self.unit_roundoff)
        return own + _gamma(depth if reference is None else reference, REFERENCE_ROUNDOFF)

    def read(self, values: "npt.ArrayLike | Rounded") -> "Rounded":
        """Input of a port, converted to its type.

        Parameters
        ----------
        values : array_like of float64 or Rounded, any shape
            What the port is given; a Rounded array is what it has computed itself.

        Returns
        -------
        Rounded
            The values with the error of the conversion itself, which is 0 where the type
            holds them.
        """
        if isinstance(values, Rounded):
            return values
        given = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore", under="ignore"):
            converted = given.astype(self.dtype).astype(np.float64)
        converted = np.where(np.abs(converted) < self.tiny, 0.0, converted)
        return Rounded(given, np.abs(given - converted), self)


@dataclass(frozen=True, eq=False)
class Rounded:
    """Values of the reference, and how far a port's may lie from them.

    Parameters
    ----------
    value : ndarray of float64, any shape
        The reference's values.
    error : ndarray of float64, shape of `value`
        Bound of the absolute difference; infinite where there is none.
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
    def T(self) -> "Rounded":
        """The transposed array."""
        return Rounded(self.value.T, self.error.T, self.arithmetic)

    def __getitem__(self, index: Any) -> "Rounded":  # noqa: ANN401  (whatever NumPy takes)
        return Rounded(self.value[index], self.error[index], self.arithmetic)

    def __add__(self, other: "Rounded") -> "Rounded":
        # Eq. (B1), subbit:  |(x̂ ⊕ ŷ) − (x + y)| ≤ e_x + e_y + γ_1 (|x + y| + e_x + e_y) + t
        return self._rounded(self.value + other.value, self.error + other.error)

    def __sub__(self, other: "Rounded") -> "Rounded":
        return self + other.flip(-1)

    def __mul__(self, other: "Rounded") -> "Rounded":
        # Eq. (B2), subbit:  |(x̂ ⊗ ŷ) − x y| ≤ e + γ_1 (|x y| + e) + t,  e = |x| e_y + a_y e_x
        carried = np.abs(self.value) * other.error + self.error * other.reach
        return self._rounded(self.value * other.value, carried)

    def __truediv__(self, other: "Rounded") -> "Rounded":
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.value / other.value
            left = np.maximum(np.abs(other.value) - other.error, 0.0)
            carried = (self.error + np.abs(value) * other.error) / left
        # Eq. (B3), subbit:  |(x̂ ⊘ ŷ) − x / y| ≤ e + γ_2 (|x / y| + e) + t,  e = (e_x + |x/y| e_y) / (|y| − e_y)
        return self._rounded(value, carried, roundings=2)

    def __matmul__(self, other: "Rounded") -> "Rounded":
        length = self.shape[-1]
        lanes = self.arithmetic.product_lanes
        gamma = self.arithmetic.gamma(self.arithmetic.depth(length, lanes=lanes) + 1, length)
        with np.errstate(invalid="ignore", over="ignore"):
            reach = self.reach @ other.reach
            carried = np.abs(self.value) @ other.error + self.error @ other.reach
        # Eq. (B4), subbit:  |Σ x̂ ŷ − Σ x y| ≤ Σ(|x| e_y + a_y e_x) + γ_{p+1} Σ a_x a_y + 2 k t
        flushed = np.where(reach > 0.0, 2 * length * self.arithmetic.tiny, 0.0)
        return self._bounded(self.value @ other.value, carried + gamma * reach + flushed, reach)

    def flip(self, signs: npt.ArrayLike) -> "Rounded":
        """Product with signs, powers of two or zero, which is exact.

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
        """Magnitudes, which is exact.

        Returns
        -------
        Rounded
            ``|x|``.
        """
        return Rounded(np.abs(self.value), self.error, self.arithmetic)

    def widen(self, extra: npt.ArrayLike) -> "Rounded":
        """Allow some more error.

        Parameters
        ----------
        extra : array_like of float64, shape of the values
            What to add.

        Returns
        -------
        Rounded
            The same values.
        """
        return Rounded(self.value, self.error + np.asarray(extra, np.float64), self.arithmetic)

    def keep(self, mask: Mask) -> "Rounded":
        """Zero outside a mask, exactly.

        Parameters
        ----------
        mask : ndarray of bool, shape of the values
            What to keep.

        Returns
        -------
        Rounded
            The values under the mask.
        """
        return Rounded(np.where(mask, self.value, 0.0), np.where(mask, self.error, 0.0), self.arithmetic)

    def sum(self, axis: int = -1, mask: AnyArray | None = None, *, straight: bool = False) -> "Rounded":
        """Sums along one axis, in the order that the port declares.

        Parameters
        ----------
        axis : int, default -1
            The axis.
        mask : ndarray of bool, shape of the values, optional
            The terms; all by default.
        straight : bool, default False
            Allow every order instead.

        Returns
        -------
        Rounded
            The sums.
        """
        terms = self if mask is None else self.keep(mask)
        length = self.shape[axis]
        count = np.sum(np.ones(self.shape, np.bool_) if mask is None else mask, axis=axis)
        depth = self.arithmetic.depth(count, length, lanes=1 if straight else None)
        return terms._summed(axis, count, depth)

    def total(self) -> "Rounded":
        """Sum of a whole matrix.

        Returns
        -------
        Rounded
            The sum, without an axis.
        """
        rows, columns = self.shape
        of = self.arithmetic.depth
        depth = np.maximum(of(self.value.size), of(rows) + of(columns))
        return self._summed(None, np.asarray(self.value.size), depth)

    def _summed(self, axis: int | None, count: AnyArray, depth: Array) -> "Rounded":
        reach = np.sum(self.reach, axis=axis)
        others = np.maximum(count - 1, 0)
        gamma = self.arithmetic.gamma(depth, others)
        # Eq. (B5), subbit:  |Σ x̂ − Σ x| ≤ Σ e + γ_p Σ a + (c − 1) t
        with np.errstate(invalid="ignore"):
            error = np.sum(self.error, axis=axis) + gamma * reach
        flushed = np.where(reach > 0.0, others * self.arithmetic.tiny, 0.0)
        return self._bounded(np.sum(self.value, axis=axis), error + flushed, reach)

    def _rounded(self, value: Array, carried: Array, *, roundings: int = 1) -> "Rounded":
        gamma = self.arithmetic.gamma(roundings)
        with np.errstate(invalid="ignore", over="ignore"):
            error = carried + gamma * (np.abs(value) + carried) + self.arithmetic.tiny
        # From exact operands a zero is exact.
        return self._bounded(value, np.where((value == 0.0) & (carried == 0.0), 0.0, error))

    def _bounded(self, value: Array, error: Array, reach: Array | None = None) -> "Rounded":
        met = np.abs(value) + error if reach is None else reach + error
        # Also where a comparison with NaN fails.
        unbounded = ~(met <= self.arithmetic.largest)
        return Rounded(np.asarray(value), np.where(unbounded, np.inf, error), self.arithmetic)


Input: TypeAlias = npt.ArrayLike | Rounded


def read(
    arithmetic: Arithmetic,
    argument: str,
    value: Input,
    *,
    shape: tuple[int | None, ...] = (None, None),
) -> Rounded:
    """Check an input and convert it to the port's type.

    Parameters
    ----------
    arithmetic : Arithmetic
        How the port computes.
    argument : str
        Name to put in an error.
    value : array_like of float64 or Rounded, shape `shape`
        The input; a Rounded array comes back as it is.
    shape : tuple of int or None, default (None, None)
        Wanted lengths; None stands for any.

    Returns
    -------
    Rounded
        The input.

    Raises
    ------
    ArgumentError
        If the shape differs or a number is not finite.

    Examples
    --------
    >>> float(read(Arithmetic("float32"), "W", [[0.5, 0.1]]).error[0, 0])
    0.0
    """
    if isinstance(value, Rounded):
        check_matrix(argument, value.value, shape=shape)
        return value
    # Eq. (B6), subbit:  e = |fl(x) − x|, 0 where the port's type holds x
    return arithmetic.read(check_matrix(argument, value, shape=shape))
