"""The proxy Hessian
=================

GPTQ, arXiv 2210.17323v2, section 3; the same in BiLLM, STBLLM and ARB-LLM.

Calibration sums ``XᵀX`` over N sequences. Inputs that never fire get a one on the
diagonal, a share of the mean diagonal is added, and the inverse is factored as
``H⁻¹ = UᵀU`` with ``U`` upper triangular: row i of ``U`` is what one column's error asks
of the columns right of it, given that everything left of it is already fixed.

========== =========== ================================================
symbol     shape       meaning
========== =========== ================================================
``X``      (N, L, m)   calibration inputs
``H``      (m, m)      ``2/N Σ_s X_sᵀ X_s``
``U``      (m, m)      upper triangular, positive diagonal
========== =========== ================================================
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from .errors import ArgumentError, HessianError, check_count, check_matrix
from .notation import Array, Mask


class HessianAccumulator:
    """Running sum of ``XᵀX`` over calibration sequences.

    The result does not depend on how the sequences are split into calls, and only one
    (m, m) matrix is kept.

    Parameters
    ----------
    width : int
        Number of inputs m.

    Examples
    --------
    >>> accumulator = HessianAccumulator(2)
    >>> accumulator.add([[1.0, 0.0], [0.0, 2.0]])
    >>> accumulator.add([[1.0, 0.0], [0.0, 0.0]])
    >>> accumulator.hessian()
    array([[2., 0.],
           [0., 4.]])
    """

    def __init__(self, width: int) -> None:
        self._sum = np.zeros((check_count("width", width),) * 2)
        self._count = 0

    @property
    def count(self) -> int:
        """Number of sequences added so far."""
        return self._count

    def add(self, X: npt.ArrayLike) -> None:
        """Add one sequence or a batch of them.

        Parameters
        ----------
        X : array_like of float64, shape (L, m) or (N, L, m)
            Inputs of one sequence, or of N sequences.

        Raises
        ------
        ArgumentError
            If the last axis is not m, or a number is not finite.
        """
        width = len(self._sum)
        batched = np.ndim(X) > self._sum.ndim
        inputs = check_matrix("X", X, shape=(None, None, width) if batched else (None, width))
        flat = inputs.reshape(-1, width)
        self._sum += flat.T @ flat
        self._count += len(inputs) if batched else 1

    def hessian(self) -> Array:
        """Return ``2/N Σ XᵀX``.

        Returns
        -------
        ndarray of float64, shape (m, m)
            The proxy Hessian, symmetric, not damped.

        Raises
        ------
        ArgumentError
            If nothing was added yet.
        """
        if self._count == 0:
            raise ArgumentError("X", "at least one calibration sequence", "none")
        # Eq. (7), subbit:  H = 2/N Σ_s X_sᵀ X_s
        return (2.0 / self._count) * self._sum


def accumulate_hessian(X: npt.ArrayLike) -> Array:
    """Proxy Hessian of a whole calibration set.

    Parameters
    ----------
    X : array_like of float64, shape (N, L, m)
        Inputs of N sequences.

    Returns
    -------
    ndarray of float64, shape (m, m)
        ``2/N Σ_s X_sᵀ X_s``.

    Raises
    ------
    ArgumentError
        If the shape is not (N, L, m) or a number is not finite.

    Notes
    -----
    N counts sequences, not tokens, as in the authors' codes.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, section 3.

    Examples
    --------
    >>> accumulate_hessian([[[1.0, 0.0]], [[0.0, 2.0]]])
    array([[1., 0.],
           [0., 4.]])
    """
    inputs = check_matrix("X", X, shape=(None, None, None))
    accumulator = HessianAccumulator(inputs.shape[-1])
    # Eq. (7), subbit:  H = 2/N Σ_s X_sᵀ X_s
    accumulator.add(inputs)
    return accumulator.hessian()


def dead_inputs(H: npt.ArrayLike) -> Mask:
    """Find the inputs that were zero in every calibration token.

    Parameters
    ----------
    H : array_like of float64, shape (m, m)
        Proxy Hessian, not damped.

    Returns
    -------
    ndarray of bool, shape (m,)
        True where the diagonal is zero.

    Raises
    ------
    ArgumentError
        If `H` is not a finite square matrix.

    Examples
    --------
    >>> dead_inputs([[2.0, 0.0], [0.0, 0.0]])
    array([False,  True])
    """
    # Eq. (8), subbit:  dead_j  ⇔  H_jj = 0
    return np.asarray(np.diag(_check_hessian(H)) == 0.0)


def damp(H: npt.ArrayLike, percdamp: float = 0.01) -> Array:
    """Put ones on dead diagonals, then add a share of the mean diagonal.

    Parameters
    ----------
    H : array_like of float64, shape (m, m)
        Proxy Hessian.
    percdamp : float, default 0.01
        The share, not negative. It is relative, so scaling the inputs scales the result.

    Returns
    -------
    ndarray of float64, shape (m, m)
        The damped Hessian.

    Raises
    ------
    ArgumentError
        If `H` is not a finite symmetric matrix or `percdamp` is negative.

    Notes
    -----
    ``H + λ I`` with ``λ = percdamp · mean(diag H)``, the mean taken after the ones.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, section 3.3; BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> damp([[3.0, 0.0], [0.0, 0.0]], percdamp=0.5)
    array([[4., 0.],
           [0., 2.]])
    """
    damped = _check_hessian(H).copy()
    if not 0.0 <= percdamp < np.inf:
        raise ArgumentError("percdamp", "a finite number that is not negative", percdamp)
    diagonal = np.diag(damped).copy()
    diagonal[diagonal == 0.0] = 1.0
    # Eq. (9), subbit:  H ← H + λI,  λ = percdamp · mean(diag H)
    np.fill_diagonal(damped, diagonal + percdamp * np.mean(diagonal))
    return damped


def inverse_factor(H: npt.ArrayLike) -> Array:
    """Upper triangular factor of the inverse Hessian.

    Parameters
    ----------
    H : array_like of float64, shape (m, m)
        Positive definite matrix.

    Returns
    -------
    ndarray of float64, shape (m, m)
        ``U``, upper triangular with a positive diagonal and ``H⁻¹ = UᵀU``.

    Raises
    ------
    HessianError
        If `H` is not positive definite.

    Notes
    -----
    With the index order reversed, ``H = LLᵀ`` becomes ``H = VVᵀ`` with ``V`` upper
    triangular, and ``U = V⁻¹``. So no inverse is formed and factored again.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, section 3.3; BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> inverse_factor([[4.0, 0.0], [0.0, 0.25]])
    array([[0.5, 0. ],
           [0. , 2. ]])
    """
    matrix = _check_hessian(H)
    try:
        reversed_factor = scipy.linalg.cholesky(matrix[::-1, ::-1], lower=True)
    except np.linalg.LinAlgError as error:
        raise HessianError("H", "a positive definite matrix", str(error)) from error
    # Alg. 1, BiLLM:  H^c = Cholesky((H + λI)⁻¹), so that H⁻¹ = UᵀU
    V = reversed_factor[::-1, ::-1]
    U = np.triu(scipy.linalg.solve_triangular(V, np.eye(len(V))))
    if not np.all(np.isfinite(U)):
        raise HessianError("H", "a positive definite matrix", "one that is singular to rounding")
    return U


@dataclass(frozen=True, eq=False)
class PreparedHessian:
    """What a layer routine needs of its calibration.

    Parameters
    ----------
    damped : ndarray of float64, shape (m, m)
        The damped Hessian.
    factor : ndarray of float64, shape (m, m)
        ``U``, upper triangular, of the inverse of `damped`.
    dead : ndarray of bool, shape (m,)
        Inputs that never fired.
    """

    damped: Array
    factor: Array
    dead: Mask


def prepare_hessian(H: npt.ArrayLike, percdamp: float = 0.01) -> PreparedHessian:
    """Find dead inputs, damp and factor a Hessian.

    Parameters
    ----------
    H : array_like of float64, shape (m, m)
        Proxy Hessian, not damped.
    percdamp : float, default 0.01
        Damping relative to the mean diagonal.

    Returns
    -------
    PreparedHessian
        The damped Hessian, its inverse factor and the dead inputs.

    Raises
    ------
    ArgumentError
        If `H` is not a finite symmetric matrix or `percdamp` is negative.
    HessianError
        If `H` is not positive definite after damping.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> prepare_hessian([[4.0, 0.0], [0.0, 0.0]], percdamp=0.0).dead
    array([False,  True])
    """
    # Alg. 1, BiLLM:  H^c = Cholesky((H + λI)⁻¹)
    damped = damp(H, percdamp)
    return PreparedHessian(damped, inverse_factor(damped), dead_inputs(H))


def _check_hessian(H: npt.ArrayLike) -> Array:
    matrix = check_matrix("H", H)
    if matrix.shape[0] != matrix.shape[1]:
        raise ArgumentError("H", "a square matrix", f"shape {matrix.shape}")
    asymmetry = float(np.max(np.abs(matrix - matrix.T)))
    if asymmetry > 1e-6 * float(np.max(np.abs(matrix))):
        raise HessianError("H", "a symmetric matrix", f"entries that differ by {asymmetry:g}")
    return matrix
