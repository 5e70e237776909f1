"""Bounds of groups that are fitted to each other
==============================================

How far the levels of a block's groups may deviate after ARB-X has fitted each group to what
the others leave, several times. Return values are as in ``bounds.groups.arb``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``e``      (n, k)      mask or signs of one group, one row vector per row
``x``      (n, p)      levels of all groups, p in all
``G, g``   (n, p, p)   ``G_pq = e_p S e_qᵀ``,  ``g_p = e_p S wᵀ``, of all groups
========== =========== =============================================================

Every fit is a step of one linear iteration of all levels, ``x_p ← (g_p − Σ G_pq x_q) / G_pp``.
So errors are followed through it as a whole: what two levels represent together keeps its
small error, also where rounding leaves each of them alone undetermined.
"""

from collections.abc import Sequence

import numpy as np

from subbit.reference.bounds.rounding import Rounded
from subbit.reference.groups.refinement import REFINEMENT, Refinement
from subbit.reference.notation import Indices

from .arb_x import _denominator, _form, _lost, _others, _slopes, _stack, _sums
from .refinement import RoundedLevels, quotient_bound


def joined(groups: Sequence[RoundedLevels]) -> RoundedLevels:
    """Return the levels of several groups as those of one.

    Parameters
    ----------
    groups : sequence of RoundedLevels
        Groups of disjoint entries, whose errors are independent.

    Returns
    -------
    RoundedLevels
        All levels.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> one = RoundedLevels.of(arb_start([[0.1, 0.3]]), Arithmetic("float32"))
    >>> joined([one, one]).levels.shape
    (1, 4)
    """
    arithmetic = groups[0].levels.arithmetic
    value, error = (
        np.concatenate([getattr(g.levels, name) for g in groups], axis=1)
        for name in ("value", "error")
    )
    sizes = [g.spread.shape[1:] for g in groups]
    spread = np.zeros((len(value), value.shape[1], sum(s for _, s in sizes)))
    row = column = 0
    for group, (levels, width) in zip(groups, sizes, strict=True):
        spread[:, row : row + levels, column : column + width] = group.spread
        row, column = row + levels, column + width
    basis = np.concatenate([g.basis for g in groups])  # (p, n, k)
    return RoundedLevels(basis, Rounded(value, error, arithmetic), spread)


def swept_levels_bound(
    W: Rounded,
    groups: Sequence[RoundedLevels],
    S: Rounded,
    *,
    sweeps: int,
    config: Refinement = REFINEMENT,
) -> list[RoundedLevels]:
    """Bound of the levels of :func:`~subbit.reference.groups.together.sweep_groups`.

    Parameters
    ----------
    W : Rounded
        Values that the groups together have to match, shape (n, k).
    groups : sequence of RoundedLevels
        The groups before the first sweep.
    S : Rounded
        Gram matrix of the inputs, shape (k, k).
    sweeps : int
        Rounds over all groups.
    config : Refinement
        How levels are fitted, one after the other.

    Returns
    -------
    list of RoundedLevels
        The groups after the last sweep.

    Notes
    -----
    1. A port subtracts the image of the other groups, from a sum that it may keep through all
       sweeps, before it forms the products with the target; these are as in
       :func:`~subbit.reference.bounds.groups.arb_x.calibrated_sums_bound`.
    2. A step's own error is that of the scalar steps of
       :func:`~subbit.reference.bounds.groups.arb_x.calibrate_levels_bound`.
    3. It goes on to all levels of all groups by ``-G_pq / G_pp``.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> port = Arithmetic("float32")
    >>> W, S = port.read([[4.0, 1.0, 1.0, 0.0]]), port.read(np.eye(4))
    >>> left = RoundedLevels.of(arb_start(W.value, W.value > 1.0), port)
    >>> rest = RoundedLevels.of(arb_start(W.value, W.value <= 1.0), port)
    >>> made = swept_levels_bound(W, [left, rest], S, sweeps=1)
    >>> made[1].levels.value.round(3), bool(made[1].levels.error.max() < 1e-5)
    (array([[0.5, 0.5]]), True)
    """
    state = joined(groups)
    G, _ = _sums(W, state.basis, S)
    owners = [number for number, group in enumerate(groups) for _ in group.basis]
    updates = 2 * len(groups) * (sweeps + 1) + 3
    for _ in range(sweeps):
        for number in range(len(groups)):
            own = np.flatnonzero(np.array(owners) == number)
            target = _left_by_others(state, W, own, updates)
            state = _fitted(state, target, (S, G), own, config)
    return [state.part(np.flatnonzero(np.array(owners) == n)) for n in range(len(groups))]


def _left_by_others(state: RoundedLevels, W: Rounded, own: Indices, updates: int) -> Rounded:
    """Return the target of some levels, with the errors of the subtraction alone."""
    arithmetic = W.arithmetic
    image = np.zeros(W.shape)
    sizes = np.zeros(W.shape)
    for place, e in enumerate(state.basis):
        with np.errstate(invalid="ignore"):
            sizes += state.levels.reach[:, [place]] * np.abs(e)
        if place not in own:
            image += state.levels.value[:, [place]] * e
    with np.errstate(invalid="ignore"):
        error = W.error + arithmetic.gamma(updates) * (W.reach + sizes)
    return Rounded(W.value - image, np.where(np.isfinite(error), error, np.inf), arithmetic)


def _fitted(
    state: RoundedLevels, target: Rounded, sums: tuple[Rounded, Rounded], own: Indices,
    config: Refinement,
) -> RoundedLevels:  # fmt: skip
    """Fit the levels of one group, and carry their errors on."""
    S, G = sums
    arithmetic, before = target.arithmetic, state.spread.shape[2]
    mean = state.levels[:, own[0]]
    # A port may subtract its own mean first and refine the change: both are then rounded.
    first = np.where(np.isfinite(mean.error), mean.reach, np.abs(mean.value))
    known = arithmetic.exactly(state.basis[own[0]] * first[:, None])
    apart = _stack([_form(e, S, known) for e in state.basis[own]])
    g = _stack([_form(e, S, target) for e in state.basis[own]])
    g = g.widen(2.0 * apart.error + arithmetic.gamma(8) * apart.reach)
    eps, kind = config.calibrated_eps, config.eps_kind
    divisors = [
        _denominator(
            G[:, place, place],
            state.basis[place],
            S,
            eps=eps,
            precision=config.mean_denominator if len(own) == 2 and p == 0 else "float64",
        )
        for p, place in enumerate(own)
    ]
    total = divisors[0].value
    total = total + eps * (np.mean(total) if kind == "relative" else 1.0)
    for _ in range(config.calibrated_iterations):
        for p, place in enumerate(own):
            old = Rounded(state.levels.value[:, place], np.zeros(len(first)), arithmetic)
            left = _others(
                G[:, place][:, own], g[:, p], state.levels[:, own], first, p, lost=_lost(S)
            )
            if p == 0:
                left = left.widen(arithmetic.gamma(4) * total * first)
            new = quotient_bound(left, divisors[p], old, eps, kind)
            state = state.moved(place, new, _slopes(G[:, place], divisors[p], place, eps, kind))
    return _boxed(state, own, before)


def _boxed(state: RoundedLevels, own: Indices, before: int) -> RoundedLevels:
    """Replace the roundings of a fit, of which there are many, by one for each level."""
    kept, new = state.spread[:, :, :before], np.abs(state.spread[:, :, before:]).sum(axis=2)
    boxes = (new[:, :, None] * np.eye(new.shape[1]))[:, :, own]
    return RoundedLevels(state.basis, state.levels, np.concatenate([kept, boxes], axis=2))
