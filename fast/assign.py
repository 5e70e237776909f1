"""Assigning entries column by column
==================================

:mod:`subbit.reference.assign` on a device: one launch of ``assign.cu``.
"""

from dataclasses import replace
from typing import cast

import numpy as np

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.assign import launch_assignment
from subbit.fast.launches.group import numbers, state_of, with_signs
from subbit.fast.launches.state import Groups
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import BinaryGroup, QuantizedBlock

from .device import Device
from .mirror import mirrors


def _uploaded(device: Device, groups: tuple[BinaryGroup, ...]) -> tuple[DeviceArray, Groups]:
    """Return the number of each entry's group, and all groups with column scales."""
    xp, (n, k) = device.xp, groups[0].mask.shape
    place = np.zeros((n, k), dtype=np.uint8)
    states = [state_of(device, "block", group) for group in groups]
    for number, (group, state) in enumerate(zip(groups, states, strict=True), 1):
        place[group.mask] = number
        for p, plane in enumerate(group.planes):
            if plane.column_scale is None:
                state.columns[p] = xp.float32(1)
    orders = tuple(len(group.planes) for group in groups)
    mean, scale, columns = (
        xp.concatenate([getattr(state, name) for state in states])
        for name in ("mean", "scale", "columns")
    )
    blank = Groups.blank(device, (n, k), orders)
    return xp.asarray(place), replace(blank, mean=mean, scale=scale, columns=columns)


@mirrors(reference.assign_columns)
def assign_columns(
    device: Device,
    W: DeviceArray,
    U: DeviceArray,
    block: QuantizedBlock,
    *,
    free: DeviceArray | None = None,
) -> QuantizedBlock:
    """Assign the entries of a fitted block column by column, with feedback inside it."""
    if not bool(device.xp.diagonal(U).all()):
        raise ArgumentError("U", "a diagonal without zeros in float32", "one with zeros")
    groups = cast("tuple[BinaryGroup, ...]", block.groups)
    group, made = _uploaded(device, groups)
    launch_assignment(made, W, U, group, scaled=True, free=free)
    numbers(made.image)
    signs = to_host(made.signs)
    assigned = (with_signs(own, signs[: len(own.planes)]) for own in groups)
    return replace(block, groups=tuple(assigned))
