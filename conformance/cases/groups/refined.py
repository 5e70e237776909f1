"""Groups of ARB-LLM against the reference from the same state
===========================================================

A refined group is judged by all half steps of its loop together where no decision on the
way was left to rounding, elsewhere by two properties: signs that are the best for its own
levels, and an error that has not risen above that of the start.

ARB-X leaves its signs alone, so levels were fitted to the signs of the port's record: with
the plain start, and with levels that are fitted at once, nothing is left undecided.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from subbit import reference
from subbit.conformance.cases.groups.arb import flushed_in_rows, levels_of, signs_in
from subbit.conformance.cases.groups.arb_rc import scales_of
from subbit.conformance.cases.groups.joint_fit import first_fit, judge_joint_fit
from subbit.conformance.cases.groups.joint_signs import judge_joint, judge_signs
from subbit.conformance.cases.groups.judged import signs_of
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.zones.column_groups import GroupsState
from subbit.conformance.cases.zones.cuts import finite
from subbit.conformance.inputs.families import Array, Mask
from subbit.reference import ARBLLM, BinaryGroup, Zone
from subbit.reference.bounds.groups import arb_runs
from subbit.reference.bounds.groups.arb import arb_start_bound
from subbit.reference.bounds.groups.arb_rc import RoundedScales
from subbit.reference.bounds.groups.arb_sweeps import swept_levels_bound
from subbit.reference.bounds.groups.arb_x import calibrate_levels_bound
from subbit.reference.bounds.groups.refinement import RoundedLevels
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.notation import AnyArray

LOOSE = 2.0**-5
"""Share of a row's largest weight beyond which a bound says nothing."""
RISE = 1e-3
"""Share of its energy by which a row's error may exceed that of the start."""


def _formed(judge: Judge, group: object, zone: Zone, config: ARBLLM) -> BinaryGroup | None:
    """Return the group if its parts can be compared."""
    if not isinstance(group, BinaryGroup):
        judge.fail(f"group {zone.name} is not binary")
        return None
    by_columns, shape = config.algorithm == "arb_rc", zone.mask.shape
    judge.form("name", group.name, zone.name)
    judge.form(f"mask of {zone.name}", group.mask, zone.mask)
    judge.form("shapes of signs", [s.shape for s in signs_in(group)], [shape] * zone.order)
    judge.form("mean is there", group.mean is not None, not by_columns)
    kept = [plane.column_scale is not None for plane in group.planes]
    judge.form("column scales are there", kept, [by_columns] * zone.order)
    if judge.ratio == np.inf:
        return None
    for found in signs_in(group):
        judge.true("signs are -1, 0 or 1", np.isin(found, (-1, 0, 1)).all())
        judge.true(f"no signs outside of {zone.name}", not np.any(found[~zone.mask]))
    judge.true(f"{zone.name} decodes to numbers", np.isfinite(group.decode()).all())
    return group if judge.ratio < np.inf else None


def fitted_columns(mask: Mask, config: ARBLLM) -> Mask:
    """Return the columns that a group is fitted to: those with entries.

    Parameters
    ----------
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    config : ARBLLM
        The configuration. Initial sums that are divided by the width take all columns.

    Returns
    -------
    ndarray of bool, shape (k,)
        The columns; all where there are no entries.
    """
    used = np.asarray(np.any(mask, axis=0))
    by_width = config.refinement.divisor == "width" and config.algorithm != "arb_rc"
    return np.ones_like(used) if by_width or not used.any() else used


@dataclass(frozen=True, eq=False)
class _Part:
    """A group and its weights, in the columns that it is fitted to."""

    weights: Rounded
    mask: Mask
    group: BinaryGroup
    order: int
    config: ARBLLM

    @classmethod
    def of(cls, weights: Rounded, zone: Zone, group: BinaryGroup, config: ARBLLM) -> "_Part":
        columns = fitted_columns(zone.mask, config)
        planes = []
        for plane in group.planes:
            scales = plane.column_scale
            scales = None if scales is None else host(scales)[columns]
            planes.append(replace(plane, sign=host(plane.sign)[:, columns], column_scale=scales))
        mask = zone.mask[:, columns]
        own = replace(group, mask=mask, planes=tuple(planes))
        return cls(weights[:, columns], mask, own, zone.order, config)

    @property
    def signs(self) -> tuple[AnyArray, ...]:
        return signs_in(self.group)


