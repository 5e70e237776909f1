"""Bounds of binarization
======================

How far a correct port's means, scales, signs and values may deviate.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``γ_p``    float     relative error of p roundings in a row; p the sum's depth
``e_x``    as ``x``  error that ``x`` already has, such as that of its conversion
``d``      (n, k)    distance of the binarized values from their mean
========== ========= ===============================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_choice, check_count, check_mask
from subbit.reference.notation import Mask, SignOfZero
from subbit.reference.signs import sign


def _mean_over(values: Rounded, mask: Mask) -> Rounded:
    counts = np.maximum(np.count_nonzero(mask, axis=1), 1)
    # Eq. (B7), subbit:  |μ̂ − μ| ≤ (Σ e_w + γ_p Σ|w|) / c + γ_2 |μ|
    return values.sum("row", mask) / values.arithmetic.exactly(counts)


def masked_mean_bound(
    W: Input, mask: npt.ArrayLike | None = None, *, arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.groups.binarize.masked_mean`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), optional
        The group's entries; all by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Row means, shape (n,).

    Notes
    -----
    1. Converting the weights costs ``Σ e_w``, summing them ``γ_p Σ (|w| + e_w)``.
    2. Dividing by the number of entries divides both and adds two roundings.

    So ``|μ̂ - μ| <= (Σ e_w + γ_p Σ|w|) / c + γ_2 |μ|``, to first order.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = masked_mean_bound([[1.0, 3.0]], arithmetic=Arithmetic("float32"))
    >>> bound.value, bound.error < 4e-7
    (array([2.]), array([ True]))
    """
    weights = arithmetic.checked("W", W)
    return _mean_over(weights, check_mask("mask", mask, weights.shape))


def masked_scale_bound(
    W: Input,
    mask: npt.ArrayLike | None = None,
    mean: Input | None = None,
    *,
    arithmetic: Arithmetic,
) -> Rounded:
    """Bound of :func:`~subbit.reference.groups.binarize.masked_scale`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), optional
        The group's entries; all by default.
    mean : array_like of float64 or Rounded, shape (n,), optional
        Row means; zero by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Row scales, shape (n,).

    Notes
    -----
    1. Each distance ``d = w - μ`` is off by ``e_d = e_w + e_μ + γ_1 |d|``; its magnitude
       by no more, since ``||x̂| - |x|| <= |x̂ - x|``.
    2. Their mean, as in :func:`masked_mean_bound`.

    So ``|α̂ - α| <= (Σ e_d + γ_p Σ|d|) / c + γ_2 α``, to first order.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = masked_scale_bound([[1.0, 3.0]], mean=[2.0], arithmetic=Arithmetic("float32"))
    >>> bound.value, bound.error < 4e-7
    (array([1.]), array([ True]))
    """
    weights = arithmetic.checked("W", W)
    entries = check_mask("mask", mask, weights.shape)
    if mean is not None:
        weights -= arithmetic.checked("mean", mean, shape=(weights.shape[0],))[:, None]
    # Eq. (B8), subbit:  |α̂ − α| ≤ (Σ e_d + γ_p Σ|d|) / c + γ_2 α,  e_d = e_w + e_μ + γ_1 |d|
    return _mean_over(weights.absolute(), entries)


@dataclass(frozen=True, eq=False)
class BinarizeBound:
    """Result of :func:`residual_binarize_bound` for a group.

    Parameters
    ----------
    mean : Rounded
        Row means, shape (n,); None when mean-free.
    scales : tuple of Rounded
        Row scales of each order, shape (n,).
    distances : tuple of Rounded
        For each order, the values that the signs are taken of, shape (n, k). A sign may
        differ only where ``|value| <= error``.
    decoded : Rounded
        The group's values, shape (n, k).
    remainder : Rounded
        Remainder that no order represents, shape (n, k).
    """

    mean: Rounded | None
    scales: tuple[Rounded, ...]
    distances: tuple[Rounded, ...]
    decoded: Rounded
    remainder: Rounded


def residual_binarize_bound(
    W: Input,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    center: bool = False,
    sign_zero: SignOfZero = 1,
    signs: Sequence[npt.ArrayLike] | None = None,
    arithmetic: Arithmetic,
) -> BinarizeBound:
    """Bounds of :func:`~subbit.reference.groups.binarize.residual_binarize`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), optional
        The group's entries; all by default.
    order, center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
    signs : sequence of array_like of int, shape (n, k), optional
        The port's own signs, one matrix per order. Values and bounds are then those of a
        reference that follows them, so a sign decided by rounding does not make later
        orders incomparable. The reference's own by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    BinarizeBound
        Means, scales, distances and decoded values.

    Notes
    -----
    1. Means and scales of each order as in :func:`masked_mean_bound` and
       :func:`masked_scale_bound`, from a remainder ``R`` with error ``e_R``.
    2. The next remainder is ``W - Σ (μ + α s)`` or ``(R - μ) - α s``; the larger of their
       errors is taken. It grows by ``e_μ + e_α`` and roundings of ``|R|`` and ``|W - R|``.
    3. A sign is that of ``d = R - μ``: it is certain where ``|d| > e_d``.
    4. The decoded value is a sum of ``order`` or ``order + 1`` terms, in any order.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = residual_binarize_bound([[4.0, 2.0]], order=2, arithmetic=Arithmetic("float32"))
    >>> bound.decoded.value, bool(bound.decoded.error.max() < 2e-6)
    (array([[4., 2.]]), True)
    """
    weights = arithmetic.checked("W", W)
    entries = check_mask("mask", mask, weights.shape)
    check_count("order", order)
    check_choice("sign_zero", sign_zero, (0, 1))
    means, planes, scales, distances = [], [], [], []
    remainder, approximation = weights, None
    for index in range(order):
        mean, distance, scale = _statistics(remainder, entries, center=center)
        drawn = sign(distance.value, sign_zero) if signs is None else signs[index]
        plane = scale[:, None].flip(np.where(entries, drawn, 0))
        step = plane if mean is None else mean[:, None] + plane
        approximation = step if approximation is None else approximation + step
        # Eq. (B9), subbit:  R' = W − Σ (μ + α s) or (R − μ) − α s, with the larger error
        remainder = (weights - approximation).or_else(distance - plane)
        means.append(mean)
        planes.append(plane)
        scales.append(scale)
        distances.append(distance)
    mean = None if not center else _sum_of([m for m in means if m is not None])
    terms = planes if mean is None else [_spread(mean, weights.shape), *planes]
    decoded = _sum_of(terms).keep(entries)
    return BinarizeBound(mean, tuple(scales), tuple(distances), decoded, remainder)


def _statistics(
    remainder: Rounded, mask: Mask, *, center: bool
) -> tuple[Rounded | None, Rounded, Rounded]:
    mean = _mean_over(remainder, mask) if center else None
    distance = remainder if mean is None else remainder - mean[:, None]
    return mean, distance, _mean_over(distance.absolute(), mask)


def _spread(values: Rounded, shape: tuple[int, ...]) -> Rounded:
    return values[:, None].flip(np.ones(shape))


def _sum_of(terms: Sequence[Rounded]) -> Rounded:
    stacked = Rounded(
        np.stack([term.value for term in terms]),  # (o, n, k)
        np.stack([term.error for term in terms]),  # (o, n, k)
        terms[0].arithmetic,
    )
    # Eq. (B10), subbit:  |q̂ − q| ≤ e_μ + Σ e_α + γ_o (|μ| + Σ α)
    return stacked.sum("any")
