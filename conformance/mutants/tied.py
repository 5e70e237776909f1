"""Mutants that decide ties of the baselines otherwise than the documentation says."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Function, Mutant, always, given, inside
from subbit.reference.notation import Array, Codes, Mask
from subbit.reference.pruning.sparsity import Tail

Rounding = Callable[[Array], Array]


def _half_away(x: Array) -> Array:
    return np.asarray(np.sign(x) * np.floor(np.abs(x) + 0.5))


def _to_odd(x: Array) -> Array:
    low = np.floor(x)
    return np.where(x - low == 0.5, low + (low % 2 == 0), np.round(x))


ROUNDINGS: dict[str, Rounding] = {
    "halves up": lambda x: np.asarray(np.floor(x + 0.5)),
    "halves down": lambda x: np.asarray(np.ceil(x - 0.5)),
    "halves away from zero": _half_away,
    "halves to odd": _to_odd,
}
"""Ways to round halves other than to the even side."""


def _codes_by(rounding: Rounding) -> Function:
    def codes(W: Array, scale: Array, zero: Array, bits: int) -> Codes:
        positions = rounding(np.asarray(W) / scale[:, None]) + zero[:, None]
        return np.clip(positions, 0, 2**bits - 1).astype(np.uint8)

    return codes


def _zero_by(rounding: Rounding) -> Function:
    def grid(W: Array, bits: int) -> tuple[Array, Array]:
        scale, _ = reference.minmax_grid(W, bits)
        low = np.minimum(np.min(W, axis=1), 0.0)
        return scale, np.where(np.any(W, axis=1), rounding(-low / scale), 2 ** (bits - 1))

    return grid


def _at_threshold(scores: Array, sparsity: float) -> Mask:
    """Keep what equals the threshold."""
    return np.asarray(scores >= np.sort(scores, axis=None)[int(scores.size * sparsity)])


def _equals_kept(scores: Array, keep: int, group: int, *, tail: Tail) -> Mask:
    """Keep whatever equals the least score that has to be kept."""
    kept = reference.nm_mask(scores, keep, group, tail=tail)
    ends = scores.shape[1] // group * group
    groups = scores[:, :ends].reshape(len(scores), -1, group)
    least = np.sort(groups, axis=-1)[..., -keep][..., None]
    kept[:, :ends] = (groups >= least).reshape(len(scores), ends)
    return kept


def _every_block(function: str, module: str) -> dict[str, Function]:
    """Return ways in which a layer may round its codes and zero points."""
    home = f"baselines.{module}"
    codes = {
        f"codes, {how}": inside(function, home, "grid_codes", always(_codes_by(rounding)))
        for how, rounding in ROUNDINGS.items()
    }
    zeros = {
        f"zero points, {how}": inside(function, home, "minmax_grid", always(_zero_by(rounding)))
        for how, rounding in ROUNDINGS.items()
    }
    return codes | zeros


def _scores_by(change: Callable[[Any], Any]) -> Function:
    return inside(
        "sparsegpt_layer",
        "baselines.sparsegpt",
        "trailing_saliency",
        lambda right: lambda W, U: change(right(W, U)),
    )


def _sparsegpt(helper: str, other: Function) -> Function:
    return inside("sparsegpt_layer", "baselines.sparsegpt", helper, always(other))


TIES: dict[str, dict[str, dict[str, Function]]] = {
    "exact_minmax_grid": {
        how: {"minmax_grid": _zero_by(rounding)} for how, rounding in ROUNDINGS.items()
    },
    "exact_gptq": {
        how: {"gptq_layer": function}
        for how, function in _every_block("gptq_layer", "gptq").items()
    },
    "exact_sparsegpt": {
        "the threshold stays": {"sparsegpt_layer": _sparsegpt("threshold_mask", _at_threshold)},
        "all equal scores stay": {"sparsegpt_layer": _sparsegpt("nm_mask", _equals_kept)},
        "the least stay": {"sparsegpt_layer": _scores_by(np.negative)},
        "scores in two digits": {"sparsegpt_layer": _scores_by(lambda S: np.round(S / 16))},
        "inputs ignored": {
            "sparsegpt_layer": given("sparsegpt_layer", "H", lambda H: np.eye(len(H)))
        },
    },
    "exact_pb_llm": {
        "the threshold is in the high part": {
            "pb_llm_layer": inside(
                "pb_llm_layer", "baselines.pb_llm", "threshold_mask", always(_at_threshold)
            )
        },
        **{
            how: {"pb_llm_layer": function}
            for how, function in _every_block("pb_llm_layer", "pb_llm").items()
        },
    },
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants that decide ties otherwise.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in TIES.items():
        for name, functions in named.items():
            yield Mutant(operation, name, functions)
    for how, rounding in ROUNDINGS.items():
        yield Mutant("grid_codes", how, {"grid_codes": _codes_by(rounding)})
