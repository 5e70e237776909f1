"""SparseGPT
=========

SparseGPT, arXiv 2301.00774; pruning with compensation, a baseline and a substrate.

Columns are pruned one after the other, and the error of each column moves the columns to its
right: GPTQ's loop with "zero or unchanged" in place of the grid. Weights are chosen by the
cost of zeroing them once the columns to their left are fixed, ``w² / U_jj²``, computed from
the weights as earlier columns have left them: for N:M sparsity at the first column of each
group of M; for a share of all weights at the first column of each block, with one threshold
for its rows.

========== ========= ==============================================
symbol     shape     meaning
========== ========= ==============================================
``M``      (n, m)    mask of the kept weights
``U``      (m, m)    inverse factor
========== ========= ==============================================

``N:M`` is *kept : group*; the code counts pruned weights instead. Its threshold prunes
one weight more than the share calls for, see ``sparsity.threshold_mask``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from subbit.reference.columns import compensate_columns
from subbit.reference.compensate import compensate
from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Whole
from subbit.reference.contracts.settings import Maybe, Pattern, Switches
from subbit.reference.contracts.words import LAYER, PERCDAMP, SPARSITY, UNDAMPED
from subbit.reference.errors import (
    check_blocks_hold_groups,
    check_groups_fill,
    check_sparsity,
)
from subbit.reference.hessian import prepare_hessian
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, ValueGroup
from subbit.reference.notation import Array, Mask
from subbit.reference.pruning.sparsity import Tail, nm_mask, threshold_mask
from subbit.reference.records import Config
from subbit.reference.zones.saliency import trailing_saliency


@dataclass(frozen=True, repr=False)
class SparseGPT(Switches):
    """Configuration of SparseGPT.

    Parameters
    ----------
    keep : tuple of int or None, default (4, 8)
        ``(N, M)``: N of each M consecutive weights are kept; None for a share.
    sparsity : float or None, default None
        Share of weights to prune, in [0, 1), if `keep` is None.
    block_size : int, default 128
        Columns per block, a multiple of M.
    percdamp : float, default 0.01
        Damping relative to the mean diagonal.
    tail : {"error", "dense"}, default "error"
        Treatment of the last ``m % M`` columns: they are an error, or all kept.

    Examples
    --------
    >>> SparseGPT(keep=None, sparsity=0.5).block_size
    128
    """

    keep: tuple[int, int] | None = (4, 8)
    sparsity: float | None = None
    block_size: int = 128
    percdamp: float = 0.01
    tail: Tail = "error"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "keep": Maybe(Pattern()),
        "sparsity": Maybe(SPARSITY),
        "block_size": Whole(),
        "percdamp": PERCDAMP,
    }

    def __post_init__(self) -> None:
        """Check the settings against their domains, and against each other."""
        super().__post_init__()
        check_sparsity(self.keep, self.sparsity)
        check_blocks_hold_groups(self.block_size, self.keep)


PRESETS: Mapping[str, SparseGPT] = MappingProxyType(
    {
        "nm": SparseGPT(),
        "unstructured": SparseGPT(keep=None, sparsity=0.5),
    }
)


def _kept_of_block(W: Array, U: Array, config: SparseGPT) -> Mask:
    """Return the mask of a block before its first column: final for a share, else empty."""
    if config.sparsity is None:
        return np.zeros(W.shape, dtype=np.bool_)
    return threshold_mask(trailing_saliency(W, U), config.sparsity)


def _prune_block(W: Array, U: Array, config: SparseGPT, start: int) -> QuantizedBlock:
    kept = _kept_of_block(W, U, config)

    def prune_column(current: Array, column: int) -> Array:
        if config.keep is not None and column % config.keep[1] == 0:
            part = slice(column, column + config.keep[1])
            scores = trailing_saliency(current[:, part], U[part, part])
            kept[:, part] = nm_mask(scores, *config.keep, tail=config.tail)
        # Alg. 1, SparseGPT:  Q_:j = M_:j ∘ W_:j, so that E_:j = (1 − M_:j) ∘ W_:j / U_jj
        return np.where(kept[:, column], current[:, column], 0.0)

    group = ValueGroup("kept", kept, compensate_columns(W, U, prune_column))
    return QuantizedBlock(start, start + W.shape[1], (group,), pattern=config.keep)


def _pruned(W: Array, H: Array, config: SparseGPT) -> QuantizedLayer:
    check_groups_fill(W.shape[1], config.keep, config.tail)
    prepared = prepare_hessian(H, config.percdamp)
    U = prepared.factor

    def prune_block(current: Array, columns: slice) -> QuantizedBlock:
        return _prune_block(current[:, columns], U[columns, columns], config, columns.start)

    weights = np.where(prepared.dead, 0.0, W)
    size = config.block_size
    return compensate(weights, U, prune_block, block_size=size, mode="exact").layer


@contract(3, W=LAYER, H=UNDAMPED, config=Config(SparseGPT))
def sparsegpt_prune(W: Array, H: Array, config: SparseGPT = SparseGPT()) -> tuple[Array, Mask]:
    """Prune a layer and move the weights that stay.

    Returns
    -------
    weights : ndarray of float64, shape (n, m)
        The moved weights; 0 where pruned.
    mask : ndarray of bool, shape (n, m)
        The kept weights.

    Notes
    -----
    As in :func:`sparsegpt_layer`. A method that quantizes the kept weights starts from these.

    References
    ----------
    SparseGPT, arXiv 2301.00774, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> config = SparseGPT(keep=(1, 2), percdamp=0.0)
    >>> sparsegpt_prune([[2.0, 1.0, 1.0, 3.0]], np.eye(4), config)
    (array([[2., 0., 0., 3.]]), array([[ True, False, False,  True]]))
    """
    layer = _pruned(W, H, config)
    mask = np.hstack([block.groups[0].mask for block in layer.blocks])  # blocks of (n, k) -> (n, m)
    return layer.decode(), mask


@contract(3, W=LAYER, H=UNDAMPED, config=Config(SparseGPT))
def sparsegpt_layer(W: Array, H: Array, config: SparseGPT = SparseGPT()) -> QuantizedLayer:
    """Prune a layer and record the kept weights.

    Returns
    -------
    QuantizedLayer
        Blocks of `block_size` columns with one group of plain values, ``"kept"``.

    Notes
    -----
    With ``E`` the scaled column errors, ``W - Q = E U``, and the proxy loss of the damped
    Hessian is ``½ Σ E²``. It is not the smallest loss for the mask: a pruned weight moves
    only the columns to its right. Dead inputs have weights of zero, kept or not. With a
    share, weights that score as much as the threshold are pruned; of N and M, no paper says
    which of equal scores stay, and any may.

    References
    ----------
    SparseGPT, arXiv 2301.00774, Algorithm 1 and section 3.

    Examples
    --------
    >>> import numpy as np
    >>> H = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> sparsegpt_layer([[1.0, 2.0]], H, SparseGPT(keep=(1, 2), percdamp=0.0)).decode()
    array([[0. , 2.5]])
    """
    return _pruned(W, H, config)
