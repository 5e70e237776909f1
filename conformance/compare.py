"""Comparison rules
================

Each rule returns error ÷ bound: at most 1 is agreement, 0 is equality, and anything that
cannot be compared (a different shape, a NaN) is infinitely far away.

========================== ====================================================
:func:`exact`              bit for bit
:func:`bound`              continuous values, against a derived rounding bound
:func:`decision`           signs, masks and choices, against their margin
:func:`objective`          a choice by its objective, against a slack
:func:`statistic`          a figure of a whole run, against a stated tolerance
========================== ====================================================

One sign that flips where a weight equals its mean to the last bit makes two correct
results look entirely different, so a plain ``allclose`` of the end result would either
reject correct ports or accept wrong ones.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from subbit.reference.notation import AnyArray

UNIT_ROUNDOFF = 2.0**-53


def on_host(x: Any) -> AnyArray:  # noqa: ANN401  (whatever a port returns)
    """Return an array of any library and device as a NumPy array.

    Parameters
    ----------
    x : array_like, or an array of CuPy, torch, JAX or another library with DLPack
        The array. One of bfloat16, which NumPy does not have, becomes float32.

    Returns
    -------
    ndarray
        The same values.

    Examples
    --------
    >>> on_host((1.0, 2.0))
    array([1., 2.])
    """
    if hasattr(x, "get"):
        return np.asarray(x.get())
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        # Its numbers are among those of float32.
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return np.from_dlpack(x)
    return np.asarray(x)


def gamma(depth: int, unit_roundoff: float = UNIT_ROUNDOFF) -> float:
    """Return the relative error bound of `depth` successive roundings.

    Parameters
    ----------
    depth : int
        Number of floating-point operations any one term passes through.
    unit_roundoff : float, default 2⁻⁵³
        Largest relative error of one of them, ``u``.

    Returns
    -------
    float
        ``γ_p = p·u / (1 - p·u)``.

    References
    ----------
    N. Higham, Accuracy and Stability of Numerical Algorithms, Section 3.1.

    Examples
    --------
    >>> gamma(1) > 2.0**-53
    True
    """
    return depth * unit_roundoff / (1 - depth * unit_roundoff)


def exact(actual: npt.ArrayLike, expected: npt.ArrayLike) -> float:
    """Check that two arrays are equal bit for bit, except for the sign of zero.

    Parameters
    ----------
    actual, expected : array_like
        The port's result and the correct one.

    Returns
    -------
    float
        0 if shape and values are equal, infinity otherwise.

    Examples
    --------
    >>> exact([1.0, 2.0], [1.0, 2.0]), exact([1.0], [1.5])
    (0.0, inf)
    """
    return 0.0 if np.array_equal(np.asarray(actual), np.asarray(expected)) else math.inf


def _largest_ratio(error: npt.ArrayLike, allowed: npt.ArrayLike) -> float:
    errors, limits = np.broadcast_arrays(
        np.asarray(error, dtype=np.float64), np.asarray(allowed, dtype=np.float64)
    )
    if errors.size == 0:
        return 0.0
    if not (np.isfinite(errors).all() and np.isfinite(limits).all()):
        return math.inf
    ratio = np.full(errors.shape, np.inf)
    # An allowance of zero demands equality: only no error is agreement.
    ratio[errors == 0] = 0.0
    np.divide(errors, limits, out=ratio, where=limits > 0)
    return float(ratio.max())


def bound(actual: npt.ArrayLike, expected: npt.ArrayLike, allowed: npt.ArrayLike) -> float:
    """Compare continuous values: largest error against its bound.

    Parameters
    ----------
    actual, expected : array_like of float
        The port's result and the correct one.
    allowed : array_like of float
        Absolute error that rounding explains, per value or for all.

    Returns
    -------
    float
        ``max |actual - expected| / allowed``.

    Examples
    --------
    >>> bound([1.0, 2.5], [1.0, 2.0], 0.25)
    2.0
    >>> bound([float("nan")], [1.0], 1.0)
    inf
    """
    left = np.asarray(actual, dtype=np.float64)
    right = np.asarray(expected, dtype=np.float64)
    if left.shape != right.shape:
        return math.inf
    with np.errstate(invalid="ignore", over="ignore"):
        return _largest_ratio(np.abs(left - right), allowed)


def decision(
    actual: npt.ArrayLike,
    expected: npt.ArrayLike,
    margin: npt.ArrayLike,
    allowed: npt.ArrayLike,
) -> float:
    """Compare decisions: largest margin of one taken differently, against its bound.

    Parameters
    ----------
    actual, expected : array_like
        The port's signs, masks or choices and the correct ones.
    margin : array_like of float
        Distance of the decided quantity from its tie.
    allowed : array_like of float
        Distance that rounding can move it.

    Returns
    -------
    float
        ``max margin / allowed`` over the entries that differ; 0 if none does.

    Examples
    --------
    >>> decision([1, -1], [1, 1], [3.0, 1e-17], 1e-16) <= 1
    True
    """
    left, right = np.asarray(actual), np.asarray(expected)
    if left.shape != right.shape:
        return math.inf
    differs = left != right
    margins = np.broadcast_to(np.asarray(margin, dtype=np.float64), left.shape)
    limits = np.broadcast_to(np.asarray(allowed, dtype=np.float64), left.shape)
    return _largest_ratio(np.abs(margins[differs]), limits[differs])


def objective(reached: npt.ArrayLike, best: npt.ArrayLike, allowed: npt.ArrayLike) -> float:
    """Compare choices: excess of the objective over the best one, against a slack.

    Parameters
    ----------
    reached, best : array_like of float
        The objective of the port's choice, and the least one.
    allowed : array_like of float
        The slack.

    Returns
    -------
    float
        ``max (reached - best) / allowed``; 0 if the choice is better.

    Examples
    --------
    >>> objective(1.0, 2.0, 0.1), objective(2.0, 1.0, 0.5)
    (0.0, 2.0)
    """
    excess = np.asarray(reached, dtype=np.float64) - np.asarray(best, dtype=np.float64)
    return _largest_ratio(np.where(excess > 0, excess, np.where(excess <= 0, 0.0, np.nan)), allowed)


def statistic(actual: npt.ArrayLike, expected: npt.ArrayLike, tolerance: float) -> float:
    """Compare figures of a whole run: deviation from the reference's, against a tolerance.

    Parameters
    ----------
    actual, expected : array_like of float
        A perplexity, a mean divergence, or the values that such a mean is taken over.
    tolerance : float
        Allowed relative difference of the means; stated, since none is derived.

    Returns
    -------
    float
        ``|mean(actual) - mean(expected)| / (tolerance · |mean(expected)|)``.

    Examples
    --------
    >>> statistic([10.0, 12.0], [10.0, 10.0], 0.2)
    0.5
    """
    left, right = (np.mean(np.asarray(x, dtype=np.float64)) for x in (actual, expected))
    return _largest_ratio(np.abs(left - right), tolerance * np.abs(right))
