"""Level 3: STBLLM
===============

Like BiLLM's, blocks are judged from the states that follow from a port's own record. The mask
and the weights that quantization starts from are the port's own choice, which is judged
separately.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np

from subbit import reference
from subbit.conformance.cases.baselines.pruned import judge_pruned
from subbit.conformance.cases.blocks import BlockState, judge_salient
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.judged import binary_group
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import (
    INPUTS,
    judge_objective,
    live_columns,
    prepared_bound,
    scores_bound,
)
from subbit.conformance.cases.pruning.sparsity import judge_pattern
from subbit.conformance.cases.registry import operation
from subbit.conformance.cases.zones.cuts import (
    Cut,
    Errors,
    errors_of_regions,
    errors_of_weights,
    finite,
    grid_bound,
    judge_cut,
)
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import STBLLM, BinaryGroup, QuantizedBlock, QuantizedLayer, SparseGPT
from subbit.reference.bounds import compensate as compensate_bounds
from subbit.reference.bounds.pruning import sparsity as sparsity_bounds
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones import trisection as trisection_bounds
from subbit.reference.bounds.zones.saliency import (
    obs_saliency_bound,
    trailing_saliency_bound,
)
from subbit.reference.pruning.importance import Importance
from subbit.reference.pruning.sparsity import Tail

METHODS = ("stbllm", "billm-nm")
PRESETS = {
    f"{method}_{name}".replace("-", "_"): config
    for method in METHODS
    for name, config in reference.METHODS[method].presets.items()
}
LEVELS = 20
"""Candidates in a small layer, which has not many more entries."""
IMPORTANCES: tuple[Importance, ...] = get_args(Importance)
NAMES = {3: ("dense", "intermediate", "sparse"), 2: ("concentrated", "sparse")}


@dataclass(frozen=True, eq=False)
class KeptState(BlockState):
    """State that a block was quantized from, and its kept entries.

    Parameters
    ----------
    weights, scores, alive, config
        As in :class:`~subbit.conformance.cases.blocks.BlockState`.
    kept : ndarray of bool, shape (n, k)
        The N:M mask.
    """

    config: STBLLM
    kept: Mask

    @property
    def entries(self) -> Mask:
        """Entries that belong to groups, where the columns are alive."""
        return self.kept if self.config.pruning.strict else np.ones_like(self.kept)


def judge_regions(judge: Judge, state: KeptState, part: Mask, masks: Sequence[Mask]) -> None:
    """Judge how some entries were cut into regions.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : KeptState
        State that the block was quantized from.
    part : ndarray of bool, shape (n, k)
        Entries that were cut.
    masks : sequence of ndarray of bool, shape (n, k)
        The port's regions, the smallest entries first.
    """
    config, key = state.config, state.key
    judge.form("number of regions", len(masks), config.zones.regions)
    judge.exact("regions of each entry", np.sum(masks, axis=0), part.astype(np.int64))
    if not part.any() or judge.ratio == np.inf:
        return
    if not (finite(state.searched) and finite(key)):
        judge.skip(key.value.size, "cuts of a state without a bound")
        return
    thresholds = grid_bound(key, part, config.zones.partition.grid, config.zones.levels)
    if config.zones.regions == 2:
        errors: Errors = errors_of_weights(state.searched, part, 1, config.zones.partition)
        judge_cut(
            judge, Cut(key, part, thresholds, config.zones.partition.closed, errors), masks[0]
        )
        return
    possible, certain = _tried(judge, thresholds, config)
    errors = errors_of_regions(state.searched, part, config.zones.factor, config.zones.partition)
    cut = Cut(
        key,
        part,
        thresholds[possible],
        config.zones.partition.closed,
        errors,
        factor=config.zones.factor,
        certain=certain[possible],
    )
    judge_cut(judge, cut, masks[0], masks[0] | masks[1])


def _tried(judge: Judge, thresholds: Rounded, config: STBLLM) -> tuple[Mask, Mask]:
    """Return the candidates that a port may try, and those it tries whatever the rounding."""
    everything = np.ones(thresholds.shape, dtype=np.bool_)
    if not config.zones.bounded:
        return everything, everything
    margin = trisection_bounds.trisection_thresholds_margin(
        thresholds, factor=config.zones.factor, arithmetic=judge.arithmetic
    )
    fits = config.zones.factor * thresholds.value <= thresholds.value[-1]
    open_ = (margin.value <= margin.error) & (margin.error > 0.0)
    certain = fits & ~open_
    if certain.any():
        return fits | open_, certain
    # Where no candidate fits, all are tried.
    return everything, everything & ~open_.any()


def judge_block(judge: Judge, state: KeptState, block: QuantizedBlock) -> None:
    """Judge all decisions in a block, and the resulting groups.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : KeptState
        State that the block was quantized from.
    block : QuantizedBlock
        The port's record.
    """
    config = state.config
    names = (*NAMES[config.zones.regions], "salient")
    judge.form("groups", [group.name for group in block.groups], names)
    judge.true(
        "the pattern is recorded",
        block.pattern == (config.pruning.keep if config.pruning.strict else None),
    )
    if judge.ratio == np.inf or block.salient is None:
        judge.true("salient columns are recorded", block.salient is not None)
        return
    salient = np.asarray(host(block.salient))
    judge_salient(judge, state, salient, entries=state.kept if config.pruning.strict else None)
    if salient.shape != state.alive.shape:
        return
    *masks, last = (np.asarray(host(group.mask)) for group in block.groups)
    judge.exact("salient mask", last, state.entries & state.alive & salient)
    judge_regions(judge, state, state.entries & state.alive & ~salient, masks)
    for group, order in zip(block.groups, (*(1,) * config.zones.regions, 2), strict=True):
        if isinstance(group, BinaryGroup):
            mask = np.asarray(host(group.mask))
            binary_group(
                judge,
                state.weights,
                mask,
                group,
                order=order,
                mode=config.zones.partition.binarizer,
            )
        else:
            judge.fail(f"group {group.name} is not binary")


def _importance_bound(
    judge: Judge, W: Array, H: Array, prepared: tuple[Rounded, Rounded], config: STBLLM
) -> Rounded:
    arithmetic = judge.arithmetic
    norms = sparsity_bounds.input_norms_bound(H, arithmetic=arithmetic)
    match config.pruning.importance:
        case "standardized":
            return sparsity_bounds.standardized_importance_bound(
                W,
                norms,
                exponent=config.pruning.exponent,
                standardize=config.pruning.standardize,
                axis=config.pruning.axis,
                arithmetic=arithmetic,
            )
        case "ria":
            return sparsity_bounds.ria_importance_bound(
                W, norms, exponent=config.pruning.exponent, arithmetic=arithmetic
            )
        case "wanda":
            return sparsity_bounds.wanda_importance_bound(W, norms, arithmetic=arithmetic)
        case "obs":
            return obs_saliency_bound(W, prepared[0], arithmetic=arithmetic)
        case "trailing":
            return trailing_saliency_bound(W, prepared[1], arithmetic=arithmetic)
    return arithmetic.read(W).absolute()


def _judge_kept(port: Port, judge: Judge, W: Array, H: Array, config: STBLLM) -> tuple[Array, Mask]:
    """Return a port's initial weights and its mask, judged except for SparseGPT's part."""
    weights, kept = (host(x) for x in port.choose_kept(W, H, config))
    _judge_mask(judge, W, config, weights, kept)
    start = np.where(np.diag(H) == 0, 0.0, W)
    if config.pruning.importance != "sparsegpt":
        prepared = prepared_bound(judge, H, config.loop.percdamp)
        scores = _importance_bound(judge, W, H, prepared, config)
        margin = sparsity_bounds.nm_mask_margin(
            scores, *config.pruning.keep, ordered=False, arithmetic=judge.arithmetic
        )
        wanted = reference.nm_mask(scores.value, *config.pruning.keep, tail="dense")
        # No paper says which of equal scores are kept.
        judge.decision("mask", kept, wanted, margin, ordered=False)
        start = start if config.pruning.start == "dense" else np.where(kept, start, 0.0)
    if config.pruning.importance != "sparsegpt" or config.pruning.start == "dense":
        judge.bound("weights to start from", weights, judge.arithmetic.read(start))
    return weights.astype(np.float64), kept


def _judge_sparsegpt(
    port: Port, judge: Judge, given: tuple[Array, Array], config: STBLLM, begun: tuple[Array, Mask]
) -> None:
    """Judge that the port's own SparseGPT, which another operation judges, agrees."""
    moved, kept = (host(x) for x in port.sparsegpt_prune(*given, _sparsegpt(config)))
    judge.exact("mask of SparseGPT", begun[1], kept)
    if config.pruning.start == "pruned":
        judge.exact("weights of SparseGPT", begun[0], moved)


