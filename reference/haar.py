"""Haar coefficients
=================

One level of the Haar transform replaces neighbors by their sum and their difference, both
divided by ``√2``. The sums are the *low* band, the differences the *high* band. The transform
is orthonormal: squared errors of coefficients are squared errors of weights, and its transpose
is its inverse.

An odd number of columns leaves the last one without a neighbor. It stays as it is and is the
low band's last column; the transform is then still orthonormal, and a single column is its own
low band. The same holds for rows.

A group of Haar coefficients consists of *terms*. Each has columns of its own, and binary groups
that divide the coefficients of these columns; terms that share columns are added.

============== ========= =======================================================
symbol         shape     meaning
============== ========= =======================================================
``X``          (n, k)    weights, or what is left of them
``C``          (n, k)    coefficients, the low band in front
``Ĉ_g``        (n, k)    coefficients of a group
``L``, ``D``             low and high band of ``C``
``T``                    the transform of a term
``F``                    the columns of a term
============== ========= =======================================================
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.scalars import choice

from .binary import BinaryGroup
from .notation import Array, Mask

Axis: TypeAlias = Literal["columns", "rows"]

ROOT_HALF = float(np.sqrt(0.5))
PAIRS = choice(Axis, "Whether neighboring columns are paired, or neighboring rows.")


def _low_band(size: int) -> int:
    # The rest is the high band.
    return -(-size // 2)


@contract(2, X=matrix("n", "k"), axis=PAIRS)
def haar(X: Array, axis: Axis = "columns") -> Array:
    """Transform neighbors to their sums and differences.

    Returns
    -------
    ndarray of float64, shape (n, k)
        The low band's ``⌈k / 2⌉`` columns, then the high band's; with ``axis="rows"`` the low
        band's ``⌈n / 2⌉`` rows, then the high band's.

    Notes
    -----
    ``L = (X_even + X_odd) / √2`` and ``D = (X_even - X_odd) / √2``, counted from 0. A last
    column without a neighbor is the low band's last one, unchanged.

    References
    ----------
    Eq. (120), subbit.

    Examples
    --------
    >>> haar([[3.0, 1.0, 5.0]]).round(4)
    array([[2.8284, 5.    , 1.4142]])
    """
    if axis == "rows":
        return _forward(X.T).T
    return _forward(X)


def _forward(X: Array) -> Array:
    paired = X.shape[1] - X.shape[1] % 2
    # Scaled first, so that no sum is larger than what it is made of.
    even, odd = ROOT_HALF * X[:, 0:paired:2], ROOT_HALF * X[:, 1:paired:2]
    # Eq. (120), subbit:  L = (X_even + X_odd) / √2,  D = (X_even − X_odd) / √2
    return np.hstack([even + odd, X[:, paired:], even - odd])  # (n, k)


@contract(2, C=matrix("n", "k", text="Coefficients."), axis=PAIRS)
def inverse_haar(C: Array, axis: Axis = "columns") -> Array:
    """Transform sums and differences back to neighbors.

    Returns
    -------
    ndarray of float64, shape (n, k)
        What :func:`haar` transforms to `C`.

    Notes
    -----
    ``X_even = (L + D) / √2`` and ``X_odd = (L - D) / √2``.

    References
    ----------
    Eq. (121), subbit.

    Examples
    --------
    >>> inverse_haar(haar([[3.0, 1.0, 5.0]])).round(4)
    array([[3., 1., 5.]])
    """
    if axis == "rows":
        return _backward(C.T).T
    return _backward(C)


def _backward(C: Array) -> Array:
    k = C.shape[1]
    pairs, paired = k // 2, k - k % 2
    low, high = ROOT_HALF * C[:, :pairs], ROOT_HALF * C[:, _low_band(k) :]
    X = np.empty(C.shape)
    # Eq. (121), subbit:  X_even = (L + D) / √2,  X_odd = (L − D) / √2
    X[:, 0:paired:2], X[:, 1:paired:2] = low + high, low - high
    X[:, paired:] = C[:, pairs : _low_band(k)]
    return X


@dataclass(frozen=True, eq=False)
class HaarTerm:
    """Haar coefficients of some columns, divided among binary groups.

    Parameters
    ----------
    axis : {"columns", "rows"}
        Whether neighboring columns are paired, among those of the term, or neighboring rows.
    columns : ndarray of bool, shape (k,)
        The term's columns.
    groups : tuple of BinaryGroup
        Groups of coefficients, shape (n, c) with c columns, that cover each once.
    """

    axis: Axis
    columns: Mask
    groups: tuple[BinaryGroup, ...]

    @property
    def bands(self) -> tuple[slice, ...]:
        """Columns of the coefficients in each band.

        Where rows are paired, a row belongs to one band as a whole, so all columns are one.
        """
        width = int(np.count_nonzero(self.columns))
        low = width if self.axis == "rows" else _low_band(width)
        return tuple(part for part in (slice(0, low), slice(low, width)) if part.start < part.stop)

    def decode(self) -> Array:
        """Return the values of the term's columns.

        Returns
        -------
        ndarray of float64, shape (n, c)
            The inverse transform of the groups' sum.
        """
        return inverse_haar(np.sum([group.decode() for group in self.groups], axis=0), self.axis)


@dataclass(frozen=True, eq=False)
class HaarGroup:
    """Whole columns whose Haar coefficients are binarized.

    Parameters
    ----------
    name : str
        The group's name.
    mask : ndarray of bool, shape (n, k)
        The entries: all of each column that some term has.
    terms : tuple of HaarTerm
        The terms, which are added.
    shared_means : bool
        Whether all groups of a band have the same means, which are then stored once.

    Examples
    --------
    >>> import numpy as np
    >>> low = BinaryGroup("all", np.ones((1, 2), dtype=bool), (), np.array([2.0]))
    >>> term = HaarTerm("columns", np.ones(2, dtype=bool), (low,))
    >>> HaarGroup("all", np.ones((1, 2), dtype=bool), (term,)).decode().round(4)
    array([[2.8284, 0.    ]])
    """

    name: str
    mask: Mask
    terms: tuple[HaarTerm, ...]
    shared_means: bool = False

    def decode(self) -> Array:
        """Return the group's values, zero outside its mask.

        Returns
        -------
        ndarray of float64, shape (n, k)
            The sum of the terms, each at its columns.
        """
        values = np.zeros(self.mask.shape)
        for term in self.terms:
            # Eq. (122), subbit:  Ŵ_:F = Σ_t Tᵀ C,  C = Σ_g Ĉ_g
            values[:, term.columns] += term.decode()
        return values

    def with_scales(self, dtype: npt.DTypeLike) -> "HaarGroup":
        """Return the group with scales and means rounded to a storage type.

        Parameters
        ----------
        dtype : dtype_like
            A floating type, such as ``"float16"``.

        Returns
        -------
        HaarGroup
            The same signs with rounded scales and means.
        """
        terms = tuple(
            replace(term, groups=tuple(group.with_scales(dtype) for group in term.groups))
            for term in self.terms
        )
        return replace(self, terms=terms)
