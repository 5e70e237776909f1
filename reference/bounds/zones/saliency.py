"""Bounds of saliency
==================

How far a correct port's scores may deviate. Return values are as in
:mod:`~subbit.reference.bounds.groups.binarize`.
"""

import numpy as np

from subbit.reference.bounds.hessian import inverse_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded


def _inverse_diagonal(H: Input, width: int, arithmetic: Arithmetic) -> Rounded:
    matrix = arithmetic.checked("H", H, shape=(width, width))
    inverse = inverse_bound(matrix, arithmetic=arithmetic)
    return Rounded(np.diag(inverse.value), np.diag(inverse.error), arithmetic)


def inverse_hessian_saliency_bound(W: Input, H: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.zones.saliency.inverse_hessian_saliency`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Damped Hessian, positive definite.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, m).

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    The diagonal y of the inverse is off as in :func:`inverse_bound`; the score by
    ``2 e_w / |w| + 2 e_y / y`` and five roundings, relative to itself and to first order.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> H = [[2.0, 0.0], [0.0, 1.0]]
    >>> inverse_hessian_saliency_bound([[1.0, 2.0]], H, arithmetic=Arithmetic()).value
    array([[4., 4.]])
    """
    weights = arithmetic.checked("W", W)
    diagonal = _inverse_diagonal(H, weights.shape[1], arithmetic)[None]
    return _squared_quotient(weights, diagonal)


def _squared_quotient(w: Rounded, y: Rounded) -> Rounded:
    # Eq. (B32), subbit:  e_s / s ≤ 2 e_w / |w| + 2 e_y / y + γ_5,  y = [H⁻¹]_jj or U_jj
    quotient = (w * w) / (y * y)
    # One more rounding where the quotient is squared instead.
    return quotient.widen(w.arithmetic.gamma(1) * quotient.reach)


def obs_saliency_bound(W: Input, H: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.zones.saliency.obs_saliency`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Damped Hessian, positive definite.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, m).

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    As in :func:`inverse_hessian_saliency_bound`, with the diagonal once.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> obs_saliency_bound([[1.0, 2.0]], [[2.0, 0.0], [0.0, 1.0]], arithmetic=Arithmetic()).value
    array([[2., 4.]])
    """
    weights = arithmetic.checked("W", W)
    # Eq. (B33), subbit:  e_s / s ≤ 2 e_w / |w| + e_y / y + γ_3
    return weights * weights / _inverse_diagonal(H, weights.shape[1], arithmetic)[None]


def trailing_saliency_bound(W: Input, U: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.zones.saliency.trailing_saliency`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    U : array_like of float64 or Rounded, shape (k, k)
        Inverse factor.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, k).

    Notes
    -----
    ``w² / u²`` has at most five roundings and doubles the relative errors of both.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> U = [[0.5, 0.1], [0.0, 2.0]]
    >>> bound = trailing_saliency_bound([[1.0, 2.0]], U, arithmetic=Arithmetic("float32"))
    >>> bound.value, bound.error.max() < 2e-6
    (array([[4., 1.]]), np.True_)
    """
    weights = arithmetic.checked("W", W)
    factor = arithmetic.checked("U", U, shape=(weights.shape[1],) * 2)
    diagonal = Rounded(np.diag(factor.value), np.diag(factor.error), arithmetic)
    return _squared_quotient(weights, diagonal[None])
