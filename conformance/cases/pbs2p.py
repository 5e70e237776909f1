"""Level 3: PBS2P
==============

Masks are judged in the rows where rounding cannot change the order of scores. A record
does not say which group a pruned weight belonged to; the candidate thresholds that cut the kept
weights as the port did say it, see :mod:`~subbit.conformance.cases.cells`. Then the cut is judged
like every other, and each group as a run of stepwise pruning.

Overall a layer may exceed the reference's by the share
:data:`~subbit.conformance.cases.layers.SLACK`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from subbit import reference
from subbit.conformance.cases.arb_llm import COUNTS
from subbit.conformance.cases.blocks import BlockState, judge_salient
from subbit.conformance.cases.cells import MOST, recorded_cells
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.arb_runs import on_host
from subbit.conformance.cases.groups.joint_fit import (
    allowed_of_fit,
    first_fit,
    judge_joint_fit,
    judge_last_fit,
    moved_fit,
    swept_image,
)
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import (
    INPUTS,
    judge_objective,
    live_columns,
    prepared_bound,
    scores_bound,
)
from subbit.conformance.cases.pruning.cfs import SCORES
from subbit.conformance.cases.pruning.spbo import Run, drawn_pattern, judge_run, masks_of
from subbit.conformance.cases.registry import operation
from subbit.conformance.cases.zones.column_groups import GroupsState, forms, judge_groups
from subbit.conformance.cases.zones.cuts import finite
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.inputs.moved import TRIES
from subbit.conformance.target import Port
from subbit.reference import PBS2P, BinaryGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.bounds.compensate import layer_states_bound
from subbit.reference.bounds.groups.arb_runs import decided_together
from subbit.reference.bounds.groups.binarize import masked_mean_bound
from subbit.reference.bounds.pruning.cfs import fine_scores_bound
from subbit.reference.bounds.pruning.removal import removal_move_bound
from subbit.reference.bounds.pruning.spbo import schedule_certain
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.pbs2p import PRUNED, REMOVED

KEEPS = ((4, 8), (5, 8), (6, 8))


@dataclass(frozen=True, eq=False)
class Pruned(BlockState):
    """State that a block was pruned and quantized from.

    Parameters
    ----------
    weights, scores, alive
        As in :class:`~subbit.conformance.cases.blocks.BlockState`.
    config : PBS2P
        The configuration.
    gram : Rounded
        Gram matrix of the inputs, shape (k, k).
    masks : ndarray of bool, shape (t, n, k)
        Entries kept after each step.
    certain : ndarray of bool, shape (n,)
        Rows whose masks are certain.
    """

    config: PBS2P
    gram: Rounded
    masks: Mask
    certain: Mask

    @property
    def kept(self) -> Mask:
        """Entries kept in the end."""
        everything = np.broadcast_to(self.alive, self.weights.shape)
        return everything & self.masks[-1] if len(self.masks) else everything


def masks_bound(
    weights: Rounded, H: Rounded, alive: Mask, config: PBS2P, unit: Rounded
) -> tuple[Mask, Mask]:
    """Return a block's masks, and the rows where rounding cannot change them.

    Parameters
    ----------
    weights : Rounded
        Weights, shape (n, k).
    H : Rounded
        Damped Hessian of the block, shape (k, k).
    alive : ndarray of bool, shape (k,)
        Columns to quantize.
    config : PBS2P
        The configuration.
    unit : Rounded
        Scores of weights of magnitude 1, shape (k,).

    Returns
    -------
    masks : ndarray of bool, shape (t, n, k)
        The reference's masks.
    certain : ndarray of bool, shape (n,)
        Rows in which a correct port has the same.
    """
    group, whole = config.pruning.keep[1], config.pruning.schedule == "parts"
    scores = _scored(weights, alive, config, unit)
    masks, certain = (
        masks_of(scores.value, config.pruning),
        schedule_certain(scores, group, whole=whole),
    )
    if config.fine.scores == "once":
        return masks, certain
    kept = np.ones(weights.shape, dtype=np.bool_)
    for t in range(len(masks)):
        moved = weights
        if t:
            moved = removal_move_bound(weights, H, ~kept, arithmetic=weights.arithmetic)
        scores = _scored(moved, alive, config, unit)
        value, error = np.where(kept, scores.value, REMOVED), np.where(kept, scores.error, 0.0)
        scores = Rounded(value, error, weights.arithmetic)
        certain = certain & schedule_certain(scores, group, whole=whole)
        kept = masks_of(scores.value, config.pruning)[t]
        masks[t] = kept
    return masks, certain


def _scored(weights: Rounded, alive: Mask, config: PBS2P, unit: Rounded) -> Rounded:
    arithmetic = weights.arithmetic
    if config.fine.center_scores:
        entries = np.broadcast_to(alive, weights.shape)
        mean = masked_mean_bound(weights, entries, arithmetic=arithmetic)
        weights = weights - mean[:, None]
    linear = config.fine.fine_score in {"magnitude", "wanda"}
    scores = (weights.absolute() if linear else weights * weights) * unit
    value, error = np.where(alive, scores.value, PRUNED), np.where(alive, scores.error, 0.0)
    return Rounded(value, error, arithmetic)


@operation(3, decides=True)
def _pruning_masks(port: Port, judge: Judge, draw: Draw) -> None:
    """Entries pruned in each step, from exactly known weights."""
    W = draw.weights(CONTINUOUS, rows=(1, 4), columns=(2, 24))
    H = reference.damp(draw.hessian(W.shape[1]), 0.01)
    config = PBS2P(
        **drawn_pattern(draw),
        fine_score=draw.pick("score", SCORES),
        scores=draw.pick("scores", ("once", "recomputed")),
        center_scores=draw.pick("centered", (False, True)),
    )
    alive, read = draw.columns(W.shape[1]), judge.arithmetic.read
    matrix, ones = read(H), np.ones((1, W.shape[1]))
    unit = fine_scores_bound(
        ones, matrix, score=config.fine.fine_score, arithmetic=judge.arithmetic
    )[0]
    given = {}
    if draw.pick("unit", ("own", "given")) == "given":
        given = {"unit": draw.rng.uniform(0.5, 2.0, W.shape[1])}
        unit = read(given["unit"])
    masks = host(port.pruning_masks(W, H, alive, config, **given))
    wanted, certain = masks_bound(read(W), matrix, alive, config, unit)
    judge.form("shape of the masks", masks.shape, wanted.shape)
    if judge.ratio < np.inf:
        _judge_pattern(judge, masks, config)
        judge.exact("masks", masks[:, certain], wanted[:, certain])
        judge.skip(wanted[:, ~certain].size, "masks of rows whose order of scores rounding decides")


def _judge_pattern(judge: Judge, masks: Mask, config: PBS2P) -> None:
    judge.true("masks are nested", not np.any(masks[1:] & ~masks[:-1]))
    if len(masks):
        keep, group = config.pruning.keep
        whole = masks.shape[2] - masks.shape[2] % group
        counts = masks[-1][:, :whole].reshape(len(masks[-1]), -1, group).sum(axis=2)
        judge.true(f"{keep} of every {group} are kept", np.all(counts == keep))


def judge_block(judge: Judge, state: Pruned, block: QuantizedBlock) -> None:
    """Judge all groups of a block.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : Pruned
        State that the block was quantized from.
    block : QuantizedBlock
        The port's record.
    """
    config, shape = state.config, state.weights.shape
    shared = config.pruning.mean == "shared"
    wanted = forms(config.zones) if config.partitioned else [("all", 1)]
    judge.true(
        "the pattern is recorded", block.pattern == (None if shared else config.pruning.keep)
    )
    judge.form("salient columns are recorded", block.salient is not None, config.partitioned)
    groups = _merged(judge, block, [name for name, _ in wanted], config)
    if groups is None:
        return
    if block.salient is None:
        _judge_runs(judge, state, groups, [np.broadcast_to(state.alive, shape)])
        return
    salient = np.asarray(host(block.salient))
    judge_salient(judge, state, salient)
    if judge.ratio == np.inf:
        return
    if not (finite(state.searched) and finite(state.key)):
        judge.skip(int(np.prod(shape)), "groups of a state without a bound")
        return
    zones = GroupsState(state.weights, state.scores, state.alive, config.zones, state.gram)
    masks = [np.asarray(group.mask) for group in groups]
    ways = [masks] if shared else recorded_cells(zones, salient, masks, state.kept)
    judge.true("a candidate cuts the kept entries as the groups do", ways)
    if len(ways) > MOST:
        judge.skip(int(np.prod(shape)), "groups whose pruned entries fit too many cuts")
        return
    trials = [Judge(judge.arithmetic) for _ in ways]
    for trial, cells in zip(trials, ways, strict=True):
        judge_groups(trial, zones, salient, cells)
        if trial.ratio <= 1.0:
            _judge_runs(trial, state, groups, cells)
    if trials:
        judge.take(min(trials, key=lambda trial: trial.ratio))


def _judge_runs(
    judge: Judge, state: Pruned, groups: Sequence[BinaryGroup], cells: Sequence[Mask]
) -> None:
    """Judge groups as runs of stepwise pruning, in the rows whose masks are certain."""
    config, shape = state.config, state.weights.shape
    rows = decided_together(
        state.certain, config.pruning.refinement, config.pruning.refinement.calibrated_eps
    )
    judge.skip(
        int(np.count_nonzero(~rows)) * shape[1], "groups of rows whose masks rounding decides"
    )
    if not rows.any():
        return
    weights, masks = state.weights[rows], state.masks[:, rows]
    own = [_part(group, rows) for group in groups]
    orders = [order for _, order in forms(config.zones)] if config.partitioned else [1]
    runs = [
        Run(weights, cell[rows], masks, state.gram, order, config.pruning)
        for cell, order in zip(cells, orders, strict=True)
    ]
    swept = config.sweeps > 0
    decided = [judge_run(judge, *pair, swept=swept) for pair in zip(runs, own, strict=True)]
    if swept and judge.ratio < np.inf:
        kept = masks[-1] if config.pruning.objective == "masked" and len(masks) else state.alive
        target = weights.keep(np.broadcast_to(state.alive & kept, weights.shape))
        sure = np.logical_and.reduce(decided)
        _judge_swept(judge, target, runs, own, config=config, decided=sure)


def _judge_swept(
    judge: Judge,
    target: Rounded,
    runs: Sequence[Run],
    groups: Sequence[BinaryGroup],
    *,
    config: PBS2P,
    decided: Mask,
) -> None:
    gram = runs[0].gram
    if config.pruning.signs == "frozen":
        pairs = list(zip(runs, groups, strict=True))
        judge_joint_fit(
            judge,
            target,
            gram,
            config,
            groups,
            begin=lambda W, S: [first_fit(W, S, group, run.cell, config) for run, group in pairs],
        )
        return
    # Signs are recomputed after the last fit before the sweeps, so a record does not show the
    # signs of that fit. They are the reference's where rounding decides none of them, or where
    # moving weights and inputs by rounding changes nothing.
    judge_last_fit(judge, target, gram, config, groups)
    known = decided | _settled(target, runs, config)
    unknown = int(np.count_nonzero(~known)) * target.shape[1] * (len(groups) - 1)
    judge.skip(unknown, "swept rows whose signs rounding decides")
    if known.any():
        some, seen = target[known], [run.rows(known) for run in runs]
        judge_joint_fit(
            judge,
            some,
            gram,
            config,
            [_part(group, known) for group in groups],
            begin=lambda W, S: _begun(seen, some, W, S),
        )


def _settled(target: Rounded, runs: Sequence[Run], config: PBS2P) -> Mask:
    """Return the rows that decode alike however rounding moves weights and inputs."""
    gram = runs[0].gram
    allowed = allowed_of_fit(target, gram)
    first = swept_image(target.value, gram.value, config, [run.group() for run in runs])
    settled = np.ones(len(target.value), dtype=np.bool_)
    for seed in range(TRIES):
        W, S = moved_fit(target, gram, seed)
        image = swept_image(W, S, config, _begun(runs, target, W, S))
        settled &= np.all(np.abs(image - first) <= allowed, axis=(0, 2))
    return settled


def _begun(runs: Sequence[Run], target: Rounded, W: Array, S: Array) -> list[BinaryGroup]:
    """Return the groups before the first sweep, from moved weights and inputs."""
    share = np.divide(W, target.value, out=np.ones_like(W), where=target.value != 0.0)
    return [run.moved(share, S).group() for run in runs]


def _merged(
    judge: Judge, block: QuantizedBlock, names: list[str], config: PBS2P
) -> list[BinaryGroup] | None:
    """Return a port's groups, each merged with the weights that decode to its mean."""
    shared = config.pruning.mean == "shared"
    all_names = [n for name in names for n in (name, f"{name}-pruned")[: 1 + shared]]
    judge.form("groups", [group.name for group in block.groups], all_names)
    groups = [on_host(g) for g in block.groups if isinstance(g, BinaryGroup)]
    if judge.ratio == np.inf or len(groups) != len(all_names):
        judge.fail("groups are not binary or not the expected ones")
        return None
    if not shared:
        return groups
    for kept, pruned in zip(groups[::2], groups[1::2], strict=True):
        judge.form("planes of pruned weights", len(pruned.planes), 0)
        judge.true("pruned weights have the mean", np.array_equal(pruned.mean, kept.mean))  # type: ignore[arg-type]
        judge.true("masks are apart", not np.any(kept.mask & pruned.mask))
    return [
        replace(kept, mask=kept.mask | pruned.mask)
        for kept, pruned in zip(groups[::2], groups[1::2], strict=True)
    ]


