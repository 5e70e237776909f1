"""From a layer to its blocks
==========================

The steps that all four methods share before and around a block: damp the Hessian, silence
dead inputs, score the weights, and hand each block to the method in the loop of
``compensate``. A method adds the steps inside a block.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Whole
from subbit.reference.contracts.settings import Switches
from subbit.reference.contracts.words import PERCDAMP
from subbit.reference.zones.saliency import (
    inverse_hessian_saliency,
    magnitude_saliency,
    trailing_saliency,
)

from .assign import assign_columns
from .compensate import compensate
from .errors import ArgumentError
from .hessian import PreparedHessian, prepare_hessian
from .layer import QuantizedBlock, QuantizedLayer
from .notation import Array, Compensation, Mask

Score: TypeAlias = Literal["inverse_hessian", "trailing", "magnitude"]
DeadInputs: TypeAlias = Literal["binarize", "zero"]


@dataclass(frozen=True, repr=False)
class Loop(Switches):
    """The loop over blocks.

    Parameters
    ----------
    block_size : int, default 128
        Columns per block.
    percdamp : float, default 0.01
        Damping relative to the mean diagonal of the Hessian.
    score : {"trailing", "inverse_hessian", "magnitude"}, default "trailing"
        The saliency score.
    compensation : {"exact", "released", "none"}, default "exact"
        Form of the error feedback.
    dead_inputs : {"binarize", "zero"}, default "binarize"
        Treatment of columns whose input never fires.
    column_feedback : bool, default False
        Beyond paper and code: whether the entries of a fitted block are assigned again, column
        by column and with feedback inside the block, see :func:`assign_columns`. Not with
        ``compensation="released"``, which would feed forward what the block has made up for.

    Examples
    --------
    >>> Loop().block_size
    128
    """

    block_size: int = 128
    percdamp: float = 0.01
    score: Score = "trailing"
    compensation: Compensation = "exact"
    dead_inputs: DeadInputs = "binarize"
    column_feedback: bool = False

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"block_size": Whole(), "percdamp": PERCDAMP}
    LATER: ClassVar[frozenset[str]] = frozenset({"column_feedback"})

    def __post_init__(self) -> None:
        """Check the settings against their domains and each other."""
        super().__post_init__()
        if self.column_feedback and self.compensation == "released":
            expected = '"exact" or "none" with feedback between columns'
            raise ArgumentError("compensation", expected, '"released"')


LOOP = Loop()


@dataclass(frozen=True, eq=False)
class Block:
    """A block as a method receives it.

    Parameters
    ----------
    columns : slice
        Its columns in the layer.
    weights, scores : ndarray of float64, shape (n, k)
        Weights, moved by the blocks before it, and their saliency scores.
    alive : ndarray of bool, shape (k,)
        Columns to quantize.
    gram : ndarray of float64, shape (k, k)
        Gram matrix of its inputs.
    """

    columns: slice
    weights: Array
    scores: Array
    alive: Mask
    gram: Array

    @property
    def start(self) -> int:
        """The first column."""
        return int(self.columns.start)


@dataclass(frozen=True, eq=False)
class LayerState:
    """A layer ready to be quantized block by block.

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
    loop : Loop
        The configuration.
    """

    weights: Array
    gram: Array
    prepared: PreparedHessian
    alive: Mask
    loop: Loop

    def scores(self, W: Array, columns: slice) -> Array:
        """Return the saliency scores of some columns.

        Parameters
        ----------
        W : ndarray of float64, shape (n, m)
            The layer's current weights.
        columns : slice
            The columns.

        Returns
        -------
        ndarray of float64, shape (n, k)
            Scores.
        """
        block = W[:, columns]
        if self.loop.score == "magnitude":
            return magnitude_saliency(block)
        if self.loop.score == "trailing":
            return trailing_saliency(block, self.prepared.factor[columns, columns])
        return block**2 * self._unit_scores[columns]

    def block(self, W: Array, columns: slice) -> Block:
        """Return a block of the layer.

        Parameters
        ----------
        W : ndarray of float64, shape (n, m)
            The layer's current weights.
        columns : slice
            Its columns.

        Returns
        -------
        Block
            The block as a method receives it.
        """
        return Block(
            columns,
            W[:, columns],
            self.scores(W, columns),
            self.alive[columns],
            self.gram[columns, columns],
        )

    @cached_property
    def _unit_scores(self) -> Array:
        # They invert the whole Hessian, so they are computed once for all blocks.
        ones = np.ones((1, self.weights.shape[1]))
        return inverse_hessian_saliency(ones, self.prepared.damped)[0]


BlockOf = Callable[[Block], QuantizedBlock]


def prepare_layer(W: Array, H: Array, loop: Loop) -> LayerState:
    """Prepare the Hessian of a layer and zero the weights of dead inputs.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    loop : Loop
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
    >>> prepare_layer(np.array([[1.0, 2.0]]), np.diag([1.0, 0.0]), Loop()).weights
    array([[1., 0.]])
    """
    prepared = prepare_hessian(H, loop.percdamp)
    everything = np.ones(len(H), dtype=np.bool_)
    return LayerState(
        weights=np.where(prepared.dead, 0.0, W),
        gram=H / 2.0,
        prepared=prepared,
        alive=~prepared.dead if loop.dead_inputs == "zero" else everything,
        loop=loop,
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
        Returns the record of a :class:`Block`, with binary groups alone if columns feed forward.
    free : ndarray of bool, shape (n, m), optional
        The weights that feedback may move; all by default.

    Returns
    -------
    QuantizedLayer
        The record.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import residual_binarize
    >>> state = prepare_layer(np.array([[2.0, -2.0]]), np.eye(2), Loop())
    >>> def one_group(block):
    ...     return QuantizedBlock(0, 2, (residual_binarize(block.weights),))
    >>> quantize_blocks(state, one_group).decode()
    array([[ 2., -2.]])
    """
    factor = state.prepared.factor

    def step(W: Array, columns: slice) -> QuantizedBlock:
        block = quantize_block(state.block(W, columns))
        if not state.loop.column_feedback:
            return block
        movable = None if free is None else free[:, columns]
        return assign_columns(W[:, columns], factor[columns, columns], block, free=movable)

    return compensate(
        state.weights,
        factor,
        step,
        block_size=state.loop.block_size,
        mode=state.loop.compensation,
        free=free,
    ).layer
