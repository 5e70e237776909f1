"""Coarse-to-fine search
=====================

Progressive Binarization with Semi-Structured Pruning for LLMs (PBS2P), arXiv 2502.01705,
CFS.

Which weights are pruned. The *coarse* stage gives each decoder layer its N of N:M: a layer
that turns its input little is assumed to matter little. The *fine* stage ranks the weights
within every M columns by a score that uses the inputs' Hessian.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``x, y``   (T, d)      inputs and outputs of a decoder layer, one token per row
``c``      (L,)        mean cosine of input and output of each layer
``LI``     (L,)        importance of each layer, with mean 1
``N_l``    (L,)        how many of M each layer keeps
========== =========== =============================================================

The text of the paper was not available. Its figure shows that importance comes from the
cosine of a layer's input and output, that it is divided by its mean over the layers, that
average importance meets the target, and that ratios lie on discrete levels between two ends.
That importance is the angle, not its cosine, is inferred: with the cosines that models have,
no other formula gives the bars of the figure. The ends are not published.
"""

from typing import Literal, TypeAlias

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Numbers, Tokens, matrix, symmetric
from subbit.reference.contracts.scalars import Whole, choice
from subbit.reference.contracts.words import GROUP_SIZE, KEEP, WEIGHTS
from subbit.reference.errors import ArgumentError
from subbit.reference.hessian import inverse_factor
from subbit.reference.notation import Array, Indices
from subbit.reference.zones.saliency import (
    inverse_hessian_saliency,
    obs_saliency,
    trailing_saliency,
)

from .budgets import repair_budget
from .sparsity import input_norms, magnitude_importance, wanda_importance

Importance: TypeAlias = Literal["arccos", "one_minus", "reciprocal", "redundancy"]
BudgetRule: TypeAlias = Literal["proportional", "interpolated"]
FineScore: TypeAlias = Literal["obs", "squared", "trailing", "magnitude", "wanda"]


@contract(
    2,
    x=Tokens(("T", "d"), text="Inputs of the layer, one token per row."),
    y=Tokens(("T", "d"), text="Its outputs."),
)
def block_cosine(x: Array, y: Array) -> float:
    """Measure how little a decoder layer turns its input.

    Returns
    -------
    float
        Mean cosine over the tokens, from -1 to 1; a vector of zeros has cosine 0.

    Notes
    -----
    ``c = mean_t x_t · y_t / (‖x_t‖ ‖y_t‖)``. The scale of `x` or of `y` does not matter.

    References
    ----------
    PBS2P, arXiv 2502.01705, CFS, coarse stage.

    Examples
    --------
    >>> block_cosine([[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [4.0, 0.0]])
    0.5
    """
    # Eq. (58), subbit:  c_l = mean_t cos(x_t, y_t)
    cosine = np.mean(np.sum(_directions(x) * _directions(y), axis=1))
    # Rounding may carry a mean of ones beyond 1, where no angle exists.
    return float(np.clip(cosine, -1.0, 1.0))


def _directions(values: Array) -> Array:
    # Scaled first, so that no square of a small number underflows.
    largest = np.max(np.abs(values), axis=1, keepdims=True)
    scaled = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0.0)
    norms = np.sqrt(np.sum(scaled**2, axis=1, keepdims=True))
    # The largest entry is 1 now, so only zeros have a norm below 1.
    return scaled / np.maximum(norms, 1.0)


@contract(
    2,
    cosines=matrix("L", text="Mean cosines, see :func:`block_cosine`, from -1 to 1."),
    kind=choice(
        Importance,
        (
            "The angle between input and output; one minus its cosine; one over its cosine; "
            "or two minus the cosine over the mean cosine, so that redundancy above the mean "
            "is subtracted. The last two accept only cosines above 0."
        ),
    ),
)
def layer_importance(cosines: Array, *, kind: Importance = "arccos") -> Array:
    """Compute the importance of each decoder layer.

    Returns
    -------
    ndarray of float64, shape (L,)
        Importance, with mean 1; ones if no layer does anything.

    Notes
    -----
    ``LI_l = i_l / mean_l(i_l)`` with ``i = arccos(c) / π``, ``1 - c`` or ``1 / c``.

    References
    ----------
    PBS2P, arXiv 2502.01705, CFS, coarse stage.

    Examples
    --------
    >>> layer_importance([0.0, 0.5, 0.5**0.5]).round(3)
    array([1.385, 0.923, 0.692])
    """
    c = cosines
    least = 0.0 if kind in {"reciprocal", "redundancy"} else -1.0
    if np.max(c) > 1.0 or np.min(c) < least or (least == 0.0 and np.min(c) <= 0.0):
        raise ArgumentError(
            "cosines",
            "numbers above 0 and up to 1" if least == 0.0 else "numbers from -1 to 1",
            f"{c.min():g} to {c.max():g}",
        )
    if kind == "redundancy":
        # Eq. (59), subbit:  LI_l = 2 − c_l / mean(c)
        return np.asarray(2.0 - c / np.mean(c))
    amounts = _amounts(c, kind)
    mean = np.mean(amounts)
    # Eq. (60), subbit:  LI_l = i_l / mean(i),  i = arccos(c) / π, 1 − c or 1 / c
    return np.asarray(amounts / mean) if mean > 0.0 else np.ones(len(c))


