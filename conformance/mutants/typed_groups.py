"""Mutants of typed groups: energies, codes, steps, sweeps and whole layers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

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
    single,
    switched,
    tail,
)
from subbit.reference import LevelGroup, QuantizedLayer
from subbit.reference import typed_groups as layers
from subbit.reference.leveled import CODES, SPAN
from subbit.reference.zones import allocation

GroupChange = Callable[[LevelGroup], LevelGroup]


def of_groups(change: GroupChange) -> Change:
    """Turn a change of groups of levels into one of records.

    Parameters
    ----------
    change : callable
        Change of a group.

    Returns
    -------
    callable
        Change of a record.
    """

    def changed(layer: QuantizedLayer) -> QuantizedLayer:
        blocks = (
            replace(block, groups=tuple(change(group) for group in block.groups))  # type: ignore[arg-type]
            for block in layer.blocks
        )
        return replace(layer, blocks=tuple(blocks))

    return changed


def _exponents(round_: Change, clamp: Change, per: float = 16.0) -> Function:
    def wrong(steps: Any, reference: Any) -> Any:  # noqa: ANN401
        s, r = (np.asarray(x, dtype=np.float64) for x in (steps, reference))
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.where((s > 0.0) & (r > 0.0), per * (np.log2(s) - np.log2(r)), 0.0)
        x = np.where((s > 0.0) | (r == 0.0), round_(x), -128.0)
        return clamp(x).astype(np.int8)

    return wrong


def _clamped(x: Any) -> Any:  # noqa: ANN401
    return np.clip(x, -128, 127)


def _wrapped(x: Any) -> Any:  # noqa: ANN401
    return (x + 128) % 256 - 128


_ROUNDED_DOWN = _exponents(np.floor, _clamped)


def _smallest(largest: Function) -> Function:
    return lambda x, most: largest(1.0 / (1.0 + np.abs(x)), most)


def _one_more(largest: Function) -> Function:
    return lambda x, most: largest(x, most and most + 1)


def _twice(nearest: Function) -> Function:
    """Put large levels at ±2."""

    def wrong(x: Any, coding: Any, is_large: Any) -> Any:  # noqa: ANN401
        levels = nearest(x, coding, is_large)
        return np.where(is_large, np.sign(levels) * 2, levels).astype(np.int8)

    return wrong


def _outward(nearest: Function) -> Function:
    """Round away from zero."""
    return lambda x, coding, is_large: nearest(x * 1.25, coding, is_large)


def _all_at_once(compensate: Function) -> Function:
    """Leave out the feedback between the columns of a group."""
    return lambda W, U, quantize: compensate(W, np.diag(np.diag(U)), quantize)


def _alone(compensate: Function) -> Function:
    """Leave out the feedback between groups."""
    return lambda W, U, quantize, **how: compensate(W, U, quantize, **how | {"mode": "none"})


def _undamped(sweep: Function) -> Function:
    """Sweep under the Hessian as it was before damping."""

    def wrong(W: Any, H: Any, layer: Any) -> Any:  # noqa: ANN401
        share = layers.TypedGroups().percdamp
        return sweep(W, H - share / (1.0 + share) * np.diag(H).mean() * np.eye(len(H)), layer)

    return wrong


def _fit_on_weights(W: Any, H: Any, config: Any) -> Any:  # noqa: ANN401
    """Fit steps without dividing column scales out."""
    seen: list[Any] = []
    scales, fit = reference.column_scales, reference.fit_steps

    def kept(W: Any, power: float) -> Any:  # noqa: ANN401
        seen.append(scales(W, power))
        return seen[-1]

    def wrong(X: Any, weights: Any, code: Any) -> Any:  # noqa: ANN401
        c, seen[0] = np.split(seen[0], [X.shape[1]])
        return fit(X * c, weights, code)

    with patch.object(layers, "column_scales", kept), patch.object(layers, "fit_steps", wrong):
        return reference.typed_groups_layer(W, H, config)


def _more_bits(allocate: Function) -> Function:
    return lambda energies, n, m, size, budget, **how: allocate(
        energies, n, m, size, budget * 1.1 + n, **how
    )


def _inverted(allocate: Function) -> Function:
    return lambda energies, *places, **how: allocate(
        np.max(energies) - np.asarray(energies), *places, **how
    )


def _moved_pattern(group: LevelGroup) -> LevelGroup:
    """Count the columns of a pattern from the second one."""
    if not group.coding.large:
        return group
    return replace(group, levels=np.roll(group.levels, 1, axis=1))


def _sweeping(**methods: Callable[..., Any]) -> Function:
    """Return a sweep that has other steps."""

    def change(right: Any) -> Any:  # noqa: ANN401
        return type("_Sweep", (right,), methods)

    return inside("sweep_levels", "groups.sweeps", "_Sweep", change)


def _stale(self: Any, columns: slice, levels: Any) -> None:  # noqa: ANN401
    self.L[:, columns] = levels


def _unchecked(self: Any) -> None:  # noqa: ANN401
    """Take every refitted step, whether or not the error falls."""
    if self.e is None:
        return
    Z = self.L * self.c
    gain, curvature = np.sum(Z * self.P, axis=1), np.sum((Z @ self.H) * Z, axis=1)
    steps = np.maximum(self.r + gain / np.where(curvature > 0.0, curvature, np.inf), 0.0)
    self.e = reference.code_exponents(steps, self.group.reference)
    r = self.group.reference * np.exp2(self.e / 16.0)
    self.P -= ((r - self.r)[:, None] * Z) @ self.H
    self.r = r


def _no_step(_self: Any) -> None:  # noqa: ANN401
    return None


def _groups_apart(W: Any, H: Any, layer: Any) -> Any:  # noqa: ANN401
    """Sweep each group as if the others had no error."""
    order = np.arange(len(H)) if layer.order is None else layer.order
    starts = [block.start for block in layer.blocks]
    group = np.searchsorted(starts, np.argsort(order), side="right")
    return reference.sweep_levels(W, np.where(group[:, None] == group, H, 0.0), layer)


def _shifted(layer: QuantizedLayer) -> QuantizedLayer:
    def change(group: LevelGroup) -> LevelGroup:
        return group if group.exponent is None else replace(group, exponent=group.exponent + 1)

    return of_groups(change)(layer)


def _each_reference(count: Function) -> Function:
    """Count the references of every group."""

    def wrong(layer: Any, *, float_bits: int = 16) -> Any:  # noqa: ANN401
        bits = count(layer, float_bits=float_bits)
        known = {g.reference.tobytes() for b in layer.blocks for g in b.groups if g.code != "0"}
        groups = sum(g.code != "0" for b in layer.blocks for g in b.groups)
        more = (groups - len(known)) * layer.shape[0] * float_bits
        return replace(bits, scales=bits.scales + more)

    return wrong


def _counting(part: str, more: Callable[[LevelGroup], int]) -> Function:
    """Count something more of every group."""

    def wrong(layer: Any, *, float_bits: int = 16) -> Any:  # noqa: ANN401
        bits = reference.payload_bits(layer, float_bits=float_bits)
        extra = sum(more(group) for block in layer.blocks for group in block.groups)
        return replace(bits, **{part: getattr(bits, part) + extra})

    return wrong


def _last_pattern(group: LevelGroup) -> int:
    n, k = group.mask.shape
    return 4 * n if group.coding.large and k % SPAN else 0


def _backwards(energies: Any, *places: Any, **names: Any) -> Any:  # noqa: ANN401
    return reference.allocate_codes(np.asarray(energies)[::-1], *places, **names)[::-1]


def _per_step(energies: Any, *places: Any, **names: Any) -> Any:  # noqa: ANN401
    """Take the step of the largest fall, whatever it costs."""
    steps = allocation._steps  # noqa: SLF001

    def wrong(*arguments: Any) -> Any:  # noqa: ANN401
        return ((fall * more, more, code) for fall, more, code in steps(*arguments))

    with patch.object(allocation, "_steps", wrong):
        return reference.allocate_codes(energies, *places, **names)


def _typical(X: Any, weights: Any, code: Any) -> Any:  # noqa: ANN401
    """Take the step that suits Gaussian values."""
    total = np.sum(weights) or 1.0
    return CODES[code].step * np.sqrt(np.asarray(X) ** 2 @ weights / total)


def _ones_for(what: str) -> Function:
    def wrong(X: Any, weights: Any, code: Any) -> Any:  # noqa: ANN401
        steps = reference.fit_steps(X, weights, code)
        without = {"weight": not np.any(weights), "planes": code == "0", "entries": not np.any(X)}
        return np.ones(len(steps)) if without[what] else steps

    return wrong


_LEVELING, _LAYER = "groups.leveling", "typed_groups"
_layer = "typed_groups_layer"
SPECIFIC: dict[str, dict[str, tuple[str, Function]]] = {
    "column_energies": {
        name: ("column_energies", function)
        for name, function in {
            "not of the mean": lambda W, H: np.diag(H) * np.sum(np.asarray(W) ** 2, axis=0),
            "without the diagonal": given("column_energies", "H", lambda H: np.eye(len(H))),
            "of the largest": lambda W, H: np.diag(H) * np.max(np.asarray(W) ** 2, axis=0),
            "of magnitudes": lambda W, H: np.diag(H) * np.mean(np.abs(W), axis=0) ** 2,
            "lower precision than declared": given("column_energies", "W", single),
            "last column forgotten": answers("column_energies", tail),
        }.items()
    },
    "column_scales": {
        name: ("column_scales", function)
        for name, function in {
            "not relative": lambda W, power=1.0: np.mean(np.asarray(W) ** 2, axis=0) ** (power / 2),
            "not the root": lambda W, power=1.0: reference.column_scales(W, power) ** 2,
            "power ignored": given("column_scales", "power", lambda _: 1.0),
            "zero for columns of zeros": lambda W, power=1.0: np.where(
                np.any(W, axis=0), reference.column_scales(W, power), 0.0
            ),
            "of magnitudes": given("column_scales", "W", lambda W: np.sqrt(np.abs(W))),
            "lower precision than declared": given("column_scales", "W", single),
        }.items()
    },
    "allocate_codes": {
        name: ("allocate_codes", function)
        for name, function in {
            "over the budget": given("allocate_codes", "budget", lambda b: b * 1.05),
            "bits left over": given("allocate_codes", "budget", lambda b: b * 0.97),
            "energies not looked at": given("allocate_codes", "energies", np.ones_like),
            "the best codes where the energy is least": given(
                "allocate_codes", "energies", lambda e: np.max(e) - np.asarray(e)
            ),
            "of equal ones the higher group": _backwards,
            "largest fall, whatever it costs": _per_step,
            "rows cost nothing": given("allocate_codes", "row_bits", lambda _: 0),
            "column scales cost nothing": given("allocate_codes", "column_bits", lambda _: 0),
            "only the first two codes": given("allocate_codes", "codes", lambda c: c[:2]),
        }.items()
    },
    "payload_of_levels": {
        name: ("payload_bits", function)
        for name, function in {
            "references of every group": _each_reference(reference.payload_bits),
            "codes without names": _counting("column_map", lambda _: -3),
            "exponents of 16 bits": _counting(
                "scales", lambda g: 0 if g.exponent is None else 8 * len(g.exponent)
            ),
            "column scales for nothing": _counting(
                "scales", lambda g: 0 if g.column_scale is None else -16 * len(g.column_scale)
            ),
            "patterns of the last columns": _counting("group_map", _last_pattern),
            "two planes where some are large": _counting(
                "signs", lambda g: g.mask.size if g.coding.large else 0
            ),
            "a plane for nothing": _counting("codes", lambda g: g.mask.size * (g.code == "0")),
        }.items()
    },
    "nominal_of_levels": {
        name: ("nominal_bits", function)
        for name, function in {
            "all that is stored": lambda layer: reference.payload_bits(layer).per_weight,
            "one bit of every weight": answers("nominal_bits", lambda _: 1.0),
            "at least a bit": answers("nominal_bits", lambda b: max(b, 1.0)),
            "two planes where some are large": lambda layer: (
                reference.nominal_bits(layer)
                + sum(g.mask.size for b in layer.blocks for g in b.groups if g.coding.large)
                / np.prod(layer.shape)
            ),
        }.items()
    },
    "fit_steps": {
        name: ("fit_steps", function)
        for name, function in {
            "unweighted": given("fit_steps", "weights", np.ones_like),
            "large levels at 2": inside("fit_steps", _LEVELING, "nearest_levels", _twice),
            "the smallest are large": inside("fit_steps", _LEVELING, "large_entries", _smallest),
            "one more is large": inside("fit_steps", _LEVELING, "large_entries", _one_more),
            "not refitted": _typical,
            "a thousandth too large": answers("fit_steps", lambda s: s * 1.001),
            "lower precision than declared": given("fit_steps", "X", single),
            "one plane for all": given("fit_steps", "code", lambda _: "1"),
        }.items()
    },
    "no_steps": {
        name: ("fit_steps", function)
        for name, function in {
            "one without weight": _ones_for("weight"),
            "one without planes": _ones_for("planes"),
            "one for zeros": _ones_for("entries"),
            "least instead of zero": answers("fit_steps", lambda s: np.maximum(s, 1e-300)),
        }.items()
    },
    "code_exponents": {
        name: ("code_exponents", function)
        for name, function in {
            "rounded down": _ROUNDED_DOWN,
            "wraps around": _exponents(np.rint, _wrapped),
            "steps of one eighth": _exponents(np.rint, _clamped, 8.0),
            "one too high": answers(
                "code_exponents", lambda e: np.clip(e.astype(np.int64) + 1, -128, 127)
            ),
            "of the inverse": lambda steps, reference_: reference.code_exponents(reference_, steps),
            "natural logarithm": _exponents(np.rint, _clamped, 16.0 * np.log(2.0)),
            "lower precision than declared": given("code_exponents", "steps", np.float16),
        }.items()
    },
    "sweep_levels": {
        name: ("sweep_levels", function)
        for name, function in {
            "stale products": _sweeping(move=_stale),
            "steps taken without a check": _sweeping(refit=_unchecked),
            "steps not refitted": _sweeping(refit=_no_step),
            "large entries not chosen again": _sweeping(choose_large=_no_step),
            "levels not chosen again": _sweeping(choose_levels=_no_step),
            "damped once more": given(
                "sweep_levels", "H", lambda H: H + 0.05 * np.diag(H).mean() * np.eye(len(H))
            ),
            "groups apart": _groups_apart,
            "exponents one higher": answers("sweep_levels", _shifted),
            "order not recorded": answers("sweep_levels", lambda made: replace(made, order=None)),
            "large levels at 2": inside("sweep_levels", "groups.sweeps", "nearest_levels", _twice),
            "references of its own": answers(
                "sweep_levels", of_groups(lambda g: replace(g, reference=g.row_scale))
            ),
        }.items()
    },
    _layer: {
        name: (_layer, function)
        for name, function in {
            "no feedback inside a group": inside(
                _layer, _LAYER, "compensate_columns", _all_at_once
            ),
            "no feedback between groups": inside(_layer, _LAYER, "compensate", _alone),
            "unweighted fit": switched(_layer, fit_weights="none"),
            "large levels at 2": inside(_layer, _LAYER, "nearest_levels", _twice),
            "the smallest are large": inside(_layer, _LAYER, "large_entries", _smallest),
            "pattern from another column": answers(_layer, of_groups(_moved_pattern)),
            "levels rounded outward": inside(_layer, _LAYER, "nearest_levels", _outward),
            "exponents rounded down": inside(
                _layer, _LAYER, "code_exponents", always(_ROUNDED_DOWN)
            ),
            "column scales not divided out in the fit": _fit_on_weights,
            "ascending order": inside(
                _layer, _LAYER, "rank_columns", lambda rank: lambda scores: rank(scores)[::-1]
            ),
            "order not recorded": answers(_layer, lambda made: replace(made, order=None)),
            "more bits than allowed": inside(
                _layer, "presets.typed_groups", "allocate_codes", _more_bits
            ),
            "better codes where the energy is least": inside(
                _layer, "presets.typed_groups", "allocate_codes", _inverted
            ),
            "swept without damping": inside(_layer, _LAYER, "sweep_levels", _undamped),
            "never swept": switched(_layer, sweeps=0),
            "dead inputs not zeroed": inside(
                _layer, _LAYER, "dead_inputs", always(lambda H: np.zeros(len(H), dtype=np.bool_))
            ),
            "references of the weights as they are": inside(
                _layer, _LAYER, "column_scales", lambda scale: lambda W, p: scale(W, p) * 2.0
            ),
            "float32": given(_layer, "W", single),
        }.items()
    },
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of typed groups.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in SPECIFIC.items():
        for name, (function, wrong) in named.items():
            yield Mutant(operation, name, {function: wrong})
