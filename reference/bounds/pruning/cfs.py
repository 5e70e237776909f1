"""Bounds of the coarse-to-fine search
===================================

How far a correct port of ``cfs`` may deviate. Return values are as in ``bounds``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``x, y``   (T, d)      inputs and outputs of a decoder layer, off by ``e_x, e_y``
``c``      (L,)        cosines, off by ``e``
``LI``     (L,)        importance
========== =========== =============================================================
"""

import numpy as np

from subbit.reference.bounds.hessian import inverse_factor_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.bounds.zones.saliency import (
    inverse_hessian_saliency_bound,
    obs_saliency_bound,
    trailing_saliency_bound,
)
from subbit.reference.pruning.cfs import BudgetRule, FineScore, Importance, layer_importance

from .sparsity import input_norms_bound, wanda_importance_bound


def block_cosine_bound(x: Input, y: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.cfs.block_cosine`.

    Parameters
    ----------
    x, y : array_like of float64 or Rounded, shape (T, d)
        Inputs and outputs of the layer.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The mean cosine, a scalar.

    Notes
    -----
    1. An error of a vector turns it by at most ``‖e‖ / ‖x‖``, and cannot change the cosine
       by more than its range.
    2. Scalar product and norms are sums of d terms: ``γ_{2d+12}``, whose magnitudes are at
       most 1 by the Cauchy-Schwarz inequality.
    3. The mean is a sum of T terms of at most 1.

    Examples
    --------
    >>> made = block_cosine_bound([[1.0, 0.0]], [[3.0, 4.0]], arithmetic=Arithmetic("float32"))
    >>> float(made.value), bool(made.error < 3e-6)
    (0.6, True)
    """
    inputs, outputs = (
        _of_size_one(arithmetic.checked(name, z)) for name, z in (("x", x), ("y", y))
    )
    lengths = [np.linalg.norm(z.value, axis=1) for z in (inputs, outputs)]
    errors = [np.linalg.norm(z.error, axis=1) for z in (inputs, outputs)]
    product = lengths[0] * lengths[1]
    dot = np.sum(inputs.value * outputs.value, axis=1)
    cosine = np.divide(dot, product, out=np.zeros_like(dot), where=product > 0.0)
    moved = np.zeros(len(dot))
    for length, error in zip(lengths, errors, strict=True):
        moved += np.where(length > 0.0, 2.0 * error / np.where(length > 0.0, length, 1.0), 0.0)
        moved += np.where((length == 0.0) & (error > 0.0), 2.0, 0.0)
    own = arithmetic.gamma(2 * inputs.shape[1] + 12) * (product > 0.0)
    # Eq. (B113), subbit:  |ĉ − c| ≤ mean_t (2 ‖e_x‖/‖x‖ + 2 ‖e_y‖/‖y‖ + γ_{2d+12}) + γ_{T+1}
    error = np.mean(np.minimum(moved + own, 2.0)) + arithmetic.gamma(len(dot) + 1)
    return Rounded(np.asarray(np.clip(np.mean(cosine), -1.0, 1.0)), np.asarray(error), arithmetic)


def _of_size_one(rows: Rounded) -> Rounded:
    """Scale rows by powers of two, so that no square of a small number underflows."""
    _, power = np.frexp(np.max(np.abs(rows.value), axis=1, keepdims=True, initial=0.0))
    return Rounded(np.ldexp(rows.value, -power), np.ldexp(rows.error, -power), rows.arithmetic)


def layer_importance_bound(
    cosines: Input, *, kind: Importance = "arccos", arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.cfs.layer_importance`.

    Parameters
    ----------
    cosines : array_like of float64 or Rounded, shape (L,)
        Mean cosines.
    kind : {"arccos", "one_minus", "reciprocal", "redundancy"}, default "arccos"
        As in :func:`~subbit.reference.pruning.cfs.layer_importance`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Importance, shape (L,).

    Notes
    -----
    The formulas by the rules of :class:`~subbit.reference.bounds.rounding.Rounded`. The angle
    of ``c ± e`` lies between those of the two ends, and a library's arc cosine is off by four
    roundings.

    Examples
    --------
    >>> made = layer_importance_bound([0.0, 0.5], arithmetic=Arithmetic("float32"))
    >>> made.value, bool(made.error.max() < 2e-6)
    (array([1.2, 0.8]), True)
    """
    c = arithmetic.checked("cosines", cosines, shape=(None,))
    one = arithmetic.exactly(np.ones(c.shape))
    count = arithmetic.exactly(float(len(c.value)))
    if kind == "redundancy":
        return arithmetic.exactly(np.full(c.shape, 2.0)) - c / (c.sum("any") / count)
    amounts = _angles(c) if kind == "arccos" else one - c if kind == "one_minus" else one / c
    mean = amounts.sum("any") / count
    if mean.value == 0.0 and mean.error == 0.0:
        return one
    # Eq. (B114), subbit:  LI = i / (Σ i / L),  each as computed
    made = amounts / Rounded(np.full(c.shape, mean.value), np.full(c.shape, mean.error), arithmetic)
    return Rounded(layer_importance(c.value, kind=kind), made.error, arithmetic)


def _angles(c: Rounded) -> Rounded:
    angle = np.arccos(c.value)
    ends = [np.arccos(np.clip(c.value + sign * c.error, -1.0, 1.0)) for sign in (-1.0, 1.0)]
    carried = np.maximum(ends[0] - angle, angle - ends[1])
    # Eq. (B115), subbit:  |arccos(ĉ) − arccos(c)| ≤ arccos(c − e) − arccos(c + e) + γ_5 i
    error = carried + c.arithmetic.gamma(5) * ends[0]
    return Rounded(angle / np.pi, error / np.pi, c.arithmetic)


def coarse_wishes_bound(
    importance: Input,
    keep: int,
    *,
    low: int,
    high: int,
    rule: BudgetRule = "proportional",
    arithmetic: Arithmetic,
) -> Rounded:
    """Bound of the numbers that :func:`~subbit.reference.pruning.cfs.coarse_budget` rounds.

    Parameters
    ----------
    importance : array_like of float64 or Rounded, shape (L,)
        Importance of each layer.
    keep : int
        Number to keep on average.
    low, high : int
        Ends of the range.
    rule : {"proportional", "interpolated"}, default "proportional"
        The rule.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Real numbers, shape (L,).

    Examples
    --------
    >>> port = Arithmetic("float32")
    >>> coarse_wishes_bound([0.5, 1.5], 4, low=3, high=5, arithmetic=port).value
    array([2., 6.])
    """
    amounts = arithmetic.checked("importance", importance, shape=(None,))
    shape = amounts.shape
    first, last = np.argmin(amounts.value), np.argmax(amounts.value)
    span = amounts[last] - amounts[first]
    if rule == "proportional":
        # Eq. (B116), subbit:  N LI, or N_low + (N_high − N_low)(LI − min) / (max − min)
        return amounts * arithmetic.exactly(np.full(shape, float(keep)))
    if span.value == 0.0:
        # Equal numbers are equal in every type.
        return arithmetic.exactly(np.full(shape, float(keep)))
    wide = Rounded(np.full(shape, span.value), np.full(shape, span.error), arithmetic)
    least = amounts[np.full(shape, first)]
    share = (amounts - least) / wide
    return arithmetic.exactly(np.full(shape, float(low))) + share * arithmetic.exactly(
        np.full(shape, float(high - low))
    )


def fine_scores_bound(
    W: Input, H: Input, *, score: FineScore = "obs", arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.cfs.fine_scores`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    H : array_like of float64 or Rounded, shape (k, k)
        Hessian.
    score : {"obs", "squared", "trailing", "magnitude", "wanda"}, default "obs"
        The score.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, k).

    Examples
    --------
    >>> port = Arithmetic("float32")
    >>> fine_scores_bound([[1.0, 2.0]], np.diag([2.0, 1.0]), arithmetic=port).value
    array([[2., 4.]])
    """
    weights = arithmetic.checked("W", W)
    if score == "magnitude":
        return weights.absolute()
    if score == "wanda":
        norms = input_norms_bound(H, arithmetic=arithmetic)
        return wanda_importance_bound(weights, norms, arithmetic=arithmetic)
    if score == "squared":
        return inverse_hessian_saliency_bound(weights, H, arithmetic=arithmetic)
    if score == "obs":
        return obs_saliency_bound(weights, H, arithmetic=arithmetic)
    factor = inverse_factor_bound(H, arithmetic=arithmetic)
    return trailing_saliency_bound(weights, factor, arithmetic=arithmetic)
