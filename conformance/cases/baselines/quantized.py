"""Level 3: round-to-nearest and GPTQ
==================================

Codes of every column are judged from the state that the previous columns left; the
objective is judged at the end.
"""

from functools import partial

import numpy as np

from subbit import reference
from subbit.conformance.cases.billm import FAMILIES
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.judged import binary_group, uniform_group
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import (
    INPUTS,
    cut_block,
    draw_block_size,
    judge_objective,
    prepared_bound,
    single_columns,
)
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import Array
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup, QuantizedLayer, UniformGroup
from subbit.reference.bounds import compensate as compensate_bounds
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones.salient import rank_columns_margin
from subbit.reference.notation import AnyArray


@operation(3, keeps=True, decides=True, rarely=True)
def _rtn_layer(port: Port, judge: Judge, draw: Draw) -> None:
    """Round to nearest, every preset."""
    presets = reference.METHODS["rtn"].presets
    name = draw.pick("preset", tuple(presets))
    config = presets[name].changed(group_size=draw.pick("group size", (None, 5, 16)))
    W = draw.weights((*FAMILIES, "integer", "huge_range"), columns=(1, 40))
    layer, state = port.rtn_layer(W, None, config), judge.arithmetic.read(W)
    slices = reference.block_slices(W.shape[1], config.group_size or W.shape[1])
    judge.form("shape", layer.shape, W.shape)
    judge.form(
        "blocks", [(b.start, b.stop) for b in layer.blocks], [(s.start, s.stop) for s in slices]
    )
    mode = {"center": config.center, "sign_zero": 1}
    for block in layer.blocks:
        judge.form("names of the groups", [group.name for group in block.groups], ["all"])
        (group,), part = block.groups, state[:, block.columns]
        with judge.at_columns(block.columns):
            if config.kind == "sign" and isinstance(group, BinaryGroup):
                everything = np.ones(part.shape, dtype=np.bool_)
                binary_group(judge, part, everything, group, order=1, mode=mode)
            elif isinstance(group, UniformGroup):
                uniform_group(judge, part, group, grid_of=part, bits=config.bits)
            else:
                judge.fail("a group is of the wrong kind")


def _order(judge: Judge, H: Array, layer: QuantizedLayer, *, ordered: bool) -> AnyArray:
    everything = np.arange(len(H))
    judge.form("a column order is recorded", layer.order is not None, ordered)
    if layer.order is None:
        return everything
    order = host(layer.order)
    judge.exact("column order, sorted", np.sort(order), everything)
    diagonal = np.where(np.diag(H) == 0, 1.0, np.diag(H))
    judge.choice(
        "column order",
        # Which of two equal inputs comes first, no paper says.
        rank_columns_margin(diagonal, order, ordered=False, arithmetic=judge.arithmetic),
    )
    return order


@operation(3, share=0.5, large=LARGE, decides=True, rarely=True)
def _gptq_layer(port: Port, judge: Judge, draw: Draw) -> None:
    """GPTQ: every column's codes from the state that the previous columns left."""
    W = draw.weights(FAMILIES, columns=(2, 24))
    H = draw.hessian(W.shape[1], INPUTS)
    config = reference.GPTQ(
        bits=draw.pick("bits", (1, 2, 3, 4)),
        group_size=draw.pick("group size", (None, 5, 16)),
        activation_order=draw.pick("activation order", (False, True)),
        block_size=draw_block_size(draw),
    )
    layer = port.gptq_layer(W, H, config)
    judge.form("shape", layer.shape, W.shape)
    groups = reference.block_slices(W.shape[1], config.group_size or W.shape[1])
    found = [(b.start, b.stop) for b in layer.blocks]
    judge.form("blocks", found, [(s.start, s.stop) for s in groups])
    order = _order(judge, H, layer, ordered=config.activation_order)
    if found != [(s.start, s.stop) for s in groups] or len(np.unique(order)) != len(H):
        return
    dead, H_in_order = np.diag(H) == 0, H[np.ix_(order, order)]
    given = np.where(dead, 0.0, W)[:, order]
    _, U = prepared_bound(judge, H_in_order, config.percdamp)
    _gptq_columns(judge, given, U, layer, config)
    judge_objective(judge, W, H, layer, partial(reference.gptq_layer, config=config))


def _gptq_columns(
    judge: Judge, W: Array, U: Rounded, layer: QuantizedLayer, config: reference.GPTQ
) -> None:
    def states(first: int) -> tuple[Rounded, ...]:
        return compensate_bounds.layer_states_bound(
            W, U, single_columns(layer, first), mode="exact", arithmetic=judge.arithmetic
        )

    columns = states(W.shape[1])
    for block in layer.blocks:
        # A grid is fitted to the state that the outer blocks before its first column left.
        start = 0 if config.group_size is None else block.start // config.block_size
        start *= config.block_size
        fitted = states(start)[-1][:, block.start - start : block.stop - start]
        for column in range(block.start, block.stop):
            (group,) = cut_block(block, column, column + 1).groups
            if isinstance(group, UniformGroup):
                grid_of = fitted if column == block.start else None
                with judge.at(f"column {column}"):
                    uniform_group(judge, columns[column], group, grid_of=grid_of, bits=config.bits)
