"""Mutants that count in too few bits
==================================

Each is the reference, with counts that wrap around at 2³¹ or 2³², or are rounded to the
numbers that a floating-point type holds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from math import comb, log2
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Change, Function, Mutant, answers, given

Right = reference.HessianAccumulator


def _wrapped(bits: int, *, signed: bool) -> Change:
    def change(count: Any) -> Any:  # noqa: ANN401
        half = 2 ** (bits - 1) if signed else 0
        if isinstance(count, np.ndarray):
            kind = np.dtype(f"{'i' if signed else 'u'}{bits // 8}")
            return count.astype(kind).astype(count.dtype)
        return (count + half) % 2**bits - half

    return change


def _rounded(dtype: str) -> Change:
    def change(count: Any) -> Any:  # noqa: ANN401
        if isinstance(count, np.ndarray):
            return count.astype(dtype).astype(np.float64).astype(count.dtype)
        return int(float(np.dtype(dtype).type(count)))

    return change


COUNTERS: Mapping[str, Change] = {
    "int32": _wrapped(32, signed=True),
    "uint32": _wrapped(32, signed=False),
    "float32": _rounded("float32"),
    "float64": _rounded("float64"),
}
"""What a count becomes in a type of too few bits."""


def _each_answer(*names: str) -> Iterator[tuple[str, dict[str, Function]]]:
    for counter, change in COUNTERS.items():
        for name in names:
            yield f"{name} in {counter}", {name: answers(name, change)}


def _ranks_in(dtype: str) -> Function:
    def patterns(ranks: Any, keep: int, group: int) -> Any:  # noqa: ANN401
        last = comb(group, keep) - 1
        # Where the type's nearest number lies beyond the last one, that is taken.
        kept = np.array([min(int(x), last) for x in np.ravel(ranks).astype(dtype)])
        return reference.unrank_patterns(kept.reshape(np.shape(ranks)), keep, group)

    return patterns


def _patterns() -> Iterator[tuple[str, dict[str, Function]]]:
    yield from _each_answer("rank_patterns")
    for dtype in ("float32", "float64"):
        yield f"numbers read in {dtype}", {"unrank_patterns": _ranks_in(dtype)}
    yield "numbers read in 32 bits", {"unrank_patterns": given("unrank_patterns", "ranks", _low)}


def _low(ranks: Any) -> Any:  # noqa: ANN401
    return np.asarray(ranks) & 0xFFFFFFFF


def _count_of(change: Callable[[int], float]) -> dict[str, Function]:
    return {
        "pattern_bits": lambda keep, group: int(np.ceil(log2(change(comb(group, keep))))),
        "pattern_entropy": lambda keep, group: log2(change(comb(group, keep))),
    }


def _pattern_bits() -> Iterator[tuple[str, dict[str, Function]]]:
    for what, change in (
        ("in uint64", lambda count: max(count % 2**64, 1)),
        ("in uint32", lambda count: max(count % 2**32, 1)),
        ("up to the largest float64", lambda count: min(count, 2**1023)),
    ):
        for name, function in _count_of(change).items():
            yield f"patterns counted {what}, {name}", {name: function}


def _sizes() -> Iterator[tuple[str, dict[str, Function]]]:
    yield from _each_answer("billm_storage_bits", "arb_storage_bits", "stbllm_storage_bits")

    def ratio(n: int, k: int, rounds: int, batch: int, length: int) -> float:
        wrap = COUNTERS["int32"]
        return 1.0 / (k * (1.0 / (wrap(n * rounds) or 1) + 1.0 / (wrap(batch * length) or 1)))

    yield "products in int32", {"gram_cost_ratio": ratio}


def _slices_to(change: Change) -> Function:
    def slices(width: int, block_size: int) -> list[slice]:
        blocks = reference.block_slices(width, block_size)
        return [slice(change(b.start), change(b.stop)) for b in blocks]

    return slices


def _slices() -> Iterator[tuple[str, dict[str, Function]]]:
    yield "in int16", {"block_slices": _slices_to(_wrapped(16, signed=True))}
    yield "in uint16", {"block_slices": _slices_to(_wrapped(16, signed=False))}
    yield "in float16", {"block_slices": _slices_to(_half)}

    def counted(width: int, block_size: int) -> list[slice]:
        number = COUNTERS["int32"](width + block_size - 1) // block_size
        return reference.block_slices(width, block_size)[: max(number, 0)]

    yield "as many as a sum in int32 says", {"block_slices": counted}


def _half(count: int) -> int:
    return int(min(float(np.float16(min(count, 65504))), 65504.0))


def _payload_in(change: Change) -> Function:
    def payload(layer: Any, *, float_bits: int = 16) -> Any:  # noqa: ANN401
        found = reference.payload_bits(layer, float_bits=float_bits)
        return reference.PayloadBits(**{part: change(x) for part, x in asdict(found).items()})

    return payload


def _stopping(name: str) -> Function:
    """Stop counting at 2²⁴ entries, as adding ones in float32 does."""

    def count(layer: Any) -> float:  # noqa: ANN401
        entries = layer.shape[0] * layer.shape[1]
        right: float = getattr(reference, name)(layer)
        return right * min(entries, 2**24) / entries

    return count


def _records() -> Iterator[tuple[str, dict[str, Function]]]:
    for counter in ("int32", "uint32", "float32"):
        yield f"parts in {counter}", {"payload_bits": _payload_in(COUNTERS[counter])}
    yield "entries counted in float32", {"nominal_bits": _stopping("nominal_bits")}
    yield "entries counted twice", {"nominal_bits": answers("nominal_bits", lambda bits: 2 * bits)}


class _FloatCount(Right):
    @property
    def count(self) -> int:
        return int(np.float32(super().count))


class _OneFewer(Right):
    @property
    def count(self) -> int:
        return super().count - 1


def _single_factor(X: Any) -> Any:  # noqa: ANN401
    count = len(X) if np.ndim(X) == 3 else 1
    return reference.accumulate_hessian(X) * (count / float(np.float32(count)))


def _sequences() -> Iterator[tuple[str, dict[str, Function]]]:
    yield "counted in float32", {"HessianAccumulator": _FloatCount}
    yield "counted from the second on", {"HessianAccumulator": _OneFewer}
    yield "divided by a count in float32", {"accumulate_hessian": _single_factor}
    yield "half", {"accumulate_hessian": answers("accumulate_hessian", lambda H: H / 2)}


def _far(name: str) -> Iterator[tuple[str, dict[str, Function]]]:
    for what, change in (
        ("float32", _rounded("float32")),
        ("16 bits", lambda start: start % 2**16),
        ("31 bits, with its end", lambda start: min(start, 2**31 - 50)),
    ):
        yield f"start in {what}", {name: given(name, "start", change)}
    yield "at the start", {name: given(name, "start", lambda _: 0)}


NAMED: Mapping[str, Callable[[], Iterator[tuple[str, dict[str, Function]]]]] = {
    "patterns_past_32_bits": _patterns,
    "pattern_bits_past_64_bits": _pattern_bits,
    "sizes_past_32_bits": _sizes,
    "slices_past_16_bits": _slices,
    "records_past_32_bits": _records,
    "sequences_past_24_bits": _sequences,
}
BLOCKS = ("billm_block", "arb_llm_block", "stbllm_block", "pbs2p_block")


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants that count in too few bits.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in NAMED.items():
        for what, functions in named():
            yield Mutant(operation, what, functions)
    for block in BLOCKS:
        for what, functions in _far(block):
            yield Mutant(f"far_{block}", what, functions)
