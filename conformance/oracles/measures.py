"""What refinements are measured by
================================

Errors of single rows, the sizes of the terms that such an error sums, and how far the
decisions of a refinement were from a tie. Everything is computed here, from the records
that a port returns, with none of its functions.
"""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from subbit.conformance.inputs.families import Array, Mask
from subbit.reference.layer import BinaryGroup, Plane

Steps: TypeAlias = Iterable[tuple[str, BinaryGroup]]


def remainder(W: Array, group: BinaryGroup) -> Array:
    """Return the remainder of a group's own entries.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    group : BinaryGroup
        The group.

    Returns
    -------
    ndarray of float64, shape (n, k)
        ``M ∘ (W - Ŵ)``.
    """
    return np.where(group.mask, W, 0.0) - group.decode()


def row_errors(W: Array, group: BinaryGroup, S: Array | None = None) -> Array:
    """Return the error of each row of a group.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    group : BinaryGroup
        The group.
    S : ndarray of float64, shape (k, k), optional
        Gram matrix of the inputs; if given, the error is the calibrated one.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``r rᵀ`` or ``r S rᵀ``.
    """
    R = remainder(W, group)
    return np.sum((R if S is None else R @ S) * R, axis=1)


def sizes(W: Array, *groups: BinaryGroup) -> Array:
    """Bound everything that the entries of groups are computed from.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    *groups : BinaryGroup
        States of one group.

    Returns
    -------
    ndarray of float64, shape (n, k)
        Magnitude of an entry plus the largest of its row, means and scales included; 0
        outside the mask.
    """
    own = np.where(groups[0].mask, np.abs(W), 0.0)
    largest = own.max(axis=1)
    for group in groups:
        levels = [] if group.mean is None else [np.abs(group.mean)]
        levels += [
            np.abs(p.row_scale)
            * (1.0 if p.column_scale is None else np.abs(p.column_scale).max(initial=0.0))
            for p in group.planes
        ]
        largest = largest + sum(levels)
    return np.where(groups[0].mask, own + largest[:, None], 0.0)


def natural(W: Array, *groups: BinaryGroup, S: Array | None = None) -> Array:
    """Return the sum of the magnitudes of all terms of a row's error.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    *groups : BinaryGroup
        States of one group.
    S : ndarray of float64, shape (k, k), optional
        Gram matrix of the inputs; if given, for the calibrated error.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``u uᵀ`` or ``u |S| uᵀ`` with the sizes ``u``.
    """
    u = sizes(W, *groups)
    return np.sum((u if S is None else u @ np.abs(S)) * u, axis=1)


def basis(group: BinaryGroup) -> Array:
    """Return mask and signs of a group as numbers.

    Parameters
    ----------
    group : BinaryGroup
        The group.

    Returns
    -------
    ndarray of float64, shape (p, n, k)
        ``m, b₁, …``.
    """
    return np.stack([group.mask, *(plane.sign for plane in group.planes)]).astype(np.float64)


def levels(group: BinaryGroup) -> Array:
    """Return mean and scales of a group.

    Parameters
    ----------
    group : BinaryGroup
        The group.

    Returns
    -------
    ndarray of float64, shape (n, p)
        ``μ, α₁, …``.
    """
    mean = np.zeros(len(group.mask)) if group.mean is None else group.mean
    return np.column_stack([mean, *(plane.row_scale for plane in group.planes)])


def sensitivities(W: Array, *groups: BinaryGroup, S: Array) -> Array:
    """Return how far an error of the terms can carry each calibrated level.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    *groups : BinaryGroup
        States of one group.
    S : ndarray of float64, shape (k, k)
        Gram matrix of the inputs.

    Returns
    -------
    ndarray of float64, shape (n, p)
        ``|e| |S| uᵀ / (e S eᵀ)`` for ``e = m, b₁, …``; 0 where the denominator is not positive.
    """
    e = basis(groups[0])
    terms = np.sum((np.abs(e) @ np.abs(S)) * sizes(W, *groups), axis=2)
    squares = np.sum((e @ S) * e, axis=2)
    usable = squares > 0
    return np.where(usable, terms / np.where(usable, squares, 1.0), 0.0).T


def calibrated_slack(W: Array, *groups: BinaryGroup, S: Array, unit: float) -> Array:
    """Return how much rounding can raise the calibrated error in a half step.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    *groups : BinaryGroup
        The states before and after the half step.
    S : ndarray of float64, shape (k, k)
        Gram matrix of the inputs.
    unit : float
        Relative error of the sums.

    Returns
    -------
    ndarray of float64, shape (n,)
        The rounding of the error itself, plus ``e S eᵀ δ²`` for a level that is off by δ.
    """
    e = basis(groups[0])
    squares = np.sum((e @ S) * e, axis=2).T
    off = unit * sensitivities(W, *groups, S=S)
    return unit * natural(W, *groups, S=S) + np.sum(np.abs(squares) * off**2, axis=1)


def _gaps(Z: Array, planes: tuple[Plane, ...]) -> Array:
    if len(planes) == 1:
        return np.abs(Z)
    plus = np.ones(Z.shape, dtype=np.int8)
    u, v = (Plane(plus, plane.row_scale, plane.column_scale).decode() for plane in planes)
    distances = np.sort([np.abs(Z - a * u - b * v) for a in (-1, 1) for b in (-1, 1)], axis=0)
    return np.asarray(distances[1] - distances[0])


def _start_gaps(W: Array, group: BinaryGroup) -> Array:
    # Each order takes the signs of the previous orders' remainder minus its own mean.
    rest, gaps = np.where(group.mask, W, 0.0), np.full(W.shape, np.inf)
    count = np.maximum(group.mask.sum(axis=1), 1)
    for plane in group.planes:
        mean = np.zeros(len(W)) if group.mean is None else rest.sum(axis=1) / count
        Z = np.where(group.mask, rest - mean[:, None], 0.0)
        gaps = np.minimum(gaps, np.abs(Z))
        rest = Z - plane.decode()
    return gaps


def margins(W: Array, steps: Steps) -> Array:
    """Return how far the closest decision in each row of a refinement was from a tie.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    steps : iterable of (str, BinaryGroup)
        Its half steps, from the standard start.

    Returns
    -------
    ndarray of float64, shape (n,)
        Least margin; infinite for rows without entries.
    """
    least: Array = np.full(len(W), np.inf)
    for name, group in steps:
        if name not in {"start", "signs"}:
            continue
        mean = np.zeros(len(W)) if group.mean is None else group.mean
        gaps = _start_gaps(W, group) if name == "start" else _gaps(W - mean[:, None], group.planes)
        least = np.minimum(least, np.where(group.mask, gaps, np.inf).min(axis=1))
    return least


def sign_shares(group: BinaryGroup) -> Array:
    """Return the mean of the first order's signs in each row.

    Parameters
    ----------
    group : BinaryGroup
        The group.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``B̄``, 0 in rows without entries.
    """
    count: Mask = group.mask.sum(axis=1)
    return np.asarray(group.planes[0].sign.sum(axis=1) / np.maximum(count, 1))
