"""Mutants of the trisection."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Function,
    Mutant,
    answers,
    given,
    single,
    tail,
)
from subbit.reference.groups.group_error import group_error


def _other(closed: Any) -> Any:  # noqa: ANN401
    return not closed


def _masks() -> dict[str, Function]:
    name = "trisection"
    return {
        ">= for >": given(name, "closed", _other),
        "a ratio of √2": given(name, "factor", np.sqrt),
        "always twice": given(name, "factor", lambda _: 2.0),
        "dense and sparse swapped": answers(name, lambda masks: masks[::-1]),
        "intermediate holds the dense entries": answers(
            name, lambda masks: (masks[0], masks[0] | masks[1], masks[2])
        ),
        "all columns": given(name, "columns", np.ones_like),
        "lower precision than declared": given(name, "key", single),
    }


def _every_threshold(thresholds: Any, *, factor: float = 2.0) -> Any:  # noqa: ANN401
    del factor
    return np.asarray(thresholds)


def _thresholds() -> dict[str, Function]:
    name = "trisection_thresholds"
    return {
        "not bounded": _every_threshold,
        "below the last only": lambda thresholds, *, factor=2.0: np.asarray(
            [t for t in thresholds if factor * t < thresholds[-1]] or thresholds
        ),
        "a ratio of √2": given(name, "factor", np.sqrt),
        "nothing where none is within": lambda thresholds, *, factor=2.0: np.asarray(
            [t for t in thresholds if factor * t <= thresholds[-1]]
        ),
        "one fewer": answers(name, lambda cuts: cuts[: max(len(cuts) - 1, 1)]),
        "float32": answers(name, single),
    }


def _objectives(change: Change) -> Change:
    return lambda found: replace(found, objectives=change(found.objectives))


def _sparse_mean_kept(name: str) -> Function:
    """Binarize the sparse group without its mean."""

    def search(target: Any, columns: Any, thresholds: Any, **switches: Any) -> Any:  # noqa: ANN401
        found = getattr(reference, name)(target, columns, thresholds, **switches)
        if not switches["center"]:
            return found
        cut = {"factor": switches["factor"], "closed": switches["closed"]}
        key = np.abs(target) if switches.get("key") is None else switches["key"]
        order = {"order": switches["orders"][2], "sign_zero": switches["sign_zero"]}
        change = []
        for t in thresholds:
            sparse = reference.trisection(key, columns, t, **cut)[2]
            errors = (group_error(target, sparse, **order, center=on) for on in (False, True))
            change.append(next(errors) - next(errors))
        return replace(found, objectives=found.objectives + change)

    return search


def _searches(name: str) -> dict[str, Function]:
    return {
        ">= for >": given(name, "closed", _other),
        "a ratio of √2": given(name, "factor", np.sqrt),
        "two groups": given(name, "factor", lambda _: 1e90),
        "one order": given(name, "orders", lambda _: (1, 1, 1)),
        "orders swapped": given(name, "orders", lambda orders: orders[::-1]),
        "mean not removed": given(name, "center", lambda _: False),
        "sparse mean kept": _sparse_mean_kept(name),
        "all columns": given(name, "columns", np.ones_like),
        "root": answers(name, _objectives(np.sqrt)),
        "lower precision than declared": given(name, "target", single),
        "last column forgotten": given(name, "target", tail),
    }


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of the trisection.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    direct = "trisection_search_direct"
    functions = {
        "trisection": _masks(),
        "trisection_thresholds": _thresholds(),
        "trisection_search": _searches("trisection_search"),
        direct: _searches(direct) | {"key ignored": given(direct, "key", lambda _: None)},
    }
    for operation, named in functions.items():
        for name, function in named.items():
            yield Mutant(operation, name, {operation: function})
