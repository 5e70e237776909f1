"""From a layer to its blocks
==========================

What all four methods do before and around a block: refuse bad input, damp the Hessian,
silence dead inputs, score the weights, and hand each block to the method in the loop of
``compensate``. A method adds what happens inside a block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from subbit.reference.zones.partition import Partition
from subbit.reference.zones.saliency import (
    inverse_hessian_saliency,
    magnitude_saliency,
    trailing_saliency,
)

from .compensate import compensate
from .hessian import PreparedHessian, prepare_hessian
from .layer import QuantizedBlock, QuantizedLayer
from .notation import Array, Mask


@dataclass(frozen=True, eq=False)
class LayerState:
    """A layer that is ready to be quantized block by block.

    Parameters
    ----------
    weights : ndarray of float64, shape (n, m)
        Weights, zero where the input is dead.
    gram : ndarray of float64, shape (m, m)
        ``H / 2``, the mean over sequences of ``X_sᵀ X_s``, not damped.
    prepared : PreparedHessian
        Damped Hessian and inverse factor.
    alive : ndarray of bool, shape (m,)
        Columns to quantize; the others decode to zero.
    config : Partition
        The configuration.
    """

    weights: Array
    gram: Array
    prepared: PreparedHessian
    alive: Mask
    config: Partition

    def scores(self, W: Array, columns: slice) -> Array:
        """Saliency scores of some columns.

        Parameters
        ----------
        W : ndarray of float64, shape (n, m)
            The layer's weights as they are now.
        columns : slice
            The columns.

        Returns
        -------
        ndarray of float64, shape (n, k)
            Scores.
        """
        block = W[:, columns]
        if self.config.score == "magnitude":
            return magnitude_saliency(block)
        if self.config.score == "trailing":
            return trailing_saliency(block, self.prepared.factor[columns, columns])
        return block**2 * self._unit_scores[columns]

    @cached_property
    def _unit_scores(self) -> Array:
        # The whole Hessian is inverted for them, so once for all blocks.
        ones = np.ones((1, self.weights.shape[1]))
        return inverse_hessian_saliency(ones, self.prepared.damped)[0]


BlockOf = Callable[[Array, slice], QuantizedBlock]


def prepare_layer(W: Array, H: Array, config: Partition) -> LayerState:
    """Prepare the Hessian of a layer and zero the weights of dead inputs.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    config : Partition
        The configuration.

    Returns
    -------
    LayerState
        The layer.

    Raises
    ------
    HessianError
        If `H` is not positive definite after damping.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import BiLLM
    >>> prepare_layer(np.array([[1.0, 2.0]]), np.diag([1.0, 0.0]), BiLLM()).weights
    array([[1., 0.]])
    """
    prepared = prepare_hessian(H, config.percdamp)
    everything = np.ones(len(H), dtype=np.bool_)
    return LayerState(
        weights=np.where(prepared.dead, 0.0, W),
        gram=H / 2.0,
        prepared=prepared,
        alive=~prepared.dead if config.dead_inputs == "zero" else everything,
        config=config,
    )


def quantize_blocks(
    state: LayerState, quantize_block: BlockOf, *, free: Mask | None = None
) -> QuantizedLayer:
    """Run the block loop over a layer.

    Parameters
    ----------
    state : LayerState
        The layer.
    quantize_block : callable
        ``quantize_block(W, columns)`` gives the block's record.
    free : ndarray of bool, shape (n, m), optional
        The weights that feedback may move; all by default.

    Returns
    -------
    QuantizedLayer
        The record.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import BiLLM, residual_binarize
    >>> state = prepare_layer(np.array([[2.0, -2.0]]), np.eye(2), BiLLM())
    >>> def one_group(W, columns):
    ...     return QuantizedBlock(0, 2, (residual_binarize(W[:, columns]),))
    >>> quantize_blocks(state, one_group).decode()
    array([[ 2., -2.]])
    """
    return compensate(
        state.weights,
        state.prepared.factor,
        quantize_block,
        block_size=state.config.block_size,
        mode=state.config.compensation,
        free=free,
    ).layer
