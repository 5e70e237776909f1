"""Mutants of the coarse-to-fine search."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbit.conformance.mutants.changes import Mutant, answers, epsilon, given, single, tail
from subbit.conformance.mutants.groups import Named


def _cosines() -> Named:
    name = "block_cosine"
    return {
        "last input forgotten": given(name, "x", tail),
        "first token only": given(name, "x", lambda x: np.broadcast_to(x[..., :1, :], x.shape)),
        "magnitude": answers(name, abs),
        "eps": answers(name, lambda c: c * (1 - 1e-6) + 1e-7),
        "inputs centered": given(
            name, "x", lambda x: x - np.mean(x, axis=-1, keepdims=True) * 1e-3
        ),
        "float32": answers(name, lambda c: float(np.float32(c * (1 + 2.0**-20)))),
    }


_KINDS = {
    "arccos": "one_minus",
    "one_minus": "arccos",
    "reciprocal": "redundancy",
    "redundancy": "reciprocal",
}


def _importances() -> Named:
    name = "layer_importance"
    return {
        "another formula": given(name, "kind", _KINDS.__getitem__),
        "not divided by the mean": answers(name, lambda found: found * 1.5),
        "of sum 1": answers(name, lambda found: found / np.sum(found)),
        "last layer forgotten": answers(name, tail),
        "eps": answers(name, epsilon),
        "float32": answers(name, single),
    }


def _less(count: Any) -> Any:  # noqa: ANN401
    return None if count is None else max(count - 1, 1)


def _budgets() -> Named:
    name = "coarse_budget"
    return {
        "never repaired": given(name, "repair", lambda _: False),
        "always repaired": given(name, "repair", lambda _: True),
        "the other rule": given(
            name,
            "rule",
            {"proportional": "interpolated", "interpolated": "proportional"}.__getitem__,
        ),
        "a lower end": given(name, "low", _less),
        "rounded down": given(name, "importance", lambda x: np.asarray(x) * 0.9),
        "reversed": answers(name, lambda found: found[::-1].copy()),
        "one more": answers(name, lambda found: found + 1),
    }


_SCORES = {
    "obs": "squared",
    "squared": "obs",
    "trailing": "obs",
    "magnitude": "wanda",
    "wanda": "magnitude",
}


def _scores() -> Named:
    name = "fine_scores"
    return {
        "another score": given(name, "score", _SCORES.__getitem__),
        "magnitude": given(name, "score", lambda _: "magnitude"),
        "diagonal of the Hessian": given(name, "H", lambda H: np.diag(np.diag(H))),
        "halved": answers(name, lambda found: found / 2),
        "float32": answers(name, single),
        "last column forgotten": answers(name, tail),
    }


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of the coarse-to-fine search.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    found = {
        "block_cosine": _cosines(),
        "layer_importance": _importances(),
        "coarse_budget": _budgets(),
        "fine_scores": _scores(),
    }
    for operation, named in found.items():
        for name, function in named.items():
            yield Mutant(operation, name, {operation: function})
