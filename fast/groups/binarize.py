"""Binarization
============

:mod:`subbit.reference.groups.binarize` on a device: one warp for each row, the row in
registers. The kernels are ``rows.cu`` and ``binarize.cu``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import rows
from subbit.fast.launches.arrays import DeviceArray, mask, matrix, to_host
from subbit.fast.mirror import mirrors
from subbit.reference.errors import check_choice, check_count
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.notation import SignOfZero


@mirrors(reference.masked_mean)
def masked_mean(device: Device, W: DeviceArray, mask: DeviceArray | None = None) -> DeviceArray:
    """Mean of each row over the entries of a group."""
    weights = matrix(device, "W", W)
    return rows.row_mean(device, weights, _entries(device, mask, weights))


@mirrors(reference.masked_scale)
def masked_scale(
    device: Device, W: DeviceArray, mask: DeviceArray | None = None, mean: DeviceArray | None = None
) -> DeviceArray:
    """Mean distance of each row's entries from their mean."""
    weights = matrix(device, "W", W)
    entries = _entries(device, mask, weights)
    shape = weights.shape[:1]
    center = device.xp.zeros(shape, dtype=device.xp.float32)
    if mean is not None:
        center = matrix(device, "mean", mean, shape=shape)
    return rows.row_scale(device, weights, entries, center)


def _entries(device: Device, value: DeviceArray, weights: DeviceArray) -> DeviceArray:
    return mask(device, "mask", value, weights.shape)


@mirrors(reference.binarize_once)
def binarize_once(
    device: Device, R: DeviceArray, mask: DeviceArray, *, center: bool, sign_zero: SignOfZero
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """One order of binarization: mean, scale and signs of a remainder."""
    rest = matrix(device, "R", R)
    made = rows.Binarized(device, rest.shape, (1,))
    entries = _entries(device, mask, rest).view(device.xp.uint8)
    made.binarize(rest, entries, center=center, sign_zero=sign_zero)
    return made.mean[0], made.scale[0], made.signs[0]


@mirrors(reference.residual_binarize)
def residual_binarize(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray | None = None,
    *,
    order: int = 1,
    center: bool = False,
    sign_zero: SignOfZero = 1,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group of weights, then what remains, `order` times in all."""
    weights = matrix(device, "W", W)
    entries = _entries(device, mask, weights)
    check_count("order", order)
    check_choice("sign_zero", sign_zero, (0, 1))
    made = rows.Binarized(device, weights.shape, (order,))
    made.binarize(weights, entries.view(device.xp.uint8), center=center, sign_zero=sign_zero)
    signs, scale, mean = to_host(made.signs), _float64(made.scale), _float64(made.mean[0])
    planes = tuple(Plane(signs[p], scale[p]) for p in range(order))
    return BinaryGroup(name, to_host(entries), planes, mean if center else None)


def _float64(x: DeviceArray) -> DeviceArray:
    return to_host(x).astype("float64")
