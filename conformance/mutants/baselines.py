"""Mutants of the baselines that prune, or round only some weights to a grid."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Function,
    Mutant,
    answers,
    each,
    given,
    single,
    switched,
)
from subbit.conformance.mutants.layers import lost_sign, single_scales


def _other_pattern(config: Any) -> Any:  # noqa: ANN401
    """Keep one fewer of each group, or prune a larger share."""
    if config.keep is None:
        return config.changed(sparsity=0.8)
    kept, group = config.keep
    return config.changed(keep=(max(kept - 1, 1), group + (group == 1)), block_size=8 * group)


def _other_score(config: Any) -> Any:  # noqa: ANN401
    other = "magnitude" if config.importance != "magnitude" else "wanda"
    return config.changed(importance=other)


def _values(change: Any) -> Any:  # noqa: ANN401
    """Turn a change of values into a change of records."""

    def changed(layer: reference.QuantizedLayer) -> reference.QuantizedLayer:
        blocks = []
        for block in layer.blocks:
            group: Any = block.groups[0]
            values = np.where(group.mask, change(group.values), 0.0)
            blocks.append(replace(block, groups=(replace(group, values=values),)))
        return replace(layer, blocks=tuple(blocks))

    return changed


def _turned(layer: reference.QuantizedLayer) -> reference.QuantizedLayer:
    """Keep the pruned weights, and prune the kept ones."""
    blocks = []
    for block in layer.blocks:
        group: Any = block.groups[0]
        moved = replace(group, mask=~group.mask, values=np.where(~group.mask, 1.0, 0.0))
        blocks.append(replace(block, groups=(moved,)))
    return replace(layer, blocks=tuple(blocks))


def _no_pattern(layer: reference.QuantizedLayer) -> reference.QuantizedLayer:
    return replace(layer, blocks=tuple(replace(b, pattern=None) for b in layer.blocks))


def _diagonal(H: Any) -> Any:  # noqa: ANN401
    return np.diag(np.diag(H))


def _no_inputs(H: Any) -> Any:  # noqa: ANN401
    return np.eye(len(H))


BASELINES: dict[str, dict[str, dict[str, Function]]] = {
    "sparsegpt_layer": {
        "another pattern": {"sparsegpt_layer": given("sparsegpt_layer", "config", _other_pattern)},
        "other damping": {"sparsegpt_layer": switched("sparsegpt_layer", percdamp=0.5)},
        "nothing fed forward": {"sparsegpt_layer": given("sparsegpt_layer", "H", _diagonal)},
        "masks turned round": {"sparsegpt_layer": answers("sparsegpt_layer", _turned)},
        "float32 values": {"sparsegpt_layer": answers("sparsegpt_layer", single_scales)},
        "pattern not recorded": {"sparsegpt_layer": answers("sparsegpt_layer", _no_pattern)},
    },
    "sparsegpt_prune": {
        "another pattern": {"sparsegpt_prune": given("sparsegpt_prune", "config", _other_pattern)},
        "nothing fed forward": {"sparsegpt_prune": given("sparsegpt_prune", "H", _diagonal)},
        "float32": {"sparsegpt_prune": answers("sparsegpt_prune", each(single, 0))},
        "masks turned round": {
            "sparsegpt_prune": answers("sparsegpt_prune", each(np.logical_not, 1))
        },
    },
    "wanda_layer": {
        "another pattern": {"wanda_layer": given("wanda_layer", "config", _other_pattern)},
        "another score": {"wanda_layer": given("wanda_layer", "config", _other_score)},
        "inputs ignored": {"wanda_layer": given("wanda_layer", "H", _no_inputs)},
        "weights moved": {"wanda_layer": answers("wanda_layer", _values(lambda w: w * 1.000001))},
        "pattern not recorded": {"wanda_layer": answers("wanda_layer", _no_pattern)},
    },
    "pb_llm_layer": {
        "another share": {"pb_llm_layer": switched("pb_llm_layer", low_share=0.7)},
        "other statistics": {"pb_llm_layer": switched("pb_llm_layer", statistics="group")},
        "another score": {"pb_llm_layer": switched("pb_llm_layer", score="magnitude")},
        "sign of zero": {"pb_llm_layer": switched("pb_llm_layer", sign_zero=0)},
        "nothing fed forward": {"pb_llm_layer": given("pb_llm_layer", "H", _diagonal)},
        "a sign or code lost": {"pb_llm_layer": answers("pb_llm_layer", lost_sign)},
        "float32 scales": {"pb_llm_layer": answers("pb_llm_layer", single_scales)},
    },
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of the baselines.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in BASELINES.items():
        for name, functions in named.items():
            yield Mutant(operation, name, functions)
