"""Bounds of energies and scales of columns
========================================

How far a correct port's energies of columns and its scales may deviate. Return values are as in
``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``s``      (m,)      mean square of a column
``q``      (m,)      its share of the mean square of all weights
========== ========= ===============================================================
"""

import numpy as np

from subbit.reference.bounds.pruning.sparsity import power_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_share


def column_energies_bound(W: Input, H: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.zones.energy.column_energies`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Proxy Hessian.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Energies, shape (m,).

    Notes
    -----
    A port may divide by n before or after it multiplies by the diagonal.

    Examples
    --------
    >>> bound = column_energies_bound(
    ...     [[1.0, 2.0], [3.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]], arithmetic=Arithmetic("float32")
    ... )
    >>> bound.value, bool((bound.error < 1e-5).all())
    (array([10.,  2.]), True)
    """
    weights = arithmetic.checked("W", W)
    matrix = arithmetic.checked("H", H, shape=(weights.shape[1],) * 2)
    diagonal = Rounded(np.diag(matrix.value), np.diag(matrix.error), arithmetic)
    squares = (weights * weights).sum("column")
    rows = arithmetic.exactly(np.full(squares.shape, float(len(weights.value))))
    # Eq. (B131), subbit:  |Ê − E| ≤ (h e_s + e_h s) / n + γ_3 E,  e_s ≤ Σ e_w² + γ_{p+1} Σ w²
    return (diagonal * (squares / rows)).or_else(diagonal * squares / rows)


def column_scales_bound(W: Input, power: float = 1.0, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.zones.energy.column_scales`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    power : float, default 1.0
        Power of the root mean square.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scales, shape (m,). Columns whose squares a port may flush to zero have no bound.

    Notes
    -----
    Squares are those of weights relative to the largest one. The mean of all of them may be
    taken at once or over the columns' means, and the power before or after the division.

    Examples
    --------
    >>> bound = column_scales_bound([[1.0, 7.0], [1.0, 7.0]], arithmetic=Arithmetic("float32"))
    >>> bound.value, bool((bound.error < 1e-5).all())
    (array([0.2, 1.4]), True)
    """
    weights, half = arithmetic.checked("W", W), check_share("power", power) / 2.0
    ones = np.ones(weights.shape[1])
    if power == 0.0 or not weights.value.any():
        return arithmetic.exactly(ones)
    largest = np.unravel_index(np.argmax(np.abs(weights.value)), weights.shape)
    relative = weights / weights[largest].absolute()
    squares = relative * relative
    own = _over(squares.sum("column"), len(weights.value))
    mean = _over(own.sum("any"), len(ones)).or_else(_over(squares.total(), weights.value.size))
    # Eq. (B132), subbit:  |ĉ − c| ≤ the bound (B70) with a = p/2 and x = q,  q = s / mean s
    scales = power_bound(own / mean, half).or_else(power_bound(own, half) / power_bound(mean, half))
    none = ~weights.value.any(axis=0)
    error = np.where(own.value <= own.error, np.inf, scales.error)
    return Rounded(np.where(none, 1.0, scales.value), np.where(none, 0.0, error), arithmetic)


def _over(total: Rounded, count: int) -> Rounded:
    return total / total.arithmetic.exactly(np.full(total.shape, float(count)))
