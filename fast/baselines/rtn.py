"""Round to nearest
================

:mod:`subbit.reference.baselines.rtn` on a device.
"""

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.groups.binarize import residual_binarize
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.mirror import mirrors
from subbit.reference.baselines.rtn import RTN
from subbit.reference.layer import Group, QuantizedBlock, QuantizedLayer, UniformGroup, block_slices


@mirrors(reference.minmax_grid)
def minmax_grid(device: Device, W: DeviceArray, bits: int) -> tuple[DeviceArray, DeviceArray]:
    """Fit a uniform grid to the range of each row."""
    xp = device.xp
    low = xp.minimum(W.min(axis=1), xp.float32(0))
    high = xp.maximum(W.max(axis=1), xp.float32(0))
    empty = high - low < np.finfo(np.float32).tiny
    low, high = xp.where(empty, xp.float32(-1), low), xp.where(empty, xp.float32(1), high)
    top = xp.float32(2**bits - 1)
    # Not −min / s: the scale's own rounding would decide the tie of a symmetric range.
    return (high - low) / top, xp.rint(-low * top / (high - low))


@mirrors(reference.grid_codes)
def grid_codes(
    device: Device, W: DeviceArray, scale: DeviceArray, zero: DeviceArray, bits: int
) -> DeviceArray:
    """Find the nearest grid position of each weight."""
    xp = device.xp
    positions = xp.rint(W / scale[:, None]) + zero[:, None]
    return xp.clip(positions, 0, 2**bits - 1).astype(xp.uint8)


def _quantize_group(device: Device, W: DeviceArray, config: RTN) -> Group:
    if config.kind == "sign":
        return residual_binarize(device, W, center=config.center)
    scale, zero = minmax_grid(device, W, config.bits)
    codes = to_host(grid_codes(device, W, scale, zero, config.bits))
    step, code = (to_host(x).astype(np.float64) for x in (scale, zero))
    return UniformGroup("all", np.ones(codes.shape, dtype=np.bool_), codes, step, code, config.bits)


@mirrors(reference.rtn_layer)
def rtn_layer(
    device: Device, W: DeviceArray, H: DeviceArray | None = None, config: RTN = RTN()
) -> QuantizedLayer:
    """Quantize a layer by rounding each weight to the nearest level."""
    del H
    n, m = W.shape
    blocks = tuple(
        QuantizedBlock(
            g.start,
            g.stop,
            (_quantize_group(device, device.xp.ascontiguousarray(W[:, g]), config),),
        )
        for g in block_slices(m, config.group_size or m)
    )
    return QuantizedLayer((n, m), blocks)
