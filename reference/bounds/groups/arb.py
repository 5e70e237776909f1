"""Bounds of refinements
=====================

How far a correct port's half steps of ARB may deviate. Return values are as in ``bounds``;
``bounds.groups.arb_x`` covers the calibrated error, ``bounds.groups.arb_rc`` row and column
scales, ``bounds.groups.arb_runs`` whole loops.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``x``      (n, p)      levels of each row: mean, then one scale per order
``e_p``    (n, k)      what a level multiplies: the mask, then the signs
``G``      (n, p, p)   ``G_pq = Σ_j e_p e_q``, for the calibrated error ``e_p S e_qᵀ``
``E``      (n, p, s)   effect of each of s earlier roundings on each level
========== =========== =============================================================

A half step is affine in the levels, ``x_p ← (g_p - Σ_q G_pq x_q) / G_pp`` over all other
q. So the effect of earlier roundings on a level carries over with the factor
``-G_pq / G_pp``, sign included: the replaced mean leaves nothing behind, and the errors of
a loop shrink as the loop converges. Magnitudes would only grow. That is why ``E`` keeps the
roundings apart; a level's error is the sum of theirs.
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_mask
from subbit.reference.groups.refinement import REFINEMENT, Refinement
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import Array, Mask
from subbit.reference.signs import sign

from .binarize import BinarizeBound, masked_mean_bound, masked_scale_bound, residual_binarize_bound
from .refinement import RoundedLevels, quotient_bound


def arb_start_bound(
    W: Input,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    signs: tuple[npt.ArrayLike, ...] | None = None,
    arithmetic: Arithmetic,
) -> BinarizeBound:
    """Bounds of :func:`~subbit.reference.groups.arb.arb_start`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask, order, config
        As in :func:`~subbit.reference.groups.arb.arb_start`.
    signs : tuple of array_like of int, shape (n, k), optional
        The port's own signs, one matrix per order; the reference's by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    BinarizeBound
        Means, scales, distances and decoded values.

    Notes
    -----
    As in :func:`~subbit.reference.bounds.groups.binarize.residual_binarize_bound`. As
    printed, sums are divided by the width: one more product, with ``c / k``.

    Examples
    --------
    >>> bound = arb_start_bound([[4.0, 1.0, 1.0, 0.0]], arithmetic=Arithmetic("float32"))
    >>> bound.mean.value, bool(bound.decoded.error.max() < 3e-6)
    (array([1.5]), True)
    """
    weights = arithmetic.checked("W", W)
    entries = check_mask("mask", mask, weights.shape)
    if config.divisor == "entries" and config.initial_signs == "centered":
        return residual_binarize_bound(
            weights,
            entries,
            order=order,
            center=True,
            sign_zero=config.sign_zero,
            signs=signs,
            arithmetic=arithmetic,
        )
    return _printed_start_bound(weights, entries, order, config, signs)


def _printed_start_bound(
    weights: Rounded,
    mask: Mask,
    order: int,
    config: Refinement,
    signs: tuple[npt.ArrayLike, ...] | None,
) -> BinarizeBound:
    arithmetic, rest = weights.arithmetic, weights.keep(mask)
    count = np.count_nonzero(mask, axis=1)
    share = arithmetic.read(count / mask.shape[1] if config.divisor == "width" else count * 0 + 1.0)
    scales, distances, total, decoded = [], [], None, None
    for index in range(order):
        mean = masked_mean_bound(rest, mask, arithmetic=arithmetic) * share
        scale = masked_scale_bound(rest, mask, mean, arithmetic=arithmetic) * share
        centered = rest - mean[:, None]
        distance = rest if config.initial_signs == "plain" else centered
        drawn = sign(distance.value, config.sign_zero) if signs is None else signs[index]
        plane = scale[:, None].flip(np.where(mask, drawn, 0))
        step = mean[:, None] + plane
        total = mean if total is None else total + mean
        decoded = step if decoded is None else decoded + step
        # Eq. (B40), subbit:  R' = (R − μ) − α s or R − (μ + α s) or W − Σ (μ + α s)
        rest = (centered - plane).or_else(rest - step).or_else(weights - decoded).keep(mask)
        scales.append(scale)
        distances.append(distance)
    if decoded is None:
        decoded = arithmetic.exactly(np.zeros(mask.shape))
    # Means and scales may be added in a different order than they were found.
    wider = decoded.widen(arithmetic.gamma(2 * order) * decoded.reach).keep(mask)
    return BinarizeBound(total, tuple(scales), tuple(distances), wider, rest)


def refine_mean_bound(
    W: Input, group: BinaryGroup | RoundedLevels, *, arithmetic: Arithmetic
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.groups.arb.refine_mean`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group : BinaryGroup or RoundedLevels
        The state.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        The state with the new mean.

    Notes
    -----
    1. The remainder ``r = w - (μ + Σ α b)`` is a sum of ``o + 2`` numbers in any order.
    2. Its mean as in :func:`~subbit.reference.bounds.groups.binarize.masked_mean_bound`;
       then one addition.
    3. The error of the old mean is in ``r`` and before the sum, with opposite signs; that
       of a scale remains in proportion to the signs' mean.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> W, port = [[4.0, 1.0, 1.0, 0.0]], Arithmetic("float32")
    >>> made = refine_mean_bound(W, arb_start(W), arithmetic=port)
    >>> made.mean.value, made.mean.error < 2e-6
    (array([2.125]), array([ True]))
    """
    state = RoundedLevels.of(group, arithmetic)
    left = state.remainder(arithmetic.checked("W", W, shape=state.mask.shape))
    change = masked_mean_bound(left, state.mask, arithmetic=arithmetic)
    old = Rounded(state.mean.value, np.zeros(len(state.mask)), arithmetic)
    count = np.count_nonzero(state.mask, axis=1)
    slopes = -_gram(state, 0) / np.maximum(count, 1)[:, None]
    slopes[:, 0] = count == 0
    # Eq. (B41), subbit:  |μ̂' − μ'| ≤ Σ |mean b| e_α + (Σ e_r + γ_p Σ|r|) / c + γ_1 |μ'|
    return state.moved(0, old + change, slopes)


