"""Bounds of stepwise pruning
==========================

How far a correct port of ``spbo`` may deviate. Return values are as in ``bounds``; levels
are as in ``bounds.groups.arb``. For the coarse-to-fine search, see ``bounds.pruning.cfs``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``s``      (n, k)      scores, off by ``e_s``
``P_t``    (n, k)      entries kept after step t
========== =========== =============================================================

A loop prunes by given masks, so only the initial signs, and signs that are recomputed, are
left to rounding; rows in which one was have no bound.
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.groups.arb_runs import (
    arb_bound,
    arb_start_levels,
    decided_together,
    next_signs,
    unless_decided,
)
from subbit.reference.bounds.groups.arb_x import calibrate_levels_bound
from subbit.reference.bounds.groups.refinement import RoundedLevels
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_mask
from subbit.reference.layer import BinaryGroup
from subbit.reference.notation import Mask
from subbit.reference.pruning.spbo import SPBO, STEPWISE


def spbo_step_bound(
    W: Input,
    group: BinaryGroup | RoundedLevels,
    keep: npt.ArrayLike,
    S: Input,
    *,
    config: SPBO = STEPWISE,
    arithmetic: Arithmetic,
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.pruning.spbo.spbo_step`, before signs are recomputed.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Values that the group has to match.
    group : BinaryGroup or RoundedLevels
        The state.
    keep : array_like of bool, shape (n, k)
        Entries to keep.
    S : array_like of float64 or Rounded, shape (k, k)
        Gram matrix of the inputs.
    config : SPBO
        The switches.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        The state with its levels after the fit.

    Notes
    -----
    A mask is exact; the fit is one of ARB-X, with its bound.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> W, port = [[3.0, -1.0, 0.5, -2.0]], Arithmetic("float32")
    >>> keep, exact = np.array([[True, False, False, True]]), SPBO(levels="exact")
    >>> made = spbo_step_bound(W, arb_start(W), keep, np.eye(4), config=exact, arithmetic=port)
    >>> made.levels.value, bool(made.levels.error.max() < 1e-4)
    (array([[0.5, 2.5]]), True)
    """
    state = RoundedLevels.of(group, arithmetic)
    weights = arithmetic.checked("W", W, shape=state.mask.shape)
    kept = state.mask & check_mask("keep", keep, state.mask.shape)
    basis = state.basis * kept
    if config.mean == "shared":
        basis[0] = state.basis[0]
    pruned = RoundedLevels(basis, state.levels, state.spread)
    return _fit(weights, pruned, kept, S, config)


def _fit(
    weights: Rounded, state: RoundedLevels, kept: Mask, S: Input, config: SPBO
) -> RoundedLevels:
    target = weights if config.objective == "full" else weights.keep(kept)
    return calibrate_levels_bound(
        target, state, S, config=config.refinement, arithmetic=weights.arithmetic
    )


def spbo_bound(
    W: Input,
    mask: npt.ArrayLike | None,
    masks: npt.ArrayLike,
    S: Input,
    *,
    order: int = 1,
    config: SPBO = STEPWISE,
    arithmetic: Arithmetic,
) -> tuple[RoundedLevels, Mask]:
    """Bound of :func:`~subbit.reference.pruning.spbo.spbo`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), or None
        The group's entries before any is pruned.
    masks : array_like of bool, shape (t, n, k)
        Entries that are kept after each step.
    S : array_like of float64 or Rounded, shape (k, k)
        Gram matrix of the inputs.
    order, config
        As in :func:`~subbit.reference.pruning.spbo.spbo`.
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
    The start, then each step from the levels before it and their errors. Exact levels do
    not depend on where they start.

    Examples
    --------
    >>> W, port = [[3.0, 0.5, -0.4, -3.0]], Arithmetic("float32")
    >>> masks = np.array([[[True, False, False, True]]])
    >>> state, decided = spbo_bound(W, None, masks, np.eye(4), arithmetic=port)
    >>> state.levels.value.round(6) + 0.0, decided
    (array([[0., 3.]]), array([ True]))
    """
    weights = arithmetic.checked("W", W)
    cell = check_mask("mask", mask, weights.shape)
    own = weights.keep(cell)
    how = config.refinement
    if how.calibrated_start == "refined":
        state, decided = arb_bound(own, cell, order=order, config=how, arithmetic=arithmetic)
    else:
        state, decided = arb_start_levels(own, cell, order=order, config=how)
    steps = [cell, *np.asarray(masks, dtype=np.bool_)]
    for keep in steps:
        state = spbo_step_bound(own, state, keep, S, config=config, arithmetic=arithmetic)
        if config.signs == "resigned":
            state, certain = _resigned(own, state, cell & keep, config)
            decided &= certain
    decided = decided_together(decided, how, how.calibrated_eps)
    return unless_decided(state, decided), decided


def _resigned(
    weights: Rounded, state: RoundedLevels, kept: Mask, config: SPBO
) -> tuple[RoundedLevels, Mask]:
    among = np.concatenate([kept[None].astype(np.float64), state.basis[1:]])
    seen = RoundedLevels(among, state.levels, state.spread)
    signs, certain = next_signs(weights, seen, config.refinement)
    # Eq. (B111), subbit:  the row is decided  ⇔  |W − μ| > e on all of P_t
    basis = np.stack([state.basis[0], *signs])
    return RoundedLevels(basis, state.levels, state.spread), certain


def schedule_certain(scores: Rounded, group: int, *, whole: bool = False) -> Mask:
    """Return the rows where rounding cannot change the order in which entries are pruned.

    Parameters
    ----------
    scores : Rounded
        Scores, shape (n, k).
    group : int
        Number of consecutive columns ranked together, M; the last group may have fewer.
    whole : bool, default False
        Whether all entries of the block are ranked, as the schedule "parts" does.

    Returns
    -------
    ndarray of bool, shape (n,)
        Rows whose scores are farther apart than their errors, or exactly tied.

    Notes
    -----
    ``|s_i - s_j| > e_i + e_j``, or ``s_i = s_j`` with no error, for neighbors in order;
    this then holds for all pairs.

    Examples
    --------
    >>> scores = Rounded(np.array([[1.0, 2.0], [1.0, 1.0]]), np.full((2, 2), 0.1), Arithmetic())
    >>> schedule_certain(scores, 2)
    array([ True, False])
    """
    if whole:
        # (n, k) -> (1, n k)
        flat = Rounded(scores.value.reshape(1, -1), scores.error.reshape(1, -1), scores.arithmetic)
        return np.repeat(_apart(flat), len(scores.value))
    parts = range(0, scores.shape[1], group)
    return np.asarray(np.logical_and.reduce([_apart(scores[:, at : at + group]) for at in parts]))


def _apart(scores: Rounded) -> Mask:
    # Upper ends must grow with lower ones: only then are neighbors apart from all others.
    order = np.argsort(scores.value, axis=1, kind="stable")
    # rows sorted, (n, k)
    value, error = (np.take_along_axis(x, order, axis=1) for x in (scores.value, scores.error))
    highest = np.maximum.accumulate(value + error, axis=1)[:, :-1]
    lowest = np.minimum.accumulate((value - error)[:, ::-1], axis=1)[:, ::-1][:, 1:]
    tied = (np.diff(value, axis=1) == 0.0) & (error[:, 1:] == 0.0) & (error[:, :-1] == 0.0)
    # Eq. (B112), subbit:  i before j  ⇐  s_j − s_i > e_i + e_j
    return np.asarray(np.all((lowest > highest) | tied, axis=1))
