"""Cuts of some entries at a magnitude
===================================

Every entry has to lie on its side of one of the candidate thresholds, and a port's masks
have to reach the least objective. Only candidates that are better than the port's, or nearly
so, matter for that. A candidate may cut at a second magnitude, a multiple of the first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from subbit import reference
from subbit.conformance.cases.judge import Judge
from subbit.conformance.inputs.families import Array, Mask
from subbit.reference import Partition
from subbit.reference.bounds.rounding import Input, Rounded
from subbit.reference.bounds.zones import trisection as trisection_bounds
from subbit.reference.bounds.zones.grids import (
    maximum_grid_bound,
    quantile_grid_bound,
)
from subbit.reference.bounds.zones.split import (
    bell_split_search_bound,
    candidate_sides,
    choice_margin,
)

NEARLY = 1e-9
"""Share of the objectives within which only bounds can tell two of them apart."""


class Errors(Protocol):
    """Objectives of cutting at thresholds."""

    def bound(self, thresholds: Input, key: Input, *, closed: bool) -> Rounded:
        """Return objectives and how far a port's may lie from them.

        Parameters
        ----------
        thresholds : array_like of float64 or Rounded, shape (c,)
            Candidates.
        key : array_like of float64 or Rounded, shape (n, k)
            Values to cut.
        closed : bool
            Whether an entry at the threshold is concentrated.

        Returns
        -------
        Rounded
            Shape (c,).
        """

    def plain(self, thresholds: Array, key: Array, *, closed: bool) -> Array:
        """Return objectives alone.

        Parameters
        ----------
        thresholds : ndarray of float64, shape (c,)
            Candidates.
        key : ndarray of float64, shape (n, k)
            Values to cut.
        closed : bool
            Whether an entry at the threshold is concentrated.

        Returns
        -------
        ndarray of float64, shape (c,)
            The objectives.
        """


@dataclass(frozen=True, eq=False)
class _SearchErrors:
    """Objectives of a search of the reference, and their bounds."""

    search: Callable[..., reference.Search]
    bound_of: Callable[..., Rounded]
    target: Rounded
    part: Mask
    switches: dict[str, Any]

    def bound(self, thresholds: Input, key: Input, *, closed: bool) -> Rounded:
        return self.bound_of(
            self.target,
            self.part,
            thresholds,
            key=key,
            closed=closed,
            **self.switches,
            running=True,
            arithmetic=self.target.arithmetic,
        )

    def plain(self, thresholds: Array, key: Array, *, closed: bool) -> Array:
        return self.search(
            self.target.value, self.part, thresholds, key=key, closed=closed, **self.switches
        ).objectives


def errors_of_regions(target: Rounded, part: Mask, factor: float, config: Partition) -> Errors:
    """Return objectives of a cut at two magnitudes, on the searched values themselves.

    Parameters
    ----------
    target : Rounded
        Values that errors are measured on, shape (n, k).
    part : ndarray of bool, shape (n, k)
        The entries that take part.
    factor : float
        The upper magnitude divided by the lower one.
    config : Partition
        The configuration.

    Returns
    -------
    Errors
        The objectives.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W = Arithmetic().read([[1.0, -3.0, 8.0]])
    >>> errors = errors_of_regions(W, W.value != 0.0, 2.0, Partition())
    >>> errors.plain(np.array([2.0, 9.0]), np.abs(W.value), closed=True)
    array([ 0., 26.])
    """
    return _SearchErrors(
        reference.trisection_search_direct,
        trisection_bounds.trisection_search_bound,
        target,
        part,
        {"factor": factor, **config.binarizer},
    )


def errors_of_weights(target: Rounded, part: Mask, order: int, config: Partition) -> Errors:
    """Return objectives of a cut on the searched values themselves.

    Parameters
    ----------
    target : Rounded
        Values that errors are measured on, shape (n, k).
    part : ndarray of bool, shape (n, k)
        The entries that take part.
    order : int
        Orders of both groups.
    config : Partition
        The configuration.

    Returns
    -------
    Errors
        The objectives.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W = Arithmetic().read([[1.0, -1.0, 5.0]])
    >>> errors = errors_of_weights(W, W.value != 0.0, 1, Partition())
    >>> errors.plain(np.array([2.0, 6.0]), np.abs(W.value), closed=True).round(3)
    array([ 0.   , 10.667])
    """
    return _SearchErrors(
        reference.bell_split_search_direct,
        bell_split_search_bound,
        target,
        part,
        {"orders": (order, order), **config.binarizer},
    )


def finite(x: Rounded) -> bool:
    """Say whether all numbers have a bound.

    Parameters
    ----------
    x : Rounded
        The numbers.

    Returns
    -------
    bool
        Whether they do.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> finite(Arithmetic().read([1.0]))
    True
    """
    return bool(np.isfinite(x.error).all() and np.isfinite(x.value).all())


def better(objectives: Array, own: float) -> Mask:
    """Say which candidates are better than a port's, or nearly so.

    Parameters
    ----------
    objectives : ndarray of float64, shape (c,)
        Objectives of the candidates.
    own : float
        Objective of the port's choice.

    Returns
    -------
    ndarray of bool, shape (c,)
        Candidates to compare with their bounds.

    Examples
    --------
    >>> better(np.array([2.0, 1.0, 3.0]), 2.0)
    array([ True,  True, False])
    """
    slack = NEARLY * max(float(np.max(np.abs(objectives), initial=0.0)), abs(own))
    return np.asarray(objectives <= own + slack)


def grid_bound(key: Rounded, part: Mask, grid: str, levels: int | None = None) -> Rounded:
    """Return candidate thresholds of a cut.

    Parameters
    ----------
    key : Rounded
        Values to cut, shape (n, k).
    part : ndarray of bool, shape (n, k)
        The entries that take part.
    grid : str
        Which candidates; see :class:`~subbit.reference.zones.partition.Partition`.
    levels : int, optional
        How many, as in :func:`~subbit.reference.zones.partition.candidate_thresholds`.

    Returns
    -------
    Rounded
        The thresholds, shape (c,).

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> key = Arithmetic().read([[1.0, 3.0]])
    >>> grid_bound(key, key.value > 1.0, "breakpoints").value
    array([3.])
    """
    arithmetic = key.arithmetic
    chosen = Rounded(key.value[part], key.error[part], arithmetic)
    if grid == "maximum":
        return maximum_grid_bound(chosen, levels or 9, arithmetic=arithmetic)
    if grid == "quantiles":
        return quantile_grid_bound(chosen, levels or 81, arithmetic=arithmetic)
    if grid == "quantiles_with_zeros":
        zeros = key.keep(part)
        return quantile_grid_bound(zeros, levels or 81, arithmetic=arithmetic)
    values, first = np.unique(chosen.value, return_index=True)
    return Rounded(values, chosen.error[first], arithmetic)


@dataclass(frozen=True, eq=False)
class Cut:
    """A cut of some entries at a magnitude.

    Parameters
    ----------
    key : Rounded
        Values to cut, shape (n, k).
    part : ndarray of bool, shape (n, k)
        The entries that take part.
    thresholds : Rounded
        Candidates, shape (c,).
    closed : bool
        Whether an entry at the threshold is concentrated.
    errors : Errors
        The objectives of candidates.
    factor : float, optional
        A second magnitude that candidates cut at, divided by the first.
    certain : ndarray of bool, shape (c,), optional
        Candidates that a port tries whatever the rounding; all by default.
    """

    key: Rounded
    part: Mask
    thresholds: Rounded
    closed: bool
    errors: Errors
    factor: float | None = None
    certain: Mask | None = None

    @property
    def magnitudes(self) -> tuple[Rounded, ...]:
        """Magnitudes that candidates cut at, one or two arrays of shape (c,)."""
        if self.factor is None:
            return (self.thresholds,)
        upper = trisection_bounds.upper_magnitude_bound(
            self.thresholds, self.factor, arithmetic=self.key.arithmetic
        )
        return self.thresholds, upper

    def distinct(self) -> Rounded:
        """Return the candidates that are tried and cut differently.

        Returns
        -------
        Rounded
            The candidates; of equal ones, the first.
        """
        found: dict[tuple[bytes, ...], int] = {}
        sides = [
            candidate_sides(self.key, self.part, cuts, self.key, closed=self.closed)
            for cuts in self.magnitudes
        ]
        for place, pairs in enumerate(zip(*sides, strict=True)):
            if self.certain is None or self.certain[place]:
                names = [(below[self.part].tobytes(), near.tobytes()) for below, near in pairs]
                found.setdefault(tuple(part for pair in names for part in pair), place)
        return self.thresholds[list(found.values())]

    def apart(self, *below: Mask) -> Array:
        """Return numbers that a cut at 1 separates as the masks do.

        Parameters
        ----------
        *below : ndarray of bool, shape (n, k)
            Entries below each magnitude.

        Returns
        -------
        ndarray of float64, shape (n, k)
            0 below the first, and numbers above it on the two sides of the second.
        """
        factor = 2.0 if self.factor is None else self.factor
        levels = np.array([0.0, (1.0 + factor) / 2.0, 2.0 * factor])
        return np.asarray(levels[np.sum([~mask for mask in below], axis=0)])


def judge_cut(judge: Judge, cut: Cut, *below: Mask) -> None:
    """Judge a cut: masks by a candidate threshold, the objective by the least of all.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    cut : Cut
        The expected cut.
    *below : ndarray of bool, shape (n, k)
        The port's entries below each magnitude.
    """
    judge_sides(judge, cut, *below)
    # The port's own masks, as a split by a key that only tells them apart.
    tried = cut.distinct()
    if not len(tried.value):
        judge.skip(1, "a cut whose candidates rounding decides")
        return
    own = cut.errors.bound([1.0], cut.apart(*below), closed=True)
    objectives = cut.errors.plain(tried.value, cut.key.value, closed=cut.closed)
    rivals = tried[better(objectives, float(own.value[0]))]
    value, error = own.value, own.error
    if rivals.value.size:
        others = cut.errors.bound(rivals, cut.key, closed=cut.closed)
        value, error = np.append(value, others.value), np.append(error, others.error)
    both = Rounded(value, error, judge.arithmetic)
    judge.choice("threshold", choice_margin(both, 0))


def judge_sides(judge: Judge, cut: Cut, *below: Mask) -> None:
    """Judge the port's masks by the threshold whose masks are closest to them.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    cut : Cut
        The expected cut.
    *below : ndarray of bool, shape (n, k)
        The port's entries below each magnitude.
    """
    best = None
    for place in range(len(cut.thresholds.value)):
        sides = [
            _side(cut, cuts[place], mask) for cuts, mask in zip(cut.magnitudes, below, strict=True)
        ]
        worst = max(sides, key=_ratio)
        if best is None or _ratio(worst) < _ratio(best):
            best = worst
    if best is not None:
        judge.choice("sides of the threshold", best)


def _side(cut: Cut, threshold: Rounded, mask: Mask) -> Rounded:
    key, p = cut.key, threshold.value
    differs = cut.part & ((key.value <= p if cut.closed else key.value < p) != mask)
    distance = np.where(differs, np.abs(key.value - p), 0.0)
    allowed = np.where(differs, key.error + threshold.error, 0.0)
    # At an exact tie, the rule for ties holds.
    distance = np.where(differs & (allowed == 0.0), np.inf, distance)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(differs, distance / allowed, 0.0)
    at = int(np.argmax(ratios))
    return Rounded(distance.ravel()[at], allowed.ravel()[at], key.arithmetic)


def _ratio(x: Rounded) -> float:
    return 0.0 if x.value == 0.0 else float(x.value / x.error) if x.error > 0.0 else float("inf")
