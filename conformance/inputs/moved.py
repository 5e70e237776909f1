"""Layers moved by rounding
========================

Two correct ports part for good at a decision that is left to rounding: a weight on its mean,
two candidates that are equally good. Moving a layer's weights and Hessian by a few roundings
shows whether it holds such a decision: whatever then jumps was never decided. So does moving
them by what a port may lose to numbers that it flushes to zero.
"""

import numpy as np

from subbit.conformance.inputs.families import Array
from subbit.reference.bounds.rounding import Arithmetic
from subbit.reference.notation import Indices

ROUNDINGS = 32.0
"""Most roundings that a number is moved by; each is half a unit in the last place."""
TRIES = 16
"""Number of times a layer is moved before all of it counts as decided."""


_FLOAT64 = Arithmetic()


def moved(
    W: Array, H: Array, seed: int, *, arithmetic: Arithmetic = _FLOAT64
) -> tuple[Array, Array]:
    """Move a layer by a few roundings.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    seed : int
        Seed of the move.
    arithmetic : Arithmetic, default float64
        Whose roundings.

    Returns
    -------
    W : ndarray of float64, shape (n, m)
        The weights, each moved by at most :data:`ROUNDINGS`, and by a number whose square
        may be flushed to zero; zeros stay.
    H : ndarray of float64, shape (m, m)
        The Hessian, moved likewise and still symmetric; dead inputs stay dead.

    Examples
    --------
    >>> W, H = moved(np.array([[1.0, 0.0]]), np.eye(2), 0)
    >>> bool(0 < abs(W[0, 0] - 1) <= ROUNDINGS * 2.0**-53), float(W[0, 1]), float(H[0, 1])
    (True, 0.0, 0.0)
    """
    rng, size = np.random.default_rng(seed), ROUNDINGS * arithmetic.unit_roundoff
    noise = rng.uniform(-size, size, H.shape)
    shares = np.triu(noise) + np.triu(noise, 1).T
    own, unseen = W * (1.0 + rng.uniform(-size, size, W.shape)), np.sqrt(arithmetic.tiny)
    lost = rng.uniform(-unseen, unseen, W.shape)
    return own + np.where(W == 0.0, 0.0, lost), H * (1.0 + shares)


def reordered(H: Array, group: int, seed: int) -> Indices:
    """Return another order of columns: dead inputs of a group have changed places.

    Where a method sorts columns or weights, dead inputs are equal, and no paper says in which
    order they come. A method that takes the first of equal ones takes others in this order.

    Parameters
    ----------
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    group : int
        Columns that are sorted together.
    seed : int
        Seed of the order.

    Returns
    -------
    ndarray of int, shape (m,)
        Columns in another order.

    Examples
    --------
    >>> sorted(reordered(np.diag([0.0, 2.0, 0.0, 0.0]), 2, 0).tolist())
    [0, 1, 2, 3]
    """
    rng, order = np.random.default_rng(seed), np.arange(len(H))
    for start in range(0, len(H), group):
        part = order[start : start + group]
        dead = np.flatnonzero(np.diag(H)[part] == 0.0)
        part[dead] = part[rng.permutation(dead)]
    return order


def live_condition(H: Array) -> float:
    """Return the condition of a Hessian's live inputs: what rounding may grow by in a solve.

    Parameters
    ----------
    H : ndarray of float64, shape (m, m)
        Proxy Hessian or Gram matrix.

    Returns
    -------
    float
        Condition in the spectral norm; 1 if all inputs are dead.

    Examples
    --------
    >>> live_condition(np.diag([4.0, 0.0, 2.0]))
    2.0
    """
    live = np.diag(H) > 0.0
    return float(np.linalg.cond(H[np.ix_(live, live)])) if live.any() else 1.0
