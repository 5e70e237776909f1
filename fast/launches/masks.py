"""Kernels that score and prune
============================

One function for each kernel. Arrays of the device in, arrays of the device out; nothing
is checked, except by :func:`check_pattern`, and nothing waits. Each kernel is described at the
head of its file.
"""

import numpy as np

from subbit.fast.device import Device
from subbit.reference.errors import ArgumentError
from subbit.reference.pruning.sparsity import Standardize, Tail

from .arrays import DeviceArray
from .kernels import BLOCK, SORTED, WARP, held, kernel, over_rows


def scaled_magnitude(device: Device, W: DeviceArray, factor: DeviceArray) -> DeviceArray:
    """Launch ``scaled_magnitude``.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights.
    factor : array of float32, shape (k,)
        ``f``.

    Returns
    -------
    array of float32, shape (n, k)
        ``|w| f``.
    """
    n, k = W.shape
    S = device.xp.empty_like(W)
    args = (W, factor, np.int32(n), np.int32(k), S)
    over_rows(device, kernel("saliency.cu", "scaled_magnitude"), n, args)
    return S


def importance(
    device: Device,
    W: DeviceArray,
    columns: DeviceArray,
    factor: DeviceArray,
    standardize: Standardize,
) -> DeviceArray:
    """Launch ``relative_importance``.

    Parameters
    ----------
    device : Device
        Device to run on.
    W : array of float32, shape (n, k)
        Weights.
    columns : array of float32, shape (k,)
        ``Σ_i |W_ij|``.
    factor : array of float32, shape (k,)
        Powers of the norms.
    standardize : {"none", "before", "after"}
        Whether the shares of a row are standardized, or their products with `factor`.

    Returns
    -------
    array of float32, shape (n, k)
        Scores.
    """
    n, k = W.shape
    S = device.xp.empty_like(W)
    which = kernel("importance.cu", "relative_importance", HELD=held(k))
    switch = np.int32(("none", "before", "after").index(standardize))
    over_rows(device, which, n, (W, columns, factor, np.int32(n), np.int32(k), switch, S))
    return S


def nm_mask(device: Device, S: DeviceArray, keep: int, group: int) -> DeviceArray:
    """Launch ``nm_mask``, or ``nm_mask_any`` for groups that are not sorted in registers.

    Parameters
    ----------
    device : Device
        Device to run on.
    S : array of float32, shape (n, m)
        Scores.
    keep, group : int
        N and M.

    Returns
    -------
    array of bool, shape (n, m)
        Kept entries; the last columns are kept if they fill no group.
    """
    xp, (n, m) = device.xp, S.shape
    mask = xp.ones((n, m), dtype=bool)
    in_row, rest = divmod(m, group)
    if group not in SORTED:
        numbers = (np.int32(x) for x in (n, m, group, keep))
        args = (S, *numbers, mask.view(xp.uint8))
        over_rows(device, kernel("nm_mask_any.cu", "nm_mask_any"), n, args)
    elif in_row:
        numbers = (np.int32(x) for x in (in_row, rest, keep))
        args = (S, np.int64(n * in_row), *numbers, mask.view(xp.uint8))
        which = kernel("nm_mask.cu", "nm_mask", GROUP=group)
        device.launch(which, -(-n * in_row // BLOCK), BLOCK, args)
    return mask


def step_masks(device: Device, S: DeviceArray, most: int, keep: int, group: int) -> DeviceArray:
    """Launch ``step_masks``, or ``nm_mask`` for groups that are not sorted in registers.

    Parameters
    ----------
    device : Device
        Device to run on.
    S : array of float32, shape (n, k)
        Scores.
    most, keep : int
        Entries of a group that the first and the last step keep.
    group : int
        M.

    Returns
    -------
    array of uint32, shape (most - keep + 1, n, ceil(k / 32))
        One bit per entry that is kept, as :func:`words_of` returns them.
    """
    xp, (n, k) = device.xp, S.shape
    steps, width = most - keep + 1, -(-k // WARP)
    if steps < 1 or group not in SORTED:
        masks = [nm_mask(device, S, left, group) for left in range(most, keep - 1, -1)]
        return words_of(device, xp.stack(masks) if masks else xp.empty((0, n, k), dtype=bool))
    words = xp.empty((steps, n, width), dtype=xp.uint32)
    args = (S, *(np.int32(x) for x in (n, k, most, keep)), words)
    which = kernel("step_masks.cu", "step_masks", GROUP=group)
    device.launch(which, -(-n * width * WARP // (group * BLOCK)), BLOCK, args)
    return words


def words_of(device: Device, masks: DeviceArray) -> DeviceArray:
    """Return masks as bit words.

    Parameters
    ----------
    device : Device
        Device that holds them.
    masks : array of bool, shape (t, n, k)
        Masks.

    Returns
    -------
    array of uint32, shape (t, n, ceil(k / 32))
        Column ``32 u + j`` is bit j of word u, the lowest first; the rest is zero.
    """
    xp, (t, n, k) = device.xp, masks.shape
    width = -(-k // WARP)
    wide = xp.zeros((t, n, width * WARP), dtype=xp.uint8)
    wide[:, :, :k] = masks
    return xp.packbits(wide.ravel(), bitorder="little").view(xp.uint32).reshape(t, n, width)


def masks_of(device: Device, words: DeviceArray, k: int) -> DeviceArray:
    """Return bit words as masks, the inverse of :func:`words_of`.

    Parameters
    ----------
    device : Device
        Device that holds them.
    words : array of uint32, shape (..., ceil(k / 32))
        Bit words.
    k : int
        Columns.

    Returns
    -------
    array of bool, shape (..., k)
        The masks.
    """
    xp = device.xp
    bits = words[..., None] >> xp.arange(WARP, dtype=xp.uint32) & xp.uint32(1)
    flat = bits.reshape(*words.shape[:-1], words.shape[-1] * WARP)[..., :k]
    return xp.ascontiguousarray(flat.astype(bool))


def check_pattern(width: int, keep: int, group: int, tail: Tail) -> tuple[int, int]:
    """Check the numbers of N:M masks against the reference's rules.

    Parameters
    ----------
    width : int
        Columns.
    keep, group : int
        N and M.
    tail : {"error", "dense"}
        Treatment of last columns that fill no group.

    Returns
    -------
    keep, group : int
        The same numbers.

    Raises
    ------
    ArgumentError
        If M does not divide the width and `tail` is "error".
    """
    if width % group and tail == "error":
        raise ArgumentError("group", f"a divisor of the width {width}", group)
    return keep, group
