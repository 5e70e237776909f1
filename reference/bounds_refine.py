"""Bounds of refinements
=====================

How far a right port's half steps of ARB may lie from the reference's. What is returned is
as in ``bounds``; the calibrated error has ``bounds_refine_x``, row and column scales
``bounds_refine_rc``, whole loops ``bounds_refine_runs``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``x``      (n, p)      levels of each row: mean, then a scale for each order
``e_p``    (n, k)      what a level is a factor of: the mask, then the signs
``G``      (n, p, p)   ``G_pq = Σ_j e_p e_q``, for the calibrated error ``e_p S e_qᵀ``
``E``      (n, p, s)   what each of s earlier roundings has done to each level
========== =========== =============================================================

A half step is affine in the levels, ``x_p ← (g_p - Σ_q G_pq x_q) / G_pp`` over all other
q. So what earlier roundings did to a level goes on with the factor ``-G_pq / G_pp``, and
its sign: the mean that is replaced leaves nothing behind, and the errors of a loop shrink
as the loop does. Magnitudes would only grow. ``E`` keeps the roundings apart for that; a
level's error is the sum of theirs.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .bounds import BinarizeBound, masked_mean_bound, masked_scale_bound, residual_binarize_bound
from .errors import check_mask
from .layer import BinaryGroup
from .notation import Array, Mask, sign
from .numeric import EpsKind
from .refinement import REFINEMENT, Refinement
from .rounding import Arithmetic, Input, Rounded


@dataclass(frozen=True, eq=False)
class RoundedLevels:
    """A group whose signs are known, and its levels to rounding.

    Parameters
    ----------
    basis : ndarray of float64, shape (p, n, k)
        Mask and signs.
    levels : Rounded
        Mean and scales, shape (n, p).
    spread : ndarray of float64, shape (n, p, s)
        What each rounding has done to each level.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> RoundedLevels.of(arb_start([[0.1, 0.3]]), Arithmetic("float32")).levels.error < 1e-8
    array([[ True,  True]])
    """

    basis: Array
    levels: Rounded
    spread: Array

    @classmethod
    def of(cls, group: "BinaryGroup | RoundedLevels", arithmetic: Arithmetic) -> "RoundedLevels":
        """Read a group's record as a port would.

        Parameters
        ----------
        group : BinaryGroup or RoundedLevels
            The record; without a mean it has the mean 0.
        arithmetic : Arithmetic
            How the port computes.

        Returns
        -------
        RoundedLevels
            Its levels with the errors of their conversion.
        """
        if isinstance(group, RoundedLevels):
            return group
        mean = np.zeros(len(group.mask)) if group.mean is None else group.mean
        levels = np.column_stack([mean, *(plane.row_scale for plane in group.planes)])
        signs = [np.asarray(plane.sign, dtype=np.float64) for plane in group.planes]
        basis = np.stack([group.mask.astype(np.float64), *signs])
        return cls.at(basis, arithmetic.read(levels))

    @classmethod
    def at(cls, basis: Array, levels: Rounded) -> "RoundedLevels":
        """Levels whose errors have nothing to do with each other.

        Parameters
        ----------
        basis : ndarray of float64, shape (p, n, k)
            Mask and signs.
        levels : Rounded
            Mean and scales, shape (n, p).

        Returns
        -------
        RoundedLevels
            The group.
        """
        return cls(basis, levels, levels.error[:, :, None] * np.eye(levels.shape[1]))

    @property
    def mask(self) -> Mask:
        """The group's entries, shape (n, k)."""
        return self.basis[0] != 0.0

    @property
    def mean(self) -> Rounded:
        """Row means, shape (n,)."""
        return self.levels[:, 0]

    @property
    def scales(self) -> tuple[Rounded, ...]:
        """Row scales of each order, shape (n,)."""
        return tuple(self.levels[:, p] for p in range(1, self.levels.shape[1]))

    def moved(self, place: int, to: Rounded, slopes: Array) -> "RoundedLevels":
        """Replace a level.

        Parameters
        ----------
        place : int
            Which one.
        to : Rounded
            Its new value, shape (n,), with the errors of this step alone.
        slopes : ndarray of float64, shape (n, p)
            How it depends on the levels before.

        Returns
        -------
        RoundedLevels
            The group with that level, and with what earlier errors made of it.
        """
        value = self.levels.value.copy()
        value[:, place] = to.value
        spread = np.concatenate([self.spread, np.zeros((*self.spread.shape[:2], 1))], axis=2)
        with np.errstate(invalid="ignore", over="ignore"):
            # Eq. (B38), subbit:  E_p ← Σ_q (∂x_p / ∂x_q) E_q, and a column for the step's own
            spread[:, place] = np.einsum("iq,iqs->is", slopes, spread)
            spread[:, place, -1] = to.error
            error = np.sum(np.abs(spread), axis=2)
        error = np.where(np.isfinite(error), error, np.inf)
        return replace(self, levels=Rounded(value, error, self.levels.arithmetic), spread=spread)

    def remainder(self, W: Rounded, without: int | None = None) -> Rounded:
        """What the levels leave of the weights, with the errors of this alone.

        Parameters
        ----------
        W : Rounded
            Weights, shape (n, k).
        without : int, optional
            A level that is not subtracted.

        Returns
        -------
        Rounded
            ``M ∘ (W - Σ x_p e_p)``, shape (n, k); errors of the levels are left out.
        """
        places = [p for p in range(len(self.basis)) if p != without]
        parts = self.basis[places]
        value = W.value - np.einsum("ip,pij->ij", self.levels.value[:, places], parts)
        sizes = np.einsum("ip,pij->ij", self.levels.reach[:, places], np.abs(parts))
        arithmetic, count = W.arithmetic, len(places)
        with np.errstate(invalid="ignore", over="ignore"):
            reach = W.reach + sizes
            error = W.error + arithmetic.gamma(count) * reach + count * arithmetic.tiny
        error = np.where((reach <= arithmetic.largest) & (reach > 0.0), error, np.inf)
        error = np.where(reach == 0.0, 0.0, error)
        return Rounded(value, error, arithmetic).keep(self.mask)


