"""Importance scores and sparsity masks
====================================

STBLLM, arXiv 2408.01803; Wanda, arXiv 2306.11695; RIA, "Plug-and-Play: An
Efficient Post-training Pruning Method for Large Language Models", ICLR 2024; SparseGPT,
arXiv 2301.00774.

Which weights stay. A *score* says how much each weight matters; a *mask* keeps the
largest scores of each comparison group:

=========================== ============================================= ===============
function                    score                                         where
=========================== ============================================= ===============
``magnitude_importance``    ``|w|``                                       everywhere
``wanda_importance``        ``|w| ‖X_j‖``                                 Wanda
``ria_importance``          ``(|w| / Σ_col + |w| / Σ_row) ‖X_j‖^a``       RIA, STBLLM's code
``standardized_importance`` ``σ(|w| / Σ_col + |w| / Σ_row) ‖X_j‖``        STBLLM's text
=========================== ============================================= ===============

===================== ===================================== ===========================
function              comparison group                      pruned weights
===================== ===================================== ===========================
``nm_mask``           M consecutive columns of a row        all but the N largest
``row_mask``          a row                                 a share, rounded down
``threshold_mask``    the whole matrix                      a share, plus one
===================== ===================================== ===========================

``N:M`` means *kept : group*, as in STBLLM's text. All released code counts pruned weights
instead, so its 3:8 is 5:8 here. The scores of optimal brain surgeon are in ``saliency``.
Differences between paper and code: ERRATA.
"""

from typing import Literal, TypeAlias

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.scalars import choice
from subbit.reference.contracts.words import (
    EXPONENT,
    GROUP_SIZE,
    HESSIAN,
    KEEP,
    LAYER,
    NORMS,
    SPARSITY,
)
from subbit.reference.errors import (
    ArgumentError,
)
from subbit.reference.notation import Array, Mask

Standardize: TypeAlias = Literal["before", "after", "none"]
Axis: TypeAlias = Literal["row", "matrix"]
Tail: TypeAlias = Literal["error", "dense"]


@contract(2, H=HESSIAN)
def input_norms(H: Array) -> Array:
    """Compute the length of each input over the calibration set, from the proxy Hessian.

    Returns
    -------
    ndarray of float64, shape (m,)
        Norms: the root of the mean over sequences of an input's squared length.

    Notes
    -----
    ``‖X_j‖² = H_jj / 2 = 1/N Σ_s ‖X_s,j‖²``. Wanda's text has no ``1/N``; a factor common
    to all columns changes no mask.

    References
    ----------
    Wanda, arXiv 2306.11695, section 3 and released code, ``scaler_row``.

    Examples
    --------
    >>> input_norms([[8.0, 1.0], [1.0, 18.0]])
    array([2., 3.])
    """
    diagonal = np.diag(H)
    if np.min(diagonal) < 0.0:
        raise ArgumentError("H", "a diagonal that is not negative", f"{diagonal.min():g}")
    # Eq. (31), subbit:  ‖X_j‖ = √(1/N Σ_s ‖X_s,j‖²) = √(H_jj / 2)
    return np.sqrt(diagonal / 2)


@contract(1, W=LAYER)
def magnitude_importance(W: Array) -> Array:
    """Score weights by their magnitude.

    Returns
    -------
    ndarray of float64, shape (n, m)
        ``|W|``.

    References
    ----------
    Wanda, arXiv 2306.11695, section 2.

    Examples
    --------
    >>> magnitude_importance([[1.0, -2.0]])
    array([[1., 2.]])
    """
    # Eq. (1), Wanda:  S_ij = |W_ij|, where all norms are one
    return np.abs(W)


@contract(2, W=LAYER, norms=NORMS)
def wanda_importance(W: Array, norms: Array) -> Array:
    """Score weights by magnitude times the length of their input.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Scores, nonnegative.

    Notes
    -----
    ``S_ij = |W_ij| ‖X_j‖``. Masks within rows change neither when a row is scaled nor
    under the gauge ``W diag(c)``, ``diag(1/c) X`` that leaves the layer unchanged.

    References
    ----------
    Wanda, arXiv 2306.11695, Eq. (1).

    Examples
    --------
    >>> wanda_importance([[1.0, -2.0]], [3.0, 1.0])
    array([[3., 2.]])
    """
    # Eq. (1), Wanda:  S_ij = |W_ij| · ‖X_j‖₂
    return np.abs(W) * norms


