"""ARB with calibration
====================

:mod:`subbit.reference.groups.arb_x` on a device: the products with the Gram matrix by its array
library, everything else in one launch of ``arb_x.cu``. Sums are float32 throughout, so the
switch of the mean's denominator changes nothing here.
"""

from dataclasses import replace

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arb_x import (
    gram,
    launch_calibrated_step,
    launch_calibrated_sums,
    launch_calibration,
)
from subbit.fast.launches.arrays import DeviceArray, scaled
from subbit.fast.launches.group import numbers, uploaded, with_scales
from subbit.fast.mirror import mirrors
from subbit.reference.groups.refinement import REFINEMENT, Precision, Refinement, Steps
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind

from .start import calibrated_start


@mirrors(reference.calibrated_sums)
def calibrated_sums(
    device: Device, target: DeviceArray, group: BinaryGroup, S: DeviceArray
) -> tuple[DeviceArray, DeviceArray]:
    """Compute everything that the calibrated error of a group's rows depends on."""
    entries, made = uploaded(device, group)
    of = gram(device, S)
    sums = launch_calibrated_sums(made, target, entries, S=of, whole=True)
    G, g = (scaled(device, x, of.power) for x in sums)
    return G, g


@mirrors(reference.calibrated_mean)
def calibrated_mean(
    device: Device,
    W: DeviceArray,
    group: BinaryGroup,
    S: DeviceArray,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
    precision: Precision = "float64",
) -> BinaryGroup:
    """Fit the mean to the calibrated error."""
    entries, made = uploaded(device, group)
    config = Refinement(calibrated_eps=eps, eps_kind=eps_kind, mean_denominator=precision)
    of = gram(device, S)
    launch_calibrated_step(made, W, entries, level=0, S=of, config=config)
    return replace(group, mean=numbers(made.mean[0]))


@mirrors(reference.calibrated_scale)
def calibrated_scale(
    device: Device,
    W: DeviceArray,
    group: BinaryGroup,
    S: DeviceArray,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the scale of one sign plane to the calibrated error."""
    entries, made = uploaded(device, group)
    level = plane + 1
    config = Refinement(calibrated_eps=eps, eps_kind=eps_kind)
    of = gram(device, S)
    launch_calibrated_step(made, W, entries, level=level, S=of, config=config)
    return with_scales(group, numbers(made.scale))


@mirrors(reference.calibrate_levels)
def calibrate_levels(
    device: Device,
    target: DeviceArray,
    group: BinaryGroup,
    S: DeviceArray,
    *,
    config: Refinement = REFINEMENT,
) -> BinaryGroup:
    """Refine mean and scales on the calibrated error, with scalar operations."""
    entries, made = uploaded(device, group)
    of = gram(device, S)
    launch_calibration(made, target, entries, S=of, config=config, whole=True)
    return replace(with_scales(group, numbers(made.scale)), mean=numbers(made.mean[0]))


@mirrors(reference.arb_x_steps)
def arb_x_steps(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray,
    S: DeviceArray,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> Steps:
    """Yield every half step of ARB-X on the calibrated error, as the equations read."""
    group = calibrated_start(device, W, mask, order=order, config=config, name=name)
    yield "start", group
    if config.levels == "exact":
        yield "levels", _calibrated(device, W, group, S, config)
        return
    eps, kind = config.calibrated_eps, config.eps_kind
    for _ in range(config.calibrated_iterations):
        group = calibrated_mean(device, W, group, S, eps=eps, eps_kind=kind)
        yield "mean", group
        for plane in range(order):
            group = calibrated_scale(device, W, group, S, plane, eps=eps, eps_kind=kind)
            yield "scale", group


def _calibrated(
    device: Device, W: DeviceArray, group: BinaryGroup, S: DeviceArray, config: Refinement
) -> BinaryGroup:
    own = device.xp.where(device.xp.asarray(group.mask), W, device.xp.float32(0))
    return calibrate_levels(device, own, group, S, config=config)


@mirrors(reference.arb_x)
def arb_x(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray,
    S: DeviceArray,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group and refine its levels on the calibrated error."""
    group = calibrated_start(device, W, mask, order=order, config=config, name=name)
    return _calibrated(device, W, group, S, config)
