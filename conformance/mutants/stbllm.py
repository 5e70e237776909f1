"""Mutants of STBLLM's steps, blocks and layers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.stbllm import PRESETS
from subbit.conformance.mutants.changes import (
    Change,
    Function,
    Mutant,
    answers,
    each,
    given,
    other,
    single,
)
from subbit.conformance.mutants.layers import block_change, half_scales, lost_sign, single_scales
from subbit.reference import Partition, Regions


def _with(name: str, change: Change) -> Function:
    return given(name, "config", change)


def _pruned_for_kept(config: Any) -> Any:  # noqa: ANN401
    N, M = config.pruning.keep
    return config.changed(keep=(max(1, M - N - (2 * N == M)), M))


def _one_more(result: Any) -> Any:  # noqa: ANN401
    weights, kept = result
    return weights, kept | (np.cumsum(~kept, axis=1) == 1)


def _forgotten(layer: reference.QuantizedLayer) -> reference.QuantizedLayer:
    """Binarize pruned entries of the last block with the first group."""
    *others, block = layer.blocks
    taken = np.any([group.mask for group in block.groups], axis=0)
    first, *rest = block.groups
    mask = np.where(taken.all(), ~first.mask, first.mask | ~taken)
    return replace(
        layer, blocks=(*others, replace(block, groups=(replace(first, mask=mask), *rest)))
    )


def _pattern(layer: reference.QuantizedLayer) -> reference.QuantizedLayer:
    """Record a different pattern."""
    blocks = tuple(
        replace(block, pattern=None if block.pattern else (1, 2)) for block in layer.blocks
    )
    return replace(layer, blocks=blocks)


STEPS: dict[str, dict[str, Function | dict[str, Function]]] = {
    "choose_kept": {
        "pruned counted as kept": _with("choose_kept", _pruned_for_kept),
        "one more": answers("choose_kept", _one_more),
        "another importance": other("choose_kept", "importance", ("magnitude", "wanda")),
        "zeros applied or not": other("choose_kept", "start", ("dense", "pruned")),
        "no norms": given("choose_kept", "H", lambda H: np.eye(len(H))),
        "float32": answers("choose_kept", each(single, 0)),
        "another SparseGPT": {"sparsegpt_prune": answers("sparsegpt_prune", _one_more)},
    },
    "choose_regions": {
        "the other cut": other("choose_regions", "split_by", ("scores", "weights")),
        "another factor": _with(
            "choose_regions", lambda c: c.changed(factor=c.part(Regions).factor + 0.4)
        ),
        "two regions": other("choose_regions", "regions", (2, 3)),
        "regions swapped": answers("choose_regions", lambda masks: masks[::-1]),
        "all columns": given("choose_regions", "part", np.ones_like),
        "other boundary": _with(
            "choose_regions", lambda c: c.changed(closed=not c.part(Partition).closed)
        ),
    },
    "stbllm_block": {
        "mask forgotten": given("stbllm_block", "kept", np.ones_like),
        "mask inverted": given("stbllm_block", "kept", np.logical_not),
        "dead column kept": given("stbllm_block", "alive", np.ones_like),
        "refilled or not": other("stbllm_block", "pruned", ("binarize", "zero")),
        "second order dropped": answers(
            "stbllm_block",
            lambda block: replace(
                block,
                groups=(
                    *block.groups[:-1],
                    replace(block.groups[-1], planes=block.groups[-1].planes[:1]),
                ),
            ),
        ),
        "no pattern": answers("stbllm_block", block_change(_pattern)),
        "float16 scales": answers("stbllm_block", block_change(half_scales)),
        "a sign lost": answers("stbllm_block", block_change(lost_sign)),
    },
}
_LAYERS: dict[str, dict[str, Function]] = {
    "another importance": {
        "choose_kept": other("choose_kept", "importance", ("magnitude")),
    },
    "importance of its own": {
        "stbllm_layer": other("stbllm_layer", "importance", ("magnitude")),
    },
    "another form of feedback": {
        "stbllm_layer": other("stbllm_layer", "compensation", ("released", "exact"))
    },
    "another grid": {"stbllm_layer": other("stbllm_layer", "grid", ("quantiles", "maximum"))},
    "entry of a pruned weight": {"stbllm_layer": answers("stbllm_layer", _forgotten)},
    "float32 scales": {"stbllm_layer": answers("stbllm_layer", single_scales)},
    "a sign lost": {"stbllm_layer": answers("stbllm_layer", lost_sign)},
}
_FREE = {"stbllm_layer": other("stbllm_layer", "free", ("all", "kept"))}
_START = {"stbllm_layer": other("stbllm_layer", "start", ("dense", "pruned"))}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of STBLLM.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in STEPS.items():
        for name, function in named.items():
            yield Mutant(
                operation, name, function if isinstance(function, dict) else {operation: function}
            )
    for preset in PRESETS:
        operation = f"stbllm_layer_{preset}"
        more = {"feedback into others": _FREE, "from other weights": _START}
        for name, functions in (_LAYERS | more).items():
            yield Mutant(operation, name, functions)
