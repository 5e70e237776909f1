"""SparseGPT
=========

:mod:`subbit.reference.baselines.sparsegpt` on a device. The columns inside a block are one launch
of ``sparsegpt.cu``, which also chooses the masks of N:M sparsity, row by row; the
threshold for a share takes one sort of the block's scores.
"""

import numpy as np

from subbit import reference
from subbit.fast.compensate import compensate
from subbit.fast.device import Device
from subbit.fast.hessian import prepare_hessian
from subbit.fast.launches import column_loops as columns
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.column_loops import Image
from subbit.fast.mirror import mirrors
from subbit.fast.pruning.sparsity import threshold_mask
from subbit.fast.zones.saliency import trailing_saliency
from subbit.reference.baselines.sparsegpt import SparseGPT
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, ValueGroup, block_slices


def _prune_block(
    device: Device, W: DeviceArray, U: DeviceArray, config: SparseGPT
) -> tuple[DeviceArray, DeviceArray]:
    xp = device.xp
    values, factor = W.copy(), xp.ascontiguousarray(U)
    if config.sparsity is None:
        kept = xp.empty(W.shape, dtype=bool)
    else:
        kept = threshold_mask(device, trailing_saliency(device, values, factor), config.sparsity)
    columns.prune_columns(device, values, factor, kept, config.keep)
    return xp.where(kept, values, xp.float32(0)), kept


def _pruned(
    device: Device, W: DeviceArray, H: DeviceArray, config: SparseGPT
) -> tuple[DeviceArray, DeviceArray]:
    xp = device.xp
    m = W.shape[1]
    if config.keep is not None and config.tail == "error" and m % config.keep[1]:
        raise ArgumentError("W", f"a width that the group {config.keep[1]} divides", m)
    prepared = prepare_hessian(device, H, config.percdamp)
    U = prepared.factor
    made: list[tuple[DeviceArray, DeviceArray]] = []

    def prune_block(current: DeviceArray, part: slice) -> Image:
        made.append(_prune_block(device, current[:, part], U[part, part], config))
        return Image(made[-1][0])

    W = xp.where(prepared.dead, xp.float32(0), W)
    compensate(device, W, U, prune_block, block_size=config.block_size, mode="exact")
    return xp.hstack([values for values, _ in made]), xp.hstack([kept for _, kept in made])


@mirrors(reference.sparsegpt_prune)
def sparsegpt_prune(
    device: Device, W: DeviceArray, H: DeviceArray, config: SparseGPT = SparseGPT()
) -> tuple[DeviceArray, DeviceArray]:
    """Prune a layer and move the weights that stay."""
    return _pruned(device, W, H, config)


@mirrors(reference.sparsegpt_layer)
def sparsegpt_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: SparseGPT = SparseGPT()
) -> QuantizedLayer:
    """Prune a layer and record the kept weights."""
    values, kept = (to_host(x) for x in _pruned(device, W, H, config))
    values = values.astype(np.float64)
    blocks = tuple(
        QuantizedBlock(
            b.start, b.stop, (ValueGroup("kept", kept[:, b], values[:, b]),), pattern=config.keep
        )
        for b in block_slices(values.shape[1], config.block_size)
    )
    return QuantizedLayer((values.shape[0], values.shape[1]), blocks)