def _part(group: BinaryGroup, rows: Mask) -> BinaryGroup:
    planes = tuple(
        replace(plane, sign=plane.sign[rows], row_scale=plane.row_scale[rows])
        for plane in group.planes
    )
    mean = None if group.mean is None else group.mean[rows]
    return replace(group, mask=group.mask[rows], planes=planes, mean=mean)


@operation(3, share=0.5, decides=True)
def _pbs2p_block(port: Port, judge: Judge, draw: Draw) -> None:
    """One block from an exactly known state and masks."""
    W = draw.weights(CONTINUOUS, rows=(2, 4), columns=(6, 24))
    S = W**2 * draw.rng.uniform(0.5, 2.0, W.shape[1])
    config = PBS2P(
        **drawn_pattern(draw),
        counts=(2, 4),
        grid=draw.pick("grid", ("quantiles", "maximum")),
        column_groups=draw.pick("column groups", (True, True, False)),
        bitmap=draw.pick("bitmap", ("shared", "zones")),
        partitioned=draw.pick("partitioned", (True, True, False)),
        levels=draw.pick("levels", ("alternate", "exact")),
        signs=draw.pick("signs", ("frozen", "resigned")),
        mean=draw.pick("mean", ("masked", "shared")),
        objective=draw.pick("objective", ("full", "masked")),
    )
    if config.pruning.refinement.levels == "exact":
        # The result of sweeps follows from the port's own signs.
        config = config.changed(sweeps=draw.pick("sweeps", (0, 1, 3)))
    masks = masks_of(draw.rng.random(W.shape), config.pruning)
    gram, alive, read = (
        draw.hessian(W.shape[1]) / 2,
        draw.columns(W.shape[1]),
        (judge.arithmetic.read),
    )
    start = draw.number("start", 0, 500)
    block = port.pbs2p_block(W, S, masks, alive, config, gram=gram, start=start)
    judge.form("columns", (block.start, block.stop), (start, start + W.shape[1]))
    rows = np.ones(len(W), dtype=np.bool_)
    judge_block(judge, Pruned(read(W), read(S), alive, config, read(gram), masks, rows), block)


