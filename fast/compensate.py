"""Block-wise error compensation
=============================

:mod:`subbit.reference.compensate` on a device. A block's record may be a host record
or an object whose ``decode()`` returns an image that is already on the device.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray
from subbit.reference.compensate import Compensated
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import QuantizedLayer, block_slices
from subbit.reference.notation import Compensation

from .device import Device
from .launches import linalg
from .mirror import mirrors

BlockQuantizer: TypeAlias = Callable[[DeviceArray, slice], Any]


@mirrors(reference.feedback)
def feedback(
    device: Device, D: DeviceArray, U_block: DeviceArray, mode: Compensation
) -> DeviceArray:
    """Convert a block's error to the form that is fed forward."""
    xp = device.xp
    if mode == "none":
        return xp.zeros(D.shape, dtype=xp.float32)
    diagonal = xp.diagonal(U_block)
    if not bool(diagonal.all()):
        raise ArgumentError("U_block", "a diagonal without zeros in float32", "one with zeros")
    if mode == "exact":
        unit = U_block / diagonal[:, None]
        D = linalg.solve_triangular(device, unit, D.T, transposed=True, unit_diagonal=True).T
    return D / diagonal


@mirrors(reference.compensate_step)
def compensate_step(
    device: Device,
    W: DeviceArray,
    U: DeviceArray,
    columns: slice,
    quantize_block: BlockQuantizer,
    *,
    mode: Compensation,
    free: DeviceArray | None = None,
) -> tuple[Any, DeviceArray, DeviceArray]:
    """Quantize one block and feed its error forward."""
    xp = device.xp
    block = quantize_block(W, columns)
    image = xp.asarray(block.decode(), dtype=xp.float32)
    E = feedback(device, W[:, columns] - image, U[columns, columns], mode)
    moved = W.copy()
    moved[:, columns] = image
    right = slice(columns.stop, None)
    move = E @ U[columns, right]
    moved[:, right] -= move if free is None else xp.where(free[:, right], move, xp.float32(0))
    return block, moved, E


@mirrors(reference.compensate)
def compensate(
    device: Device,
    W: DeviceArray,
    U: DeviceArray,
    quantize_block: BlockQuantizer,
    *,
    block_size: int,
    mode: Compensation,
    free: DeviceArray | None = None,
) -> Compensated:
    """Quantize a layer block by block."""
    n, m = W.shape
    blocks, errors = [], []
    for columns in block_slices(m, block_size):
        block, W, E = compensate_step(device, W, U, columns, quantize_block, mode=mode, free=free)
        blocks.append(block)
        errors.append(E)
    return Compensated(QuantizedLayer((n, m), tuple(blocks)), device.xp.hstack(errors))
