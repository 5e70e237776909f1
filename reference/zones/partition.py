"""Partition of a block
====================

How the methods partition a block: which columns are salient, and where entries are cut
by magnitude. Choices that the papers leave open or make differently are fields of
:class:`Partition`, a part of each method's configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, TypedDict, TypeVar

import numpy as np

from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Orders
from subbit.reference.contracts.settings import Range, Switches
from subbit.reference.notation import Array, Mask, SignOfZero

from .search import Search
from .split import (
    bell_split_search,
    bell_split_search_direct,
    breakpoint_grid,
    maximum_grid,
    quantile_grid,
)

Domain: TypeAlias = Literal["weights", "scores"]
Grid: TypeAlias = Literal["maximum", "quantiles", "quantiles_with_zeros", "breakpoints"]

T = TypeVar("T")


class Binarizer(TypedDict):
    """How a group is binarized: row means, sign of zero."""

    center: bool
    sign_zero: SignOfZero


class Cutter(Binarizer):
    """How a cut is judged: binarizer, side of an entry at the threshold."""

    closed: bool


@dataclass(frozen=True, repr=False)
class Partition(Switches):
    """How a block is partitioned: which columns are salient, and where entries are cut.

    Parameters
    ----------
    center : bool, default False
        Whether searches subtract row means.
    sign_zero : {1, 0}, default 1
        Sign of zero.
    search_on : {"weights", "scores"}, default "weights"
        Values that the searches measure errors on.
    split_by : {"weights", "scores"}, default "weights"
        Values that are cut by magnitude.
    grid : str, default "maximum"
        Candidate thresholds: ``"maximum"`` tenths of the maximum, ``"quantiles"`` of the
        entries that are cut, ``"quantiles_with_zeros"`` of those and as many zeros as
        there are other entries, ``"breakpoints"`` all magnitudes.
    search_orders : tuple of int, default (1, 1)
        Orders of the salient part and the rest in the salient search.
    counts : tuple of int, default (3, 30)
        Smallest and largest number of salient columns; narrower blocks clip both ends to
        their width.
    closed : bool, default True
        Whether an entry at a threshold is concentrated.

    Examples
    --------
    >>> Partition().counts
    (3, 30)
    """

    center: bool = False
    sign_zero: SignOfZero = 1
    search_on: Domain = "weights"
    split_by: Domain = "weights"
    grid: Grid = "maximum"
    search_orders: tuple[int, int] = (1, 1)
    counts: tuple[int, int] = (3, 30)
    closed: bool = True

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"search_orders": Orders(2), "counts": Range()}

    @property
    def binarizer(self) -> Binarizer:
        """The settings of `residual_binarize` in searches, and in BiLLM's groups."""
        return {"center": self.center, "sign_zero": self.sign_zero}

    @property
    def cutter(self) -> Cutter:
        """The settings of a search for a threshold."""
        return {**self.binarizer, "closed": self.closed}

    def searched(self, W: T, S: T) -> T:
        """Return the values that the searches measure errors on.

        Parameters
        ----------
        W, S : array of float, shape (n, k)
            Weights and scores.

        Returns
        -------
        array of float, shape (n, k)
            `W` or `S`.
        """
        return W if self.search_on == "weights" else S

    def cut(self, W: T, S: T) -> T:
        """Return the values that are cut by magnitude.

        Parameters
        ----------
        W, S : array of float, shape (n, k)
            Weights and scores.

        Returns
        -------
        array of float, shape (n, k)
            `W` or `S`.
        """
        return W if self.split_by == "weights" else S


PARTITION = Partition()


def candidate_thresholds(key: Array, columns: Mask, grid: Grid, levels: int | None = None) -> Array:
    """Return the thresholds that a search tries.

    Parameters
    ----------
    key : ndarray of float64, shape (n, k)
        Magnitudes that are cut.
    columns : ndarray of bool, shape (k,) or (n, k)
        Columns or entries that take part; at least one.
    grid : str
        Kind of candidates, see :class:`Partition`.
    levels : int, optional
        Number of candidates; by default 9 shares of the maximum, or 81 quantiles. A grid of
        breakpoints ignores it and has every magnitude.

    Returns
    -------
    ndarray of float64, shape (c,)
        Thresholds.

    Examples
    --------
    >>> candidate_thresholds(np.ones((1, 2)), np.array([True, False]), "breakpoints")
    array([1.])
    """
    few, many = (9, 81) if levels is None else (levels, levels)
    if grid == "quantiles_with_zeros":
        return quantile_grid(np.where(columns, key, 0.0), many)
    chosen = key[np.broadcast_to(columns, key.shape)]
    if grid == "maximum":
        return maximum_grid(chosen, few)
    return quantile_grid(chosen, many) if grid == "quantiles" else breakpoint_grid(chosen)


def split_search(
    target: Array,
    key: Array,
    columns: Mask,
    cuts: Array,
    config: Partition,
    *,
    orders: tuple[int, int] = (1, 1),
) -> Search:
    """Search for a threshold, by running sums where groups are runs of sorted rows.

    Parameters
    ----------
    target : ndarray of float64, shape (n, k)
        Values that errors are measured on.
    key : ndarray of float64, shape (n, k)
        Magnitudes that are cut.
    columns : ndarray of bool, shape (k,) or (n, k)
        Columns or entries that take part.
    cuts : ndarray of float64, shape (c,)
        Candidates.
    config : Partition
        The configuration.
    orders : tuple of int, default (1, 1)
        Orders of the concentrated and of the sparse group.

    Returns
    -------
    Search
        The candidates and their squared errors.

    Examples
    --------
    >>> W, cuts = np.array([[1.0, -1.0, 5.0]]), np.array([0.5, 2.0])
    >>> split_search(W, np.abs(W), np.ones(3, dtype=bool), cuts, PARTITION).choice
    2.0
    """
    if config.split_by == config.search_on:
        return bell_split_search(target, columns, cuts, orders=orders, **config.cutter)
    # Cut by another quantity, groups are not runs of a sorted row.
    return bell_split_search_direct(target, columns, cuts, key=key, orders=orders, **config.cutter)
