"""Alternating refined binarization
================================

:mod:`subbit.reference.groups.arb` on a device: one warp per row, which holds its entries
through all rounds. A half step is a launch of the same kernel, and gives the same bits.
The kernels are ``arb.cu`` and ``arb_signs.cu``.
"""

from dataclasses import replace

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arb import MEAN, SIGNS, START, launch_arb, launch_arb_steps, scale_step
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.group import numbers, recorded, uploaded, with_scales, with_signs
from subbit.fast.launches.kernels import kernel, over_rows
from subbit.fast.launches.state import Groups
from subbit.fast.mirror import mirrors
from subbit.reference.contracts.door import ALL
from subbit.reference.groups.refinement import REFINEMENT, Refinement, Steps
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import SignOfZero

from .joint_levels import solve_levels


@mirrors(reference.arb_start)
def arb_start(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Compute the initial values of a refinement: the plain binarization."""
    made = Groups.blank(device, W.shape, (order,))
    launch_arb_steps(made, W, mask.view(device.xp.uint8), steps=START, rounds=0, config=config)
    return recorded(made, name, to_host(mask), mean=True, columns=False)


@mirrors(reference.refine_mean)
def refine_mean(device: Device, W: DeviceArray, group: BinaryGroup) -> BinaryGroup:
    """Move the mean by the mean of the residual."""
    entries, made = uploaded(device, group)
    launch_arb_steps(made, W, entries, steps=MEAN, config=REFINEMENT)
    return replace(group, mean=numbers(made.mean[0]))


@mirrors(reference.refine_scale)
def refine_scale(
    device: Device,
    W: DeviceArray,
    group: BinaryGroup,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the scale of one sign plane to the residual of the mean and the other plane."""
    entries, made = uploaded(device, group)
    config = Refinement(eps=eps, eps_kind=eps_kind)
    launch_arb_steps(made, W, entries, steps=scale_step(plane), config=config)
    return with_scales(group, numbers(made.scale))


@mirrors(reference.joint_signs)
def joint_signs(
    device: Device, Z: DeviceArray, u: DeviceArray, v: DeviceArray
) -> tuple[DeviceArray, DeviceArray]:
    """Choose two signs at once: the nearest of the four levels that two scales form."""
    xp = device.xp
    n, k = Z.shape
    wide = sum((x.shape[1] > 1) << bit for bit, x in enumerate((u, v)))
    signs = xp.empty((2, n, k), dtype=xp.int8)
    args = (Z, u, v, np.int32(n), np.int32(k), np.int32(wide), signs)
    over_rows(device, kernel("arb_signs.cu", "nearest_signs"), n, args)
    return signs[0], signs[1]


@mirrors(reference.refine_signs)
def refine_signs(
    device: Device, W: DeviceArray, group: BinaryGroup, *, sign_zero: SignOfZero = 1
) -> BinaryGroup:
    """Give every entry the signs of its nearest level."""
    entries, made = uploaded(device, group)
    config = Refinement(sign_zero=sign_zero)
    launch_arb_steps(made, W, entries, steps=SIGNS, config=config)
    return with_signs(group, to_host(made.signs))


@mirrors(reference.arb_steps)
def arb_steps(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> Steps:
    """Yield every half step of ARB, as host records."""
    group = arb_start(device, W, mask, order=order, config=config, name=name)
    yield "start", group
    eps, kind = config.eps, config.eps_kind
    for _ in range(config.iterations):
        if config.levels == "exact":
            group = solve_levels(device, W, group)
            yield "levels", group
        else:
            group = refine_mean(device, W, group)
            yield "mean", group
            for plane in range(order):
                group = refine_scale(device, W, group, plane, eps=eps, eps_kind=kind)
                yield "scale", group
        group = refine_signs(device, W, group, sign_zero=config.sign_zero)
        yield "signs", group


@mirrors(reference.arb)
def arb(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group and refine it on the weight error."""
    made = Groups.blank(device, W.shape, (order,))
    launch_arb(made, W, mask.view(device.xp.uint8), config=config)
    return recorded(made, name, to_host(mask), mean=True, columns=False)
