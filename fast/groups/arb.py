"""Alternating refined binarization
================================

:mod:`subbit.reference.groups.arb` on a device: one warp for each row, which holds its entries
through all rounds. A half step is a launch of the same kernel, and gives the same bits.
The kernels are ``arb.cu`` and ``arb_signs.cu``.
"""

from dataclasses import replace

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arb import MEAN, SIGNS, START, scale_step
from subbit.fast.launches.arrays import DeviceArray, mask, matrix, to_host
from subbit.fast.launches.group import Refined, numbers, uploaded, with_scales, with_signs
from subbit.fast.launches.kernels import kernel, over_rows
from subbit.fast.mirror import mirrors
from subbit.reference.checks import checked_order, checked_plane
from subbit.reference.errors import ArgumentError, check_config
from subbit.reference.groups.refinement import REFINEMENT, Refinement, Steps
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import SignOfZero

from .joint_levels import solve_levels


@mirrors(reference.arb_start)
def arb_start(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Initial values of a refinement: the plain binarization."""
    weights, entries, made = _new(device, W, mask, order, config)
    codes = entries.view(device.xp.uint8)
    made.arb_steps(weights, codes, steps=START, rounds=0, config=config)
    return made.record(name, to_host(entries), mean=True, columns=False)


def _new(
    device: Device, W: DeviceArray, entries: DeviceArray | None, order: int, config: Refinement
) -> tuple[DeviceArray, DeviceArray, Refined]:
    checked_order(order)
    check_config(config, Refinement)
    weights = matrix(device, "W", W)
    own = mask(device, "mask", entries, weights.shape)
    return weights, own, Refined(device, weights.shape, (order,))


@mirrors(reference.refine_mean)
def refine_mean(device: Device, W: DeviceArray, group: BinaryGroup) -> BinaryGroup:
    """Move the mean by the mean of what is left."""
    weights, entries, made = uploaded(device, W, group)
    made.arb_steps(weights, entries, steps=MEAN, config=REFINEMENT)
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
    """Fit the scale of one sign plane to what the others leave."""
    weights, entries, made = uploaded(device, W, group)
    number = checked_plane(group, plane)
    config = Refinement(eps=eps, eps_kind=eps_kind)
    made.arb_steps(weights, entries, steps=scale_step(number), config=config)
    return with_scales(group, numbers(made.scale))


@mirrors(reference.joint_signs)
def joint_signs(
    device: Device, Z: DeviceArray, u: DeviceArray, v: DeviceArray
) -> tuple[DeviceArray, DeviceArray]:
    """Choose two signs at once: the nearest of the four levels that two scales make."""
    xp = device.xp
    values = matrix(device, "Z", Z)
    n, k = values.shape
    scales = [matrix(device, name, x, shape=(n, None)) for name, x in (("u", u), ("v", v))]
    for name, x in zip("uv", scales, strict=True):
        if x.shape[1] not in {1, k}:
            raise ArgumentError(name, f"1 or {k} columns", x.shape[1])
    wide = sum((x.shape[1] > 1) << bit for bit, x in enumerate(scales))
    signs = xp.empty((2, n, k), dtype=xp.int8)
    args = (values, *scales, np.int32(n), np.int32(k), np.int32(wide), signs)
    over_rows(device, kernel("arb_signs.cu", "nearest_signs"), n, args)
    return signs[0], signs[1]


@mirrors(reference.refine_signs)
def refine_signs(
    device: Device, W: DeviceArray, group: BinaryGroup, *, sign_zero: SignOfZero = 1
) -> BinaryGroup:
    """Give every entry the signs of the level nearest to it."""
    weights, entries, made = uploaded(device, W, group)
    config = Refinement(sign_zero=sign_zero)
    made.arb_steps(weights, entries, steps=SIGNS, config=config)
    return with_signs(group, to_host(made.signs))


@mirrors(reference.arb_steps)
def arb_steps(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> Steps:
    """Yield every half step of ARB, each as a record of the host."""
    weights = matrix(device, "W", W)
    group = arb_start(device, weights, mask, order=order, config=config, name=name)
    yield "start", group
    eps, kind = config.eps, config.eps_kind
    for _ in range(config.iterations):
        if config.levels == "exact":
            group = solve_levels(device, weights, group)
            yield "levels", group
        else:
            group = refine_mean(device, weights, group)
            yield "mean", group
            for plane in range(order):
                group = refine_scale(device, weights, group, plane, eps=eps, eps_kind=kind)
                yield "scale", group
        group = refine_signs(device, weights, group, sign_zero=config.sign_zero)
        yield "signs", group


@mirrors(reference.arb)
def arb(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group and refine it on the weight error: all rounds in one launch."""
    weights, entries, made = _new(device, W, mask, order, config)
    made.arb(weights, entries.view(device.xp.uint8), config=config)
    return made.record(name, to_host(entries), mean=True, columns=False)
