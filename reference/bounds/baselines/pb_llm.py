"""Bounds of PB-LLM
================

How far a correct port's low levels may deviate. Return values are as in
:mod:`~subbit.reference.bounds.groups.binarize`.
"""

import numpy.typing as npt

from subbit.reference.bounds.groups.binarize import (
    masked_mean_bound,
    masked_scale_bound,
)
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_choice, check_mask


def low_levels_bound(
    W: Input, mask: npt.ArrayLike, statistics: str, *, arithmetic: Arithmetic
) -> tuple[Rounded, Rounded]:
    """Bounds of the levels of PB-LLM's low part.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights of the block before any moved.
    mask : array_like of bool, shape (n, k)
        Entries of the low part.
    statistics : {"row", "group"}
        Entries that the levels are means of.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    mean, scale : Rounded
        ``μ`` and ``α``, shape (n,).

    Notes
    -----
    Both are bounds of means, (B7) and (B8): over the low entries, or over all columns with
    exact zeros in place of the others, which then have the distance ``|μ|``.

    Examples
    --------
    >>> mask = [[True, True, False]]
    >>> mean, scale = low_levels_bound(
    ...     [[1.0, 2.0, 9.0]], mask, "row", arithmetic=Arithmetic("float32")
    ... )
    >>> mean.value, scale.value.round(3)
    (array([1.]), array([0.667]))
    """
    check_choice("statistics", statistics, ("row", "group"))
    weights = arithmetic.checked("W", W)
    low = check_mask("mask", mask, weights.shape)
    entries = low if statistics == "group" else None
    kept = weights.keep(low)
    mean = masked_mean_bound(kept, entries, arithmetic=arithmetic)
    return mean, masked_scale_bound(kept, entries, mean, arithmetic=arithmetic)