def _gram(state: RoundedLevels, place: int) -> Array:
    # (n, k), (p, n, k) -> (n, p)
    return np.asarray(np.einsum("ij,qij->iq", state.basis[place], state.basis))


def refine_scale_bound(
    W: Input,
    group: BinaryGroup | RoundedLevels,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
    arithmetic: Arithmetic,
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.groups.arb.refine_scale`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group : BinaryGroup or RoundedLevels
        The state.
    plane, eps, eps_kind
        As in :func:`~subbit.reference.groups.arb.refine_scale`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        The state with the new scale.

    Notes
    -----
    1. The remainder of the other levels is a sum of ``o + 1`` numbers, its products with
       signs are exact, and their sum loses ``γ_p Σ|r|``.
    2. The denominator is a count, which is exact until an eps is added.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> W, port = [[4.0, 1.0, 1.0, 0.0]], Arithmetic("float32")
    >>> made = refine_scale_bound(W, arb_start(W), arithmetic=port)
    >>> made.scales[0].value, made.scales[0].error < 2e-6
    (array([1.25]), array([ True]))
    """
    state, place = RoundedLevels.of(group, arithmetic), plane + 1
    left = state.remainder(arithmetic.checked("W", W, shape=state.mask.shape), place)
    signs = state.basis[place]
    count = np.count_nonzero(signs, axis=1)
    old = Rounded(state.levels.value[:, place], np.zeros(len(count)), arithmetic)
    # Eq. (B42), subbit:  |α̂' − α'| ≤ Σ_q |G_pq| e_q / d + (Σ e_r + γ_p Σ|r|) / d + γ_2 |α'|
    total = left.flip(signs).sum("row", signs != 0.0)
    new = quotient_bound(total, arithmetic.exactly(count), old, eps, eps_kind)
    slopes = -_gram(state, place) / np.maximum(count, 1)[:, None]
    share = eps * np.mean(count) if eps_kind == "relative" else eps
    slopes[:, place] = count + share == 0.0
    return state.moved(place, new, slopes)
