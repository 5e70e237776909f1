"""Levels 2 and 3: scales and signs of a product
=============================================

Refitted scales are compared entry by entry. After a sweep the error must not have risen, and signs
are the reference's, unless rounding decides one of them: the reference is then asked again with
weights and Hessian moved by roundings, and the signs that change are open. Right signs follow left
ones, so all of them are open once a left one differs.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import INPUTS, SLACK
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import CONTINUOUS, Array, Generator
from subbit.conformance.inputs.moved import TRIES, answer_moved
from subbit.conformance.target import Port
from subbit.reference import ProductGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.bounds.groups.product_sweeps import (
    refit_column_scales_bound,
    refit_row_scales_bound,
    sign_rise_bound,
)
from subbit.reference.bounds.objective import flushed_slack
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.notation import AnyArray


def draw_product(rng: Generator, shape: tuple[int, int], rank: int) -> QuantizedLayer:
    """Draw the record of a product.

    Parameters
    ----------
    rng : Generator
        Draws it.
    shape : tuple of int
        Its rows and columns.
    rank : int
        Its components.

    Returns
    -------
    QuantizedLayer
        Any signs, and scales of either sign, some of them zero.

    Examples
    --------
    >>> draw_product(np.random.default_rng(0), (2, 3), 4).blocks[0].groups[0].rank
    4
    """
    n, m = shape
    left, right = (rng.choice([-1, 1], s).astype(np.int8) for s in ((n, rank), (rank, m)))
    rows, columns = (rng.uniform(0.25, 1.0, s) * rng.choice([-1, 0, 1, 1, 1], s) for s in (n, m))
    group = ProductGroup("all", np.ones(shape, dtype=np.bool_), left, right, rows, columns)
    return QuantizedLayer(shape, (QuantizedBlock(0, m, (group,)),))


def product_in(layer: QuantizedLayer) -> ProductGroup:
    """Return the product that a record is.

    Parameters
    ----------
    layer : QuantizedLayer
        The record.

    Returns
    -------
    ProductGroup
        Its only group.
    """
    return cast("ProductGroup", layer.blocks[0].groups[0])


def product_form(judge: Judge, layer: QuantizedLayer, shape: tuple[int, int], rank: int) -> bool:
    """Judge that a record is one product.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    layer : QuantizedLayer
        The port's record.
    shape : tuple of int
        Rows and columns.
    rank : int
        Its components.

    Returns
    -------
    bool
        Whether it is.
    """
    judge.form("shape", layer.shape, shape)
    judge.form("blocks", [(b.start, b.stop) for b in layer.blocks], [(0, shape[1])])
    judge.form("no order", layer.order is None, expected=True)
    groups = [group for block in layer.blocks for group in block.groups]
    judge.form("names of the groups", [group.name for group in groups], ["all"])
    judge.true("a product", all(isinstance(group, ProductGroup) for group in groups))
    if judge.ratio > 0.0:
        return False
    (group,) = groups
    judge.true("all entries are the group's", bool(np.all(host(group.mask))))
    for name, width in {"left": (shape[0], rank), "right": (rank, shape[1])}.items():
        signs = host(getattr(group, name))
        judge.form(f"shape of the {name} signs", signs.shape, width)
        judge.true("signs of -1 or +1", bool(np.all(np.abs(signs) == 1)))
    return judge.ratio == 0.0


def _drawn(draw: Draw) -> tuple[Array, Array, QuantizedLayer]:
    W = draw.weights(CONTINUOUS, columns=(1, 40))
    layer = draw_product(draw.rng, W.shape, draw.number("rank", 1, 6))
    # The scales of the weights, which a record of a layer would have.
    largest = float(np.abs(W).max()) / product_in(layer).rank
    rows = largest * product_in(layer).row_scale
    group = replace(product_in(layer), row_scale=rows)
    layer = replace(layer, blocks=(replace(layer.blocks[0], groups=(group,)),))
    H = draw.hessian(W.shape[1], INPUTS)
    return W, reference.damp(H, draw.pick("percdamp", (0.05, 0.2))), layer


def _rest(judge: Judge, found: QuantizedLayer, given: QuantizedLayer, *fields: str) -> bool:
    """Judge what stays as it was."""
    old = product_in(given)
    if not product_form(judge, found, given.shape, old.rank):
        return False
    for field in fields:
        own, right = host(getattr(product_in(found), field)), getattr(old, field)
        if field.endswith("scale"):
            judge.bound(field, own, judge.arithmetic.read(right))
        else:
            judge.exact(field, own, right)
    return judge.ratio <= 1.0


@operation(2, large=LARGE, decides=False)
def _refit_row_scales(port: Port, judge: Judge, draw: Draw) -> None:
    """The least-squares scale of each row."""
    W, H, layer = _drawn(draw)
    found = port.refit_row_scales(W, H, layer)
    if _rest(judge, found, layer, "left", "right", "column_scale"):
        bound = refit_row_scales_bound(W, H, product_in(layer), arithmetic=judge.arithmetic)
        judge.bound("row scales", product_in(found).row_scale, bound.kept_as("scales"))


@operation(2, large=LARGE, decides=False)
def _refit_column_scales(port: Port, judge: Judge, draw: Draw) -> None:
    """The least-squares scales of all columns."""
    W, H, layer = _drawn(draw)
    found = port.refit_column_scales(W, H, layer)
    if _rest(judge, found, layer, "left", "right", "row_scale"):
        bound = refit_column_scales_bound(W, H, product_in(layer), arithmetic=judge.arithmetic)
        judge.bound("column scales", product_in(found).column_scale, bound.kept_as("scales"))


def _signs(layer: QuantizedLayer) -> AnyArray:
    group = product_in(layer)
    return np.concatenate([np.ravel(host(x)).astype(np.int64) for x in (group.left, group.right)])


def _open(
    judge: Judge, W: Array, H: Array, wanted: AnyArray, sweep: Callable[[Array, Array], AnyArray]
) -> AnyArray:
    """Mark the signs that moves of weights and Hessian change."""
    found = np.zeros(wanted.shape, dtype=np.bool_)
    for seed in range(TRIES):
        found |= answer_moved(sweep, W, H, seed, arithmetic=judge.arithmetic) != wanted
    return found


@operation(3, large=LARGE, decides=True, rarely=True)
def _sweep_signs(port: Port, judge: Judge, draw: Draw) -> None:
    """One sweep over any signs."""
    W, H, layer = _drawn(draw)
    found = port.sweep_signs(W, H, layer)
    if not _rest(judge, found, layer, "row_scale", "column_scale"):
        return
    wanted = reference.sweep_signs(W, H, layer)
    own, right, count = _signs(found), _signs(wanted), product_in(layer).left.size
    is_open = np.zeros(right.shape, dtype=np.bool_)
    if np.any(own != right):
        is_open = _open(judge, W, H, right, lambda W, H: _signs(reference.sweep_signs(W, H, layer)))
        is_open[count:] |= bool(np.any(own[:count] != right[:count]))
    margin = Rounded(np.zeros(right.shape), np.where(is_open, 1.0, 0.0), judge.arithmetic)
    judge.decision("signs", own, right, margin)
    after = np.asarray(found.decode(), np.float64)
    rise = sign_rise_bound(W, H, product_in(layer), after, arithmetic=judge.arithmetic)
    judge.within("rise of the error", rise)
    reached, least = (reference.calibrated_error_trace(W, Q, H) for Q in (after, wanted.decode()))
    flushed = flushed_slack(
        least, len(W) * np.sum(np.abs(H)), 2 * len(H), squares=True, arithmetic=judge.arithmetic
    )
    # A sign that rounding decides may lead to another minimum.
    slack = float(rise.error) + (SLACK * least if is_open.any() else 0.0)
    judge.objective("error after the sweep", reached, least, slack, float(flushed))