def _sparsegpt(config: STBLLM) -> SparseGPT:
    return SparseGPT(
        keep=config.pruning.keep,
        block_size=config.loop.block_size,
        percdamp=config.loop.percdamp,
        tail=config.pruning.tail,
    )


def _judge_mask(judge: Judge, W: Array, config: STBLLM, weights: Array, kept: Mask) -> None:
    judge.form("shape of the weights", weights.shape, W.shape)
    judge.form("shape of the mask", kept.shape, W.shape)
    if judge.ratio < np.inf:
        judge_pattern(judge, kept, *config.pruning.keep)


def _drawn(draw: Draw, config: STBLLM, *, dense: bool = False) -> STBLLM:
    keep = draw.pick("keep", ((2, 4), (4, 8), (5, 8)))
    tail: Tail = draw.pick("tail", get_args(Tail)) if dense else "error"
    return config.changed(keep=keep, tail=tail, block_size=16)


def _width(draw: Draw, config: STBLLM, low: int, high: int) -> int:
    M = config.pruning.keep[1]
    width = draw.number("columns", low, high)
    return width if config.pruning.tail == "dense" else -(-width // M) * M


def _layer(draw: Draw, config: STBLLM, columns: tuple[int, int]) -> tuple[Array, Array]:
    shape = draw.number("rows", 3, 5), _width(draw, config, *columns)
    return draw.values("W", shape, CONTINUOUS), draw.hessian(shape[1], INPUTS)


@operation(3, "choose_kept", "sparsegpt_prune", share=0.5, decides=True, rarely=True)
def _choose_kept(port: Port, judge: Judge, draw: Draw) -> None:
    """Kept weights by every importance, and the weights that quantization starts from."""
    config = _drawn(draw, STBLLM(importance=draw.pick("importance", IMPORTANCES)), dense=True)
    config = config.changed(
        start=draw.pick("start", ("pruned", "dense")),
        standardize=draw.pick("standardize", ("before", "after", "none")),
        exponent=draw.pick("exponent", (1.0, 0.5)),
        axis=draw.pick("axis", ("row", "matrix")),
    )
    W, H = _layer(draw, config, (4, 30))
    begun = _judge_kept(port, judge, W, H, config)
    if config.pruning.importance == "sparsegpt":
        _judge_sparsegpt(port, judge, (W, H), config, begun)


def _block_state(draw: Draw, judge: Judge) -> KeptState:
    """Draw an exactly known state for the steps of a block."""
    config = _drawn(draw, PRESETS[draw.pick("preset", tuple(PRESETS))])
    config = config.changed(
        grid=draw.pick("grid", (config.zones.partition.grid, "breakpoints", "quantiles")),
        levels=draw.pick("levels", (9, 40)),
        factor=draw.pick("factor", (2.0, 1.5)),
        bounded=draw.pick("bounded", (True, True, False)),
    )
    shape = draw.number("rows", 2, 6), _width(draw, config, 2, 40)
    W = draw.values("W", shape, CONTINUOUS)
    S = W**2 * draw.rng.uniform(0.5, 2.0, shape[1])
    kept = reference.nm_mask(draw.rng.random(shape), *config.pruning.keep)
    read = judge.arithmetic.read
    return KeptState(read(W), read(S), draw.columns(shape[1]), config, kept)


@operation(2)
def _choose_regions(port: Port, judge: Judge, draw: Draw) -> None:
    """Dense, intermediate and sparse entries of a block, or of some of its columns."""
    state = _block_state(draw, judge)
    W, S, part = state.weights.value, state.scores.value, state.alive
    if draw.pick("part", ("columns", "entries")) == "entries":
        part = part & state.kept
    masks = [host(mask) for mask in port.choose_regions(W, S, part, state.config.zones)]
    judge_regions(judge, state, np.broadcast_to(part, W.shape), masks)


@operation(3, decides=True, keeps=True)
def _stbllm_block(port: Port, judge: Judge, draw: Draw) -> None:
    """One block from an exactly known state."""
    state = _block_state(draw, judge)
    W, S, start = state.weights.value, state.scores.value, draw.number("start", 0, 500)
    block = port.stbllm_block(W, S, state.alive, state.kept, state.config, start=start)
    judge.form("columns", (block.start, block.stop), (start, start + W.shape[1]))
    judge_block(judge, state, block)


def _layer_of(preset: STBLLM) -> Callable[[Port, Judge, Draw], None]:
    def examine(port: Port, judge: Judge, draw: Draw) -> None:
        config = _drawn(draw, preset, dense=True).changed(levels=LEVELS)
        W, H = _layer(draw, config, (36, 44))
        begun = _judge_kept(port, judge, W, H, config)
        if config.pruning.importance == "sparsegpt" and config.pruning.start == "pruned":
            judge_pruned(judge, W, H, _sparsegpt(config), begun)
        layer = port.stbllm_layer(W, H, config)
        judge.form("shape", layer.shape, W.shape)
        found = [(b.start, b.stop) for b in layer.blocks]
        slices = reference.block_slices(W.shape[1], config.loop.block_size)
        judge.form("blocks", found, [(s.start, s.stop) for s in slices])
        if judge.ratio < np.inf:
            _judge_forms(judge, begun, H, config, layer)
            judge_objective(judge, W, H, layer, partial(reference.stbllm_layer, config=config))

    return examine


def _judge_forms(
    judge: Judge, begun: tuple[Array, Mask], H: Array, config: STBLLM, layer: QuantizedLayer
) -> None:
    """Judge the blocks; with a fallback, the record itself shows which form it has."""
    forms = [config]
    if config.fallback:
        forms.append(config.changed(compensation="none"))
    trials = [type(judge)(judge.arithmetic) for _ in forms]
    for trial, form in zip(trials, forms, strict=True):
        _judge_blocks(trial, begun, H, form, layer)
    judge.take(min(trials, key=lambda trial: trial.ratio))


def _judge_blocks(
    judge: Judge, begun: tuple[Array, Mask], H: Array, config: STBLLM, layer: QuantizedLayer
) -> None:
    weights, kept = begun
    alive = live_columns(H, config.loop)
    prepared = prepared_bound(judge, H, config.loop.percdamp)
    states = compensate_bounds.layer_states_bound(
        weights,
        prepared[1],
        layer,
        mode=config.loop.compensation,
        free=kept if config.pruning.free == "kept" else None,
        arithmetic=judge.arithmetic,
    )
    scores = scores_bound(states, prepared, config.loop, layer)
    for state, score, block in zip(states, scores, layer.blocks, strict=True):
        part = block.columns
        with judge.at_columns(part):
            judge_block(judge, KeptState(state, score, alive[part], config, kept[:, part]), block)


for _name, _config in PRESETS.items():
    operation(3, "stbllm_layer", "choose_kept", name=f"stbllm_layer_{_name}", share=0.25)(
        _layer_of(_config)
    )
