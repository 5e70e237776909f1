"""Bounds of linear algebra
========================

How far a correct port may deviate: the Hessian, its inverse factor and the scores that use
it. Return values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``U, V``   (m, m)    the inverse factor, and ``V = U⁻¹``, so that ``H = V Vᵀ``
``d, x``   (m,)      ``√diag H`` and ``√diag H⁻¹``, the norms of V's rows, U's columns
``t, q``   (m,)      ``|U| d`` and ``|V|ᵀ x``
``K``      (m, m)    ``|U| |V|``, at least the identity: 1 where H is diagonal
``R``      (m, m)    bound of ``|Û H Ûᵀ - I|``
========== ========= ===============================================================

Conditioning enters through ``K``, ``t`` and ``q``; none changes when inputs are rescaled.

References
----------
N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., Theorems 10.3
and 10.4, section 14.2; X.-W. Chang, C. Paige, G. Stewart, IMA J. Numer. Anal. 16 (1996).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from subbit.reference.errors import check_matrix
from subbit.reference.hessian import inverse_factor
from subbit.reference.notation import Array

from .rounding import Arithmetic, Input, Rounded


def accumulate_hessian_bound(X: npt.ArrayLike, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.hessian.accumulate_hessian`.

    Parameters
    ----------
    X : array_like of float64, shape (N, L, m)
        Inputs of N sequences.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The proxy Hessian, shape (m, m).

    Notes
    -----
    An entry is ``2/N Σ x_i x_j`` over T = N L tokens: input errors contribute
    ``Σ (|x_i| e_j + e_i |x_j|)``, products and sum ``γ_T Σ|x_i||x_j|``, and the factor two
    roundings.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = accumulate_hessian_bound([[[1.0, 3.0]]], arithmetic=Arithmetic("float32"))
    >>> bound.value
    array([[ 2.,  6.],
           [ 6., 18.]])
    """
    inputs = check_matrix("X", X, shape=(None, None, None))
    flat = arithmetic.read(inputs.reshape(-1, inputs.shape[-1]))  # (N, L, m) -> (N L, m)
    # Eq. (B28), subbit:  |Ĥ − H| ≤ 2/N (Σ (|x_i| e_j + e_i |x_j|) + γ_T Σ|x_i||x_j|) + γ_2 |H|
    return (flat.T @ flat).flip(2.0) / arithmetic.exactly(len(inputs))