def _amounts(c: Array, kind: Importance) -> Array:
    if kind == "arccos":
        return np.asarray(np.arccos(c) / np.pi)
    return 1.0 - c if kind == "one_minus" else 1.0 / c


@contract(
    1,
    importance=Numbers(
        ("L",),
        positive=True,
        text="Importance of each layer, nonnegative; see :func:`layer_importance`.",
    ),
    keep=KEEP.says("Number to keep on average, N, from 1 to M."),
    group=GROUP_SIZE.says("The group, M."),
    low=Whole(
        1,
        "keep",
        text="The least that a layer keeps; by default one less than `keep`, but at least 1.",
    ),
    high=Whole(
        "keep",
        "group",
        text="The most that a layer keeps; by default one more than `keep`, but at most M.",
    ),
    rule=choice(
        BudgetRule,
        (
            "In proportion to importance, or on a straight line from the least important "
            "layer at `low` to the most important one at `high`."
        ),
    ),
    repair=choice(
        bool, ("Whether the average is met exactly. Otherwise rounding and the two ends break it.")
    ),
)
def coarse_budget(
    importance: Array,
    keep: int,
    group: int,
    *,
    low: int | None = None,
    high: int | None = None,
    rule: BudgetRule = "proportional",
    repair: bool = True,
) -> Indices:
    """Choose how many of every M weights each decoder layer keeps.

    Returns
    -------
    ndarray of intp, shape (L,)
        ``N_l``.

    Notes
    -----
    ``N_l = min(N_high, max(N_low, ⌊N LI_l + ½⌋))``, for importance with mean 1. If all
    layers are alike, each keeps N.

    References
    ----------
    PBS2P, arXiv 2502.01705, Eq. (7), as its reviews describe it.

    Examples
    --------
    >>> coarse_budget([1.75, 0.75, 0.75, 0.75], 4, 8)
    array([5, 4, 4, 3])
    >>> coarse_budget([1.75, 0.75, 0.75, 0.75], 4, 8, repair=False)
    array([5, 3, 3, 3])
    """
    least = max(keep - 1, 1) if low is None else low
    most = min(keep + 1, group) if high is None else high
    proportional = rule == "proportional"
    wishes = keep * importance if proportional else _line(importance, keep, least, most)
    if repair:
        return repair_budget(wishes, keep, least, most)
    # Eq. (7), PBS2P:  N_l = min(N_high, max(N_low, ⌊N LI_l + ½⌋))
    return np.asarray(np.clip(np.floor(wishes + 0.5), least, most), dtype=np.intp)


def _line(amounts: Array, keep: int, low: int, high: int) -> Array:
    span = np.max(amounts) - np.min(amounts)
    if span == 0.0:
        return np.full(len(amounts), float(keep))
    # Eq. (61), subbit:  N_low + (N_high − N_low)(LI_l − min LI) / (max LI − min LI)
    return np.asarray(low + (high - low) * ((amounts - np.min(amounts)) / span))


@contract(
    2,
    W=WEIGHTS,
    H=symmetric("k", "Hessian of the columns; damped, for the scores that invert it."),
    score=choice(
        FineScore,
        (
            "``w² / [H⁻¹]_jj``; ``w² / [H⁻¹]_jj²``, the saliency of BiLLM and ARB-LLM; ``w² / "
            "U_jj²``, which their code computes; ``|w|``; ``|w| ‖X_j‖``."
        ),
    ),
)
def fine_scores(W: Array, H: Array, *, score: FineScore = "obs") -> Array:
    """Score the weights for the choice within every M columns.

    Returns
    -------
    ndarray of float64, shape (n, k)
        Scores, nonnegative.

    Raises
    ------
    HessianError
        If the score inverts `H` and it is not positive definite.

    Notes
    -----
    ``w² / (2 [H⁻¹]_jj)`` is the exact rise of ``½ r H rᵀ`` when weight j is removed and
    all others can move. Weights that share one magnitude cannot, so no score is best for all
    data.

    References
    ----------
    PBS2P, arXiv 2502.01705, Eq. (8) and Theorem 3.1, as its reviews describe them.

    Examples
    --------
    >>> fine_scores([[1.0, 2.0]], [[2.0, 0.0], [0.0, 1.0]])
    array([[2., 4.]])
    >>> fine_scores([[1.0, 2.0]], [[2.0, 0.0], [0.0, 1.0]], score="squared")
    array([[4., 4.]])
    """
    if score == "magnitude":
        return magnitude_importance(W)
    if score == "wanda":
        return wanda_importance(W, input_norms(H))
    if score == "squared":
        return inverse_hessian_saliency(W, H)
    return obs_saliency(W, H) if score == "obs" else trailing_saliency(W, inverse_factor(H))
