"""Levels beyond the alternation
=============================

:mod:`subbit.reference.groups.joint_levels` on a device. Joint levels are a step of ``arb.cu``; the
exact clusters come from the array library's sort and running sums, with each row's
power of two taken out before anything is squared.
"""

from dataclasses import replace

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import rows
from subbit.fast.launches.arb import LEVELS, launch_arb_steps
from subbit.fast.launches.arrays import DeviceArray, scaled, to_host
from subbit.fast.launches.group import numbers, uploaded, with_scales
from subbit.fast.mirror import mirrors
from subbit.reference.contracts.door import ALL
from subbit.reference.groups.refinement import REFINEMENT
from subbit.reference.layer import BinaryGroup, Plane


@mirrors(reference.solve_levels)
def solve_levels(device: Device, W: DeviceArray, group: BinaryGroup) -> BinaryGroup:
    """Fit mean and scales at once, for fixed signs."""
    entries, made = uploaded(device, group)
    launch_arb_steps(made, W, entries, steps=LEVELS, config=REFINEMENT)
    return replace(with_scales(group, numbers(made.scale)), mean=numbers(made.mean[0]))


@mirrors(reference.two_means)
def two_means(
    device: Device, W: DeviceArray, mask: DeviceArray = ALL, *, name: str = "all"
) -> BinaryGroup:
    """Find the best first-order binarization of each row, exactly."""
    xp = device.xp
    above = _best_cuts(device, W, mask)[:, None] < W
    low = numbers(rows.row_mean(device, W, xp.ascontiguousarray(mask & ~above)))
    high = numbers(rows.row_mean(device, W, xp.ascontiguousarray(mask & above)))
    one = ~to_host(xp.any(mask & above, axis=1))
    # Eq. (24), subbit:  μ = (m₋ + m₊) / 2,  α = (m₊ − m₋) / 2
    mean = np.where(one, low, low + (high - low) / 2)
    scale = np.where(one, 0.0, (high - low) / 2)
    signs = xp.where(mask, xp.where(above, 1, -1), 0).astype(xp.int8)
    return BinaryGroup(name, to_host(mask), (Plane(to_host(signs), scale),), mean)


def _best_cuts(device: Device, W: DeviceArray, M: DeviceArray) -> DeviceArray:
    # The largest entry of the lower cluster in each row; the row's largest if it has one value.
    xp, infinite = device.xp, device.xp.float32(np.inf)
    ordered = xp.sort(xp.where(M, W, infinite), axis=1)
    if W.shape[1] == 1:
        return ordered[:, 0]
    mean = rows.row_mean(device, W, M)
    rest = xp.where(xp.isfinite(ordered), ordered - mean[:, None], xp.float32(0))
    power = xp.frexp(xp.max(xp.abs(rest), axis=1, keepdims=True))[1]
    sums = xp.cumsum(scaled(device, rest, -power), axis=1, dtype=xp.float32)[:, :-1]
    c = xp.sum(M, axis=1)[:, None].astype(xp.float32)
    j = xp.arange(1, W.shape[1], dtype=xp.float32)
    between = (j < c) & (ordered[:, :-1] < ordered[:, 1:])
    # Eq. (23), subbit:  ‖W − μ‖² − error_j = c C_j² / (j (c − j)),  C_j = Σ_{i≤j} (w_i − μ)
    gain = xp.where(between, sums**2 * c / xp.where(between, j * (c - j), 1), xp.float32(-1))
    best = xp.argmax(gain, axis=1)
    cut = xp.take_along_axis(ordered, best[:, None], axis=1)[:, 0]
    return xp.where(xp.any(between, axis=1), cut, infinite)