def _share(magnitudes: Array, axis: int) -> Array:
    total = np.sum(magnitudes, axis=axis, keepdims=True)
    return np.divide(magnitudes, total, out=np.zeros_like(magnitudes), where=total > 0.0)


def _relative(weights: Array) -> Array:
    magnitudes = np.abs(weights)
    return _share(magnitudes, 0) + _share(magnitudes, 1)


@contract(2, W=LAYER, norms=NORMS, exponent=EXPONENT)
def ria_importance(W: Array, norms: Array, *, exponent: float = 0.5) -> Array:
    """Score weights by their share of column and row, times a power of the input's length.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Scores, nonnegative; a weight in a column or row of zeros has no share of it.

    Notes
    -----
    ``R_ij = (|W_ij| / Σ_i |W_ij| + |W_ij| / Σ_j |W_ij|) ‖X_j‖^a`` with ``a`` the
    exponent, 1/2 in RIA. STBLLM's released code computes it in place of its Eq. (2). The
    two sums make it sensitive to row and column scales to which :func:`wanda_importance` is
    blind.

    References
    ----------
    RIA, ICLR 2024, and its released code; STBLLM's released code.

    Examples
    --------
    >>> ria_importance([[1.0, -3.0], [1.0, 0.0]], [4.0, 1.0])
    array([[1.5 , 1.75],
           [3.  , 0.  ]])
    """
    # Eq. (32), subbit:  R_ij = (|W_ij| / Σ_i |W_ij| + |W_ij| / Σ_j |W_ij|) ‖X_j‖^a
    return np.asarray(_relative(W) * norms**exponent)


def _standardized(values: Array, axis: Axis) -> Array:
    over = 1 if axis == "row" else None
    # Measured from one of them, equal values have no deviation at all.
    values = values - (values[:, :1] if axis == "row" else values[0, 0])
    centered = values - np.mean(values, axis=over, keepdims=True)
    deviation = np.sqrt(np.mean(centered**2, axis=over, keepdims=True))
    return np.divide(centered, deviation, out=np.zeros_like(centered), where=deviation > 0.0)


@contract(
    2,
    W=LAYER,
    norms=NORMS,
    exponent=EXPONENT,
    standardize=choice(
        Standardize,
        (
            "Whether the shares are standardized (text), or their products with the norms "
            "(the code's unused function), or nothing (what the code runs, with exponent "
            "1/2)."
        ),
    ),
    axis=choice(Axis, "Axis over which mean and standard deviation are taken."),
)
def standardized_importance(
    W: Array,
    norms: Array,
    *,
    exponent: float = 1.0,
    standardize: Standardize = "before",
    axis: Axis = "row",
) -> Array:
    """Score weights by their standardized share, times the input's length.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Scores, which may be negative unless nothing is standardized; zero where all values
        standardized together are equal.

    Notes
    -----
    ``SI_ij = σ(μ(|W_ij|)) ‖X_j‖`` with ``μ(|w|) = |w| / Σ_j |w| + |w| / Σ_i |w|`` and
    ``σ(x) = (x - mean x) / std x``. The text does not say over what σ is taken. The
    deviation is that of the population, not of a sample; the two differ by a common factor,
    which changes no mask within a row.

    Standardizing *after* is an increasing map of each row and changes no mask within it.
    *Before*, the scores below the mean are negative, and a longer input lowers them.

    References
    ----------
    STBLLM, arXiv 2408.01803, Eq. (2).

    Examples
    --------
    >>> W = [[1.0, -3.0], [1.0, 3.0]]
    >>> standardized_importance(W, [4.0, 1.0])
    array([[-4.,  1.],
           [-4.,  1.]])
    >>> standardized_importance(W, [4.0, 1.0], standardize="after")
    array([[ 1., -1.],
           [ 1., -1.]])
    """
    # An exponent of at most 1 keeps the squares of all accepted numbers finite.
    factor = norms**exponent
    importance = _relative(W)
    if standardize == "before":
        importance = _standardized(importance, axis)
    # Eq. (2), STBLLM:  SI_ij = σ(μ(|W_ij|)) · ‖X_:,j‖₂
    scores = importance * factor
    return _standardized(scores, axis) if standardize == "after" else scores


