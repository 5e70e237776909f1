"""Saliency
========

BiLLM, arXiv 2402.04291v2, section 3.1 and Algorithm 2.

How much a weight matters. Four scores are in use, and they rank differently:

============================= ==================== ==================================
function                      score                where
============================= ==================== ==================================
``inverse_hessian_saliency``  ``w² / [H⁻¹]_jj²``   BiLLM, Eq. (3)
``trailing_saliency``         ``w² / U_jj²``       BiLLM, Algorithm 2, and all codes
``obs_saliency``              ``w² / [H⁻¹]_jj``    optimal brain surgeon, no order
``magnitude_saliency``        ``w``, signed        BiLLM's code, metric "magnitude"
============================= ==================== ==================================

``U_jj²`` is the corner of the inverse Hessian of the columns that are still free, so the
trailing score is twice the loss of zeroing a weight when all columns left of it are
fixed. It equals the unordered score in the first column only. ERRATA B-3.

The *salient search* takes columns in decreasing order of importance and asks how many of
them should form a group of their own. It tries all counts and keeps the first minimum.
It is here twice: ``salient_search_direct`` evaluates every count as the equation reads,
``salient_search`` gives the same objectives from running sums.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from .errors import ArgumentError, HessianError, check_mask, check_matrix
from .notation import AnyArray, Array, Indices, SignOfZero
from .numeric import group_error
from .running import prefix_errors


def _inverse_diagonal(H: npt.ArrayLike, width: int) -> Array:
    matrix = check_matrix("H", H, shape=(width, width))
    try:
        factor = scipy.linalg.cho_factor(matrix)
    except np.linalg.LinAlgError as error:
        raise HessianError("H", "a positive definite matrix", str(error)) from error
    return np.asarray(np.diag(scipy.linalg.cho_solve(factor, np.eye(width))))


def inverse_hessian_saliency(W: npt.ArrayLike, H: npt.ArrayLike) -> Array:
    """Score weights by the squared diagonal of the inverse Hessian.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights.
    H : array_like of float64, shape (m, m)
        Damped Hessian, positive definite.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Scores, not negative.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.
    HessianError
        If `H` is not positive definite.

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
    weights = check_matrix("W", W)
    # Eq. (3), BiLLM:  s_i = w_i² / [H⁻¹]_ii²
    return weights**2 / _inverse_diagonal(H, weights.shape[1]) ** 2


def trailing_saliency(W: npt.ArrayLike, U: npt.ArrayLike) -> Array:
    """Score weights by the diagonal of the inverse Hessian's factor.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights of a layer, or of a block of it.
    U : array_like of float64, shape (k, k)
        Inverse factor, or its diagonal block for the same columns.

    Returns
    -------
    ndarray of float64, shape (n, k)
        Scores, not negative.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or the diagonal is not positive.

    Notes
    -----
    ``s_ij = w_ij² / U_jj²``, twice the loss of zeroing ``w_ij`` once the columns left of
    it are fixed.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 2.

    Examples
    --------
    >>> trailing_saliency([[1.0, 2.0]], [[0.5, 0.1], [0.0, 2.0]])
    array([[4., 1.]])
    """
    weights = check_matrix("W", W)
    diagonal = np.diag(check_matrix("U", U, shape=(weights.shape[1],) * 2))
    if np.min(diagonal) <= 0.0:
        raise ArgumentError("U", "a positive diagonal", f"a smallest entry of {diagonal.min():g}")
    # Alg. 2, BiLLM:  S = W² / [H^c]²
    return weights**2 / diagonal**2


