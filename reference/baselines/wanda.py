"""Wanda
=====

Wanda, arXiv 2306.11695; RIA, ICLR 2024; magnitude pruning. Baselines that only zero weights.

A score says how much each weight matters, the smallest are pruned, and no other weight moves.
Scores and masks are those of ``sparsity``.

=============== ================================ =======================================
importance      score                            where the share `sparsity` is taken
=============== ================================ =======================================
``"wanda"``     ``|w| ‖X_j‖^a``                  in each row
``"ria"``       relative ``|w|``, ``‖X_j‖^a``    in each row
``"magnitude"`` ``|w|``                          in the whole layer
=============== ================================ =======================================

``N:M`` is *kept : group*; the released code counts pruned weights instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import symmetric
from subbit.reference.contracts.scalars import Whole
from subbit.reference.contracts.settings import Maybe, Pattern, Switches
from subbit.reference.contracts.words import EXPONENT, LAYER, SPARSITY
from subbit.reference.errors import (
    check_blocks_hold_groups,
    check_groups_fill,
    check_sparsity,
)
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, ValueGroup, block_slices
from subbit.reference.notation import Array, Mask
from subbit.reference.pruning.sparsity import (
    Tail,
    input_norms,
    magnitude_importance,
    nm_mask,
    ria_importance,
    row_mask,
    threshold_mask,
    wanda_importance,
)
from subbit.reference.records import Config


@dataclass(frozen=True, repr=False)
class Wanda(Switches):
    """Configuration of pruning without compensation.

    Parameters
    ----------
    keep : tuple of int or None, default (4, 8)
        ``(N, M)``: N of each M consecutive weights are kept; None for a share.
    sparsity : float or None, default None
        Share of weights to prune, in [0, 1), if `keep` is None.
    importance : {"wanda", "ria", "magnitude"}, default "wanda"
        The score.
    exponent : float, default 1.0
        Power of the inputs' lengths, from 0 to 1; ``"magnitude"`` does not use them.
    block_size : int, default 128
        Columns per block of the record, a multiple of M.
    tail : {"error", "dense"}, default "error"
        Treatment of the last ``m % M`` columns: they are an error, or all kept.

    Examples
    --------
    >>> Wanda(keep=(2, 4), importance="ria", exponent=0.5).keep
    (2, 4)
    """

    keep: tuple[int, int] | None = (4, 8)
    sparsity: float | None = None
    importance: Literal["wanda", "ria", "magnitude"] = "wanda"
    exponent: float = 1.0
    block_size: int = 128
    tail: Tail = "error"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "keep": Maybe(Pattern()),
        "sparsity": Maybe(SPARSITY),
        "exponent": EXPONENT,
        "block_size": Whole(),
    }

    def __post_init__(self) -> None:
        """Check the settings against their domains, and against each other."""
        super().__post_init__()
        check_sparsity(self.keep, self.sparsity)
        check_blocks_hold_groups(self.block_size, self.keep)


PRESETS: Mapping[str, Wanda] = MappingProxyType(
    {
        "wanda": Wanda(),
        "ria": Wanda(importance="ria", exponent=0.5),
        "magnitude": Wanda(importance="magnitude"),
    }
)


def _scores(W: Array, H: Array, config: Wanda) -> Array:
    if config.importance == "magnitude":
        return magnitude_importance(W)
    if config.importance == "ria":
        return ria_importance(W, input_norms(H), exponent=config.exponent)
    return wanda_importance(W, input_norms(H) ** config.exponent)


def _kept(scores: Array, config: Wanda) -> Mask:
    if config.keep is not None:
        return nm_mask(scores, *config.keep, tail=config.tail)
    of_what = threshold_mask if config.importance == "magnitude" else row_mask
    return of_what(scores, 0.0 if config.sparsity is None else config.sparsity)


@contract(
    3,
    W=LAYER,
    H=symmetric(
        "m", ("Proxy Hessian, not damped; the inputs' lengths are read from its diagonal.")
    ),
    config=Config(Wanda),
)
def wanda_layer(W: Array, H: Array, config: Wanda = Wanda()) -> QuantizedLayer:
    """Zero the least important weights of a layer.

    Returns
    -------
    QuantizedLayer
        Blocks of `block_size` columns with one group of plain values, ``"kept"``.

    Notes
    -----
    ``Q = M ∘ W``: kept weights stay the same, bit for bit.

    References
    ----------
    Wanda, arXiv 2306.11695, Eq. (1) and Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> H = np.diag([2.0, 2.0, 50.0, 2.0])
    >>> wanda_layer([[3.0, 1.0, 1.0, 4.0]], H, Wanda(keep=(2, 4))).decode()
    array([[0., 0., 1., 4.]])
    """
    n, m = W.shape
    check_groups_fill(m, config.keep, config.tail)
    kept = _kept(_scores(W, H, config), config)
    # Alg. 1, Wanda:  M from the metric |W| · ‖X‖₂,  Q = M ∘ W
    pruned = np.where(kept, W, 0.0)
    blocks = tuple(
        QuantizedBlock(
            b.start, b.stop, (ValueGroup("kept", kept[:, b], pruned[:, b]),), pattern=config.keep
        )
        for b in block_slices(m, config.block_size)
    )
    return QuantizedLayer((n, m), blocks)
