"""Bounds of a product's factors
=============================

How far a correct port of ``groups.factors`` may deviate. Return values are as in ``bounds``.
"""

import numpy as np

from subbit.reference.bounds.propagation import _times_inverse
from subbit.reference.bounds.pruning.sparsity import power_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.signs import sign


def _in_range(X: Rounded) -> tuple[Rounded, int]:
    power = int(np.frexp(np.max(np.abs(X.value)))[1])
    # What is small beside the largest may be flushed to zero.
    lost = np.where(X.reach > 0.0, X.arithmetic.tiny, 0.0)
    return Rounded(np.ldexp(X.value, -power), np.ldexp(X.error, -power) + lost, X.arithmetic), power


def _lengths(X: Rounded) -> Rounded:
    return power_bound((X * X).T.sum("library"), 0.5)[:, None]


def _unit_rows(X: Rounded) -> Rounded:
    X, _ = _in_range(X)
    lengths = _lengths(X)
    some = lengths.value > 0.0
    # A row that only a port may have, or only the reference, has no bound.
    unsure = ~some & (lengths.error > 0.0)
    unit = X / Rounded(np.where(some, lengths.value, 1.0), lengths.error, X.arithmetic)
    return unit.widen(np.where(unsure, np.inf, 0.0))


def _direction(X: Rounded) -> Rounded:
    """Scale a row to length one, but for a factor that the next length divides out."""
    length = float(np.sqrt(np.sum(X.value**2))) or 1.0
    rounded = X.arithmetic.gamma(2) * np.abs(X.value)
    # Eq. (B151), subbit:  |x̂ / ‖x‖ − x / ‖x‖| ≤ (e + γ_2 |x|) / ‖x‖ + t
    return Rounded(X.value / length, (X.error + rounded) / length + X.arithmetic.tiny, X.arithmetic)


def project_rank_one_bound(M: Input, steps: int = 5, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of :func:`~subbit.reference.groups.factors.project_rank_one`.

    Parameters
    ----------
    M : array_like of float64 or Rounded, shape (n, m)
        The matrix.
    steps : int, default 5
        Steps of the power iteration.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The projection, shape (n, m).

    Notes
    -----
    1. All numbers of the iteration are positive, so its sums lose no digits. What a length is off
       by is divided out by the next one; each step adds the roundings of two products.
    2. The end is ``u`` times ``|M|ᵀu``, or the singular value times both unit vectors.
    3. An entry that may be on either side of zero may have either sign.

    Examples
    --------
    >>> bound = project_rank_one_bound([[1.0, -2.0]], arithmetic=Arithmetic("float32"))
    >>> bound.value, bool((bound.error < 1e-4).all())
    (array([[ 1., -2.]]), True)
    """
    matrix = arithmetic.checked("M", M)
    size, power = _in_range(matrix.absolute())
    v = arithmetic.exactly(np.ones((1, matrix.shape[1])))
    for _ in range(steps - 1):
        v = _direction(_direction(v @ size.T) @ size)
    u = _unit_rows(v @ size.T)
    product = u @ size
    v = _unit_rows(product)
    found = (u.T * product).or_else(u.T * (v * _lengths(product)))
    found = Rounded(np.ldexp(found.value, power), np.ldexp(found.error, power), arithmetic)
    found = found.flip(sign(matrix.value)).widen(np.where(found.value != 0.0, arithmetic.tiny, 0.0))
    unsure = (np.abs(matrix.value) <= matrix.error) & (matrix.error > 0.0)
    # Eq. (B156), subbit:  |Ẑ − Z| ≤ e, and 2 |Z| + e where |M| ≤ e_M
    return found.widen(np.where(unsure, 2.0 * np.abs(found.value), 0.0))


def _solved(right: Rounded, factor: Rounded, shift: Rounded) -> Rounded:
    eye = np.eye(len(factor.value))
    # Eq. (B152), subbit:  |Ĝ − G| ≤ e of X Xᵀ, and of ρ + λ on its diagonal
    ridge = Rounded(shift.value * eye, shift.error * eye, shift.arithmetic)
    return _times_inverse(right, factor @ factor.T + ridge)


def admm_step_bound(
    W: Input,
    left: Input,
    right: Input,
    *,
    left_dual: Input,
    right_dual: Input,
    penalty: float,
    ridge: float,
    steps: int,
    solves: str,
    arithmetic: Arithmetic,
) -> tuple[Rounded, Rounded, Rounded, Rounded]:
    """Bound of :func:`~subbit.reference.groups.factors.admm_step`.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights in the metric of the product.
    left : array_like of float64, shape (n, r)
        Left factor.
    right : array_like of float64, shape (r, m)
        Right factor.
    left_dual : array_like of float64, shape (n, r)
        Dual of the left factor.
    right_dual : array_like of float64, shape (r, m)
        Dual of the right factor.
    penalty, ridge : float
        Penalties of the distance and of the squares.
    steps : int
        Steps of the power iteration.
    solves : {"jacobi", "gauss-seidel"}
        Which left factor the right one is solved for with.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    tuple of Rounded
        Both factors and both duals.

    Notes
    -----
    The formulas again, with solutions as for
    :func:`~subbit.reference.bounds.propagation.propagated_weights_bound`.

    Examples
    --------
    >>> one, zero = [[1.0]], [[0.0]]
    >>> bounds = admm_step_bound(
    ...     one, one, one, left_dual=zero, right_dual=zero, penalty=0.0, ridge=1.0, steps=5,
    ...     solves="jacobi", arithmetic=Arithmetic("float32")
    ... )
    >>> bounds[0].value, bool(bounds[0].error < 1e-3)
    (array([[0.5]]), True)
    """
    read = arithmetic.read
    weights, factors = read(W), (read(left), read(right))
    duals, rho = (read(left_dual), read(right_dual)), read(np.array(penalty))
    shift = rho + read(np.array(ridge))
    X = _unit_rows(factors[1])
    A = _solved(weights @ X.T + rho * (factors[0] - duals[0]), X, shift)
    new = project_rank_one_bound(A + duals[0], steps, arithmetic=arithmetic)
    X = _unit_rows((new if solves == "gauss-seidel" else factors[0]).T)
    B = _solved(weights.T @ X.T + rho * (factors[1] - duals[1]).T, X, shift).T
    newer = project_rank_one_bound(B + duals[1], steps, arithmetic=arithmetic)
    return new, newer, duals[0] + A - new, duals[1] + B - newer