def judge_refined(
    judge: Judge,
    state: GroupsState,
    config: ARBLLM,
    zones: Sequence[Zone],
    groups: Sequence[object],
) -> None:
    """Judge the groups of a block by the weights and masks that they were made from.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : GroupsState
        The weights and the Gram matrix.
    config : ARBLLM
        The configuration.
    zones : sequence of Zone
        Names, masks and orders.
    groups : sequence
        The port's records.
    """
    weights = state.weights
    judge.form("number of groups", len(groups), len(zones))
    if len(groups) != len(zones):
        return
    formed = [_formed(judge, *pair, config) for pair in zip(groups, zones, strict=True)]
    known = [group for group in formed if group is not None]
    if len(known) < len(zones):
        return
    if not finite(weights):
        judge.skip(weights.value.size, "groups of a state without a bound")
        return
    parts = [
        _Part.of(weights, zone, group, config) for zone, group in zip(zones, known, strict=True)
    ]
    if config.algorithm == "arb_x":
        _judge_calibrated(judge, state, zones, parts)
        if config.refinement.levels == "exact":
            judge_joint_fit(
                judge,
                weights,
                state.gram,
                config,
                known,
                begin=lambda W, S: [first_fit(W, S, g, g.mask, config) for g in known],
            )
        return
    for zone, group, part in zip(zones, known, parts, strict=True):
        if config.algorithm == "arb":
            _judge_levels(judge, part)
        else:
            _judge_empty(judge, group, zone.mask)
            _judge_products(judge, part)


def _signs_where(judge: Judge, signs: Iterable[AnyArray], basis: Array, decided: Mask) -> None:
    for number, found in enumerate(signs):
        what = f"signs of order {number + 1}"
        judge.exact(what, found[decided], basis[number][decided].astype(np.int8))


def _judge_levels(judge: Judge, part: _Part) -> None:
    """ARB: means, scales and signs."""
    V, config = part.weights, part.config
    state, decided = arb_runs.arb_bound(
        V, part.mask, order=part.order, config=config.refinement, arithmetic=judge.arithmetic
    )
    _signs_where(judge, part.signs, state.basis[1:], decided)
    _judge_known(judge, part, state.levels)
    judge_signs(judge, V, part.group, part.group, zero=config.refinement.sign_zero)
    start = reference.arb_start(V.value, part.mask, order=part.order, config=config.refinement)
    _, sure = arb_runs.arb_start_levels(V, part.mask, order=part.order, config=config.refinement)
    _judge_risen(judge, part, start, sure)


def _judge_known(judge: Judge, part: _Part, levels: Rounded) -> None:
    """Judge levels, and where they have no bound, rows of so few entries that they fit all."""
    V, how, unknown = part.weights, part.config.refinement, ~np.isfinite(levels.error).all(axis=1)
    count = np.count_nonzero(part.mask, axis=1)
    fits = how.divisor == "entries" and how.initial_signs == "centered"
    rows = unknown & fits & (count > 0) & (count <= part.order)
    found, own = levels_of(part.group), part.mask & rows[:, None]
    # Whatever the signs: a level per entry represents it, up to the rounding of the levels
    # and what an eps takes from them.
    eps = how.eps * (how.iterations + 1) + how.calibrated_eps * (how.calibrated_iterations + 1)
    share = judge.arithmetic.gamma(16) + 4.0 * eps * (
        V.shape[1] if "relative" in how.eps_kind else 1
    )
    sizes = np.sum(np.abs(found), axis=1) + np.max(V.reach * part.mask, axis=1, initial=0.0)
    wanted = V.widen(share * sizes[:, None])[own]
    judge.bound("decoded values of rows of few entries", part.group.decode()[own], wanted)
    judge.bound("levels", found[~rows], levels[~rows])


