"""Bounds of round-to-nearest
==========================

How far a correct port's grid may deviate, and which codes rounding may change. Return
values are as in :mod:`~subbit.reference.bounds.groups.binarize`.
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_count, check_matrix


def minmax_grid_bound(W: Input, bits: int, *, arithmetic: Arithmetic) -> tuple[Rounded, Rounded]:
    """Bounds of :func:`~subbit.reference.baselines.rtn.minmax_grid`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    bits : int
        Bits of a code, 1 to 8.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    scale : Rounded
        Distances between levels, shape (n,).
    margin : Rounded
        How far ``-low / s``, which is rounded to the zero point, lies from the nearest
        half, shape (n,).

    Notes
    -----
    1. Extremes of numbers that are off by e are off by e; their difference and quotient
       follow the rules.
    2. Rounding to a whole number changes only at halves.

    A row whose range is positive but may be flushed has no bound.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> scale, margin = minmax_grid_bound([[-1.0, 2.0]], 2, arithmetic=Arithmetic("float32"))
    >>> scale.value, margin.value
    (array([1.]), array([0.5]))
    """
    weights = arithmetic.checked("W", W)
    top = 2 ** check_count("bits", bits, 1, 8) - 1
    error = weights.error.max(axis=1)
    low = Rounded(np.minimum(weights.value.min(axis=1), 0.0), error, arithmetic)
    high = Rounded(np.maximum(weights.value.max(axis=1), 0.0), error, arithmetic)
    span = high - low
    empty = span.value < np.finfo(np.float64).tiny
    lost = ~empty & (span.value - span.error < arithmetic.tiny)
    span = Rounded(np.where(empty, 2.0, span.value), np.where(lost, np.inf, span.error), arithmetic)
    low = Rounded(np.where(empty, -1.0, low.value), low.error, arithmetic)
    # Eq. (B20), subbit:  |ŝ − s| ≤ (e_max + e_min) / (2^b − 1) + γ_3 s
    scale = span / arithmetic.exactly(np.full(span.shape, top))
    return scale, _half_distance(low / scale)


def _half_distance(position: Rounded) -> Rounded:
    value = np.abs(position.value - (np.floor(position.value) + 0.5))
    return Rounded(value, position.error, position.arithmetic)


def grid_codes_margin(
    W: Input, scale: Input, zero: npt.ArrayLike, bits: int, *, arithmetic: Arithmetic
) -> Rounded:
    """Margin of :func:`~subbit.reference.baselines.rtn.grid_codes`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    scale : array_like of float64 or Rounded, shape (n,)
        Distances between levels.
    zero : array_like of float64, shape (n,)
        Zero points.
    bits : int
        Bits of a code, 1 to 8.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        How far ``w / s`` lies from the nearest half that separates two codes, shape (n, k).

    Notes
    -----
    1. ``w / s`` is off by ``(e_w + |w/s| e_s) / (s - e_s) + γ_2 |w/s|``.
    2. Codes change at ``c + ½ - z`` for c from 0 to ``2^b - 2``, and nowhere else.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> grid_codes_margin([[0.25, 9.0]], [1.0], [0.0], 2, arithmetic=Arithmetic("float32")).value
    array([[0.25, 6.5 ]])
    """
    weights = arithmetic.checked("W", W)
    rows = (weights.shape[0],)
    top = 2 ** check_count("bits", bits, 1, 8) - 1
    position = weights / arithmetic.checked("scale", scale, shape=rows)[:, None]
    shift = check_matrix("zero", zero, shape=rows)[:, None]
    tie = np.clip(np.floor(position.value + shift), 0, top - 1) + 0.5 - shift
    # Eq. (B21), subbit:  other code  ⇒  |w/s − (c + ½ − z)| ≤ e,  e that of the quotient w/s
    return Rounded(np.abs(position.value - tie), position.error, arithmetic)
