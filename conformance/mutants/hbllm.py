"""Mutants of HBLLM: the Haar transform, splits of rows, blocks, layers, and their bits."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Function,
    Mutant,
    always,
    answers,
    given,
    inside,
    other,
    single,
    switched,
    tail,
)
from subbit.reference import HaarGroup, QuantizedLayer
from subbit.reference.haar import ROOT_HALF
from subbit.reference.notation import Array

GroupChange = Callable[[HaarGroup], HaarGroup]


def _of_groups(change: GroupChange) -> Change:
    """Turn a change of groups of coefficients into one of blocks and layers."""

    def changed(made: Any) -> Any:  # noqa: ANN401
        if isinstance(made, QuantizedLayer):
            return replace(made, blocks=tuple(changed(block) for block in made.blocks))
        return replace(made, groups=tuple(change(group) for group in made.groups))

    return changed


def _high_band(change: Change) -> Function:
    def wrong(X: Any, axis: Any = "columns") -> Any:  # noqa: ANN401
        C = reference.haar(X, axis)
        low = -(-C.shape[axis == "columns"] // 2)
        at = (slice(None), slice(low, None)) if axis == "columns" else slice(low, None)
        C[at] = change(C[at])
        return C

    return wrong


def _alternating(X: Any, axis: Any = "columns") -> Any:  # noqa: ANN401
    """Leave sums and differences where the neighbors were."""
    C = reference.haar(X, axis)
    C = C.T if axis == "rows" else C
    pairs, low = C.shape[1] // 2, -(-C.shape[1] // 2)
    order = [j for pair in zip(range(pairs), range(low, 2 * low), strict=False) for j in pair]
    C = C[:, [*order, *range(pairs, low)]]
    return C.T if axis == "rows" else C


def _last_alone(name: str, factor: float) -> Function:
    """Scale a last column or row that has no neighbor."""

    def wrong(values: Any, axis: Any = "columns") -> Any:  # noqa: ANN401
        made = np.array(getattr(reference, name)(values, axis))
        size = made.shape[axis == "columns"]
        if size % 2:
            last = size // 2 if name == "haar" else size - 1
            made[(slice(None), last) if axis == "columns" else last] *= factor
        return made

    return wrong


def _in_turn(C: Any, axis: Any = "columns") -> Any:  # noqa: ANN401
    """Take the neighbors of each pair for each other."""
    X = np.array(reference.inverse_haar(C, axis))
    X = X.T if axis == "rows" else X
    whole = X.shape[1] - X.shape[1] % 2
    order = np.arange(whole) ^ 1
    X[:, :whole] = X[:, order]
    return X.T if axis == "rows" else X


_SIDES = "groups.row_split"


def _split(change: Callable[[Function], Function]) -> Function:
    return inside("row_split", _SIDES, "_sides", change)


def _from_the_mean(sides: Function) -> Function:
    def wrong(X: Array, _: Array, t: Array, scale: Any, **names: Any) -> Any:  # noqa: ANN401
        return sides(X, np.abs(X - X.mean(axis=1, keepdims=True)), t, scale, **names)

    return wrong


def _one_threshold(sides: Function) -> Function:
    return lambda X, key, t, scale, **names: sides(
        X, key, np.full(len(t), np.mean(t)), scale, **names
    )


def _without_means(sides: Any) -> Any:  # noqa: ANN401
    return tuple(replace(side, mean=np.zeros(len(side.mask))) for side in sides)


def _of_layer(change: Change) -> Function:
    return answers("payload_bits", change)


def _apart(layer: QuantizedLayer, *, float_bits: int = 16) -> Any:  # noqa: ANN401
    """Count shared means for each side."""
    own = _of_groups(lambda group: replace(group, shared_means=False))(layer)
    return reference.payload_bits(own, float_bits=float_bits)


def _extra(part: str, more: Callable[[HaarGroup], int]) -> Function:
    def wrong(layer: Any, *, float_bits: int = 16) -> Any:  # noqa: ANN401
        bits = reference.payload_bits(layer, float_bits=float_bits)
        extra = sum(more(group) for block in layer.blocks for group in block.groups)
        return replace(bits, **{part: getattr(bits, part) + extra})

    return wrong


def _of_rest(group: HaarGroup) -> int:
    """Columns of the map of a term that has all others."""
    apart = len(group.terms) == 2 and not np.any(group.terms[0].columns & group.terms[1].columns)
    return int(np.count_nonzero(group.mask[0])) * apart


def _salient_signs(group: HaarGroup) -> int:
    return -sum(own.mask.size // 2 for term in group.terms[1:] for own in term.groups)


def _salient_alone(layer: QuantizedLayer) -> float:
    covered = sum(group.mask.sum() for block in layer.blocks for group in block.groups)
    return float(covered / np.prod(layer.shape))


def _twice(layer: QuantizedLayer) -> float:
    return 2.0 * _salient_alone(layer)


def _blocks(name: str) -> dict[str, tuple[str, Function]]:
    """Wrong blocks, alone or in a layer."""
    return {
        what: (name, function)
        for what, function in {
            "neighbors within two columns": inside(name, "hbllm", "REACH", always(2)),  # type: ignore[arg-type]
            "salient columns stay where they are": inside(
                name, "hbllm", "_filled", always(lambda W, _: W)
            ),
            "zero in the place of salient columns": inside(
                name, "hbllm", "_filled", always(lambda W, salient: np.where(salient, 0.0, W))
            ),
            "the least salient columns": inside(
                name, "hbllm", "rank_columns", lambda rank: lambda scores: rank(-scores)
            ),
            "no salient columns": switched(name, counts=(0, 0)),
            "one term alone": answers(name, _of_groups(lambda g: replace(g, terms=g.terms[:1]))),
            "not transformed": inside(name, "hbllm", "haar", always(lambda X, _: X)),
            "the other scale": other(name, "scale"),
            "the other means": other(name, "share_mean"),
            "the other pairs": other(name, "pairs"),
            "the other search": other(name, "search_on"),
            "fewer quantiles": given(
                name, "config", lambda c: c.changed(quantiles=max(c.quantiles - 4, 1))
            ),
            "float32": given(name, "W", single),
        }.items()
    }


def _layers(preset: str) -> dict[str, tuple[str, Function]]:
    name = "hbllm_layer"
    feedback = ("released", "exact") if preset == "corrected" else ("exact", "released")
    return _blocks(name) | {
        "no feedback": (name, switched(name, compensation="none")),
        "the other feedback": (name, switched(name, compensation=feedback[0])),
        "the other dead inputs": (name, other(name, "dead_inputs")),
    }


def _transform(name: str, argument: str) -> dict[str, tuple[str, Function]]:
    return {
        what: (name, function)
        for what, function in {
            "means instead of sums": answers(name, lambda C: ROOT_HALF * C),
            "a constant of eight bits": answers(name, lambda C: C * (0.70703125 / ROOT_HALF)),
            "a last one as if it were its own neighbor": _last_alone(name, np.sqrt(2.0)),
            "a last one left out": _last_alone(name, 0.0),
            "pairs of columns for all": given(name, "axis", lambda _: "columns"),
            "last column forgotten": answers(name, tail),
            "lower precision than declared": given(name, argument, single),
        }.items()
    }


SPECIFIC: dict[str, dict[str, tuple[str, Function]]] = {
    "haar": _transform("haar", "X")
    | {
        "the other difference": ("haar", _high_band(np.negative)),
        "sums and differences in turn": ("haar", _alternating),
    },
    "inverse_haar": _transform("inverse_haar", "C")
    | {
        "the other difference": (
            "inverse_haar",
            _in_turn,
        ),
        "transformed once more": ("inverse_haar", reference.haar),
    },
    "row_split": {
        what: ("row_split", function)
        for what, function in {
            "cut by the distance from the mean": _split(_from_the_mean),
            "one threshold for all rows": _split(_one_threshold),
            "mean distances for all": given("row_split", "scale", lambda _: "mean_abs"),
            "means never shared": given("row_split", "share_mean", lambda _: False),
            "a sign of zero for all": given("row_split", "sign_zero", lambda _: 1),
            "the first threshold": given("row_split", "levels", lambda _: 1),
            "without means": answers("row_split", _without_means),
            "the sides in turn": answers("row_split", lambda sides: sides[::-1]),
            "lower precision than declared": given("row_split", "X", single),
        }.items()
    },
    "payload_of_transformed": {
        what: ("payload_bits", function)
        for what, function in {
            "shared means for each side": _apart,
            "columns of terms not said": _of_layer(lambda bits: replace(bits, column_map=0)),
            "columns of the rest said": _extra("column_map", _of_rest),
            "a side of every coefficient": _of_layer(
                lambda bits: replace(bits, group_map=bits.signs)
            ),
            "signs of one term": _extra("signs", _salient_signs),
            "scales for nothing": _of_layer(lambda bits: replace(bits, scales=0)),
        }.items()
    },
    "nominal_of_transformed": {
        what: ("nominal_bits", function)
        for what, function in {
            "all that is stored": lambda layer: reference.payload_bits(layer).per_weight,
            "one bit of every weight": answers("nominal_bits", lambda _: 1.0),
            "salient columns once": _salient_alone,
            "a side of every coefficient": _twice,
        }.items()
    },
    "hbllm_block": _blocks("hbllm_block")
    | {
        "dead columns too": (
            "hbllm_block",
            given("hbllm_block", "alive", lambda alive: np.ones(len(alive), dtype=np.bool_)),
        ),
        "always the first block": ("hbllm_block", given("hbllm_block", "start", lambda _: 0)),
    },
    "hbllm_layer_released": _layers("released"),
    "hbllm_layer_corrected": _layers("corrected"),
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of HBLLM.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in SPECIFIC.items():
        for name, (function, wrong) in named.items():
            yield Mutant(operation, name, {function: wrong})
