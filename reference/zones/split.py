"""Splitting a block into groups
=============================

BiLLM, arXiv 2402.04291v2, sections 3.1 and 3.3, Algorithm 2, Appendix C; ARB-LLM,
arXiv 2410.03129, section 3.4.

The *bell split* cuts the entries of some columns at a magnitude into a concentrated and
a sparse group. Its search tries all candidates and keeps the first minimum. BiLLM cuts
the columns that are not salient, and binarizes both sides once; ARB-LLM's column-group
bitmap cuts the salient ones too, and binarizes their sides twice.

The search comes in two forms: ``..._direct`` evaluates every candidate as the equation reads,
and the plain name gives the same objectives from running sums. ``calibrated_split_search``
measures the error on the layer's outputs.

=============== ========= ============================================================
symbol          shape     meaning
=============== ========= ============================================================
``target``      (n, k)    values to measure errors on: weights (paper), scores (code)
``columns``     (k,)      boolean, the columns that the split may use
``key``         (n, k)    the magnitude that is cut
``S``           (k, k)    Gram matrix of the block's inputs
=============== ========= ============================================================

Differences between paper and code: ERRATA B-4 to B-9, B-11, D-8b, D-10, D-12.
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Values, matrix
from subbit.reference.contracts.scalars import Orders, Real, choice
from subbit.reference.contracts.words import (
    CENTER,
    COLUMNS,
    CUT_TARGET,
    GRAM,
    KEY,
    LEVELS,
    MAGNITUDES,
    SIGN_ZERO,
    TARGET,
    THRESHOLDS,
)
from subbit.reference.groups.binarize import residual_binarize
from subbit.reference.groups.group_error import group_error
from subbit.reference.notation import Array, Mask, SignOfZero

from .running import interval_errors
from .search import Search


@contract(2, key=Values(text="Magnitudes."), levels=LEVELS.says("Number of shares."))
def maximum_grid(key: Array, levels: int = 9) -> Array:
    """Return thresholds at shares of the largest magnitude from 0.1 to 0.9.

    Returns
    -------
    ndarray of float64, shape (levels,)
        By default 0.1, 0.2, … 0.9 times the maximum.

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
    # Alg. 2, BiLLM:  p = i · max|W|,  i = 0.1, 0.2, …, 0.9
    shares = np.linspace(1.0, 9.0, levels)
    return np.asarray(shares * key.max() / 10)


@contract(2, key=Values(text="Magnitudes."), levels=LEVELS.says("Number of quantiles."))
def quantile_grid(key: Array, levels: int = 81) -> Array:
    """Return thresholds at quantiles of the magnitudes from 0.10 to 0.90.

    Returns
    -------
    ndarray of float64, shape (levels,)
        Thresholds, nondecreasing, linearly interpolated.

    References
    ----------
    BiLLM's released code.

    Examples
    --------
    >>> quantile_grid([0.0, 1.0, 2.0], levels=3)
    array([0.2, 1. , 1.8])
    """
    # Eq. (15), subbit:  p_i = quantile(|W|, 0.1 + 0.8 i / (levels − 1))
    cuts = np.linspace(0.1, 0.9, levels)
    return np.asarray(np.quantile(key, cuts))


@contract(1, key=Values(text="Magnitudes."))
def breakpoint_grid(key: Array) -> Array:
    """Return every magnitude that occurs, which makes the search exact.

    Returns
    -------
    ndarray of float64, shape (distinct values,)
        Thresholds in increasing order.

    Examples
    --------
    >>> breakpoint_grid([2.0, 1.0, 2.0])
    array([1., 2.])
    """
    # Eq. (13), BiLLM:  p* = argmin_p θ²(p) changes only where p passes an entry
    return np.asarray(np.unique(key))


@contract(
    1,
    key=MAGNITUDES,
    columns=COLUMNS,
    threshold=Real(text="Magnitude at which to cut."),
    closed=choice(
        bool, ("Whether an entry at the threshold is concentrated (paper) or sparse (code).")
    ),
)
def bell_split(
    key: Array, columns: Mask, threshold: float, *, closed: bool = True
) -> tuple[Mask, Mask]:
    """Cut the entries of some columns at a magnitude.

    Returns
    -------
    concentrated, sparse : ndarray of bool, shape (n, k)
        Disjoint masks that cover the entries that take part.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (11).

    Examples
    --------
    >>> bell_split([[1.0, 2.0, 3.0]], [True, True, False], 1.0)
    (array([[ True, False, False]]), array([[False,  True, False]]))
    """
    # Eq. (11), BiLLM:  W_c: |w| ≤ p,  W_s: |w| > p
    below = key <= threshold if closed else key < threshold
    return below & columns, ~below & columns


