"""Bounds of importance scores and sparsity masks
==============================================

How far a correct port's scores may deviate, and which entries it may keep in place of
others. Return values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``x``      (n, m)    shares of column and row, or their products with the norms
``f``      (m,)      powers of the norms
``s, e``   (n, m)    scores, and how far the port's may lie from them
========== ========= ===============================================================
"""

import numpy as np

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.bounds.zones.grids import bell_split_margin
from subbit.reference.errors import check_choice, check_count, check_share
from subbit.reference.notation import Array, Mask
from subbit.reference.pruning.sparsity import Axis, Standardize, nm_mask, row_mask

POWER = 8
"""Roundings of a library's power, which is rarely correctly rounded."""


def power_bound(base: Rounded, exponent: float) -> Rounded:
    """Bound of a power of nonnegative numbers.

    Parameters
    ----------
    base : Rounded
        The numbers ``x``, any shape.
    exponent : float
        ``a``, nonnegative; the port's is rounded to its type, and if nothing of it remains
        there is no bound.

    Returns
    -------
    Rounded
        ``x^a``; roots are powers too.

    Examples
    --------
    >>> root = power_bound(Arithmetic("float32").read([4.0, 0.0]), 0.5)
    >>> root.value, bool((root.error < 4e-6).all())
    (array([2., 0.]), True)
    """
    arithmetic = base.arithmetic
    value, high = base.value**exponent, base.reach**exponent
    low = np.maximum(base.value - base.error, 0.0) ** exponent
    distance = float(arithmetic.read(exponent).error)
    ends = np.stack([base.value, base.reach])  # (2, n, m)
    logarithm = np.abs(np.log(np.where(ends > 0.0, ends, 1.0))).max(axis=0)
    # Eq. (B70), subbit:  |x̂^â − x^a| ≤ max|(x ± e)^a − x^a| + (|ln x| |â − a| + γ_8) (x + e)^a
    carried = np.maximum(high - value, value - low) + distance * logarithm * high
    error = carried + arithmetic.gamma(POWER) * (value + carried) + arithmetic.tiny
    exact = (base.error == 0.0) & ((value == 0.0) | (exponent in {0.0, 1.0}))
    # An exponent too small for the port's type becomes zero, and zero to the power of zero is one.
    lost = distance >= exponent > 0.0
    return Rounded(value, np.where(lost, np.inf, np.where(exact, 0.0, error)), arithmetic)


def input_norms_bound(H: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.sparsity.input_norms`.

    Parameters
    ----------
    H : array_like of float64 or Rounded, shape (m, m)
        Proxy Hessian, not damped.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Norms, shape (m,).

    Examples
    --------
    >>> input_norms_bound([[8.0, 1.0], [1.0, 18.0]], arithmetic=Arithmetic("float32")).value
    array([2., 3.])
    """
    matrix = arithmetic.checked("H", H)
    diagonal = Rounded(np.diag(matrix.value), np.diag(matrix.error), arithmetic)
    # Eq. (B71), subbit:  |√(ĥ / 2) − √(h / 2)| ≤ the bound (B70) with a = 1/2
    return power_bound(diagonal / arithmetic.exactly(np.full(diagonal.shape, 2.0)), 0.5)


def wanda_importance_bound(W: Input, norms: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.sparsity.wanda_importance`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    norms : array_like of float64 or Rounded, shape (m,)
        Lengths of the inputs.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, m).

    Examples
    --------
    >>> wanda_importance_bound([[1.0, -2.0]], [3.0, 1.0], arithmetic=Arithmetic("float32")).value
    array([[3., 2.]])
    """
    weights, lengths = _read(W, norms, arithmetic)
    # Eq. (B72), subbit:  |ŝ − s| ≤ e_w ‖X_j‖ + |w| e_‖X‖ + γ_1 s
    return weights.absolute() * lengths[None]


def _read(W: Input, norms: Input, arithmetic: Arithmetic) -> tuple[Rounded, Rounded]:
    weights = arithmetic.checked("W", W)
    return weights, arithmetic.checked("norms", norms, shape=(weights.shape[1],))


def _share(magnitudes: Rounded, total: Rounded) -> Rounded:
    empty = (total.value == 0.0) & (total.error == 0.0)
    # An empty total has no shares: 0 / 1.
    whole = Rounded(np.where(empty, 1.0, total.value), total.error, total.arithmetic)
    return magnitudes / whole


def _relative(weights: Rounded) -> Rounded:
    magnitudes = weights.absolute()
    # Eq. (B73), subbit:  e_x ≤ Σ over row and column of (e_w + e_Σ |w| / Σ) / (Σ − e_Σ) + γ_3 x
    return _share(magnitudes, magnitudes.sum("column")[None]) + _share(
        magnitudes, magnitudes.sum("row")[:, None]
    )


def ria_importance_bound(
    W: Input, norms: Input, *, exponent: float = 0.5, arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.sparsity.ria_importance`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    norms : array_like of float64 or Rounded, shape (m,)
        Lengths of the inputs.
    exponent : float, default 0.5
        Power of the norms, from 0 to 1.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, m). Rows and columns whose sums a port may flush to zero have no
        bound.

    Examples
    --------
    >>> bound = ria_importance_bound([[1.0, -3.0]], [4.0, 1.0], arithmetic=Arithmetic("float32"))
    >>> bound.value, bool(bound.error.max() < 1e-5)
    (array([[2.5 , 1.75]]), True)
    """
    return standardized_importance_bound(
        W, norms, exponent=exponent, standardize="none", arithmetic=arithmetic
    )


