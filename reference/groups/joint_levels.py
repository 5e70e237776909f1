"""Levels beyond the alternation
=============================

The values that ARB's alternating steps approach, in closed form. With the signs fixed, mean
and scales of a row solve a small least-squares problem: :func:`solve_levels`. With the signs
free too, a first-order group with a mean has two levels per row, so its best signs are a
two-means clustering on a line, which sorting solves: :func:`two_means`, the exact lower
bound of every first-order refinement.

Neither is in the paper, which alternates, or in its code.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``m``      (n, k)    the group's mask as numbers
``b``      (n, k)    signs of an order, 0 outside the mask
``C``      (n, k)    running sums of a sorted row about its mean
========== ========= =======================================================
"""

from dataclasses import replace

import numpy as np

from subbit.reference.contracts.door import ALL, contract
from subbit.reference.contracts.words import ENTRIES, NAME, WEIGHTS
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.least_squares import solve_normal
from subbit.reference.notation import Array, Mask
from subbit.reference.records import GROUP

from .binarize import masked_mean


@contract(2, W=WEIGHTS, group=GROUP)
def solve_levels(W: Array, group: BinaryGroup) -> BinaryGroup:
    """Fit mean and scales at once, for fixed signs.

    Returns
    -------
    BinaryGroup
        The state with the best mean and scales: the limit of alternating
        :func:`refine_mean` and :func:`refine_scale`.

    Notes
    -----
    At order 1, ``α = cov(B, W) / (mean(B²) - mean(B)²)`` and ``μ = mean(W) - α mean(B)``.
    Where signs depend on each other, as in a row with only one sign, the scale that adds
    nothing becomes zero. A scale can come out negative only at order 2.

    Examples
    --------
    >>> W = [[4.0, 1.0, 1.0, 0.0]]
    >>> from subbit.reference import arb_start
    >>> solve_levels(W, arb_start(W)).decode().round(3)
    array([[4.   , 0.667, 0.667, 0.667]])
    """
    mean = group.row_means
    M = group.mask.astype(np.float64)
    basis = np.stack([M, *(plane.sign.astype(np.float64) for plane in group.planes)])  # (p, n, k)
    Z = np.where(group.mask, W - mean[:, None], 0.0)
    # Eq. (21), subbit:  (μ, α) = argmin ‖Z − μ m − Σ α_p b_p‖²,  a system of 2 or 3 for a row
    gram = np.einsum("pij,qij->ipq", basis, basis)  # (n, p, p)
    change, *scales = solve_normal(gram, np.einsum("pij,ij->ip", basis, Z)).T  # (p, n)
    planes = tuple(
        replace(plane, row_scale=scale) for plane, scale in zip(group.planes, scales, strict=True)
    )
    return replace(group, planes=planes, mean=mean + change)


@contract(2, W=WEIGHTS, mask=ENTRIES, name=NAME)
def two_means(W: Array, mask: Mask = ALL, *, name: str = "all") -> BinaryGroup:
    """Find the best first-order binarization of each row, exactly.

    Returns
    -------
    BinaryGroup
        One plane and a mean; no first-order group with a mean has a smaller error.

    Notes
    -----
    ``αB + μ`` has two levels per row, so the problem is two-means on a line: the clusters
    are runs of the sorted row, and running sums give the error of every cut.

    Examples
    --------
    >>> two_means([[4.0, 1.0, 1.0, 0.0]]).decode().round(3)
    array([[4.   , 0.667, 0.667, 0.667]])
    """
    B = np.where(mask, np.where(_best_cuts(W, mask)[:, None] < W, 1, -1), 0).astype(np.int8)
    low, high = masked_mean(W, B == -1), masked_mean(W, B == 1)
    one = ~np.any(B == 1, axis=1)
    # Eq. (24), subbit:  μ = (m₋ + m₊) / 2,  α = (m₊ − m₋) / 2
    mean = np.where(one, low, low + (high - low) / 2)
    scale = np.where(one, 0.0, (high - low) / 2)
    return BinaryGroup(name, mask, (Plane(B, scale),), mean)


def _best_cuts(W: Array, M: Mask) -> Array:
    # The largest entry of the lower cluster in each row; the row's largest if it has one value.
    mean = masked_mean(W, M)
    ordered = np.sort(np.where(M, W, np.inf), axis=1)
    c = np.count_nonzero(M, axis=1)[:, None]
    j = np.arange(1, W.shape[1])
    between = (j < c) & (ordered[:, :-1] < ordered[:, 1:])
    sums = np.cumsum(ordered - mean[:, None], axis=1)[:, :-1]
    # Without c, which is the same for all j.
    # Eq. (23), subbit:  ‖W − μ‖² − error_j = c C_j² / (j (c − j)),  C_j = Σ_{i≤j} (w_i − μ)
    gain = np.divide(sums**2, j * (c - j), out=np.full(sums.shape, -1.0), where=between)
    if not j.size:
        return np.full(len(W), np.inf)
    best = np.argmax(gain, axis=1)
    cut = np.take_along_axis(ordered, best[:, None], axis=1)[:, 0]  # (n, k) -> (n,)
    return np.where(np.any(between, axis=1), cut, np.inf)
