"""The column-group bitmap against the reference from the same state
==================================================================

Every cut of a zone is judged like BiLLM's: by a candidate threshold and by its objective.
The paper's bitmap has one threshold for both zones, so its objective is the sum of theirs;
after a cut, the next one is judged on the entries that the port itself left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.blocks import BlockState
from subbit.conformance.cases.draw import NEAR, Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import draw_preset
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.cases.zones.cuts import (
    Cut,
    Errors,
    errors_of_weights,
    finite,
    grid_bound,
    judge_cut,
    judge_sides,
)
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import ARBLLM, ColumnGroups
from subbit.reference.bounds.groups.arb_rc import rc_start_bound
from subbit.reference.bounds.rounding import Input, Rounded
from subbit.reference.bounds.zones import calibrated_split
from subbit.reference.bounds.zones.split import bell_split_search_bound
from subbit.reference.zones.column_groups import ARB_GROUPS

METHODS = ("arb", "arb-x", "arb-rc")

Part = tuple[Mask, int]
"""Entries, and the order that they are binarized to."""


@dataclass(frozen=True, eq=False)
class GroupsState(BlockState):
    """State that a block's groups were chosen from.

    Parameters
    ----------
    weights, scores, alive
        As in :class:`~subbit.conformance.cases.blocks.BlockState`.
    config : ColumnGroups
        The configuration.
    gram : Rounded
        Gram matrix of the inputs, shape (k, k).
    image : Rounded
        Decoded values of the salient entries, shape (n, k); the searches' target by default.
    """

    config: ColumnGroups
    gram: Rounded
    image: Rounded | None = None


def forms(config: ColumnGroups) -> list[tuple[str, int]]:
    """Return names and orders of a block's groups.

    Parameters
    ----------
    config : ColumnGroups
        The configuration.

    Returns
    -------
    list of tuple
        Name and order of each group, the salient ones first.

    Examples
    --------
    >>> forms(ColumnGroups(column_groups=False))
    [('salient', 2), ('sparse', 1), ('concentrated', 1)]
    """
    many = range(1, config.splits + 1)
    rest = [f"sparse-{i}" for i in many] if config.splits > 1 else ["sparse"]
    rest = [*rest, "concentrated"]
    salient = [f"salient-{name}" for name in rest] if config.column_groups else ["salient"]
    return [(name, 2) for name in salient] + [(name, 1) for name in rest]


def judge_groups(judge: Judge, state: GroupsState, salient: Mask, masks: Sequence[Mask]) -> None:
    """Judge how a port partitioned a block.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : GroupsState
        State that they were chosen from.
    salient : ndarray of bool, shape (k,)
        The salient columns.
    masks : sequence of ndarray of bool, shape (n, k)
        The port's groups, in the order of :func:`forms`.
    """
    config, shape = state.config, state.weights.shape
    judge.form("shapes of the masks", [mask.shape for mask in masks], [shape] * len(masks))
    if any(mask.shape != shape for mask in masks):
        return
    cover = np.sum(np.asarray(masks, dtype=np.intp), axis=0)
    judge.exact("groups at each entry", cover, np.broadcast_to(state.alive, shape).astype(np.intp))
    chosen, rest = (np.broadcast_to(x & state.alive, shape) for x in (salient, ~salient))
    if not (finite(state.searched) and finite(state.key)):
        judge.skip(state.key.value.size, "cuts of a state without a bound")
        return
    count = len(masks) - config.splits - 1
    above, below = list(masks[:count]), list(masks[count:])
    if not config.column_groups:
        judge.exact("salient mask", above[0], chosen)
        _judge_zone(judge, state, [(rest, 1)], below)
    elif config.bitmap == "shared":
        judge.exact("salient entries", np.any(above, axis=0), chosen)
        together = [a | b for a, b in zip(above, below, strict=True)]
        _judge_zone(judge, state, [(chosen, 2), (rest, 1)], together)
    else:
        _judge_zone(judge, replace(state, config=on_weights(config)), [(chosen, 2)], above)
        _judge_zone(judge, state, [(rest, 1)], below)


def on_weights(config: ColumnGroups) -> ColumnGroups:
    """Return the configuration of the salient zone: only the rest is searched on outputs.

    Parameters
    ----------
    config : ColumnGroups
        The configuration.

    Returns
    -------
    ColumnGroups
        The same, searched on weights.
    """
    return config.changed(split_error="weights")


def _judge_zone(
    judge: Judge, state: GroupsState, parts: Sequence[Part], masks: Sequence[Mask]
) -> None:
    *cuts, last = masks
    left = np.logical_or.reduce([part for part, _ in parts])
    spent = _Spent(judge, state, parts[0][1])
    for number, large in enumerate(cuts):
        judge.true(f"cut {number + 1} takes only remaining entries", not np.any(large & ~left))
        if left.any():
            here = [(part & left, order) for part, order in parts]
            cut = cut_of(state, here, left)
            if cut is None:
                judge.skip(1, "a cut whose candidates rounding decides")
            else:
                spent.judge(cut, left & ~large, alone=_alone(state.config, parts))
        left = left & ~large
        if number + 1 < len(cuts):
            spent.take(large)
    judge.exact("entries that no cut took", last, left)


def _alone(config: ColumnGroups, parts: Sequence[Part]) -> bool:
    # Otherwise a cut has to beat the previous ones.
    return config.minimum == "reset" or len(parts) > 1


def cut_of(state: GroupsState, parts: Sequence[Part], entries: Mask) -> Cut | None:
    """Return a cut of some entries.

    Parameters
    ----------
    state : GroupsState
        State that the groups were chosen from.
    parts : sequence of tuple
        Entries of each zone, and the order that they are binarized to.
    entries : ndarray of bool, shape (n, k)
        All of them together.

    Returns
    -------
    Cut or None
        The cut; None where rounding decides what its candidates are.
    """
    key = state.key
    grid, part = state.partition.grid, entries
    if grid == "quantiles_with_zeros" and len(parts) == 1 and parts[0][1] == 2:
        # The released grid of the salient zone: its nonzero entries.
        if np.any(part & (np.abs(key.value) <= key.error) & (key.error > 0.0)):
            return None
        nonzero = part & (key.value > 0.0)
        grid, part = "quantiles", nonzero if nonzero.any() else part

    errors = [_errors(state, one) for one in parts]
    one = errors[0] if len(errors) == 1 else _Together(errors)
    return Cut(key, entries, grid_bound(key, part, grid), state.partition.closed, one)


@dataclass(frozen=True, eq=False)
class _OutputErrors:
    """Objectives on outputs."""

    state: GroupsState
    part: Mask
    order: int

    @property
    def _switches(self) -> dict[str, Any]:
        return {"orders": (self.order, self.order), **self.state.partition.binarizer}

    def bound(self, thresholds: Input, key: Input, *, closed: bool) -> Rounded:
        state, target = self.state, self.state.searched
        return calibrated_split.calibrated_split_search_bound(
            target,
            self.part,
            thresholds,
            state.gram,
            image=state.image,
            key=key,
            closed=closed,
            **self._switches,
            arithmetic=target.arithmetic,
        )

    def plain(self, thresholds: Array, key: Array, *, closed: bool) -> Array:
        state = self.state
        return reference.calibrated_split_search(
            state.searched.value,
            self.part,
            thresholds,
            state.gram.value,
            image=None if state.image is None else state.image.value,
            key=key,
            closed=closed,
            **self._switches,
        ).objectives


@dataclass(frozen=True, eq=False)
class _Together:
    """Objectives of two zones with one threshold."""

    errors: Sequence[Errors]

    def bound(self, thresholds: Input, key: Input, *, closed: bool) -> Rounded:
        first, second = (one.bound(thresholds, key, closed=closed) for one in self.errors)
        return first + second

    def plain(self, thresholds: Array, key: Array, *, closed: bool) -> Array:
        first, second = (one.plain(thresholds, key, closed=closed) for one in self.errors)
        return np.asarray(first + second)


def _errors(state: GroupsState, part: Part) -> Errors:
    (mask, order), config = part, state.config
    if config.split_error == "weights" or (config.column_groups and config.bitmap == "shared"):
        return errors_of_weights(state.searched, mask, order, state.partition)
    return _OutputErrors(state, mask, order)


class _Spent:
    """The least error of all cuts of a zone so far, and the error of the entries they took."""

    def __init__(self, judge: Judge, state: GroupsState, order: int) -> None:
        self._judge, self._state, self._order = judge, state, order
        self._taken = judge.arithmetic.exactly(0.0)
        self._least = (np.inf, np.inf)

    def judge(self, cut: Cut, concentrated: Mask, *, alone: bool) -> None:
        if alone:
            judge_cut(self._judge, cut, concentrated)
            return
        tried = cut.errors.bound(cut.distinct(), cut.key, closed=cut.closed) + self._taken
        low, high = (float(np.min(tried.value + sign * tried.error)) for sign in (-1.0, 1.0))
        if high < self._least[0]:
            judge_cut(self._judge, cut, concentrated)
        elif low >= self._least[1]:
            # Nothing beats the previous cuts: the first candidate is taken.
            judge_sides(self._judge, replace(cut, thresholds=cut.thresholds[:1]), concentrated)
        else:
            self._judge.skip(1, "a cut that rounding lets beat the previous ones")
            judge_sides(self._judge, cut, concentrated)
        self._least = min(self._least[0], low), min(self._least[1], high)

    def take(self, mask: Mask) -> None:
        self._taken += self._error(mask)

    def _error(self, mask: Mask) -> Rounded:
        state, arithmetic = self._state, self._judge.arithmetic
        if state.config.taken_error == "row_column":
            own = state.searched.keep(mask)
            scales, distances = rc_start_bound(own, mask, order=self._order, arithmetic=arithmetic)
            for number, distance in enumerate(distances):
                if np.any(mask & (np.abs(distance.value) <= distance.error)):
                    return Rounded(np.asarray(0.0), np.asarray(np.inf), arithmetic)
                own -= scales.product(number).flip(scales.signs[number])
            return (own * own).total()
        found = bell_split_search_bound(
            state.searched,
            mask,
            [0.5],
            key=np.zeros(mask.shape),
            orders=(self._order, 1),
            **state.partition.binarizer,
            arithmetic=arithmetic,
        )
        return found[0]


def drawn_block(draw: Draw, judge: Judge) -> tuple[GroupsState, ARBLLM]:
    """Draw an exactly known state for the steps of a block.

    Parameters
    ----------
    draw : Draw
        The case.
    judge : Judge
        Collects the comparisons.

    Returns
    -------
    state : GroupsState
        The state.
    config : ARBLLM
        One of ARB-LLM's presets; its groups are the state's.
    """
    W = draw.weights(CONTINUOUS, rows=(2, 5), columns=(4, 24))
    S = W**2 * draw.rng.uniform(0.5, 2.0, W.shape[1])
    gram = draw.hessian(W.shape[1]) / 2
    config, read = drawn_preset(draw), judge.arithmetic.read
    columns = draw.columns(W.shape[1])
    return GroupsState(read(W), read(S), columns, config.zones, read(gram)), config


def drawn_preset(draw: Draw, methods: Sequence[str] = METHODS) -> ARBLLM:
    """Draw one of ARB-LLM's presets.

    Parameters
    ----------
    draw : Draw
        The case.
    methods : sequence of str
        The methods to draw from.

    Returns
    -------
    ARBLLM
        The configuration.
    """
    config: ARBLLM = draw_preset(draw, draw.pick("method", methods))[1]
    return config


@operation(2)
def _choose_column_groups(port: Port, judge: Judge, draw: Draw) -> None:
    """The groups of a block whose salient columns are given."""
    state, _ = drawn_block(draw, judge)
    own = state.partition.grid
    config = state.config.changed(
        grid=draw.pick("grid", (own, own, "breakpoints", "maximum")),
        bitmap=draw.pick("bitmap", ("shared", "zones", "zones")),
        splits=draw.pick("splits", (1, 1, 2, 3)),
        minimum=draw.pick("minimum", ("reset", "kept")),
        split_error=draw.pick("split error", ("weights", "outputs")),
    )
    state = replace(state, config=config)
    W, S, gram = state.weights.value, state.scores.value, state.gram.value
    salient = state.alive & (draw.rng.random(W.shape[1]) < draw.pick("salient", (0.3, 0.6, 0.0)))
    image = None
    if draw.pick("image", ("none", "given", "given")) == "given":
        image = draw.rng.standard_normal(W.shape) * np.abs(state.searched.value).max()
        state = replace(state, image=judge.arithmetic.read(image))
    zones = port.choose_column_groups(W, S, state.alive, salient, config, gram=gram, image=image)
    judge.form("names and orders", [(z.name, z.order) for z in zones], forms(config))
    if judge.ratio < np.inf:
        judge_groups(judge, state, salient, [np.asarray(host(zone.mask)) for zone in zones])


# One case beside a decision; others take long to find.
@operation(2, "choose_column_groups", share=0.5, decides=False, large=(*LARGE, NEAR))
def _further_cuts(port: Port, judge: Judge, draw: Draw) -> None:
    """Many cuts of each zone, where the running minimum decides, as errors of scores soon rise."""
    W = draw.weights(CONTINUOUS, rows=(3, 4), columns=(20, 28))
    S = W**2 * draw.rng.uniform(0.5, 2.0, W.shape[1])
    config = ARB_GROUPS.changed(
        bitmap="zones",
        search_on="scores",
        split_by=draw.pick("split by", ("weights", "scores")),
        splits=draw.pick("splits", (3, 4, 5)),
        minimum=draw.pick("minimum", ("kept", "kept", "kept", "reset")),
        taken_error=draw.pick("taken error", ("residual", "row_column")),
        closed=draw.pick("closed", (True, False)),
    )
    everything = np.ones(W.shape[1], dtype=np.bool_)
    salient = np.asarray(draw.rng.random(W.shape[1]) < 0.4)
    zones = port.choose_column_groups(W, S, everything, salient, config)
    judge.form("names and orders", [(z.name, z.order) for z in zones], forms(config))
    if judge.ratio < np.inf:
        read = judge.arithmetic.read
        gram = read(np.eye(W.shape[1]))
        state = GroupsState(read(W), read(S), everything, config, gram)
        judge_groups(judge, state, salient, [np.asarray(host(zone.mask)) for zone in zones])
