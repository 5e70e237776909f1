"""Bounds of Haar coefficients
===========================

How far a correct port's coefficients, and what it makes of them, may deviate. Return values are
as in :mod:`~subbit.reference.bounds.groups.binarize`.
"""

import numpy as np

from subbit.reference.bounds.groups.binarize import _spread, _sum_of
from subbit.reference.haar import ROOT_HALF, Axis, HaarGroup, _low_band
from subbit.reference.layer import BinaryGroup
from subbit.reference.notation import Mask

from .rounding import Arithmetic, Input, Rounded


def haar_bound(X: Input, axis: Axis = "columns", *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.haar.haar`.

    Parameters
    ----------
    X : array_like of float64 or Rounded, shape (n, k)
        Values.
    axis : {"columns", "rows"}, default "columns"
        What is paired.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Coefficients, shape (n, k).

    Notes
    -----
    The constant ``√½`` is rounded once, products and their sum once each. A port may as well
    add first and scale then, which takes as many roundings, or divide by ``√2``, so each of
    both values is given one rounding more: ``e + γ_4 (|a| + |b|) / √2``.

    Examples
    --------
    >>> bound = haar_bound([[0.1, 0.1]], arithmetic=Arithmetic("float32"))
    >>> bool((bound.error < 1e-7).all())
    True
    """
    values = arithmetic.checked("X", X)
    return _forward(values.T).T if axis == "rows" else _forward(values)


def _scaled(x: Rounded) -> Rounded:
    of, half = x.arithmetic, np.full(x.shape, ROOT_HALF)
    # Eq. (B160), subbit:  |fl(√½) − √½| ≤ γ_2 √½
    return x * Rounded(half, of.gamma(2) * half, of)


def _forward(X: Rounded) -> Rounded:
    k = X.shape[1]
    paired = k - k % 2
    even, odd = _scaled(X[:, 0:paired:2]), _scaled(X[:, 1:paired:2])
    return _joined([even + odd, X[:, paired:], even - odd])


def _joined(parts: list[Rounded]) -> Rounded:
    value = np.hstack([part.value for part in parts])  # (n, k)
    error = np.hstack([part.error for part in parts])  # (n, k)
    return Rounded(value, error, parts[0].arithmetic)


def inverse_haar_bound(C: Input, axis: Axis = "columns", *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.haar.inverse_haar`.

    Parameters
    ----------
    C : array_like of float64 or Rounded, shape (n, k)
        Coefficients.
    axis : {"columns", "rows"}, default "columns"
        What is paired.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Values, shape (n, k).

    Notes
    -----
    As in :func:`haar_bound`.

    Examples
    --------
    >>> inverse_haar_bound([[1.0, 1.0]], arithmetic=Arithmetic("float32")).value.round(4)
    array([[1.4142, 0.    ]])
    """
    values = arithmetic.checked("C", C)
    return _backward(values.T).T if axis == "rows" else _backward(values)


def _backward(C: Rounded) -> Rounded:
    k = C.shape[1]
    pairs, low = k // 2, _low_band(k)
    sums, differences = _scaled(C[:, :pairs]), _scaled(C[:, low:])
    order = np.empty(k, dtype=np.intp)
    order[0 : 2 * pairs : 2], order[1 : 2 * pairs : 2] = np.arange(pairs), np.arange(low, k)
    order[2 * pairs :] = np.arange(pairs, low)
    return _joined([sums + differences, C[:, pairs:low], sums - differences])[:, order]


def haar_group_bound(group: HaarGroup, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of decoding a group of Haar coefficients.

    Parameters
    ----------
    group : HaarGroup
        The record.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The group's values, shape (n, k).

    Notes
    -----
    Coefficients are off as those of binary groups are, and go through
    :func:`inverse_haar_bound`; then each further term is added.

    Examples
    --------
    >>> from subbit.reference import HaarTerm, residual_binarize
    >>> term = HaarTerm("columns", np.ones(2, dtype=bool), (residual_binarize([[1.0, 1.0]]),))
    >>> group = HaarGroup("all", np.ones((1, 2), dtype=bool), (term,))
    >>> haar_group_bound(group, arithmetic=Arithmetic()).value.round(4)
    array([[1.4142, 0.    ]])
    """
    value, error = np.zeros((2, *group.mask.shape))
    for place, term in enumerate(group.terms):
        coefficients = arithmetic.exactly(np.zeros(term.groups[0].mask.shape))
        for own in term.groups:
            coefficients = _replaced(coefficients, binary_values(own, arithmetic), own.mask)
        decoded = inverse_haar_bound(coefficients, term.axis, arithmetic=arithmetic)
        if place:
            at = term.columns
            decoded += Rounded(value[:, at], error[:, at], arithmetic)
        value[:, term.columns], error[:, term.columns] = decoded.value, decoded.error
    return Rounded(value, error, arithmetic)


def _replaced(x: Rounded, y: Rounded, mask: Mask) -> Rounded:
    value, error = np.where(mask, y.value, x.value), np.where(mask, y.error, x.error)
    return Rounded(value, error, x.arithmetic)


def binary_values(group: BinaryGroup, arithmetic: Arithmetic) -> Rounded:
    """Bound of decoding a binary group, also outside its mask.

    Parameters
    ----------
    group : BinaryGroup
        The record.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Values, shape (n, k).

    Examples
    --------
    >>> from subbit.reference import residual_binarize
    >>> binary_values(residual_binarize([[1.0, -1.0]]), Arithmetic()).value
    array([[ 1., -1.]])
    """
    shape = group.mask.shape
    terms = [] if group.mean is None else [_spread(arithmetic.read(group.mean), shape)]
    for plane in group.planes:
        values = arithmetic.read(plane.row_scale)[:, None].flip(plane.sign)
        if plane.column_scale is not None:
            values *= arithmetic.read(plane.column_scale)[None]
        terms.append(values)
    return _sum_of(terms)
