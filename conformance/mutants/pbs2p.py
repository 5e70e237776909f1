"""Mutants of PBS2P's masks, blocks and whole layers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.pbs2p import LAYER_PRESETS
from subbit.conformance.inputs.families import Array
from subbit.conformance.mutants.changes import (
    Function,
    Mutant,
    answers,
    given,
    inside,
    other,
    single,
    switched,
)
from subbit.conformance.mutants.groups import Named, identity
from subbit.conformance.mutants.layers import (
    block_change,
    half_scales,
    lost_sign,
    single_scales,
)
from subbit.reference import PBS2P, BinaryGroup, Refinement

_OTHER_SCORES = {"once": "recomputed", "recomputed": "once"}
_OTHER_FORM = {"exact": "released", "released": "exact", "none": "exact"}
_OTHER_FLAG = {True: False, False: True}
_OTHER_BITMAP = {"shared": "zones", "zones": "shared"}


def _without_pattern(block: reference.QuantizedBlock) -> reference.QuantizedBlock:
    return replace(block, pattern=None if block.pattern else (4, 8))


def _masks() -> Named:
    name = "pruning_masks"
    return {
        "the other scores": other(name, "scores", _OTHER_SCORES),
        "scores centered otherwise": other(name, "center_scores", _OTHER_FLAG),
        "magnitude": switched(name, fine_score="magnitude"),
        "unit ignored": given(name, "unit", lambda _: None),
        "dead column kept": given(name, "alive", np.ones_like),
        "diagonal of the Hessian": given(name, "H", lambda H: np.diag(np.diag(H))),
        "one step more": answers(name, lambda masks: np.concatenate([masks, masks[-1:]])),
        "reversed": answers(name, lambda masks: masks[::-1].copy()),
        "one shot": switched(name, schedule="one"),
    }


def _swept_otherwise(change: Callable[[Function], Function]) -> Function:
    """Sweep in a different way where signs are recomputed, which a record does not show."""

    def block(*given_: Any, **switches: Any) -> Any:  # noqa: ANN401
        config: PBS2P = given_[4]
        wrong = inside("pbs2p_block", "pbs2p", "sweep_groups", change)
        named = wrong if config.pruning.signs == "resigned" else reference.pbs2p_block
        return named(*given_, **switches)

    return block


def _last_group_only(sweep: Function) -> Function:
    del sweep

    def wrong(
        target: Array,
        groups: Sequence[BinaryGroup],
        gram: Array,
        *,
        sweeps: int,
        config: Refinement,
    ) -> tuple[BinaryGroup, ...]:
        *others, last = groups
        for _ in range(sweeps):
            rest = target - np.sum([group.decode() for group in others], axis=0)
            last = reference.calibrate_levels(rest, last, gram, config=config)
        return (*others, last)

    return wrong


def _first_group_off(sweep: Function) -> Function:
    def wrong(
        target: Array,
        groups: Sequence[BinaryGroup],
        gram: Array,
        *,
        sweeps: int,
        config: Refinement,
    ) -> tuple[BinaryGroup, ...]:
        first, *others = sweep(target, groups, gram, sweeps=sweeps, config=config)
        if not sweeps or first.mean is None:
            return (first, *others)
        off = replace(first, mean=1.01 * first.mean)
        again: tuple[BinaryGroup, ...] = _last_group_only(sweep)(
            target, (off, *others), gram, sweeps=1, config=config
        )
        return again

    return wrong


def _block() -> Named:
    name = "pbs2p_block"
    return {
        "new signs sweep the last group only": _swept_otherwise(_last_group_only),
        "new signs and another first group": _swept_otherwise(_first_group_off),
        "the other signs": other(name, "signs"),
        "the other mean": other(name, "mean"),
        "the other objective": other(name, "objective"),
        "the other bitmap": other(name, "bitmap", _OTHER_BITMAP),
        "never taken apart": switched(name, partitioned=False),
        "half of the rounds": switched(name, calibrated_iterations=7),
        "a sweep": switched(name, sweeps=1),
        "no sweeps": switched(name, sweeps=0),
        "identity for the gram": given(name, "gram", identity),
        "all at once": given(name, "masks", lambda masks: masks[-1:]),
        "dead column kept": given(name, "alive", np.ones_like),
        "scores as weights": switched(name, search_on="scores"),
        "float32 weights": given(name, "W", single),
        "float16 scales": answers(name, block_change(half_scales)),
        "float32 scales": answers(name, block_change(single_scales)),
        "a sign lost": answers(name, block_change(lost_sign)),
        "another pattern": answers(name, _without_pattern),
    }


def _layer() -> Named:
    name = "pbs2p_layer"
    return {
        "another form of feedback": other(name, "compensation", _OTHER_FORM),
        "the other signs": other(name, "signs"),
        "the other scores": other(name, "scores", _OTHER_SCORES),
        "magnitude": switched(name, fine_score="magnitude"),
        "float32 scales": answers(name, single_scales),
        "a sign lost": answers(name, lost_sign),
    }


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of PBS2P.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in {"pruning_masks": _masks(), "pbs2p_block": _block()}.items():
        for name, function in named.items():
            yield Mutant(operation, name, {operation: function})
    for preset in LAYER_PRESETS:
        operation = f"pbs2p_layer_{preset}".replace("-", "_")
        for name, function in _layer().items():
            yield Mutant(operation, name, {"pbs2p_layer": function})
