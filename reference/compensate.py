"""Block-wise error compensation
=============================

GPTQ, arXiv 2210.17323v2, section 3; BiLLM, arXiv 2402.04291v2, Algorithm 1.

The project's only block loop. Blocks are quantized from left to right; the error of each
block is fed forward into the columns to its right. The work inside a block is passed as an
argument. GPTQ is this loop inside itself, with blocks of one column, see
``columns``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``D_B``    (n, k)    ``W_B - Q_B``, the block's error
``E``      (n, k)    the error in the units that are fed forward
``U_BB``   (k, k)    the block's diagonal block of the inverse factor
``U_BR``   (k, r)    the block's rows, the columns to its right
========== ========= ===============================================================

Three settings, ERRATA B-10:

* ``"exact"``: ``E = D_B U_BB⁻¹``, a triangular solve. It is the least-squares move of
  the free columns, and the layer's loss is then exactly ``½ Σ E²``.
* ``"released"``: ``E = D_B / diag(U_BB)``, as in the released code; correct only for blocks
  of one column and for diagonal ``U_BB``.
* ``"none"``: the columns on the right stay unchanged.

Some weights, such as pruned ones, can be excluded from feedback. The others then move as
they would have anyway, which is no longer a least-squares move.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.linalg

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Flags, Span, matrix
from subbit.reference.contracts.scalars import Whole, choice
from subbit.reference.records import Quantizer

from .errors import LARGEST, ArgumentError
from .layer import QuantizedBlock, QuantizedLayer, block_slices
from .notation import Array, Compensation, Mask

FREE = Flags(("n", "m"), text="The weights that feedback may move; all by default.", whole=False)
BlockQuantizer: TypeAlias = Callable[[Array, slice], QuantizedBlock]


@contract(
    2,
    D=matrix("n", "k", text="The block's error ``W_B - Q_B``."),
    U_block=matrix("k", "k", text="``U_BB``, upper triangular."),
    mode=choice(Compensation, "The form of compensation."),
)
def feedback(D: Array, U_block: Array, mode: Compensation) -> Array:
    """Convert a block's error to the form that is fed forward.

    Returns
    -------
    ndarray of float64, shape (n, k)
        ``E``; zeros for ``"none"``.

    Notes
    -----
    Writing ``U_BB = diag(d) Ũ`` with a unit diagonal in ``Ũ``, the exact form is
    ``(D Ũ⁻¹) / d``. So both forms agree bit for bit if ``U_BB`` is diagonal.

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
    error, diagonal = D, np.diag(U_block)
    if mode == "none":
        return np.zeros(D.shape)
    if not np.all(diagonal):
        raise ArgumentError("U_block", "a diagonal without zeros", "one with zeros")
    if mode == "exact":
        # Eq. (4), GPTQ:  δ_F = −(w_Q − quant(w_Q)) ([H⁻¹]_QQ)⁻¹ [H⁻¹]_QF = −D_B U_BB⁻¹ U_BF
        unit = U_block / diagonal[:, None]
        error = scipy.linalg.solve_triangular(unit, D.T, trans="T", unit_diagonal=True).T
    # Alg. 1, BiLLM:  E = (W_B − B) / H^c_BB
    # Alg. 1, GPTQ:  E_:i = (W_:i − Q_:i) / U_ii
    E = np.asarray(error / diagonal)
    if not np.all(np.abs(E) <= LARGEST):
        raise ArgumentError("U_block", f"a factor that keeps errors below {LARGEST:g}", "others")
    return E


@contract(
    2,
    W=matrix("n", "m", text="The layer's weights as earlier blocks left them."),
    U=matrix("m", "m", text="Inverse factor."),
    columns=Span("m", text="The block's columns."),
    quantize_block=Quantizer(text="``quantize_block(W, columns)`` returns the block's record."),
    mode=choice(Compensation, "The form of compensation."),
    free=FREE,
)
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

    Returns
    -------
    block : QuantizedBlock
        The block's record.
    moved : ndarray of float64, shape (n, m)
        ``W`` with the block replaced by its image and the columns to its right moved.
    E : ndarray of float64, shape (n, k)
        The error that was fed forward.

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
    moved = W.copy()
    block, E = _advance(moved, U, columns, quantize_block, mode=mode, free=free)
    return block, moved, E


def _advance(
    W: Array,
    U: Array,
    columns: slice,
    quantize_block: BlockQuantizer,
    *,
    mode: Compensation,
    free: Mask | None,
) -> tuple[QuantizedBlock, Array]:
    """Take one step in place; a copy of the whole layer for each block would cost more."""
    block = quantize_block(W, columns)
    image = block.decode()
    E = feedback(W[:, columns] - image, U[columns, columns], mode)
    W[:, columns] = image
    right = slice(columns.stop, None)
    # Alg. 1, BiLLM:  W_R ← W_R − E H^c_BR
    # Eq. (2), GPTQ:  δ_F = −(w_q − quant(w_q)) / [H⁻¹]_qq · [H⁻¹]_qF = −E U_qF
    move = E @ U[columns, right]
    # Eq. (48), subbit:  W_R ← W_R − (E U_BR) ∘ M_R
    W[:, right] -= move if free is None else np.where(free[:, right], move, 0.0)
    return block, E


@dataclass(frozen=True, eq=False)
class Compensated:
    """A quantized layer and the errors that were fed forward.

    Parameters
    ----------
    layer : QuantizedLayer
        The record.
    errors : ndarray of float64, shape (n, m)
        ``E``, the blocks side by side. With exact compensation, ``W - Q = E U`` and the
        proxy loss is ``½ Σ E²``, as long as all weights are free.
    """

    layer: QuantizedLayer
    errors: Array


@contract(
    2,
    W=matrix("n", "m"),
    U=matrix("m", "m", text="Inverse factor."),
    quantize_block=Quantizer(
        text=(
            "``quantize_block(W, columns)`` returns the record of the block at `columns`, where "
            "``W`` is the whole layer as earlier blocks left it."
        )
    ),
    block_size=Whole(text="Columns per block."),
    mode=choice(Compensation, "The form of compensation."),
    free=FREE,
)
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

    Returns
    -------
    Compensated
        The record and the errors.

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
    blocks, errors, current = [], [], W.copy()
    # Alg. 1, BiLLM:  one block after the other, W_R carrying the error
    for columns in block_slices(W.shape[1], block_size):
        block, E = _advance(current, U, columns, quantize_block, mode=mode, free=free)
        blocks.append(block)
        errors.append(E)
    # blocks of (n, k) -> (n, m)
    return Compensated(QuantizedLayer(W.shape, tuple(blocks)), np.hstack(errors))
