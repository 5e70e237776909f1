"""Trisection
==========

STBLLM, arXiv 2408.01803, Algorithm 2.

The entries that are not salient are cut at two magnitudes into a *dense*, an
*intermediate* and a *sparse* group, each binarized separately. The second magnitude is
tied to the first by a factor, so the search tries a line of candidates, like that of the
bell split: every t has one objective, and the first minimum is taken. With a factor
beyond all magnitudes, the third group is empty, and the result is the bell split.

The released code cuts squared saliency scores at t and 2t, a ratio of √2 in ``|w|``. Its
candidates are 160 quantiles from 0.10 to 0.90 of all scores, with zeros where entries take
no part, as long as 2t does not exceed the last of them; if none qualifies, it stops with an
error, while here all are tried. The paper's own grid is not known to us.

The search comes in two forms, as in ``split``: ``..._direct`` evaluates every candidate as
the equation reads, and the plain name gives the same objectives from running sums.

============ ========= ===========================================================
symbol       shape     meaning
============ ========= ===========================================================
``target``   (n, k)    values to measure errors on
``columns``  (k,)      columns that take part; of shape (n, k), entries
``key``      (n, k)    the magnitude that is cut
``t``        (c,)      candidates for the lower magnitude
============ ========= ===========================================================
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.scalars import Orders, Real, choice
from subbit.reference.contracts.words import (
    CENTER,
    COLUMNS,
    CUT_TARGET,
    FACTOR,
    KEY,
    MAGNITUDES,
    SIGN_ZERO,
    TARGET,
    THRESHOLDS,
)
from subbit.reference.groups.group_error import group_error
from subbit.reference.notation import Array, Mask, SignOfZero

from .search import Search
from .sorted_rows import nested_errors


@contract(
    1,
    key=MAGNITUDES,
    columns=COLUMNS,
    threshold=Real(text="The lower magnitude."),
    factor=FACTOR,
    closed=choice(
        bool,
        (
            "Whether an entry at a magnitude belongs to the group below it; the released code "
            "puts it above."
        ),
    ),
)
def trisection(
    key: Array,
    columns: Mask,
    threshold: float,
    *,
    factor: float = 2.0,
    closed: bool = True,
) -> tuple[Mask, Mask, Mask]:
    """Cut the entries of some columns at two magnitudes.

    Returns
    -------
    dense, intermediate, sparse : ndarray of bool, shape (n, k)
        Disjoint masks that cover the entries that take part.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 2.

    Examples
    --------
    >>> dense, intermediate, sparse = trisection([[1.0, 2.0, 3.0]], [True] * 3, 1.0)
    >>> dense, sparse
    (array([[ True, False, False]]), array([[False, False,  True]]))
    """
    upper = factor * threshold
    # Alg. 2, STBLLM:  M₁: |w| ≤ p₁,  M₂: p₁ < |w| ≤ p₂,  M₃: |w| > p₂,  p₂ = 2 p₁
    below = key <= threshold if closed else key < threshold
    inner = below | (key <= upper if closed else key < upper)
    return below & columns, inner & ~below & columns, ~inner & columns


@contract(
    2,
    thresholds=THRESHOLDS.says("Magnitudes in increasing order."),
    factor=FACTOR,
)
def trisection_thresholds(thresholds: Array, *, factor: float = 2.0) -> Array:
    """Return the candidates whose upper magnitude lies within the grid.

    Returns
    -------
    ndarray of float64, shape (a,)
        Thresholds t with ``factor · t`` at most the last one; all of them if none qualifies.

    References
    ----------
    STBLLM's released code, which has no answer if none qualifies.

    Examples
    --------
    >>> trisection_thresholds([1.0, 2.0, 3.0, 4.0]), trisection_thresholds([3.0, 4.0])
    (array([1., 2.]), array([3., 4.]))
    """
    # Eq. (40), subbit:  {t : 2t ≤ t_c}, or all t if that is empty
    within = factor * thresholds <= thresholds[-1]
    return thresholds[within] if within.any() else thresholds


@contract(
    2,
    target=TARGET,
    columns=COLUMNS,
    thresholds=THRESHOLDS.says("Candidates for the lower magnitude."),
    factor=FACTOR,
    key=KEY,
    orders=Orders(
        3, text=("Orders of binarization of the dense, the intermediate and the sparse group.")
    ),
    center=CENTER,
    sign_zero=SIGN_ZERO,
    closed=choice(bool, "As in :func:`trisection`."),
)
def trisection_search_direct(
    target: Array,
    columns: Mask,
    thresholds: Array,
    *,
    factor: float = 2.0,
    key: Array | None = None,
    orders: tuple[int, int, int] = (1, 1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries in three, directly from the equation.

    Returns
    -------
    Search
        The thresholds and their squared errors.

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
    magnitudes = np.abs(target) if key is None else key
    objectives = []
    for t in thresholds:
        masks = trisection(magnitudes, columns, t, factor=factor, closed=closed)
        errors = [
            group_error(target, mask, order, center=center, sign_zero=sign_zero)
            for mask, order in zip(masks, orders, strict=True)
        ]
        # Eq. (41), subbit:  θ²(t) = Σ_g ‖W_g − α_g B_g‖²,  g dense, intermediate, sparse
        objectives.append(sum(errors))
    return Search(thresholds, np.array(objectives))


@contract(
    2,
    target=CUT_TARGET,
    columns=COLUMNS,
    thresholds=THRESHOLDS.says("Candidates for the lower magnitude."),
    factor=FACTOR,
    orders=Orders(
        3,
        2,
        text=(
            "Orders of binarization of the dense, the intermediate and the sparse group, 1 or 2."
        ),
    ),
    center=CENTER,
    sign_zero=SIGN_ZERO,
    closed=choice(bool, "As in :func:`trisection`."),
)
def trisection_search(
    target: Array,
    columns: Mask,
    thresholds: Array,
    *,
    factor: float = 2.0,
    orders: tuple[int, int, int] = (1, 1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries in three, from running sums of its sorted rows.

    Returns
    -------
    Search
        The thresholds and their squared errors, equal to those of
        :func:`trisection_search_direct`.

    Notes
    -----
    In a sorted row, the dense group is one run of entries, the intermediate one the runs on
    its two sides, and the sparse one those at the ends.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 2.

    Examples
    --------
    >>> trisection_search([[1.0, -2.0, 5.0]], [True] * 3, [0.4, 1.0]).choice
    1.0
    """
    errors = nested_errors(
        target,
        np.stack([thresholds, factor * thresholds]),  # (2, c)
        orders=orders,
        center=center,
        sign_zero=sign_zero,
        closed=closed,
        part=columns,
    )
    return Search(thresholds, errors)
