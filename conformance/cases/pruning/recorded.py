"""Levels that a record decides
============================

Where rounding decides a sign on the way of a pruned group, its last levels have no bound by
themselves. Often the record settles them all the same: exact levels of frozen signs depend on
nothing that came before them. Where the mask and the signs of a row depend on each other, many
levels are as good; but all of them decode to the same values, and these are judged. Alternation
finds them at once if all signs of the row are alike.
"""

import numpy as np

from subbit.conformance.cases.groups.arb import levels_of, signs_in
from subbit.conformance.cases.judge import Judge
from subbit.conformance.inputs.families import Array, Mask
from subbit.reference import SPBO, BinaryGroup
from subbit.reference.bounds.groups.refinement import RoundedLevels
from subbit.reference.bounds.least_squares import known_rank
from subbit.reference.bounds.pruning.spbo import spbo_step_bound
from subbit.reference.bounds.rounding import Input, Rounded


def judge_recorded(
    judge: Judge,
    weights: Rounded,
    group: BinaryGroup,
    S: Input,
    *,
    kept: Mask,
    levels: Rounded,
    config: SPBO,
) -> None:
    """Judge the levels of a group that has been pruned step by step.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    weights : Rounded
        Weights, zero outside the group's entries before any was pruned, shape (n, k).
    group : BinaryGroup
        The port's group.
    S : ndarray of float64 or Rounded, shape (k, k)
        Gram matrix of the inputs.
    kept : ndarray of bool, shape (n, k)
        The group's entries in the end.
    levels : Rounded
        Levels by the bounds of all steps, infinite where a decision was left to rounding,
        shape (n, p).
    config : SPBO
        The switches.
    """
    how, basis = config.refinement, np.stack([group.mask, *signs_in(group)]).astype(np.float64)
    exact = config.changed(levels="exact")
    if config.signs == "frozen" and how.levels == "exact":
        levels = _refit(weights, basis, S, kept=kept, config=exact)
    known = np.isfinite(levels.error).all(axis=1)
    independent = known_rank(np.einsum("pij,qij->ipq", basis, basis)).T
    reduced = basis * independent[:, :, None]
    fits = how.calibrated_iterations > 0 and how.calibrated_eps == 0.0
    alike = np.count_nonzero(independent, axis=0) == 1
    settled = ~known & (config.signs == "frozen")
    settled &= (how.levels == "exact") | (fits & alike)
    fewer = _refit(weights, reduced, S, kept=kept, config=exact)
    settled &= np.isfinite(fewer.error).all(axis=1)
    _judge_values(judge, group, fewer, reduced, settled)
    # An empty row decodes to nothing, whatever its levels.
    empty = ~known & ~np.any(group.mask, axis=1)
    judge.true("levels of empty rows are numbers", np.isfinite(levels_of(group)[empty]).all())
    rest = ~(settled | empty)
    judge.bound("levels", levels_of(group)[rest], levels[rest])


def _refit(weights: Rounded, basis: Array, S: Input, *, kept: Mask, config: SPBO) -> Rounded:
    arithmetic = weights.arithmetic
    blank = np.zeros((len(weights.value), len(basis)))
    # A port may subtract its last mean before it fits.
    blank[:, 0] = np.max(weights.reach, axis=1, initial=0.0)
    state = RoundedLevels.at(basis, arithmetic.read(blank))
    return spbo_step_bound(weights, state, kept, S, config=config, arithmetic=arithmetic).levels


def _judge_values(
    judge: Judge, group: BinaryGroup, levels: Rounded, basis: Array, rows: Mask
) -> None:
    parts = np.sum(np.abs(levels_of(group)), axis=1) + np.sum(levels.reach, axis=1)
    # The port's levels are rounded one by one, and so is their sum.
    rounded = judge.arithmetic.gamma(4 * len(basis) + 4) * parts[:, None]
    value = np.einsum("ip,pij->ij", levels.value, basis)
    with np.errstate(invalid="ignore"):
        error = np.einsum("ip,pij->ij", levels.error, np.abs(basis)) + rounded
    own = group.mask & rows[:, None]
    wanted = Rounded(value[own], error[own], levels.arithmetic)
    judge.bound("decoded values of rows with dependent signs", group.decode()[own], wanted)
