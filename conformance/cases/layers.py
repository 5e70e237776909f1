"""What whole layers have in common
================================

States and scores that follow from a port's own record, and the objective that a layer
reaches. It may exceed the reference's by the share :data:`SLACK`, by what is lost to numbers
that are flushed to zero, and by as much as the reference's own changes when its input is moved
by rounding.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.inputs.moved import TRIES, answer_moved
from subbit.reference import (
    Loop,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
    ValueGroup,
)
from subbit.reference.bounds.hessian import damp_bound, inverse_factor_bound
from subbit.reference.bounds.objective import flushed_slack
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones.saliency import (
    inverse_hessian_saliency_bound,
    trailing_saliency_bound,
)
from subbit.reference.contracts.settings import later_settings
from subbit.reference.factored import ProductGroup
from subbit.reference.haar import HaarGroup
from subbit.reference.layer import Group
from subbit.reference.leveled import LevelGroup

Quantize = Callable[[Array, Array], QuantizedLayer]

SLACK = 0.1
FLUSHES = 256
"""Operations of a fit that an entry passes through; a scale counts once for each level."""
INPUTS = ("iid", "ar0.5", "scaled", "positive", "dead")


def judge_objective(
    judge: Judge, W: Array, H: Array, layer: QuantizedLayer, quantize: Quantize
) -> None:
    """Judge a layer's objective, on the Hessian with its mean diagonal added once more.

    Where a port does worse, the reference runs again on weights and a Hessian moved by
    roundings of the port: if a decision was left to rounding, the worse answer is correct
    too.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    layer : QuantizedLayer
        The port's record.
    quantize : callable
        ``quantize(W, H)`` is the reference's record.
    """
    given = np.where(np.diag(H) == 0, 0.0, W)
    S = H + np.diag(H).mean() * np.eye(len(H)) + np.eye(len(H)) * 2.0**-40

    def reached(made: QuantizedLayer) -> float:
        return reference.calibrated_error_trace(given, made.decode(), S)

    own, least = reached(layer), reached(quantize(W, H))
    energy = reference.calibrated_error_trace(given, np.zeros(W.shape), S)
    roundings = judge.arithmetic.unit_roundoff * 64 * energy
    # Each column before an entry's takes a product from it.
    operations, weight = FLUSHES + 2 * len(H), len(W) * np.sum(np.abs(S))

    def slack() -> tuple[float, float]:
        flushed = flushed_slack(
            least, weight, operations, squares=True, arithmetic=judge.arithmetic
        )
        return SLACK * least + roundings, float(flushed)

    for seed in range(TRIES):
        if own <= least + sum(slack()):
            break
        other = answer_moved(quantize, W, H, seed, arithmetic=judge.arithmetic)
        least = max(least, reached(other))
    judge.objective("objective of the layer", own, least, *slack())


def live_columns(H: Array, loop: Loop) -> Mask:
    """Return the columns that a layer quantizes: all, or those of inputs that fired.

    Parameters
    ----------
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    loop : Loop
        The configuration.

    Returns
    -------
    ndarray of bool, shape (m,)
        The columns.
    """
    dead = np.diag(H) == 0
    return ~dead if loop.dead_inputs == "zero" else np.ones(len(dead), dtype=np.bool_)


def prepared_bound(judge: Judge, H: Array, percdamp: float) -> tuple[Rounded, Rounded]:
    """Return a port's damped Hessian and inverse factor.

    Parameters
    ----------
    judge : Judge
        Knows how the port computes.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    percdamp : float
        Damping relative to the mean diagonal.

    Returns
    -------
    damped, factor : Rounded
        Shape (m, m).
    """
    damped = damp_bound(H, percdamp, arithmetic=judge.arithmetic)
    return damped, inverse_factor_bound(damped, arithmetic=judge.arithmetic)


def scores_bound(
    states: Sequence[Rounded],
    prepared: tuple[Rounded, Rounded],
    loop: Loop,
    layer: QuantizedLayer,
) -> list[Rounded]:
    """Return the scores of each block.

    Parameters
    ----------
    states : sequence of Rounded
        States that the blocks were quantized from, shape (n, k).
    prepared : tuple of Rounded
        Damped Hessian and inverse factor, shape (m, m).
    loop : Loop
        The configuration.
    layer : QuantizedLayer
        The port's record.

    Returns
    -------
    list of Rounded
        The scores, shape (n, k) each.
    """
    damped, factor = prepared
    found = []
    for state, block in zip(states, layer.blocks, strict=True):
        arithmetic, part = state.arithmetic, block.columns
        if loop.score == "magnitude":
            found.append(state)
        elif loop.score == "trailing":
            found.append(trailing_saliency_bound(state, factor[part, part], arithmetic=arithmetic))
        else:
            # Each column's score has its own divisor; the other columns are irrelevant.
            value, error = np.zeros((2, *layer.shape))
            value[:, part], error[:, part] = state.value, state.error
            everything = inverse_hessian_saliency_bound(
                Rounded(value, error, arithmetic), damped, arithmetic=arithmetic
            )
            found.append(everything[:, part])
    return found


def cut_block(block: QuantizedBlock, start: int, stop: int) -> QuantizedBlock:
    """Return some columns of a block as a separate block.

    Parameters
    ----------
    block : QuantizedBlock
        The record.
    start, stop : int
        Columns of the layer that lie in the block.

    Returns
    -------
    QuantizedBlock
        The part, without a pattern or salient columns.
    """
    part = slice(start - block.start, stop - block.start)
    return QuantizedBlock(start, stop, tuple(_cut(group, part) for group in block.groups))


def _cut(group: Group, part: slice) -> Group:
    mask = group.mask[:, part]
    if isinstance(group, UniformGroup):
        return replace(group, mask=mask, codes=group.codes[:, part])
    if isinstance(group, ValueGroup):
        return replace(group, mask=mask, values=group.values[:, part])
    if isinstance(group, HaarGroup):
        # Coefficients belong to several columns, decoded values to one.
        return ValueGroup(group.name, mask, group.decode()[:, part])
    if isinstance(group, LevelGroup):
        columns = None if group.column_scale is None else group.column_scale[part]
        return replace(group, mask=mask, levels=group.levels[:, part], column_scale=columns)
    if isinstance(group, ProductGroup):
        right, columns = group.right[:, part], group.column_scale[part]
        return replace(group, mask=mask, right=right, column_scale=columns)
    planes = tuple(_cut_plane(plane, part) for plane in group.planes)
    return replace(group, mask=mask, planes=planes)


def _cut_plane(plane: Plane, part: slice) -> Plane:
    columns = None if plane.column_scale is None else plane.column_scale[part]
    return replace(plane, sign=plane.sign[:, part], column_scale=columns)


def single_columns(layer: QuantizedLayer, first: int) -> QuantizedLayer:
    """Return a record with single-column blocks up to some column, and one block for the rest.

    Parameters
    ----------
    layer : QuantizedLayer
        The record.
    first : int
        The first column of the rest, whose values are not needed, since no block follows.

    Returns
    -------
    QuantizedLayer
        The new record.
    """
    blocks = []
    for block in layer.blocks:
        single = range(block.start, min(block.stop, first))
        blocks += [cut_block(block, column, column + 1) for column in single]
    if first < layer.shape[1]:
        rest = np.zeros((layer.shape[0], layer.shape[1] - first))
        nothing = ValueGroup("rest", rest == 0.0, rest)
        blocks.append(QuantizedBlock(first, layer.shape[1], (nothing,)))
    return QuantizedLayer(layer.shape, tuple(blocks))


def draw_preset(draw: Draw, method: str) -> tuple[str, Any]:
    """Draw a preset of a method, of those with the settings of version 1 alone.

    Parameters
    ----------
    draw : Draw
        The case.
    method : str
        The method.

    Returns
    -------
    name : str
        The preset.
    config : configuration
        Its settings. Presets that use later ones have operations of their own.
    """
    presets = reference.METHODS[method].presets
    first = [n for n, c in presets.items() if not later_settings(type(c)) & c.written().keys()]
    name = draw.pick("preset", tuple(first))
    return name, presets[name]


def draw_block_size(draw: Draw) -> int:
    """Draw a block size: small ones, or in a large case one that holds all columns.

    Parameters
    ----------
    draw : Draw
        The case.

    Returns
    -------
    int
        The block size.
    """
    return draw.pick("block size", (512,) if draw.least else (8, 128))