def standardized_importance_bound(
    W: Input,
    norms: Input,
    *,
    exponent: float = 1.0,
    standardize: Standardize = "before",
    axis: Axis = "row",
    arithmetic: Arithmetic,
) -> Rounded:
    """Bound of :func:`~subbit.reference.pruning.sparsity.standardized_importance`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    norms : array_like of float64 or Rounded, shape (m,)
        Lengths of the inputs.
    exponent, standardize, axis
        As in :func:`~subbit.reference.pruning.sparsity.standardized_importance`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, m). Where rounding may decide whether values deviate at all, there
        is no bound.

    Notes
    -----
    Values may be centered as they are, or measured from one of them first; sums over a row
    are in the port's own order, those over a matrix in any order.

    Examples
    --------
    >>> bound = standardized_importance_bound(
    ...     [[1.0, -3.0]], [4.0, 1.0], arithmetic=Arithmetic("float32")
    ... )
    >>> bound.value, bool(bound.error.max() < 1e-4)
    (array([[-4.,  1.]]), True)
    """
    check_choice("standardize", standardize, ("before", "after", "none"))
    weights, lengths = _read(W, norms, arithmetic)
    factor = power_bound(lengths, check_share("exponent", exponent))[None]
    importance = _relative(weights)
    if standardize == "before":
        importance = _standardized(importance, axis)
    # A score of 0 times something without a bound has no bound either.
    with np.errstate(invalid="ignore"):
        scores = importance * factor
    return _standardized(scores, axis) if standardize == "after" else scores


def _mean(x: Rounded, axis: Axis) -> Rounded:
    if axis == "row":
        return x.sum("row")[:, None] / x.arithmetic.exactly(np.full((len(x.value), 1), x.shape[1]))
    total = x.total()
    return total / x.arithmetic.exactly(np.array(float(x.value.size)))


def _standardized(x: Rounded, axis: Axis) -> Rounded:
    moved = x - (x[:, :1] if axis == "row" else x[0, 0])
    centered = (moved - _mean(moved, axis)).or_else(x - _mean(x, axis))
    deviation = power_bound(_mean(centered * centered, axis), 0.5)
    # Eq. (B74), subbit:  e_σ ≤ (e_c + |σ| e_d) / (d − e_d) + γ_2 |σ|,  σ = c / d,  d = √mean c²
    quotient = centered / deviation
    same = deviation.value == 0.0
    none = same & (deviation.error == 0.0)
    error = np.where(none, 0.0, np.where(same, np.inf, quotient.error))
    return Rounded(np.where(same, 0.0, quotient.value), error, x.arithmetic)


