"""Salient columns
===============

Columns in decreasing order of importance, and how many of them are salient.

The objective of a number of columns is the error of binarizing them and the rest separately.
Both forms of the search give the same numbers: as the equation reads, and from running sums
over the ranked columns.
"""

from collections.abc import Mapping

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.scalars import Orders, Whole
from subbit.reference.contracts.words import (
    ALIVE,
    CENTER,
    COUNTED,
    COUNTS,
    RANKING,
    SCORES,
    SIGN_ZERO,
    TARGET,
    WEIGHTS,
)
from subbit.reference.groups.group_error import group_error
from subbit.reference.notation import Array, Indices, Mask, SignOfZero
from subbit.reference.records import Config

from .partition import PARTITION, Partition
from .running import prefix_errors
from .search import Search


@contract(2, S=matrix("n", "k", text="Scores."))
def column_saliency(S: Array) -> Array:
    """Sum the absolute scores in each column.

    Returns
    -------
    ndarray of float64, shape (k,)
        Column scores.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 2.

    Examples
    --------
    >>> column_saliency([[1.0, -2.0], [1.0, 2.0]])
    array([2., 4.])
    """
    # Alg. 2, BiLLM:  Σ_i |S_ij|
    return np.asarray(np.sum(np.abs(S), axis=0))


@contract(1, scores=matrix("k", text="Column scores."))
def rank_columns(scores: Array) -> Indices:
    """Rank columns in decreasing order of their score.

    Returns
    -------
    ndarray of intp, shape (k,)
        Column numbers; of equal scores, the lower number comes first.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 2.

    Examples
    --------
    >>> rank_columns([1.0, 3.0, 1.0])
    array([1, 0, 2])
    """
    # Alg. 2, BiLLM:  columns by topk(Σ_i |S_ij|)
    return np.argsort(-scores, kind="stable")


SEARCH: Mapping[str, Kind] = {
    "target": TARGET,
    "ranking": RANKING,
    "counts": COUNTS,
    "orders": Orders(2, text="Orders of binarization of the salient columns and of the rest."),
    "center": CENTER,
    "sign_zero": SIGN_ZERO,
    "entries": COUNTED,
}


@contract(2, **SEARCH)
def salient_search_direct(
    target: Array,
    ranking: Indices,
    counts: Indices,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: Mask | None = None,
) -> Search:
    """Find how many of the ranked columns to make salient, directly from the equation.

    Returns
    -------
    Search
        The counts and their squared errors.

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
    objectives = []
    kept = np.ones(target.shape, dtype=np.bool_) if entries is None else entries
    for s in counts:
        salient, rest = np.zeros((2, *target.shape), dtype=np.bool_)
        chosen, left = ranking[:s], ranking[s:]
        salient[:, chosen], rest[:, left] = kept[:, chosen], kept[:, left]
        # Eq. (5), BiLLM:  ‖W − (α_sal sign(W_sal) ∪ α_uns sign(W_uns))‖²
        objectives.append(
            group_error(target, salient, orders[0], center=center, sign_zero=sign_zero)
            + group_error(target, rest, orders[1], center=center, sign_zero=sign_zero)
        )
    return Search(counts, np.array(objectives))


@contract(2, **SEARCH)
def salient_search(
    target: Array,
    ranking: Indices,
    counts: Indices,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: Mask | None = None,
) -> Search:
    """Find how many of the ranked columns to make salient, from running sums.

    Returns
    -------
    Search
        The counts and their squared errors, equal to those of
        :func:`salient_search_direct`.

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
    ranked = target[:, ranking]
    part = None if entries is None else entries[:, ranking]
    salient = prefix_errors(
        ranked, counts, order=orders[0], center=center, sign_zero=sign_zero, part=part
    )
    rest = prefix_errors(
        ranked[:, ::-1],
        len(ranking) - counts,
        order=orders[1],
        center=center,
        sign_zero=sign_zero,
        part=None if part is None else part[:, ::-1],
    )
    # Eq. (5), BiLLM:  both parts are runs of the ranked columns
    return Search(counts, salient + rest)


def _candidates(counts: tuple[int, int], available: int, blocks: int = 1) -> Indices:
    low, high = (min(count * blocks, available) for count in counts)
    return np.arange(low, high + 1)


@contract(
    2,
    W=WEIGHTS,
    S=SCORES,
    alive=ALIVE.says("Columns that may be salient."),
    config=Config(Partition),
    blocks=Whole(text="Number of blocks in `W`; the range of counts is per block."),
    entries=COUNTED.says(
        "Entries whose errors count, such as those that are not pruned; all by default."
    ),
)
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
        config.searched(W, S),
        ranking,
        _candidates(config.counts, len(ranking), blocks),
        orders=config.search_orders,
        **config.binarizer,
        entries=entries,
    )
    salient[ranking[: int(search.choice)]] = True
    return salient