@contract(
    2,
    target=TARGET,
    columns=COLUMNS,
    thresholds=THRESHOLDS,
    key=KEY,
    orders=Orders(2, text="Orders of binarization of the concentrated and of the sparse group."),
    center=CENTER,
    sign_zero=SIGN_ZERO,
    closed=choice(bool, "As in :func:`bell_split`."),
)
def bell_split_search_direct(
    target: Array,
    columns: Mask,
    thresholds: Array,
    *,
    key: Array | None = None,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries, directly from the equation.

    Returns
    -------
    Search
        The thresholds and their squared errors.

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
    magnitudes = np.abs(target) if key is None else key
    objectives = []
    for p in thresholds:
        concentrated, sparse = bell_split(magnitudes, columns, p, closed=closed)
        # Eq. (11), BiLLM:  θ²(p) = ‖W_s − α_s B_s‖² + ‖W_c − α_c B_c‖²
        objectives.append(
            group_error(target, sparse, orders[1], center=center, sign_zero=sign_zero)
            + group_error(target, concentrated, orders[0], center=center, sign_zero=sign_zero)
        )
    return Search(thresholds, np.array(objectives))


@contract(
    2,
    target=CUT_TARGET,
    columns=COLUMNS,
    thresholds=THRESHOLDS,
    orders=Orders(
        2, 2, text=("Orders of binarization of the concentrated and of the sparse group, 1 or 2.")
    ),
    center=CENTER,
    sign_zero=SIGN_ZERO,
    closed=choice(bool, "As in :func:`bell_split`."),
)
def bell_split_search(
    target: Array,
    columns: Mask,
    thresholds: Array,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries, from running sums of its sorted rows.

    Returns
    -------
    Search
        The thresholds and their squared errors, equal to those of
        :func:`bell_split_search_direct`.

    Notes
    -----
    In a sorted row, the concentrated group is one run of entries, and the sparse group is
    the runs on its two sides. The first order leaves two runs of each run, each shifted as a
    whole, so the second order needs only running sums too.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eqs. (11) and (13).

    Examples
    --------
    >>> bell_split_search([[1.0, -1.0, 5.0]], [True] * 3, [0.5, 2.0]).choice
    2.0
    """
    errors = interval_errors(
        target,
        thresholds,
        orders=orders,
        center=center,
        sign_zero=sign_zero,
        closed=closed,
        part=columns,
    )
    return Search(thresholds, errors)


@contract(
    2,
    target=TARGET,
    columns=COLUMNS,
    thresholds=THRESHOLDS,
    S=GRAM,
    image=matrix(
        "n",
        "k",
        text=("Decoded values of the other entries; by default the entries themselves, no error."),
    ),
    key=KEY,
    orders=Orders(2, text="Orders of binarization of the concentrated and of the sparse group."),
    center=CENTER,
    sign_zero=SIGN_ZERO,
    closed=choice(bool, "As in :func:`bell_split`."),
)
def calibrated_split_search(
    target: Array,
    columns: Mask,
    thresholds: Array,
    S: Array,
    *,
    image: Array | None = None,
    key: Array | None = None,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries, measured on the layer's outputs.

    Returns
    -------
    Search
        The thresholds and their calibrated errors.

    Notes
    -----
    ``Tr(R S Rᵀ)`` for every threshold, with ``R`` the residual of the block's groups. The
    released code divides it by a constant.

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
    magnitudes = np.abs(target) if key is None else key
    fixed = np.where(columns, 0.0, target if image is None else image)
    objectives = []
    for p in thresholds:
        concentrated, sparse = bell_split(magnitudes, columns, p, closed=closed)
        # Eq. (9), ARB-LLM:  L2 = ⟨S, RᵀR⟩,  R = W − Ŵ
        R = target - fixed
        for mask, order in zip((concentrated, sparse), orders, strict=True):
            R -= residual_binarize(
                target, mask, order=order, center=center, sign_zero=sign_zero
            ).decode()
        objectives.append(np.sum((R @ S) * R))
    return Search(thresholds, np.array(objectives))
