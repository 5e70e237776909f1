"""Bounds of joint levels
======================

How far a right port's joint fits of mean and scales, and its exact first-order optimum,
may lie from the reference's. What is returned is as in ``bounds_refine``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``G, g``   (n, p, p)   normal equations ``G x = g`` of a row's levels
``C``      (n, k)      running sums of a sorted row about its mean
========== =========== =============================================================
"""

import numpy as np
import numpy.typing as npt

from .bounds import masked_mean_bound
from .bounds_refine import RoundedLevels
from .errors import check_mask
from .layer import BinaryGroup
from .notation import Array, Mask
from .numeric import DEPENDENT
from .rounding import Arithmetic, Input, Rounded

NOTHING = 2.0**8
"""Roundings that a pivot may be made of before it must count."""


def _where(condition: Mask, yes: Rounded, no: Rounded) -> Rounded:
    return Rounded(
        np.where(condition, yes.value, no.value),
        np.where(condition, yes.error, no.error),
        yes.arithmetic,
    )


def _columns(parts: list[Rounded]) -> Rounded:
    return Rounded(
        np.column_stack([part.value for part in parts]),
        np.column_stack([part.error for part in parts]),
        parts[0].arithmetic,
    )


def solve_normal_bound(
    G: Rounded, g: Rounded, usable: Mask | None = None, least: Array | None = None
) -> Rounded:
    """Bound of small normal equations, one system for each row.

    Parameters
    ----------
    G : Rounded
        Gram matrices, shape (n, p, p).
    g : Rounded
        Right sides, shape (n, p).
    usable : ndarray of bool, shape (n, p), optional
        Which pivots are more than rounding, where that is known.
    least : ndarray of float64, shape (n, p), optional
        Where it is not, pivots below this, or below the share :data:`NOTHING` of the
        diagonal times the unit roundoff, may count as nothing or not: there is no bound.

    Returns
    -------
    Rounded
        Solutions, shape (n, p).

    Notes
    -----
    The elimination itself, once more with numbers that carry their errors.

    Examples
    --------
    >>> read = Arithmetic("float32").read
    >>> found = solve_normal_bound(read([[[2.0, 1.0], [1.0, 2.0]]]), read([[3.0, 3.0]]))
    >>> found.value, bool(found.error.max() < 1e-5)
    (array([[1., 1.]]), True)
    """
    arithmetic, count = G.arithmetic, G.shape[1]
    zero, one = (arithmetic.exactly(np.full(len(G.value), x)) for x in (0.0, 1.0))
    rest = [[G[:, p, q] for q in range(count)] for p in range(count)]
    right = [g[:, p] for p in range(count)]
    pivots, used = [], []
    lost = np.zeros(len(G.value), dtype=np.bool_)
    for p in range(count):
        pivot, whole = rest[p][p], G[:, p, p]
        here = pivot.value > DEPENDENT * whole.value if usable is None else usable[:, p]
        if usable is None:
            share = max(DEPENDENT, NOTHING * arithmetic.unit_roundoff)
            nearly = share * (whole.value + whole.error)
            nearly = nearly if least is None else np.maximum(nearly, least[:, p])
            lost |= (pivot.value - pivot.error <= nearly) & (pivot.reach > 0.0)
        used.append(here)
        pivots.append(_where(here, pivot, one))
        for q in range(p + 1, count):
            # Eq. (B44), subbit:  G_qr − (G_qp / d) G_pr, and each of them off by its error
            factor = _where(here, rest[q][p] / pivots[p], zero)
            rest[q] = [own - factor * above for own, above in zip(rest[q], rest[p], strict=True)]
            right[q] -= factor * right[p]
    solution: list[Rounded] = [zero] * count
    for p in reversed(range(count)):
        known = right[p]
        for q in range(p + 1, count):
            known -= rest[p][q] * solution[q]
        solution[p] = _where(used[p], known / pivots[p], zero)
    # Where rounding may decide what counts as nothing, there is no bound.
    return _columns(solution).widen(np.where(lost, np.inf, 0.0)[:, None])


def _known_rank(G: Array) -> Mask:
    """Pivots of whole numbers: what is not zero is at least a share 1 / c² of the diagonal."""
    rest, usable = G.copy(), np.zeros(G.shape[:2], dtype=np.bool_)
    for p in range(G.shape[1]):
        usable[:, p] = rest[:, p, p] > DEPENDENT * G[:, p, p]
        pivot = np.where(usable[:, p], rest[:, p, p], 1.0)
        factor = np.where(usable[:, p, None], rest[:, :, p] / pivot[:, None], 0.0)
        rest -= factor[:, :, None] * rest[:, None, p, :]
    return usable


def solve_levels_bound(
    W: Input, group: BinaryGroup | RoundedLevels, *, arithmetic: Arithmetic
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.levels.solve_levels`.

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
    1. Gram matrices count, which is exact; so is which signs depend on each other.
    2. Right sides are sums of ``z = w - μ``, off by ``Σ e_z + γ_p Σ|z|``.
    3. Then the elimination. The error of the old mean cancels, as in
       :func:`~subbit.reference.bounds_refine.refine_mean_bound`.

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
    G = np.einsum("pij,qij->ipq", state.basis, state.basis)
    found = solve_normal_bound(arithmetic.exactly(G), _columns(sums), _known_rank(G))
    parts = [old + found[:, 0], *(found[:, p] for p in range(1, found.shape[1]))]
    return RoundedLevels.at(state.basis, _columns(parts))


def two_means_bound(
    W: Input, mask: npt.ArrayLike | None, signs: npt.ArrayLike, *, arithmetic: Arithmetic
) -> RoundedLevels:
    """Bound of the levels of :func:`~subbit.reference.levels.two_means`.

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
    Means of the two clusters as in :func:`~subbit.reference.bounds.masked_mean_bound`;
    half of their sum and of their difference have one rounding more, halving has none.

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
    basis = np.stack([entries.astype(np.float64), B.astype(np.float64)])
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
        By how much the best cut lowers the error more than the port's, shape (n,), and
        what rounding explains.

    Notes
    -----
    1. A distance ``d = w - μ`` is off by ``e_w + e_μ + γ_1 |d|``, a sum of c of them by
       ``Σ e_d + γ_c Σ|d|``, and its gain ``C² c / (j (c - j))`` by ``2 |C| e_C`` of that.
    2. The port says that its gain is the largest; so it is, to the errors of both.

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
    margin, slack = (np.take_along_axis(x, worst, 1)[:, 0] for x in (excess, allowed))
    return Rounded(np.maximum(margin, 0.0), slack, arithmetic)


def _gain(C: Rounded, j: npt.NDArray[np.intp], c: npt.NDArray[np.intp]) -> Rounded:
    inner = (j > 0) & (j < c)
    factor = np.where(inner, c / np.where(inner, j * (c - j), 1), 0.0)
    gain = C * C
    # Three more roundings: of the products with c and the quotient by j (c − j).
    error = np.where(inner, gain.error, 0.0) * factor
    error += C.arithmetic.gamma(3) * (np.abs(gain.value) * factor + error)
    return Rounded(
        gain.value * factor, error + np.where(inner, C.arithmetic.tiny, 0.0), C.arithmetic
    )
