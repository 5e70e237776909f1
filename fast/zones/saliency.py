"""Saliency
========

:mod:`subbit.reference.zones.saliency` on a device. The kernel is ``saliency.cu``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import linalg, rows
from subbit.fast.launches.arrays import DeviceArray
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
    return _scores(device, W, linalg.inverse_diagonal(device, "H", H), squared=True)


@mirrors(reference.trailing_saliency)
def trailing_saliency(device: Device, W: DeviceArray, U: DeviceArray) -> DeviceArray:
    """Score weights by the diagonal of the inverse Hessian's factor."""
    diagonal = device.xp.diagonal(U)
    least = float(diagonal.min())
    if least <= 0.0:
        raise ArgumentError("U", "a positive diagonal", f"a smallest entry of {least:g}")
    return _scores(device, W, diagonal, squared=True)


@mirrors(reference.obs_saliency)
def obs_saliency(device: Device, W: DeviceArray, H: DeviceArray) -> DeviceArray:
    """Score weights by the loss of zeroing one of them while all others can move."""
    return _scores(device, W, linalg.inverse_diagonal(device, "H", H), squared=False)


@mirrors(reference.magnitude_saliency)
def magnitude_saliency(device: Device, W: DeviceArray) -> DeviceArray:
    """Score weights by themselves."""
    return device.xp.array(W)