@contract(
    1,
    scores=matrix("n", "m", text="Scores of any sign."),
    keep=KEEP,
    group=GROUP_SIZE,
    tail=choice(Tail, ("Treatment of the last ``m % M`` columns: they are an error, or all kept.")),
)
def nm_mask(scores: Array, keep: int, group: int, *, tail: Tail = "error") -> Mask:
    """Keep the N largest of every M consecutive scores of a row.

    Returns
    -------
    ndarray of bool, shape (n, m)
        The kept entries; of equal scores, the one in the lower column.

    Notes
    -----
    ``M_ij = [fewer than N entries of its group come before it]``, where an entry comes
    before another if its score is larger, or equal and in a lower column. No paper says
    what happens to equal scores; the released code leaves it to a library's partial sort.

    References
    ----------
    STBLLM, arXiv 2408.01803; Wanda, arXiv 2306.11695, section 4.

    Examples
    --------
    >>> nm_mask([[1.0, 3.0, 2.0, 2.0, 0.0]], 2, 4, tail="dense")
    array([[False,  True,  True, False,  True]])
    """
    rows, width = scores.shape
    if (rest := width % group) and tail == "error":
        raise ArgumentError("group", f"a divisor of the width {width}", group)
    mask = np.ones(scores.shape, dtype=np.bool_)
    # Shape (n, m // M, M): one group along the last axis.
    groups = scores[:, : width - rest].reshape(rows, -1, group)
    order = np.argsort(-groups, axis=-1, kind="stable")
    kept = np.zeros(groups.shape, dtype=np.bool_)
    # Eq. (33), subbit:  M_ij = [#{l in group : S_il > S_ij, or = with l < j} < N]
    np.put_along_axis(kept, order[..., :keep], values=True, axis=-1)
    mask[:, : width - rest] = kept.reshape(rows, -1)  # (n, m/M, M) -> (n, m)
    return mask


@contract(1, scores=matrix("n", "m", text="Scores of any sign."), sparsity=SPARSITY)
def row_mask(scores: Array, sparsity: float) -> Mask:
    """Prune a share of the smallest scores of each row.

    Returns
    -------
    ndarray of bool, shape (n, m)
        The kept entries: all but ``int(m * sparsity)`` of each row; of equal scores, the one
        in the lower column.

    Notes
    -----
    The number of pruned entries is the product in floating point, rounded down, as in the
    code. No paper says which of two equal scores is pruned.

    References
    ----------
    Wanda, arXiv 2306.11695, Algorithm 1.

    Examples
    --------
    >>> row_mask([[1.0, 3.0, 2.0, 1.0]], 0.5)
    array([[False,  True,  True, False]])
    """
    width = scores.shape[1]
    pruned = int(width * sparsity)
    order = np.argsort(-scores, axis=1, kind="stable")
    mask = np.zeros(scores.shape, dtype=np.bool_)
    # Alg. 1, Wanda:  prune the int(C_in · s) smallest metrics of each row
    np.put_along_axis(mask, order[:, : width - pruned], values=True, axis=1)
    return mask


@contract(1, scores=matrix("n", "k", text="Scores of any sign."), sparsity=SPARSITY)
def threshold_mask(scores: Array, sparsity: float) -> Mask:
    """Prune all scores up to a quantile of them.

    Returns
    -------
    ndarray of bool, shape (n, k)
        The kept entries: those with scores above the threshold.

    Notes
    -----
    The threshold is entry number ``int(n k · s)`` of the sorted scores, counted from 0, and it
    is pruned too: one more than requested, plus all that equal it. Even with s = 0 a weight is
    pruned.

    References
    ----------
    SparseGPT's and PB-LLM's released codes.

    Examples
    --------
    >>> threshold_mask([[1.0, 3.0], [4.0, 2.0]], 0.25)
    array([[False,  True],
           [ True, False]])
    """
    place = int(scores.size * sparsity)
    # Eq. (34), subbit:  M_ij = [S_ij > sorted(S)[int(n k s)]]
    return np.asarray(scores > np.partition(scores, place, axis=None)[place])
