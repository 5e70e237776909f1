"""Mutants of ARB-LLM's searches, groups, blocks and whole layers."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Function,
    Mutant,
    answers,
    given,
    other,
    single,
    switched,
)
from subbit.conformance.mutants.layers import (
    block_change,
    half_scales,
    lost_sign,
    single_scales,
)
from subbit.reference import arb_llm
from subbit.reference.zones import column_groups

Named = dict[str, Function]
_METHODS = ("arb", "arb-x", "arb-rc")


def _inside(name: str, module: Any, part: str, change: Callable[[Any], Any]) -> Function:  # noqa: ANN401
    """Change a part of the reference while one of its functions runs."""
    function, changed = getattr(reference, name), change(getattr(module, part))

    @functools.wraps(function)
    def inner(*arguments: Any, **switches: Any) -> Any:  # noqa: ANN401
        with mock.patch.object(module, part, changed):
            return function(*arguments, **switches)

    return inner


def _answer(change: Change) -> Callable[[Any], Any]:
    return lambda function: lambda *given_, **switches: change(function(*given_, **switches))


def _first_orders(function: Any) -> Any:  # noqa: ANN401
    return lambda *given_, **switches: function(*given_, **(switches | {"orders": (1, 1)}))


def _own_columns(function: Any) -> Any:  # noqa: ANN401
    return lambda mask, config: function(mask, config.changed(divisor="entries"))


_OTHER_BITMAP = {"shared": "zones", "zones": "shared"}
_OTHER_TAKEN = {"residual": "row_column", "row_column": "residual"}
_OTHER_DOMAIN = {"weights": "scores", "scores": "weights"}
_OTHER_GRID = {
    "quantiles": "maximum",
    "maximum": "quantiles",
    "quantiles_with_zeros": "quantiles",
    "breakpoints": "maximum",
}


def _diagonal(S: Any) -> Any:  # noqa: ANN401
    return np.diag(np.diag(S))


def _once(zones: Any) -> Any:  # noqa: ANN401
    return tuple(replace(zone, order=1) for zone in zones)


def _by_weights(target: Any, columns: Any, thresholds: Any, S: Any, **switches: Any) -> Any:  # noqa: ANN401
    del S
    switches.pop("image", None)
    return reference.bell_split_search_direct(target, columns, thresholds, **switches)


def _of_group(change: Change) -> Change:
    """Turn a change of layers into a change of groups."""

    def changed(groups: Any) -> Any:  # noqa: ANN401
        block = reference.QuantizedBlock(0, groups[0].mask.shape[1], tuple(groups))
        return block_change(change)(block).groups

    return changed


def _search(change: Change) -> Change:
    return lambda found: replace(found, objectives=change(found.objectives))


def _choose() -> Named:
    name = "choose_column_groups"
    return {
        "the other bitmap": other(name, "bitmap", _OTHER_BITMAP),
        "searched on the other": other(name, "search_on", _OTHER_DOMAIN),
        "split by the other": other(name, "split_by", _OTHER_DOMAIN),
        "another grid": other(name, "grid", _OTHER_GRID),
        "salient columns not cut": switched(name, column_groups=False),
        "outputs not looked at": switched(name, split_error="weights"),
        ">= for >": other(name, "closed", {True: False, False: True}),
        "salient zone once": answers(name, _once),
        "identity for the gram": given(name, "gram", _identity),
        "image ignored": given(name, "image", lambda _: None),
        "one order in all searches": _inside(name, column_groups, "split_search", _first_orders),
        "every second candidate": _inside(
            name, column_groups, "candidate_thresholds", _answer(lambda cuts: cuts[::2])
        ),
        "dead columns kept": given(name, "alive", np.ones_like),
    }


def _further() -> Named:
    name = "choose_column_groups"
    return {
        "every cut by itself": switched(name, minimum="reset"),
        "every cut against those before": switched(name, minimum="kept"),
        "the other error of what is taken": other(name, "taken_error", _OTHER_TAKEN),
        "the highest threshold where none is better": _inside(
            name, column_groups, "candidate_thresholds", _answer(lambda cuts: cuts[::-1])
        ),
        "one cut fewer": answers(name, lambda zones: (*zones[:-2], _merged(*zones[-2:]))),
    }


def _merged(first: Any, second: Any) -> Any:  # noqa: ANN401
    return replace(second, mask=first.mask | second.mask)


def _identity(S: Any) -> Any:  # noqa: ANN401
    return None if S is None else np.eye(len(S))


def _zones() -> Named:
    name = "refine_zones"
    return {
        "half of the rounds": switched(name, iterations=7, calibrated_iterations=7),
        "another algorithm": other(
            name, "algorithm", {"arb": "arb_rc", "arb_rc": "arb", "arb_x": "arb"}
        ),
        "identity for the gram": given(name, "gram", _identity),
        "diagonal of the gram": given(name, "gram", _diagonal),
        "divided by the entries": switched(name, divisor="entries"),
        "divided by the width of the zone": _inside(name, arb_llm, "_fitted_columns", _own_columns),
        "no sweeps": switched(name, sweeps=0),
        "one sweep": other(name, "sweeps", {0: 0, 1: 1, 3: 1}),
        "an eps": switched(name, eps=1e-4, calibrated_eps=1e-4),
        "salient groups once": given(name, "zones", _once),
        "float32 scales": answers(name, _of_group(single_scales)),
        "float32 weights": given(name, "W", single),
        "a sign lost": answers(name, _of_group(lost_sign)),
    }


def _block() -> Named:
    name = "arb_llm_block"
    return {
        "mean not removed in searches": switched(name, center=False),
        "the other bitmap": other(name, "bitmap", _OTHER_BITMAP),
        "scores as weights": other(name, "search_on", _OTHER_DOMAIN),
        "dead column kept": given(name, "alive", np.ones_like),
        "half of the rounds": switched(name, iterations=7, calibrated_iterations=7),
        "divided by the width of the zone": _inside(name, arb_llm, "_fitted_columns", _own_columns),
        "image of the salient columns ignored": _inside(
            name, arb_llm, "_salient_image", _answer(lambda _: None)
        ),
        "float16 scales": answers(name, block_change(half_scales)),
        "float32 scales": answers(name, block_change(single_scales)),
        "a sign lost": answers(name, block_change(lost_sign)),
    }


def _layer() -> Named:
    name = "arb_llm_layer"
    return {
        "another form of feedback": other(
            name, "compensation", {"exact": "released", "released": "exact", "none": "exact"}
        ),
        "one round": switched(name, iterations=1, calibrated_iterations=1),
        "float32 scales": answers(name, single_scales),
        "a sign lost": answers(name, lost_sign),
    }


def _searches() -> dict[str, Named]:
    name = "calibrated_split_search"
    found: dict[str, Named] = {
        name: {
            "errors of weights": _by_weights,
            "identity for the gram": given(name, "S", _identity),
            "diagonal of the gram": given(name, "S", _diagonal),
            "image ignored": given(name, "image", lambda _: None),
            "key ignored": given(name, "key", lambda _: None),
            ">= for >": given(name, "closed", lambda closed: not closed),
            "mean not removed": given(name, "center", lambda _: False),
            "one order": given(name, "orders", lambda _: (1, 1)),
            "lower precision than declared": given(name, "target", single),
            "root": answers(name, _search(np.sqrt)),
        }
    }
    for search in ("bell_split_search", "bell_split_search_direct", "interval_errors"):
        found[search] = {
            "one order": given(search, "orders", lambda _: (1, 1)),
            "orders swapped": given(search, "orders", lambda orders: orders[::-1]),
        }
    return found


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of ARB-LLM's searches, blocks and layers.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    functions = _searches() | {
        "choose_column_groups": _choose(),
        "refine_zones": _zones(),
        "arb_llm_block": _block(),
    }
    for operation, named in functions.items():
        for name, function in named.items():
            yield Mutant(operation, name, {operation: function})
    for name, function in _further().items():
        yield Mutant("further_cuts", name, {"choose_column_groups": function})
    for method in _METHODS:
        for preset in reference.METHODS[method].presets:
            operation = f"arb_llm_layer_{method}_{preset}".replace("-", "_")
            for name, function in _layer().items():
                yield Mutant(operation, name, {"arb_llm_layer": function})
