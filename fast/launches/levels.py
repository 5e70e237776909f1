"""Kernels of levels
=================

One function for each kernel of ``levels.cu``. Arrays of the device in, arrays of the device
out. Nothing is checked and nothing waits.
"""

from dataclasses import dataclass

import numpy as np

from subbit.fast.device import Device
from subbit.reference.leveled import STEPS, Coding

from .arrays import DeviceArray
from .kernels import held, kernel, over_rows


@dataclass(frozen=True)
class Scaling:
    """Code and scales of a group of columns.

    Parameters
    ----------
    coding : Coding
        The code, not ``"0"``.
    rows : array of float32, shape (n,)
        Row scales.
    columns : array of float32, shape (k,)
        Column scales.
    """

    coding: Coding
    rows: DeviceArray
    columns: DeviceArray


def powers(device: Device, exponent: DeviceArray) -> DeviceArray:
    """Decode exponents.

    Parameters
    ----------
    device : Device
        Device to run on.
    exponent : array of int8, shape (n,)
        Exponents of rows.

    Returns
    -------
    array of float32, shape (n,)
        ``2^{e / 16}``.
    """
    xp = device.xp
    return xp.exp2(exponent.astype(xp.float32) / xp.float32(STEPS))


def _launch(
    device: Device,
    entry: str,
    scaling: Scaling,
    arrays: tuple[DeviceArray, DeviceArray, DeviceArray],
) -> None:
    W, square, levels = arrays
    n, k = W.shape
    numbers = (np.int32(x) for x in (n, k, scaling.coding.large))
    top = np.float32(2**scaling.coding.planes - 1)
    args = (W, square, scaling.rows, scaling.columns, *numbers, top, levels)
    over_rows(device, kernel("levels.cu", entry, HELD=held(k)), n, args)


def level_codes(device: Device, W: DeviceArray, U: DeviceArray, scaling: Scaling) -> DeviceArray:
    """Launch ``level_codes``, which overwrites `W`.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights of a group.
    U : array of float32, shape (k, k)
        The group's diagonal block of the inverse factor.
    scaling : Scaling
        Its code and scales.

    Returns
    -------
    array of int8, shape (n, k)
        Levels.
    """
    levels = device.xp.empty(W.shape, dtype=device.xp.int8)
    _launch(device, "level_codes", scaling, (W, U, levels))
    return levels


def sweep(
    device: Device, P: DeviceArray, H: DeviceArray, scaling: Scaling, levels: DeviceArray
) -> None:
    """Launch ``sweep_levels``, which overwrites `P` and `levels`.

    Parameters
    ----------
    device : Device
        Device to run on.
    P : array of float32, shape (n, k)
        ``D H`` at the columns of a group.
    H : array of float32, shape (k, k)
        The group's diagonal block of the damped Hessian.
    scaling : Scaling
        Its code and scales.
    levels : array of int8, shape (n, k)
        Its levels.
    """
    _launch(device, "sweep_levels", scaling, (P, H, levels))
