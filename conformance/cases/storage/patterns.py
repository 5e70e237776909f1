"""Level 1: patterns of N:M sparsity, and bits of records that have them
=====================================================================

Pattern numbers are whole and have no rounding. The records are drawn here: any N:M masks,
dead columns, free columns at the end, and groups of all kinds.
"""

from collections.abc import Callable
from dataclasses import asdict
from math import comb
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.layer import Group

MOST = 32


def _sizes(draw: Draw, most: int = MOST) -> tuple[int, int]:
    group = draw.number("M", 1, most)
    return draw.number("N", 1, group), group


def _close(judge: Judge, what: str, found: Any, wanted: float) -> None:  # noqa: ANN401
    allowed = 8 * judge.arithmetic.unit_roundoff * abs(wanted)
    judge.bound(what, found, Rounded(np.array(wanted), np.array(allowed), judge.arithmetic))


def _draw_mask(draw: Draw, keep: int, group: int) -> Mask:
    shape = (draw.number("rows", 1, 5), draw.number("groups", 1, 6), group)
    places = draw.rng.random(shape).argsort(axis=2).argsort(axis=2)
    return np.asarray(places < keep).reshape(shape[0], -1)


@operation(1)
def _pattern_bits(port: Port, judge: Judge, draw: Draw) -> None:
    """Bits of a pattern's number, whatever its size."""
    keep, group = _sizes(draw, 80)
    judge.exact("bits", port.pattern_bits(keep, group), (comb(group, keep) - 1).bit_length())


@operation(1)
def _pattern_entropy(port: Port, judge: Judge, draw: Draw) -> None:
    """The same without rounding up."""
    keep, group = _sizes(draw, 80)
    _close(
        judge,
        "entropy",
        port.pattern_entropy(keep, group),
        reference.pattern_entropy(keep, group),
    )


@operation(1)
def _rank_patterns(port: Port, judge: Judge, draw: Draw) -> None:
    """Numbers in lexicographic order."""
    keep, group = _sizes(draw)
    mask = _draw_mask(draw, keep, group)
    wanted = reference.rank_patterns(mask, keep, group)
    judge.exact("numbers", port.rank_patterns(mask, keep, group), wanted)


@operation(1)
def _unrank_patterns(port: Port, judge: Judge, draw: Draw) -> None:
    """Patterns of numbers, the first and the last among them."""
    keep, group = _sizes(draw)
    last = comb(group, keep) - 1
    ranks = draw.rng.integers(0, last + 1, size=(draw.number("rows", 1, 5), 6))
    ranks[:, :2] = (0, last)
    wanted = reference.unrank_patterns(ranks, keep, group)
    judge.exact("patterns", port.unrank_patterns(ranks, keep, group), wanted)


def _group(draw: Draw, name: str, mask: Mask) -> Group:
    values: Array = np.where(mask, draw.rng.standard_normal(mask.shape), 0.0)
    if draw.rng.random() < 0.3:
        return reference.ValueGroup(name, mask, values)
    order = int(draw.rng.integers(1, 3))
    return reference.residual_binarize(
        values, mask, order=order, center=bool(draw.rng.random() < 0.5), name=name
    )


def _block(draw: Draw, rows: int, columns: slice) -> reference.QuantizedBlock:
    """Draw an N:M sparse block of two zones with one or two groups in each."""
    width = columns.stop - columns.start
    group = int(draw.rng.integers(1, 9))
    keep = int(draw.rng.integers(1, group + 1))
    whole = width - width % group
    kept = np.ones((rows, width), dtype=np.bool_)
    places = draw.rng.random((rows, whole // group, group)).argsort(axis=2).argsort(axis=2)
    kept[:, :whole] = places.reshape(rows, whole) < keep
    kept &= draw.rng.random(width) < draw.rng.choice([1.0, 0.8])
    if draw.rng.random() < 0.2:
        kept &= draw.rng.random(kept.shape) < 0.9
    salient = draw.rng.random(width) < 0.2
    first = draw.rng.random(kept.shape) < 0.5
    masks = (kept & ~salient & first, kept & ~salient & ~first, kept & salient)
    groups = tuple(_group(draw, name, mask) for name, mask in zip("abc", masks, strict=True))
    return reference.QuantizedBlock(columns.start, columns.stop, groups, salient, (keep, group))


def _layer(draw: Draw) -> reference.QuantizedLayer:
    n, m = draw.shape((1, 5), (1, 40))
    slices = reference.block_slices(m, draw.number("block size", 1, 24))
    return reference.QuantizedLayer((n, m), tuple(_block(draw, n, s) for s in slices))


def _counted(what: str, count: Callable[[Port, Any, int], Any]) -> Callable[..., None]:
    def check(port: Port, judge: Judge, draw: Draw) -> None:
        layer, size = _layer(draw), draw.pick("float bits", (16, 32))
        found, wanted = count(port, layer, size), count(reference, layer, size)
        if isinstance(wanted, float):
            _close(judge, what, found, wanted)
            return
        for part, number in wanted.items():
            judge.exact(part, found.get(part), number)

    return check


operation(1, "payload_bits", name="payload_of_patterns")(
    _counted("bits", lambda port, layer, size: asdict(port.payload_bits(layer, float_bits=size)))
)
operation(1, "index_floor", name="index_floor")(
    _counted("bits", lambda port, layer, _: port.index_floor(layer))
)


@operation(1, "nominal_bits", name="nominal_of_patterns")
def _nominal_of_patterns(port: Port, judge: Judge, draw: Draw) -> None:
    """Only signs of kept weights, and 16 bits for those stored as they are."""
    layer = _layer(draw)
    _close(judge, "bits", port.nominal_bits(layer), reference.nominal_bits(layer))


@operation(
    1,
    "stbllm_parameter_bits",
    "stbllm_storage_bits",
    "stbllm_storing_bits",
    name="stbllm_bits",
)
def _stbllm_bits(port: Port, judge: Judge, draw: Draw) -> None:
    """The papers' formulas."""
    keep, group = _sizes(draw, 16)
    r, k = draw.pick("salient share", (0.0, 0.1, 0.5, 1.0)), draw.number("block size", 1, 300)
    n, m = draw.number("rows", 1, 4096), group * draw.number("groups", 1, 600)
    for name, arguments in (
        ("stbllm_parameter_bits", (r, keep, group)),
        ("stbllm_storing_bits", (k,)),
        ("stbllm_storage_bits", (n, m, k, keep, group)),
    ):
        wanted = float(getattr(reference, name)(*arguments))
        _close(judge, name, getattr(port, name)(*arguments), wanted)
