"""Trisection
==========

STBLLM, arXiv 2408.01803, section 3.4, Algorithm 2.

The entries that are not salient are cut at two magnitudes into a *dense*, an
*intermediate* and a *sparse* group, each binarized for itself. The second magnitude is
tied to the first by a factor, so the search tries a line of candidates, as that of the
bell split does: for every t one objective, the first minimum is taken. With a factor
beyond all magnitudes the third group is empty, and what is left is the bell split.

The released code cuts squared saliency scores at t and 2t, a ratio of √2 in ``|w|``. Its
candidates are 160 quantiles from 0.10 to 0.90 of all scores, with zeros where entries take
no part, as far as 2t does not exceed the last of them; where none qualifies it stops with
an error, and here all are tried. The paper's own grid is not known to us.

The search is here twice, as in ``split``: ``..._direct`` evaluates every candidate as the
equation reads, and the plain name gives the same objectives from running sums.

============ ========= ===========================================================
symbol       shape     meaning
============ ========= ===========================================================
``target``   (n, k)    what errors are measured on
``columns``  (k,)      what takes part; of shape (n, k) entries
``key``      (n, k)    the magnitude that is cut
``t``        (c,)      candidates for the lower magnitude
============ ========= ===========================================================
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.checks import checked_factor, checked_part, checked_search
from subbit.reference.errors import check_choice, check_count, check_matrix
from subbit.reference.groups.group_error import group_error
from subbit.reference.notation import Array, Mask, SignOfZero

from .search import Search
from .sorted_rows import nested_errors


def trisection(
    key: npt.ArrayLike,
    columns: npt.ArrayLike,
    threshold: float,
    *,
    factor: float = 2.0,
    closed: bool = True,
) -> tuple[Mask, Mask, Mask]:
    """Cut the entries of some columns at two magnitudes.

    Parameters
    ----------
    key : array_like of float64, shape (n, k)
        Magnitudes.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    threshold : float
        The lower magnitude.
    factor : float, default 2.0
        The upper magnitude divided by the lower one.
    closed : bool, default True
        Whether an entry at a magnitude belongs to the group below it; the released code
        puts it above.

    Returns
    -------
    dense, intermediate, sparse : ndarray of bool, shape (n, k)
        Disjoint masks that cover what takes part.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 2.

    Examples
    --------
    >>> dense, intermediate, sparse = trisection([[1.0, 2.0, 3.0]], [True] * 3, 1.0)
    >>> dense, sparse
    (array([[ True, False, False]]), array([[False, False,  True]]))
    """
    magnitudes = check_matrix("key", key)
    part = checked_part(columns, magnitudes.shape)
    upper = checked_factor(factor) * threshold
    # Alg. 2, STBLLM:  M₁: |w| ≤ p₁,  M₂: p₁ < |w| ≤ p₂,  M₃: |w| > p₂,  p₂ = 2 p₁
    below = magnitudes <= threshold if closed else magnitudes < threshold
    inner = below | (magnitudes <= upper if closed else magnitudes < upper)
    return below & part, inner & ~below & part, ~inner & part


def trisection_thresholds(thresholds: npt.ArrayLike, *, factor: float = 2.0) -> Array:
    """Candidates whose upper magnitude lies within the grid.

    Parameters
    ----------
    thresholds : array_like of float64, shape (c,)
        Magnitudes in increasing order.
    factor : float, default 2.0
        The upper magnitude divided by the lower one.

    Returns
    -------
    ndarray of float64, shape (a,)
        Those of which `factor` times is at most the last; all of them if there are none.

    Raises
    ------
    ArgumentError
        If `thresholds` is empty or not finite.

    References
    ----------
    STBLLM's released code, which has no answer if there are none.

    Examples
    --------
    >>> trisection_thresholds([1.0, 2.0, 3.0, 4.0]), trisection_thresholds([3.0, 4.0])
    (array([1., 2.]), array([3., 4.]))
    """
    cuts = check_matrix("thresholds", thresholds, shape=(None,))
    # Eq. (40), subbit:  {t : 2t ≤ t_c}, or all t if that is empty
    within = checked_factor(factor) * cuts <= cuts[-1]
    return cuts[within] if within.any() else cuts


def trisection_search_direct(
    target: npt.ArrayLike,
    columns: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    factor: float = 2.0,
    key: npt.ArrayLike | None = None,
    orders: tuple[int, int, int] = (1, 1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries in three, as the equation reads.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64, shape (c,)
        Candidates for the lower magnitude.
    factor : float, default 2.0
        The upper magnitude divided by the lower one.
    key : array_like of float64, shape (n, k), optional
        What is cut; ``|target|`` by default.
    orders : tuple of int, default (1, 1, 1)
        Orders of binarization of the dense, the intermediate and the sparse group.
    center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
    closed : bool, default True
        As in :func:`trisection`.

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
    ``θ²(t) = Σ_g ‖W_g - α_g B_g‖²`` over the three groups, for every threshold.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 2.

    Examples
    --------
    >>> trisection_search_direct([[1.0, -2.0, 5.0]], [True] * 3, [0.4, 1.0]).choice
    1.0
    """
    values, part, cuts = checked_search(target, columns, thresholds)
    first, second, third = (check_count("orders", order) for order in orders)
    magnitudes = np.abs(values) if key is None else check_matrix("key", key, shape=values.shape)
    objectives = []
    for t in cuts:
        masks = trisection(magnitudes, part, t, factor=factor, closed=closed)
        # Eq. (41), subbit:  θ²(t) = Σ_g ‖W_g − α_g B_g‖²,  g dense, intermediate, sparse
        errors = [
            group_error(values, mask, order, center=center, sign_zero=sign_zero)
            for mask, order in zip(masks, (first, second, third), strict=True)
        ]
        objectives.append(sum(errors))
    return Search(cuts, np.array(objectives))


def trisection_search(
    target: npt.ArrayLike,
    columns: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    factor: float = 2.0,
    orders: tuple[int, int, int] = (1, 1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries in three, from running sums of its sorted rows.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on; its magnitude is what is cut.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64, shape (c,)
        Candidates for the lower magnitude.
    factor : float, default 2.0
        The upper magnitude divided by the lower one.
    orders : tuple of int, default (1, 1, 1)
        Orders of binarization of the dense, the intermediate and the sparse group, 1 or 2.
    center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
    closed : bool, default True
        As in :func:`trisection`.

    Returns
    -------
    Search
        The thresholds and their squared errors, equal to those of
        :func:`trisection_search_direct`.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Notes
    -----
    In a sorted row the dense group is one run of entries, the intermediate one the runs at
    its two sides, and the sparse one those at the ends.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 2.

    Examples
    --------
    >>> trisection_search([[1.0, -2.0, 5.0]], [True] * 3, [0.4, 1.0]).choice
    1.0
    """
    values, part, cuts = checked_search(target, columns, thresholds)
    first, second, third = orders
    for order in orders:
        check_choice("orders", order, (1, 2))
    # Eq. (42), subbit:  t* = argmin_t θ²(t), the first of equal ones
    errors = nested_errors(
        values,
        np.stack([cuts, checked_factor(factor) * cuts]),
        orders=(first, second, third),
        center=center,
        sign_zero=sign_zero,
        closed=closed,
        part=part,
    )
    return Search(cuts, errors)
