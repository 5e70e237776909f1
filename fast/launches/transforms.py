"""Haar transform of arrays of a device
====================================

By the device's array library; nothing is checked and nothing waits.
"""

from subbit.fast.device import Device
from subbit.reference.haar import ROOT_HALF, Axis

from .arrays import DeviceArray


def paired(device: Device, X: DeviceArray, axis: Axis) -> DeviceArray:
    """Transform neighbors to their sums and differences.

    Parameters
    ----------
    device : Device
        Device that holds them.
    X : array of float32, shape (n, k)
        Values.
    axis : {"columns", "rows"}
        What is paired.

    Returns
    -------
    array of float32, shape (n, k)
        The low band, then the high band.
    """
    xp = device.xp
    if axis == "rows":
        return xp.ascontiguousarray(paired(device, X.T, "columns").T)
    half, whole = xp.float32(ROOT_HALF), X.shape[1] - X.shape[1] % 2
    even, odd = half * X[:, 0:whole:2], half * X[:, 1:whole:2]
    return xp.ascontiguousarray(xp.hstack([even + odd, X[:, whole:], even - odd]))


def unpaired(device: Device, C: DeviceArray, axis: Axis) -> DeviceArray:
    """Transform sums and differences back to neighbors.

    Parameters
    ----------
    device : Device
        Device that holds them.
    C : array of float32, shape (n, k)
        The low band, then the high band.
    axis : {"columns", "rows"}
        What is paired.

    Returns
    -------
    array of float32, shape (n, k)
        Values.
    """
    xp = device.xp
    if axis == "rows":
        return xp.ascontiguousarray(unpaired(device, C.T, "columns").T)
    k, half = C.shape[1], xp.float32(ROOT_HALF)
    pairs, whole = k // 2, k - k % 2
    low, high = half * C[:, :pairs], half * C[:, k - pairs :]
    X = xp.empty(C.shape, dtype=xp.float32)
    X[:, 0:whole:2], X[:, 1:whole:2] = low + high, low - high
    X[:, whole:] = C[:, pairs : k - pairs]
    return X
