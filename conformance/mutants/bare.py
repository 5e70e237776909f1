"""Mutants that are wrong about degenerate input only
==================================================

Groups without entries, numbers near the least one, means far from zero: each mutant is the
reference for everything else.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Function, Mutant, answers, given
from subbit.reference import BinaryGroup
from subbit.reference.notation import AnyArray, Mask

FLUSHED = {
    "sign": "x",
    "bell_split": "key",
    "rank_columns": "scores",
    "nm_mask": "scores",
    "row_mask": "scores",
    "threshold_mask": "scores",
    "magnitude_saliency": "W",
    "magnitude_importance": "W",
    "masked_mean": "W",
    "masked_scale": "W",
    "binarize_once": "R",
    "residual_binarize": "W",
    "column_saliency": "S",
    "maximum_grid": "key",
    "quantile_grid": "key",
    "minmax_grid": "W",
    "trisection": "key",
    "two_means": "W",
}
"""Functions that numbers near the least one matter to, and their arguments."""
KEPT = {
    "refine_mean": "row",
    "refine_scale": "row",
    "refine_row_scale": "row",
    "refine_column_scale": "column",
    "calibrated_mean": "row",
    "calibrated_scale": "row",
}
"""Functions that change one level, and whether rows or columns have it."""
FAR = ("masked_scale", "binarize_once", "residual_binarize", "two_means", "minmax_grid")
"""Functions that a mean far from zero costs digits."""


def flushed(x: Any) -> AnyArray:  # noqa: ANN401
    """Take numbers for zeros that are small, but within the range of float64.

    Parameters
    ----------
    x : array_like
        Numbers.

    Returns
    -------
    ndarray of float64
        The numbers, those below 2⁻¹⁰⁰⁰ as zeros.
    """
    return np.where(np.abs(np.asarray(x)) < 2.0**-1000, 0.0, x)


def _cleared(level: AnyArray | None, used: Mask) -> AnyArray | None:
    return None if level is None else np.where(used, level, 0.0)


def _zero_levels(axis: str) -> Any:  # noqa: ANN401
    """Return a change of groups: levels of rows or columns without entries are zeros."""

    def changed(group: BinaryGroup) -> BinaryGroup:
        rows, columns = (np.asarray(group.mask.any(axis=axis)) for axis in (1, 0))
        if axis == "column":
            planes = [
                replace(p, column_scale=_cleared(p.column_scale, columns)) for p in group.planes
            ]
            return replace(group, planes=tuple(planes))
        planes = [replace(p, row_scale=np.where(rows, p.row_scale, 0.0)) for p in group.planes]
        return replace(group, planes=tuple(planes), mean=_cleared(group.mean, rows))

    return changed


def _far_in_single(name: str) -> Function:
    """Remove a far mean in float32; all other numbers are exact."""

    def single(x: Any) -> Any:  # noqa: ANN401
        far = np.abs(np.mean(x, axis=-1, keepdims=True)) > 100.0 * np.std(x, axis=-1, keepdims=True)
        return np.where(far, np.asarray(x, dtype=np.float32).astype(np.float64), x)

    return given(name, {"binarize_once": "R"}.get(name, "W"), single)


def _by_squares(values: AnyArray, axis: int | None) -> AnyArray:
    """Return deviations by the mean of squares less the square of the mean."""
    mean = np.mean(values, axis=axis, keepdims=True)
    square = np.mean(values**2, axis=axis, keepdims=True) - mean**2
    deviation = np.sqrt(np.maximum(square, 0.0))
    return np.divide(values - mean, deviation, out=np.zeros_like(values), where=deviation > 0.0)


def _standardized(W: Any, norms: Any, **switches: Any) -> AnyArray:  # noqa: ANN401
    over = 1 if switches.get("axis", "row") == "row" else None
    if switches.get("standardize", "before") != "after":
        made = reference.standardized_importance(W, norms, **switches)
        return np.asarray(made)
    plain = reference.standardized_importance(W, norms, **switches | {"standardize": "none"})
    return _by_squares(plain, over)


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants that are wrong about degenerate input.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for name, argument in FLUSHED.items():
        yield Mutant(name, "small numbers are zeros", {name: given(name, argument, flushed)})
    for name, axis in KEPT.items():
        change = answers(name, _zero_levels(axis))
        yield Mutant(name, "levels of nothing are zeros", {name: change})
    for name in FAR:
        yield Mutant(name, "a far mean removed in float32", {name: _far_in_single(name)})
    functions = {"standardized_importance": _standardized}
    yield Mutant("standardized_importance", "deviation by squares", functions)
