"""From a layer to its blocks
==========================

:mod:`subbit.reference.blocks` on a device. A layer goes there once, its blocks are
quantized where they are, and their record comes back once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit.fast.launches.arrays import DeviceArray, exponent, scaled, to_host
from subbit.fast.launches.fetch import fetch
from subbit.reference.blocks import Loop
from subbit.reference.hessian import PreparedHessian
from subbit.reference.layer import QuantizedLayer
from subbit.reference.notation import Mask

from .compensate import compensate
from .device import Device
from .hessian import prepare_hessian
from .launches import linalg, rows
from .launches.assign import launch_assignment


@dataclass(frozen=True, eq=False)
class Block:
    """A block as a method receives it.

    Parameters
    ----------
    columns : slice
        Its place in the layer.
    weights, scores : array of float32, shape (n, k)
        Weights, moved by the blocks before it, and their saliency scores.
    alive : ndarray of bool, shape (k,)
        Columns to quantize, on the host.
    """

    columns: slice
    weights: DeviceArray
    scores: DeviceArray
    alive: Mask

    @property
    def start(self) -> int:
        """The first column."""
        return int(self.columns.start)


@dataclass(frozen=True, eq=False)
class LayerState:
    """A layer ready to be quantized block by block.

    Parameters
    ----------
    device : Device
        Device that holds it.
    weights : array of float32, shape (n, m)
        Weights, zero where the input is dead.
    hessian : array of float32, shape (m, m)
        Proxy Hessian, not damped.
    prepared : PreparedHessian
        Damped Hessian and inverse factor.
    alive : ndarray of bool, shape (m,)
        Columns to quantize, on the host.
    loop : Loop
        The configuration.
    power : array of int32, shape ()
        A power of two above the weights.
    divisor : array of float32, shape (m,)
        Divisors of the scores; the least is between 1/2 and 1.
    """

    device: Device
    weights: DeviceArray
    hessian: DeviceArray
    prepared: PreparedHessian
    alive: Mask
    loop: Loop
    power: DeviceArray
    divisor: DeviceArray

    def scores(self, W: DeviceArray, columns: slice) -> DeviceArray:
        """Compute saliency scores of some columns, up to a power of two.

        Parameters
        ----------
        W : array of float32, shape (n, m)
            The layer's weights as they are now.
        columns : slice
            The columns.

        Returns
        -------
        array of float32, shape (n, k)
            Scores. Only their ratios matter, and this keeps them within float32.
        """
        block = scaled(self.device, W[:, columns], -self.power)
        if self.loop.score == "magnitude":
            return block
        return rows.scores(self.device, block, self.divisor[columns], squared=True)

    def block(self, W: DeviceArray, columns: slice) -> Block:
        """Return a block of the layer.

        Parameters
        ----------
        W : array of float32, shape (n, m)
            The layer's weights as they are now.
        columns : slice
            Its columns.

        Returns
        -------
        Block
            The block, as a method receives it.
        """
        weights = self.device.xp.ascontiguousarray(W[:, columns])
        return Block(columns, weights, self.scores(W, columns), self.alive[columns])

    def gram(self, columns: slice) -> DeviceArray:
        """Return the Gram matrix of the inputs of some columns.

        Parameters
        ----------
        columns : slice
            The columns.

        Returns
        -------
        array of float32, shape (k, k)
            ``H / 2``.
        """
        return scaled(self.device, self.hessian[columns, columns], -1)


def prepare_layer(device: Device, W: DeviceArray, H: DeviceArray, loop: Loop) -> LayerState:
    """Prepare the Hessian of a layer and zero the weights of dead inputs.

    Parameters
    ----------
    device : Device
        Device to compute on.
    W : array of float32, shape (n, m)
        Weights.
    H : array of float32, shape (m, m)
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
    """
    prepared = prepare_hessian(device, H, loop.percdamp)
    weights = device.xp.where(prepared.dead, device.xp.float32(0), W)
    return LayerState(
        device,
        weights,
        H,
        prepared,
        alive=_alive(prepared, loop),
        loop=loop,
        power=exponent(device, weights),
        divisor=_divisor(device, prepared, loop),
    )


def _divisor(device: Device, prepared: PreparedHessian, loop: Loop) -> DeviceArray:
    xp = device.xp
    if loop.score == "inverse_hessian":
        divisor = linalg.inverse_diagonal(device, "H", prepared.damped)
    else:
        divisor = xp.ascontiguousarray(xp.diagonal(prepared.factor))
    return scaled(device, divisor, -xp.frexp(xp.min(divisor))[1])


def _alive(prepared: PreparedHessian, loop: Loop) -> Mask:
    if loop.dead_inputs == "binarize":
        return np.ones(len(prepared.dead), dtype=np.bool_)
    return ~to_host(prepared.dead)


BlockOf = Callable[[Block], Any]


def quantize_blocks(state: LayerState, quantize_block: BlockOf) -> QuantizedLayer:
    """Run the block loop over a layer and bring the record back.

    Parameters
    ----------
    state : LayerState
        The layer.
    quantize_block : callable
        Leaves the answer of a :class:`Block` on the device.

    Returns
    -------
    QuantizedLayer
        The record.
    """
    return brought_back(state, blocks_on_device(state, quantize_block))


def blocks_on_device(
    state: LayerState, quantize_block: BlockOf, *, free: DeviceArray | None = None
) -> tuple[Any, ...]:
    """Run the block loop over a layer.

    Parameters
    ----------
    state : LayerState
        The layer.
    quantize_block : callable
        Leaves the answer of a :class:`Block` on the device.
    free : array of bool, shape (n, m), optional
        The weights that feedback may move; all by default.

    Returns
    -------
    tuple of BlockOnDevice
        The answers, still on the device.
    """
    factor = state.prepared.factor

    def step(W: DeviceArray, columns: slice) -> Any:  # noqa: ANN401 - each method has its own answer
        block = quantize_block(state.block(W, columns))
        if not state.loop.column_feedback:
            return block
        own = state.device.xp.ascontiguousarray(factor[columns, columns])
        movable = None if free is None else free[:, columns]
        scaled = block.groups.columns
        launch_assignment(block.made, W[:, columns], own, block.group, scaled=scaled, free=movable)
        return block

    made = compensate(
        state.device,
        state.weights,
        factor,
        step,
        block_size=state.loop.block_size,
        mode=state.loop.compensation,
        free=free,
    )
    return made.layer.blocks


def brought_back(state: LayerState, blocks: tuple[Any, ...]) -> QuantizedLayer:
    """Bring the record of a layer back.

    Parameters
    ----------
    state : LayerState
        The layer.
    blocks : tuple of BlockOnDevice
        Its blocks' answers.

    Returns
    -------
    QuantizedLayer
        The record.
    """
    return QuantizedLayer(state.weights.shape, fetch(state.device, blocks))
