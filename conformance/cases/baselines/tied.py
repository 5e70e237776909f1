"""Ties of the baselines
=====================

Weights and scores of few bits behind inputs that do not depend on each other: their Hessian
is a diagonal of powers of four, so its factor, the scores and the states of all columns are
exact, whatever the order of the operations. A tie is one then, and what is said of it holds:
halves go to the even side, what equals a threshold is pruned, and of N and M any of equal
scores may stay.
"""

import numpy as np

from subbit import reference
from subbit.conformance.cases.baselines.pruned import judge_low_levels, mask_of_scores
from subbit.conformance.cases.draw import WIDE, Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.target import Port
from subbit.reference import PBLLM, BinaryGroup, SparseGPT, UniformGroup, ValueGroup
from subbit.reference.bounds.baselines.rtn import minmax_grid_bound
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.notation import AnyArray

TIED = ("tied", "integer", "constant_magnitude")
SHARE = 0.5
"""Share of the usual number of cases."""


def _powers(draw: Draw, width: int) -> Array:
    """Draw powers of two; the Hessian's diagonal holds their squares."""
    return np.asarray(2.0 ** draw.rng.integers(-1, 2, width))


def _on_grid(draw: Draw, bits: int) -> Array:
    """Draw rows whose grids are powers of two apart; halves and ends are on the half grid."""
    top, (n, k) = 2**bits - 1, draw.shape((1, 4), (3, 24))
    zero = draw.rng.integers(0, 2 * top + 1, (n, 1)) / 2
    steps = draw.rng.integers(0, 2 * top + 1, (n, k)) / 2
    steps[:, :2] = (0, top)
    steps = draw.rng.permuted(steps, axis=1)
    return np.asarray((steps - zero) * 2.0 ** draw.rng.integers(-2, 3, (n, 1)))


def _judge_grid(judge: Judge, W: Array, found: tuple[AnyArray, AnyArray], bits: int) -> Mask:
    """Judge a grid, zero points where its scale is exact, and return these rows."""
    scale, zero = found
    wanted_scale, wanted = reference.minmax_grid(W, bits)
    bound, _ = minmax_grid_bound(W, bits, arithmetic=judge.arithmetic)
    judge.bound("scales", scale, bound)
    exact = np.asarray(scale == wanted_scale)
    # A scale that was rounded moves every half to one side.
    judge.skip(int(np.count_nonzero(~exact)), "rows whose scale was rounded")
    judge.exact("zero points", zero[exact], wanted[exact])
    return exact


def _judge_codes(judge: Judge, W: Array, group: UniformGroup, *, grid_of: Array) -> None:
    scale, zero = host(group.scale), host(group.zero)
    exact = _judge_grid(judge, grid_of, (scale, zero), group.bits)
    if judge.ratio < np.inf:
        codes = reference.grid_codes(W, scale, zero, group.bits)
        rows = np.asarray(group.mask & exact[:, None])
        judge.exact("codes", host(group.codes)[rows], codes[rows])


@operation(1, "minmax_grid", name="exact_minmax_grid", large=(WIDE,), decides=False)
def _exact_minmax_grid(port: Port, judge: Judge, draw: Draw) -> None:
    """Zero points between two codes are the even one."""
    bits = draw.pick("bits", (1, 2, 3, 4))
    W = _on_grid(draw, bits)
    scale, zero = (host(x) for x in port.minmax_grid(W, bits))
    judge.form("shapes", [scale.shape, zero.shape], [(len(W),)] * 2)
    if judge.ratio < np.inf:
        _judge_grid(judge, W, (scale, zero), bits)


@operation(3, "gptq_layer", name="exact_gptq", share=SHARE, large=(WIDE,), decides=False)
def _exact_gptq(port: Port, judge: Judge, draw: Draw) -> None:
    """Weights between two levels get the even code, before the zero point is added."""
    bits = draw.pick("bits", (1, 2, 3, 4))
    W = _on_grid(draw, bits)
    config = reference.GPTQ(bits=bits, percdamp=0.0, block_size=draw.pick("block size", (1, 5, 64)))
    layer = port.gptq_layer(W, np.diag(_powers(draw, W.shape[1]) ** 2), config)
    judge.form("shape", layer.shape, W.shape)
    judge.form("blocks", len(layer.blocks), 1)
    for group in layer.blocks[0].groups:
        if isinstance(group, UniformGroup) and judge.ratio < np.inf:
            _judge_codes(judge, W, group, grid_of=W)


@operation(
    3,
    "sparsegpt_layer",
    name="exact_sparsegpt",
    share=SHARE,
    large=(WIDE,),
    decides=False,
    keeps=True,
)
def _exact_sparsegpt(port: Port, judge: Judge, draw: Draw) -> None:
    """What equals the threshold is pruned; of N and M any of equal scores may stay."""
    keep = draw.pick("keep", ((2, 4), (1, 3), None))
    size = draw.pick("block size", (12, 24))
    W = draw.values("W", (draw.number("rows", 1, 4), draw.number("columns", 2, 30)), TIED)
    powers = _powers(draw, W.shape[1])
    share = None if keep else draw.pick("share", (0.5, 0.25, 0.0))
    config = SparseGPT(keep=keep, sparsity=share, block_size=size, percdamp=0.0, tail="dense")
    layer = port.sparsegpt_layer(W, np.diag(powers**2), config)
    # w² / U², where U is the reciprocal of a power.
    scores = (W * powers) ** 2
    slices = reference.block_slices(W.shape[1], size)
    found = [(b.start, b.stop) for b in layer.blocks]
    judge.form("blocks", found, [(s.start, s.stop) for s in slices])
    for block, part in zip(layer.blocks, slices, strict=False):
        (group,) = block.groups
        if not isinstance(group, ValueGroup):
            judge.fail("not a group of values")
            return
        exactly = Rounded(scores[:, part], np.zeros_like(scores[:, part]), judge.arithmetic)
        mask_of_scores(judge, group.mask, exactly, keep, share or 0.0)
        judge.exact("kept values", group.values, np.where(group.mask, W[:, part], 0.0))


@operation(3, "pb_llm_layer", name="exact_pb_llm", share=SHARE, large=(WIDE,), decides=False)
def _exact_pb_llm(port: Port, judge: Judge, draw: Draw) -> None:
    """What equals the threshold is in the low part, and codes between two are the even one."""
    bits = draw.pick("high bits", (2, 3, 4))
    W = _on_grid(draw, bits)
    powers = _powers(draw, W.shape[1])
    config = PBLLM(
        low_share=draw.pick("low share", (0.5, 0.2, 0.0)),
        high_bits=bits,
        score=draw.pick("score", ("trailing", "magnitude")),
        percdamp=0.0,
        block_size=256,
    )
    layer = port.pb_llm_layer(W, np.diag(powers**2), config)
    judge.form("shape", layer.shape, W.shape)
    low, high = layer.blocks[0].groups
    if not (isinstance(low, BinaryGroup) and isinstance(high, UniformGroup)):
        judge.fail("groups are of the wrong kind")
        return
    scores = (W * powers) ** 2 if config.score == "trailing" else np.abs(W)
    exactly = Rounded(scores, np.zeros_like(scores), judge.arithmetic)
    mask_of_scores(judge, ~low.mask, exactly, None, config.low_share)
    judge_low_levels(judge, judge.arithmetic.read(W), low, config)
    _judge_codes(judge, W, high, grid_of=W)
