"""Assigning a block's entries
===========================

The launch of ``assign.cu`` on groups that are fitted. Nothing is checked and nothing waits.
"""

from itertools import accumulate

import numpy as np

from .arrays import DeviceArray
from .kernels import held, kernel, over_rows
from .state import Groups


def launch_assignment(
    made: Groups,
    W: DeviceArray,
    U: DeviceArray,
    group: DeviceArray,
    *,
    scaled: bool,
    free: DeviceArray | None = None,
) -> None:
    """Launch ``assign_columns``, which overwrites signs and image of all groups.

    Parameters
    ----------
    made : Groups
        The groups.
    W : array of float32, shape (n, k)
        Weights, which stay as they are.
    U : array of float32, shape (k, k)
        The block's diagonal block of the inverse factor, contiguous.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1; others than those of `made` are in no group.
    scaled : bool
        Whether planes have column scales.
    free : array of bool, shape (n, k), optional
        The weights that feedback may move; all by default.
    """
    device, xp, (n, k) = made.device, made.device.xp, W.shape
    first = xp.asarray(np.array([0, *accumulate(made.orders)], dtype=np.int32))
    movable = group if free is None else xp.ascontiguousarray(free).view(xp.uint8)
    flags = (np.int32(scaled), np.int32(free is not None))
    numbers = (np.int32(n), np.int32(k), np.int32(len(made.orders)), *flags)
    levels = (made.mean, made.scale, made.columns)
    args = (W.copy(), U, group, movable, first, *levels, *numbers, made.signs, made.image)
    over_rows(device, kernel("assign.cu", "assign_columns", HELD=held(k)), n, args)
