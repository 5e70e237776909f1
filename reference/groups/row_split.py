"""Split of each row
=================

Each row is cut at a magnitude of its own into small and large entries, and either side is
binarized once. The cut is searched among quantiles of the row's magnitudes.

========== ========= ==========================================================
symbol     shape     meaning
========== ========= ==========================================================
``X``      (n, k)    values, such as a band of Haar coefficients
``t``      (n,)      magnitude from which on the entries of a row are large
``μ``      (n,)      means of a side
``α``      (n,)      scales of a side
========== ========= ==========================================================
"""

from typing import Literal, TypeAlias

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.scalars import choice
from subbit.reference.contracts.words import LEVELS, SIGN_ZERO
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.notation import Array, Mask, SignOfZero
from subbit.reference.signs import sign

from .binarize import masked_mean
from .quantiles import quantile_places

SplitScale: TypeAlias = Literal["rms", "mean_abs"]


@contract(
    2,
    X=matrix("n", "k", text="Values."),
    levels=LEVELS.says("Number of quantiles that are tried."),
    scale=choice(
        SplitScale,
        (
            "Scale of a side: the root of its entries' mean squared distance from their mean, "
            "or their mean distance, which is the best one."
        ),
    ),
    share_mean=choice(bool, "Whether both sides have the mean of the whole row."),
    sign_zero=SIGN_ZERO,
)
def row_split(
    X: Array,
    *,
    levels: int = 41,
    scale: SplitScale = "mean_abs",
    share_mean: bool = False,
    sign_zero: SignOfZero = 1,
) -> tuple[BinaryGroup, BinaryGroup]:
    """Cut each row at the magnitude that leaves the least error, and binarize both sides.

    Returns
    -------
    small, large : BinaryGroup
        Groups of one plane that cover each entry once; an entry at the threshold is large.

    Notes
    -----
    Quantiles from 0.10 to 0.90 are interpolated between the two magnitudes around them. Their
    places are whole fractions, so rounding does not decide on which side an entry at a threshold
    lies. Of equal errors the lowest threshold counts. With a scale α, entries at distances d from
    their mean leave ``Σd² - 2 α Σd + c α²``: the root mean square gives ``2 rms / (rms + mean)``
    times the error of the mean distance.

    Examples
    --------
    >>> small, large = row_split([[1.0, -1.0, 8.0, 8.0]])
    >>> small.decode() + large.decode()
    array([[ 1., -1.,  8.,  8.]])
    """
    key = np.abs(X)
    low, share = quantile_places(X.shape[1], levels)
    ordered = np.sort(key, axis=1)
    below, above = ordered[:, low], ordered[:, np.minimum(low + 1, X.shape[1] - 1)]
    # Eq. (123), subbit:  p_il = quantile(|X_i|, 0.1 + 0.8 l / (levels − 1))
    cuts = below + share * (above - below)
    best, least = cuts[:, 0], np.full(len(X), np.inf)
    for threshold in cuts.T:
        sides = _sides(X, key, threshold, scale, share_mean=share_mean, sign_zero=sign_zero)
        # Eq. (124), subbit:  t_i = argmin_l Σ_j (X_ij − μ_i − α_i B_ij)², the first of equal ones
        errors = np.sum((X - sides[0].decode() - sides[1].decode()) ** 2, axis=1)
        best, least = np.where(errors < least, threshold, best), np.minimum(errors, least)
    return _sides(X, key, best, scale, share_mean=share_mean, sign_zero=sign_zero)


def _sides(
    X: Array,
    key: Array,
    threshold: Array,
    scale: SplitScale,
    *,
    share_mean: bool,
    sign_zero: SignOfZero,
) -> tuple[BinaryGroup, BinaryGroup]:
    large = key >= threshold[:, None]
    shared = np.mean(X, axis=1) if share_mean else None

    def side(name: str, mask: Mask) -> BinaryGroup:
        mean = masked_mean(X, mask) if shared is None else shared
        distance = X - mean[:, None]
        if scale == "rms":
            # Eq. (125), subbit:  α_i = (Σ_j (X_ij − μ_i)² / c_i)^{1/2}
            alpha = np.sqrt(masked_mean(distance**2, mask))
        else:
            alpha = masked_mean(np.abs(distance), mask)
        plane = Plane((mask * sign(distance, sign_zero)).astype(np.int8), alpha)
        return BinaryGroup(name, mask, (plane,), mean)

    return side("small", ~large), side("large", large)
