"""Level 2: removing several weights at once
==========================================

Moves and losses are judged by the bounds of ``bounds.pruning.removal``, the choice in a group
by its loss above the least. On a diagonal Hessian of powers of four nothing is rounded, and
the rule for ties holds.
"""

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS, SUMMABLE, Array, Mask
from subbit.conformance.target import Port
from subbit.reference.bounds.pruning import removal as removal_bounds

SIZES = ((1, 2), (2, 4), (1, 4), (3, 4), (4, 8), (3, 6), (4, 4))


def _drawn(draw: Draw) -> tuple[Array, Array, Mask]:
    W = draw.weights((*CONTINUOUS, "tied", "integer", "zeros"), columns=(1, 20))
    H = reference.damp(draw.hessian(W.shape[1]), draw.pick("percdamp", (0.01, 0.1)))
    return W, H, ~draw.mask(W.shape) if draw.pick("rest", (False, True)) else draw.mask(W.shape)


@operation(2)
def _removal_move(port: Port, judge: Judge, draw: Draw) -> None:
    """Eq. (11): kept weights moved, removed ones exactly zero."""
    W, H, removed = _drawn(draw)
    bound = removal_bounds.removal_move_bound(W, H, removed, arithmetic=judge.arithmetic)
    found = port.removal_move(W, H, removed)
    judge.bound("weights", found, bound)
    judge.exact("removed weights", host(found)[removed], np.zeros(np.count_nonzero(removed)))


@operation(2)
def _removal_loss(port: Port, judge: Judge, draw: Draw) -> None:
    """Eq. (12): the increase of the loss."""
    W, H, removed = _drawn(draw)
    bound = removal_bounds.removal_loss_bound(W, H, removed, arithmetic=judge.arithmetic)
    judge.bound("losses", port.removal_loss(W, H, removed), bound)


@operation(2)
def _removal_mask(port: Port, judge: Judge, draw: Draw) -> None:
    """Solution M: the best choice of every group."""
    keep, group = draw.pick("N:M", SIZES)
    width = group * draw.number("groups", 1, 3)
    shape = (draw.number("rows", 1, 4), width)
    if draw.pick("H", ("of inputs", "diagonal")) == "diagonal":
        W = draw.values("W", shape, SUMMABLE)
        H = np.diag(4.0 ** draw.rng.integers(-2, 3, size=width))
        wanted = reference.removal_mask(W, H, keep, group)
        judge.exact("kept weights", port.removal_mask(W, H, keep, group), wanted)
        return
    W = draw.values("W", shape, CONTINUOUS)
    H = reference.damp(draw.hessian(width), draw.pick("percdamp", (0.01, 0.1)))
    mask = host(port.removal_mask(W, H, keep, group))
    judge.form("shape", mask.shape, W.shape)
    if mask.shape != W.shape:
        return
    counts = np.count_nonzero(mask.reshape(len(W), -1, group), axis=2)
    judge.exact("kept weights of each group", counts, np.full(counts.shape, keep))
    if np.all(counts == keep):
        margin = removal_bounds.removal_mask_margin(
            W, H, mask, keep, group, arithmetic=judge.arithmetic
        )
        judge.choice("loss above the least", margin)
