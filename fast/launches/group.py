"""Records of single groups
========================

Conversion of a single group's record to groups of the device, and back.
"""

from dataclasses import replace

import numpy as np

from subbit.fast.device import Device
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.notation import AnyArray, Array

from .arrays import DeviceArray, matrix, to_host
from .state import Groups


def recorded(made: Groups, name: str, mask: AnyArray, *, mean: bool, columns: bool) -> BinaryGroup:
    """Bring a single group to the host.

    Parameters
    ----------
    made : Groups
        The groups.
    name : str
        Name of the group.
    mask : ndarray of bool, shape (n, k)
        Its entries.
    mean, columns : bool
        Whether the group has means and column scales.

    Returns
    -------
    BinaryGroup
        The record.

    Raises
    ------
    ArgumentError
        If the computation left the range of float32.
    """
    signs = to_host(made.signs)
    scales = numbers(made.scale)
    along = numbers(made.columns) if columns else [None] * len(signs)
    planes = tuple(
        Plane(np.where(mask, s, np.int8(0)), r, c)
        for s, r, c in zip(signs, scales, along, strict=True)
    )
    return BinaryGroup(name, mask, planes, numbers(made.mean[0]) if mean else None)


def numbers(x: DeviceArray) -> Array:
    """Return numbers of the device as float64 on the host.

    Parameters
    ----------
    x : array of float32
        Means, scales or sums.

    Returns
    -------
    ndarray of float64
        The same numbers.

    Raises
    ------
    ArgumentError
        If the computation left the range of float32.
    """
    values: Array = to_host(x).astype(np.float64)
    if not np.isfinite(values).all():
        raise ArgumentError("W", "weights whose image float32 can hold", "larger ones")
    return values


def uploaded(device: Device, group: BinaryGroup) -> tuple[DeviceArray, Groups]:
    """Bring the state of a refinement to the device.

    Parameters
    ----------
    device : Device
        Device to place it on.
    group : BinaryGroup
        The state, of one or two planes.

    Returns
    -------
    entries : array of uint8, shape (n, k)
        1 for the entries of the group.
    made : Groups
        The state.

    Raises
    ------
    ArgumentError
        If a number is beyond the range of float32.
    """
    return device.xp.asarray(group.mask).view(device.xp.uint8), state_of(device, "group", group)


def state_of(device: Device, argument: str, group: BinaryGroup) -> Groups:
    """Bring levels and signs of a group to the device.

    Parameters
    ----------
    device : Device
        Device to place them on.
    argument : str
        Name to put in the error.
    group : BinaryGroup
        The group.

    Returns
    -------
    Groups
        The group alone.

    Raises
    ------
    ArgumentError
        If a number is beyond the range of float32.
    """
    xp, (n, k) = device.xp, group.mask.shape
    made = Groups.blank(device, (n, k), (len(group.planes),))
    for p, plane in enumerate(group.planes):
        made.signs[p] = xp.asarray(plane.sign)
        made.scale[p] = matrix(device, argument, plane.row_scale, shape=(n,))
        if plane.column_scale is not None:
            made.columns[p] = matrix(device, argument, plane.column_scale, shape=(k,))
    if group.mean is not None:
        made.mean[0] = matrix(device, argument, group.mean, shape=(n,))
    return made


def with_scales(group: BinaryGroup, scales: Array, columns: Array | None = None) -> BinaryGroup:
    """Return a group with other scales.

    Parameters
    ----------
    group : BinaryGroup
        The group.
    scales : ndarray of float64, shape (order, n)
        Row scales.
    columns : ndarray of float64, shape (order, k), optional
        Column scales.

    Returns
    -------
    BinaryGroup
        The same signs and mean.
    """
    planes = tuple(
        replace(plane, row_scale=scale) for plane, scale in zip(group.planes, scales, strict=True)
    )
    if columns is not None:
        planes = tuple(
            replace(plane, column_scale=c) for plane, c in zip(planes, columns, strict=True)
        )
    return replace(group, planes=planes)


def with_signs(group: BinaryGroup, signs: AnyArray) -> BinaryGroup:
    """Return a group with other signs.

    Parameters
    ----------
    group : BinaryGroup
        The group.
    signs : ndarray of int8, shape (order, n, k)
        Signs of each plane.

    Returns
    -------
    BinaryGroup
        The same scales and mean; the signs are 0 outside the mask.
    """
    planes = tuple(
        replace(plane, sign=np.where(group.mask, sign, np.int8(0)))
        for plane, sign in zip(group.planes, signs, strict=True)
    )
    return replace(group, planes=planes)
