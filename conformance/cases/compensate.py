"""Level 2: feedback and the block loop
===================================

Feedback is judged by its residual. The loop's blocks are judged from the states that the
port's own images determine, so one flipped sign does not make the rest incomparable.
"""

from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.judged import binary_group
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup, QuantizedBlock
from subbit.reference.bounds import compensate as compensate_bounds
from subbit.reference.bounds.layer import decode_bound
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.notation import Compensation

MODES: tuple[Compensation, ...] = ("none", "released", "exact")
FAMILIES = (*CONTINUOUS, "tied", "integer", "zero_rows")
ONE_GROUP: dict[str, Any] = {"center": False, "sign_zero": 1}


def _quantize(W: Any, columns: slice) -> QuantizedBlock:  # noqa: ANN401  (a port's array)
    """Binarize a block as one group by the reference; only the loop is judged."""
    group = reference.residual_binarize(host(W)[:, columns])
    return QuantizedBlock(columns.start, columns.stop, (group,))


def _free(draw: Draw, shape: tuple[int, int]) -> Mask | None:
    """Draw the weights that feedback may move."""
    return draw.mask(shape) if draw.pick("free", ("all", "some")) == "some" else None


def _factor(draw: Draw, width: int) -> Array:
    return reference.inverse_factor(reference.damp(draw.hessian(width), 0.05))


def _judge_feedback(
    judge: Judge, D: Rounded, U: Array, E: Array, mode: Compensation, *, what: str = "E U - D"
) -> None:
    judge.within(
        what, compensate_bounds.feedback_residual(D, U, E, mode, arithmetic=judge.arithmetic)
    )


@operation(2)
def _feedback(port: Port, judge: Judge, draw: Draw) -> None:
    """A block's error as it is fed forward."""
    D, mode = draw.weights(FAMILIES, columns=(1, 32)), draw.pick("feedback", MODES)
    U = _factor(draw, D.shape[1])
    E = host(port.feedback(D, U, mode))
    judge.form("shape of E", E.shape, D.shape)
    _judge_feedback(judge, judge.arithmetic.read(D), U, E.astype(np.float64), mode)


@operation(2, keeps=True)
def _compensate_step(port: Port, judge: Judge, draw: Draw) -> None:
    """One block: its record, the moved weights, the error."""
    W, mode = draw.weights(FAMILIES, columns=(2, 32)), draw.pick("feedback", MODES)
    U, m = _factor(draw, W.shape[1]), W.shape[1]
    start = draw.number("start", 0, m - 1)
    columns = slice(start, min(m, start + draw.number("block", 1, m)))
    free = _free(draw, W.shape)
    block, moved, E = port.compensate_step(W, U, columns, _quantize, mode=mode, free=free)
    moved, E, arithmetic = host(moved), host(E).astype(np.float64), judge.arithmetic
    given, left, right = arithmetic.read(W), slice(0, start), slice(columns.stop, None)
    image = decode_bound(block, arithmetic=arithmetic)
    judge.form("columns of the record", (block.start, block.stop), (start, columns.stop))
    judge.bound("columns left of the block", moved[:, left], given[:, left])
    judge.bound("the block's image", moved[:, columns], image)
    _judge_feedback(judge, given[:, columns] - image, U[columns, columns], E, mode)
    rest = given[:, right]
    if mode != "none" and columns.stop < m:
        movable = None if free is None else free[:, right]
        rest = compensate_bounds.compensation_bound(
            rest, E, U[columns, right], free=movable, arithmetic=arithmetic
        )
    judge.bound("columns right of the block", moved[:, right], rest)


@operation(2)
def _compensate(port: Port, judge: Judge, draw: Draw) -> None:
    """All blocks of a layer, each from the state that the previous ones left."""
    W, mode = draw.weights(FAMILIES, columns=(2, 40)), draw.pick("feedback", MODES)
    U, size = _factor(draw, W.shape[1]), draw.number("block size", 1, 20)
    free = _free(draw, W.shape)
    made = port.compensate(W, U, _quantize, block_size=size, mode=mode, free=free)
    layer, E = made.layer, host(made.errors).astype(np.float64)
    wanted = [(s.start, s.stop) for s in reference.block_slices(W.shape[1], size)]
    judge.form("blocks", [(b.start, b.stop) for b in layer.blocks], wanted)
    judge.form("shape of the errors", E.shape, W.shape)
    states = compensate_bounds.layer_states_bound(
        W, U, layer, mode=mode, free=free, arithmetic=judge.arithmetic
    )
    for state, block in zip(states, layer.blocks, strict=True):
        group = block.groups[0]
        if not isinstance(group, BinaryGroup):
            judge.fail("a block is not the one its quantizer returned")
            return
        everything = np.ones(state.shape, dtype=np.bool_)
        # The quantizer computes in float64, from the port's own state.
        binary_group(judge, state, everything, group, order=1, mode=ONE_GROUP)
        D = state - decode_bound(block, arithmetic=judge.arithmetic)
        part = block.columns
        _judge_feedback(
            judge, D, U[part, part], E[:, part], mode, what=f"E U - D of block {block.start}"
        )
