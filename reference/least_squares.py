"""Least squares of a few levels
=============================

Quotients and small normal equations, one per row.
"""

from typing import Literal, TypeAlias

import numpy as np

from .notation import Array

EpsKind: TypeAlias = Literal["absolute", "relative"]

DEPENDENT = 2.0**-40
"""Share of a squared length below which the remainder counts as zero."""


def ratio(numerator: Array, denominator: Array, current: Array, eps: float, kind: EpsKind) -> Array:
    """Divide with an eps, and keep the current value where the divisor is not positive.

    Parameters
    ----------
    numerator, denominator, current : ndarray of float64, shape (n,)
        Dividend, divisor and current value.
    eps : float
        Number added to the denominator.
    kind : {"absolute", "relative"}
        Whether `eps` is absolute, or relative to the mean denominator.

    Returns
    -------
    ndarray of float64, shape (n,)
        Quotients.

    Examples
    --------
    >>> import numpy as np
    >>> one, two = np.ones(2), np.array([2.0, 0.0])
    >>> ratio(one, two, one, 0.0, "absolute"), ratio(one, two, one, 1.0, "relative")
    (array([0.5, 1. ]), array([0.33333333, 1.        ]))
    """
    # Eq. (20), subbit:  x / (d + ε), or x / (d + ε mean(d))
    divisor = denominator + (eps * np.mean(denominator) if kind == "relative" else eps)
    return np.divide(numerator, divisor, out=current.copy(), where=divisor > 0.0)


def solve_normal(G: Array, g: Array) -> Array:
    """Solve small normal equations, one system per row.

    Parameters
    ----------
    G : ndarray of float64, shape (n, p, p)
        Gram matrices, symmetric and positive semi-definite.
    g : ndarray of float64, shape (n, p)
        Right-hand sides, in the range of `G`.

    Returns
    -------
    ndarray of float64, shape (n, p)
        Solutions; a variable that depends on those before it is zero.

    Notes
    -----
    ``G = L D Lᵀ``, without pivots that are mere rounding.

    Examples
    --------
    >>> import numpy as np
    >>> solve_normal(np.array([[[2.0, 0.0], [0.0, 4.0]]]), np.array([[2.0, 2.0]]))
    array([[1. , 0.5]])
    >>> solve_normal(np.array([[[1.0, 1.0], [1.0, 1.0]]]), np.array([[3.0, 3.0]]))
    array([[3., 0.]])
    """
    rest, right = G.copy(), g.copy()
    count = G.shape[1]
    usable = np.zeros(g.shape, dtype=np.bool_)
    # Eq. (22), subbit:  G = L D Lᵀ by elimination,  x from L D Lᵀ x = g
    for p in range(count):
        usable[:, p] = rest[:, p, p] > DEPENDENT * G[:, p, p]
        below = rest[:, p + 1 :, p]
        pivot = rest[:, p, p, None]
        factor = np.divide(below, pivot, out=np.zeros_like(below), where=usable[:, p, None])
        rest[:, p + 1 :, :] -= factor[:, :, None] * rest[:, None, p, :]
        right[:, p + 1 :] -= factor * right[:, p, None]
    solution = np.zeros(g.shape)
    for p in reversed(range(count)):
        known = np.sum(rest[:, p, p + 1 :] * solution[:, p + 1 :], axis=1)
        own = right[:, p] - known
        np.divide(own, rest[:, p, p], out=solution[:, p], where=usable[:, p])
    return solution
