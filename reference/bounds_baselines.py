"""Bounds of the pruning and the mixed baselines
=============================================

How far a right port's levels of PB-LLM's low part may lie from the reference's, and the
scores that Wanda's family prunes by. Masks are judged by the margins of
``bounds_sparsity``, the states of columns by ``bounds_compensate``. What is returned is
as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``L``      (n, k)    entries of the low part
``μ, α``   (n,)      its levels
========== ========= ===============================================================
"""

import numpy.typing as npt

from .bounds import masked_mean_bound, masked_scale_bound
from .bounds_sparsity import (
    input_norms_bound,
    power_bound,
    ria_importance_bound,
    wanda_importance_bound,
)
from .errors import check_choice, check_mask
from .rounding import Arithmetic, Input, Rounded
from .wanda import Wanda


def low_levels_bound(
    W: Input, mask: npt.ArrayLike, statistics: str, *, arithmetic: Arithmetic
) -> tuple[Rounded, Rounded]:
    """Bounds of the levels of PB-LLM's low part.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights of the block before any was moved.
    mask : array_like of bool, shape (n, k)
        Entries of the low part.
    statistics : {"row", "group"}
        What the levels are means of.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    mean, scale : Rounded
        ``μ`` and ``α``, shape (n,).

    Notes
    -----
    Both are bounds of means, (B7) and (B8): over the low entries, or over all columns with
    exact zeros in the places of the others, which then have the distance ``|μ|``.

    Examples
    --------
    >>> mask = [[True, True, False]]
    >>> mean, scale = low_levels_bound(
    ...     [[1.0, 2.0, 9.0]], mask, "row", arithmetic=Arithmetic("float32")
    ... )
    >>> mean.value, scale.value.round(3)
    (array([1.]), array([0.667]))
    """
    check_choice("statistics", statistics, ("row", "group"))
    weights = arithmetic.checked("W", W)
    low = check_mask("mask", mask, weights.shape)
    entries = low if statistics == "group" else None
    # Eq. (B90), subbit:  e_μ, e_α as by (B7) and (B8) of L ∘ W, over L or over all k columns
    kept = weights.keep(low)
    mean = masked_mean_bound(kept, entries, arithmetic=arithmetic)
    return mean, masked_scale_bound(kept, entries, mean, arithmetic=arithmetic)


def pruning_scores_bound(W: Input, H: Input, config: Wanda, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of the scores that :func:`~subbit.reference.wanda.wanda_layer` prunes by.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Proxy Hessian, not damped.
    config : Wanda
        The configuration.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, m).

    Examples
    --------
    >>> import numpy as np
    >>> port = Arithmetic("float32")
    >>> pruning_scores_bound([[1.0, -2.0]], 8 * np.eye(2), Wanda(), arithmetic=port).value
    array([[2., 4.]])
    """
    weights = arithmetic.checked("W", W)
    if config.importance == "magnitude":
        return weights.absolute()
    norms = input_norms_bound(H, arithmetic=arithmetic)
    # Eq. (B91), subbit:  e_s as by (B72) or (B73), of norms that are off by (B71), to a power (B70)
    if config.importance == "ria":
        exponent = config.exponent
        return ria_importance_bound(weights, norms, exponent=exponent, arithmetic=arithmetic)
    lengths = power_bound(norms, config.exponent)
    return wanda_importance_bound(weights, lengths, arithmetic=arithmetic)
