"""Mutants of layer budgets."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Function, Mutant, answers, given


def _largest_remainders(wishes: Any, keep: int, low: int, high: int) -> Any:  # noqa: ANN401
    """Round down, then hand out the rest by remainder: not the least loss under bounds."""
    x = np.asarray(wishes, dtype=np.float64)
    counts = np.clip(np.floor(x), low, high).astype(int)
    order = np.argsort(np.floor(x) - x, kind="stable")
    counts[order[: max(len(x) * keep - counts.sum(), 0)]] += 1
    return np.clip(counts, low, high)


def _rounded(wishes: Any, keep: int, low: int, high: int) -> Any:  # noqa: ANN401, ARG001
    return np.clip(np.rint(wishes), low, high).astype(int)


def _later_first(wishes: Any, keep: int, low: int, high: int) -> Any:  # noqa: ANN401
    return reference.repair_budget(np.asarray(wishes)[::-1], keep, low, high)[::-1]


SPECIFIC: dict[str, dict[str, Function]] = {
    "norm_budget": {
        "rounded down": lambda norms, keep, group, *, repair=False: (
            reference.norm_budget(norms, keep, group, repair=True)
            if repair
            else np.floor(
                keep + (group - keep) * np.asarray(norms) / max(float(np.sum(norms)), 1e-300)
            ).astype(int)
        ),
        "least norm first": given("norm_budget", "norms", lambda w: np.max(w) - np.asarray(w)),
        "squared norms": given("norm_budget", "norms", np.square),
        "repair forgotten": given("norm_budget", "repair", lambda _: False),
        "always repaired": given("norm_budget", "repair", lambda _: True),
    },
    "outlier_share": {
        "a share of one": answers("outlier_share", lambda share: share / 100.0),
        "mean of each linear": lambda scores, threshold: float(
            np.mean([reference.outlier_share([part], threshold) for part in scores])
        ),
        "of the median": lambda scores, threshold: float(
            100.0
            * np.mean(
                (flat := np.concatenate([np.ravel(part) for part in scores]))
                > threshold * np.median(flat)
            )
        ),
        "first linear only": given("outlier_share", "scores", lambda scores: scores[:1]),
        "threshold ignored": given("outlier_share", "threshold", lambda _: 1.0),
    },
    "outlier_budget": {
        "pruned for kept": given("outlier_budget", "outliers", lambda o: np.max(o) - np.asarray(o)),
        "1 stays 1": given("outlier_budget", "promote", lambda _: False),
        "1 becomes 2 always": given("outlier_budget", "promote", lambda _: True),
        "spread doubled": given("outlier_budget", "spread", lambda s: 2.0 * s if s else 1.0),
        "repair forgotten": given("outlier_budget", "repair", lambda _: False),
        "0/0 as one more": answers("outlier_budget", lambda counts: counts + (np.ptp(counts) == 0)),
    },
    "repair_budget": {
        "rounded": _rounded,
        "largest remainders": _largest_remainders,
        "later layers first": _later_first,
        "all the same": answers("repair_budget", lambda n: np.full(len(n), round(n.mean()))),
        "upside down": given("repair_budget", "wishes", lambda x: -np.asarray(x)),
        "rounded before": given("repair_budget", "wishes", np.rint),
    },
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of layer budgets.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, functions in SPECIFIC.items():
        for name, function in functions.items():
            yield Mutant(operation, name, {operation: function})
