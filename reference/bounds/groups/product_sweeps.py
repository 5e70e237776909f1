"""Bounds of sweeps over products
==============================

How far a correct port's scales may deviate, and how far rounding may raise the error that a sweep
lowers otherwise. Return values are as in ``bounds``.
"""

import numpy as np

from subbit.reference.bounds.propagation import _times_inverse
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.factored import ProductGroup
from subbit.reference.notation import Array

OTHERS = 32
"""Roundings of a change and of what is compared, apart from sums."""


def refit_row_scales_bound(
    W: Input, H: Input, group: ProductGroup, *, arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.groups.product_sweeps.refit_row_scales`.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights.
    H : array_like of float64, shape (m, m)
        Damped Hessian.
    group : ProductGroup
        The product before.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Row scales, shape (n,).

    Notes
    -----
    A port may multiply H by Z or by W first; the larger error is allowed.

    Examples
    --------
    >>> one = np.ones((1, 1), dtype=np.int8)
    >>> group = ProductGroup("all", one > 0, one, one, np.ones(1), np.ones(1))
    >>> refit_row_scales_bound([[3.0]], [[2.0]], group, arithmetic=Arithmetic()).value
    array([3.])
    """
    weights, matrix = arithmetic.checked("W", W), arithmetic.checked("H", H)
    Z = arithmetic.exactly(group.product()) * arithmetic.read(group.column_scale)[None]
    ZH, given = Z @ matrix, arithmetic.read(group.row_scale)
    divisor = (Z * ZH).T.sum("library")
    dividend = (weights * ZH).T.sum("library").or_else(((weights @ matrix) * Z).T.sum("library"))
    with np.errstate(invalid="ignore", divide="ignore"):
        scales = dividend / divisor
    nothing = (divisor.value == 0.0) & (divisor.error == 0.0)
    # Eq. (B153), subbit:  |ŝ − s| ≤ the larger error of both quotients, and e_s of a copy
    return Rounded(
        np.where(nothing, given.value, scales.value),
        np.where(nothing, given.error, scales.error),
        arithmetic,
    )


def refit_column_scales_bound(
    W: Input, H: Input, group: ProductGroup, *, arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.groups.product_sweeps.refit_column_scales`.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights.
    H : array_like of float64, shape (m, m)
        Damped Hessian.
    group : ProductGroup
        The product before.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Column scales, shape (m,).

    Notes
    -----
    Normal equations and their right side carry their errors, and are solved as for
    :func:`~subbit.reference.bounds.propagation.propagated_weights_bound`.

    Examples
    --------
    >>> one = np.ones((1, 1), dtype=np.int8)
    >>> group = ProductGroup("all", one > 0, one, one, np.ones(1), np.ones(1))
    >>> refit_column_scales_bound([[3.0]], [[2.0]], group, arithmetic=Arithmetic()).value
    array([3.])
    """
    weights, matrix = arithmetic.checked("W", W), arithmetic.checked("H", H)
    Y = arithmetic.read(group.row_scale)[:, None] * arithmetic.exactly(group.product())
    # Eq. (B154), subbit:  |ĉ − c| ≤ the error of g R⁻¹, and e_c of a copy
    R, g = matrix * (Y.T @ Y), (Y * (weights @ matrix)).sum("library")
    given = arithmetic.read(group.column_scale)
    value, error = given.value.copy(), given.error.copy()
    free = np.diag(R.value) > 0.0
    if free.any():
        solved = _times_inverse(g[free][None], R[np.ix_(free, free)])
        value[free], error[free] = solved.value[0], solved.error[0]
    return Rounded(value, error, arithmetic)


def sign_rise_bound(
    W: Input, H: Input, group: ProductGroup, after: Array, *, arithmetic: Arithmetic
) -> Rounded:
    """Rise of the error in :func:`~subbit.reference.groups.product_sweeps.sweep_signs`.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights.
    H : array_like of float64, shape (m, m)
        Damped Hessian.
    group : ProductGroup
        The product before the sweep.
    after : ndarray of float64, shape (n, m)
        What the port's record decodes to after it.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Rise, 0 where the error falls, and the most that rounding explains, a scalar.

    Notes
    -----
    1. No product on the way has an entry above ``r |s_i| |c_j|``, so what is left of the weights
       is at most ``a = |w| + r |s| |c|``.
    2. The products that decide a sign of row i are sums over columns of ``D H`` and of H, and
       change with each sign before it: off by ``γ_p a_i |H| |c|ᵀ`` with ``p = n + 4 m + 4 r + 32``.
       A sign of V needs a sum over rows as well.
    3. A flip that only looks as if it lowered the error raises it by ``4 |s_i|`` times that at
       most; all r of a row by ``4 γ_p a_i |H| a_iᵀ``, and those of V by as much.

    Examples
    --------
    >>> one = np.ones((1, 1), dtype=np.int8)
    >>> group = ProductGroup("all", one > 0, one, one, np.ones(1), np.ones(1))
    >>> rise = sign_rise_bound([[2.0]], [[1.0]], group, one, arithmetic=Arithmetic("float32"))
    >>> float(rise.value), bool(rise.error < 1e-3)
    (0.0, True)
    """
    weights, matrix = arithmetic.checked("W", W), arithmetic.checked("H", H)
    w, S, r = weights.value, matrix.value, group.rank
    a = weights.reach + r * np.abs(np.multiply.outer(group.row_scale, group.column_scale))
    roundings = len(w) + 4 * (len(S) + r) + OTHERS
    # Eq. (B155), subbit:  L(D') − L(D) ≤ 8 γ_{n + 4 m + 4 r + 32} Σ_i a_i |H| a_iᵀ
    allowed = 8.0 * arithmetic.gamma(roundings) * np.sum((a @ np.abs(S)) * a)
    old, new = (np.sum(((w - Q) @ S) * (w - Q)) for Q in (group.decode(), after))
    flushed = roundings * a.size * arithmetic.tiny * (1.0 + np.sum(np.abs(S)))
    return Rounded(np.maximum(new - old, 0.0), np.asarray(allowed + flushed), arithmetic)
