"""Level 2: splits of rows, and Haar coefficients
==============================================

Each row's cut has to be one of its candidates, and a best one; given the cut, both sides follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.judged import signs_of
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.cases.zones.cuts import Cut, finite, grid_bound, judge_cut
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup
from subbit.reference.bounds import haar as haar_bounds
from subbit.reference.bounds.groups.row_split import row_split_errors_bound, side_bound
from subbit.reference.bounds.rounding import Input, Rounded
from subbit.reference.haar import Axis

AXES: tuple[Axis, ...] = ("columns", "rows")
FAMILIES = (*CONTINUOUS, "tied", "zero_rows")


@dataclass(frozen=True, eq=False)
class _RowErrors:
    """What thresholds leave of a row."""

    row: Rounded
    switches: Mapping[str, Any]

    def bound(self, thresholds: Input, key: Input, *, closed: bool) -> Rounded:
        return row_split_errors_bound(
            self.row, thresholds, key, self.switches, closed=closed, arithmetic=self.row.arithmetic
        )

    def plain(self, thresholds: Array, key: Array, *, closed: bool) -> Array:
        return self.bound(thresholds, key, closed=closed).value


def judge_sides(
    judge: Judge,
    X: Rounded,
    sides: tuple[BinaryGroup, BinaryGroup],
    levels: int,
    switches: Mapping[str, Any],
) -> None:
    """Judge both sides of each row of a matrix.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    X : Rounded
        The values that are split, shape (n, k).
    sides : tuple of BinaryGroup
        The port's small and large side.
    levels : int
        Number of candidates in each row.
    switches : mapping
        `scale`, `share_mean` and `sign_zero`.
    """
    small, large = (host(side.mask) for side in sides)
    judge.exact("both sides together", small ^ large, np.ones(X.shape, dtype=np.bool_))
    if small.shape != X.shape or np.any(small == large):
        return
    if not finite(X):
        judge.skip(X.value.size, "cuts of values without a bound")
        return
    for i in range(len(small)):
        row, whole = X[i : i + 1], np.ones((1, X.shape[1]), dtype=np.bool_)
        key = row.absolute()
        thresholds = grid_bound(key, whole, "quantiles", levels)
        with judge.at(f"row {i}"):
            cut = Cut(key, whole, thresholds, closed=False, errors=_RowErrors(row, switches))
            judge_cut(judge, cut, small[i : i + 1])
    for side, mask in zip(sides, (small, large), strict=True):
        _judge_side(judge, X, side, mask, switches)


def _judge_side(
    judge: Judge, X: Rounded, side: BinaryGroup, mask: Mask, switches: Mapping[str, Any]
) -> None:
    (plane,) = side.planes
    bound = side_bound(X, mask, switches, host(plane.sign), arithmetic=judge.arithmetic)
    judge.form(f"means of the {side.name} side are there", side.mean is not None, True)  # noqa: FBT003
    judge.bound(f"means of the {side.name} side", side.row_means, bound.mean)
    judge.bound(f"scales of the {side.name} side", plane.row_scale, bound.scale)
    zero = switches["sign_zero"]
    signs_of(judge, host(plane.sign), bound.distance, mask, zero, what=f"{side.name} signs")


@operation(2)
def _row_split(port: Port, judge: Judge, draw: Draw) -> None:
    """The best of each row's thresholds, and both sides."""
    X = draw.weights(FAMILIES, columns=(1, 40))
    switches = {
        "scale": draw.pick("scale", ("mean_abs", "rms")),
        "share_mean": draw.pick("share mean", (True,) if draw.least else (False, True)),
        "sign_zero": draw.pick("sign of zero", (1, 0)),
    }
    levels = draw.pick("levels", (9, 4, 1, 41))
    sides = port.row_split(X, levels=levels, **switches)
    judge.form("sides", [side.name for side in sides], ["small", "large"])
    if judge.ratio == 0.0:
        judge_sides(judge, judge.arithmetic.read(X), tuple(sides), levels, switches)


@operation(2, decides=False)
def _haar(port: Port, judge: Judge, draw: Draw) -> None:
    """Sums and differences of neighbors, and a last one as it is."""
    X = draw.weights(FAMILIES, columns=(1, 40))
    axis: Axis = draw.pick("axis", AXES)
    bound = haar_bounds.haar_bound(X, axis, arithmetic=judge.arithmetic)
    judge.bound("coefficients", port.haar(X, axis), bound)


@operation(2, decides=False)
def _inverse_haar(port: Port, judge: Judge, draw: Draw) -> None:
    """Neighbors from their sums and differences."""
    C = draw.weights(FAMILIES, columns=(1, 40))
    axis: Axis = draw.pick("axis", AXES)
    bound = haar_bounds.inverse_haar_bound(C, axis, arithmetic=judge.arithmetic)
    judge.bound("values", port.inverse_haar(C, axis), bound)
