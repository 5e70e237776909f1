"""What a pruned record says about the groups before: all ways, and only those."""

from dataclasses import replace

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.cases.cells import MOST, recorded_cells
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.pruning.spbo import Run, judge_run
from subbit.conformance.cases.zones.column_groups import GroupsState
from subbit.reference import SPBO
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.zones.column_groups import ARB_GROUPS

SINGLE = Arithmetic("float32")
FORMS = {
    "shared": ARB_GROUPS.changed(bitmap="shared"),
    "zones": ARB_GROUPS.changed(bitmap="zones"),
    "no bitmap": ARB_GROUPS.changed(column_groups=False),
}


def drawn(config, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((4, 16))
    alive, salient = np.ones(16, dtype=bool), np.arange(16) < 4
    state = GroupsState(SINGLE.read(W), SINGLE.read(W**2), alive, config, SINGLE.read(np.eye(16)))
    zones = reference.choose_column_groups(W, W**2, alive, salient, config, gram=np.eye(16))
    kept = np.abs(W) > np.quantile(np.abs(W), 0.3)
    return state, salient, [zone.mask for zone in zones], kept


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_the_groups_are_among_the_ways_to_complete_their_kept_part(form, seed):
    state, salient, cells, kept = drawn(FORMS[form], seed)
    found = recorded_cells(state, salient, [cell & kept for cell in cells], kept)
    assert 1 <= len(found) <= MOST + 1
    assert any(same(way, cells) for way in found)
    for way in found:
        assert same([cell & kept for cell in way], [cell & kept for cell in cells])
        assert np.all(np.sum(way, axis=0) == 1)


@pytest.mark.parametrize("form", FORMS)
def test_masks_that_no_threshold_cuts_have_no_way(form):
    state, salient, cells, kept = drawn(FORMS[form])
    masks = [cell & kept for cell in cells]
    # The largest kept entry of the last zone changes sides with the smallest.
    *_, large, small = masks
    if form == "no bitmap":
        large, small = masks[1], masks[2]
    size = np.abs(state.weights.value)
    top = np.unravel_index(np.argmax(np.where(large, size, 0.0)), size.shape)
    low = np.unravel_index(np.argmin(np.where(small, size, np.inf)), size.shape)
    large[top], small[top], large[low], small[low] = False, True, True, False
    assert recorded_cells(state, salient, masks, kept) == []


def test_a_pruned_weight_on_the_threshold_may_be_on_either_side():
    state, salient, cells, kept = drawn(ARB_GROUPS.changed(column_groups=False, grid="breakpoints"))
    size, (_, large, small) = np.abs(state.weights.value), cells
    edge = np.min(size[large])
    kept |= (size != edge) & ~salient
    kept[size == edge] = False
    masks = [cells[0] & kept, large & kept, small & kept]
    sides = {bool(way[1][size == edge][0]) for way in recorded_cells(state, salient, masks, kept)}
    assert sides == {True, False}
    held = state.weights.value.astype(np.float32).astype(np.float64)
    exactly = replace(state, weights=Rounded(held, np.zeros(held.shape), SINGLE))
    below = {bool(way[1][size == edge][0]) for way in recorded_cells(exactly, salient, masks, kept)}
    # Exact keys leave the rule for ties, and the next candidate.
    assert True in below


def run_of(levels, order):
    """A group of few entries per row, known only to rounding, so that it decides their signs."""
    rng = np.random.default_rng(1)
    W = rng.standard_normal((5, 6))
    cell = np.arange(6) < np.arange(5)[:, None]
    config = SPBO(
        levels=levels, calibrated_iterations=2, calibrated_eps=0.0, calibrated_start="standard"
    )
    weights = Rounded(W, np.full(W.shape, 1e-6), SINGLE)
    masks = np.zeros((0, *W.shape), dtype=bool)
    X = rng.standard_normal((30, 6))
    return Run(weights, cell, masks, X.T @ X, order, config)


@pytest.mark.parametrize("levels", ["exact", "alternate"])
@pytest.mark.parametrize("order", [1, 2])
@np.errstate(all="ignore")
def test_levels_that_rounding_leaves_open_are_judged_by_what_they_decode_to(levels, order):
    run = run_of(levels, order)
    group = run.group()
    # What one level of the first row with an entry gains, the other loses.
    judge = Judge(SINGLE)
    judge_run(judge, run, group)
    assert judge.ratio <= 1.0
    assert judge.counts.bounded >= np.count_nonzero(run.cell[:2])
    row = 1
    sign = group.planes[0].sign[row, 0]
    mean, scale = group.mean.copy(), group.planes[0].row_scale.copy()
    mean[row] += 0.25 * sign
    scale[row] -= 0.25
    first = replace(group.planes[0], row_scale=scale)
    moved = replace(group, mean=mean, planes=(first, *group.planes[1:]))
    judge = Judge(SINGLE)
    judge_run(judge, run, moved)
    assert judge.ratio <= 1.0
    mean[row] += 1e-3
    judge = Judge(SINGLE)
    judge_run(judge, run, replace(moved, mean=mean))
    assert judge.ratio > 1.0
    assert "dependent signs" in judge.sentence
