"""Mutants of removing several weights at once."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Function, Mutant, answers, given, single


def _zeroed(W: Any, H: Any, removed: Any) -> Any:  # noqa: ANN401, ARG001
    return np.where(removed, 0.0, W)


def _one_by_one(W: Any, H: Any, removed: Any) -> Any:  # noqa: ANN401
    """Move for each removed weight alone, from the initial weights."""
    weights = np.asarray(W, dtype=np.float64)
    moved = weights.copy()
    for column in range(weights.shape[1]):
        alone = removed & (np.arange(weights.shape[1]) == column)
        moved += reference.removal_move(weights, H, alone) - weights
    return np.where(removed, 0.0, moved)


def _diagonal(W: Any, H: Any, removed: Any) -> Any:  # noqa: ANN401
    """Sum the scores of single weights: Eq. (14), the approximation."""
    return 0.5 * np.sum(reference.obs_saliency(W, H), axis=1, where=removed)


def _single_scores(W: Any, H: Any, keep: int, group: int) -> Any:  # noqa: ANN401
    """Prune the smallest scores of single weights: Solution S."""
    scores = reference.obs_saliency(W, H).reshape(len(W), -1, group)
    order = np.argsort(-scores, axis=2, kind="stable")[:, :, :keep]
    mask = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(mask, order, values=True, axis=2)
    return mask.reshape(np.shape(W))


def _later_ties(W: Any, H: Any, keep: int, group: int) -> Any:  # noqa: ANN401
    return reference.removal_mask(np.flip(W, 1), np.flip(H, (0, 1)), keep, group)[:, ::-1]


def _in_group(H: Any, group: int = 4) -> Any:  # noqa: ANN401
    """Keep only the coupling of columns within a group: the others are not free to move."""
    place = np.arange(len(H)) // group
    return np.where(place[:, None] == place, H, 0.0)


SPECIFIC: dict[str, dict[str, Function]] = {
    "removal_move": {
        "not moved": _zeroed,
        "one by one": _one_by_one,
        "lower precision than declared": given("removal_move", "H", single),
        "removed ones nearly zero": answers("removal_move", lambda w: np.where(w == 0, 1e-12, w)),
        "kept for removed": given("removal_move", "removed", np.logical_not),
    },
    "removal_loss": {
        "scores of single weights": _diagonal,
        "not halved": answers("removal_loss", lambda loss: 2.0 * loss),
        "of zeroing": lambda W, H, removed: (
            0.5 * np.einsum("ni,ij,nj->n", np.where(removed, W, 0.0), H, np.where(removed, W, 0.0))
        ),
        "lower precision than declared": given("removal_loss", "W", single),
        "kept for removed": given("removal_loss", "removed", np.logical_not),
    },
    "removal_mask": {
        "scores of single weights": _single_scores,
        "ties: higher columns": _later_ties,
        "nothing outside of the group moves": given("removal_mask", "H", _in_group),
        "pruned for kept": answers("removal_mask", np.logical_not),
        "by magnitude": given("removal_mask", "H", lambda H: np.eye(len(H))),
    },
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of removal.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, functions in SPECIFIC.items():
        for name, function in functions.items():
            yield Mutant(operation, name, {operation: function})
