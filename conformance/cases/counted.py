"""Levels 1 to 3: counts past 32 bits
===================================

A count in 32 bits wraps around at 2³¹, one in float32 stops at 2²⁴, one in float64 loses its
last digits at 2⁵³. Where large numbers go in, or large records without the memory for them
(all their entries lie in one place), cases go past each of these; all counts are exact.
"""

from dataclasses import asdict
from math import comb
from typing import Any

import numpy as np

from subbit import reference

# Their blocks are registered before they are asked here.
from subbit.conformance.cases import arb_llm, billm, pbs2p, stbllm  # noqa: F401
from subbit.conformance.cases.draw import WIDE, Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import OPERATIONS, Check, operation
from subbit.conformance.target import Port
from subbit.reference import QuantizedBlock, QuantizedLayer
from subbit.reference.bounds.hessian import accumulate_hessian_bound
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.layer import Group
from subbit.reference.notation import AnyArray

FEW = 0.2
"""Share of the usual number of cases."""
MOST_SIZE = 2**31 - 1
RANKED = (34, 66)
"""Sizes of groups with more than 2³² patterns and, in all, fewer than 2⁶³."""
SIDE = 4099
"""A square of such sides has more than 2²⁴ entries, an odd number."""
TALL_SIDE = 2**21 + 1
"""So many rows with 1024 bits for each have more than 2³¹, three times as many more than 2³²."""
FIRST = 5
"""Cases that every depth begins with; they have the fewer rows."""


def _odd(draw: Draw, name: str, low: int, high: int) -> int:
    """Draw an odd number between two powers of two, each power as often."""
    power = int(draw.rng.integers(low, high))
    number = int(draw.rng.integers(2**power, 2 ** (power + 1), dtype=np.int64)) | 1
    draw.said[name] = number
    return number


def _close(judge: Judge, what: str, found: Any, wanted: float) -> None:  # noqa: ANN401
    allowed = judge.arithmetic.gamma(8) * abs(wanted)
    judge.bound(what, found, Rounded(np.array(wanted), np.array(allowed), judge.arithmetic))


@operation(
    1,
    "rank_patterns",
    "unrank_patterns",
    name="patterns_past_32_bits",
    large=(WIDE,),
    decides=False,
    share=0.5,
)
def _patterns(port: Port, judge: Judge, draw: Draw) -> None:
    """Numbers of patterns up to 2⁶³, to the last digit and back."""
    group = int(draw.rng.integers(*RANKED, endpoint=True))
    keep = group // 2 + int(draw.rng.integers(-1, 2))
    draw.said |= {"N": keep, "M": group}
    last = comb(group, keep) - 1
    ranks = draw.rng.integers(0, last, size=(2, 3), endpoint=True)
    ranks[:, :1] = last
    mask = reference.unrank_patterns(ranks, keep, group)
    judge.exact("numbers", port.rank_patterns(mask, keep, group), ranks)
    judge.exact("patterns", port.unrank_patterns(ranks, keep, group), mask)


@operation(
    1,
    "pattern_bits",
    "pattern_entropy",
    name="pattern_bits_past_64_bits",
    large=(WIDE,),
    decides=False,
    share=0.5,
)
def _pattern_bits(port: Port, judge: Judge, draw: Draw) -> None:
    """As many patterns as no number of 64 bits counts, and often no float64."""
    group = _odd(draw, "M", 6, 13)
    keep = group // int(draw.pick("one of", (2, 3)))
    draw.said["N"] = keep
    count = comb(group, keep)
    judge.exact("bits", port.pattern_bits(keep, group), (count - 1).bit_length())
    entropy = reference.pattern_entropy(keep, group)
    _close(judge, "entropy", port.pattern_entropy(keep, group), entropy)


