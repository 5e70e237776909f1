"""Kernels that go column by column
================================

One function for each kernel that runs the column loop of ``columns.cuh`` inside a block.
Arrays of the device in, arrays of the device out; `W` is overwritten. Nothing is checked
and nothing waits. Each kernel is described at the head of its file.
"""

from dataclasses import dataclass

import numpy as np

from subbit.fast.device import Device

from .arrays import DeviceArray
from .kernels import held, kernel, over_rows


@dataclass(frozen=True)
class Image:
    """A block's values on the device, as compensation takes them.

    Parameters
    ----------
    values : array of float32, shape (n, k)
        Decoded values of the block's record.
    """

    values: DeviceArray

    def decode(self) -> DeviceArray:
        """Return the values.

        Returns
        -------
        array of float32, shape (n, k)
            The values.
        """
        return self.values


def gptq_codes(
    device: Device,
    W: DeviceArray,
    U: DeviceArray,
    scale: DeviceArray,
    zero: DeviceArray,
    *,
    first: int,
    group_size: int,
    bits: int,
) -> DeviceArray:
    """Launch ``gptq_codes``, which overwrites `W`.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights of a block.
    U : array of float32, shape (k, k)
        The block's diagonal block of the inverse factor.
    scale, zero : array of float32, shape (groups, n)
        Grids, starting with that of the block's first column.
    first : int
        The block's first column.
    group_size : int
        Columns that share a grid.
    bits : int
        Bits per code.

    Returns
    -------
    array of uint8, shape (n, k)
        Codes.
    """
    n, k = W.shape
    codes = device.xp.empty((n, k), dtype=device.xp.uint8)
    numbers = (np.int32(x) for x in (n, k, first, group_size, first // group_size))
    args = (W, U, scale, zero, *numbers, np.float32(2**bits - 1), codes)
    over_rows(device, kernel("gptq.cu", "gptq_codes", HELD=held(k)), n, args)
    return codes


def prune_columns(
    device: Device,
    W: DeviceArray,
    U: DeviceArray,
    kept: DeviceArray,
    keep: tuple[int, int] | None,
) -> None:
    """Launch ``prune_columns``, which overwrites `W`, and `kept` if there is a pattern.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights of a block; afterwards each column as it was before it was pruned.
    U : array of float32, shape (k, k)
        The block's diagonal block of the inverse factor.
    kept : array of bool, shape (n, k)
        Weights that stay.
    keep : tuple of int or None
        ``(N, M)``, whose masks are chosen here; None where `kept` is given.
    """
    n, k = W.shape
    diagonal = device.xp.ascontiguousarray(device.xp.diagonal(U))
    numbers = (np.int32(x) for x in (n, k, *(keep or (0, 0))))
    args = (W, U, diagonal, *numbers, kept.view(device.xp.uint8))
    over_rows(device, kernel("sparsegpt.cu", "prune_columns", HELD=held(k)), n, args)


@dataclass(frozen=True)
class Levels:
    """Levels that the entries of a block are rounded to.

    Parameters
    ----------
    low : array of bool, shape (n, k)
        Entries of the low part.
    mean, alpha : array of float32, shape (n,)
        Levels of the low part.
    scale, zero : array of float32, shape (n,)
        Grid of the high part.
    """

    low: DeviceArray
    mean: DeviceArray
    alpha: DeviceArray
    scale: DeviceArray
    zero: DeviceArray


def mixed_codes(
    device: Device,
    W: DeviceArray,
    U: DeviceArray,
    levels: Levels,
    *,
    bits: int,
    sign_zero: int,
) -> DeviceArray:
    """Launch ``mixed_codes``, which overwrites `W`.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights of a block.
    U : array of float32, shape (k, k)
        The block's diagonal block of the inverse factor.
    levels : Levels
        Levels to round to.
    bits : int
        Bits per code of the high part.
    sign_zero : {0, 1}
        Sign of a weight that equals its mean.

    Returns
    -------
    array of uint8, shape (n, k)
        Codes of the high part, signs + 1 of the low one.
    """
    n, k = W.shape
    codes = device.xp.empty((n, k), dtype=device.xp.uint8)
    of_rows = (levels.mean, levels.alpha, levels.scale, levels.zero)
    last = (np.float32(2**bits - 1), np.float32(sign_zero), codes)
    args = (W, U, levels.low.view(device.xp.uint8), *of_rows, np.int32(n), np.int32(k), *last)
    over_rows(device, kernel("pb_llm.cu", "mixed_codes", HELD=held(k)), n, args)
    return codes
