"""Mutants of patterns and of the bits of N:M records."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import comb, log2
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Change, Function, Mutant, answers, given


def _more(part: str, change: Change) -> Change:
    return lambda payload: replace(payload, **{part: change(getattr(payload, part))})


def _mirrored(values: Any, group: int) -> Any:  # noqa: ANN401
    flat = np.asarray(values)
    return np.flip(flat.reshape(len(flat), -1, group), axis=2).reshape(flat.shape)


def _without_patterns(count: Callable[..., Any]) -> Function:
    def changed(layer: Any, *arguments: Any, **switches: Any) -> Any:  # noqa: ANN401
        blocks = tuple(replace(block, pattern=None) for block in layer.blocks)
        return count(replace(layer, blocks=blocks), *arguments, **switches)

    return changed


def _unrounded_up(layer: reference.QuantizedLayer) -> float:
    return float(reference.payload_bits(layer).kept_map)


SPECIFIC: dict[str, dict[str, Function]] = {
    "pattern_bits": {
        "rounded down": lambda keep, group: int(log2(comb(group, keep))),
        "one bit for every place": max,
        "power of two takes one more": lambda keep, group: comb(group, keep).bit_length(),
        "of places with order": lambda keep, group: keep * (group - 1).bit_length(),
    },
    "pattern_entropy": {
        "rounded up": lambda keep, group: float(reference.pattern_bits(keep, group)),
        "natural": lambda keep, group: log2(comb(group, keep)) * 0.6931471805599453,
        "binary entropy of the share": lambda keep, group: float(
            -group * (keep / group * log2(keep / group))
        ),
        "per place": lambda keep, group: reference.pattern_entropy(keep, group) / group,
    },
    "rank_patterns": {
        "from 1": answers("rank_patterns", lambda ranks: ranks + 1),
        "backwards": lambda mask, keep, group: (
            comb(group, keep) - 1 - reference.rank_patterns(mask, keep, group)
        ),
        "of the mirrored group": lambda mask, keep, group: reference.rank_patterns(
            _mirrored(mask, group), keep, group
        ),
        "of 32 bits": answers("rank_patterns", lambda r: np.minimum(r, 2**16)),
        "first group for all": answers(
            "rank_patterns", lambda r: np.repeat(r[:, :1], r.shape[1], 1)
        ),
    },
    "unrank_patterns": {
        "pruned ones": answers("unrank_patterns", np.logical_not),
        "backwards": lambda ranks, keep, group: reference.unrank_patterns(
            comb(group, keep) - 1 - np.asarray(ranks), keep, group
        ),
        "mirrored": lambda ranks, keep, group: _mirrored(
            reference.unrank_patterns(ranks, keep, group), group
        ),
        "last number taken for the one before": given(
            "unrank_patterns", "ranks", lambda ranks: np.maximum(np.asarray(ranks) - 1, 0)
        ),
    },
    "payload_of_patterns": {
        "a bit for every place": _without_patterns(reference.payload_bits),
        "nothing for kept entries": answers("payload_bits", _more("kept_map", lambda _: 0)),
        "plain values for nothing": answers("payload_bits", _more("values", lambda _: 0)),
        "values of 32 bits": lambda layer, *, float_bits=16: replace(
            reference.payload_bits(layer, float_bits=float_bits),
            values=reference.payload_bits(layer, float_bits=32).values,
        ),
        "signs of pruned entries": answers("payload_bits", _more("signs", lambda bits: bits + 1)),
    },
    "index_floor": {
        "rounded up": _unrounded_up,
        "a bit for every place": _without_patterns(reference.index_floor),
        "nothing": answers("index_floor", lambda _: 0.0),
        "per weight": lambda layer: reference.index_floor(layer) / np.prod(layer.shape),
    },
    "nominal_of_patterns": {
        "of every weight": answers("nominal_bits", np.ceil),
        "values of one bit": answers("nominal_bits", lambda b: min(b, 1.0)),
        "values of 32 bits": answers("nominal_bits", lambda b: b + 1e-3 if b > 2 else b),
        "of kept weights": lambda layer: (
            reference.nominal_bits(layer)
            * np.prod(layer.shape)
            / max(sum(int(g.mask.sum()) for b in layer.blocks for g in b.groups), 1)
        ),
    },
    "stbllm_bits": {
        "pruned share": lambda r, keep, group: reference.stbllm_parameter_bits(
            r, max(group - keep, 1), group
        ),
        "salient once": given("stbllm_parameter_bits", "r", lambda _: 0.0),
        "one bit of region": answers("stbllm_storing_bits", lambda bits: bits - 1.0),
        "eight numbers a row": lambda n, m, k, keep, group: (
            reference.stbllm_storage_bits(n, m, k, keep, group) - 16 * n * -(-m // k)
        ),
        "blocks rounded down": lambda n, m, k, keep, group: (
            reference.stbllm_storage_bits(n, m, k, keep, group) - 144 * n * (m % k > 0)
        ),
        "a bitmap": lambda n, m, k, keep, group: (
            reference.stbllm_storage_bits(n, m, k, keep, group)
            + n * (m // group) * (group - reference.pattern_bits(keep, group))
        ),
    },
}
_REPLACED = {
    "payload_of_patterns": {"": "payload_bits"},
    "nominal_of_patterns": {"": "nominal_bits"},
    "stbllm_bits": {
        "share": "stbllm_parameter_bits",
        "salient": "stbllm_parameter_bits",
        "region": "stbllm_storing_bits",
        "": "stbllm_storage_bits",
    },
}
"""Replaced function of an operation that is not one, by the operation and a part of the name."""


def _replaced(operation: str, name: str) -> str:
    parts = _REPLACED.get(operation, {"": operation})
    return next(function for part, function in parts.items() if part in name)


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of patterns.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, functions in SPECIFIC.items():
        for name, function in functions.items():
            yield Mutant(operation, name, {_replaced(operation, name): function})
