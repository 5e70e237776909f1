"""Bounds of objectives
====================

How far a correct port's objectives may deviate: sums of squares and quadratic forms.
Return values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``d``      (n, m)    entries of ``D = W - Q``, off by ``e_d = e_w + e_q + γ_1 |d|``
``y``      (n, T)    outputs ``D Xᵀ``
``g``      (n, m)    ``D S``
``l``      scalar    what flushing to zero takes from an entry, at most
========== ========= ===============================================================
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.notation import Array

from .rounding import Arithmetic, Input, Rounded


def _difference(W: Input, Q: Input, arithmetic: Arithmetic) -> Rounded:
    weights = arithmetic.checked("W", W)
    return weights - arithmetic.checked("Q", Q, shape=weights.shape)


def _quadratic(D: Rounded, S: Rounded) -> Rounded:
    # Eq. (B14), subbit:  |L̂2 − L2| ≤ Σ (|g| e_d + e_g |d|) + γ_{p+1} Σ|g d|,  g = D S
    return ((D @ S) * D).total()


def weight_error_bound(W: Input, Q: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.objective.weight_error`.

    Parameters
    ----------
    W, Q : array_like of float64 or Rounded, shape (n, m)
        Weights and their quantized image.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The error, a scalar.

    Notes
    -----
    1. ``d = w - q`` is off by ``e_d = e_w + e_q + γ_1 |d|``.
    2. Its square by ``2 |d| e_d + e_d² + γ_1 d²``, and the sum by a further ``γ_p Σ d²``.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = weight_error_bound([[1.0, 2.0]], [[1.5, 1.5]], arithmetic=Arithmetic("float32"))
    >>> float(bound.value), bool(bound.error < 3e-7)
    (0.5, True)
    """
    D = _difference(W, Q, arithmetic)
    # Eq. (B12), subbit:  |L̂1 − L1| ≤ Σ (2 |d| e_d + e_d²) + γ_{p+1} Σ (|d| + e_d)²
    return (D * D).total()


