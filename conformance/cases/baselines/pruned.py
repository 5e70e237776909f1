"""Level 3: baselines that prune, or round only some weights to a grid
=====================================================================

SparseGPT, Wanda and PB-LLM. The weights that a column or a group of columns was decided
from follow, to rounding, from the port's own record; masks, signs and codes are judged as
decisions from there, and levels and grids against the weights that they were fitted to.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.judged import signs_of, uniform_group
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import (
    INPUTS,
    cut_block,
    draw_block_size,
    judge_objective,
    prepared_bound,
    single_columns,
)
from subbit.conformance.cases.pruning.sparsity import judge_pattern
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import (
    METHODS,
    PBLLM,
    BinaryGroup,
    QuantizedBlock,
    QuantizedLayer,
    SparseGPT,
    UniformGroup,
    ValueGroup,
    Wanda,
)
from subbit.reference.bounds import compensate as compensate_bounds
from subbit.reference.bounds.baselines.pb_llm import low_levels_bound
from subbit.reference.bounds.baselines.wanda import pruning_scores_bound
from subbit.reference.bounds.pruning import sparsity as sparsity_bounds
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones.saliency import trailing_saliency_bound
from subbit.reference.notation import AnyArray

FAMILIES = (*CONTINUOUS, "tied", "zero_rows")
PATTERNS = ((4, 8), (2, 4), (5, 8), (1, 3), (1, 1), None)
States = Callable[[int], tuple[Rounded, ...]]


def _sparsity(draw: Draw) -> dict[str, Any]:
    """Draw a pattern, with blocks that hold its groups, or a share."""
    keep = draw.pick("keep", PATTERNS)
    if keep is None:
        size = draw_block_size(draw)
        return {"keep": None, "sparsity": draw.pick("share", (0.5, 0.3, 0.0)), "block_size": size}
    blocks = draw.pick("groups in a block", (64,) if draw.least else (1, 2, 16))
    return {"keep": keep, "block_size": blocks * keep[1], "tail": "dense"}


def _layer_of(judge: Judge, layer: QuantizedLayer, shape: tuple[int, ...], size: int) -> bool:
    """Judge shape and blocks of a record, and say whether they are correct."""
    judge.form("shape", layer.shape, shape)
    wanted = [(s.start, s.stop) for s in reference.block_slices(shape[1], size)]
    found = [(b.start, b.stop) for b in layer.blocks]
    judge.form("blocks", found, wanted)
    judge.form("no column order", layer.order is None, expected=True)
    return found == wanted and layer.shape == shape


def _column_states(judge: Judge, W: Array, U: Rounded, layer: QuantizedLayer) -> States:
    """States of the columns before some first one, each alone, then of all columns from there."""

    def states(first: int) -> tuple[Rounded, ...]:
        return compensate_bounds.layer_states_bound(
            W, U, single_columns(layer, first), mode="exact", arithmetic=judge.arithmetic
        )

    return states


def _kept_of(judge: Judge, block: QuantizedBlock) -> ValueGroup | None:
    judge.form("names of the groups", [group.name for group in block.groups], ["kept"])
    group = block.groups[0] if block.groups else None
    if isinstance(group, ValueGroup):
        return group
    judge.fail("not a group of values")
    return None


def mask_of_scores(
    judge: Judge, found: Mask, scores: Rounded, keep: tuple[int, int] | None, share: float
) -> None:
    """Judge a mask by the scores that it was chosen by.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    found : ndarray of bool, shape (n, k)
        The port's mask of the kept entries.
    scores : Rounded
        Scores, shape (n, k).
    keep : tuple of int or None
        ``(N, M)``; None for a share.
    share : float
        Share to prune, if `keep` is None.
    """
    if keep is None:
        wanted = reference.threshold_mask(scores.value, share)
        margin = sparsity_bounds.threshold_mask_margin(scores, share, arithmetic=judge.arithmetic)
    else:
        wanted = reference.nm_mask(scores.value, *keep, tail="dense")
        margin = sparsity_bounds.nm_mask_margin(
            scores, *keep, ordered=False, arithmetic=judge.arithmetic
        )
        if found.shape == wanted.shape:
            judge_pattern(judge, found, *keep)
    # A threshold leaves no choice between equal scores; of N and M no paper says which.
    judge.decision("kept entries", found, wanted, margin, ordered=keep is None)


def _sparsegpt_block(
    judge: Judge, U: Rounded, states: States, block: QuantizedBlock, config: SparseGPT
) -> None:
    group = _kept_of(judge, block)
    judge.form("pattern is recorded", block.pattern or (), config.keep or ())
    if group is None or group.mask.shape[1] != block.stop - block.start:
        return
    step = block.stop - block.start if config.keep is None else config.keep[1]
    for start in range(block.start, block.stop, step):
        part = slice(start, min(start + step, block.stop))
        inside = slice(part.start - block.start, part.stop - block.start)
        current = states(start)[-1][:, : part.stop - part.start]
        scores = trailing_saliency_bound(current, U[part, part], arithmetic=judge.arithmetic)
        share = config.sparsity or 0.0
        mask_of_scores(judge, group.mask[:, inside], scores, config.keep, share)


def _sparsegpt(judge: Judge, W: Array, H: Array, config: SparseGPT, layer: QuantizedLayer) -> None:
    if not _layer_of(judge, layer, W.shape, config.block_size):
        return
    given = np.where(np.diag(H) == 0, 0.0, W)
    _, U = prepared_bound(judge, H, config.percdamp)
    states = _column_states(judge, given, U, layer)
    columns = states(W.shape[1])
    for block in layer.blocks:
        with judge.at_columns(block.columns):
            _sparsegpt_block(judge, U, states, block, config)
        for column in range(block.start, block.stop):
            (group,) = cut_block(block, column, column + 1).groups
            if isinstance(group, ValueGroup):
                with judge.at(f"column {column}"):
                    judge.bound("kept values", group.values, columns[column].keep(group.mask))
    judge_objective(judge, W, H, layer, partial(reference.sparsegpt_layer, config=config))


def _drawn(draw: Draw) -> tuple[Array, Array]:
    W = draw.weights(FAMILIES, columns=(2, 24))
    return W, draw.hessian(W.shape[1], INPUTS)


# Plain values are neither scales nor means, so nothing of these layers is stored otherwise.
@operation(3, share=0.4, large=LARGE, decides=True, rarely=True, keeps=True)
def _sparsegpt_layer(port: Port, judge: Judge, draw: Draw) -> None:
    """SparseGPT: masks and values from the state that the previous columns left."""
    W, H = _drawn(draw)
    config = SparseGPT(**_sparsity(draw))
    _sparsegpt(judge, W, H, config, port.sparsegpt_layer(W, H, config))


@operation(3, share=0.2, decides=True, rarely=True)
def _sparsegpt_prune(port: Port, judge: Judge, draw: Draw) -> None:
    """SparseGPT as a first stage: the same weights and masks, but not as a record."""
    W, H = _drawn(draw)
    config = SparseGPT(**_sparsity(draw))
    values, mask = (host(x) for x in port.sparsegpt_prune(W, H, config))
    judge_pruned(judge, W, H, config, (values, mask))


def judge_pruned(
    judge: Judge, W: Array, H: Array, config: SparseGPT, answer: tuple[AnyArray, AnyArray]
) -> None:
    """Judge weights and mask of SparseGPT that are no record.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    config : SparseGPT
        The configuration.
    answer : tuple of ndarray
        The port's weights and mask, shape (n, m).
    """
    values, mask = answer
    judge.form("shapes", [values.shape, mask.shape], [W.shape, W.shape])
    judge.exact("pruned weights", np.asarray(values)[~np.asarray(mask, np.bool_)], 0.0 * W[~mask])
    blocks = tuple(
        QuantizedBlock(
            b.start,
            b.stop,
            (ValueGroup("kept", mask[:, b], values[:, b].astype(np.float64)),),
            pattern=config.keep,
        )
        for b in reference.block_slices(W.shape[1], config.block_size)
    )
    _sparsegpt(judge, W, H, config, QuantizedLayer((W.shape[0], W.shape[1]), blocks))


def _mask_of_wanda(judge: Judge, found: Mask, scores: Rounded, config: Wanda) -> None:
    share = config.sparsity or 0.0
    if config.keep is not None or config.importance == "magnitude":
        mask_of_scores(judge, found, scores, config.keep, share)
        return
    margin = sparsity_bounds.row_mask_margin(
        scores, share, ordered=False, arithmetic=judge.arithmetic
    )
    wanted = reference.row_mask(scores.value, share)
    judge.decision("kept entries", found, wanted, margin, ordered=False)
    judge.exact("kept of each row", found.sum(axis=-1), wanted.sum(axis=-1))


@operation(3, share=0.5, decides=True, rarely=True, keeps=True)
def _wanda_layer(port: Port, judge: Judge, draw: Draw) -> None:
    """Wanda, RIA and magnitude: masks from scores; no weight moves."""
    W, H = _drawn(draw)
    preset = METHODS["wanda"].presets[draw.pick("importance", ("wanda", "ria", "magnitude"))]
    config = preset.changed(**_sparsity(draw), exponent=draw.pick("exponent", (1.0, 0.5)))
    layer = port.wanda_layer(W, H, config)
    if not _layer_of(judge, layer, W.shape, config.block_size):
        return
    groups = [_kept_of(judge, block) for block in layer.blocks]
    for block in layer.blocks:
        judge.form("pattern is recorded", block.pattern or (), config.keep or ())
    kept = np.hstack([group.mask for group in groups if group is not None])
    values = np.hstack([group.values for group in groups if group is not None])
    scores = pruning_scores_bound(W, H, config, arithmetic=judge.arithmetic)
    _mask_of_wanda(judge, kept, scores, config)
    judge.bound("kept values", values, judge.arithmetic.read(W).keep(kept))


def _low_part(
    judge: Judge, W: Rounded, U: Rounded, groups: tuple[BinaryGroup, UniformGroup], config: PBLLM
) -> None:
    """Judge what is decided before any weight moves: the low mask and its levels."""
    low, high = groups
    scores = W.absolute()
    if config.score == "trailing":
        scores = trailing_saliency_bound(W, U, arithmetic=judge.arithmetic)
    mask_of_scores(judge, ~low.mask, scores, None, config.low_share)
    judge.exact("mask of the high part", high.mask, ~low.mask)
    judge_low_levels(judge, W, low, config)


def judge_low_levels(judge: Judge, W: Rounded, low: BinaryGroup, config: PBLLM) -> None:
    """Judge the levels of a low part by its own mask.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : Rounded
        Weights, shape (n, k).
    low : BinaryGroup
        The port's low part.
    config : PBLLM
        The configuration.
    """
    mean, scale = low_levels_bound(W, low.mask, config.statistics, arithmetic=judge.arithmetic)
    if low.mean is None or len(low.planes) != 1:
        judge.fail("the low part does not have one mean and one plane")
        return
    judge.bound("means", low.mean, mean)
    judge.bound("scales", low.planes[0].row_scale, scale)


def _pb_llm_column(
    judge: Judge, state: Rounded, block: QuantizedBlock, config: PBLLM, grid_of: Rounded | None
) -> None:
    low, high = block.groups
    if not (isinstance(low, BinaryGroup) and isinstance(high, UniformGroup)) or low.mean is None:
        judge.fail("groups are of the wrong kind")
        return
    distance = state - judge.arithmetic.read(low.mean)[:, None]
    signs_of(judge, host(low.planes[0].sign), distance, low.mask, config.sign_zero)
    uniform_group(judge, state, high, grid_of=grid_of, bits=config.high_bits)


@operation(3, share=0.4, large=LARGE, decides=True, rarely=True)
def _pb_llm_layer(port: Port, judge: Judge, draw: Draw) -> None:
    """PB-LLM: parts and levels from the weights, signs and codes from each column's state."""
    W, H = _drawn(draw)
    config = PBLLM(
        low_share=draw.pick("low share", (0.9, 0.5, 0.0)),
        high_bits=draw.pick("high bits", (8, 3)),
        score=draw.pick("score", ("trailing", "magnitude")),
        statistics=draw.pick("statistics", ("row", "group")),
        sign_zero=draw.pick("sign of zero", (0, 1)),
        block_size=draw_block_size(draw),
        dead_grid=draw.pick("grid of dead inputs", ("given", "zeroed")),
    )
    layer = port.pb_llm_layer(W, H, config)
    if not _layer_of(judge, layer, W.shape, config.block_size):
        return
    given = np.where(np.diag(H) == 0, 0.0, W)
    _, U = prepared_bound(judge, H, config.percdamp)
    start = judge.arithmetic.read(given)
    fitted = judge.arithmetic.read(W if config.dead_grid == "given" else given)
    columns = _column_states(judge, given, U, layer)(W.shape[1])
    for block in layer.blocks:
        judge.form("names of the groups", [g.name for g in block.groups], ["low", "high"])
        low, high = block.groups
        if isinstance(low, BinaryGroup) and isinstance(high, UniformGroup):
            part = block.columns
            with judge.at_columns(part):
                _low_part(judge, start[:, part], U[part, part], (low, high), config)
        for column in range(block.start, block.stop):
            one = cut_block(block, column, column + 1)
            grid_of = fitted if column == block.start else None
            with judge.at(f"column {column}"):
                _pb_llm_column(judge, columns[column], one, config, grid_of)
    judge_objective(judge, W, H, layer, partial(reference.pb_llm_layer, config=config))
