"""Bounds of grids
===============

How far a right port's thresholds, grids and rounding positions may lie from the
reference's, and where an entry may fall on another side or code. What is returned is as
in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``p``      (c,)      thresholds
``s``      (n,)      distances between levels
========== ========= ===============================================================
"""

import numpy as np
import numpy.typing as npt

from .errors import check_count, check_matrix
from .rounding import Arithmetic, Input, Rounded


def maximum_grid_bound(key: Input, levels: int = 9, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.split.maximum_grid`.

    Parameters
    ----------
    key : array_like of float64 or Rounded, any shape
        Magnitudes.
    levels : int, default 9
        Number of thresholds.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Thresholds, shape (levels,).

    Notes
    -----
    The largest of numbers that are off by at most e is off by at most e. A tenth of it has
    at most three roundings more: of the constant 0.1, and of two products. Other shares
    are themselves off by four: a quotient, a product, a sum and the conversion.

    Examples
    --------
    >>> from subbit.reference.rounding import Arithmetic
    >>> bool(maximum_grid_bound([10.0], arithmetic=Arithmetic("float32")).error.max() < 3e-6)
    True
    """
    magnitudes = arithmetic.read(key)
    largest = Rounded(magnitudes.value.max(), magnitudes.error.max(), arithmetic)
    shares = np.linspace(1.0, 9.0, check_count("levels", levels))
    value, carried = shares * largest.value / 10, shares * largest.error / 10
    # Eq. (B17), subbit:  |p̂ − p| ≤ i e / 10 + γ_q (|p| + i e / 10) + t,  q = 3, or 7
    gamma = arithmetic.gamma(3 if np.array_equal(shares, np.round(shares)) else 7)
    error = carried + gamma * (np.abs(value) + carried) + arithmetic.tiny
    return Rounded(value, error, arithmetic)


def quantile_grid_bound(key: Input, levels: int = 81, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.split.quantile_grid`.

    Parameters
    ----------
    key : array_like of float64 or Rounded, any shape
        Magnitudes.
    levels : int, default 81
        Number of quantiles.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Thresholds, shape (levels,).

    Notes
    -----
    A quantile is ``F(h)``: F interpolates the N sorted magnitudes, ``h = (N - 1) q``.

    1. ``q`` takes four roundings and the product one, so ĥ is off by ``e_h = γ_5 h``.
    2. F does not decrease, so ``F(ĥ)`` lies between ``F(h - e_h)`` and ``F(h + e_h)``.
    3. Sorting numbers that are off by at most e gives numbers that are off by at most e.
    4. The interpolation takes at most four roundings of its two ends.

    Examples
    --------
    >>> from subbit.reference.rounding import Arithmetic
    >>> bound = quantile_grid_bound([0.0, 1.0, 2.0], levels=3, arithmetic=Arithmetic("float32"))
    >>> bool(bound.error.max() < 3e-6)
    True
    """
    magnitudes = arithmetic.read(np.ravel(key) if not isinstance(key, Rounded) else key)
    ordered = np.sort(np.ravel(magnitudes.value))
    check_matrix("key", ordered, shape=(None,))
    places = np.arange(len(ordered))
    h = np.linspace(0.1, 0.9, check_count("levels", levels)) * (len(ordered) - 1)
    e_h = arithmetic.gamma(5) * h
    value, low, high = (np.interp(x, places, ordered) for x in (h, h - e_h, h + e_h))
    ends = ordered[np.clip(np.ceil(h + e_h).astype(np.intp), 0, len(ordered) - 1)]
    reach = np.maximum(np.abs(ends), np.abs(ordered[np.floor(h - e_h).astype(np.intp)]))
    # Eq. (B18), subbit:  |p̂ − p| ≤ max(F(h + e_h) − F(h), F(h) − F(h − e_h)) + e + γ_4 max|ends|
    carried = np.maximum(high - value, value - low) + magnitudes.error.max()
    error = carried + arithmetic.gamma(4) * (reach + carried) + 4 * arithmetic.tiny
    return Rounded(value, error, arithmetic)


def bell_split_margin(key: Input, threshold: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Margin of :func:`~subbit.reference.split.bell_split`.

    Parameters
    ----------
    key : array_like of float64 or Rounded, shape (n, k)
        Magnitudes.
    threshold : array_like of float64 or Rounded, no axis
        Where the port cuts.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Distance of each entry from the cut, shape (n, k).

    Notes
    -----
    Comparing is exact, so an entry may change sides only within ``e_key + e_p``.

    Examples
    --------
    >>> from subbit.reference.rounding import Arithmetic
    >>> bell_split_margin([[1.0, 2.5]], 2.0, arithmetic=Arithmetic("float32")).value
    array([[1. , 0.5]])
    """
    magnitudes, cut = arithmetic.checked("key", key), arithmetic.read(threshold)
    # Eq. (B19), subbit:  other side  ⇒  |key − p| ≤ e_key + e_p
    distance = np.abs(magnitudes.value - cut.value)
    return Rounded(distance, magnitudes.error + cut.error, arithmetic)


def minmax_grid_bound(W: Input, bits: int, *, arithmetic: Arithmetic) -> tuple[Rounded, Rounded]:
    """Bounds of :func:`~subbit.reference.rtn.minmax_grid`.

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
       by the rules.
    2. Rounding to a whole number changes only at halves.

    A row whose range is positive but may be flushed has no bound.

    Examples
    --------
    >>> from subbit.reference.rounding import Arithmetic
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
    """Margin of :func:`~subbit.reference.rtn.grid_codes`.

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
    >>> from subbit.reference.rounding import Arithmetic
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
