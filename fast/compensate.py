"""Block-wise error compensation
=============================

:mod:`subbit.reference.compensate` on a device. A block's record may be one of the host,
or an object whose ``decode()`` gives an image that is on the device already.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, get_args

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray, mask, matrix
from subbit.reference.compensate import Compensated
from subbit.reference.errors import check_choice
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
    """Turn a block's error into what is fed forward."""
    check_choice("mode", mode, get_args(Compensation))
    error = matrix(device, "D", D)
    U = matrix(device, "U_block", U_block, shape=(error.shape[1],) * 2)
    return _feed(device, error, U, mode)


def _feed(device: Device, D: DeviceArray, U: DeviceArray, mode: Compensation) -> DeviceArray:
    xp = device.xp
    if mode == "none":
        return xp.zeros(D.shape, dtype=xp.float32)
    diagonal = xp.diagonal(U)
    if mode == "exact":
        unit = U / diagonal[:, None]
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
    check_choice("mode", mode, get_args(Compensation))
    current = matrix(device, "W", W)
    factor = matrix(device, "U", U, shape=(current.shape[1],) * 2)
    movable = None if free is None else mask(device, "free", free, current.shape)
    return _step(device, current, factor, columns, quantize_block, mode=mode, free=movable)


def _step(
    device: Device,
    W: DeviceArray,
    U: DeviceArray,
    columns: slice,
    quantize_block: BlockQuantizer,
    *,
    mode: Compensation,
    free: DeviceArray | None,
) -> tuple[Any, DeviceArray, DeviceArray]:
    xp = device.xp
    block = quantize_block(W, columns)
    image = xp.asarray(block.decode(), dtype=xp.float32)
    E = _feed(device, W[:, columns] - image, U[columns, columns], mode)
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
    check_choice("mode", mode, get_args(Compensation))
    current = matrix(device, "W", W)
    factor = matrix(device, "U", U, shape=(current.shape[1],) * 2)
    n, m = current.shape
    movable = None if free is None else mask(device, "free", free, (n, m))
    blocks, errors = [], []
    for columns in block_slices(m, block_size):
        block, current, E = _step(
            device, current, factor, columns, quantize_block, mode=mode, free=movable
        )
        blocks.append(block)
        errors.append(E)
    return Compensated(QuantizedLayer((n, m), tuple(blocks)), device.xp.hstack(errors))
