"""PB-LLM
======

PB-LLM, arXiv 2310.00034, section 3; the post-training part.

Most weights are binarized, and the few that matter get eight bits. Masks and levels of the
low part are chosen first, block by block on the weights as given; the grid of the high part
is fitted once to each whole row. Then GPTQ's column loop runs and rounds each entry to its
part.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``L``      (n, k)    entries of the low part, the block's smallest scores
``μ, α``   (n,)      levels of the low part of one block
``s, z``   (n,)      grid of the high part of the layer
========== ========= ===============================================================

* ``statistics="row"``: as released. Mean and scale are taken over all columns of the
  block, with zeros in place of the high part. So α is not the mean distance of the low
  weights from their level, and μ is pulled toward zero.
* ``statistics="group"``: corrected, over the low weights only.

The low part takes one weight more than its share calls for, see ``threshold_mask``. The
record repeats the grid of the high part in every block, and its bit count includes each
copy: 24 bits per row and block, where one grid per row would do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np

from subbit.reference.columns import compensate_columns
from subbit.reference.compensate import compensate
from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Share, Whole
from subbit.reference.contracts.settings import Switches
from subbit.reference.contracts.words import BITS, LAYER, PERCDAMP, UNDAMPED
from subbit.reference.groups.binarize import masked_mean, masked_scale
from subbit.reference.hessian import prepare_hessian
from subbit.reference.layer import (
    BinaryGroup,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
    block_slices,
)
from subbit.reference.notation import Array, Mask, SignOfZero
from subbit.reference.pruning.sparsity import magnitude_importance, threshold_mask
from subbit.reference.records import Config
from subbit.reference.signs import sign
from subbit.reference.zones.saliency import trailing_saliency

from .rtn import DeadGrid, grid_codes, minmax_grid


@dataclass(frozen=True, repr=False)
class PBLLM(Switches):
    """Configuration of PB-LLM.

    Parameters
    ----------
    low_share : float, default 0.9
        Share of weights to binarize, in [0, 1).
    high_bits : int, default 8
        Bits per code of the others, 1 to 8.
    score : {"trailing", "magnitude"}, default "trailing"
        The deciding score: ``w² / U_jj²`` or ``|w|``.
    statistics : {"row", "group"}, default "row"
        Values that the low levels are means of: all of a block's columns, with zeros for the
        high part (released), or the low weights (corrected).
    sign_zero : {0, 1}, default 0
        Sign of a weight that equals its mean; 0 keeps it there (released).
    block_size : int, default 128
        Columns per block.
    percdamp : float, default 0.01
        Damping relative to the mean diagonal.
    dead_grid : {"given", "zeroed"}, default "given"
        L-2. Whether the grid of a row is fitted to the weights as given (released), or to
        those whose dead inputs are zeroed.

    Examples
    --------
    >>> PBLLM(low_share=0.8).high_bits
    8
    """

    low_share: float = 0.9
    high_bits: int = 8
    score: Literal["trailing", "magnitude"] = "trailing"
    statistics: Literal["row", "group"] = "row"
    sign_zero: SignOfZero = 0
    block_size: int = 128
    percdamp: float = 0.01
    dead_grid: DeadGrid = "given"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "low_share": Share(below=True),
        "high_bits": BITS,
        "block_size": Whole(),
        "percdamp": PERCDAMP,
    }


PRESETS: Mapping[str, PBLLM] = MappingProxyType(
    {
        "released": PBLLM(),
        "corrected": PBLLM(statistics="group", sign_zero=1, dead_grid="zeroed"),
    }
)


@dataclass(frozen=True, eq=False)
class _Low:
    """The low part of a block: entries, means and scales."""

    mask: Mask
    mean: Array
    scale: Array


def _low_part(W: Array, U: Array, config: PBLLM) -> _Low:
    scores = trailing_saliency(W, U) if config.score == "trailing" else magnitude_importance(W)
    # Eq. (45), subbit:  L = [score ≤ the quantile of all rows of the block], by trailing or |w|
    mask = ~threshold_mask(scores, config.low_share)
    entries = mask if config.statistics == "group" else np.ones_like(mask)
    # Eq. (46), subbit:  μ_i = Σ_j L_ij W_ij / k,  α_i = Σ_j |L_ij W_ij − μ_i| / k
    low = np.where(mask, W, 0.0)
    mean = masked_mean(low, entries)
    return _Low(mask, mean, masked_scale(low, entries, mean))


class _Parts:
    """Signs and codes of a block while its columns are being quantized."""

    def __init__(self, low: _Low, grid: tuple[Array, Array], config: PBLLM) -> None:
        self.low, self.grid, self.config = low, grid, config
        self.signs = np.zeros(low.mask.shape, dtype=np.int8)
        self.codes = np.zeros(low.mask.shape, dtype=np.uint8)

    def round(self, values: Array, column: int) -> Array:
        """Round one column of the block, each entry to its part."""
        low, config, (scale, zero) = self.low, self.config, self.grid
        mask, signs = low.mask[:, column], sign(values - low.mean, config.sign_zero)
        codes = grid_codes(values[:, None], scale, zero, config.high_bits)[:, 0]
        self.signs[:, column] = np.where(mask, signs, 0)
        self.codes[:, column] = np.where(mask, 0, codes)
        # Eq. (47), subbit:  Q_ij = μ_i + α_i sign(W_ij − μ_i) under L, s_i (C_ij − z_i) elsewhere
        return np.where(mask, low.mean + low.scale * signs, scale * (codes - zero))

    def groups(self, columns: slice) -> tuple[BinaryGroup, UniformGroup]:
        """Return both parts of a range of columns of the block."""
        mask = self.low.mask[:, columns]
        plane = Plane(self.signs[:, columns], self.low.scale)
        codes, bits = self.codes[:, columns], self.config.high_bits
        return (
            BinaryGroup("low", mask, (plane,), self.low.mean),
            UniformGroup("high", ~mask, codes, *self.grid, bits),
        )


@contract(3, W=LAYER, H=UNDAMPED, config=Config(PBLLM))
def pb_llm_layer(W: Array, H: Array, config: PBLLM = PBLLM()) -> QuantizedLayer:
    """Binarize most weights of a layer and round the others to a fine grid.

    Returns
    -------
    QuantizedLayer
        Blocks of `block_size` columns with the groups ``"low"`` and ``"high"``.

    Notes
    -----
    Levels and grid are fitted before compensation moves any weight, so the errors are
    those of a fixed rounding: ``W - Q = E U``, and the proxy loss of the damped Hessian
    is ``½ Σ E²``.

    References
    ----------
    PB-LLM, arXiv 2310.00034, section 3, and its released code; GPTQ, arXiv 2210.17323v2,
    Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> config = PBLLM(low_share=0.5, high_bits=2, statistics="group")
    >>> pb_llm_layer([[1.0, -6.0, 3.0, -1.0, 0.0]], np.eye(5), config).decode()
    array([[ 0.66666667, -6.        ,  3.        , -0.66666667,  0.        ]])
    """
    prepared = prepare_hessian(H, config.percdamp)
    # Row sums must not depend on the memory layout of the caller's array.
    weights = np.ascontiguousarray(np.where(prepared.dead, 0.0, W))
    U = prepared.factor
    fitted = W if config.dead_grid == "given" else weights
    grid = minmax_grid(fitted, config.high_bits)
    parts = {
        b.start: _Parts(_low_part(weights[:, b], U[b, b], config), grid, config)
        for b in block_slices(W.shape[1], config.block_size)
    }

    def quantize_block(current: Array, columns: slice) -> QuantizedBlock:
        part, inside = parts[columns.start], current[:, columns]

        def round_column(block: Array, column: int) -> Array:
            return part.round(block[:, column], column)

        compensate_columns(inside, U[columns, columns], round_column)
        return QuantizedBlock(columns.start, columns.stop, part.groups(slice(None)))

    return compensate(weights, U, quantize_block, block_size=config.block_size, mode="exact").layer