def obs_saliency(W: npt.ArrayLike, H: npt.ArrayLike) -> Array:
    """Score weights by the loss of zeroing one of them while all others may move.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights.
    H : array_like of float64, shape (m, m)
        Damped Hessian, positive definite.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Scores, not negative: twice the loss.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.
    HessianError
        If `H` is not positive definite.

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
    weights = check_matrix("W", W)
    # Eq. (2), GPTQ:  s_q = (quant(w_q) − w_q)² / [H⁻¹]_qq, here with quant = 0
    return weights**2 / _inverse_diagonal(H, weights.shape[1])


def magnitude_saliency(W: npt.ArrayLike) -> Array:
    """Score weights by themselves.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights.

    Returns
    -------
    ndarray of float64, shape (n, m)
        ``W``, signs kept: the released searches run on signed values with this metric.

    Raises
    ------
    ArgumentError
        If `W` is not a finite matrix.

    References
    ----------
    BiLLM's released code, option ``--salient_metric magnitude``.

    Examples
    --------
    >>> magnitude_saliency([[1.0, -2.0]])
    array([[ 1., -2.]])
    """
    # Eq. (10), subbit:  S = W
    return check_matrix("W", W).copy()


def column_saliency(S: npt.ArrayLike) -> Array:
    """Sum of absolute scores in each column.

    Parameters
    ----------
    S : array_like of float64, shape (n, k)
        Scores.

    Returns
    -------
    ndarray of float64, shape (k,)
        Column scores.

    Raises
    ------
    ArgumentError
        If `S` is not a finite matrix.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 2.

    Examples
    --------
    >>> column_saliency([[1.0, -2.0], [1.0, 2.0]])
    array([2., 4.])
    """
    # Alg. 2, BiLLM:  Σ_i |S_ij|
    return np.asarray(np.sum(np.abs(check_matrix("S", S)), axis=0))


def rank_columns(scores: npt.ArrayLike) -> Indices:
    """Columns in decreasing order of their score.

    Parameters
    ----------
    scores : array_like of float64, shape (k,)
        Column scores.

    Returns
    -------
    ndarray of intp, shape (k,)
        Column numbers; of equal scores the lower number comes first.

    Raises
    ------
    ArgumentError
        If `scores` is not a finite vector.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 2.

    Examples
    --------
    >>> rank_columns([1.0, 3.0, 1.0])
    array([1, 0, 2])
    """
    values = check_matrix("scores", scores, shape=(None,))
    # Alg. 2, BiLLM:  columns by topk(Σ_i |S_ij|)
    return np.argsort(-values, kind="stable")


@dataclass(frozen=True, eq=False)
class Search:
    """All candidates of a one-dimensional search and what they cost.

    Parameters
    ----------
    candidates : ndarray, shape (c,)
        Counts or thresholds, in the order in which they were tried.
    objectives : ndarray of float64, shape (c,)
        Squared error of each.

    Examples
    --------
    >>> import numpy as np
    >>> Search(np.array([3, 5, 7]), np.array([2.0, 1.0, 1.0])).choice
    5
    """

    candidates: AnyArray
    objectives: Array

    @property
    def best(self) -> int:
        """Position of the first minimum."""
        return int(np.argmin(self.objectives))

    @property
    def choice(self) -> int | float:
        """The candidate at that position."""
        return self.candidates[self.best].item()


def _check_ranking(ranking: npt.ArrayLike, width: int) -> Indices:
    order = np.asarray(ranking)
    valid = (
        order.ndim == 1
        and order.dtype.kind in "iu"
        and len(np.unique(order)) == order.size
        and order.size > 0
        and order.min() >= 0
        and order.max() < width
    )
    if not valid:
        raise ArgumentError("ranking", f"distinct column numbers below {width}", order.tolist())
    return order.astype(np.intp)


def _check_counts(counts: npt.ArrayLike, most: int) -> Indices:
    values = np.asarray(counts)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iu":
        raise ArgumentError("counts", "a list of whole numbers, not empty", values.tolist())
    if values.min() < 0 or values.max() > most:
        raise ArgumentError("counts", f"numbers from 0 to {most}", values.tolist())
    return values.astype(np.intp)


def salient_search_direct(
    target: npt.ArrayLike,
    ranking: npt.ArrayLike,
    counts: npt.ArrayLike,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: npt.ArrayLike | None = None,
) -> Search:
    """How many of the ranked columns to make salient, as the equation reads.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on.
    ranking : array_like of int, shape (a,)
        Distinct columns in decreasing order of importance; columns that are not in it
        belong to neither group.
    counts : array_like of int, shape (c,)
        Candidate numbers of salient columns, each from 0 to a.
    orders : tuple of int, default (1, 1)
        Orders of binarization of the salient columns and of the rest.
    center, sign_zero
        As in :func:`~subbit.reference.binarize.residual_binarize`.
    entries : array_like of bool, shape (n, k), optional
        The entries that belong to a group at all; all by default.

    Returns
    -------
    Search
        The counts and their squared errors.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or a column number is out of range.

    Notes
    -----
    ``‖W - (α_sal sign(W_sal) ∪ α_uns sign(W_uns))‖²`` for every count.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (5) and Algorithm 2.

    Examples
    --------
    >>> salient_search_direct([[9.0, 1.0, -1.0]], [0, 1, 2], [0, 1, 2]).choice
    1
    """
    values = check_matrix("target", target)
    order = _check_ranking(ranking, values.shape[1])
    numbers = _check_counts(counts, len(order))
    objectives = []
    kept = check_mask("entries", entries, values.shape)
    for s in numbers:
        salient, rest = np.zeros((2, *values.shape), dtype=np.bool_)
        salient[:, order[:s]], rest[:, order[s:]] = kept[:, order[:s]], kept[:, order[s:]]
        # Eq. (5), BiLLM:  ‖W − (α_sal sign(W_sal) ∪ α_uns sign(W_uns))‖²
        objectives.append(
            group_error(values, salient, orders[0], center=center, sign_zero=sign_zero)
            + group_error(values, rest, orders[1], center=center, sign_zero=sign_zero)
        )
    return Search(numbers, np.array(objectives))


def salient_search(
    target: npt.ArrayLike,
    ranking: npt.ArrayLike,
    counts: npt.ArrayLike,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: npt.ArrayLike | None = None,
) -> Search:
    """How many of the ranked columns to make salient, from running sums.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on.
    ranking : array_like of int, shape (a,)
        Distinct columns in decreasing order of importance; columns that are not in it
        belong to neither group.
    counts : array_like of int, shape (c,)
        Candidate numbers of salient columns, each from 0 to a.
    orders : tuple of int, default (1, 1)
        Orders of binarization of the salient columns and of the rest.
    center, sign_zero
        As in :func:`~subbit.reference.binarize.residual_binarize`.
    entries : array_like of bool, shape (n, k), optional
        The entries that belong to a group at all; all by default.

    Returns
    -------
    Search
        The counts and their squared errors, equal to those of
        :func:`salient_search_direct`.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or a column number is out of range.

    Notes
    -----
    With the columns in the order of their ranking, both groups of every candidate are
    runs of columns: one ends at the count and one starts there.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (5) and Algorithm 2.

    Examples
    --------
    >>> salient_search([[9.0, 1.0, -1.0]], [0, 1, 2], [0, 1, 2]).choice
    1
    """
    values = check_matrix("target", target)
    order = _check_ranking(ranking, values.shape[1])
    numbers = _check_counts(counts, len(order))
    ranked = values[:, order]
    part = None if entries is None else check_mask("entries", entries, values.shape)[:, order]
    # Eq. (5), BiLLM:  both parts are runs of the ranked columns
    salient = prefix_errors(
        ranked, numbers, order=orders[0], center=center, sign_zero=sign_zero, part=part
    )
    rest = prefix_errors(
        ranked[:, ::-1],
        len(order) - numbers,
        order=orders[1],
        center=center,
        sign_zero=sign_zero,
        part=None if part is None else part[:, ::-1],
    )
    return Search(numbers, salient + rest)
