"""Mutants of batches, steps, blocks and whole layers."""

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


def _other_mode(mode: str) -> str:
    return {"exact": "released", "released": "exact", "none": "exact"}[mode]


def _nothing(_: Any) -> None:  # noqa: ANN401
    return None


def _opposite(mask: Any) -> Any:  # noqa: ANN401
    return None if mask is None else ~mask


def _moved(result: Any) -> Any:  # noqa: ANN401
    made, moved, E = result
    return made, np.where(np.arange(moved.shape[1]) >= made.stop, moved + 1e-6, moved), E


def lost_sign(layer: reference.QuantizedLayer) -> reference.QuantizedLayer:
    """Flip the sign of the last entry of the last block's largest group.

    Parameters
    ----------
    layer : QuantizedLayer
        A record.

    Returns
    -------
    QuantizedLayer
        A wrong record.
    """
    *others, block = layer.blocks
    groups = list(block.groups)
    at = int(np.argmax([np.count_nonzero(group.mask) for group in groups]))
    group = groups[at]
    if isinstance(group, reference.BinaryGroup):
        sign = group.planes[0].sign.copy()
        place = tuple(np.argwhere(group.mask)[-1])
        sign[place] = -1 if sign[place] == 1 else 1
        plane = replace(group.planes[0], sign=sign)
        groups[at] = replace(group, planes=(plane, *group.planes[1:]))
    elif isinstance(group, reference.UniformGroup):
        codes = group.codes.copy()
        codes.flat[-1] ^= 1
        groups[at] = replace(group, codes=codes)
    return replace(layer, blocks=(*others, replace(block, groups=tuple(groups))))


def single_scales(layer: reference.QuantizedLayer) -> reference.QuantizedLayer:
    """Round the scales of a record to float32.

    Parameters
    ----------
    layer : QuantizedLayer
        A record.

    Returns
    -------
    QuantizedLayer
        A wrong record.
    """
    return layer.with_scales("float32")


def half_scales(layer: reference.QuantizedLayer) -> reference.QuantizedLayer:
    """Round the scales of a record to float16.

    Parameters
    ----------
    layer : QuantizedLayer
        A record.

    Returns
    -------
    QuantizedLayer
        A wrong record.
    """
    return layer.with_scales("float16")


def block_change(change: Any) -> Any:  # noqa: ANN401
    """Turn a change of layers into a change of blocks.

    Parameters
    ----------
    change : callable
        Change of a layer.

    Returns
    -------
    callable
        Change of a block.
    """

    def changed(block: reference.QuantizedBlock) -> reference.QuantizedBlock:
        shape = (block.groups[0].mask.shape[0], block.stop - block.start)
        return change(reference.QuantizedLayer(shape, (block,))).blocks[0]

    return changed


LAYERS: dict[str, dict[str, dict[str, Function]]] = {
    "compensate_step": {
        "other form": {"compensate_step": given("compensate_step", "mode", _other_mode)},
        "all weights free": {"compensate_step": given("compensate_step", "free", _nothing)},
        "transposed factor": {
            "compensate_step": given("compensate_step", "U", lambda U: np.triu(U[::-1, ::-1].T))
        },
        "eps": {"compensate_step": answers("compensate_step", _moved)},
        "float32": {"compensate_step": answers("compensate_step", each(single, 1))},
        "error negated": {"compensate_step": answers("compensate_step", each(np.negative, 2))},
    },
    "compensate": {
        "other form": {"compensate": given("compensate", "mode", _other_mode)},
        "all weights free": {"compensate": given("compensate", "free", _nothing)},
        "the others free": {"compensate": given("compensate", "free", _opposite)},
        "last block short": {"compensate": given("compensate", "block_size", lambda k: k + 1)},
        "float32": {"compensate": given("compensate", "W", single)},
        "transposed factor": {
            "compensate": given("compensate", "U", lambda U: np.triu(U[::-1, ::-1].T))
        },
    },
    "choose_salient": {
        "one column more": {
            "choose_salient": answers("choose_salient", lambda s: s | (np.cumsum(~s) == 1))
        },
        "least first": {"choose_salient": given("choose_salient", "S", lambda S: 1 / (1 + S**2))},
        "searched on the other": {"choose_salient": given("choose_salient", "W", np.ones_like)},
        "dead column kept": {"choose_salient": given("choose_salient", "alive", np.ones_like)},
        "counts per block only": {"choose_salient": given("choose_salient", "blocks", lambda _: 9)},
        "all entries count": {"choose_salient": given("choose_salient", "entries", _nothing)},
    },
    "choose_split": {
        ">= for >": {"choose_split": answers("choose_split", lambda masks: masks[::-1])},
        "all columns": {"choose_split": given("choose_split", "columns", np.ones_like)},
        "all concentrated": {
            "choose_split": answers("choose_split", lambda m: (m[0] | m[1], np.zeros_like(m[1])))
        },
        "scores for weights": {
            "choose_split": lambda W, S, columns, config=None: reference.choose_split(
                S**2, W**4, columns, *(() if config is None else (config,))
            )
        },
    },
    "rtn_layer": {
        "group size ignored": {"rtn_layer": switched("rtn_layer", group_size=7)},
        "float32 scales": {"rtn_layer": answers("rtn_layer", single_scales)},
        "a sign or code lost": {"rtn_layer": answers("rtn_layer", lost_sign)},
        "mean not removed": {"rtn_layer": switched("rtn_layer", center=False)},
    },
    "gptq_layer": {
        "no activation order": {"gptq_layer": switched("gptq_layer", activation_order=False)},
        "other damping": {"gptq_layer": switched("gptq_layer", percdamp=0.5)},
        "float32 scales": {"gptq_layer": answers("gptq_layer", single_scales)},
        "a code lost": {"gptq_layer": answers("gptq_layer", lost_sign)},
        "nothing fed forward": {
            "gptq_layer": given("gptq_layer", "H", lambda H: np.diag(np.diag(H)))
        },
        "columns not put back": {
            "gptq_layer": answers("gptq_layer", lambda layer: replace(layer, order=None))
        },
    },
    "billm_block": {
        "mean not removed": {"billm_block": switched("billm_block", center=False)},
        "float16 scales": {"billm_block": answers("billm_block", block_change(half_scales))},
        "float32 scales": {"billm_block": answers("billm_block", block_change(single_scales))},
        "a sign lost": {"billm_block": answers("billm_block", block_change(lost_sign))},
        "dead column kept": {"billm_block": given("billm_block", "alive", np.ones_like)},
    },
}
_SWITCHES: dict[str, dict[str, Any]] = {
    "another form of feedback": {"compensation": "none"},
    "other salient counts": {"counts": (2, 2)},
    "a finer grid": {"grid": "breakpoints"},
    "other damping": {"percdamp": 0.2},
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of whole layers and their parts.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in LAYERS.items():
        for name, functions in named.items():
            yield Mutant(operation, name, functions)
    for preset in reference.METHODS["billm"].presets:
        operation = f"billm_layer_{preset.replace('-', '_')}"
        for name, settings in _SWITCHES.items():
            yield Mutant(operation, name, {"billm_layer": switched("billm_layer", **settings)})
        for name, change in (("float32 scales", single_scales), ("a sign lost", lost_sign)):
            yield Mutant(operation, name, {"billm_layer": answers("billm_layer", change)})
