"""Bounds of grids
===============

How far a correct port's thresholds, grids and rounding positions may deviate, and where an
entry may fall on another side or code. Return values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``p``      (c,)      thresholds
``s``      (n,)      distances between levels
========== ========= ===============================================================
"""

import numpy as np

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_count, check_matrix


def maximum_grid_bound(key: Input, levels: int = 9, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.zones.split.maximum_grid`.

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
    at most three more roundings: the constant 0.1 and two products. Other shares have four
    roundings of their own: a quotient, a product, a sum and the conversion.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bool(maximum_grid_bound([10.0], arithmetic=Arithmetic("float32")).error.max() < 3e-6)
    True
    """
    magnitudes = arithmetic.read(key)
    largest = Rounded(magnitudes.value.max(), magnitudes.error.max(), arithmetic)
    shares = np.linspace(1.0, 9.0, check_count("levels", levels))
    value, carried = shares * largest.value / 10, shares * largest.error / 10
    gamma = arithmetic.gamma(3 if np.array_equal(shares, np.round(shares)) else 7)
    # Eq. (B17), subbit:  |p̂ − p| ≤ i e / 10 + γ_q (|p| + i e / 10) + t,  q = 3, or 7
    error = carried + gamma * (np.abs(value) + carried) + arithmetic.tiny
    return Rounded(value, error, arithmetic)


def quantile_grid_bound(key: Input, levels: int = 81, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.zones.split.quantile_grid`.

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
    >>> from subbit.reference.bounds.rounding import Arithmetic
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
    """Margin of :func:`~subbit.reference.zones.split.bell_split`.

    Parameters
    ----------
    key : array_like of float64 or Rounded, shape (n, k)
        Magnitudes.
    threshold : array_like of float64 or Rounded, no axis
        Threshold that the port cuts at.
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
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bell_split_margin([[1.0, 2.5]], 2.0, arithmetic=Arithmetic("float32")).value
    array([[1. , 0.5]])
    """
    magnitudes, cut = arithmetic.checked("key", key), arithmetic.read(threshold)
    # Eq. (B19), subbit:  other side  ⇒  |key − p| ≤ e_key + e_p
    distance = np.abs(magnitudes.value - cut.value)
    return Rounded(distance, magnitudes.error + cut.error, arithmetic)
