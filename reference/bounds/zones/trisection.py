"""Bounds of the trisection
========================

How far a correct port's objectives of three groups may deviate, and where an entry or a
candidate may fall on another side. Return values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``t``      (c,)      lower magnitudes, off by ``e_t``
``u``      (c,)      upper magnitudes, ``f t``, off by ``e_u``
``J``      (n,)      possible change by decisions left to rounding, in rows that have any
========== ========= ===============================================================
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.notation import Mask, SignOfZero

from .candidates import (
    candidate_objective,
    group_remainders,
    stacked,
    undecided_rows,
)
from .grids import bell_split_margin
from .running import Running, flushed
from .split import candidate_sides, entries_of


def upper_magnitude_bound(
    thresholds: Input, factor: float = 2.0, *, arithmetic: Arithmetic
) -> Rounded:
    """Bound of a trisection's upper magnitudes.

    Parameters
    ----------
    thresholds : array_like of float64 or Rounded, any shape
        The lower ones.
    factor : float, default 2.0
        Their ratio.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The upper ones, of the same shape.

    Notes
    -----
    A product with a power of two is exact.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> upper_magnitude_bound([0.75], arithmetic=Arithmetic("float32")).error
    array([0.])
    """
    lower, ratio = arithmetic.read(thresholds), arithmetic.read(factor)
    if np.frexp(factor)[0] == 0.5:
        # Eq. (B80), subbit:  |û − u| ≤ f e_t where f is a power of two,  else as of a product
        return Rounded(factor * lower.value, factor * lower.error, arithmetic)
    return lower * ratio


def trisection_margin(
    key: Input, threshold: Input, *, factor: float = 2.0, arithmetic: Arithmetic
) -> tuple[Rounded, Rounded]:
    """Margins of :func:`~subbit.reference.zones.trisection.trisection`.

    Parameters
    ----------
    key : array_like of float64 or Rounded, shape (n, k)
        Magnitudes.
    threshold : array_like of float64 or Rounded, no axis
        The lower magnitude.
    factor : float, default 2.0
        The upper magnitude divided by the lower one.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    lower, upper : Rounded
        Distance of each entry from either magnitude, shape (n, k).

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> lower, upper = trisection_margin([[1.0, 5.0]], 2.0, arithmetic=Arithmetic("float32"))
    >>> lower.value, upper.value
    (array([[1., 3.]]), array([[3., 1.]]))
    """
    upper = upper_magnitude_bound(threshold, factor, arithmetic=arithmetic)
    return (
        bell_split_margin(key, threshold, arithmetic=arithmetic),
        bell_split_margin(key, upper, arithmetic=arithmetic),
    )


def trisection_thresholds_margin(
    thresholds: Input, *, factor: float = 2.0, arithmetic: Arithmetic
) -> Rounded:
    """Margin of :func:`~subbit.reference.zones.trisection.trisection_thresholds`.

    Parameters
    ----------
    thresholds : array_like of float64 or Rounded, shape (c,)
        Magnitudes in increasing order.
    factor : float, default 2.0
        The upper magnitude divided by the lower one.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        How far each upper magnitude lies from the last one of the grid, shape (c,).

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> trisection_thresholds_margin([1.0, 2.0, 3.0], arithmetic=Arithmetic("float32")).value
    array([1., 1., 3.])
    """
    cuts = arithmetic.checked("thresholds", thresholds, shape=(None,))
    upper = upper_magnitude_bound(cuts, factor, arithmetic=arithmetic)
    # Eq. (B82), subbit:  otherwise a candidate  ⇒  |u − t_c| ≤ e_u + e_t
    return Rounded(np.abs(upper.value - cuts.value[-1]), upper.error + cuts.error[-1], arithmetic)


def candidate_regions(
    values: Rounded,
    used: Mask,
    thresholds: Input,
    key: Input | None,
    *,
    factor: float = 2.0,
    closed: bool,
) -> Iterator[tuple[tuple[Mask, Mask, Mask], Mask]]:
    """Yield for each threshold the three groups, and the rows where rounding may change them.

    Parameters
    ----------
    values : Rounded
        Values to search, shape (n, k).
    used : ndarray of bool, shape (n, k)
        The entries that take part.
    thresholds : array_like of float64 or Rounded, shape (c,)
        Lower magnitudes.
    key : array_like of float64 or Rounded, shape (n, k), or None
        Values to cut; the magnitude of `values` by default.
    factor : float, default 2.0
        The upper magnitude divided by the lower one.
    closed : bool
        Whether an entry at a magnitude belongs to the group below it.

    Yields
    ------
    masks : tuple of ndarray of bool, shape (n, k)
        The reference's dense, intermediate and sparse entries.
    undecided : ndarray of bool, shape (n,)
        Rows in which an entry may belong to another group.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> values = Arithmetic("float32").read([[1.0, 3.0, 5.0]])
    >>> masks, _ = next(candidate_regions(values, values.value > 0, [2.0], None, closed=True))
    >>> masks[1]
    array([[False,  True, False]])
    """
    arithmetic = values.arithmetic
    lower = arithmetic.checked("thresholds", thresholds, shape=(None,))
    upper = upper_magnitude_bound(lower, factor, arithmetic=arithmetic)
    sides = (candidate_sides(values, used, cut, key, closed=closed) for cut in (lower, upper))
    for (below, carried), (within, moved) in zip(*sides, strict=True):
        inner = below | within
        yield (used & below, used & inner & ~below, used & ~inner), carried | moved


def trisection_search_bound(
    target: Input,
    columns: npt.ArrayLike,
    thresholds: Input,
    *,
    factor: float = 2.0,
    key: Input | None = None,
    orders: tuple[int, int, int] = (1, 1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
    running: bool = False,
    arithmetic: Arithmetic,
) -> Rounded:
    """Bounds of the objectives of :func:`~subbit.reference.zones.trisection.trisection_search`.

    Parameters
    ----------
    target : array_like of float64 or Rounded, shape (n, k)
        Values that errors are measured on.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64 or Rounded, shape (c,)
        Candidates for the lower magnitude.
    factor : float, default 2.0
        The upper magnitude divided by the lower one.
    key : array_like of float64 or Rounded, shape (n, k), optional
        Values to cut; ``|target|`` by default.
    orders, center, sign_zero, closed
        As in :func:`~subbit.reference.zones.trisection.trisection_search_direct`.
    running : bool, default False
        Allow the port to form the objectives from running sums.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Objectives of all thresholds as the equation reads, shape (c,).

    Notes
    -----
    As in :func:`~subbit.reference.bounds.zones.split.bell_split_search_bound`, with an entry
    near either magnitude.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W, port = [[1.0, -2.0, 5.0]], Arithmetic("float32")
    >>> bound = trisection_search_bound(W, [True] * 3, [1.0, 6.0], arithmetic=port)
    >>> bound.value.round(3), bound.error < 1e-4
    (array([0.   , 8.667]), array([ True,  True]))
    """
    values = arithmetic.checked("target", target)
    used = entries_of(columns, values)
    sums = Running.of(values, used) if running else None
    regions = list(candidate_regions(values, used, thresholds, key, factor=factor, closed=closed))
    by_region = zip(*(masks for masks, _ in regions), strict=True)
    groups = [
        group_remainders(values, masks, order, center=center, sign_zero=sign_zero, running=sums)
        for masks, order in zip(by_region, orders, strict=True)
    ]
    undecided = [undecided_rows(values, used, rows) for _, rows in regions]
    objectives = [candidate_objective(parts) for parts in zip(*groups, undecided, strict=True)]
    return stacked(objectives, flushed(used, arithmetic) if running else 0.0, arithmetic)
