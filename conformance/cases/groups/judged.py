"""Groups against the reference from the same state
================================================

A port's group is compared with the reference's group from the same weights, which may
themselves be known only to rounding.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.inputs.families import Array, Mask
from subbit.reference import BinaryGroup, UniformGroup
from subbit.reference.bounds.baselines.rtn import (
    grid_codes_margin,
    minmax_grid_bound,
)
from subbit.reference.bounds.groups.binarize import BinarizeBound, residual_binarize_bound
from subbit.reference.bounds.rounding import Input, Rounded
from subbit.reference.notation import AnyArray, SignOfZero
from subbit.reference.signs import sign


def signs_of(
    judge: Judge,
    found: AnyArray,
    distance: Rounded,
    mask: Mask,
    zero: SignOfZero,
    *,
    what: str = "signs",
) -> None:
    """Judge signs by their margin, and that there are no signs outside the mask.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    found : ndarray of int8, shape (n, k)
        The port's signs.
    distance : Rounded
        Values that they are taken of, shape (n, k).
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    zero : {0, 1}
        Sign of zero.
    what : str, default "signs"
        Name for messages.
    """
    wanted = np.where(mask, sign(distance.value, zero), 0)
    margin = Rounded(
        np.where(mask, np.abs(distance.value), 1.0),
        np.where(mask, distance.error, 0.0),
        judge.arithmetic,
    )
    judge.decision(what, found, wanted, margin)


def once(
    judge: Judge,
    W: Array,
    mask: Mask,
    answer: tuple[AnyArray, AnyArray, AnyArray],
    mode: Mapping[str, Any],
) -> None:
    """Judge one order of binarization.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : ndarray of float64, shape (n, k)
        Weights.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    answer : tuple of ndarray
        The port's mean and scale, shape (n,), and signs, shape (n, k).
    mode : mapping
        The switches `center` and `sign_zero`.
    """
    mean, scale, signs = answer
    bound = residual_binarize_bound(W, mask, **mode, arithmetic=judge.arithmetic)
    if bound.mean is None:
        judge.exact("mean without centering", mean, np.zeros(len(W)))
    else:
        judge.bound("mean", mean, bound.mean)
    judge.bound("scale", scale, bound.scales[0])
    signs_of(judge, signs, bound.distances[0], mask, mode["sign_zero"])


def binary_group(
    judge: Judge,
    state: Input,
    mask: Mask,
    group: BinaryGroup,
    *,
    order: int,
    mode: Mapping[str, Any],
) -> None:
    """Judge a binarized group by the weights that it was made from.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : Rounded
        The weights, shape (n, k).
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    group : BinaryGroup
        The port's record.
    order : int
        Orders of binarization.
    mode : mapping
        The switches `center` and `sign_zero`.
    """
    judge.form("mask", group.mask, mask)
    judge.form("number of planes", len(group.planes), order)
    judge.form("mean is there", group.mean is not None, mode["center"])
    signs = [host(plane.sign) for plane in group.planes]
    if len(signs) != order or any(s.shape != mask.shape for s in signs):
        judge.fail(f"signs of shape {[s.shape for s in signs]} for {order} orders of {mask.shape}")
        return
    bound = residual_binarize_bound(
        state, mask, order=order, signs=signs, **mode, arithmetic=judge.arithmetic
    )
    for number, plane in enumerate(group.planes):
        name = f"of order {number + 1}"
        distance = bound.distances[number]
        signs_of(judge, signs[number], distance, mask, mode["sign_zero"], what=f"signs {name}")
        judge.bound(f"scales {name}", plane.row_scale, bound.scales[number].kept_as("scales"))
    if bound.mean is not None and group.mean is not None:
        judge.bound("means", group.mean, bound.mean.kept_as("means"))
    judge.bound("decoded values", group.decode(), _decoded(bound, mask))


def _decoded(bound: BinarizeBound, mask: Mask) -> Rounded:
    """Decode from what a record keeps."""
    computed = [(scale, "scales") for scale in bound.scales]
    computed += [] if bound.mean is None else [(bound.mean, "means")]
    decoded = bound.decoded
    for level, kind in computed:
        if (kept := level.kept_as(kind)) is not level:
            with np.errstate(invalid="ignore"):
                more = np.where(np.isinf(kept.error), np.inf, kept.error - level.error)
            decoded = decoded.widen(np.where(mask, more[:, None], 0.0))
    return decoded


def uniform_group(
    judge: Judge, state: Rounded, group: UniformGroup, *, grid_of: Rounded | None, bits: int
) -> None:
    """Judge the codes of a group, and its grid if the weights that it was fitted to are known.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : Rounded
        The rounded weights, shape (n, k).
    group : UniformGroup
        The port's record; its mask is not judged here.
    grid_of : Rounded or None
        Weights that the grid was fitted to, shape (n, anything).
    bits : int
        Bits of a code.
    """
    judge.form("bits", group.bits, bits)
    if grid_of is not None:
        bound, margin = minmax_grid_bound(grid_of, bits, arithmetic=judge.arithmetic)
        judge.bound("scales", group.scale, bound.kept_as("scales"))
        wanted = reference.minmax_grid(grid_of.value, bits)[1]
        judge.decision("zero points", group.zero, wanted, margin)
    scale = _scale_of_codes(judge, group)
    margin = grid_codes_margin(state, scale, group.zero, bits, arithmetic=judge.arithmetic).keep(
        group.mask
    )
    codes = reference.grid_codes(state.value, scale.value, group.zero, bits)
    judge.decision("codes", group.codes, np.where(group.mask, codes, 0), margin)


def _scale_of_codes(judge: Judge, group: UniformGroup) -> Rounded:
    """Return the scale that codes were found with, perhaps before it was stored."""
    found = host(group.scale).astype(np.float64)
    if not judge.arithmetic.narrows:
        return judge.arithmetic.read(found)
    # A type of few digits may lose a scale altogether, and with it the margins of its codes.
    lost = ~(np.isfinite(found) & (found > 0.0))
    scale = judge.arithmetic.read(np.where(lost, 1.0, found)).kept_as("scales")
    return scale.widen(np.where(lost, np.inf, 0.0))
