"""How many weights each layer keeps
==================================

STBLLM, arXiv 2408.01803, section 3.3, and its released code, which uses OWL's rule, arXiv
2310.05175, instead.

With M fixed, each decoder layer gets its own N. Both rules give important layers more; neither
keeps the requested mean. ``repair=True`` fixes that: wishes are centered, then rounded so that
their sum is exact.

=================== ============================ ==================================
rule                importance of a layer        mean of ``N_l``
=================== ============================ ==================================
``norm_budget``     a norm of its weights        always N or more
``outlier_budget``  its share of large scores    near N
``repair_budget``   the given wish               exactly N
=================== ============================ ==================================

========== ====== ===============================================================
symbol     shape  meaning
========== ====== ===============================================================
``N, M``          requested number of kept weights per group, and the group
``w_l``    (L,)   norms of the layers
``o_l``    (L,)   outliers, percent
``x_l``    (L,)   wishes, real numbers
``N_l``    (L,)   kept weights per group of layer l
========== ====== ===============================================================

``N:M`` means *kept : group*; the released code counts pruned weights. Where it divides by
zero because all outlier shares are equal, no layer is preferred here. ERRATA.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Numbers, Several, matrix
from subbit.reference.contracts.scalars import Real, Whole, choice
from subbit.reference.contracts.words import GROUP_SIZE, KEEP, REPAIR
from subbit.reference.notation import Array

Counts: TypeAlias = npt.NDArray[np.int64]

MOST_SPREAD = 1e6


@contract(
    1,
    norms=Numbers(
        ("L",),
        positive=True,
        text="A norm of each layer, nonnegative; if all are zero, they count as equal.",
    ),
    keep=KEEP,
    group=GROUP_SIZE,
    repair=REPAIR,
)
def norm_budget(norms: Array, keep: int, group: int, *, repair: bool = False) -> Counts:
    """Compute the kept weights of each layer from a norm of its weights, as in the paper.

    Returns
    -------
    ndarray of int64, shape (L,)
        ``N_l``, from N to M; with `repair` from 1 to M with mean N.

    Notes
    -----
    Every ratio is at least ``N / M``, so the mean is N or more: above it as soon as one layer
    is rounded up. Halves are rounded to even.

    References
    ----------
    STBLLM, arXiv 2408.01803, section 3.3, from its reviews: the text was not available.

    Examples
    --------
    >>> norm_budget([3.0, 1.0], 4, 8)
    array([7, 5])
    >>> norm_budget([3.0, 1.0], 4, 8, repair=True)
    array([5, 3])
    """
    largest = float(np.max(norms))
    weights = norms / largest if largest > 0.0 else np.ones(len(norms))
    share = weights / np.sum(weights)
    # Eq. (ratio), STBLLM:  N_l / M = α_l + (1 − α_l) N / M,  α_l = w_l / Σ w
    wishes = group * share + (1.0 - share) * keep
    if repair:
        return repair_budget(wishes, keep, 1, group)
    return np.rint(wishes).astype(np.int64)


@contract(
    1,
    scores=Several(
        text="Scores of all weights of a decoder layer, one array per linear, of any shapes."
    ),
    threshold=Real(0.0, text="Threshold, as a multiple of the mean of all scores."),
)
def outlier_share(scores: Sequence[Array], threshold: float) -> float:
    """Compute the share of the scores that are far above their mean.

    Returns
    -------
    float
        Percentage, 0 to 100.

    References
    ----------
    OWL, arXiv 2310.05175, section 3.2: the layerwise outlier distribution.

    Examples
    --------
    >>> outlier_share([[[1.0, 1.0], [1.0, 1.0]], [[6.0]]], 2.0)
    20.0
    """
    flat = np.concatenate([np.ravel(part) for part in scores])
    # Eq. (outliers), OWL:  o_l = 100 · #{s > T mean(s)} / #s
    return 100.0 * float(np.count_nonzero(flat > threshold * np.mean(flat))) / flat.size


@contract(
    1,
    outliers=Numbers(("L",), positive=True, text="Outlier shares of the layers, nonnegative."),
    keep=KEEP,
    group=GROUP_SIZE,
    spread=Real(
        0.0, MOST_SPREAD, text="How far apart the wishes of the layers are, in weights per group."
    ),
    promote=choice(
        bool,
        (
            "Whether a layer that gets one extra weight gets two; this breaks the mean. Ignored "
            "with `repair`."
        ),
    ),
    repair=REPAIR,
)
def outlier_budget(
    outliers: Array,
    keep: int,
    group: int,
    *,
    spread: float = 2.0,
    promote: bool = True,
    repair: bool = False,
) -> Counts:
    """Compute the kept weights of each layer from its outliers, as in the released code.

    Returns
    -------
    ndarray of int64, shape (L,)
        ``N_l``, from 1 to M.

    Notes
    -----
    The code's list of *pruned* weights is ``M - N_l``. Halves are rounded to even. Numbers
    below 1 or above M, which the code would carry on with or fail on, are clipped.

    References
    ----------
    STBLLM's code; OWL, arXiv 2310.05175, section 3.3.

    Examples
    --------
    >>> outlier_budget([8.0, 5.0, 1.0, 2.0], 4, 8)
    array([6, 4, 3, 3])
    >>> outlier_budget([8.0, 5.0, 1.0, 2.0], 4, 8, repair=True)
    array([5, 4, 3, 4])
    """
    # Eq. (ratio), OWL:  z_l = λ (o_l − min o) / (max o − min o),  z_l ← z_l − mean z
    wishes = keep + _spread(outliers, spread)
    if repair:
        return repair_budget(wishes, keep, 1, group)
    steps = np.rint(wishes - keep).astype(np.int64)
    if promote:
        steps[steps == 1] = 2
    return np.clip(keep + steps, 1, group)


def _spread(shares: Array, spread: float) -> Array:
    """Stretch the shares over an interval around zero."""
    span = float(np.max(shares) - np.min(shares))
    if span == 0.0:
        return np.zeros(len(shares))
    z = spread * ((shares - np.min(shares)) / span)
    return np.asarray(z - np.mean(z))


@contract(
    1,
    wishes=matrix("L", text="Weights that each layer would keep per group."),
    keep=Whole("low", "high", text="The required mean."),
    low=Whole(0, text="The least that a layer may keep, at most `keep`."),
    high=Whole("low", 2**16, text="The most that a layer may keep, at least `keep`."),
)
def repair_budget(wishes: Array, keep: int, low: int, high: int) -> Counts:
    """Round wishes to whole numbers with an exact mean, at the least loss.

    Returns
    -------
    ndarray of int64, shape (L,)
        ``N_l`` from `low` to `high` with ``Σ N_l = L · keep``.

    Notes
    -----
    No other such numbers have a smaller ``Σ (N_l - x_l)²``. Going from v to v + 1 costs
    layer l ``2 (v - x_l) + 1``, more with every step. So the ``L (keep - low)`` cheapest of
    all steps are, in every layer, its first ones, and no cheaper step is left out. Of steps
    that cost the same, the one of the earlier layer is taken.

    Layers with a larger wish never get less. Where plain rounding already gives the correct
    sum, this is plain rounding.

    References
    ----------
    O. Gross, "A class of discrete-type minimization problems", RAND RM-1644, 1956.

    Examples
    --------
    >>> repair_budget([4.4, 4.3, 4.2, 3.9], 4, 3, 5)
    array([4, 4, 4, 4])
    >>> repair_budget([9.0, 5.0, 5.0, 3.0], 4, 3, 5)
    array([5, 4, 4, 3])
    """
    # Eq. (38), subbit:  min Σ (N_l − x_l)²,  Σ N_l = L N:  the cheapest steps v → v + 1
    cost = np.arange(low, high) - wishes[:, None]  # half of it, less ½; (L, high − low)
    taken = np.zeros(cost.size, dtype=np.bool_)
    taken[np.argsort(cost, axis=None, kind="stable")[: len(wishes) * (keep - low)]] = True
    # (L, high − low) -> (L,)
    return low + np.count_nonzero(taken.reshape(cost.shape), axis=1).astype(np.int64)