def calibrated_error_bound(W: Input, Q: Input, X: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.objective.calibrated_error`.

    Parameters
    ----------
    W, Q : array_like of float64 or Rounded, shape (n, m)
        Weights and their quantized image.
    X : array_like of float64 or Rounded, shape (T, m)
        Inputs, one token per row.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The error, a scalar.

    Notes
    -----
    1. An output ``y = Σ_j d_j x_j`` of m terms is off by
       ``e_y = Σ (|d| e_x + e_d |x|) + γ_m Σ|d||x|``.
    2. Its square by ``2 |y| e_y + e_y² + γ_1 y²``, and the sum by a further ``γ_p Σ y²``.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W, Q, X = [[1.0, 2.0]], [[1.5, 1.5]], [[1.0, 1.0], [1.0, -1.0]]
    >>> bound = calibrated_error_bound(W, Q, X, arithmetic=Arithmetic("float32"))
    >>> float(bound.value), bool(bound.error < 2e-6)
    (1.0, True)
    """
    D = _difference(W, Q, arithmetic)
    outputs = D @ arithmetic.checked("X", X, shape=(None, D.shape[1])).T
    # Eq. (B13), subbit:  e_y ≤ Σ (|d| e_x + e_d |x|) + γ_m Σ|d||x|,  then as a sum of squares
    return (outputs * outputs).total()


def calibrated_error_trace_bound(
    W: Input, Q: Input, S: Input, *, arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.objective.calibrated_error_trace`.

    Parameters
    ----------
    W, Q : array_like of float64 or Rounded, shape (n, m)
        Weights and their quantized image.
    S : array_like of float64 or Rounded, shape (m, m)
        ``XᵀX``.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The error, a scalar.

    Notes
    -----
    1. ``g = D S`` is off by ``e_g = |D| e_S + e_D |S| + γ_m |D||S|``, products of matrices.
    2. ``g d`` by ``|g| e_d + e_g |d| + γ_1 |g d|``, and the sum by a further ``γ_p Σ|g d|``.

    The terms of the sum have both signs, so the bound may exceed the error itself.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W, Q, S = [[1.0, 2.0]], [[1.5, 1.5]], [[2.0, 0.0], [0.0, 2.0]]
    >>> bound = calibrated_error_trace_bound(W, Q, S, arithmetic=Arithmetic("float32"))
    >>> float(bound.value), bool(bound.error < 2e-6)
    (1.0, True)
    """
    D = _difference(W, Q, arithmetic)
    gram = arithmetic.checked("S", S, shape=(D.shape[1],) * 2)
    return _quadratic(D, gram)


def relative_error_bound(W: Input, Q: Input, S: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.objective.relative_error`.

    Parameters
    ----------
    W, Q : array_like of float64 or Rounded, shape (n, m)
        Weights and their quantized image.
    S : array_like of float64 or Rounded, shape (m, m)
        ``XᵀX`` or any positive multiple of it.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The relative error, a scalar.

    Notes
    -----
    With numerator a and denominator b as in :func:`calibrated_error_trace_bound`, the
    quotient is off by ``(e_a + ε e_b) / (b - e_b)`` and its own rounding.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W, Q, S = [[2.0, 0.0]], [[1.0, 0.0]], [[3.0, 0.0], [0.0, 1.0]]
    >>> bound = relative_error_bound(W, Q, S, arithmetic=Arithmetic("float32"))
    >>> float(bound.value), bool(bound.error < 1e-6)
    (0.25, True)
    """
    error = calibrated_error_trace_bound(W, Q, S, arithmetic=arithmetic)
    # Eq. (B15), subbit:  |ε̂ − ε| ≤ (e_a + ε e_b) / (b − e_b) + γ_2 ε
    return error / _quadratic(arithmetic.checked("W", W), arithmetic.checked("S", S))


def proxy_loss_bound(W: Input, Q: Input, H: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.objective.proxy_loss`.

    Parameters
    ----------
    W, Q : array_like of float64 or Rounded, shape (n, m)
        Weights and their quantized image.
    H : array_like of float64 or Rounded, shape (m, m)
        Proxy Hessian.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The loss, a scalar.

    Notes
    -----
    Half of :func:`calibrated_error_trace_bound`; halving is exact. With a Rounded `Q`, such
    as from :func:`decode_bound`, it is the slack of the loss of a layer whose decisions are
    the reference's: to first order ``Σ |D H| e_Q`` more.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W, Q, H = [[1.0, 2.0]], [[1.5, 1.5]], [[2.0, 0.0], [0.0, 2.0]]
    >>> bound = proxy_loss_bound(W, Q, H, arithmetic=Arithmetic("float32"))
    >>> float(bound.value), bool(bound.error < 1e-6)
    (0.5, True)
    """
    # Eq. (B16), subbit:  |ℒ̂ − ℒ| ≤ ½ (Σ (|g| e_d + e_g |d|) + γ_{p+1} Σ|g d|),  g = D H
    return calibrated_error_trace_bound(W, Q, H, arithmetic=arithmetic).flip(0.5)


def flushed_slack(
    error: npt.ArrayLike,
    weight: npt.ArrayLike,
    operations: int,
    *,
    squares: bool = False,
    arithmetic: Arithmetic,
) -> Array:
    """Return how far flushing to zero raises the error that a method reaches.

    Parameters
    ----------
    error : array_like of float64, any shape
        Errors that are reached without flushing.
    weight : array_like of float64, shape of `error`
        Sum of ``|S|`` over all pairs of entries of a row, over all rows; for a sum of squares
        the number of entries.
    operations : int
        Operations that an entry passes through, each of which may flush.
    squares : bool, default False
        Whether the method also compares or divides squares of entries.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    ndarray of float64, shape of `error`
        Slack of the errors.

    Notes
    -----
    1. An operation takes at most the smallest normal number t from its result, so c of them
       move an entry by ``l = c t``. A square is flushed where its root is below ``√t``, and what
       is decided by c of them is the same as for zeros: ``l = √(c t)``.
    2. The error is the square of a seminorm, in which the moves of all entries have at most
       ``φ = l² Σ|S|``; so the root of the error rises by at most ``√φ``.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> port = Arithmetic("float32")
    >>> bool(flushed_slack(1.0, 64, 16, arithmetic=port) < 1e-34)
    True
    >>> bool(flushed_slack(0.0, 1, 1, arithmetic=port) == port.tiny**2)
    True
    """
    lost = operations * arithmetic.tiny
    moved = (lost if squares else lost**2) * np.asarray(weight, dtype=np.float64)
    # Eq. (B122), subbit:  L(D + F) − L(D) ≤ 2 √(L(D) φ) + φ,  φ = l² Σ|S|,  |F| ≤ l
    return np.asarray(2.0 * np.sqrt(np.asarray(error) * moved) + moved)
