"""Mutants of refinements: half steps, and levels that are fitted at once."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Mutant,
    always,
    answers,
    epsilon,
    given,
    inside,
    single,
    switched,
    tail,
)
from subbit.conformance.mutants.groups import (
    Named,
    alone,
    from_changed,
    identity,
    imprecise,
    of_levels,
    of_signs,
    other_eps,
    other_gauge,
    rounds_off,
    signs_everywhere,
    unmasked,
    without_mean,
)
from subbit.conformance.mutants.refine_loops import columns_first, first_only, resigned, width_mean
from subbit.reference import BinaryGroup


def _twice(W: Any, group: BinaryGroup) -> BinaryGroup:  # noqa: ANN401
    """Move the mean twice as far."""
    made = reference.refine_mean(W, group)
    old = np.zeros(len(group.mask)) if group.mean is None else group.mean
    return replace(group, mean=None if made.mean is None else 2 * made.mean - old)


def _greedy(Z: Any, u: Any, v: Any) -> Any:  # noqa: ANN401, ARG001
    first = reference.sign(Z)
    return first, reference.sign(np.asarray(Z) - np.asarray(u) * first)


def _negated(signs: Any) -> Any:  # noqa: ANN401
    return tuple(-s for s in signs)


def _last_level(Z: Any, u: Any, v: Any) -> Any:  # noqa: ANN401
    return _negated(reference.joint_signs(-np.asarray(Z), u, v))


def _bisected(Z: Any, u: Any, v: Any) -> Any:  # noqa: ANN401
    """Choose by the midpoints between levels, at which the larger level is taken."""
    shape = np.shape(Z)
    levels = np.stack([np.broadcast_to(a * u + b * v, shape) for a in (-1, 1) for b in (-1, 1)])
    order = np.argsort(levels, axis=0, kind="stable")
    rising = np.take_along_axis(levels, order, axis=0)
    place = np.sum(np.asarray(Z) >= (rising[1:] + rising[:-1]) / 2, axis=0)
    nearest = np.take_along_axis(order, place[None], axis=0)[0]
    return tuple(np.where(x, 1, -1).astype(np.int8) for x in (nearest >= 2, nearest % 2 == 1))


def _tie_rules(name: str, module: str, where: str = "") -> Named:
    """Return functions that decide between equally near levels otherwise."""
    return {
        f"ties take the {what} level{where}": inside(
            name, f"groups.{module}", "joint_signs", always(other)
        )
        for what, other in (("last", _last_level), ("larger", _bisected))
    }


def _at_mean(W: Any, mask: Any = None, *, name: str = "all") -> BinaryGroup:  # noqa: ANN401
    """Cut at the mean, with the correct levels for that cut."""
    return reference.solve_levels(W, reference.arb_start(W, mask, name=name))


def _alternated(W: Any, group: BinaryGroup) -> BinaryGroup:  # noqa: ANN401
    """Run one round of the alternation instead of its limit."""
    made = reference.refine_mean(W, group)
    for plane in range(len(group.planes)):
        made = reference.refine_scale(W, made, plane)
    return made


def _traced(change: Change) -> Change:
    return lambda trace: replace(trace, objectives=change(trace.objectives))


def _plain_shares(W: Any, mask: Any = None, **switches: Any) -> BinaryGroup:  # noqa: ANN401
    """Take column scales as means of magnitudes, not of shares of the row scales."""
    group = reference.rc_start(W, mask, **switches)
    size = np.abs(np.where(group.mask, W, 0.0))
    counts = np.maximum(np.count_nonzero(group.mask, axis=0), 1)
    columns = np.sum(size, axis=0) / counts
    planes = (replace(group.planes[0], column_scale=columns), *group.planes[1:])
    return replace(group, planes=planes)


def _all_rows(W: Any, mask: Any = None, **switches: Any) -> BinaryGroup:  # noqa: ANN401
    """Take column scales as means over all rows, including those outside the group."""
    group = reference.rc_start(W, mask, **switches)
    share = np.count_nonzero(group.mask, axis=0) / len(group.mask)
    planes = tuple(
        replace(p, column_scale=None if p.column_scale is None else p.column_scale * share)
        for p in group.planes
    )
    return replace(group, planes=planes)


_NO_MASK = ("mask", lambda _: None)

SPECIFIC: dict[str, Named] = {
    "exact_joint_signs": {
        "ties take the last level": _last_level,
        "ties take the larger level": _bisected,
        "one sign after the other": _greedy,
        "scales taken as positive": lambda Z, u, v: reference.joint_signs(Z, np.abs(u), np.abs(v)),
        "signs swapped": answers("joint_signs", lambda signs: signs[::-1]),
    },
    "exact_signs": {
        "sign of zero ignored": given("refine_signs", "sign_zero", lambda _: 1),
        "other sign of zero, row and column scales": given(
            "refine_rc_signs", "sign_zero", lambda zero: 1 - zero
        ),
        "mean forgotten": given("refine_signs", "group", without_mean),
        "signs outside of the mask, row and column scales": answers(
            "refine_rc_signs", signs_everywhere
        ),
        **_tie_rules("refine_signs", "arb"),
        **_tie_rules("refine_rc_signs", "arb_rc", ", row and column scales"),
    },
    "arb_start": {
        "divided by the entries": switched("arb_start", divisor="entries"),
        "divided by the width": switched("arb_start", divisor="width"),
        "signs about the mean": switched("arb_start", initial_signs="centered"),
        "sign of zero ignored": switched("arb_start", sign_zero=1),
        "mask ignored": given("arb_start", *_NO_MASK),
        "mean forgotten": answers("arb_start", without_mean),
        "one order": given("arb_start", "order", lambda _: 1),
        **imprecise("arb_start"),
    },
    "refine_mean": {
        "divided by the width": width_mean,
        "masked-out entries counted": from_changed("refine_mean", unmasked),
        "moved twice as far": _twice,
        "scales forgotten": lambda W, group: replace(
            group, mean=reference.masked_mean(W, group.mask)
        ),
        **imprecise("refine_mean"),
    },
    "refine_scale": {
        "mean or other scale forgotten": from_changed("refine_scale", alone),
        "wrong plane": given("refine_scale", "plane", lambda _: 0),
        "sum of magnitudes": answers("refine_scale", of_levels(np.abs)),
        **other_eps("refine_scale"),
        **imprecise("refine_scale"),
    },
    "refine_signs": {
        "only the first": first_only("refine_signs"),
        "mean forgotten": from_changed("refine_signs", without_mean),
        "negated": answers("refine_signs", of_signs(np.negative)),
        "outside of the mask": answers("refine_signs", signs_everywhere),
        "other sign of zero": given("refine_signs", "sign_zero", lambda zero: 1 - zero),
    },
    "joint_signs": {
        "one after the other": _greedy,
        "scales taken as positive": lambda Z, u, v: reference.joint_signs(Z, np.abs(u), np.abs(v)),
        "signs swapped": answers("joint_signs", lambda signs: signs[::-1]),
        "negated": answers("joint_signs", _negated),
        "last column forgotten": given("joint_signs", "Z", tail),
    },
    "solve_levels": {
        "one round of the alternation": _alternated,
        "mean stays": lambda W, group: replace(reference.solve_levels(W, group), mean=group.mean),
        "masked-out entries counted": from_changed("solve_levels", unmasked),
        "scales not negative": answers("solve_levels", of_levels(np.abs)),
        **imprecise("solve_levels"),
    },
    "two_means": {
        "cut at the mean": _at_mean,
        "alternated": lambda W, mask=None, *, name="all": reference.arb(W, mask, name=name),
        "mask ignored": given("two_means", *_NO_MASK),
        "lower cluster only": answers("two_means", of_signs(lambda s: -np.abs(s))),
        **imprecise("two_means"),
    },
    "trace_objective": {
        "start left out": given("trace_objective", "steps", lambda s: list(s)[1:] or list(s)),
        "weight error always": given("trace_objective", "S", lambda _: None),
        "entries ignored": given("trace_objective", "entries", lambda _: None),
        "root": answers("trace_objective", _traced(np.sqrt)),
        "eps": answers("trace_objective", _traced(epsilon)),
        "lower precision than declared": given("trace_objective", "W", single),
        "mean over entries": answers("trace_objective", _traced(lambda x: x / 2)),
    },
    "calibrated_sums": {
        "S ignored": given("calibrated_sums", "S", identity),
        "triangle only": given("calibrated_sums", "S", np.triu),
        "target under the mask": lambda target, group, S: reference.calibrated_sums(
            np.where(group.mask, target, 0.0), group, S
        ),
        "lower precision than declared": given("calibrated_sums", "S", single),
        "last column forgotten": given("calibrated_sums", "target", tail),
    },
    "calibrated_mean": {
        "S ignored": given("calibrated_mean", "S", identity),
        "triangle only": given("calibrated_mean", "S", np.triu),
        "scales forgotten": from_changed("calibrated_mean", of_levels(np.zeros_like)),
        "masked-out entries counted": from_changed("calibrated_mean", unmasked),
        **other_eps("calibrated_mean"),
        **imprecise("calibrated_mean"),
    },
    "calibrated_scale": {
        "S ignored": given("calibrated_scale", "S", identity),
        "triangle only": given("calibrated_scale", "S", np.triu),
        "mean or other scale forgotten": from_changed("calibrated_scale", alone),
        "wrong plane": given("calibrated_scale", "plane", lambda _: 0),
        **other_eps("calibrated_scale"),
        **imprecise("calibrated_scale"),
    },
    "calibrate_levels": {
        **rounds_off("calibrate_levels"),
        "S ignored": given("calibrate_levels", "S", identity),
        "always the limit": switched("calibrate_levels", levels="exact"),
        "never the limit": switched("calibrate_levels", levels="alternate"),
        "signs refreshed": resigned("calibrate_levels"),
        "target under the mask": lambda target, group, S, **switches: reference.calibrate_levels(
            np.where(group.mask, target, 0.0), group, S, **switches
        ),
        "eps of 1e-3": switched("calibrate_levels", calibrated_eps=1e-3),
        "S in lower precision": given("calibrate_levels", "S", single),
        **imprecise("calibrate_levels", "target"),
    },
    "rc_start": {
        "columns not relative to rows": _plain_shares,
        "masked-out rows counted": _all_rows,
        "sign of zero ignored": switched("rc_start", sign_zero=1),
        "mask ignored": given("rc_start", *_NO_MASK),
        "one order": given("rc_start", "order", lambda _: 1),
        "other gauge": answers("rc_start", other_gauge),
        **imprecise("rc_start"),
    },
    "refine_row_scale": {
        "other order forgotten": from_changed("refine_row_scale", alone),
        "columns instead": reference.refine_column_scale,
        "wrong plane": given("refine_row_scale", "plane", lambda _: 0),
        "other gauge": answers("refine_row_scale", other_gauge),
        **other_eps("refine_row_scale"),
        **imprecise("refine_row_scale"),
    },
    "refine_column_scale": {
        "old row scales": columns_first,
        "rows instead": reference.refine_row_scale,
        "wrong plane": given("refine_column_scale", "plane", lambda _: 0),
        "other gauge": answers("refine_column_scale", other_gauge),
        **other_eps("refine_column_scale"),
        **imprecise("refine_column_scale"),
    },
    "refine_rc_signs": {
        "only the first": first_only("refine_rc_signs"),
        "row scales forgotten": from_changed("refine_rc_signs", alone),
        "negated": answers("refine_rc_signs", of_signs(np.negative)),
        "outside of the mask": answers("refine_rc_signs", signs_everywhere),
        "other sign of zero": given("refine_rc_signs", "sign_zero", lambda zero: 1 - zero),
    },
}
_REPLACED = {
    ("exact_joint_signs", ""): "joint_signs",
    ("exact_signs", "row and column"): "refine_rc_signs",
    ("exact_signs", ""): "refine_signs",
}


def _replaced(operation: str, name: str) -> str:
    for (owner, part), function in _REPLACED.items():
        if owner == operation and part in name:
            return function
    return operation


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of refinements.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in SPECIFIC.items():
        for name, function in named.items():
            yield Mutant(operation, name, {_replaced(operation, name): function})
