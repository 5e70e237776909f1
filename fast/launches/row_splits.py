"""The kernel of row splits
========================

The function of ``row_split.cu``. Arrays of the device in, arrays of the device out. Nothing is
checked and nothing waits.
"""

from dataclasses import dataclass

import numpy as np

from subbit.fast.device import Device
from subbit.reference.groups.row_split import SplitScale

from .arrays import DeviceArray
from .kernels import held, kernel, over_rows
from .thresholds import row_quantiles


@dataclass(frozen=True)
class Halves:
    """Both sides of the rows of a matrix, the small one first.

    Parameters
    ----------
    mean, scale : array of float32, shape (2, n)
        Means and scales.
    group : array of uint8, shape (n, k)
        1 for small entries, 2 for large ones.
    signs : array of int8, shape (n, k)
        Signs.
    image : array of float32, shape (n, k)
        What they decode to.
    """

    mean: DeviceArray
    scale: DeviceArray
    group: DeviceArray
    signs: DeviceArray
    image: DeviceArray


def row_halves(
    device: Device,
    X: DeviceArray,
    *,
    levels: int,
    scale: SplitScale,
    share_mean: bool,
    sign_zero: int,
) -> Halves:
    """Launch ``row_split``.

    Parameters
    ----------
    device : Device
        Device to run on.
    X : array of float32, shape (n, k)
        Values.
    levels, scale, share_mean, sign_zero
        As in :func:`~subbit.reference.groups.row_split.row_split`.

    Returns
    -------
    Halves
        The sides.
    """
    xp, (n, k) = device.xp, X.shape
    # Rows are scaled by powers of two, so that squares of each stay within float32.
    power = xp.frexp(xp.max(xp.abs(X), axis=1))[1]
    values = xp.ascontiguousarray(xp.ldexp(X, -power[:, None]))
    cuts = row_quantiles(device, xp.sort(xp.abs(values), axis=1), levels)
    mean, of_sides = xp.empty((2, n), dtype=xp.float32), xp.empty((2, n), dtype=xp.float32)
    group, signs = xp.empty((n, k), dtype=xp.uint8), xp.empty((n, k), dtype=xp.int8)
    image = xp.empty((n, k), dtype=xp.float32)
    switches = (*map(np.int32, (levels, n, k, scale == "rms", share_mean)), np.float32(sign_zero))
    which = kernel("row_split.cu", "row_split", HELD=held(k))
    over_rows(device, which, n, (values, cuts, *switches, mean, of_sides, group, signs, image))
    back = xp.ldexp(image, power[:, None])
    return Halves(xp.ldexp(mean, power), xp.ldexp(of_sides, power), group, signs, back)
