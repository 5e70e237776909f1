"""Bounds of HBLLM's steps
=======================

How far a correct port's column norms, and what it puts in the place of salient columns, may
deviate. Return values are as in :mod:`~subbit.reference.bounds.groups.binarize`.
"""

import numpy as np

from subbit.reference.bounds.pruning.sparsity import power_bound
from subbit.reference.hbllm import _neighbors
from subbit.reference.notation import Mask

from .rounding import Arithmetic, Input, Rounded


def column_norms_bound(S: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of the norms of columns, up to the largest score.

    Parameters
    ----------
    S : array_like of float64 or Rounded, shape (n, k)
        Scores.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Norms of the scores divided by a power of two near the largest, shape (k,).

    Notes
    -----
    Squares and their sum ``e + γ_{p+1} Σ s²``, and a root of it, as powers are. A port may
    divide by the largest score before, which takes one rounding.

    Examples
    --------
    >>> column_norms_bound([[3.0], [4.0]], arithmetic=Arithmetic("float32")).value
    array([0.625])
    """
    scores = arithmetic.checked("S", S)
    power = float(np.exp2(-np.frexp(np.max(np.abs(scores.value)))[1]))
    scaled = scores.flip(power)
    scaled = scaled.widen(arithmetic.gamma(1) * scaled.reach)
    # Eq. (B162), subbit:  |‖ŝ‖² − ‖s‖²| ≤ Σ (2 |s| e_s + e_s²) + γ_{p+1} Σ s²
    return power_bound((scaled * scaled).sum("column"), 0.5)


def filled_bound(W: Input, salient: Mask, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of a block with its salient columns replaced.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    salient : ndarray of bool, shape (k,)
        Salient columns.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        ``F``, shape (n, k).

    Notes
    -----
    A mean of at most six columns, added in any order.

    Examples
    --------
    >>> salient = np.array([False, True, False])
    >>> filled_bound([[1.0, 9.0, 2.0]], salient, arithmetic=Arithmetic()).value
    array([[1. , 1.5, 2. ]])
    """
    weights = arithmetic.checked("W", W)
    value, error = weights.value.copy(), weights.error.copy()
    rest = np.flatnonzero(~salient)
    for j in np.flatnonzero(salient):
        near = _neighbors(rest, int(j))
        value[:, j] = error[:, j] = 0.0
        if near.size:
            columns = weights[:, near].T
            # Eq. (B163), subbit:  |F̂_:j − F_:j| ≤ (Σ e_w + γ_5 Σ|w|) / c + γ_2 |F_:j|
            mean = columns.sum("any") / arithmetic.exactly(np.full(len(value), float(len(near))))
            value[:, j], error[:, j] = mean.value, mean.error
    return Rounded(value, error, arithmetic)