def quotient_bound(
    numerator: Rounded, denominator: Rounded, current: Rounded, eps: float, kind: EpsKind
) -> Rounded:
    """Bound of a quotient with an eps that keeps the current value where it must.

    Parameters
    ----------
    numerator, denominator, current : Rounded
        What is divided, by what, and the value before, shape (n,).
    eps, kind
        As in :class:`~subbit.reference.refinement.Refinement`.

    Returns
    -------
    Rounded
        Quotients, shape (n,).

    Notes
    -----
    As any quotient. Where rounding may decide whether there is something to divide by,
    there is no bound.

    Examples
    --------
    >>> one, none = Arithmetic().read([1.0]), Arithmetic().read([0.0])
    >>> quotient_bound(one, none, one, 0.0, "absolute").error
    array([0.])
    """
    arithmetic, divisor = numerator.arithmetic, denominator
    if eps > 0.0:
        share = arithmetic.read(eps)
        if kind == "relative":
            share *= denominator.sum("any") / arithmetic.exactly(len(denominator.value))
        divisor = denominator + share
    quotient = numerator / divisor
    kept = (divisor.value <= 0.0) & (divisor.error == 0.0)
    # Eq. (B39), subbit:  a quotient where d + ε > e_d, the current value where d + ε ≤ 0 exactly
    error = np.where(divisor.value > divisor.error, quotient.error, np.inf)
    return Rounded(
        np.where(divisor.value > 0.0, quotient.value, current.value),
        np.where(kept, current.error, error),
        arithmetic,
    )


def arb_start_bound(
    W: Input,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    signs: tuple[npt.ArrayLike, ...] | None = None,
    arithmetic: Arithmetic,
) -> BinarizeBound:
    """Bounds of :func:`~subbit.reference.arb.arb_start`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask, order, config
        As in :func:`~subbit.reference.arb.arb_start`.
    signs : tuple of array_like of int, shape (n, k), optional
        The port's own signs, one matrix for each order; the reference's by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    BinarizeBound
        Means, scales, distances and decoded values.

    Notes
    -----
    As in :func:`~subbit.reference.bounds.residual_binarize_bound`. As printed, sums are
    divided by the width: a product with ``c / k`` more.

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
    # Means and scales may be added in another order than they were found.
    wider = decoded.widen(arithmetic.gamma(2 * order) * decoded.reach).keep(mask)
    return BinarizeBound(total, tuple(scales), tuple(distances), wider, rest)


def refine_mean_bound(
    W: Input, group: BinaryGroup | RoundedLevels, *, arithmetic: Arithmetic
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.arb.refine_mean`.

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
    1. What is left, ``r = w - (μ + Σ α b)``, is a sum of ``o + 2`` numbers in any order.
    2. Its mean as in :func:`~subbit.reference.bounds.masked_mean_bound`; then one addition.
    3. The error of the old mean is in ``r`` and before the sum, with opposite signs; that
       of a scale remains in the share of the signs' mean.

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
    """Bound of :func:`~subbit.reference.arb.refine_scale`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group : BinaryGroup or RoundedLevels
        The state.
    plane, eps, eps_kind
        As in :func:`~subbit.reference.arb.refine_scale`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        The state with the new scale.

    Notes
    -----
    1. What the other levels leave is a sum of ``o + 1`` numbers, its products with signs
       are exact, and their sum loses ``γ_p Σ|r|``.
    2. The denominator counts, which is exact until an eps is added.

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