def damp_bound(H: Input, percdamp: float = 0.01, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.hessian.damp`.

    Parameters
    ----------
    H : array_like of float64 or Rounded, shape (m, m)
        Proxy Hessian.
    percdamp : float, default 0.01
        Damping relative to the mean diagonal.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The damped Hessian, shape (m, m).

    Notes
    -----
    1. Off the diagonal, only the conversion counts: ``e_H``.
    2. ``λ`` is off by ``percdamp (Σ e_jj + γ_p Σ h_jj) / m`` and five roundings.
    3. A diagonal entry is off by ``e_jj + e_λ + γ_1 (h_jj + λ)``.

    A diagonal entry that is not zero but may be flushed has no bound, because dead inputs
    get a one.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> damp_bound([[3.0, 0.0], [0.0, 0.0]], 0.5, arithmetic=Arithmetic("float32")).value
    array([[4., 0.],
           [0., 2.]])
    """
    hessian = arithmetic.checked("H", H)
    values, errors = np.diag(hessian.value), np.diag(hessian.error)
    lost = (values != 0.0) & (np.abs(values) - errors < arithmetic.tiny)
    diagonal = Rounded(
        np.where(values == 0.0, 1.0, values), np.where(lost, np.inf, errors), arithmetic
    )
    mean = diagonal.sum("library") / arithmetic.exactly(len(values))
    # Eq. (B29), subbit:  |ĥ_jj − h_jj| ≤ e_jj + e_λ + γ_1 (h_jj + λ)
    damped = diagonal + mean * arithmetic.read(percdamp)
    value, error = hessian.value.copy(), hessian.error.copy()
    np.fill_diagonal(value, damped.value)
    np.fill_diagonal(error, damped.error)
    return Rounded(value, error, arithmetic)


@dataclass(frozen=True, eq=False)
class _Inverse:
    """The reference's factor, and the residual that a port's factor may have."""

    U: Array
    V: Array
    residual: Array
    backward: Array
    arithmetic: Arithmetic

    @classmethod
    def of(cls, H: Rounded) -> "_Inverse":
        """Bound the residual for a Cholesky factor inverted or an inverse factored."""
        arithmetic, m = H.arithmetic, H.shape[0]
        U = inverse_factor(H.value)
        V = np.triu(scipy.linalg.solve_triangular(U, np.eye(m)))
        size, conditioned = np.abs(U), np.abs(U) @ np.abs(V)
        d = np.sqrt(np.diag(H.value))
        q = np.abs(V).T @ np.linalg.norm(U, axis=0)
        square = conditioned @ conditioned
        # Products below the smallest normal number may be lost in every step.
        lost = 4 * m * arithmetic.tiny * (1.0 + d.max())
        backward = arithmetic.gamma(3 * m + 2) * np.outer(d, d) + H.error + lost
        residual = (
            size @ backward @ size.T
            + arithmetic.gamma(m + 1) * np.outer(q, q)
            + arithmetic.gamma(m) * (square + square.T)
        )
        return cls(U, V, residual, backward, arithmetic)

    @property
    def share(self) -> float:
        """``ρ = ‖R‖_F``; the bounds hold while it is below a half."""
        return float(np.linalg.norm(self.residual))

    def enlarge(self, first_order: Array) -> Array:
        """Make up for the orders that a first-order bound leaves out."""
        rho = self.share
        if not rho < 0.5:
            return np.full(first_order.shape, np.inf)
        return first_order / (1.0 - 2.0 * rho)


def inverse_factor_bound(H: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.hessian.inverse_factor`.

    Parameters
    ----------
    H : array_like of float64 or Rounded, shape (m, m)
        Positive definite matrix.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The factor, shape (m, m); no bound where `H` is singular to the port's rounding.

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    1. ``Z = Û V`` is upper triangular, and ``Z Zᵀ - I`` is the residual, at most R as in
       :func:`inverse_factor_residual`.
    2. So ``|Z - I| <= triu(R) + 2 ρ²`` with ``ρ = ‖R‖_F``: the first order of a Cholesky
       factor's perturbation, and the rest.
    3. ``Û - U = (Z - I) U``.

    The magnitudes of computed factors are replaced by the reference's; the factor
    ``1 / (1 - 2 ρ)`` makes up for that.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = inverse_factor_bound([[4.0, 0.0], [0.0, 0.25]], arithmetic=Arithmetic("float32"))
    >>> bool((bound.error[0, 0] < 2e-6) and (bound.error[1, 0] == 0.0))
    True
    """
    inverse = _Inverse.of(arithmetic.checked("H", H))
    change = np.triu(inverse.residual + 2.0 * inverse.share**2)
    # Eq. (B30), subbit:  |Û − U| ≤ (triu(R) + 2 ρ²) |U| / (1 − 2 ρ)
    error = inverse.enlarge(change @ np.abs(inverse.U))
    return Rounded(inverse.U, np.triu(error), arithmetic)


def inverse_factor_residual(H: Input, U: npt.ArrayLike, *, arithmetic: Arithmetic) -> Rounded:
    """Residual of a port's inverse factor, and its bound.

    Parameters
    ----------
    H : array_like of float64 or Rounded, shape (m, m)
        Positive definite matrix.
    U : array_like of float64, shape (m, m)
        The port's factor.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        ``|U H Uᵀ - I|``, and the most it may be, shape (m, m).

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    ``R = |U| (γ_{3m+2} d dᵀ + e_H) |U|ᵀ + γ_{m+1} q qᵀ + γ_m (K² + (K²)ᵀ)``:

    1. Cholesky exactly factors a matrix that is off by ``γ_{m+1} |V||V|ᵀ``, an inverse from
       it one that is off by ``γ_{3m+1} |V||V|ᵀ``; and ``(|V||V|ᵀ)_ij <= d_i d_j``.
    2. A triangular inverse is off by ``γ_m K |U|``, which ``Û V`` sees as ``γ_m K²``.
    3. If instead the inverse is formed and factored, that factorization is off by
       ``γ_{m+1} x xᵀ``, which is ``q qᵀ`` between ``Vᵀ`` and ``V``.

    Each route has only some of these parts.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> U = [[0.5, 0.0], [0.0, 2.0]]
    >>> residual = inverse_factor_residual([[4.0, 0.0], [0.0, 0.25]], U, arithmetic=Arithmetic())
    >>> bool((residual.value <= residual.error).all())
    True
    """
    hessian = arithmetic.checked("H", H)
    inverse = _Inverse.of(hessian)
    factor = check_matrix("U", U, shape=hessian.shape)
    value = np.abs(factor @ hessian.value @ factor.T - np.eye(len(factor)))
    # Eq. (B31), subbit:  |Û H Ûᵀ − I| ≤ (R + 4 ρ²) / (1 − 2 ρ)
    allowed = inverse.enlarge(inverse.residual + 4.0 * inverse.share**2)
    return Rounded(value, allowed, arithmetic)


def inverse_bound(H: Input, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of an inverse Hessian, solved for or multiplied out from the factor.

    Parameters
    ----------
    H : array_like of float64 or Rounded, shape (m, m)
        Positive definite matrix.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        ``X = H⁻¹``, shape (m, m).

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    1. An inverse that is solved for is that of ``H + ΔH``, ``|ΔH| <= γ_{3m+2} d dᵀ + e_H``,
       so it is off by ``|X||ΔH||X| + ρ² x xᵀ``.
    2. Multiplied out from U it is off by ``γ_m (C + Cᵀ + |U|ᵀ|U|)`` with ``C = |U|ᵀ K |U|``.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = inverse_bound([[4.0, 0.0], [0.0, 0.25]], arithmetic=Arithmetic("float32"))
    >>> bound.value, bool(bound.error[1, 1] < 1e-5)
    (array([[0.25, 0.  ],
           [0.  , 4.  ]]), True)
    """
    inverse = _Inverse.of(arithmetic.checked("H", H))
    size = np.abs(inverse.U)
    X = inverse.U.T @ inverse.U
    x = np.sqrt(np.diag(X))
    solved = np.abs(X) @ inverse.backward @ np.abs(X)
    factored = size.T @ (size @ np.abs(inverse.V)) @ size
    multiplied = arithmetic.gamma(len(X)) * (factored + factored.T + size.T @ size)
    # Eq. (B67), subbit:  |X̂ − X| ≤ (|X||ΔH||X| + γ_m (C + Cᵀ + |U|ᵀ|U|) + ρ² x xᵀ) / (1 − 2 ρ)
    first_order = solved + multiplied + np.outer(x, x) * inverse.share**2
    return Rounded(X, inverse.enlarge(first_order), arithmetic)
