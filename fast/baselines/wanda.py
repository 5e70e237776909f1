"""Wanda
=====

:mod:`subbit.reference.baselines.wanda` on a device. Scores and masks are those of ``sparsity``.
"""

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.mirror import mirrors
from subbit.fast.pruning.sparsity import (
    input_norms,
    magnitude_importance,
    nm_mask,
    ria_importance,
    row_mask,
    threshold_mask,
    wanda_importance,
)
from subbit.reference.baselines.wanda import Wanda
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, ValueGroup, block_slices


def _scores(device: Device, W: DeviceArray, H: DeviceArray, config: Wanda) -> DeviceArray:
    if config.importance == "magnitude":
        return magnitude_importance(device, W)
    norms = input_norms(device, H)
    if config.importance == "ria":
        return ria_importance(device, W, norms, exponent=config.exponent)
    return wanda_importance(device, W, norms ** device.xp.float32(config.exponent))


def _kept(device: Device, scores: DeviceArray, config: Wanda) -> DeviceArray:
    if config.keep is not None:
        return nm_mask(device, scores, *config.keep, tail=config.tail)
    of_what = threshold_mask if config.importance == "magnitude" else row_mask
    return of_what(device, scores, 0.0 if config.sparsity is None else config.sparsity)


@mirrors(reference.wanda_layer)
def wanda_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: Wanda = Wanda()
) -> QuantizedLayer:
    """Zero the least important weights of a layer."""
    n, m = W.shape
    if config.keep is not None and config.tail == "error" and m % config.keep[1]:
        raise ArgumentError("W", f"a width that the group {config.keep[1]} divides", m)
    kept = to_host(_kept(device, _scores(device, W, H, config), config))
    pruned = np.where(kept, to_host(W).astype(np.float64), 0.0)
    blocks = tuple(
        QuantizedBlock(
            b.start, b.stop, (ValueGroup("kept", kept[:, b], pruned[:, b]),), pattern=config.keep
        )
        for b in block_slices(m, config.block_size)
    )
    return QuantizedLayer((n, m), blocks)