def _judge_risen(judge: Judge, part: _Part, start: BinaryGroup, rows: Mask) -> None:
    V = part.weights.keep(part.mask)
    own, first = (np.sum((V.value - g.decode()) ** 2, axis=1) for g in (part.group, start))
    energy, moved = np.sum(V.value**2, axis=1), np.sqrt(np.sum(V.error**2, axis=1))
    share = RISE + 64 * V.shape[1] * judge.arithmetic.unit_roundoff
    allowed = share * energy + 4.0 * np.sqrt(energy) * moved + 2.0 * moved**2
    flushed = flushed_in_rows(first, part.group, part.config.refinement, judge.arithmetic)
    for row in np.flatnonzero(rows):
        name = f"error of row {row}"
        judge.objective(name, own[row], first[row], allowed[row], flushed[row])


def _judge_empty(judge: Judge, group: BinaryGroup, mask: Mask) -> None:
    empty = ~np.any(mask, axis=0)
    for plane in group.planes:
        if plane.column_scale is not None:
            scales = host(plane.column_scale)[empty]
            judge.exact("scales of columns without entries", scales, np.zeros(scales.shape))


def _judge_products(judge: Judge, part: _Part) -> None:
    """ARB-RC: products of scales, and signs."""
    V, mask, config, arithmetic = part.weights, part.mask, part.config, judge.arithmetic
    judge.true("all scales are numbers", np.isfinite(scales_of(part.group)).all())
    scales = RoundedScales.of(part.group, arithmetic)
    if part.order == 2:
        judge_joint(judge, V, (scales.product(0), scales.product(1)), part.signs, mask)
    else:
        signs_of(judge, part.signs[0], V, mask, config.refinement.sign_zero)
    state, decided = arb_runs.arb_rc_bound(
        V,
        mask,
        order=part.order,
        config=config.refinement,
        column_signs=config.column_signs,
        arithmetic=arithmetic,
    )
    if not decided:
        judge.skip(scales_of(part.group).size, "products of scales whose signs rounding decides")
        return
    _signs_where(judge, part.signs, state.signs, np.ones(len(mask), dtype=np.bool_))
    for number in range(part.order):
        product = state.product(number)
        # The port's factors are multiplied here, in float64.
        wider = product.widen(arithmetic.gamma(1) * product.reach)
        found = scales.rows(number).value[:, None] * scales.columns(number).value
        judge.bound(f"products of order {number + 1}", found, wider)


def _judge_calibrated(
    judge: Judge, state: GroupsState, zones: Sequence[Zone], parts: Sequence[_Part]
) -> None:
    """ARB-X: levels of all groups; with sweeps they depend on each other."""
    config, arithmetic = parts[0].config, judge.arithmetic
    fitted: list[RoundedLevels] = []
    sure: list[Mask] = []
    for zone, part in zip(zones, parts, strict=True):
        columns = fitted_columns(zone.mask, config)
        start, decided = _calibrated_start(judge, part)
        own, S = part.weights.keep(part.mask), state.gram[np.ix_(columns, columns)]
        first = calibrate_levels_bound(
            own, start, S, config=config.refinement, arithmetic=arithmetic
        )
        basis = np.zeros((len(first.basis), *zone.mask.shape))
        basis[:, :, columns] = first.basis
        fitted.append(RoundedLevels(basis, first.levels, first.spread))
        sure.append(
            arb_runs.decided_together(decided, config.refinement, config.refinement.calibrated_eps)
        )
    if config.sweeps and config.refinement.levels == "exact":
        # Levels that outnumber the entries are not determined: see judge_joint_fit.
        return
    if config.sweeps:
        known = np.logical_and.reduce(sure)
        made = swept_levels_bound(
            state.weights, fitted, state.gram, sweeps=config.sweeps, config=config.refinement
        )
        for group, zone, part in zip(made, zones, parts, strict=True):
            _judge_swept(judge, group, fitted_columns(zone.mask, config), part, known)
        return
    for group, part, decided in zip(fitted, parts, sure, strict=True):
        known = group.levels.widen(np.where(decided, 0.0, np.inf)[:, None])
        _judge_known(judge, part, known)


