"""Bounds of removing several weights
==================================

How far a correct port of ``removal`` may deviate. Return values are as in ``bounds``.

========== ===================== ===============================================
symbol     shape                 meaning
========== ===================== ===============================================
``A, a``   (s, q, q), (s, q)     systems and right-hand sides, one per row or choice
``E``      (s, q, q)             a solver's error, as an error of its matrix
``ρ``      (s,)                  largest row sum of ``|A⁻¹| E``, at most a half
========== ===================== ===============================================

A port may solve for the removed weights in the inverse, as the equations do, or for the
kept ones in the Hessian itself. Systems of all rows have the same size here: equations that
a row does not have read ``1 y = 0``.

References
----------
N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., Theorems 7.2, 9.4
and 10.3.
"""

from math import comb

import numpy as np
import numpy.typing as npt
import scipy.linalg

from subbit.reference.bounds.hessian import inverse_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_mask
from subbit.reference.notation import AnyArray, Array, Mask
from subbit.reference.storage.patterns import rank_patterns, unrank_patterns


def _backward(systems: Array) -> Array:
    """Sizes of the factors' products: of Cholesky or L D Lᵀ, and of LU with row exchanges."""
    norms = np.sqrt(np.diagonal(systems, axis1=1, axis2=2))
    lower, upper = scipy.linalg.lu(systems, permute_l=True)
    return np.asarray(norms[:, :, None] * norms[:, None, :] + np.abs(lower) @ np.abs(upper))


def _solved(matrix: Rounded, used: Mask, right: Rounded) -> Rounded:
    """Bound the solutions of the systems that rows and columns of a matrix form."""
    arithmetic, size = matrix.arithmetic, used.shape[1]
    both = used[:, :, None] & used[:, None, :]
    A = np.where(both, matrix.value, np.eye(size))
    E = np.where(both, matrix.error + arithmetic.gamma(3 * size + 2) * _backward(A), 0.0)
    inverse = np.abs(np.linalg.inv(A))
    a = right.keep(used)
    y: Array = np.asarray(np.linalg.solve(A, a.value[:, :, None])[:, :, 0], dtype=np.float64)
    # If an entry of the matrix has no bound, the solution has none, even where it meets a zero.
    with np.errstate(invalid="ignore"):
        rho = np.max(np.sum(inverse @ E, axis=2), axis=1, initial=0.0)[:, None]
        off = (E @ np.abs(y)[:, :, None])[:, :, 0] + a.error + 4 * size * arithmetic.tiny
        t = (inverse @ off[:, :, None])[:, :, 0]
        # Eq. (B68), subbit:  |ŷ − y| ≤ t + ρ / (1 − ρ) max t,  t = |A⁻¹| (E |y| + e_a)
        most = np.max(t, axis=1, keepdims=True, initial=0.0)
        error = t + rho / np.maximum(1.0 - rho, 0.5) * most
    return Rounded(y, np.where(rho < 0.5, error, np.inf), arithmetic).keep(used)


def _read(
    W: Input, H: Input, removed: npt.ArrayLike, arithmetic: Arithmetic
) -> tuple[Rounded, Rounded, Mask]:
    weights = arithmetic.checked("W", W)
    hessian = arithmetic.checked("H", H, shape=(weights.shape[1],) * 2)
    return weights, hessian, check_mask("removed", removed, weights.shape)


