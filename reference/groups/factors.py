"""Factors of a product
====================

NanoQuant, arXiv 2602.06694v3, and the solver of its DBF variant, both from released code.

The alternating direction method of multipliers (ADMM) looks for two factors with the product
``W``, each of them signs times a rank-one matrix of magnitudes. Such matrices are no convex set,
so no step is bound to lower an error.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``M``      (n, m)    matrix that is projected
``P``                projection
``u, v``             leading singular vectors of abs M
``σ``                their singular value
``X``      (r, m)    a factor, its rows of length one
``A, B``             least-squares factors, (n, r) and (r, m)
``Y, Z``             their projections
``φ, θ``             their duals, sums of what projections have left
``ρ, λ``             penalty of the distance to the projections, and ridge
``C, G``             right and left side of the normal equations
``F``      (r, r)    inverse factor of G
``h``                a number of 32 bits
========== ========= =======================================================
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.scalars import Choice, Real, Whole
from subbit.reference.hessian import inverse_factor
from subbit.reference.notation import Array, Signs
from subbit.reference.signs import sign

POWER_STEPS = Whole(1, 2**12, text="Steps of the power iteration.")
SIDE = Whole(1, 2**24, text="A length.")


@contract(
    1,
    rows=SIDE.says("Number of rows."),
    columns=SIDE.says("Number of columns."),
    seed=Whole(0, 2**32 - 1, text="Which signs of all."),
)
def start_signs(rows: int, columns: int, seed: int = 0) -> Signs:
    """Return signs without a pattern, the same on every machine and in every language.

    Returns
    -------
    ndarray of int8, shape (rows, columns)
        -1 or +1.

    Notes
    -----
    The highest bit of a hash of each entry's place, in whole numbers of 32 bits.

    References
    ----------
    Eq. (102), subbit.

    Examples
    --------
    >>> start_signs(2, 6)
    array([[ 1,  1, -1,  1, -1,  1],
           [-1, -1, -1,  1, -1,  1]], dtype=int8)
    """
    places = np.arange(rows * columns, dtype=np.uint64) + np.uint64(2654435769 * seed)
    h = places.astype(np.uint32)
    # Eq. (102), subbit:  h ← (h xor ⌊h / 2¹⁶⌋) · 2146121005 modulo 2³², and so on
    h = (h ^ (h >> np.uint32(16))) * np.uint32(2146121005)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(2221713035)
    h ^= h >> np.uint32(16)
    # (rows columns,) -> (rows, columns)
    return sign(np.where(h >> np.uint32(31), -1.0, 1.0)).reshape(rows, columns)


def _in_range(X: Array) -> tuple[Array, int]:
    """Scale by a power of two, which changes no digit, so that squares stay in range."""
    power = int(np.frexp(np.max(np.abs(X)))[1])
    return np.ldexp(X, -power), power


def _unit_rows(X: Array) -> Array:
    """Scale rows to length one; zeros stay."""
    X, _ = _in_range(X)
    # Eq. (103), subbit:  X_i ← X_i / ‖X_i‖
    lengths = np.sqrt(np.sum(X**2, axis=1, keepdims=True))
    return np.divide(X, lengths, out=np.zeros(X.shape), where=lengths > 0.0)


@contract(2, M=matrix("n", "m", text="The matrix."), steps=POWER_STEPS)
def project_rank_one(M: Array, steps: int = 5) -> Array:
    """Project a matrix on signs times a rank-one matrix of magnitudes.

    Returns
    -------
    ndarray of float64, shape (n, m)
        ``sign(M) · σ u vᵀ``.

    Notes
    -----
    The nearest such matrix, but for the end of a power iteration from ones, each of whose steps
    lowers the distance or keeps it.

    References
    ----------
    Eq. (103), subbit; NanoQuant, arXiv 2602.06694v3, released code.

    Examples
    --------
    >>> project_rank_one([[1.0, -2.0], [3.0, 6.0]])
    array([[ 1., -2.],
           [ 3.,  6.]])
    """
    size, power = _in_range(np.abs(M))
    v = np.ones((1, M.shape[1]))
    for _ in range(steps):
        # Eq. (power), NanoQuant:  u ← |M| v / ‖ |M| v ‖,  v ← |M|ᵀ u,  σ = ‖v‖
        u = _unit_rows(v @ size.T)
        product = u @ size
        v = _unit_rows(product)
    # Eq. (projection), NanoQuant:  P(M) = sign(M) ∘ σ u vᵀ,  σ v = |M|ᵀ u
    return np.asarray(np.ldexp(sign(M) * (u.T * product), power))


def _solved(right: Array, factor: Array, shift: float) -> Array:
    """Solve for the rows of a factor by the normal equations."""
    gram = factor @ factor.T + shift * np.eye(len(factor))
    F = inverse_factor(gram)
    # Eq. (104), subbit:  A = C G⁻¹,  G⁻¹ = FᵀF
    solution: Array = (right @ F.T) @ F
    return solution


@contract(
    2,
    W=matrix("n", "m", text="Weights in the metric of the product."),
    left=matrix("n", "r", text="Projected left factor."),
    right=matrix("r", "m", text="Projected right factor."),
    left_dual=matrix("n", "r", text="Dual of the left factor."),
    right_dual=matrix("r", "m", text="Dual of the right factor."),
    penalty=Real(0.0, 1e6, text="Penalty of the distance to the projections."),
    ridge=Real(2.0**-20, 1e6, text="Penalty of the factors' squares."),
    steps=POWER_STEPS,
    solves=Choice(
        ("jacobi", "gauss-seidel"),
        text="Whether the right factor is solved for with the old left one or with the new.",
    ),
)
def admm_step(
    W: Array,
    left: Array,
    right: Array,
    *,
    left_dual: Array,
    right_dual: Array,
    penalty: float,
    ridge: float = 0.03,
    steps: int = 5,
    solves: str = "jacobi",
) -> tuple[Array, Array, Array, Array]:
    """Take one step of the alternating direction method of multipliers.

    Returns
    -------
    left, left_dual : ndarray of float64, shape (n, r)
        The new left factor, projected, and its dual.
    right, right_dual : ndarray of float64, shape (r, m)
        The new right factor, projected, and its dual. The order is left, right, and the duals.

    Notes
    -----
    In both problems the other factor has columns, or rows, of length one, so that penalty and
    ridge mean the same for layers of every size.

    References
    ----------
    Eqs. (103) and (104), subbit; NanoQuant, arXiv 2602.06694v3, released code; DBF.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[1.0, -2.0], [3.0, -6.0]])
    >>> ones, zeros = np.ones((2, 1)), np.zeros((2, 1))
    >>> found = admm_step(
    ...     W, ones, ones.T, left_dual=zeros, right_dual=zeros.T, penalty=0.0, ridge=1e-3
    ... )
    >>> np.sign(found[0]).T, np.sign(found[1])
    (array([[-1., -1.]]), array([[ 1., -1.]]))
    """
    X = _unit_rows(right)
    # Eq. (left), NanoQuant:  A (X Xᵀ + (ρ + λ) I) = W Xᵀ + ρ (Y − φ),  rows of X of length one
    A = _solved(W @ X.T + penalty * (left - left_dual), X, penalty + ridge)
    # Eq. (dual), NanoQuant:  Y ← P(A + φ),  φ ← φ + A − Y
    new = project_rank_one(A + left_dual, steps)
    left_dual = left_dual + A - new
    X = _unit_rows((new if solves == "gauss-seidel" else left).T)
    # Eq. (right), NanoQuant:  (X Xᵀ + (ρ + λ) I) B = X W + ρ (Z − θ)
    B = _solved(W.T @ X.T + penalty * (right - right_dual).T, X, penalty + ridge).T
    # Eq. (dual), NanoQuant:  Z ← P(B + θ),  θ ← θ + B − Z
    newer = project_rank_one(B + right_dual, steps)
    return new, newer, left_dual, right_dual + B - newer
