"""Bounds of choosing salient columns
==================================

How far a correct port's column scores and objectives may deviate, and which rankings rounding
may produce. Return values are as in :mod:`~subbit.reference.bounds.groups.binarize`.
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_mask
from subbit.reference.notation import Mask, SignOfZero

from .candidates import candidate_objective, group_remainders, stacked
from .running import Running, flushed
from .split import _worst


def salient_search_bound(
    target: Input,
    ranking: npt.ArrayLike,
    counts: npt.ArrayLike,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: Mask | None = None,
    running: bool = False,
    arithmetic: Arithmetic,
) -> Rounded:
    """Bounds of the objectives of :func:`~subbit.reference.zones.salient.salient_search`.

    Parameters
    ----------
    target : array_like of float64 or Rounded, shape (n, k)
        Values that errors are measured on.
    ranking, counts, orders, center, sign_zero, entries
        As in :func:`~subbit.reference.zones.salient.salient_search_direct`.
    running : bool, default False
        Allow the port to form the objectives from running sums.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Objectives of all counts as the equation reads, shape (c,).

    Notes
    -----
    1. Each group leaves ``r = x - q``, off by ``e_r``, as in
       :func:`~subbit.reference.bounds.groups.binarize.residual_binarize_bound`.
    2. The objective is off by ``Σ (2 |r| e_r + e_r²) + γ_{p+2} Σ r²``, and by the energy J
       of the rows in which rounding decides.
    3. Running sums of a row lose ``γ_k`` of the whole row, not of the group; see
       :meth:`~subbit.reference.bounds.zones.candidates.Running.lost`.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = salient_search_bound([[9.0, 1.0]], [0, 1], [1], arithmetic=Arithmetic("float32"))
    >>> bound.value, bound.error < 1e-10
    (array([0.]), array([ True]))
    """
    values = arithmetic.checked("target", target)
    order = np.asarray(ranking, dtype=np.intp)
    used = np.isin(np.arange(values.shape[1]), order)
    part = used & check_mask("entries", entries, values.shape)
    sums = Running.of(values, part) if running else None
    first = [
        part & np.isin(np.arange(values.shape[1]), order[:s])
        for s in np.asarray(counts, dtype=np.intp)
    ]
    groups = [
        group_remainders(values, masks, depth, center=center, sign_zero=sign_zero, running=sums)
        for masks, depth in zip((first, [part & ~mask for mask in first]), orders, strict=True)
    ]
    objectives = [candidate_objective(pair) for pair in zip(*groups, strict=True)]
    return stacked(objectives, flushed(part, arithmetic) if running else 0.0, arithmetic)


def column_saliency_bound(S: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.zones.salient.column_saliency`.

    Parameters
    ----------
    S : array_like of float64 or Rounded, shape (n, k)
        Scores.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Column scores, shape (k,).

    Notes
    -----
    A sum of n magnitudes: ``Σ e_s + γ_p Σ|s|``, relative to the score itself ``γ_p``.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> column_saliency_bound([[1.0], [-2.0]], arithmetic=Arithmetic("float32")).value
    array([3.])
    """
    # Eq. (B26), subbit:  |ĉ − c| ≤ Σ e_s + γ_p Σ|s|
    return arithmetic.checked("S", S).absolute().sum("column")


def rank_columns_margin(
    scores: Input, ranking: npt.ArrayLike, *, ordered: bool = True, arithmetic: Arithmetic
) -> Rounded:
    """Margin of a port's ranking of columns.

    Parameters
    ----------
    scores : array_like of float64 or Rounded, shape (k,)
        Column scores.
    ranking : array_like of int, shape (a,)
        The port's ranking.
    ordered : bool, default True
        Whether equal scores are in the order of the columns.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        For each position, how much smaller its score is than a later one, shape (a,), and
        the errors of both, for the worst pair; 0 where no later score is larger.

    Notes
    -----
    The port puts i before j, so ``ŝ_i >= ŝ_j``; hence ``s_j - s_i <= e_i + e_j``. Scores
    that are equal and exact must be in the order of the columns, if any: infinity if not.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> scores, port = [1.0, 1.0 + 1e-9, 3.0], Arithmetic("float32")
    >>> margin = rank_columns_margin(scores, [2, 0, 1], arithmetic=port)
    >>> bool((margin.value <= margin.error).all())
    True
    """
    given = arithmetic.checked("scores", scores, shape=(None,))
    order = np.asarray(ranking, dtype=np.intp)
    s, e = given.value[order], given.error[order]
    later = np.triu(np.ones((len(s),) * 2, dtype=np.bool_), 1)
    excess, allowed = s[None] - s[:, None], e[None] + e[:, None]
    tied = ordered & (excess == 0.0) & (allowed == 0.0) & (order[None] < order[:, None])
    # Eq. (B27), subbit:  i before j  ⇒  s_j − s_i ≤ e_i + e_j
    excess = np.where(later, np.where(tied, np.inf, np.maximum(excess, 0.0)), 0.0)
    return _worst(excess, allowed, arithmetic)
