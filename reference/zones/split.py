"""Splitting a block into groups
=============================

BiLLM, arXiv 2402.04291v2, sections 3.1 and 3.3, Algorithm 2, Appendix C; ARB-LLM,
arXiv 2410.03129, section 3.4.

The *bell split* cuts the entries of some columns at a magnitude into a concentrated and
a sparse group. Its search tries all candidates and keeps the first minimum. BiLLM cuts
the columns that are not salient, and binarizes both sides once; ARB-LLM's column-group
bitmap cuts the salient ones too, and binarizes their sides twice.

The search is here twice: ``..._direct`` evaluates every candidate as the equation reads,
and the plain name gives the same objectives from running sums. ``calibrated_split_search``
measures the error on the layer's outputs.

=============== ========= ============================================================
symbol          shape     meaning
=============== ========= ============================================================
``target``      (n, k)    what errors are measured on: weights (paper), scores (code)
``columns``     (k,)      boolean, the columns that the split may use
``key``         (n, k)    the magnitude that is cut
``S``           (k, k)    Gram matrix of the block's inputs
=============== ========= ============================================================

Differences between paper and code: ERRATA B-4 to B-9, B-11, D-8b, D-10, D-12.
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.checks import checked_part, checked_search
from subbit.reference.errors import check_choice, check_count, check_matrix
from subbit.reference.groups.binarize import residual_binarize
from subbit.reference.groups.group_error import group_error
from subbit.reference.notation import Array, Mask, SignOfZero

from .running import interval_errors
from .search import Search


def maximum_grid(key: npt.ArrayLike, levels: int = 9) -> Array:
    """Thresholds at shares of the largest magnitude from 0.1 to 0.9.

    Parameters
    ----------
    key : array_like of float64, any shape
        Magnitudes.
    levels : int, default 9
        Number of shares.

    Returns
    -------
    ndarray of float64, shape (levels,)
        By default 0.1, 0.2, … 0.9 times the maximum.

    Raises
    ------
    ArgumentError
        If `key` is empty or not finite, or `levels` is not a whole number.

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
    shares = np.linspace(1.0, 9.0, check_count("levels", levels))
    return np.asarray(shares * magnitudes.max() / 10)


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
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    threshold : float
        Where to cut.
    closed : bool, default True
        Whether an entry at the threshold is concentrated (paper) or sparse (code).

    Returns
    -------
    concentrated, sparse : ndarray of bool, shape (n, k)
        Disjoint masks that cover what takes part.

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
    part = checked_part(columns, magnitudes.shape)
    # Eq. (11), BiLLM:  W_c: |w| ≤ p,  W_s: |w| > p
    below = magnitudes <= threshold if closed else magnitudes < threshold
    return below & part, ~below & part


def _check_orders(orders: tuple[int, int]) -> tuple[int, int]:
    first, second = (check_count("orders", order) for order in orders)
    return first, second


def bell_split_search_direct(
    target: npt.ArrayLike,
    columns: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    key: npt.ArrayLike | None = None,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries, as the equation reads.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64, shape (c,)
        Candidates.
    key : array_like of float64, shape (n, k), optional
        What is cut; ``|target|`` by default.
    orders : tuple of int, default (1, 1)
        Orders of binarization of the concentrated and of the sparse group.
    center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
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
    values, part, cuts = checked_search(target, columns, thresholds)
    first, second = _check_orders(orders)
    magnitudes = np.abs(values) if key is None else check_matrix("key", key, shape=values.shape)
    objectives = []
    for p in cuts:
        concentrated, sparse = bell_split(magnitudes, part, p, closed=closed)
        # Eq. (11), BiLLM:  θ²(p) = ‖W_s − α_s B_s‖² + ‖W_c − α_c B_c‖²
        objectives.append(
            group_error(values, sparse, second, center=center, sign_zero=sign_zero)
            + group_error(values, concentrated, first, center=center, sign_zero=sign_zero)
        )
    return Search(cuts, np.array(objectives))


def bell_split_search(
    target: npt.ArrayLike,
    columns: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries, from running sums of its sorted rows.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on; its magnitude is what is cut.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64, shape (c,)
        Candidates.
    orders : tuple of int, default (1, 1)
        Orders of binarization of the concentrated and of the sparse group, 1 or 2.
    center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
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
    what lies on its two sides. What the first order leaves of a run are two runs, each
    moved as a whole, so that the second order needs running sums only as well.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eqs. (11) and (13).

    Examples
    --------
    >>> bell_split_search([[1.0, -1.0, 5.0]], [True] * 3, [0.5, 2.0]).choice
    2.0
    """
    values, part, cuts = checked_search(target, columns, thresholds)
    for order in orders:
        check_choice("orders", order, (1, 2))
    # Eq. (13), BiLLM:  p* = argmin_p θ²(p)
    errors = interval_errors(
        values,
        cuts,
        orders=orders,
        center=center,
        sign_zero=sign_zero,
        closed=closed,
        part=part,
    )
    return Search(cuts, errors)


def calibrated_split_search(
    target: npt.ArrayLike,
    columns: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    S: npt.ArrayLike,
    *,
    image: npt.ArrayLike | None = None,
    key: npt.ArrayLike | None = None,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries, measured on the layer's outputs.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64, shape (c,)
        Candidates.
    S : array_like of float64, shape (k, k)
        Gram matrix of the block's inputs.
    image : array_like of float64, shape (n, k), optional
        What the other entries decode to; by default what they are, without an error.
    key : array_like of float64, shape (n, k), optional
        What is cut; ``|target|`` by default.
    orders : tuple of int, default (1, 1)
        Orders of binarization of the concentrated and of the sparse group.
    center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
    closed : bool, default True
        As in :func:`bell_split`.

    Returns
    -------
    Search
        The thresholds and their calibrated errors.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Notes
    -----
    ``Tr(R S Rᵀ)`` for every threshold, ``R`` what the block's groups leave. The released
    code divides it by a constant.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (9).

    Examples
    --------
    >>> import numpy as np
    >>> W, everything = [[1.0, -1.0, 5.0]], [True] * 3
    >>> calibrated_split_search(W, everything, [0.5, 2.0], np.eye(3)).choice
    2.0
    """
    values, part, cuts = checked_search(target, columns, thresholds)
    first, second = _check_orders(orders)
    gram = check_matrix("S", S, shape=(values.shape[1],) * 2)
    magnitudes = np.abs(values) if key is None else check_matrix("key", key, shape=values.shape)
    others = values if image is None else check_matrix("image", image, shape=values.shape)
    fixed = np.where(part, 0.0, others)
    objectives = []
    for p in cuts:
        concentrated, sparse = bell_split(magnitudes, part, p, closed=closed)
        # Eq. (9), ARB-LLM:  L2 = ⟨S, RᵀR⟩,  R = W − Ŵ
        R = values - fixed
        for mask, order in ((concentrated, first), (sparse, second)):
            R -= residual_binarize(
                values, mask, order=order, center=center, sign_zero=sign_zero
            ).decode()
        objectives.append(np.sum((R @ gram) * R))
    return Search(cuts, np.array(objectives))
