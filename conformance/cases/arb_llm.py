"""Level 3: ARB-LLM
=================

Like BiLLM's, blocks are judged from the states that follow from a port's own record: the
salient columns, every cut, and every refined group. Where ARB-X cuts by outputs, the decoded
salient columns are not part of the record; they follow where no decision of their refinement
was left to rounding, and elsewhere the error that a threshold reaches is not judged.

Overall a layer may exceed the reference's by the share
:data:`~subbit.conformance.cases.layers.SLACK`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from subbit import reference
from subbit.conformance.cases.assign import as_fitted, judge_assigned
from subbit.conformance.cases.blocks import judge_salient
from subbit.conformance.cases.draw import TALL, WIDE, Draw
from subbit.conformance.cases.groups.refined import fitted_columns, judge_refined
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import (
    INPUTS,
    judge_objective,
    live_columns,
    prepared_bound,
    scores_bound,
)
from subbit.conformance.cases.registry import operation
from subbit.conformance.cases.zones.column_groups import (
    METHODS,
    GroupsState,
    drawn_block,
    drawn_preset,
    forms,
    judge_groups,
)
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import ARBLLM, QuantizedBlock, QuantizedLayer, Zone
from subbit.reference.bounds import compensate as compensate_bounds
from subbit.reference.bounds.groups import arb_runs
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.groups.refinement import Divisor

COUNTS = (5, 7)
"""Salient columns of a small layer. Where a zone has few entries per row, every threshold
fits them, and rounding alone decides the error that a layer reaches."""
DIVISORS: tuple[Divisor, ...] = ("entries", "entries", "width")
"""A zone has fewer columns than its block, and "width" means the block's."""


def _drawn_zones(draw: Draw, shape: tuple[int, int]) -> tuple[Zone, ...]:
    """Draw disjoint groups of both orders, any of which may be empty."""
    names = (("salient-sparse", 2), ("salient-concentrated", 2), ("sparse", 1), ("concentrated", 1))
    number = draw.rng.integers(
        0, draw.number("groups", 1, 4) + draw.pick("left out", (0, 1)), shape
    )
    return tuple(Zone(name, number == i, order) for i, (name, order) in enumerate(names))


@operation(3)
def _refine_zones(port: Port, judge: Judge, draw: Draw) -> None:
    """Refine given groups of a block by each of the algorithms."""
    state, _ = drawn_block(draw, judge)
    W, gram = state.weights.value, state.gram.value
    zones = _drawn_zones(draw, (W.shape[0], W.shape[1]))
    config = drawn_preset(draw, (*METHODS, "arb-x"))
    config = config.changed(divisor=draw.pick("divisor", DIVISORS))
    if draw.pick("levels", ("alternate", "exact", "exact")) == "exact":
        # The result of sweeps follows from the port's own signs.
        config = config.changed(levels="exact", sweeps=draw.pick("sweeps", (0, 1, 3, 3)))
    else:
        config = config.changed(levels="alternate", sweeps=0)
    # Only one algorithm needs it.
    spare = config.algorithm != "arb_x" and draw.pick("gram", ("given", "omitted")) == "omitted"
    groups = port.refine_zones(W, zones, config, gram=None if spare else gram)
    judge_refined(judge, state, config, zones, groups)


def _judge_block(judge: Judge, state: GroupsState, config: ARBLLM, block: QuantizedBlock) -> None:
    wanted = forms(state.config)
    judge.form("groups", [group.name for group in block.groups], [name for name, _ in wanted])
    judge.true("salient columns are recorded", block.salient is not None)
    if judge.ratio == np.inf or block.salient is None:
        return
    salient = np.asarray(host(block.salient))
    judge_salient(judge, state, salient)
    masks = [np.asarray(host(group.mask)) for group in block.groups]
    if salient.shape != state.alive.shape or judge.ratio == np.inf:
        return
    image = _salient_image(judge, state, config, salient)
    judge_groups(judge, replace(state, image=image), salient, masks)
    zones = [Zone(*form) for form in _named(wanted, masks)]
    if judge.ratio < np.inf:
        judge_refined(judge, state, config, zones, block.groups)


def _named(forms_: list[tuple[str, int]], masks: list[Mask]) -> list[tuple[str, Mask, int]]:
    return [(name, mask, order) for (name, order), mask in zip(forms_, masks, strict=True)]


