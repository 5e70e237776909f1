"""Kernels that work on rows and columns
=====================================

One function for each kernel. Arrays of the device in, arrays of the device out; nothing
is checked and nothing waits. Each kernel is described at the head of its file.
"""

import numpy as np

from subbit.fast.device import Device

from .arrays import DeviceArray
from .kernels import BLOCK, ROWS, WARP, held, kernel, over_rows
from .state import Groups


def row_mean(device: Device, W: DeviceArray, mask: DeviceArray) -> DeviceArray:
    """Launch ``masked_mean``.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights.
    mask : array of bool, shape (n, k)
        The group's entries.

    Returns
    -------
    array of float32, shape (n,)
        Row means.
    """
    xp, (n, k) = device.xp, W.shape
    mean = xp.empty(n, dtype=xp.float32)
    args = (W, mask.view(xp.uint8), np.int32(n), np.int32(k), mean)
    over_rows(device, kernel("rows.cu", "masked_mean"), n, args)
    return mean


def row_scale(device: Device, W: DeviceArray, mask: DeviceArray, mean: DeviceArray) -> DeviceArray:
    """Launch ``masked_scale``.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights.
    mask : array of bool, shape (n, k)
        The group's entries.
    mean : array of float32, shape (n,)
        Values that distances are measured from.

    Returns
    -------
    array of float32, shape (n,)
        Row scales.
    """
    xp, (n, k) = device.xp, W.shape
    scale = xp.empty(n, dtype=xp.float32)
    args = (W, mask.view(xp.uint8), mean, np.int32(n), np.int32(k), scale)
    over_rows(device, kernel("rows.cu", "masked_scale"), n, args)
    return scale


def launch_binarize(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    center: bool,
    sign_zero: int,
) -> None:
    """Launch ``residual_binarize`` for one group.

    Parameters
    ----------
    made : Groups
        The groups.
    W : array of float32, shape (n, k)
        Weights.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1.
    number : int, default 0
        The group, from 0.
    center : bool
        Whether the row mean is subtracted.
    sign_zero : {1, 0}
        The sign of zero.
    """
    n, k = W.shape
    order, first = made.orders[number], sum(made.orders[:number])
    which = kernel("binarize.cu", "residual_binarize", HELD=held(k), ORDERS=order)
    switches = (np.int32(number + 1), np.int32(n), np.int32(k), np.int32(center))
    scale = made.scale[first : first + order]
    results = (made.mean[number], scale, made.signs, made.image)
    over_rows(made.device, which, n, (W, group, *switches, np.float32(sign_zero), *results))


def scores(device: Device, W: DeviceArray, divisor: DeviceArray, *, squared: bool) -> DeviceArray:
    """Launch ``saliency``.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights.
    divisor : array of float32, shape (k,)
        ``d``.
    squared : bool
        Whether ``d`` is also squared.

    Returns
    -------
    array of float32, shape (n, k)
        ``w² / d²`` or ``w² / d``.
    """
    n, k = W.shape
    S = device.xp.empty_like(W)
    args = (W, divisor, np.int32(n), np.int32(k), np.int32(squared), S)
    over_rows(device, kernel("saliency.cu", "saliency"), n, args)
    return S


def column_sums(device: Device, S: DeviceArray) -> DeviceArray:
    """Launch ``slab_sums`` and ``add_slabs``.

    Parameters
    ----------
    device : Device
        Device to run on.
    S : array of float32, shape (n, k)
        Scores.

    Returns
    -------
    array of float32, shape (k,)
        ``Σ_i |S_ij|``.
    """
    xp, (n, k) = device.xp, S.shape
    slabs = -(-n // BLOCK)
    sums = xp.empty((slabs, k), dtype=xp.float32)
    result = xp.empty(k, dtype=xp.float32)
    grid = (-(-k // WARP), slabs)
    args = (S, np.int32(n), np.int32(k), sums)
    device.launch(kernel("saliency.cu", "slab_sums"), grid, BLOCK, args)
    add = kernel("saliency.cu", "add_slabs")
    device.launch(add, -(-k // BLOCK), BLOCK, (sums, np.int32(slabs), np.int32(k), result))
    return result


def cosine_sum(device: Device, x: DeviceArray, y: DeviceArray) -> DeviceArray:
    """Launch ``token_cosines``, and ``sum_rows`` over its rows.

    Parameters
    ----------
    device : Device
        Device to run on.
    x, y : array of float32, shape (n, k)
        Vectors, one per row.

    Returns
    -------
    array of float32, shape ()
        Sum of the cosines of all pairs of rows.
    """
    xp, (n, k) = device.xp, x.shape
    cosines, total = xp.empty(n, dtype=xp.float32), xp.empty(1, dtype=xp.float32)
    args = (x, y, np.int32(n), np.int32(k), cosines)
    over_rows(device, kernel("cosine.cu", "token_cosines"), n, args)
    device.launch(kernel("reduce.cu", "sum_rows"), 1, BLOCK, (cosines, np.int32(n), total))
    return total[0]


def rank(
    device: Device, values: DeviceArray, alive: DeviceArray, count: int
) -> tuple[DeviceArray, DeviceArray]:
    """Launch ``rank_columns``.

    Parameters
    ----------
    device : Device
        Device to run on.
    values : array of float32, shape (k,)
        Column scores.
    alive : array of bool, shape (k,)
        Columns that take part.
    count : int
        Number of those columns.

    Returns
    -------
    place : array of int32, shape (k,)
        Rank of each column, -1 for those that take no part.
    ranking : array of int32, shape (count,)
        Columns in decreasing order of their score.
    """
    xp, k = device.xp, len(values)
    place = xp.empty(k, dtype=xp.int32)
    ranking = xp.empty(count, dtype=xp.int32)
    args = (values, alive.view(xp.uint8), np.int32(k), place, ranking)
    device.launch(kernel("rank.cu", "rank_columns"), -(-k // BLOCK), BLOCK, args)
    return place, ranking


def pack(device: Device, group: DeviceArray, signs: DeviceArray, bits: int) -> DeviceArray:
    """Launch ``pack_block``.

    Parameters
    ----------
    device : Device
        Device to run on.
    group : array of uint8, shape (n, k)
        Number of each entry's group.
    signs : array of int8, shape (orders, n, k)
        Sign planes.
    bits : int
        Binary digits of the largest number.

    Returns
    -------
    array of uint32, shape (bits + 2 orders, n, ceil(k / 32))
        The digits, the lowest first; then where each plane is +1 and where it is -1, one bit
        per entry.
    """
    xp, (orders, n, k) = device.xp, signs.shape
    words = xp.empty((bits + 2 * orders, n, -(-k // WARP)), dtype=xp.uint32)
    which = kernel("pack.cu", "pack_block", ORDERS=orders)
    blocks = -(-n * words.shape[2] // ROWS)
    args = (group, signs, np.int32(n), np.int32(k), np.int32(bits), words)
    device.launch(which, blocks, BLOCK, args)
    return words
