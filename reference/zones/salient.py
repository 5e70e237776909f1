"""Salient columns
===============

Columns in decreasing order of importance, and how many of them are salient.

The objective of a number of columns is the error of binarizing them and the rest apart.
Both forms of the search give the same numbers: as the equation reads, and from running
sums over the ranked columns.
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import ArgumentError, check_mask, check_matrix
from subbit.reference.groups.group_error import group_error
from subbit.reference.notation import Array, Indices, Mask, SignOfZero

from .partition import PARTITION, Partition
from .running import prefix_errors
from .search import Search


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
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
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
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
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


def _candidates(counts: tuple[int, int], available: int, blocks: int = 1) -> Indices:
    low, high = (min(count * blocks, available) for count in counts)
    return np.arange(low, high + 1)


def choose_salient(
    W: Array,
    S: Array,
    alive: Mask,
    config: Partition = PARTITION,
    *,
    blocks: int = 1,
    entries: Mask | None = None,
) -> Mask:
    """Choose the salient columns of a block, or of a whole matrix.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    S : ndarray of float64, shape (n, k)
        Saliency scores.
    alive : ndarray of bool, shape (k,)
        Columns that may be salient.
    config : Partition, default PARTITION
        The configuration.
    blocks : int, default 1
        Number of blocks in `W`; the range of counts is per block.
    entries : ndarray of bool, shape (n, k), optional
        The entries whose errors count, such as those that are not pruned; all by default.

    Returns
    -------
    ndarray of bool, shape (k,)
        True for salient columns.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (5) and Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[9.0, 1.0, -1.0, 1.0], [-9.0, 1.0, 1.0, 1.0]])
    >>> choose_salient(W, W**2, np.ones(4, dtype=bool), Partition(counts=(0, 3)))
    array([ True, False, False, False])
    """
    salient = np.zeros(len(alive), dtype=np.bool_)
    if not alive.any():
        return salient
    # Alg. 2, BiLLM:  columns by Σ_i |S_ij|, then the count with the smallest error
    ranking = rank_columns(np.where(alive, column_saliency(S), -1.0))[: np.count_nonzero(alive)]
    search = salient_search(
        W if config.search_on == "weights" else S,
        ranking,
        _candidates(config.counts, len(ranking), blocks),
        orders=config.search_orders,
        center=config.center,
        sign_zero=config.sign_zero,
        entries=entries,
    )
    salient[ranking[: int(search.choice)]] = True
    return salient
