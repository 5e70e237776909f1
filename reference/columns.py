"""The loop over columns
=====================

GPTQ, arXiv 2210.17323v2, Algorithm 1; the same in SparseGPT and PB-LLM.

Inside a block these methods run ``compensate`` with blocks of one column and exact feedback.
The loop here computes the same numbers, bit for bit, but makes no record of each column, and
divides where a block of one column would be solved.

========== ========= ===============================================
symbol     shape     meaning
========== ========= ===============================================
``U``      (k, k)    the block's diagonal block of the inverse factor
``E_:j``   (n,)      error of column j in the units that are fed forward
``R``                the columns of the block to the right of j
``M_R``              weights on the right that feedback may move
========== ========= ===============================================
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from subbit.reference.errors import LARGEST, ArgumentError
from subbit.reference.notation import Array, Mask

ColumnQuantizer: TypeAlias = Callable[[Array, int], Array]


def compensate_columns(
    W: Array, U: Array, quantize_column: ColumnQuantizer, *, free: Mask | None = None
) -> Array:
    """Quantize columns one after the other, without a record of each.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights of a block.
    U : ndarray of float64, shape (k, k)
        The block's diagonal block of the inverse factor.
    quantize_column : callable
        ``quantize_column(W, j)`` returns the image of column j, shape (n,), where ``W`` is
        the block as earlier columns left it; it must not keep or change it.
    free : ndarray of bool, shape (n, k), optional
        The weights that feedback may move; all by default.

    Returns
    -------
    ndarray of float64, shape (n, k)
        The images: bit for bit those of :func:`compensate` with ``block_size=1`` and
        ``mode="exact"``.

    Raises
    ------
    ArgumentError
        If `U` has a zero on its diagonal, or makes an error too large.

    Examples
    --------
    >>> import numpy as np
    >>> W, U = np.array([[1.4, 2.0]]), np.array([[1.0, 0.5], [0.0, 1.0]])
    >>> compensate_columns(W, U, lambda current, j: np.round(current[:, j]))
    array([[1., 2.]])
    """
    # (n, k) -> (k, n): a column is then contiguous, and so are the columns to its right
    current = np.array(W.T, order="C")
    move = np.empty_like(current)
    if not np.all(np.diag(U)):
        raise ArgumentError("U", "a diagonal without zeros", "one with zeros")
    for j, own in enumerate(current):
        image = quantize_column(current.T, j)
        # Alg. 1, GPTQ:  E_:j = (W_:j − Q_:j) / U_jj
        E = (own - image) / U[j, j]
        if not np.abs(E).max() <= LARGEST:
            raise ArgumentError("U", f"a factor that keeps errors below {LARGEST:g}", "others")
        own[:] = image
        right = slice(j + 1, None)
        # Alg. 1, GPTQ:  W_:R ← W_:R − E_:j U_jR
        np.multiply(U[j, right, None], E, out=move[right])
        if free is not None:
            # Eq. (92), subbit:  W_:R ← W_:R − (E_:j U_jR) ∘ M_R
            move[right] = np.where(free.T[right], move[right], 0.0)
        current[right] -= move[right]
    return np.ascontiguousarray(current.T)
