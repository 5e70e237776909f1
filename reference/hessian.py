"""The proxy Hessian
=================

GPTQ, arXiv 2210.17323v2, section 3; the same in BiLLM, STBLLM and ARB-LLM.

Calibration sums ``XᵀX`` over N sequences. Inputs that never fire get a one on the
diagonal, a share of the mean diagonal is added, and the inverse is factored as
``H⁻¹ = UᵀU`` with ``U`` upper triangular: row i of ``U`` says how far the error of column i
moves each column to its right, given that everything to its left is already fixed.

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

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import matrix, symmetric
from subbit.reference.contracts.scalars import Real, Whole
from subbit.reference.contracts.words import HESSIAN, PERCDAMP, UNDAMPED

from .errors import ArgumentError, HessianError, as_array, check_matrix
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

    @contract(2, width=Whole(1, 2**17, text="Number of inputs m."))
    def __init__(self, width: int) -> None:
        self._sum = np.zeros((width, width))
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
        batched = as_array("X", X).ndim > self._sum.ndim
        inputs = check_matrix("X", X, shape=(None, None, width) if batched else (None, width))
        flat = inputs.reshape(-1, width)  # (N, L, m) -> (N L, m)
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
            If nothing has been added yet.
        """
        if self._count == 0:
            raise ArgumentError("X", "at least one calibration sequence", "none")
        # Eq. (7), subbit:  H = 2/N Σ_s X_sᵀ X_s
        return (2.0 / self._count) * self._sum


@contract(2, X=matrix("N", "L", "m", text="Inputs of N sequences."))
def accumulate_hessian(X: Array) -> Array:
    """Compute the proxy Hessian of a whole calibration set.

    Returns
    -------
    ndarray of float64, shape (m, m)
        ``2/N Σ_s X_sᵀ X_s``.

    Notes
    -----
    N counts sequences, not tokens, as in the released code.

    References
    ----------
    Eq. (7), subbit; GPTQ, arXiv 2210.17323v2, section 3.

    Examples
    --------
    >>> accumulate_hessian([[[1.0, 0.0]], [[0.0, 2.0]]])
    array([[1., 0.],
           [0., 4.]])
    """
    accumulator = HessianAccumulator(X.shape[-1])
    accumulator.add(X)
    return accumulator.hessian()


@contract(1, H=HESSIAN)
def dead_inputs(H: Array) -> Mask:
    """Find the inputs that were zero in every calibration token.

    Returns
    -------
    ndarray of bool, shape (m,)
        True where the diagonal is zero.

    Examples
    --------
    >>> dead_inputs([[2.0, 0.0], [0.0, 0.0]])
    array([False,  True])
    """
    # Eq. (8), subbit:  dead_j  ⇔  H_jj = 0
    return np.asarray(np.diag(H) == 0.0)


@contract(
    2,
    H=symmetric("m", "Proxy Hessian."),
    percdamp=Real(
        0.0,
        1e6,
        text=("The share, nonnegative. It is relative, so scaling the inputs scales the result."),
    ),
)
def damp(H: Array, percdamp: float = 0.01) -> Array:
    """Put ones on dead diagonals, then add a share of the mean diagonal.

    Returns
    -------
    ndarray of float64, shape (m, m)
        The damped Hessian.

    Notes
    -----
    ``H + λ I`` with ``λ = percdamp · mean(diag H)``, the mean including the ones.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, section 3.3; BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> damp([[3.0, 0.0], [0.0, 0.0]], percdamp=0.5)
    array([[4., 0.],
           [0., 2.]])
    """
    damped = H.copy()
    diagonal = np.diag(damped).copy()
    diagonal[diagonal == 0.0] = 1.0
    # Eq. (9), subbit:  H ← H + λI,  λ = percdamp · mean(diag H)
    np.fill_diagonal(damped, diagonal + percdamp * np.mean(diagonal))
    return damped


@contract(2, H=symmetric("m", "Positive definite matrix.", definite="as given"))
def inverse_factor(H: Array) -> Array:
    """Compute the upper triangular factor of the inverse Hessian.

    Returns
    -------
    ndarray of float64, shape (m, m)
        ``U``, upper triangular with a positive diagonal and ``H⁻¹ = UᵀU``.

    Notes
    -----
    With the index order reversed, ``H = LLᵀ`` becomes ``H = VVᵀ`` with ``V`` upper
    triangular, and ``U = V⁻¹``. So no inverse has to be formed and factored.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, section 3.3; BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> inverse_factor([[2.0, 2.0], [2.0, 4.0]])
    array([[ 1. , -0.5],
           [ 0. ,  0.5]])
    """
    try:
        reversed_factor = scipy.linalg.cholesky(H[::-1, ::-1], lower=True)
    except np.linalg.LinAlgError as error:
        raise HessianError("H", "a positive definite matrix", str(error)) from error
    V = reversed_factor[::-1, ::-1]
    # The diagonal of V is positive, so its inverse exists.
    # Alg. 1, BiLLM:  H^c = Cholesky((H + λI)⁻¹), so that H⁻¹ = UᵀU
    U = np.triu(scipy.linalg.lapack.dtrtri(V)[0])
    if not np.all(np.isfinite(U)):
        raise HessianError("H", "a positive definite matrix", "one that is singular to rounding")
    return U


@dataclass(frozen=True, eq=False)
class PreparedHessian:
    """Calibration data that a layer routine needs.

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


@contract(
    2,
    H=UNDAMPED,
    percdamp=PERCDAMP,
)
def prepare_hessian(H: Array, percdamp: float = 0.01) -> PreparedHessian:
    """Find dead inputs, damp and factor a Hessian.

    Returns
    -------
    PreparedHessian
        The damped Hessian, its inverse factor and the dead inputs.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> prepare_hessian([[4.0, 0.0], [0.0, 0.0]], percdamp=0.0).dead
    array([False,  True])
    """
    damped = damp(H, percdamp)
    return PreparedHessian(damped, inverse_factor(damped), dead_inputs(H))
