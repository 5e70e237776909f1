"""Level 3: BiLLM
==============

Every block is judged from the state that the port's own earlier blocks left; the objective
is judged at the end.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from subbit import reference
from subbit.conformance.inputs.families import CONTINUOUS, Array
from subbit.conformance.target import Port
from subbit.reference import BiLLM, BinaryGroup, QuantizedLayer
from subbit.reference.bounds import compensate as compensate_bounds

from .assign import as_fitted, judge_assigned
from .blocks import BlockState, judge_block, judge_salient, judge_split
from .draw import Draw
from .judge import Judge, host
from .layers import (
    INPUTS,
    draw_preset,
    judge_objective,
    live_columns,
    prepared_bound,
    scores_bound,
)
from .registry import operation

FAMILIES = (*CONTINUOUS, "tied", "zero_rows")


def _block_state(draw: Draw, judge: Judge) -> tuple[BlockState, BiLLM, Array, Array]:
    """Draw an exactly known state for the steps of a block."""
    W = draw.weights(CONTINUOUS, rows=(2, 6), columns=(2, 40))
    S = W**2 * draw.rng.uniform(0.5, 2.0, W.shape[1])
    config: BiLLM = draw_preset(draw, "billm")[1]
    config = config.changed(grid=draw.pick("grid", (config.zones.grid, "breakpoints")))
    read = judge.arithmetic.read
    state = BlockState(read(W), read(S), draw.columns(W.shape[1]), config)
    return state, config, W, S


@operation(2)
def _choose_salient(port: Port, judge: Judge, draw: Draw) -> None:
    """Salient columns of a block."""
    state, _, W, S = _block_state(draw, judge)
    blocks = draw.pick("blocks", (1, 2))
    entries = draw.mask(W.shape) if draw.pick("entries", ("all", "some")) == "some" else None
    found = port.choose_salient(W, S, state.alive, state.partition, blocks=blocks, entries=entries)
    judge_salient(judge, state, host(found), blocks=blocks, entries=entries)


@operation(2)
def _choose_split(port: Port, judge: Judge, draw: Draw) -> None:
    """Concentrated and sparse entries of a block."""
    state, _, W, S = _block_state(draw, judge)
    found = [host(mask) for mask in port.choose_split(W, S, state.alive, state.partition)]
    judge_split(judge, state, state.alive, found[0], found[1])


@operation(3, decides=True, keeps=True)
def _billm_block(port: Port, judge: Judge, draw: Draw) -> None:
    """One block from an exactly known state."""
    state, config, W, S = _block_state(draw, judge)
    start = draw.number("start", 0, 500)
    block = port.billm_block(W, S, state.alive, config, start=start)
    judge.form("columns", (block.start, block.stop), (start, start + W.shape[1]))
    judge_block(judge, state, block)


def _billm(preset: str) -> Callable[[Port, Judge, Draw], None]:
    config: BiLLM = reference.METHODS["billm"].presets[preset]

    def examine(port: Port, judge: Judge, draw: Draw) -> None:
        W = draw.weights(CONTINUOUS, rows=(2, 6), columns=(4, 40))
        H = draw.hessian(W.shape[1], INPUTS)
        own = config.changed(block_size=draw.pick("block size", (12, 16, 128)))
        layer = port.billm_layer(W, H, own)
        judge.form("shape", layer.shape, W.shape)
        found = [(b.start, b.stop) for b in layer.blocks]
        slices = reference.block_slices(W.shape[1], own.loop.block_size)
        judge.form("blocks", found, [(s.start, s.stop) for s in slices])
        if found == [(s.start, s.stop) for s in slices]:
            _judge_billm(judge, W, H, own, layer)

    return examine


def _judge_billm(judge: Judge, W: Array, H: Array, config: BiLLM, layer: QuantizedLayer) -> None:
    dead = np.diag(H) == 0
    given = np.where(dead, 0.0, W)
    alive = live_columns(H, config.loop)
    damped, U = prepared_bound(judge, H, config.loop.percdamp)
    states = compensate_bounds.layer_states_bound(
        given, U, layer, mode=config.loop.compensation, arithmetic=judge.arithmetic
    )
    scores = scores_bound(states, (damped, U), config.loop, layer)
    if config.loop.column_feedback:
        judge_assigned(judge, given, U, layer)
    for state, score, block in zip(states, scores, layer.blocks, strict=True):
        fitted = block
        if config.loop.column_feedback:
            fitted = as_fitted(block, state.value, partial(_fitted, config=config))
        with judge.at_columns(block.columns):
            alive_ = alive[block.columns]
            judge_block(judge, BlockState(state, score, alive_, config.zones), fitted)
    judge_objective(judge, W, H, layer, partial(reference.billm_layer, config=config))


def _fitted(W: Array, group: BinaryGroup, config: BiLLM) -> BinaryGroup:
    order = len(group.planes)
    return reference.residual_binarize(W, group.mask, order=order, **config.zones.binarizer)


for _preset in reference.METHODS["billm"].presets:
    operation(
        3,
        "billm_layer",
        name=f"billm_layer_{_preset.replace('-', '_')}",
        decides=True,
        rarely=True,
    )(_billm(_preset))