def _salient_image(
    judge: Judge, state: GroupsState, config: ARBLLM, salient: Mask
) -> Rounded | None:
    """Salient columns as a search on outputs takes them: plain ARB of the second order."""
    if state.config.split_error == "weights":
        return None
    shape, target = state.weights.shape, state.searched
    mask = np.broadcast_to(salient & state.alive, shape)
    used = fitted_columns(mask, config.changed(algorithm="arb"))
    value, error = np.zeros((2, *shape))
    if mask.any():
        levels, _ = arb_runs.arb_bound(
            target[:, used],
            mask[:, used],
            order=2,
            config=config.refinement,
            arithmetic=judge.arithmetic,
        )
        reach = np.einsum("ip,pij->ij", levels.levels.reach, np.abs(levels.basis))
        value[:, used] = np.einsum("ip,pij->ij", levels.levels.value, levels.basis)
        error[:, used] = np.einsum("ip,pij->ij", levels.levels.error, np.abs(levels.basis))
        error[:, used] += judge.arithmetic.gamma(3) * reach
    return Rounded(value, np.where(np.isfinite(error), error, np.inf), judge.arithmetic)


@operation(3, share=0.5, large=(WIDE,), decides=True)
def _arb_llm_block(port: Port, judge: Judge, draw: Draw) -> None:
    """Quantize one block from an exactly known state."""
    state, preset = drawn_block(draw, judge)
    config = preset.changed(
        divisor=draw.pick("divisor", DIVISORS),
        splits=draw.pick("splits", (1, 1, 2, 3)),
    )
    state = replace(state, config=config.zones)
    W, S = state.weights.value, state.scores.value
    start = draw.number("start", 0, 500)
    block = port.arb_llm_block(W, S, state.alive, config, gram=state.gram.value, start=start)
    judge.form("columns", (block.start, block.stop), (start, start + W.shape[1]))
    _judge_block(judge, state, config, block)


def _layer(preset: ARBLLM) -> Callable[[Port, Judge, Draw], None]:
    def examine(port: Port, judge: Judge, draw: Draw) -> None:
        size = draw.pick("block size", (16, 18, 20))
        W = draw.weights(CONTINUOUS, rows=(3, 4), columns=(size + 12, 2 * size))
        H = draw.hessian(W.shape[1], INPUTS)
        config = preset.changed(block_size=size, counts=COUNTS)
        layer = port.arb_llm_layer(W, H, config)
        judge.form("shape", layer.shape, W.shape)
        found = [(b.start, b.stop) for b in layer.blocks]
        slices = reference.block_slices(W.shape[1], config.loop.block_size)
        judge.form("blocks", found, [(s.start, s.stop) for s in slices])
        if judge.ratio < np.inf:
            _judge_layer(judge, W, H, config, layer)

    return examine


def _judge_layer(judge: Judge, W: Array, H: Array, config: ARBLLM, layer: QuantizedLayer) -> None:
    dead = np.diag(H) == 0
    given, gram = np.where(dead, 0.0, W), judge.arithmetic.read(H / 2)
    alive = live_columns(H, config.loop)
    prepared = prepared_bound(judge, H, config.loop.percdamp)
    states = compensate_bounds.layer_states_bound(
        given, prepared[1], layer, mode=config.loop.compensation, arithmetic=judge.arithmetic
    )
    scores = scores_bound(states, prepared, config.loop, layer)
    if config.loop.column_feedback:
        judge_assigned(judge, given, prepared[1], layer)
    for weights, score, block in zip(states, scores, layer.blocks, strict=True):
        part = block.columns
        state = GroupsState(weights, score, alive[part], config.zones, gram[part, part])
        fitted = block
        if config.loop.column_feedback:
            # A run ends with the signs that are nearest for its own scales.
            fitted = as_fitted(block, weights.value, reference.refine_rc_signs)
        with judge.at_columns(part):
            _judge_block(judge, state, config, fitted)
    judge_objective(judge, W, H, layer, partial(reference.arb_llm_layer, config=config))


for _method in METHODS:
    for _preset, _config in reference.METHODS[_method].presets.items():
        _name = f"arb_llm_layer_{_method}_{_preset}".replace("-", "_")
        # Bounds of column scales grow with the square of the rows; `arb_rc` itself has a tall case.
        _large = (WIDE,) if _method == "arb-rc" else (WIDE, TALL)
        operation(3, "arb_llm_layer", name=_name, share=0.125, large=_large)(_layer(_config))
