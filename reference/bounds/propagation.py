"""Bounds of error propagation
===========================

How far a correct port of ``propagation`` may deviate. Return values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``M``      (n, m)    what is multiplied by the inverse, ``Z = M A⁻¹``
``A``      (m, m)    the damped Hessian; ``d = √diag A``
``B``      (m, m)    a Cholesky solver's error, as an error of `A`
``ρ``      scalar    largest sum of a column of ``B |A⁻¹|`` scaled by d, below a half
========== ========= ===============================================================

References
----------
N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., Theorem 10.4.
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import check_matrix
from subbit.reference.notation import Array
from subbit.reference.propagation import Propagation

from .hessian import damp_bound, inverse_bound, inverse_factor_bound
from .rounding import Arithmetic, Input, Rounded


def accumulate_cross_bound(
    D: npt.ArrayLike, X: npt.ArrayLike, *, arithmetic: Arithmetic
) -> Rounded:
    """Bound of :func:`~subbit.reference.propagation.accumulate_cross`.

    Parameters
    ----------
    D : array_like of float64, shape (N, L, d)
        Deviations of N sequences.
    X : array_like of float64, shape (N, L, m)
        Inputs of the quantized model for the same sequences.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The cross Gram matrix, shape (d, m).

    Notes
    -----
    As for the Hessian, with two different factors.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> accumulate_cross_bound([[[1.0]]], [[[3.0]]], arithmetic=Arithmetic("float32")).value
    array([[6.]])
    """
    inputs = check_matrix("X", X, shape=(None, None, None))
    deviations = check_matrix("D", D, shape=(*inputs.shape[:2], None))
    left = arithmetic.read(deviations.reshape(-1, deviations.shape[-1]))  # (N, L, d) -> (N L, d)
    right = arithmetic.read(inputs.reshape(-1, inputs.shape[-1]))  # (N, L, m) -> (N L, m)
    # Eq. (B141), subbit:  |Ĉ − C| ≤ 2/N (Σ (|d| e_x + e_d |x|) + γ_T Σ|d||x|) + γ_2 |C|
    return (left.T @ right).flip(2.0) / arithmetic.exactly(len(inputs))


def _solved(M: Rounded, A: Rounded, inverse: Array) -> Rounded:
    """Bound ``M A⁻¹`` where each of its rows is solved for with the factor of A."""
    arithmetic, m = A.arithmetic, A.shape[0]
    d, size, Z = np.sqrt(np.diag(A.value)), np.abs(inverse), M.value @ inverse
    # Products below the smallest normal number may be lost in every step.
    lost = 4 * m * arithmetic.tiny * (1.0 + d.max())
    B = arithmetic.gamma(3 * m + 2) * np.outer(d, d) + A.error + lost
    with np.errstate(invalid="ignore"):
        rho = float(np.max((1.0 / d) @ (B @ size) * d))
        t = (np.abs(Z) @ B + M.error + lost) @ size
        # Eq. (B142), subbit:  |Ẑ − Z| ≤ t + ρ / (1 − ρ) max(t d) / d,  t = (|Z| B + e_M) |A⁻¹|
        error = t + rho / max(1.0 - rho, 0.5) * np.max(t * d, axis=1, keepdims=True) / d
    return Rounded(Z, np.where(rho < 0.5, error, np.inf), arithmetic)


def _times_inverse(M: Rounded, A: Rounded) -> Rounded:
    """Bound ``M A⁻¹`` through the factor, the inverse, or a solver."""
    U = inverse_factor_bound(A, arithmetic=A.arithmetic)
    inverse = inverse_bound(A, arithmetic=A.arithmetic)
    factored = (M @ U.T) @ U
    return factored.or_else(M @ inverse).or_else(_solved(M, A, inverse.value))


def propagated_weights_bound(
    W: Input,
    H: Input,
    cross: Input,
    config: Propagation = Propagation(),
    *,
    residual: Input | None = None,
    arithmetic: Arithmetic,
) -> Rounded:
    """Bound of :func:`~subbit.reference.propagation.propagated_weights`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Proxy Hessian, not damped.
    cross : array_like of float64 or Rounded, shape (m, m)
        Cross Gram matrix of the inputs' deviations.
    config : Propagation
        The switches.
    residual : array_like of float64 or Rounded, shape (n, m), optional
        Cross Gram matrix of the residual stream's deviations.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The corrected weights, shape (n, m).

    Raises
    ------
    HessianError
        If `H` is not positive definite after damping.

    Notes
    -----
    1. ``M = α W C + β R`` and the damped Hessian carry their errors.
    2. ``M A⁻¹`` is computed with the factor, with the inverse, or by a solver, whose rows
       each belong to a matrix off by B.
    3. A port may also multiply C by the inverse first, and then by W.

    The largest of these errors is allowed.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> one = [[1.0, 0.0], [0.0, 1.0]]
    >>> bound = propagated_weights_bound([[3.0, 1.0]], one, one, arithmetic=Arithmetic("float32"))
    >>> bound.value.round(3), bool(bound.error.max() < 1e-4)
    (array([[5.97, 1.99]]), True)
    """
    weights = arithmetic.checked("W", W)
    n, m = weights.shape
    A = damp_bound(H, config.ridge, arithmetic=arithmetic)
    C = arithmetic.checked("cross", cross, shape=(m, m))
    alpha, beta = arithmetic.read(config.alpha), arithmetic.read(config.beta)
    moved, after = alpha * (weights @ C), weights @ (_times_inverse(C, A) * alpha)
    if residual is not None:
        stream = beta * arithmetic.checked("residual", residual, shape=(n, m))
        moved, after = moved + stream, after + _times_inverse(stream, A)
    # Eq. (B143), subbit:  the larger error of W + M A⁻¹ and of W + W (α C A⁻¹) + β R A⁻¹
    return (weights + _times_inverse(moved, A)).or_else(weights + after)
