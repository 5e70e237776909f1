"""Bounds of joint levels
======================

How far a correct port's joint fits of mean and scales, and its exact first-order optimum,
may deviate. Return values are as in ``bounds.groups.arb``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``G, g``   (n, p, p)   normal equations ``G x = g`` of a row's levels
``C``      (n, k)      running sums of a sorted row about its mean
========== =========== =============================================================
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.least_squares import (
    _columns,
    _where,
    known_rank,
    solve_normal_bound,
)
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_mask
from subbit.reference.layer import BinaryGroup

from .binarize import masked_mean_bound
from .refinement import RoundedLevels


def solve_levels_bound(
    W: Input, group: BinaryGroup | RoundedLevels, *, arithmetic: Arithmetic
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.groups.joint_levels.solve_levels`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group : BinaryGroup or RoundedLevels
        The state.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        The state with the new levels.

    Notes
    -----
    1. Gram matrices are counts, which are exact; so is which signs depend on each other.
    2. Right-hand sides are sums of ``z = w - μ``, off by ``Σ e_z + γ_p Σ|z|``.
    3. Then follows the elimination. The error of the old mean cancels, as in
       :func:`~subbit.reference.bounds.groups.arb.refine_mean_bound`.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> W, port = [[4.0, 1.0, 1.0, 0.0]], Arithmetic("float32")
    >>> made = solve_levels_bound(W, arb_start(W), arithmetic=port)
    >>> made.levels.value.round(6), bool(made.levels.error.max() < 1e-4)
    (array([[2.333333, 1.666667]]), True)
    """
    state = RoundedLevels.of(group, arithmetic)
    weights = arithmetic.checked("W", W, shape=state.mask.shape)
    old = Rounded(state.mean.value, np.zeros(len(state.mask)), arithmetic)
    Z = (weights - old[:, None]).keep(state.mask)
    # Eq. (B45), subbit:  |ĝ_p − g_p| ≤ Σ e_z + γ_p Σ|z|,  z = w − μ,  then x as by (B44)
    sums = [Z.flip(e).sum("row", e != 0.0) for e in state.basis]
    G = np.einsum("pij,qij->ipq", state.basis, state.basis)  # (n, p, p)
    found = solve_normal_bound(arithmetic.exactly(G), _columns(sums), known_rank(G))
    parts = [old + found[:, 0], *(found[:, p] for p in range(1, found.shape[1]))]
    return RoundedLevels.at(state.basis, _columns(parts))


def two_means_bound(
    W: Input, mask: npt.ArrayLike | None, signs: npt.ArrayLike, *, arithmetic: Arithmetic
) -> RoundedLevels:
    """Bound of the levels of :func:`~subbit.reference.groups.joint_levels.two_means`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), optional
        The group's entries; all by default.
    signs : array_like of int, shape (n, k)
        The port's own signs.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        Mean and scale for those signs.

    Notes
    -----
    Means of the two clusters as in
    :func:`~subbit.reference.bounds.groups.binarize.masked_mean_bound`; half of their sum and
    of their difference have one more rounding, halving has none.

    Examples
    --------
    >>> made = two_means_bound([[4.0, 1.0]], None, [[1, -1]], arithmetic=Arithmetic())
    >>> made.levels.value
    array([[2.5, 1.5]])
    """
    weights = arithmetic.checked("W", W)
    entries, B = check_mask("mask", mask, weights.shape), np.asarray(signs)
    low, high = (masked_mean_bound(weights, s == B, arithmetic=arithmetic) for s in (-1, 1))
    one = ~np.any(B == 1, axis=1)
    half = (high - low).flip(0.5)
    # Eq. (B46), subbit:  μ = m₋ + α or (m₋ + m₊) / 2,  α = (m₊ − m₋) / 2
    mean = _where(one, low, (low + half).or_else((low + high).flip(0.5)))
    scale = _where(one, arithmetic.exactly(np.zeros(len(one))), half)
    basis = np.stack([entries.astype(np.float64), B.astype(np.float64)])  # (2, n, k)
    return RoundedLevels.at(basis, _columns([mean, scale]))


def two_means_margin(
    W: Input, mask: npt.ArrayLike | None, signs: npt.ArrayLike, *, arithmetic: Arithmetic
) -> Rounded:
    """Margin of a port's two clusters in each row.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), optional
        The group's entries; all by default.
    signs : array_like of int, shape (n, k)
        The port's own signs.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        How much more the best cut lowers the error than the port's, shape (n,), and the
        difference that rounding explains.

    Notes
    -----
    1. A distance ``d = w - μ`` is off by ``e_w + e_μ + γ_1 |d|``, a sum of c of them by
       ``Σ e_d + γ_c Σ|d|``, and its gain ``C² c / (j (c - j))`` by ``2 |C| e_C`` of that.
    2. The port finds its own gain the largest, so it is, up to the errors of both.

    Examples
    --------
    >>> W, port = [[4.0, 1.0, 1.0, 0.0]], Arithmetic("float32")
    >>> right, wrong = [[1, -1, -1, -1]], [[1, 1, 1, -1]]
    >>> [bool(m.value <= m.error) for m in (two_means_margin(W, None, s, arithmetic=port)
    ...                                     for s in (right, wrong))]
    [True, False]
    """
    weights = arithmetic.checked("W", W)
    M, B = check_mask("mask", mask, weights.shape), np.asarray(signs)
    mean = masked_mean_bound(weights, M, arithmetic=arithmetic)
    d = (weights - mean[:, None]).keep(M)
    order = np.argsort(np.where(M, d.value, np.inf), axis=1, kind="stable")
    sizes, places = np.count_nonzero(M, axis=1), np.arange(1, M.shape[1] + 1)
    # rows sorted, (n, k)
    value, error, reach = (np.take_along_axis(x, order, 1) for x in (d.value, d.error, d.reach))
    lost = arithmetic.gamma(np.maximum(sizes - 1, 0))[:, None]
    C = Rounded(np.cumsum(value, 1), np.cumsum(error, 1) + lost * np.cumsum(reach, 1), arithmetic)
    low = B == -1
    own = Rounded(
        np.sum(np.where(low, d.value, 0.0), 1),
        np.sum(np.where(low, d.error + lost * d.reach, 0.0), 1),
        arithmetic,
    )
    gains = _gain(C, np.minimum(places, sizes[:, None]), sizes[:, None])
    reached = _gain(own[:, None], np.sum(low, axis=1)[:, None], sizes[:, None])
    excess, allowed = gains.value - reached.value, gains.error + reached.error
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(excess > 0.0, excess / allowed, 0.0)
    worst = np.argmax(ratio, axis=1)[:, None]
    # Eq. (B47), subbit:  gain_j − gain_own ≤ e_j + e_own for every cut j
    # (n, k) -> (n,)
    margin, slack = (np.take_along_axis(x, worst, 1)[:, 0] for x in (excess, allowed))
    return Rounded(np.maximum(margin, 0.0), slack, arithmetic)


def _gain(C: Rounded, j: npt.NDArray[np.intp], c: npt.NDArray[np.intp]) -> Rounded:
    inner = (j > 0) & (j < c)
    factor = np.where(inner, c / np.where(inner, j * (c - j), 1), 0.0)
    gain = C * C
    # Three more roundings: the products with c and the quotient by j (c − j).
    error = np.where(inner, gain.error, 0.0) * factor
    error += C.arithmetic.gamma(3) * (np.abs(gain.value) * factor + error)
    return Rounded(
        gain.value * factor, error + np.where(inner, C.arithmetic.tiny, 0.0), C.arithmetic
    )
