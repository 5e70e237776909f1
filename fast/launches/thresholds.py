"""Thresholds from a device's numbers
==================================

Candidate magnitudes for the bell split, from quantities that the host need not know.
"""

import numpy as np

from subbit.fast.device import Device
from subbit.reference.groups.quantiles import quantile_places

from .arrays import DeviceArray


def shares(device: Device, largest: DeviceArray, levels: int = 9) -> DeviceArray:
    """Return shares of a number from 0.1 to 0.9.

    Parameters
    ----------
    device : Device
        Device that holds it.
    largest : array of float32, shape ()
        The number.
    levels : int, default 9
        Number of shares.

    Returns
    -------
    array of float32, shape (levels,)
        By default 0.1, 0.2, … 0.9 times the number.
    """
    xp = device.xp
    return xp.linspace(1, 9, levels).astype(xp.float32) * largest / xp.float32(10)


def quantiles(
    device: Device, ordered: DeviceArray, size: DeviceArray | int, levels: int = 81
) -> DeviceArray:
    """Return quantiles from 0.10 to 0.90, linearly interpolated.

    Parameters
    ----------
    device : Device
        Device that holds the sample.
    ordered : array of float32, shape (c,)
        The sample in increasing order, possibly followed by other entries.
    size : int or array of int, shape ()
        Entries of the sample; the device alone may know the number.
    levels : int, default 81
        Number of quantiles.

    Returns
    -------
    array of float32, shape (levels,)
        The quantiles; zeros where the sample is empty.
    """
    xp = device.xp
    size = xp.asarray(size)
    position = xp.linspace(0.1, 0.9, levels) * (size - 1)
    low = xp.clip(xp.floor(position).astype(xp.int64), 0, len(ordered) - 1)
    high = xp.clip(xp.minimum(low + 1, size - 1), 0, len(ordered) - 1)
    a, b = (xp.where(size > 0, ordered[i], 0.0).astype(xp.float64) for i in (low, high))
    return _between(device, a, b, position - low)


def _between(device: Device, a: DeviceArray, b: DeviceArray, t: DeviceArray) -> DeviceArray:
    xp = device.xp
    return xp.where(t < 0.5, a + (b - a) * t, b - (b - a) * (1 - t)).astype(xp.float32)


def row_quantiles(device: Device, ordered: DeviceArray, levels: int) -> DeviceArray:
    """Return quantiles of each row from 0.10 to 0.90, linearly interpolated.

    Parameters
    ----------
    device : Device
        Device that holds the rows.
    ordered : array of float32, shape (n, k)
        Rows in increasing order.
    levels : int
        Number of quantiles.

    Returns
    -------
    array of float32, shape (n, levels)
        The quantiles.
    """
    xp, k = device.xp, ordered.shape[1]
    low, share = quantile_places(k, levels)
    ends = low, np.minimum(low + 1, k - 1)
    a, b = (ordered[:, xp.asarray(i)].astype(xp.float64) for i in ends)
    return xp.ascontiguousarray(_between(device, a, b, xp.asarray(share)))
