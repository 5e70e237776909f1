"""Block-wise error compensation
=============================

GPTQ, arXiv 2210.17323v2, section 3; BiLLM, arXiv 2402.04291v2, Algorithm 1.

The project's only block loop. Blocks are quantized from left to right; the error of a
block is fed forward into the columns right of it. What a method does inside a block is
an argument. GPTQ is this loop inside itself, with blocks of one column.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``D_B``    (n, k)    ``W_B - Q_B``, the block's error
``E``      (n, k)    the error in the units that are fed forward
``U_BB``   (k, k)    the block's diagonal block of the inverse factor
``U_BR``   (k, r)    the rows of the block, the columns right of it
========== ========= ===============================================================

Three settings, ERRATA B-10:

* ``"exact"``: ``E = D_B U_BB⁻¹``, a triangular solve. It is the least-squares move of
  the free columns, and the layer's loss is then exactly ``½ Σ E²``.
* ``"released"``: ``E = D_B / diag(U_BB)``, what the authors' codes do; right for blocks
  of one column and for diagonal ``U_BB`` only.
* ``"none"``: the columns on the right stay as they are.

Feedback may be kept out of some weights, such as pruned ones. The others then move as
they would have, which is no least-squares move any more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, get_args

import numpy as np
import scipy.linalg

from .errors import check_choice, check_mask, check_matrix
from .layer import QuantizedBlock, QuantizedLayer, block_slices
from .notation import Array, Compensation, Mask

BlockQuantizer: TypeAlias = Callable[[Array, slice], QuantizedBlock]


def feedback(D: Array, U_block: Array, mode: Compensation) -> Array:
    """Turn a block's error into what is fed forward.

    Parameters
    ----------
    D : ndarray of float64, shape (n, k)
        The block's error ``W_B - Q_B``.
    U_block : ndarray of float64, shape (k, k)
        ``U_BB``, upper triangular.
    mode : {"none", "released", "exact"}
        The form of compensation.

    Returns
    -------
    ndarray of float64, shape (n, k)
        ``E``; zeros for ``"none"``.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or the mode is unknown.

    Notes
    -----
    Writing ``U_BB = diag(d) Ũ`` with a unit diagonal in ``Ũ``, the exact form is
    ``(D Ũ⁻¹) / d``. So both forms have the same bits where ``U_BB`` is diagonal.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, Eq. (4); BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> D, U = np.array([[1.0, 1.0]]), np.array([[2.0, 1.0], [0.0, 1.0]])
    >>> feedback(D, U, "released"), feedback(D, U, "exact")
    (array([[0.5, 1. ]]), array([[0.5, 0.5]]))
    """
    check_choice("mode", mode, get_args(Compensation))
    error = check_matrix("D", D)
    U = check_matrix("U_block", U_block, shape=(error.shape[1],) * 2)
    diagonal = np.diag(U)
    if mode == "none":
        return np.zeros(error.shape)
    if mode == "exact":
        # Eq. (4), GPTQ:  δ_F = −(w_Q − quant(w_Q)) ([H⁻¹]_QQ)⁻¹ [H⁻¹]_QF = −D_B U_BB⁻¹ U_BF
        unit = U / diagonal[:, None]
        error = scipy.linalg.solve_triangular(unit, error.T, trans="T", unit_diagonal=True).T
    # Alg. 1, BiLLM:  E = (W_B − B) / H^c_BB
    return np.asarray(error / diagonal)


def compensate_step(
    W: Array,
    U: Array,
    columns: slice,
    quantize_block: BlockQuantizer,
    *,
    mode: Compensation,
    free: Mask | None = None,
) -> tuple[QuantizedBlock, Array, Array]:
    """Quantize one block and feed its error forward.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        The layer's weights as the blocks before left them.
    U : ndarray of float64, shape (m, m)
        Inverse factor.
    columns : slice
        The block's columns.
    quantize_block : callable
        ``quantize_block(W, columns)`` gives the block's record.
    mode : {"none", "released", "exact"}
        The form of compensation.
    free : ndarray of bool, shape (n, m), optional
        The weights that feedback may move; all by default.

    Returns
    -------
    block : QuantizedBlock
        The block's record.
    moved : ndarray of float64, shape (n, m)
        ``W`` with the block replaced by its image and the columns right of it moved.
    E : ndarray of float64, shape (n, k)
        The error that was fed forward.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or the mode is unknown.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import residual_binarize
    >>> def one_group(W, columns):
    ...     group = residual_binarize(W[:, columns])
    ...     return QuantizedBlock(columns.start, columns.stop, (group,))
    >>> W, U = np.array([[1.0, 3.0, 5.0]]), np.triu(np.ones((3, 3)))
    >>> compensate_step(W, U, slice(0, 2), one_group, mode="exact")[1]
    array([[2., 2., 4.]])
    """
    block = quantize_block(W, columns)
    image = block.decode()
    E = feedback(W[:, columns] - image, U[columns, columns], mode)
    moved = W.copy()
    moved[:, columns] = image
    right = slice(columns.stop, None)
    # Alg. 1, BiLLM:  W_R ← W_R − E H^c_BR
    move = E @ U[columns, right]
    # Eq. (48), subbit:  W_R ← W_R − (E U_BR) ∘ M_R
    moved[:, right] -= move if free is None else np.where(free[:, right], move, 0.0)
    return block, moved, E


@dataclass(frozen=True, eq=False)
class Compensated:
    """A quantized layer and the errors that were fed forward.

    Parameters
    ----------
    layer : QuantizedLayer
        The record.
    errors : ndarray of float64, shape (n, m)
        ``E``, block beside block. With exact compensation ``W - Q = E U`` and the proxy
        loss is ``½ Σ E²``, as long as all weights are free.
    """

    layer: QuantizedLayer
    errors: Array


def compensate(
    W: Array,
    U: Array,
    quantize_block: BlockQuantizer,
    *,
    block_size: int,
    mode: Compensation,
    free: Mask | None = None,
) -> Compensated:
    """Quantize a layer block by block.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    U : ndarray of float64, shape (m, m)
        Inverse factor.
    quantize_block : callable
        ``quantize_block(W, columns)`` gives the record of the block at `columns`, where
        ``W`` is the whole layer as the blocks before left it.
    block_size : int
        Columns of a block.
    mode : {"none", "released", "exact"}
        The form of compensation.
    free : ndarray of bool, shape (n, m), optional
        The weights that feedback may move; all by default.

    Returns
    -------
    Compensated
        The record and the errors.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or the mode is unknown.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import residual_binarize
    >>> def one_group(W, columns):
    ...     group = residual_binarize(W[:, columns])
    ...     return QuantizedBlock(columns.start, columns.stop, (group,))
    >>> W, U = np.array([[1.0, 3.0, 5.0]]), np.triu(np.ones((3, 3)))
    >>> compensate(W, U, one_group, block_size=2, mode="exact").layer.decode()
    array([[2., 2., 4.]])
    """
    current = check_matrix("W", W)
    factor = check_matrix("U", U, shape=(current.shape[1],) * 2)
    n, m = current.shape
    movable = None if free is None else check_mask("free", free, (n, m))
    blocks, errors = [], []
    for columns in block_slices(m, block_size):
        # Alg. 1, BiLLM:  one block after the other, W_R carrying the error
        block, current, E = compensate_step(
            current, factor, columns, quantize_block, mode=mode, free=movable
        )
        blocks.append(block)
        errors.append(E)
    return Compensated(QuantizedLayer((n, m), tuple(blocks)), np.hstack(errors))
