"""Exact arithmetic
================

The equations again, over the rational numbers. Everything here is written as plainly as
possible, shares no code with any port, and is meant for small inputs: a port's answer in
floating point is compared with the exact result of the equation.

Matrices are object arrays of :class:`fractions.Fraction`. Every finite float is a
rational number, so :func:`rational` loses nothing.

References
----------
BiLLM, arXiv 2402.04291v2, Eq. (1)-(14).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.layer import QuantizedLayer

Rationals: TypeAlias = npt.NDArray[np.object_]
Mask: TypeAlias = npt.NDArray[np.bool_]

ZERO = Fraction(0)


def rational(values: npt.ArrayLike) -> Rationals:
    """Return the numbers as fractions, without rounding.

    Parameters
    ----------
    values : array_like of float or int
        Finite numbers.

    Returns
    -------
    ndarray of Fraction, shape of `values`
        The same numbers.

    Examples
    --------
    >>> rational([0.5, 3])
    array([Fraction(1, 2), Fraction(3, 1)], dtype=object)
    """
    array = np.asarray(values)
    result = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        result[index] = Fraction(array[index].item())
    return result


def floats(values: Rationals | Sequence[Fraction]) -> npt.NDArray[np.float64]:
    """Return fractions as the nearest floats.

    Parameters
    ----------
    values : array_like of Fraction
        Rational numbers.

    Returns
    -------
    ndarray of float64, shape of `values`
        Correctly rounded numbers.

    Examples
    --------
    >>> floats([Fraction(1, 4)])
    array([0.25])
    """
    return np.asarray(values, dtype=object).astype(np.float64)


def _selected(row: Rationals, mask: Mask) -> list[Fraction]:
    return [value for value, keep in zip(row, mask, strict=True) if keep]


def masked_mean(W: Rationals, mask: Mask) -> list[Fraction]:
    """Return the mean of the masked entries of each row, 0 where the row has none.

    Parameters
    ----------
    W : ndarray of Fraction, shape (n, k)
        Values.
    mask : ndarray of bool, shape (n, k)
        The entries.

    Returns
    -------
    list of Fraction
        One mean per row.
    """
    rows = [_selected(row, keep) for row, keep in zip(W, mask, strict=True)]
    return [sum(row, ZERO) / len(row) if row else ZERO for row in rows]


def masked_scale(W: Rationals, mask: Mask, mean: Sequence[Fraction]) -> list[Fraction]:
    """Return the mean distance of the masked entries of each row from `mean`.

    Parameters
    ----------
    W : ndarray of Fraction, shape (n, k)
        Values.
    mask : ndarray of bool, shape (n, k)
        The entries.
    mean : sequence of Fraction
        One mean per row.

    Returns
    -------
    list of Fraction
        One scale per row, 0 where the mask is empty.
    """
    shifted = W - np.array(mean, dtype=object)[:, None]
    return masked_mean(np.abs(shifted), mask)


@dataclass(frozen=True, eq=False)
class Step:
    """One order of an exact residual binarization.

    Parameters
    ----------
    mean, scale : list of Fraction
        One of each per row.
    distance : ndarray of Fraction, shape (n, k)
        Values whose signs are taken: the residual minus its mean.
    sign : ndarray of int, shape (n, k)
        Signs, 0 outside the mask.
    total : ndarray of Fraction, shape (n, k)
        The sum of all orders so far, 0 outside the mask.
    """

    mean: list[Fraction]
    scale: list[Fraction]
    distance: Rationals
    sign: npt.NDArray[np.int64]
    total: Rationals


def residual_binarize(
    W: Rationals, mask: Mask, *, order: int, center: bool, sign_zero: int
) -> list[Step]:
    """Binarize, then binarize the remainder, `order` times.

    Parameters
    ----------
    W : ndarray of Fraction, shape (n, k)
        Values.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : int
        Number of times.
    center : bool
        Whether each order subtracts its row mean.
    sign_zero : int
        The sign of zero.

    Returns
    -------
    list of Step
        One per order.
    """
    total = rational(np.zeros(W.shape))
    steps = []
    for _ in range(order):
        residual = W - total
        mean = masked_mean(residual, mask) if center else [ZERO] * len(W)
        scale = masked_scale(residual, mask, mean)
        distance = residual - np.array(mean, dtype=object)[:, None]
        sign = np.where(distance > 0, 1, np.where(distance < 0, -1, sign_zero)) * mask
        level = np.array(scale, dtype=object)[:, None] * sign
        level = level + np.array(mean, dtype=object)[:, None]
        total = total + level * mask
        steps.append(Step(mean, scale, distance, sign, total))
    return steps


def squared_sum(D: Rationals) -> Fraction:
    """Return the sum of squares.

    Parameters
    ----------
    D : ndarray of Fraction
        Values.

    Returns
    -------
    Fraction
        ``‖D‖²``.
    """
    return sum((value * value for value in D.ravel()), ZERO)


def calibrated_error(D: Rationals, X: Rationals) -> Fraction:
    """Return the output error over the tokens `X`.

    Parameters
    ----------
    D : ndarray of Fraction, shape (n, m)
        Weight error.
    X : ndarray of Fraction, shape (T, m)
        Inputs.

    Returns
    -------
    Fraction
        ``‖D Xᵀ‖²``.
    """
    return squared_sum(D.dot(X.T))


def trace_error(D: Rationals, S: Rationals) -> Fraction:
    """Return the quadratic form of the weight error.

    Parameters
    ----------
    D : ndarray of Fraction, shape (n, m)
        Weight error.
    S : ndarray of Fraction, shape (m, m)
        Second moments of the inputs.

    Returns
    -------
    Fraction
        ``Tr(D S Dᵀ)``.
    """
    return sum((row.dot(S).dot(row) for row in D), ZERO)


def _group_total(
    T: Rationals, mask: Mask, *, order: int, center: bool, sign_zero: int
) -> Rationals:
    steps = residual_binarize(T, mask, order=order, center=center, sign_zero=sign_zero)
    return steps[-1].total


def salient_objective(
    T: Rationals,
    salient: Mask,
    *,
    orders: tuple[int, int],
    center: bool,
    sign_zero: int,
) -> Fraction:
    """Return the error of binarizing the salient and the other columns separately, Eq. (5).

    Parameters
    ----------
    T : ndarray of Fraction, shape (n, k)
        Values to search: the weights or their scores.
    salient : ndarray of bool, shape (k,)
        The salient columns.
    orders : tuple of int
        Orders of the salient part and of the rest.
    center, sign_zero
        As for :func:`residual_binarize`.

    Returns
    -------
    Fraction
        ``‖T - bin(T_salient) - bin(T_rest)‖²``.
    """
    chosen = np.broadcast_to(salient, T.shape)
    first = _group_total(T, chosen, order=orders[0], center=center, sign_zero=sign_zero)
    second = _group_total(T, ~chosen, order=orders[1], center=center, sign_zero=sign_zero)
    return squared_sum(T - first - second)


def split_objective(
    T: Rationals,
    *groups: Mask,
    orders: tuple[int, ...] = (1, 1),
    center: bool,
    sign_zero: int,
) -> Fraction:
    """Return the error of binarizing groups separately over the entries they cover, Eq. (11).

    Parameters
    ----------
    T : ndarray of Fraction, shape (n, k)
        Values to search.
    *groups : ndarray of bool, shape (n, k)
        The groups, disjoint.
    orders : tuple of int, default (1, 1)
        Their orders.
    center, sign_zero
        As for :func:`residual_binarize`.

    Returns
    -------
    Fraction
        The squared error of all groups.
    """
    left = T
    for mask, order in zip(groups, orders, strict=True):
        left = left - _group_total(T, mask, order=order, center=center, sign_zero=sign_zero)
    return squared_sum(left * np.any(groups, axis=0))


def inverse(A: Rationals) -> Rationals:
    """Invert by Gauss-Jordan elimination.

    Parameters
    ----------
    A : ndarray of Fraction, shape (m, m)
        A nonsingular matrix.

    Returns
    -------
    ndarray of Fraction, shape (m, m)
        ``A⁻¹``.
    """
    size = len(A)
    work = np.concatenate([A, rational(np.eye(size))], axis=1)
    for column in range(size):
        pivot = next(row for row in range(column, size) if work[row, column] != 0)
        work[[column, pivot]] = work[[pivot, column]]
        work[column] = work[column] / work[column, column]
        for row in range(size):
            if row != column:
                work[row] = work[row] - work[row, column] * work[column]
    return work[:, size:]


def feedback(D: Rationals, U: Rationals, mode: str) -> Rationals:
    """Return a block's error as it is fed to the columns right of it.

    Parameters
    ----------
    D : ndarray of Fraction, shape (n, k)
        The block's error.
    U : ndarray of Fraction, shape (k, k)
        The block's part of the upper triangular factor.
    mode : str
        ``"none"``, ``"released"`` (divide by the diagonal) or ``"exact"`` (solve).

    Returns
    -------
    ndarray of Fraction, shape (n, k)
        ``E``.
    """
    if mode == "none":
        return rational(np.zeros(D.shape))
    if mode == "released":
        return D / np.diag(U)
    return D.dot(inverse(U))


def nominal_bits(layer: QuantizedLayer) -> Fraction:
    """Return the bits of signs and codes per weight, counted entry by entry.

    Parameters
    ----------
    layer : QuantizedLayer
        The record.

    Returns
    -------
    Fraction
        Nominal bits per weight.
    """
    total = 0
    for block in layer.blocks:
        for group in block.groups:
            if hasattr(group, "planes"):
                width = len(group.planes)
            else:
                width = group.bits if hasattr(group, "bits") else 16
            total += width * sum(1 for entry in group.mask.ravel() if entry)
    return Fraction(total, layer.shape[0] * layer.shape[1])
