"""Level 2: entries assigned column by column
==========================================

The signs of a port's record tell the state that each entry was assigned from, so one sign that
rounding decides does not make the rest incomparable. Where nothing is rounded, ties are decided
as in the reference.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import starmap
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.arb import signs_in
from subbit.conformance.cases.groups.joint_signs import judge_joint
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import single_columns
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup, Plane, QuantizedBlock, QuantizedLayer
from subbit.reference.bounds import compensate as compensate_bounds
from subbit.reference.bounds.assign import nearest_sign_margin
from subbit.reference.bounds.rounding import Input, Rounded
from subbit.reference.signs import sign

FAMILIES = (*CONTINUOUS, "tied", "zero_rows")
KINDS = ("one scale", "two scales", "means", "columns", "two of columns", "no sign", "negative")
"""Groups as methods make them, those of pruned entries, and scales that least squares made."""


def _levels(kind: str, W: Array, mask: Mask, name: str) -> BinaryGroup:
    """Fit a group to weights, in the way of one of the methods."""
    match kind:
        case "columns" | "two of columns":
            order = 1 if kind == "columns" else 2
            return reference.rc_start(W, mask, order=order, name=name)
        case "no sign":
            return BinaryGroup(name, mask, (), reference.masked_mean(W, mask))
        case "negative":
            group = reference.residual_binarize(W, mask, center=True, name=name)
            plane = group.planes[0]
            return replace(group, planes=(replace(plane, row_scale=-plane.row_scale),))
    order = 2 if kind == "two scales" else 1
    return reference.residual_binarize(W, mask, order=order, center=kind != "one scale", name=name)


def drawn_block(draw: Draw, W: Array, start: int = 0) -> QuantizedBlock:
    """Draw a fitted block of up to three groups, with entries in none of them.

    Parameters
    ----------
    draw : Draw
        The case.
    W : ndarray of float64, shape (n, k)
        Weights that the groups are fitted to.
    start : int, default 0
        Its first column.

    Returns
    -------
    QuantizedBlock
        The block.
    """
    count, shape = draw.number("groups", 1, 3), (W.shape[0], W.shape[1])
    number = draw.rng.integers(1 - draw.pick("left out", (0, 1)), count + 1, shape)
    groups = tuple(
        _levels(draw.pick(f"group {g}", KINDS), W, number == g, f"group {g}")
        for g in range(1, count + 1)
    )
    return QuantizedBlock(start, start + shape[1], groups)


def judge_assigned(
    judge: Judge,
    W: Input,
    U: Input,
    layer: QuantizedLayer,
    *,
    free: Mask | None = None,
) -> None:
    """Judge every sign of a record by the state that the columns before it left.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : array_like of float64 or Rounded, shape (n, m)
        Weights of the layer, or of a block.
    U : array_like of float64 or Rounded, shape (m, m)
        Inverse factor.
    layer : QuantizedLayer
        The port's record, of binary groups.
    free : ndarray of bool, shape (n, m), optional
        The weights that feedback may move; all by default.
    """
    of, columns = judge.arithmetic, single_columns(layer, layer.shape[1])
    states = compensate_bounds.layer_states_bound(
        W, U, columns, mode="exact", free=free, arithmetic=of
    )
    # m of (n, 1) -> (n, m)
    value, error = (np.hstack([getattr(x, name) for x in states]) for name in ("value", "error"))
    for block in layer.blocks:
        part = block.columns
        with judge.at_columns(part):
            for group in block.groups:
                _judge_group(judge, Rounded(value[:, part], error[:, part], of), group)


def as_fitted(
    block: QuantizedBlock, W: Array, fit: Callable[[Array, BinaryGroup], BinaryGroup]
) -> QuantizedBlock:
    """Return a block with the signs that it had before its columns were assigned.

    Parameters
    ----------
    block : QuantizedBlock
        The port's record.
    W : ndarray of float64, shape (n, k)
        Weights that it was fitted to.
    fit : callable
        ``fit(W, group)`` returns a group with these signs.

    Returns
    -------
    QuantizedBlock
        The record, as a fit without feedback inside the block is judged.
    """
    groups = []
    for group in block.groups:
        if not isinstance(group, BinaryGroup):
            return block
        groups.append(_with_signs_of(group, fit(W, group)))
    return replace(block, groups=tuple(groups))


def _judge_group(judge: Judge, state: Rounded, group: Any) -> None:  # noqa: ANN401
    of, mask = judge.arithmetic, host(group.mask)
    Z = (state - of.read(host(group.row_means))[:, None]).keep(mask)
    scales = []
    for plane in group.planes:
        scale = of.read(host(plane.row_scale))[:, None]
        columns = np.ones(mask.shape[1]) if plane.column_scale is None else plane.column_scale
        known = plane.column_scale is not None
        across = of.read(host(columns))[None]
        spread = of.exactly(np.ones(mask.shape))
        scales.append(scale * across if known else scale * spread)
    signs = signs_in(group)
    if len(scales) == 1:
        flipped = np.where(scales[0].value < 0.0, -Z.value, Z.value)
        margin = nearest_sign_margin(Z, scales[0])
        value, error = np.where(mask, margin.value, 1.0), np.where(mask, margin.error, 0.0)
        wanted = np.where(mask, sign(flipped), 0)
        judge.decision("the nearest sign", signs[0], wanted, Rounded(value, error, of))
    elif scales:
        judge_joint(judge, Z, (scales[0], scales[1]), signs, mask)


def _same_but_signs(judge: Judge, found: QuantizedBlock, given: QuantizedBlock) -> bool:
    """Judge what stays of a block, and tell whether its signs can be judged."""
    judge.form("columns", (found.start, found.stop), (given.start, given.stop))
    judge.true("the pattern stays", found.pattern == given.pattern)
    judge.form("number of groups", len(found.groups), len(given.groups))
    judge.form("salient columns are there", found.salient is None, given.salient is None)
    if judge.ratio:
        return False
    for own, group in zip(found.groups, given.groups, strict=True):
        if not isinstance(own, BinaryGroup) or not isinstance(group, BinaryGroup):
            judge.fail("a group is not binary")
            return False
        judge.form("name", own.name, group.name)
        judge.form("mask", own.mask, group.mask)
        judge.form("shapes of signs", [s.shape for s in signs_in(own)], _shapes(group))
        judge.form("mean is there", own.mean is None, group.mean is None)
        if judge.ratio:
            return False
        _same_levels(judge, own, group)
    return True


def _with_signs_of(group: Any, other: Any) -> BinaryGroup:  # noqa: ANN401
    pairs = zip(group.planes, other.planes, strict=True)
    return replace(group, planes=tuple(replace(p, sign=host(q.sign)) for p, q in pairs))


def _shapes(group: BinaryGroup) -> list[tuple[int, ...]]:
    return [group.mask.shape] * len(group.planes)


def _same_levels(judge: Judge, found: BinaryGroup, given: BinaryGroup) -> None:
    pairs = [("means", found.mean, given.mean)]
    for own, plane in zip(found.planes, given.planes, strict=True):
        pairs += [("scales", own.row_scale, plane.row_scale)]
        pairs += [("column scales", own.column_scale, plane.column_scale)]
    for what, own_, given_ in pairs:
        judge.form(f"{what} are there", own_ is None, given_ is None)
        if given_ is not None and own_ is not None:
            kept = judge.arithmetic.read(given_).kept_as("means" if what == "means" else "scales")
            judge.bound(f"{what} that stay", own_, kept)


def _free(draw: Draw, shape: tuple[int, int]) -> Mask | None:
    return draw.mask(shape) if draw.pick("free", ("all", "some")) == "some" else None


@operation(2, "assign_columns", keeps=True)
def _assign_columns(port: Port, judge: Judge, draw: Draw) -> None:
    """Signs of a fitted block, each from the state that the columns before it left."""
    W = draw.weights(FAMILIES, columns=(1, 40))
    U = reference.inverse_factor(reference.damp(draw.hessian(W.shape[1]), 0.05))
    block, free = drawn_block(draw, W, draw.number("start", 0, 500)), _free(draw, W.shape)
    found = port.assign_columns(W, U, block, free=free)
    if _same_but_signs(judge, found, block):
        # A port may store levels in fewer digits than it was given.
        own = zip(block.groups, found.groups, strict=True)
        groups = tuple(starmap(_with_signs_of, own))
        assigned = QuantizedBlock(0, W.shape[1], groups)
        judge_assigned(judge, W, U, QuantizedLayer(W.shape, (assigned,)), free=free)


@operation(1, "assign_columns", name="exact_assign_columns", keeps=True)
def _exact_assign_columns(port: Port, judge: Judge, draw: Draw) -> None:
    """Weights, levels and a factor of few bits: nothing is rounded, and ties are as in the text."""
    n, k = draw.shape((1, 4), (1, 4))
    W = draw.rng.integers(-6, 7, (n, k)) / 2
    # Each column's error goes to one other, so errors do not double from column to column.
    U, apart = np.eye(k), draw.rng.integers(1, 3, k)
    for j in np.flatnonzero(np.arange(k) + apart < k):
        U[j, j + apart[j]] = draw.rng.choice((-1.0, 1.0))
    number, groups = draw.rng.integers(0, 4, (n, k)), []
    for g in range(1, 4):
        order, scaled = draw.rng.integers(0, 3), draw.rng.integers(0, 2)
        planes = tuple(
            Plane(
                np.zeros((n, k), dtype=np.int8),
                draw.rng.integers(-2, 4, n) / 2,
                draw.rng.integers(-1, 3, k).astype(np.float64) if scaled else None,
            )
            for _ in range(order)
        )
        mean = None if draw.rng.integers(0, 2) else draw.rng.integers(-2, 3, n) / 2
        groups.append(BinaryGroup(f"group {g}", number == g, planes, mean))
    block, free = QuantizedBlock(0, k, tuple(groups)), _free(draw, (n, k))
    found, wanted = (p.assign_columns(W, U, block, free=free) for p in (port, reference))
    if _same_but_signs(judge, found, block):
        for own, group in zip(found.groups, wanted.groups, strict=True):
            judge.exact(f"signs of {group.name}", signs_in(own), signs_in(group))
