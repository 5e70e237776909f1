"""GPTQ
====

:mod:`subbit.reference.baselines.gptq` on a device. The columns inside a block are one launch of
``gptq.cu``: rows are independent, so each has a warp.
"""

import numpy as np

from subbit import reference
from subbit.fast.compensate import compensate
from subbit.fast.device import Device
from subbit.fast.hessian import prepare_hessian
from subbit.fast.launches import rows
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.column_loops import Image, gptq_codes
from subbit.fast.mirror import mirrors
from subbit.reference.baselines.gptq import GPTQ
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, UniformGroup, block_slices

from .rtn import minmax_grid


class _GridCodes:
    """Codes and grids of a layer while it is being quantized."""

    def __init__(self, device: Device, shape: tuple[int, int], config: GPTQ) -> None:
        self.device, self.bits = device, config.bits
        self.groups = block_slices(shape[1], config.group_size or shape[1])
        self.codes = device.xp.zeros(shape, dtype=device.xp.uint8)
        self.grids: list[tuple[DeviceArray, DeviceArray]] = []

    def fit(self, W: DeviceArray, stop: int) -> None:
        """Fit the grids of the groups that start left of column `stop`."""
        for group in self.groups[len(self.grids) :]:
            if group.start < stop:
                self.grids.append(minmax_grid(self.device, W[:, group], self.bits))

    def round(self, W: DeviceArray, U: DeviceArray, columns: slice) -> Image:
        """Round the columns of a block, each moving those to its right."""
        xp, size = self.device.xp, self.groups[0].stop
        first = columns.start // size
        scale, zero = (xp.stack(part) for part in zip(*self.grids[first:], strict=True))
        codes = gptq_codes(
            self.device,
            W[:, columns].copy(),
            xp.ascontiguousarray(U[columns, columns]),
            scale,
            zero,
            first=columns.start,
            group_size=size,
            bits=self.bits,
        )
        self.codes[:, columns] = codes
        number = xp.arange(columns.start, columns.stop) // size - first
        return Image(scale[number].T * (codes - zero[number].T))

    def layer(self, order: DeviceArray | None) -> QuantizedLayer:
        """Return the record, one block for each group."""
        codes = to_host(self.codes)
        blocks = []
        for columns, grid in zip(self.groups, self.grids, strict=True):
            part = np.ascontiguousarray(codes[:, columns])
            scale, zero = (to_host(x).astype(np.float64) for x in grid)
            mask = np.ones(part.shape, dtype=np.bool_)
            group = UniformGroup("all", mask, part, scale, zero, self.bits)
            blocks.append(QuantizedBlock(columns.start, columns.stop, (group,)))
        host = None if order is None else to_host(order).astype(np.intp)
        return QuantizedLayer((codes.shape[0], codes.shape[1]), tuple(blocks), host)


def _quantize_columns(
    device: Device, W: DeviceArray, U: DeviceArray, config: GPTQ, *, fitted: DeviceArray
) -> _GridCodes:
    grid = _GridCodes(device, W.shape, config)
    if config.group_size is None:
        grid.fit(fitted, 1)

    def quantize_block(current: DeviceArray, columns: slice) -> Image:
        grid.fit(current, columns.stop)
        return grid.round(current, U, columns)

    compensate(device, W, U, quantize_block, block_size=config.block_size, mode="exact")
    return grid


@mirrors(reference.gptq_layer)
def gptq_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: GPTQ = GPTQ()
) -> QuantizedLayer:
    """Quantize a layer column by column with error compensation."""
    xp = device.xp
    order = _activation_order(device, H) if config.activation_order else None
    if order is not None:
        W, H = W[:, order], H[order][:, order]
    prepared = prepare_hessian(device, H, config.percdamp)
    zeroed = xp.where(prepared.dead, xp.float32(0), W)
    fitted = W if config.dead_grid == "given" else zeroed
    return _quantize_columns(device, zeroed, prepared.factor, config, fitted=fitted).layer(order)


def _activation_order(device: Device, H: DeviceArray) -> DeviceArray:
    xp = device.xp
    # A dead input counts as 1.
    diagonal = xp.diagonal(H)
    diagonal = xp.ascontiguousarray(xp.where(diagonal == 0, xp.float32(1), diagonal))
    return rows.rank(device, diagonal, xp.ones(len(H), dtype=bool), len(H))[1]
