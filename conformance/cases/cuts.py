"""Cuts of some entries at a magnitude
===================================

Every entry has to lie on its side of one of the candidate thresholds, and the masks that a
port has chosen have to reach the least objective. Only candidates that are better than the
port's, or nearly so, say anything about that.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from subbit import reference
from subbit.conformance.cases.judge import Judge
from subbit.conformance.families import Array, Mask
from subbit.reference import Partition, bounds_grid, bounds_search
from subbit.reference.rounding import Input, Rounded

NEARLY = 1e-9
"""Share of the objectives within which two of them may be told apart by their bounds only."""


class Errors(Protocol):
    """Objectives of cutting at thresholds."""

    def bound(self, thresholds: Input, key: Input, *, closed: bool) -> Rounded:
        """Objectives and how far a port's may lie from them.

        Parameters
        ----------
        thresholds : array_like of float64 or Rounded, shape (c,)
            Candidates.
        key : array_like of float64 or Rounded, shape (n, k)
            What is cut.
        closed : bool
            Whether an entry at the threshold is concentrated.

        Returns
        -------
        Rounded
            Shape (c,).
        """

    def plain(self, thresholds: Array, key: Array, *, closed: bool) -> Array:
        """Objectives alone.

        Parameters
        ----------
        thresholds : ndarray of float64, shape (c,)
            Candidates.
        key : ndarray of float64, shape (n, k)
            What is cut.
        closed : bool
            Whether an entry at the threshold is concentrated.

        Returns
        -------
        ndarray of float64, shape (c,)
            The objectives.
        """


@dataclass(frozen=True, eq=False)
class _WeightErrors:
    target: Rounded
    part: Mask
    switches: dict[str, Any]

    def bound(self, thresholds: Input, key: Input, *, closed: bool) -> Rounded:
        return bounds_search.bell_split_search_bound(
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
        return reference.bell_split_search_direct(
            self.target.value, self.part, thresholds, key=key, closed=closed, **self.switches
        ).objectives


def errors_of_weights(target: Rounded, part: Mask, order: int, config: Partition) -> Errors:
    """Objectives of a cut on what is searched itself.

    Parameters
    ----------
    target : Rounded
        What errors are measured on, shape (n, k).
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
    >>> from subbit.reference.rounding import Arithmetic
    >>> W = Arithmetic().read([[1.0, -1.0, 5.0]])
    >>> errors = errors_of_weights(W, W.value != 0.0, 1, Partition())
    >>> errors.plain(np.array([2.0, 6.0]), np.abs(W.value), closed=True).round(3)
    array([ 0.   , 10.667])
    """
    return _WeightErrors(target, part, {"orders": (order, order), **mode_of(config)})


def mode_of(config: Partition) -> dict[str, Any]:
    """Return the switches of the binarizer that a configuration searches with.

    Parameters
    ----------
    config : Partition
        The configuration.

    Returns
    -------
    dict
        `center` and `sign_zero`.

    Examples
    --------
    >>> mode_of(Partition())
    {'center': False, 'sign_zero': 1}
    """
    return {"center": config.center, "sign_zero": config.sign_zero}


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
    >>> from subbit.reference.rounding import Arithmetic
    >>> finite(Arithmetic().read([1.0]))
    True
    """
    return bool(np.isfinite(x.error).all() and np.isfinite(x.value).all())


def better(objectives: Array, own: float) -> Mask:
    """Say which candidates are better than a port's, or nearly so.

    Parameters
    ----------
    objectives : ndarray of float64, shape (c,)
        What candidates reach.
    own : float
        What the port's choice reaches.

    Returns
    -------
    ndarray of bool, shape (c,)
        Those that have to be looked at with their bounds.

    Examples
    --------
    >>> better(np.array([2.0, 1.0, 3.0]), 2.0)
    array([ True,  True, False])
    """
    slack = NEARLY * max(float(np.max(np.abs(objectives), initial=0.0)), abs(own))
    return np.asarray(objectives <= own + slack)