def nm_mask_margin(
    scores: Input, keep: int, group: int, *, ordered: bool = True, arithmetic: Arithmetic
) -> Rounded:
    """Margin of :func:`~subbit.reference.pruning.sparsity.nm_mask`.

    Parameters
    ----------
    scores : array_like of float64 or Rounded, shape (n, m)
        Scores.
    keep, group : int
        N and M.
    ordered : bool, default True
        Whether equal scores are in the order of the columns.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        For each entry, the distance to an entry of its group on the other side of the cut,
        and the errors of both, shape (n, m); the other entry is the one that rounding
        reaches most easily. Infinity, and no error, where no entry can change places with
        it: ties of exact scores in order, groups that are kept whole, and columns that fill
        no group.

    Notes
    -----
    A port that prunes i, which the reference keeps, keeps some j that the reference
    prunes; so ``ŝ_j >= ŝ_i`` and hence ``s_i - s_j <= e_i + e_j``. The same holds the other
    way around.

    Examples
    --------
    >>> nm_mask_margin([[1.0, 3.0, 2.5, 0.0]], 2, 4, arithmetic=Arithmetic("float32")).value
    array([[inf, inf, inf, inf]])
    >>> given = Arithmetic("float32").read([[1.0, 3.0, 2.5, 0.1]])
    >>> nm_mask_margin(given, 2, 4, arithmetic=given.arithmetic).value
    array([[inf, 2.9, 2.4, 2.4]])
    """
    given = arithmetic.checked("scores", scores)
    check_count("keep", keep, 1, check_count("group", group))
    kept = nm_mask(given.value, keep, group, tail="dense")
    whole = kept.shape[1] // group * group
    # Shape (n, m // M, M): one group along the last axis.
    shape = (len(kept), -1, group)
    # (n, m) -> (n, m/M, M)
    s, e = (x[:, :whole].reshape(shape) for x in (given.value, given.error))
    grouped = kept[:, :whole].reshape(shape)  # (n, m) -> (n, m/M, M)
    distance, allowed = _nearest(s, e, grouped, ordered=ordered)  # (n, m/M, M)
    value, error = np.full(kept.shape, np.inf), np.zeros(kept.shape)
    # (n, m/M, M) -> (n, m)
    value[:, :whole], error[:, :whole] = (x.reshape(len(kept), -1) for x in (distance, allowed))
    return Rounded(value, error, arithmetic)


def _nearest(s: Array, e: Array, kept: Mask, *, ordered: bool) -> tuple[Array, Array]:
    """Find for each entry of the last axis the one it changes places with most easily."""
    distance = np.abs(s[..., :, None] - s[..., None, :])
    allowed = e[..., :, None] + e[..., None, :]
    crossed = kept[..., :, None] != kept[..., None, :]
    tied = crossed & (distance == 0.0) & ~np.asarray(ordered)
    possible = crossed & (allowed > 0.0) | tied
    ratio = np.where(tied, 0.0, np.inf)
    np.divide(distance, allowed, out=ratio, where=possible & ~tied)
    # Eq. (B75), subbit:  i pruned, j kept in its place  ⇒  s_i − s_j ≤ e_i + e_j
    other = np.argmin(ratio, axis=-1)[..., None]
    chosen = np.take_along_axis(possible, other, axis=-1)  # (…, M, M) -> (…, M, 1)
    value = np.where(chosen, np.take_along_axis(distance, other, axis=-1), np.inf)  # (…, M, 1)
    error = np.where(chosen, np.take_along_axis(allowed, other, axis=-1), 0.0)  # (…, M, 1)
    return value[..., 0], error[..., 0]


def row_mask_margin(
    scores: Input, sparsity: float, *, ordered: bool = True, arithmetic: Arithmetic
) -> Rounded:
    """Margin of :func:`~subbit.reference.pruning.sparsity.row_mask`.

    Parameters
    ----------
    scores : array_like of float64 or Rounded, shape (n, m)
        Scores.
    sparsity : float
        Share to prune.
    ordered : bool, default True
        Whether equal scores are in the order of the columns.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        As :func:`nm_mask_margin`, with a row as the group, shape (n, m).

    Examples
    --------
    >>> given = Arithmetic("float32").read([[0.1, 3.0]])
    >>> row_mask_margin(given, 0.5, arithmetic=given.arithmetic).value
    array([[2.9, 2.9]])
    """
    given = arithmetic.checked("scores", scores)
    kept = row_mask(given.value, sparsity)
    return Rounded(*_nearest(given.value, given.error, kept, ordered=ordered), arithmetic)


def threshold_mask_margin(scores: Input, sparsity: float, *, arithmetic: Arithmetic) -> Rounded:
    """Margin of :func:`~subbit.reference.pruning.sparsity.threshold_mask`.

    Parameters
    ----------
    scores : array_like of float64 or Rounded, shape (n, k)
        Scores.
    sparsity : float
        Share to prune.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Distance of each entry from the threshold, and the errors of both, shape (n, k).

    Examples
    --------
    >>> given = Arithmetic("float32").read([[0.1, 3.0]])
    >>> threshold_mask_margin(given, 0.5, arithmetic=given.arithmetic).value
    array([[2.9, 0. ]])
    """
    given = arithmetic.checked("scores", scores)
    place = int(given.value.size * check_share("sparsity", sparsity, below=True))
    low, value, high = (
        np.partition(x, place, axis=None)[place]
        for x in (given.value - given.error, given.value, given.value + given.error)
    )
    # Eq. (B76), subbit:  |t̂ − t| ≤ max(t(s + e) − t, t − t(s − e)),  t the entry ⌊n k s⌋ in order
    threshold = Rounded(value, np.maximum(high - value, value - low), arithmetic)
    return bell_split_margin(given, threshold, arithmetic=arithmetic)