def _layer(preset: PBS2P) -> Callable[[Port, Judge, Draw], None]:
    def examine(port: Port, judge: Judge, draw: Draw) -> None:
        size = draw.pick("block size", (8, 16))
        W = draw.values("W", (draw.number("rows", 3, 4), 24), CONTINUOUS)
        H = draw.hessian(W.shape[1], INPUTS)
        config = preset.changed(
            block_size=size,
            counts=COUNTS,
            keep=draw.pick("N:M", KEEPS),
            calibrated_iterations=draw.pick("rounds", (2, 2, 15)),
        )
        layer = port.pbs2p_layer(W, H, config)
        judge.form("shape", layer.shape, W.shape)
        found = [(b.start, b.stop) for b in layer.blocks]
        slices = reference.block_slices(W.shape[1], config.loop.block_size)
        judge.form("blocks", found, [(s.start, s.stop) for s in slices])
        if judge.ratio < np.inf:
            _judge_layer(judge, W, H, config, layer)

    return examine


def _judge_layer(judge: Judge, W: Array, H: Array, config: PBS2P, layer: QuantizedLayer) -> None:
    dead, arithmetic = np.diag(H) == 0, judge.arithmetic
    given, gram = np.where(dead, 0.0, W), arithmetic.read(H / 2)
    alive = live_columns(H, config.loop)
    prepared = prepared_bound(judge, H, config.loop.percdamp)
    states = layer_states_bound(
        given, prepared[1], layer, mode=config.loop.compensation, arithmetic=arithmetic
    )
    scores = scores_bound(states, prepared, config.loop, layer)
    for weights, score, block in zip(states, scores, layer.blocks, strict=True):
        part = block.columns
        own, ones = prepared[0][part, part], np.ones((1, block.stop - block.start))
        unit = fine_scores_bound(ones, own, score=config.fine.fine_score, arithmetic=arithmetic)[0]
        masks, certain = masks_bound(weights, own, alive[part], config, unit)
        state = Pruned(weights, score, alive[part], config, gram[part, part], masks, certain)
        with judge.at_columns(part):
            judge_block(judge, state, block)
    judge_objective(judge, W, H, layer, partial(reference.pbs2p_layer, config=config))


# Another fine score changes only the masks, which `pruning_masks` judges with every score.
LAYER_PRESETS = tuple(p for p in reference.METHODS["pbs2p"].presets if not p.startswith("fine-"))
"""Presets whose layers have an operation."""

for _preset in LAYER_PRESETS:
    _config = reference.METHODS["pbs2p"].presets[_preset]
    _name = f"pbs2p_layer_{_preset}".replace("-", "_")
    operation(3, "pbs2p_layer", name=_name, share=0.125)(_layer(_config))