def removal_move_bound(
    W: Input, H: Input, removed: npt.ArrayLike, *, arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.removal.removal_move`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Damped Hessian, positive definite.
    removed : array_like of bool, shape (n, m)
        Weights that become zero.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The moved weights, shape (n, m), exact where they are zero.

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    1. In the inverse: ``w - y G``, y being off as a solution with the port's ``G_pp``.
    2. In the Hessian, k being the kept ones: ``w_k + z``, z a solution with ``H_kk`` whose
       right-hand side is ``H_kp w_p``.

    The larger of the two is allowed.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> H = [[1.0, 0.5], [0.5, 1.0]]
    >>> removed = [[True, False]]
    >>> removal_move_bound([[1.0, 1.0]], H, removed, arithmetic=Arithmetic("float32")).value
    array([[0. , 1.5]])
    """
    weights, hessian, gone = _read(W, H, removed, arithmetic)
    G = inverse_bound(hessian, arithmetic=arithmetic)
    # Eq. (B69), subbit:  the larger error of w − y G and of w_k + z
    moved = weights - _solved(G, gone, weights) @ G
    right = weights.keep(gone) @ hessian
    other = weights + _solved(hessian, ~gone, right)
    return moved.or_else(other).keep(~gone)


def removal_loss_bound(
    W: Input, H: Input, removed: npt.ArrayLike, *, arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.removal.removal_loss`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Damped Hessian, positive definite.
    removed : array_like of bool, shape (n, m)
        Weights that become zero.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Losses, shape (n,).

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    ``½ Σ w y`` with y as in :func:`removal_move_bound`, or ``½ d H dᵀ`` with the move.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> H = [[1.0, 0.5], [0.5, 1.0]]
    >>> removal_loss_bound([[1.0, 1.0]], H, [[True, False]], arithmetic=Arithmetic()).value
    array([0.375])
    """
    weights, hessian, gone = _read(W, H, removed, arithmetic)
    G = inverse_bound(hessian, arithmetic=arithmetic)
    y = _solved(G, gone, weights)
    # Eq. (B63), subbit:  the larger error of ½ Σ w y and of ½ d H dᵀ
    direct = (weights * y).sum("row", gone).flip(0.5)
    moved = removal_move_bound(weights, hessian, gone, arithmetic=arithmetic) - weights
    risen = ((moved @ hessian) * moved).sum("row").flip(0.5)
    return direct.or_else(risen)


def _choice_losses(weights: Rounded, G: Rounded, choices: Mask) -> tuple[Array, Array]:
    """Losses of all choices of a group and their bounds, each of shape (n, C)."""
    rows, count = weights.shape[0], len(choices)
    repeated = Rounded(
        np.repeat(weights.value, count, axis=0),
        np.repeat(weights.error, count, axis=0),
        weights.arithmetic,
    )
    gone = np.tile(~choices, (rows, 1))  # (n C, M)
    loss = (repeated * _solved(G, gone, repeated)).sum("row", gone).flip(0.5)
    return loss.value.reshape(rows, count), loss.error.reshape(rows, count)  # (n C,) -> (n, C)


def removal_mask_margin(
    W: Input, H: Input, mask: npt.ArrayLike, keep: int, group: int, *, arithmetic: Arithmetic
) -> Rounded:
    """Margin of a port's mask: each group's loss above the least loss.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Damped Hessian, positive definite.
    mask : array_like of bool, shape (n, m)
        Kept weights that a port chose, N of each M.
    keep, group : int
        N and M.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Loss of each group above the least, and how much of it rounding explains, shape
        (n, m / M).

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    A port may choose c instead of the best b while ``L_c - L_b <= e_c + e_b``.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W, H = [[1.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]
    >>> removal_mask_margin(W, H, [[True, False]], 1, 2, arithmetic=Arithmetic()).value
    array([[1.5]])
    """
    weights, hessian, kept = _read(W, H, mask, arithmetic)
    G = inverse_bound(hessian, arithmetic=arithmetic)
    count = comb(group, keep)
    choices = unrank_patterns(np.arange(count)[None], keep, group).reshape(count, group)  # (C, M)
    places = [slice(first, first + group) for first in range(0, kept.shape[1], group)]
    losses = [_choice_losses(weights[:, c], G[c, c], choices) for c in places]
    value, error = (np.stack(part, axis=1) for part in zip(*losses, strict=True))  # (n, m/M, C)
    best = np.argmin(value, axis=2)[:, :, None]
    taken = rank_patterns(kept, keep, group)[:, :, None]

    def at(numbers: Array, index: AnyArray) -> Array:
        return np.take_along_axis(numbers, index, axis=2)[:, :, 0]  # (n, m/M, C) -> (n, m/M)

    # Eq. (B64), subbit:  L_c − L_b ≤ e_c + e_b
    return Rounded(
        at(value, taken) - at(value, best), at(error, taken) + at(error, best), arithmetic
    )
