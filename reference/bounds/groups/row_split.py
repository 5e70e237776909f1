"""Bounds of splits of rows
========================

How far a correct port's sides, and the objectives of its thresholds, may deviate. Return values
are as in :mod:`~subbit.reference.bounds.groups.binarize`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit.reference.bounds.groups.binarize import _mean_over, _spread, _sum_of
from subbit.reference.bounds.pruning.sparsity import power_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.bounds.zones.candidates import (
    GroupBound,
    candidate_objective,
    stacked,
    undecided_rows,
)
from subbit.reference.bounds.zones.split import candidate_sides
from subbit.reference.notation import AnyArray, Mask
from subbit.reference.signs import sign


@dataclass(frozen=True, eq=False)
class SideBound:
    """A side of a split.

    Parameters
    ----------
    mean, scale : Rounded
        Means and scales, shape (n,).
    distance : Rounded
        Distances that the signs are taken of, shape (n, k).
    decoded : Rounded
        The side's values, shape (n, k).
    remainder : Rounded
        What they leave, zero outside the side, shape (n, k).
    """

    mean: Rounded
    scale: Rounded
    distance: Rounded
    decoded: Rounded
    remainder: Rounded


def side_bound(
    X: Input,
    mask: Mask,
    switches: Mapping[str, Any],
    signs: AnyArray | None = None,
    *,
    arithmetic: Arithmetic,
) -> SideBound:
    """Bounds of a side of :func:`~subbit.reference.groups.row_split.row_split`.

    Parameters
    ----------
    X : array_like of float64 or Rounded, shape (n, k)
        Values.
    mask : ndarray of bool, shape (n, k)
        The side's entries.
    switches : mapping
        `scale`, `share_mean` and `sign_zero`.
    signs : ndarray of int8, shape (n, k), optional
        The port's own signs; the reference's by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    SideBound
        The side.

    Notes
    -----
    1. Mean and mean distance as in :func:`~subbit.reference.bounds.groups.binarize.\
masked_mean_bound`, a mean that is shared over the whole row.
    2. The mean square of distances, and its root, as powers are.

    Examples
    --------
    >>> switches = {"scale": "rms", "share_mean": False, "sign_zero": 1}
    >>> mask = np.ones((1, 2), dtype=bool)
    >>> side = side_bound([[1.0, 3.0]], mask, switches, arithmetic=Arithmetic("float32"))
    >>> side.scale.value, bool(side.scale.error[0] < 1e-5)
    (array([1.]), True)
    """
    values = arithmetic.checked("X", X)
    everything = np.ones(mask.shape, dtype=np.bool_)
    mean = _mean_over(values, everything if switches["share_mean"] else mask)
    distance = values - mean[:, None]
    if switches["scale"] == "rms":
        # Eq. (B161), subbit:  |α̂² − α²| ≤ (Σ (2 |d| e_d + e_d²) + γ_{p+1} Σ d²) / c + γ_2 α²
        scale = power_bound(_mean_over(distance * distance, mask), 0.5)
    else:
        scale = _mean_over(distance.absolute(), mask)
    drawn = sign(distance.value, switches["sign_zero"]) if signs is None else signs
    plane = scale[:, None].flip(np.where(mask, drawn, 0))
    decoded = _sum_of([_spread(mean, values.shape), plane])
    remainder = (values - decoded).or_else(distance - plane)
    return SideBound(mean, scale, distance, decoded.keep(mask), remainder.keep(mask))


def row_split_errors_bound(
    X: Input,
    thresholds: Input,
    key: Input,
    switches: Mapping[str, Any],
    *,
    closed: bool = False,
    arithmetic: Arithmetic,
) -> Rounded:
    """Bounds of what candidate thresholds leave of a row.

    Parameters
    ----------
    X : array_like of float64 or Rounded, shape (1, k)
        The row.
    thresholds : array_like of float64 or Rounded, shape (c,)
        Candidates.
    key : array_like of float64 or Rounded, shape (1, k)
        Values to cut.
    switches : mapping
        As in :func:`side_bound`.
    closed : bool, default False
        Whether an entry at the threshold is small.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Squared errors, shape (c,).

    Notes
    -----
    As in :func:`~subbit.reference.bounds.zones.split.bell_split_search_bound`. A sign 0 that
    becomes ±1 changes the error by ``α²`` at most. Where rounding decides the side of an entry,
    the error lies between 0 and the row's energy, or with the root mean square twice that.

    Examples
    --------
    >>> switches = {"scale": "mean_abs", "share_mean": False, "sign_zero": 1}
    >>> X, port = [[1.0, -1.0, 5.0]], Arithmetic("float32")
    >>> row_split_errors_bound(X, [2.0], np.abs(X), switches, arithmetic=port).value
    array([0.])
    """
    values = arithmetic.checked("X", X)
    used = np.ones(values.shape, dtype=np.bool_)
    most = 2.0 if switches["scale"] == "rms" else 1.0
    objectives = []
    for small, carried in candidate_sides(values, used, thresholds, key, closed=closed):
        sides = [_remainder(values, mask, switches) for mask in (small, ~small)]
        nothing, energy = undecided_rows(values, used, carried)
        objectives.append(candidate_objective([*sides, (nothing, most * energy)]))
    return stacked(objectives, 0.0, arithmetic)


def _remainder(values: Rounded, mask: Mask, switches: Mapping[str, Any]) -> GroupBound:
    side = side_bound(values, mask, switches, arithmetic=values.arithmetic)
    distance = side.distance
    near = mask & (np.abs(distance.value) <= distance.error) & (distance.error > 0.0)
    jump = np.count_nonzero(near, axis=1) * side.scale.reach**2
    return side.remainder, np.zeros(len(mask)) if switches["sign_zero"] else jump
