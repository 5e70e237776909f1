"""Thresholds from a device's numbers
==================================

Candidate magnitudes for the bell split, from quantities that the host need not know.
"""

from subbit.fast.device import Device

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
    t = position - low
    nearer_low = t < 0.5
    cuts = xp.where(nearer_low, a + (b - a) * t, b - (b - a) * (1 - t))
    return cuts.astype(xp.float32)
