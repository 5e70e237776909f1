"""Saliency
========

:mod:`subbit.reference.zones.saliency` on a device. The kernel is ``saliency.cu``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import linalg, rows
from subbit.fast.launches.arrays import DeviceArray, matrix
from subbit.fast.mirror import mirrors
from subbit.reference.errors import ArgumentError


def _scores(device: Device, W: DeviceArray, divisor: DeviceArray, *, squared: bool) -> DeviceArray:
    scores = rows.scores(device, W, device.xp.ascontiguousarray(divisor), squared=squared)
    if not bool(device.xp.isfinite(scores).all()):
        raise ArgumentError("W", "weights whose scores float32 can hold", "larger ones")
    return scores


@mirrors(reference.inverse_hessian_saliency)
def inverse_hessian_saliency(device: Device, W: DeviceArray, H: DeviceArray) -> DeviceArray:
    """Score weights by the squared diagonal of the inverse Hessian."""
    weights = matrix(device, "W", W)
    hessian = matrix(device, "H", H, shape=(weights.shape[1],) * 2)
    return _scores(device, weights, linalg.inverse_diagonal(device, "H", hessian), squared=True)


@mirrors(reference.trailing_saliency)
def trailing_saliency(device: Device, W: DeviceArray, U: DeviceArray) -> DeviceArray:
    """Score weights by the diagonal of the inverse Hessian's factor."""
    weights = matrix(device, "W", W)
    diagonal = device.xp.diagonal(matrix(device, "U", U, shape=(weights.shape[1],) * 2))
    least = float(diagonal.min())
    if least <= 0.0:
        raise ArgumentError("U", "a positive diagonal", f"a smallest entry of {least:g}")
    return _scores(device, weights, diagonal, squared=True)


@mirrors(reference.obs_saliency)
def obs_saliency(device: Device, W: DeviceArray, H: DeviceArray) -> DeviceArray:
    """Score weights by the loss of zeroing one of them while all others may move."""
    weights = matrix(device, "W", W)
    hessian = matrix(device, "H", H, shape=(weights.shape[1],) * 2)
    return _scores(device, weights, linalg.inverse_diagonal(device, "H", hessian), squared=False)


@mirrors(reference.magnitude_saliency)
def magnitude_saliency(device: Device, W: DeviceArray) -> DeviceArray:
    """Score weights by themselves."""
    return matrix(device, "W", W).copy()