@operation(
    1,
    "billm_storage_bits",
    "arb_storage_bits",
    "stbllm_storage_bits",
    "gram_cost_ratio",
    name="sizes_past_32_bits",
    large=(WIDE,),
    decides=False,
    share=0.5,
)
def _sizes(port: Port, judge: Judge, draw: Draw) -> None:
    """The papers' formulas for layers of up to 2⁵⁹ weights."""
    n, m = _odd(draw, "rows", 12, 30), _odd(draw, "columns", 20, 29)
    c, k = int(draw.rng.integers(0, m)), _odd(draw, "block size", 4, 31)
    rows, columns = draw.pick("numbers", ((7, 0), (4, 4)))
    for name, arguments, switches in (
        ("billm_storage_bits", (n, m, c, k), {}),
        ("stbllm_storage_bits", (n, 8 * (m // 8), k, 5, 8), {}),
        ("arb_storage_bits", (n, m, c, k), {"rows": rows, "columns": columns}),
    ):
        wanted = getattr(reference, name)(*arguments, **switches)
        judge.exact(name, getattr(port, name)(*arguments, **switches), wanted)
    tokens = (_odd(draw, "batch", 12, 31), _odd(draw, "length", 12, 31))
    ratio = (n, k, _odd(draw, "rounds", 12, 31), *tokens)
    wanted = reference.gram_cost_ratio(*ratio)
    _close(judge, "gram_cost_ratio", port.gram_cost_ratio(*ratio), wanted)


@operation(1, "block_slices", name="slices_past_16_bits", large=(WIDE,), decides=False, share=0.5)
def _slices(port: Port, judge: Judge, draw: Draw) -> None:
    """Up to 2²⁴ columns, in blocks that may be much wider."""
    width = _odd(draw, "width", 16, 24)
    size = _odd(draw, "block size", 14, 31)
    if draw.pick("block", ("drawn", "widest")) == "widest":
        draw.said["block size"] = size = MOST_SIZE
    found = [(s.start, s.stop) for s in port.block_slices(width, size)]
    judge.exact("slices", found, [(s.start, s.stop) for s in reference.block_slices(width, size)])


def _one(value: Any, *shape: int) -> AnyArray:  # noqa: ANN401
    """Return an array whose entries all lie in one place."""
    return np.broadcast_to(np.asarray(value), shape)


def _group(draw: Draw, n: int, k: int) -> Group:
    kind = draw.pick("group", ("signs", "codes", "values"))
    everything, scale = _one(np.True_, n, k), _one(1.0, n)
    if kind == "codes":
        return reference.UniformGroup("all", everything, _one(np.uint8(3), n, k), scale, scale, 7)
    if kind == "values":
        return reference.ValueGroup("all", everything, _one(1.0, n, k))
    plane = reference.Plane(_one(np.int8(1), n, k), scale)
    return reference.BinaryGroup("all", everything, (plane,), scale)


@operation(
    1,
    "payload_bits",
    "nominal_bits",
    name="records_past_32_bits",
    large=(WIDE,),
    decides=False,
    share=FEW,
)
def _records(port: Port, judge: Judge, draw: Draw) -> None:
    """Records of more entries than float32 counts, and more bits than 32 bits do."""
    n, k = (SIDE, SIDE) if draw.least else (TALL_SIDE if draw.seed < FIRST else 3 * TALL_SIDE, 1)
    draw.said |= {"rows": n, "columns": k}
    block = QuantizedBlock(0, k, (_group(draw, n, k),))
    layer = QuantizedLayer((n, k), (block,))
    found = asdict(port.payload_bits(layer, float_bits=1024))
    for part, wanted in asdict(reference.payload_bits(layer, float_bits=1024)).items():
        judge.exact(part, found.get(part), wanted)
    _close(judge, "nominal bits", port.nominal_bits(layer), reference.nominal_bits(layer))


@operation(
    2,
    "HessianAccumulator",
    "accumulate_hessian",
    name="sequences_past_24_bits",
    large=(WIDE,),
    decides=False,
    share=FEW,
)
def _sequences(port: Port, judge: Judge, draw: Draw) -> None:
    """In the wide case, more sequences than float32 counts, of one token each."""
    count = 2**24 + 3 if draw.least else int(draw.rng.integers(2**4, 2**7))
    draw.said["sequences"] = count
    x = float(draw.rng.integers(1, 9)) / 4
    X = _one(x, count, 1, 1)
    accumulator = port.HessianAccumulator(1)
    accumulator.add(X[:3])
    accumulator.add(X[3:])
    judge.exact("count", accumulator.count, count)
    bound = accumulate_hessian_bound(X, arithmetic=judge.arithmetic)
    judge.bound("H", port.accumulate_hessian(X), bound)


class _Far(Draw):
    """A case whose block starts as far to the right as a block may."""

    def number(self, name: str, low: int, high: int) -> int:
        number = super().number(name, low, high)
        if name != "start":
            return number
        self.said[name] = MOST_SIZE - number % 4
        return MOST_SIZE - number % 4


def _far(block: str) -> Check:
    def check(port: Port, judge: Judge, draw: Draw) -> None:
        far = _Far(draw.seed, dtype=judge.arithmetic.dtype)
        OPERATIONS[block].examine(port, judge, far)
        draw.said |= far.said

    return check


for _name in ("billm_block", "arb_llm_block", "stbllm_block", "pbs2p_block"):
    operation(3, _name, name=f"far_{_name}", large=(WIDE,), decides=False, share=FEW)(_far(_name))