def _judge_swept(
    judge: Judge, made: RoundedLevels, columns: Mask, part: _Part, known: Mask
) -> None:
    """Judge levels that are known well, and what the others of their rows decode to."""
    size = np.max(part.weights.reach * part.mask, axis=1, initial=0.0)[:, None]
    unknown = np.where(known, 0.0, np.inf)[:, None]
    well = np.all(made.levels.error <= LOOSE * size, axis=1)[:, None] & known[:, None]
    levels = made.levels.widen(unknown)
    judge.bound("levels", levels_of(part.group)[well[:, 0]], levels[well[:, 0]])
    rest = part.mask & ~well
    image = made.decoded[:, columns].widen(unknown)
    loose = np.where(image.error <= LOOSE * size, 0.0, np.inf)
    judge.bound("decoded values", part.group.decode()[rest], image.widen(loose)[rest])


def _calibrated_start(judge: Judge, part: _Part) -> tuple[RoundedLevels, Mask]:
    """Signs and levels before calibration, and the rows in which they are known."""
    V, mask, config, order = part.weights, part.mask, part.config, part.order
    everywhere = np.ones(len(mask), dtype=np.bool_)
    if config.refinement.calibrated_start == "refined":
        state, decided = arb_runs.arb_bound(
            V, mask, order=order, config=config.refinement, arithmetic=judge.arithmetic
        )
        _signs_where(judge, part.signs, state.basis[1:], decided)
        if config.refinement.levels == "alternate":
            return _whatever_signs(state, decided, part) if config.sweeps else (state, decided)
        # Levels solved at once do not depend on the start, except for roundings.
        blank = 0.0 * state.levels.value
        blank[:, 0] = np.max(np.abs(V.value) * mask, axis=1, initial=0.0)
        return RoundedLevels.at(_basis(part), judge.arithmetic.read(blank)), everywhere
    bound = arb_start_bound(
        V,
        mask,
        order=order,
        config=config.refinement,
        signs=part.signs,
        arithmetic=judge.arithmetic,
    )
    for number, found in enumerate(part.signs):
        what, distance = f"signs of order {number + 1}", bound.distances[number]
        signs_of(judge, found, distance, mask, config.refinement.sign_zero, what=what)
    levels = [level for level in (bound.mean, *bound.scales) if level is not None]
    value, error = (np.column_stack([getattr(x, y) for x in levels]) for y in ("value", "error"))
    return RoundedLevels.at(_basis(part), Rounded(value, error, judge.arithmetic)), everywhere


def _whatever_signs(state: RoundedLevels, decided: Mask, part: _Part) -> tuple[RoundedLevels, Mask]:
    """Take the port's own signs, and a wide bound of its levels, where rounding decided signs."""
    wide = arb_runs.arb_any_signs_bound(
        part.weights, part.mask, order=part.order, config=part.config.refinement
    )
    rows = decided[:, None]
    levels = Rounded(
        np.where(rows, state.levels.value, wide.value),
        np.where(rows, state.levels.error, wide.error),
        wide.arithmetic,
    )
    own = RoundedLevels.at(_basis(part), levels)
    spread = np.zeros((*levels.shape, max(state.spread.shape[2], own.spread.shape[2])))
    for made, where in ((state, decided), (own, ~decided)):
        spread[where, :, : made.spread.shape[2]] = made.spread[where]
    return RoundedLevels(own.basis, levels, spread), decided | np.isfinite(wide.error).all(axis=1)


def _basis(part: _Part) -> Array:
    return np.stack([part.mask, *part.signs]).astype(np.float64)
