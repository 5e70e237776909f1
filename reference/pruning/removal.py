"""Removing several weights at once
=================================

P. Zhao et al., "Pruning Foundation Models for High Accuracy without Retraining", arXiv
2410.15567, Eqs. (11)-(14) and Solution M: the multiple-removal problem, MRP.

Optimal brain surgery removes one weight and moves the others so that the loss rises least.
Here a set p of weights of a row is removed at once, and the kept ones move together: the
result is the least-squares solution for the mask. For N:M sparsity all ``C(M, N)`` choices of
a group are tried, whereas a score of single weights ignores how they act together.

========== ============== ========================================================
symbol     shape          meaning
========== ============== ========================================================
``W``      (n, m)         weights; ``w`` is one row
``H``      (m, m)         damped Hessian
``G``      (m, m)         its inverse
``p``      (n, m)         removed weights, a set in each row
``y``      (n, m)         ``[G_pp]⁻¹ w_p`` on p, zero elsewhere: the loss gradient
========== ============== ========================================================

The paper's text was not available, only its equations as others quote them. Removing one
weight alone is optimal brain surgery, whose score is in ``saliency``.
"""

from math import comb

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.words import DAMPED, GROUP_SIZE, KEEP, LAYER, REMOVAL
from subbit.reference.errors import (
    ArgumentError,
    HessianError,
)
from subbit.reference.hessian import inverse_factor
from subbit.reference.notation import Array, Mask
from subbit.reference.storage.patterns import unrank_patterns

HELD = 2**22
"""The most numbers that one step holds; it takes as many rows as fit."""

MOST_PATTERNS = 2**16
"""The most choices of a group that are tried."""


def _inverse(H: Array) -> Array:
    U = inverse_factor(H)
    return np.asarray(U.T @ U)


def _solve(systems: Array, right: Array) -> Array:
    try:
        return np.asarray(np.linalg.solve(systems, right), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        message = "one that is singular to rounding"
        raise HessianError("H", "a positive definite matrix", message) from error


def _gradients(weights: Array, G: Array, removed: Mask) -> Array:
    """Solve ``G_pp y_p = w_p`` in each row."""
    rows, most = len(weights), int(np.max(np.count_nonzero(removed, axis=1)))
    # The removed columns of each row, padded with others, whose equations are 1 y = 0.
    columns = np.argsort(~removed, axis=1, kind="stable")[:, :most]  # (n, most)
    valid = np.take_along_axis(removed, columns, axis=1)  # (n, most)
    # (n, m) -> (n, most)
    right = np.where(valid, np.take_along_axis(weights, columns, axis=1), 0.0)
    solved = np.zeros((rows, most))
    step = max(1, HELD // max(1, most * most))
    for start in range(0, rows, step):
        part = slice(start, start + step)
        inside = valid[part, :, None] & valid[part, None, :]
        square = G[columns[part, :, None], columns[part, None, :]]
        # Eq. (12), MRP:  y_p = [G_pp]⁻¹ w_p
        system = np.where(inside, square, np.eye(most))
        solved[part] = _solve(system, right[part, :, None])[:, :, 0]
    y = np.zeros(weights.shape)
    np.put_along_axis(y, columns, solved, axis=1)
    return y


@contract(2, W=LAYER, H=DAMPED, removed=REMOVAL)
def removal_move(W: Array, H: Array, removed: Mask) -> Array:
    """Remove weights and move the kept ones of their rows optimally.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The weights of least loss with these zeros, which are exact.

    Notes
    -----
    ``w - w_p [G_pp]⁻¹ G_p:``, which minimizes ``½ d H dᵀ`` over all d with ``d_p = -w_p``.

    References
    ----------
    MRP, arXiv 2410.15567, Eqs. (11) and (13).

    Examples
    --------
    >>> removal_move([[1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0]], [[True, False]])
    array([[0. , 1.5]])
    """
    G = _inverse(H)
    y = _gradients(W, G, removed)
    # Eq. (11), MRP:  δ = −w_p [G_pp]⁻¹ G_p:
    return np.where(removed, 0.0, W - y @ G)


@contract(2, W=LAYER, H=DAMPED, removed=REMOVAL)
def removal_loss(W: Array, H: Array, removed: Mask) -> Array:
    """Compute how far each row's loss rises when weights go and the kept ones move optimally.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``½ d H dᵀ`` of the move of :func:`removal_move`, nonnegative.

    Notes
    -----
    ``½ w_p [G_pp]⁻¹ w_pᵀ``; one weight alone gives half its score in
    :func:`~subbit.reference.zones.saliency.obs_saliency`.

    References
    ----------
    MRP, arXiv 2410.15567, Eq. (12).

    Examples
    --------
    >>> removal_loss([[1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0]], [[True, False]])
    array([0.375])
    """
    y = _gradients(W, _inverse(H), removed)
    # Eq. (12), MRP:  L = ½ w_p [G_pp]⁻¹ w_pᵀ
    return np.maximum(0.5 * np.sum(W * y, axis=1), 0.0)


def _choices(keep: int, group: int) -> Mask:
    """List the ways to keep N of M weights, in order of their numbers: (C(M, N), M)."""
    count = comb(group, keep)
    if count > MOST_PATTERNS:
        raise ArgumentError("group", f"one of at most {MOST_PATTERNS} patterns", f"{count}")
    # (1, C, M) -> (C, M)
    return unrank_patterns(np.arange(count)[None], keep, group).reshape(count, group)


def _choice_losses(weights: Array, G: Array, removed: Mask) -> Array:
    """Compute twice the losses of a group's choices: (n, M) weights, (M, M) inverse, (C, M)."""
    sets = np.nonzero(removed)[1].reshape(len(removed), -1)  # (C, M − N)
    w = weights[:, sets].transpose(1, 2, 0)  # (C, M − N, n)
    y = _solve(G[sets[:, :, None], sets[:, None, :]], w)  # (C, M - N, n)
    return np.asarray(np.sum(w * y, axis=1).T)


@contract(2, W=LAYER, H=DAMPED, keep=KEEP, group=GROUP_SIZE)
def removal_mask(W: Array, H: Array, keep: int, group: int) -> Mask:
    """Keep the N of every M weights that are best to keep together.

    Returns
    -------
    ndarray of bool, shape (n, m)
        Kept weights, exactly N of each M consecutive columns.

    Notes
    -----
    Every group is judged alone, at the given weights, with all other weights of the row
    free to move. So no choice is better for one group, but the choices of several groups
    together need not be best. Of equal losses, the pattern with the lowest number is taken,
    which keeps the lower columns.

    References
    ----------
    MRP, arXiv 2410.15567, Eq. (12) and "Solution M".

    Examples
    --------
    >>> removal_mask([[1.0, 1.0, 0.9]], [[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]], 1, 3)
    array([[ True, False, False]])
    """
    n, m = W.shape
    kept = _choices(keep, group)
    if m % group:
        raise ArgumentError("group", f"a divisor of the width {m}", group)
    G = _inverse(H)
    mask = np.zeros(W.shape, dtype=np.bool_)
    step = max(1, HELD // (len(kept) * max(1, group - keep)))
    for start in range(0, n, step):
        for first in range(0, m, group):
            place = slice(start, start + step), slice(first, first + group)
            # Eq. (12), MRP:  2 L = w_p [G_pp]⁻¹ w_pᵀ, for every set p of the group
            losses = _choice_losses(W[place], G[place[1], place[1]], ~kept)
            mask[place] = kept[np.argmin(losses, axis=1)]
    return mask
