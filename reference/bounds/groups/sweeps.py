"""Bound of a sweep
================

How far rounding may raise the error of a row, which a sweep lowers otherwise. Return values are
as in ``bounds``.
"""

import numpy as np

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.notation import Array

PASSES = 4
"""Times that each column's products change, at most: once before a sweep, and by the step, the
large entries and the level of every column."""
OTHERS = 32
"""Roundings of a change and of what is compared, apart from sums over columns."""


def sweep_rise_bound(
    W: Input, H: Input, before: Array, after: Array, *, arithmetic: Arithmetic
) -> Rounded:
    """Rise of each row's error in :func:`~subbit.reference.groups.sweeps.sweep_levels`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Damped Hessian.
    before, after : ndarray of float64, shape (n, m)
        What the record decodes to before the sweep, and after the port's.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Rise, 0 where the error falls, and the most that rounding explains, shape (n,).

    Notes
    -----
    1. A product ``P_j = D H_:j`` is a sum of m terms, and later takes at most three changes from
       each column, so the port's is off by ``γ_c (a |H|)_j`` with ``c = 4 m + 32`` and
       ``a = |w| + |q| + |q'|``.
    2. A change δ is taken if ``δ H δᵀ − 2 P δᵀ`` looks negative; so it raises the error by
       ``2 |δ|`` times that at most, and all together by ``2 γ_c a |H| aᵀ``.

    Examples
    --------
    >>> import numpy as np
    >>> W, Q = np.array([[1.0, 2.0]]), np.array([[1.0, 1.0]])
    >>> rise = sweep_rise_bound(W, np.eye(2), 0 * Q, Q, arithmetic=Arithmetic("float32"))
    >>> rise.value, bool((rise.error < 1e-3).all())
    (array([0.]), True)
    """
    weights = arithmetic.checked("W", W)
    matrix = arithmetic.checked("H", H, shape=(weights.shape[1],) * 2)
    w, S = weights.value, matrix.value
    sizes = weights.reach + np.abs(before) + np.abs(after)
    roundings = PASSES * len(S) + OTHERS
    # Eq. (B137), subbit:  L(D') − L(D) ≤ 2 γ_{4 m + 32} a |H| aᵀ,  a = |w| + |q| + |q'|
    allowed = 2.0 * arithmetic.gamma(roundings) * np.sum((sizes @ np.abs(S)) * sizes, axis=1)
    old, new = (np.sum(((w - Q) @ S) * (w - Q), axis=1) for Q in (before, after))
    # Squares may be flushed to zero, and changes with them.
    flushed = roundings * arithmetic.tiny * (1.0 + np.sum(np.abs(S)))
    return Rounded(np.maximum(new - old, 0.0), allowed + flushed, arithmetic)
