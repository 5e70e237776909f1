"""Binarization
============

:mod:`subbit.reference.groups.binarize` on a device: one warp per row, the row in
registers. The kernels are ``rows.cu`` and ``binarize.cu``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import rows
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.rows import launch_binarize
from subbit.fast.launches.state import Groups
from subbit.fast.mirror import mirrors
from subbit.reference.contracts.door import ALL
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.notation import SignOfZero


@mirrors(reference.masked_mean)
def masked_mean(device: Device, W: DeviceArray, mask: DeviceArray = ALL) -> DeviceArray:
    """Compute the mean of each row over the entries of a group."""
    return rows.row_mean(device, W, mask)


@mirrors(reference.masked_scale)
def masked_scale(
    device: Device, W: DeviceArray, mask: DeviceArray = ALL, mean: DeviceArray | None = None
) -> DeviceArray:
    """Compute the mean distance of each row's entries from their mean."""
    if mean is None:
        mean = device.xp.zeros(len(W), dtype=device.xp.float32)
    return rows.row_scale(device, W, mask, mean)


@mirrors(reference.binarize_once)
def binarize_once(
    device: Device, R: DeviceArray, mask: DeviceArray, *, center: bool, sign_zero: SignOfZero
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Compute one order of binarization: mean, scale and signs of a remainder."""
    made = Groups.blank(device, R.shape, (1,))
    launch_binarize(made, R, mask.view(device.xp.uint8), center=center, sign_zero=sign_zero)
    return made.mean[0], made.scale[0], made.signs[0]


@mirrors(reference.residual_binarize)
def residual_binarize(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray = ALL,
    *,
    order: int = 1,
    center: bool = False,
    sign_zero: SignOfZero = 1,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group of weights, then the remainder, `order` times in all."""
    made = Groups.blank(device, W.shape, (order,))
    launch_binarize(made, W, mask.view(device.xp.uint8), center=center, sign_zero=sign_zero)
    signs, scale, mean = to_host(made.signs), _float64(made.scale), _float64(made.mean[0])
    planes = tuple(Plane(signs[p], scale[p]) for p in range(order))
    return BinaryGroup(name, to_host(mask), planes, mean if center else None)


def _float64(x: DeviceArray) -> DeviceArray:
    return to_host(x).astype("float64")
