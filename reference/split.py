"""Splitting a block into groups
=============================

BiLLM, arXiv 2402.04291v2, sections 3.1 and 3.3, Algorithm 2, Appendix C.

Two one-dimensional searches shape a block. The *salient search* takes columns in
decreasing order of importance and asks how many of them should form a group of their
own. The *bell split* cuts the other columns' entries at a magnitude into a concentrated
and a sparse group. Each search tries all its candidates and keeps the first minimum.

Both are here twice: ``..._direct`` evaluates every candidate as the equation reads, and
the plain name gives the same objectives from running sums.

=============== ========= ============================================================
symbol          shape     meaning
=============== ========= ============================================================
``target``      (n, k)    what errors are measured on: weights (paper), scores (code)
``ranking``     (a,)      columns in decreasing order of importance
``columns``     (k,)      boolean, the columns that the bell split may use
``key``         (n, k)    the magnitude that is cut
=============== ========= ============================================================

Differences between paper and code: ERRATA B-4 to B-9 and B-11.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .binarize import residual_binarize
from .errors import ArgumentError, check_count, check_mask, check_matrix
from .notation import AnyArray, Array, Indices, Mask, SignOfZero
from .running import interval_errors, prefix_errors


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


def _group_error(
    target: Array, mask: Mask, order: int, *, center: bool, sign_zero: SignOfZero
) -> float:
    group = residual_binarize(target, mask, order=order, center=center, sign_zero=sign_zero)
    return float(np.sum((np.where(mask, target, 0.0) - group.decode()) ** 2))


def salient_search_direct(
    target: npt.ArrayLike,
    ranking: npt.ArrayLike,
    counts: npt.ArrayLike,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
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
    for s in numbers:
        salient, rest = np.zeros((2, *values.shape), dtype=np.bool_)
        salient[:, order[:s]], rest[:, order[s:]] = True, True
        # Eq. (5), BiLLM:  ‖W − (α_sal sign(W_sal) ∪ α_uns sign(W_uns))‖²
        objectives.append(
            _group_error(values, salient, orders[0], center=center, sign_zero=sign_zero)
            + _group_error(values, rest, orders[1], center=center, sign_zero=sign_zero)
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
    # Eq. (5), BiLLM:  both parts are runs of the ranked columns
    salient = prefix_errors(ranked, numbers, order=orders[0], center=center, sign_zero=sign_zero)
    rest = prefix_errors(
        ranked[:, ::-1], len(order) - numbers, order=orders[1], center=center, sign_zero=sign_zero
    )
    return Search(numbers, salient + rest)


def maximum_grid(key: npt.ArrayLike) -> Array:
    """Thresholds at tenths of the largest magnitude.

    Parameters
    ----------
    key : array_like of float64, any shape
        Magnitudes.

    Returns
    -------
    ndarray of float64, shape (9,)
        0.1, 0.2, … 0.9 times the maximum.

    Raises
    ------
    ArgumentError
        If `key` is empty or not finite.

    Notes
    -----
    Algorithm 2 prints the upper end as 9; the text and Appendix C mean 0.9.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (13) and Algorithm 2.

    Examples
    --------
    >>> maximum_grid([0.0, 10.0])
    array([1., 2., 3., 4., 5., 6., 7., 8., 9.])
    """
    magnitudes = check_matrix("key", np.ravel(key), shape=(None,))
    # Alg. 2, BiLLM:  p = i · max|W|,  i = 0.1, 0.2, …, 0.9
    return np.asarray(np.arange(1, 10) * magnitudes.max() / 10)


def quantile_grid(key: npt.ArrayLike, levels: int = 81) -> Array:
    """Thresholds at quantiles of the magnitudes from 0.10 to 0.90.

    Parameters
    ----------
    key : array_like of float64, any shape
        Magnitudes.
    levels : int, default 81
        Number of quantiles.

    Returns
    -------
    ndarray of float64, shape (levels,)
        Thresholds, not decreasing, linearly interpolated.

    Raises
    ------
    ArgumentError
        If `key` is empty or not finite, or `levels` is not a whole number.

    References
    ----------
    BiLLM's released code.

    Examples
    --------
    >>> quantile_grid([0.0, 1.0, 2.0], levels=3)
    array([0.2, 1. , 1.8])
    """
    magnitudes = check_matrix("key", np.ravel(key), shape=(None,))
    # Eq. (15), subbit:  p_i = quantile(|W|, 0.1 + 0.8 i / (levels − 1))
    cuts = np.linspace(0.1, 0.9, check_count("levels", levels))
    return np.asarray(np.quantile(magnitudes, cuts))


def breakpoint_grid(key: npt.ArrayLike) -> Array:
    """Every magnitude that occurs: the search over it is exact.

    Parameters
    ----------
    key : array_like of float64, any shape
        Magnitudes.

    Returns
    -------
    ndarray of float64, shape (distinct values,)
        Thresholds in increasing order.

    Raises
    ------
    ArgumentError
        If `key` is empty or not finite.

    Examples
    --------
    >>> breakpoint_grid([2.0, 1.0, 2.0])
    array([1., 2.])
    """
    # Eq. (13), BiLLM:  p* = argmin_p θ²(p) changes only where p passes an entry
    return np.asarray(np.unique(check_matrix("key", np.ravel(key), shape=(None,))))


def bell_split(
    key: npt.ArrayLike, columns: npt.ArrayLike, threshold: float, *, closed: bool = True
) -> tuple[Mask, Mask]:
    """Cut the entries of some columns at a magnitude.

    Parameters
    ----------
    key : array_like of float64, shape (n, k)
        Magnitudes.
    columns : array_like of bool, shape (k,)
        The columns that take part.
    threshold : float
        Where to cut.
    closed : bool, default True
        Whether an entry at the threshold is concentrated (paper) or sparse (code).

    Returns
    -------
    concentrated, sparse : ndarray of bool, shape (n, k)
        Disjoint masks that cover the columns that take part.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (11).

    Examples
    --------
    >>> bell_split([[1.0, 2.0, 3.0]], [True, True, False], 1.0)
    (array([[ True, False, False]]), array([[False,  True, False]]))
    """
    magnitudes = check_matrix("key", key)
    part = check_mask("columns", columns, magnitudes.shape[1:])
    # Eq. (11), BiLLM:  W_c: |w| ≤ p,  W_s: |w| > p
    below = magnitudes <= threshold if closed else magnitudes < threshold
    return below & part, ~below & part


def _check_split(
    target: npt.ArrayLike, columns: npt.ArrayLike, thresholds: npt.ArrayLike
) -> tuple[Array, Mask, Array]:
    values = check_matrix("target", target)
    part = check_mask("columns", columns, values.shape[1:])
    return values, part, check_matrix("thresholds", thresholds, shape=(None,))


def bell_split_search_direct(
    target: npt.ArrayLike,
    columns: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    key: npt.ArrayLike | None = None,
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries, as the equation reads.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on.
    columns : array_like of bool, shape (k,)
        The columns that take part.
    thresholds : array_like of float64, shape (c,)
        Candidates.
    key : array_like of float64, shape (n, k), optional
        What is cut; ``|target|`` by default.
    center, sign_zero
        As in :func:`~subbit.reference.binarize.residual_binarize`.
    closed : bool, default True
        As in :func:`bell_split`.

    Returns
    -------
    Search
        The thresholds and their squared errors.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Notes
    -----
    ``θ²(p) = ‖W_s - α_s B_s‖² + ‖W_c - α_c B_c‖²`` for every threshold.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eqs. (11) and (13).

    Examples
    --------
    >>> bell_split_search_direct([[1.0, -1.0, 5.0]], [True] * 3, [0.5, 2.0]).choice
    2.0
    """
    values, part, cuts = _check_split(target, columns, thresholds)
    magnitudes = np.abs(values) if key is None else check_matrix("key", key, shape=values.shape)
    objectives = []
    for p in cuts:
        concentrated, sparse = bell_split(magnitudes, part, p, closed=closed)
        # Eq. (11), BiLLM:  θ²(p) = ‖W_s − α_s B_s‖² + ‖W_c − α_c B_c‖²
        objectives.append(
            _group_error(values, sparse, 1, center=center, sign_zero=sign_zero)
            + _group_error(values, concentrated, 1, center=center, sign_zero=sign_zero)
        )
    return Search(cuts, np.array(objectives))


def bell_split_search(
    target: npt.ArrayLike,
    columns: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries, from running sums of its sorted rows.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on; its magnitude is what is cut.
    columns : array_like of bool, shape (k,)
        The columns that take part.
    thresholds : array_like of float64, shape (c,)
        Candidates.
    center, sign_zero
        As in :func:`~subbit.reference.binarize.residual_binarize`.
    closed : bool, default True
        As in :func:`bell_split`.

    Returns
    -------
    Search
        The thresholds and their squared errors, equal to those of
        :func:`bell_split_search_direct`.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Notes
    -----
    In a sorted row the concentrated group is one run of entries, and the sparse group is
    what lies on its two sides.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eqs. (11) and (13).

    Examples
    --------
    >>> bell_split_search([[1.0, -1.0, 5.0]], [True] * 3, [0.5, 2.0]).choice
    2.0
    """
    values, part, cuts = _check_split(target, columns, thresholds)
    if not part.any():
        return Search(cuts, np.zeros(len(cuts)))
    # Eq. (13), BiLLM:  p* = argmin_p θ²(p)
    errors = interval_errors(
        values[:, part], cuts, center=center, sign_zero=sign_zero, closed=closed
    )
    return Search(cuts, errors)
