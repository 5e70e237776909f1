"""Bounds of whole refinements
===========================

How far the end of a correct port's loop may deviate: the half steps of
``bounds.groups.arb`` and ``bounds.groups.arb_rc``, one after the other. Return values are
as there.

A loop decides signs on its way. Where each decision was clear of rounding, a correct port
has made the same one, and the bounds of the half steps add up as they shrink. Where one was
not, nothing follows for the row, or for an entire group with column scales; the result says
so, and the port is judged by its half steps and by the error it reaches.
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_mask
from subbit.reference.groups.arb import joint_signs
from subbit.reference.groups.arb_rc import ColumnSigns
from subbit.reference.groups.refinement import REFINEMENT, Refinement
from subbit.reference.notation import Array, Mask
from subbit.reference.signs import sign

from .arb import arb_start_bound, refine_mean_bound, refine_scale_bound
from .arb_rc import RoundedScales, rc_start_bound
from .arb_rc_fits import refine_column_scale_bound, refine_row_scale_bound
from .joint_levels import solve_levels_bound
from .joint_signs import joint_signs_certain
from .refinement import RoundedLevels


def _certain(distance: Rounded, mask: Mask) -> Mask:
    sure = (np.abs(distance.value) > distance.error) | (distance.error == 0.0)
    return np.asarray(sure | ~mask)


def arb_bound(
    W: Input,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    arithmetic: Arithmetic,
) -> tuple[RoundedLevels, Mask]:
    """Bound of :func:`~subbit.reference.groups.arb.arb`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask, order, config
        As in :func:`~subbit.reference.groups.arb.arb`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    state : RoundedLevels
        Signs, mean and scales at the end.
    decided : ndarray of bool, shape (n,)
        Rows in which no decision was left to rounding; the others have no bound.

    Notes
    -----
    The start, then each half step from the levels before it and their errors. For fixed
    signs an error shrinks by ``mean(B)²`` a round, as the loop itself does.

    Examples
    --------
    >>> W, port = [[4.0, 1.0, 1.0, 0.0]], Arithmetic("float32")
    >>> state, decided = arb_bound(W, arithmetic=port)
    >>> state.levels.value.round(3), bool(state.levels.error.max() < 5e-6), decided
    (array([[2.333, 1.667]]), True, array([ True]))
    """
    weights = arithmetic.checked("W", W)
    M = check_mask("mask", mask, weights.shape)
    state, decided = arb_start_levels(weights, M, order=order, config=config)
    for _ in range(config.iterations):
        if config.levels == "exact":
            state = solve_levels_bound(weights, state, arithmetic=arithmetic)
        else:
            state = refine_mean_bound(weights, state, arithmetic=arithmetic)
            for plane in range(order):
                state = refine_scale_bound(
                    weights,
                    state,
                    plane,
                    eps=config.eps,
                    eps_kind=config.eps_kind,
                    arithmetic=arithmetic,
                )
        signs, certain = next_signs(weights, state, config)
        decided &= certain
        # basis (p, n, k)
        state = RoundedLevels(np.stack([state.basis[0], *signs]), state.levels, state.spread)
    if config.sign_zero == 0:
        # Divisors count the signs that are not zero.
        decided = decided_together(decided, config, config.eps)
    return unless_decided(state, decided), decided


def arb_any_signs_bound(W: Rounded, mask: Mask, *, order: int, config: Refinement) -> Rounded:
    """Bound of the levels at the end of ARB, whatever signs rounding decided on the way.

    Parameters
    ----------
    W : Rounded
        Weights, shape (n, k).
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : {1, 2}
        Number of sign planes.
    config : Refinement
        The switches. There is no bound for joint levels, with an eps, or with signs that
        may be zero.

    Returns
    -------
    Rounded
        Zero for the mean and each scale, shape (n, p), and how far from it they may be.

    Notes
    -----
    Let r be what the levels leave of a row's c entries, ρ the root of the mean of r² at the
    start, and A the largest entry.

    1. If the start is centered, each of its steps lowers ``‖r‖``, so ``ρ ≤ A``; every level is
       at most ``2ρ``. As printed, both hold with ``ρ = 16A``: a mean is at most A, a mean
       distance from it 2A; they leave at most 4A, and the second order has 4A and 8A of that.
    2. A fit of one level projects r onto ``e``, whose entries are ±1: the level moves by
       ``Δ = e · r / c``, and ``‖r‖²`` falls by ``c Δ²``.
    3. The nearest level never lies farther than the one before, so new signs do not raise
       ``‖r‖``. Hence ``Σ Δ² ≤ ρ²`` over all fits, and a level that is fitted T times moves by
       at most ``Σ |Δ| ≤ √T ρ``: it stays below ``(2 + √T) ρ``.
    4. A step rounds by ``δ ≤ γ (A + Σ|x|)``; that raises ``‖r‖²`` by ``c δ²`` after a fit, and
       ``‖r‖`` by ``2δ √c`` after new signs. While all N steps have ``N δ ≤ ρ / 16``, ``Σ Δ²``
       stays below ``2ρ²``, and twice the level of 3 covers everything.

    The bound is wide, but fits that follow shrink it: with the signs known, their result
    hardly depends on where they start.

    Examples
    --------
    >>> weights = Arithmetic().read([[4.0, 1.0, 1.0, 0.0]])
    >>> four = Refinement(iterations=4)
    >>> arb_any_signs_bound(weights, weights.value >= 0, order=1, config=four).error
    array([[32., 32.]])
    """
    arithmetic, rounds = W.arithmetic, config.iterations
    centered = config.divisor == "entries" and config.initial_signs == "centered"
    rho = np.max(W.reach * mask, axis=1, initial=0.0) * (1.0 if centered else 16.0)
    far = 2.0 + np.sqrt(rounds)
    depth = arithmetic.depth("row", W.shape[1]) + order + 2
    # Eq. (B119), subbit:  |x| ≤ 2 (2 + √T) ρ  as long as  N γ (1 + 6 (2 + √T)) ≤ 1/16
    error = 2.0 * far * rho
    rounding = rounds * (2 + order) * arithmetic.gamma(depth) * (1.0 + 6.0 * far)
    covered = config.levels == "alternate" and config.eps == 0.0 and config.sign_zero == 1
    error = np.where(covered and rounding <= 1.0 / 16.0, error, np.inf)
    return Rounded(
        np.zeros((len(mask), order + 1)), np.outer(error, np.ones(order + 1)), arithmetic
    )


def decided_together(decided: Mask, config: Refinement, eps: float) -> Mask:
    """Return the fully known rows, where a relative eps makes each row depend on all.

    Parameters
    ----------
    decided : ndarray of bool, shape (n,)
        Rows in which no decision was left to rounding.
    config : Refinement
        Only the kind of eps, and whether levels alternate, are used.
    eps : float
        The eps of these levels.

    Returns
    -------
    ndarray of bool, shape (n,)
        The same rows; none if one is undecided and its divisor is part of all the others.

    Examples
    --------
    >>> relative = Refinement(eps_kind="relative")
    >>> decided_together(np.array([True, False]), relative, 1e-3)
    array([False, False])
    >>> decided_together(np.array([True, False]), relative, 0.0)
    array([ True, False])
    """
    coupled = eps > 0.0 and config.eps_kind == "relative" and config.levels == "alternate"
    # Eq. (B117), subbit:  d_i + ε mean(d) is known  ⇔  every row is decided
    return decided & (decided.all() or not coupled)


def arb_start_levels(
    weights: Rounded, mask: Mask, *, order: int, config: Refinement
) -> tuple[RoundedLevels, Mask]:
    """Return the initial levels, and the rows whose initial signs are certain.

    Parameters
    ----------
    weights : Rounded
        Weights, shape (n, k).
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : {1, 2}
        Number of sign planes.
    config : Refinement
        As in :func:`~subbit.reference.groups.arb.arb_start`.

    Returns
    -------
    state : RoundedLevels
        Signs, mean and scales at the start.
    decided : ndarray of bool, shape (n,)
        Rows in which no sign was left to rounding.

    Examples
    --------
    >>> weights = Arithmetic().read([[4.0, 1.0, 1.0, 0.0]])
    >>> state, decided = arb_start_levels(weights, weights.value >= 0, order=1, config=REFINEMENT)
    >>> state.levels.value, decided
    (array([[1.5 , 1.25]]), array([ True]))
    """
    arithmetic = weights.arithmetic
    start = arb_start_bound(weights, mask, order=order, config=config, arithmetic=arithmetic)
    drawn = [np.where(mask, sign(d.value, config.sign_zero), 0) for d in start.distances]
    certain = [_certain(d, mask).all(axis=1) for d in start.distances]
    zero = arithmetic.exactly(np.zeros(len(mask)))
    parts = [zero if start.mean is None else start.mean, *start.scales]
    levels = Rounded(
        np.column_stack([part.value for part in parts]),  # (n, p)
        np.column_stack([part.error for part in parts]),  # (n, p)
        arithmetic,
    )
    basis = np.stack([mask, *drawn]).astype(np.float64)  # (p, n, k)
    return RoundedLevels.at(basis, levels), np.logical_and.reduce(certain)


def next_signs(
    weights: Rounded, state: RoundedLevels, config: Refinement
) -> tuple[list[Array], Mask]:
    """Return the signs that the reference gives a group, and the rows where they are certain.

    Parameters
    ----------
    weights : Rounded
        Weights, shape (n, k).
    state : RoundedLevels
        Mask, mean and scales.
    config : Refinement
        Only the sign of zero is used.

    Returns
    -------
    signs : list of ndarray of float64, shape (n, k)
        Those of each order, 0 outside the mask.
    certain : ndarray of bool, shape (n,)
        Rows in which no sign was left to rounding.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> port = Arithmetic("float32")
    >>> state = RoundedLevels.of(arb_start([[4.0, 1.0, 1.0, 0.0]]), port)
    >>> next_signs(port.read([[4.0, 1.0, 1.0, 0.0]]), state, REFINEMENT)
    ([array([[ 1., -1., -1., -1.]])], array([ True]))
    """
    mask = state.mask
    Z = weights.keep(mask) - state.mean[:, None]
    if len(state.scales) == 1:
        signs: tuple[npt.ArrayLike, ...] = (sign(Z.value, config.sign_zero),)
        certain = _certain(Z, mask)
    else:
        u, v = (scale[:, None] for scale in state.scales)
        signs = joint_signs(np.nan_to_num(Z.value), np.nan_to_num(u.value), np.nan_to_num(v.value))
        certain = joint_signs_certain(Z, u, v, *signs) | ~mask
    drawn = [np.where(mask, s, 0).astype(np.float64) for s in signs]
    return drawn, np.asarray(certain.all(axis=1))


def unless_decided(state: RoundedLevels, decided: Mask) -> RoundedLevels:
    """Drop the bounds of levels in rows where a decision was left to rounding.

    Parameters
    ----------
    state : RoundedLevels
        The levels.
    decided : ndarray of bool, shape (n,)
        The other rows.

    Returns
    -------
    RoundedLevels
        The levels with the same values.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> state = RoundedLevels.of(arb_start([[4.0, 1.0]]), Arithmetic("float32"))
    >>> unless_decided(state, np.array([False])).levels.error
    array([[inf, inf]])
    """
    error = np.where(decided[:, None], state.levels.error, np.inf)
    levels = Rounded(state.levels.value, error, state.levels.arithmetic)
    return RoundedLevels(
        state.basis, levels, np.where(decided[:, None, None], state.spread, np.inf)
    )


def arb_rc_bound(
    W: Input,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    column_signs: ColumnSigns = "fixed",
    arithmetic: Arithmetic,
) -> tuple[RoundedScales, bool]:
    """Bound of :func:`~subbit.reference.groups.arb_rc.arb_rc`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask, order, config, column_signs
        As in :func:`~subbit.reference.groups.arb_rc.arb_rc`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    state : RoundedScales
        Signs and scales at the end; only its products can be compared.
    decided : bool
        Whether no decision was left to rounding; otherwise there is no bound.

    Notes
    -----
    The start, then each half step from the scales before it and their errors. Scales are
    determined only up to a factor, and an error along it has no effect on products.

    Examples
    --------
    >>> W, port = [[2.0, -4.0], [1.0, 2.0]], Arithmetic("float32")
    >>> state, decided = arb_rc_bound(W, arithmetic=port)
    >>> state.product(0).value.round(6), bool(state.product(0).error.max() < 1e-4), decided
    (array([[2., 4.],
           [1., 2.]]), True, True)
    """
    weights = arithmetic.checked("W", W)
    M = check_mask("mask", mask, weights.shape)
    state, distances = rc_start_bound(
        weights, M, order=order, sign_zero=config.sign_zero, arithmetic=arithmetic
    )
    decided = all(bool(_certain(d, M).all()) for d in distances)
    for _ in range(config.iterations):
        for plane in range(order):
            state = refine_row_scale_bound(
                weights,
                state,
                plane,
                eps=config.eps,
                eps_kind=config.eps_kind,
                arithmetic=arithmetic,
            )
            state = refine_column_scale_bound(
                weights,
                state,
                plane,
                eps=config.eps,
                eps_kind=config.eps_kind,
                arithmetic=arithmetic,
            )
        decided &= bool(np.isfinite(state.scales.error).all())
        if not decided:
            break
        if order == 2 or column_signs == "refreshed":
            signs, certain = _next_rc_signs(weights, state, config)
            decided &= certain
            state = RoundedScales(M, np.stack(signs), state.scales, state.spread)  # signs (o, n, k)
    return state, decided and bool(np.isfinite(state.scales.error).all())


def _next_rc_signs(
    weights: Rounded, state: RoundedScales, config: Refinement
) -> tuple[list[Array], bool]:
    mask = state.mask
    if len(state.signs) == 1:
        signs: tuple[npt.ArrayLike, ...] = (sign(weights.value, config.sign_zero),)
        certain = _certain(weights, mask)
    else:
        u, v = state.product(0), state.product(1)
        signs = joint_signs(weights.value, u.value, v.value)
        certain = joint_signs_certain(weights, u, v, *signs) | ~mask
    return [np.where(mask, s, 0).astype(np.float64) for s in signs], bool(certain.all())
