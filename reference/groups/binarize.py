"""Binarization
============

BiLLM, arXiv 2402.04291v2, sections 3.1 and 3.2.

Each row of a group becomes ``μ + α · sign(w - μ)``; with ``order`` 2 the remainder is
binarized once more and added. The paper writes the mean-free form, ``μ = 0``; the
released code subtracts the masked row mean at every order. The means of several orders add
up to a single mean, so a group of any order stores one mean, and one scale per order.

========== ========= ==============================================================
symbol     shape     meaning
========== ========= ==============================================================
``M``      (n, k)    the group's entries
``c``      (n,)      number of entries in each row
``mu``     (n,)      mean of each row over its entries, 0 when mean-free
``alpha``  (n,)      mean of ``|w - μ|`` over the same entries
``B``      (n, k)    signs
========== ========= ==============================================================

Differences between paper and code: ERRATA B-1 (mean), B-2 (sign of zero).
"""

import numpy as np

from subbit.reference.contracts.door import ALL, contract
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.scalars import Whole, choice
from subbit.reference.contracts.words import ENTRIES, NAME, SIGN_ZERO, WEIGHTS
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.notation import Array, Mask, SignOfZero, Signs
from subbit.reference.signs import sign


@contract(2, W=WEIGHTS, mask=ENTRIES)
def masked_mean(W: Array, mask: Mask = ALL) -> Array:
    """Compute the mean of each row over the entries of a group.

    Returns
    -------
    ndarray of float64, shape (n,)
        Row means, 0 where a row has no entry.

    Notes
    -----
    ``μ_i = Σ_j M_ij W_ij / c_i``.

    Examples
    --------
    >>> masked_mean([[1.0, 2.0, 9.0]], [[True, True, False]])
    array([1.5])
    """
    counts = np.maximum(np.count_nonzero(mask, axis=1), 1)
    # Eq. (6), subbit:  μ_i = Σ_j M_ij W_ij / c_i
    return np.asarray(np.sum(mask * W, axis=1) / counts)


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES,
    mean=matrix("n", text="Row means; zero by default, the mean-free form."),
)
def masked_scale(W: Array, mask: Mask = ALL, mean: Array | None = None) -> Array:
    """Compute the mean distance of each row's entries from their mean.

    Returns
    -------
    ndarray of float64, shape (n,)
        Row scales, 0 where a row has no entry.

    Notes
    -----
    ``α_i = Σ_j M_ij |W_ij - μ_i| / c_i``, the best scale for the signs of ``W - μ``. The
    paper's Algorithm 2 divides by the width of the matrix even for a part of it; its
    Eq. (12) divides by the number of entries, as does this function.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (12).

    Examples
    --------
    >>> masked_scale([[1.0, -3.0, 9.0]], [[True, True, False]])
    array([2.])
    """
    deviation = W if mean is None else W - mean[:, None]
    # Eq. (12), BiLLM:  α_i = ‖W_i‖₁ / c_i over the group's entries
    return masked_mean(np.abs(deviation), mask)


@contract(
    2,
    R=matrix("n", "k", text="Remainder to represent."),
    mask=ENTRIES.says("The group's entries."),
    center=choice(bool, "Whether the row mean is subtracted."),
    sign_zero=SIGN_ZERO.says("The sign of zero."),
)
def binarize_once(
    R: Array, mask: Mask, *, center: bool, sign_zero: SignOfZero
) -> tuple[Array, Array, Signs]:
    """Compute one order of binarization: mean, scale and signs of a remainder.

    Returns
    -------
    mean : ndarray of float64, shape (n,)
        Row means, zero when `center` is false.
    scale : ndarray of float64, shape (n,)
        Row scales.
    signs : ndarray of int8, shape (n, k)
        Signs, 0 outside the mask.

    Notes
    -----
    For a fixed mean, this scale and these signs minimize the squared error.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eqs. (1), (2) and (4).

    Examples
    --------
    >>> import numpy as np
    >>> row = np.array([[1.0, -3.0]])
    >>> binarize_once(row, row != 0, center=False, sign_zero=1)
    (array([0.]), array([2.]), array([[ 1, -1]], dtype=int8))
    """
    mean = masked_mean(R, mask) if center else np.zeros(len(R))
    # Eq. (1), ARB-LLM:  μ = mean W,  α = mean |W − μ|,  B = sign(W − μ)
    deviation = R - mean[:, None]
    # Eq. (1), BiLLM:  Ŵ = α B,  B = sign(W),  α = ‖W‖₁ / c
    scale = masked_mean(np.abs(deviation), mask)
    return mean, scale, mask * sign(deviation, sign_zero)


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES.says(
        "The group's entries; all by default. A row without entries decodes to zero."
    ),
    order=Whole(1, 64, text="Number of sign planes."),
    center=choice(
        bool, ("Subtract the masked row mean at every order (released code) or not (paper).")
    ),
    sign_zero=SIGN_ZERO.says("The sign of zero: 1 in the paper, 0 in the released code."),
    name=NAME,
)
def residual_binarize(
    W: Array,
    mask: Mask = ALL,
    *,
    order: int = 1,
    center: bool = False,
    sign_zero: SignOfZero = 1,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group of weights, then the remainder, `order` times in all.

    Returns
    -------
    BinaryGroup
        `order` planes, and a mean if `center` is true.

    Notes
    -----
    ``W ≈ α_o B_o + α_r B_r`` for order 2. A further order never raises the error: it
    lowers it by ``c (μ² + α²)`` in every row.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eqs. (6), (7) and (8).

    Examples
    --------
    >>> residual_binarize([[4.0, 2.0, -1.0, -1.0]]).decode()
    array([[ 2.,  2., -2., -2.]])
    >>> residual_binarize([[4.0, 2.0, -1.0, -1.0]], order=2).decode()
    array([[ 3.,  3., -1., -1.]])
    """
    planes = []
    total_mean = np.zeros(len(W))
    approximation = np.zeros(W.shape)
    for _ in range(order):
        # Eq. (6), BiLLM:  α_o, B_o from W;  α_r, B_r from W − α_o B_o
        mean, scale, signs = binarize_once(
            W - approximation, mask, center=center, sign_zero=sign_zero
        )
        planes.append(Plane(signs, scale))
        total_mean += mean
        # Eq. (7), BiLLM:  W ≈ α_o B_o + α_r B_r
        # Eq. (6), ARB-LLM:  Ŵ = α₁B₁ + α₂B₂ + μ
        approximation += mean[:, None] + scale[:, None] * signs
    return BinaryGroup(name, mask, tuple(planes), total_mean if center else None)