def grid_bound(key: Rounded, part: Mask, grid: str) -> Rounded:
    """Candidate thresholds of a cut.

    Parameters
    ----------
    key : Rounded
        What is cut, shape (n, k).
    part : ndarray of bool, shape (n, k)
        The entries that take part.
    grid : str
        Which candidates, see :class:`~subbit.reference.partition.Partition`.

    Returns
    -------
    Rounded
        The thresholds, shape (c,).

    Examples
    --------
    >>> from subbit.reference.rounding import Arithmetic
    >>> key = Arithmetic().read([[1.0, 3.0]])
    >>> grid_bound(key, key.value > 1.0, "breakpoints").value
    array([3.])
    """
    arithmetic = key.arithmetic
    chosen = Rounded(key.value[part], key.error[part], arithmetic)
    if grid == "maximum":
        return bounds_grid.maximum_grid_bound(chosen, arithmetic=arithmetic)
    if grid == "quantiles":
        return bounds_grid.quantile_grid_bound(chosen, arithmetic=arithmetic)
    if grid == "quantiles_with_zeros":
        return bounds_grid.quantile_grid_bound(key.keep(part), arithmetic=arithmetic)
    values, first = np.unique(chosen.value, return_index=True)
    return Rounded(values, chosen.error[first], arithmetic)


@dataclass(frozen=True, eq=False)
class Cut:
    """A cut of some entries at a magnitude.

    Parameters
    ----------
    key : Rounded
        What is cut, shape (n, k).
    part : ndarray of bool, shape (n, k)
        The entries that take part.
    thresholds : Rounded
        Candidates, shape (c,).
    closed : bool
        Whether an entry at the threshold is concentrated.
    errors : Errors
        The objectives of candidates.
    """

    key: Rounded
    part: Mask
    thresholds: Rounded
    closed: bool
    errors: Errors

    def distinct(self) -> Rounded:
        """Candidates that differ in what they cut.

        Returns
        -------
        Rounded
            Of equal ones the first.
        """
        found: dict[tuple[bytes, bytes], int] = {}
        sides = bounds_search.candidate_sides(
            self.key, self.part, self.thresholds, self.key, closed=self.closed
        )
        for place, (below, carried) in enumerate(sides):
            found.setdefault((below[self.part].tobytes(), carried.tobytes()), place)
        return self.thresholds[list(found.values())]


def judge_cut(judge: Judge, cut: Cut, concentrated: Mask) -> None:
    """Judge a cut: masks by a threshold that was to be tried, objective by the least of all.

    Parameters
    ----------
    judge : Judge
        Who collects.
    cut : Cut
        What was to be cut.
    concentrated : ndarray of bool, shape (n, k)
        The port's mask of small entries.
    """
    judge_sides(judge, cut, concentrated)
    # The port's own masks, as a split by something that only tells them apart.
    sides, tried = np.where(concentrated, 0.0, 1.0), cut.distinct()
    own = cut.errors.bound([0.5], sides, closed=True)
    objectives = cut.errors.plain(tried.value, cut.key.value, closed=cut.closed)
    rivals = tried[better(objectives, float(own.value[0]))]
    value, error = own.value, own.error
    if rivals.value.size:
        others = cut.errors.bound(rivals, cut.key, closed=cut.closed)
        value, error = np.append(value, others.value), np.append(error, others.error)
    both = Rounded(value, error, judge.arithmetic)
    judge.within("threshold", bounds_search.choice_margin(both, 0))


def judge_sides(judge: Judge, cut: Cut, concentrated: Mask) -> None:
    """Of all thresholds the one whose masks are nearest to the port's.

    Parameters
    ----------
    judge : Judge
        Who collects.
    cut : Cut
        What was to be cut.
    concentrated : ndarray of bool, shape (n, k)
        The port's mask of small entries.
    """
    key, best = cut.key, None
    for p, e in zip(cut.thresholds.value, cut.thresholds.error, strict=True):
        below = key.value <= p if cut.closed else key.value < p
        differs = cut.part & (below != concentrated)
        distance = np.where(differs, np.abs(key.value - p), 0.0)
        allowed = np.where(differs, key.error + e, 0.0)
        # At an exact tie the rule for it holds.
        distance = np.where(differs & (allowed == 0.0), np.inf, distance)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(differs, distance / allowed, 0.0)
        at = int(np.argmax(ratios))
        worst = Rounded(distance.ravel()[at], allowed.ravel()[at], judge.arithmetic)
        if best is None or _ratio(worst) < _ratio(best):
            best = worst
    if best is not None:
        judge.within("sides of the threshold", best)


def _ratio(x: Rounded) -> float:
    return 0.0 if x.value == 0.0 else float(x.value / x.error) if x.error > 0.0 else float("inf")
