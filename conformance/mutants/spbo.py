"""Mutants of stepwise pruning."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Mutant,
    answers,
    eps_of_each_row,
    given,
    inside,
    other,
)
from subbit.conformance.mutants.groups import (
    Named,
    identity,
    imprecise,
    of_signs,
    rounds_off,
)
from subbit.reference import BinaryGroup

OTHER = ("signs", "mean", "objective", "levels", "calibrated_start")
"""Switches that have two settings."""


def _without_one(masks: Any) -> Any:  # noqa: ANN401
    return masks[:-1]


def _once(masks: Any) -> Any:  # noqa: ANN401
    return masks[-1:]


def _schedules() -> Named:
    name = "spbo_schedule"
    return {
        "one shot": given(name, "schedule", lambda _: "one"),
        "elements for parts": given(
            name, "schedule", {"parts": "element", "element": "parts", "one": "one"}.__getitem__
        ),
        "one part more": given(name, "parts", lambda parts: parts + 1),
        "largest first": given(name, "scores", lambda scores: -np.asarray(scores)),
        "one step less": answers(name, _without_one),
        "higher columns stay": _mirrored,
        "one of every M more": given(name, "keep", lambda keep: keep + 1),
        "whole groups only": answers(name, _no_tail),
    }


@functools.wraps(reference.spbo_schedule)
def _mirrored(scores: Any, keep: int, group: int, **switches: Any) -> Any:  # noqa: ANN401
    # The higher of equally scored columns stays: ties are broken, and nothing else changes.
    values = np.asarray(scores, dtype=np.float64)
    ranks = np.argsort(np.argsort(values, axis=None, kind="stable")).reshape(values.shape)
    return reference.spbo_schedule(ranks.astype(np.float64), keep, group, **switches)


def _no_tail(masks: Any) -> Any:  # noqa: ANN401
    changed = np.array(masks)
    changed[..., -1] = False
    return changed


def _in_group(change: Change) -> Change:
    return lambda group: replace(group, mask=change(group.mask))


def _steps_once(*arguments: Any, **switches: Any) -> Iterator[tuple[str, BinaryGroup]]:  # noqa: ANN401
    kept: BinaryGroup | None = None
    for name, group in reference.spbo_steps(*arguments, **switches):
        # A fit leaves the old mean in place.
        kept = group if kept is None or name != "levels" else replace(group, mean=kept.mean)
        yield name, kept


def _loop(name: str) -> Named:
    return {
        **{f"the other {switch}": other(name, switch) for switch in OTHER},
        "all at once": given(name, "masks", _once),
        "one step less": given(name, "masks", _without_one),
        "S ignored": given(name, "S", identity),
        "group's entries ignored": given(name, "mask", np.ones_like),
        **rounds_off(name),
    }


def _runs() -> dict[str, Named]:
    return {
        "spbo_schedule": _schedules(),
        "spbo_step": {
            **{
                f"the other {switch}": other("spbo_step", switch)
                for switch in OTHER
                if (switch != "calibrated_start")
            },
            "keeps all": given("spbo_step", "keep", np.ones_like),
            "S ignored": given("spbo_step", "S", identity),
            "signs of pruned entries": answers("spbo_step", of_signs(_ones)),
            "everything in the mask": answers("spbo_step", _in_group(np.ones_like)),
            **imprecise("spbo_step"),
            **rounds_off("spbo_step"),
        },
        "spbo_steps": {
            **_loop("spbo_steps"),
            "old means": _steps_once,
            "last step not taken": answers("spbo_steps", lambda steps: iter(list(steps)[:-1])),
        },
        "spbo": {
            **_loop("spbo"),
            **imprecise("spbo"),
            "eps of each row": inside("spbo", "groups.arb_x", "ratio", eps_of_each_row),
        },
    }


def _ones(signs: Any) -> Any:  # noqa: ANN401
    return np.where(signs == 0, 1, signs).astype(np.int8)


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of stepwise pruning.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in _runs().items():
        for name, function in named.items():
            yield Mutant(operation, name, {operation: function})
