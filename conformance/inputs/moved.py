"""Layers moved by rounding
========================

Two correct ports part for good at a decision that is left to rounding: a weight on its mean,
two candidates that are equally good. Moving a layer's weights and Hessian by a few roundings
shows whether it holds such a decision: whatever then jumps was never decided. So does moving
them by what a port may lose to numbers that it flushes to zero.

It does not show every such decision. Two candidates of a search share most of their errors,
which move alike, while a port rounds the sum of each on its own. So the reference is also let
see the errors of its candidates as a port may: each off by a few roundings of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np

from subbit.conformance.inputs.families import Array
from subbit.reference.bounds.rounding import Arithmetic
from subbit.reference.notation import AnyArray, Indices
from subbit.reference.zones.search import Search

Answer = TypeVar("Answer")

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


@contextmanager
def rounded_objectives(seed: int, *, arithmetic: Arithmetic = _FLOAT64) -> Iterator[None]:
    """Let the reference's searches compare errors that are off by a few roundings.

    Parameters
    ----------
    seed : int
        Seed of the roundings.
    arithmetic : Arithmetic, default float64
        Whose roundings.

    Yields
    ------
    None
        While it holds.

    Examples
    --------
    >>> with rounded_objectives(0):
    ...     float(Search(np.array([3]), np.array([1.0])).objectives[0]) == 1.0
    False
    """
    rng, size = np.random.default_rng(seed), ROUNDINGS * arithmetic.unit_roundoff
    make: Any = Search.__init__

    def rounded(search: Search, candidates: AnyArray, objectives: Array) -> None:
        make(search, candidates, objectives * (1.0 + rng.uniform(-size, size, objectives.shape)))

    with patch.object(Search, "__init__", rounded):
        yield


def answer_moved(
    reading: Callable[[Array, Array], Answer],
    W: Array,
    H: Array,
    seed: int,
    *,
    arithmetic: Arithmetic = _FLOAT64,
) -> Answer:
    """Ask again with a layer that is moved, and errors of candidates that are rounded.

    Parameters
    ----------
    reading : callable
        ``reading(W, H)``, of the reference.
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    seed : int
        Seed of the moves.
    arithmetic : Arithmetic, default float64
        Whose roundings.

    Returns
    -------
    object
        What the reading answers.

    Examples
    --------
    >>> W = np.array([[1.0, 0.0]])
    >>> bool(answer_moved(lambda W, H: W, W, np.eye(2), 0)[0, 0] == 1.0)
    False
    """
    with rounded_objectives(seed, arithmetic=arithmetic):
        return reading(*moved(W, H, seed, arithmetic=arithmetic))


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
