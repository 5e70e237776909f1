"""Saliency
========

BiLLM, arXiv 2402.04291v2, section 3.1 and Algorithm 2.

How much a weight matters. Four scores are in use, and they rank weights differently:

============================= ==================== ==================================
function                      score                where
============================= ==================== ==================================
``inverse_hessian_saliency``  ``w² / [H⁻¹]_jj²``   BiLLM, Eq. (3)
``trailing_saliency``         ``w² / U_jj²``       BiLLM, Algorithm 2; released code
``obs_saliency``              ``w² / [H⁻¹]_jj``    optimal brain surgeon, no order
``magnitude_saliency``        ``w``, signed        BiLLM's code, metric "magnitude"
============================= ==================== ==================================

``U_jj²`` is the corner of the inverse Hessian of the columns that are still free, so the
trailing score is twice the loss of zeroing a weight when all columns to its left are
fixed. It equals the unordered score only in the first column. ERRATA B-3.

The *salient search* takes columns in decreasing order of importance and asks how many of
them should form a group of their own. It tries all counts and keeps the first minimum.
``salient`` has it twice: ``salient_search_direct`` evaluates every count as the equation
reads, ``salient_search`` gives the same objectives from running sums.
"""

import numpy as np
import scipy.linalg

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.words import DAMPED
from subbit.reference.errors import ArgumentError, HessianError
from subbit.reference.notation import Array


def _inverse_diagonal(H: Array) -> Array:
    try:
        factor = scipy.linalg.cho_factor(H)
    except np.linalg.LinAlgError as error:
        raise HessianError("H", "a positive definite matrix", str(error)) from error
    return np.asarray(np.diag(scipy.linalg.cho_solve(factor, np.eye(len(H)))))


@contract(2, W=matrix("n", "m"), H=DAMPED)
def inverse_hessian_saliency(W: Array, H: Array) -> Array:
    """Score weights by the squared diagonal of the inverse Hessian.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Scores, nonnegative.

    Notes
    -----
    ``s_ij = w_ij² / [H⁻¹]_jj²``.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (3).

    Examples
    --------
    >>> inverse_hessian_saliency([[1.0, 2.0]], [[2.0, 0.0], [0.0, 1.0]])
    array([[4., 4.]])
    """
    # Eq. (3), BiLLM:  s_i = w_i² / [H⁻¹]_ii²
    return W**2 / _inverse_diagonal(H) ** 2


@contract(
    2,
    W=matrix("n", "k", text="Weights of a layer, or of one of its blocks."),
    U=matrix("k", "k", text="Inverse factor, or its diagonal block for the same columns."),
)
def trailing_saliency(W: Array, U: Array) -> Array:
    """Score weights by the diagonal of the inverse Hessian's factor.

    Returns
    -------
    ndarray of float64, shape (n, k)
        Scores, nonnegative.

    Notes
    -----
    ``s_ij = w_ij² / U_jj²``, twice the loss of zeroing ``w_ij`` once the columns to its
    left are fixed.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 2.

    Examples
    --------
    >>> trailing_saliency([[1.0, 2.0]], [[0.5, 0.1], [0.0, 2.0]])
    array([[4., 1.]])
    """
    diagonal = np.diag(U)
    if np.min(diagonal) <= 0.0:
        raise ArgumentError("U", "a positive diagonal", f"a smallest entry of {diagonal.min():g}")
    # Alg. 2, BiLLM:  S = W² / [H^c]²
    return W**2 / diagonal**2


@contract(2, W=matrix("n", "m"), H=DAMPED)
def obs_saliency(W: Array, H: Array) -> Array:
    """Score weights by the loss of zeroing one of them while all others can move.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Scores, nonnegative: twice the loss.

    Notes
    -----
    ``s_ij = w_ij² / [H⁻¹]_jj``, the optimal brain surgeon's score.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, Eq. (2).

    Examples
    --------
    >>> obs_saliency([[1.0, 2.0]], [[2.0, 0.0], [0.0, 1.0]])
    array([[2., 4.]])
    """
    # Eq. (8), PBS2P:  s_ij = W_ij² / [H⁻¹]_jj
    # Eq. (2), GPTQ:  s_q = (quant(w_q) − w_q)² / [H⁻¹]_qq, here with quant = 0
    return W**2 / _inverse_diagonal(H)


@contract(1, W=matrix("n", "m"))
def magnitude_saliency(W: Array) -> Array:
    """Score weights by themselves.

    Returns
    -------
    ndarray of float64, shape (n, m)
        ``W``, signs kept: the released searches run on signed values with this metric.

    References
    ----------
    BiLLM's released code, option ``--salient_metric magnitude``.

    Examples
    --------
    >>> magnitude_saliency([[1.0, -2.0]])
    array([[ 1., -2.]])
    """
    # Eq. (10), subbit:  S = W
    return W.copy()
