"""Objectives
==========

:mod:`subbit.reference.objective` on a device, in float32. Differences and matrices are
scaled by powers of two before they are squared, so no square leaves the range.
"""

import math

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray, exponent, scaled
from subbit.reference.errors import ArgumentError

from .device import Device
from .mirror import mirrors


def _unit(device: Device, x: DeviceArray) -> tuple[DeviceArray, int]:
    power = exponent(device, x)
    return scaled(device, x, -power), int(power)


def _energy(device: Device, x: DeviceArray) -> float:
    values, power = _unit(device, x)
    return math.ldexp(float(device.xp.sum(values**2)), 2 * power)


def _quadratic(device: Device, D: DeviceArray, S: DeviceArray) -> float:
    values, power = _unit(device, D)
    gram, gram_power = _unit(device, S)
    return math.ldexp(float(device.xp.sum((values @ gram) * values)), 2 * power + gram_power)


@mirrors(reference.weight_error)
def weight_error(device: Device, W: DeviceArray, Q: DeviceArray) -> float:
    """Compute the squared Frobenius norm of the weight error."""
    return _energy(device, W - Q)


@mirrors(reference.calibrated_error)
def calibrated_error(device: Device, W: DeviceArray, Q: DeviceArray, X: DeviceArray) -> float:
    """Compute the squared output error on calibration inputs, from the inputs."""
    D, power = _unit(device, W - Q)
    inputs, input_power = _unit(device, X)
    return math.ldexp(_energy(device, D @ inputs.T), 2 * (power + input_power))


@mirrors(reference.calibrated_error_trace)
def calibrated_error_trace(device: Device, W: DeviceArray, Q: DeviceArray, S: DeviceArray) -> float:
    """Compute the squared output error on calibration inputs, from their Gram matrix."""
    return _quadratic(device, W - Q, S)


@mirrors(reference.relative_error)
def relative_error(device: Device, W: DeviceArray, Q: DeviceArray, S: DeviceArray) -> float:
    """Compute the output error relative to the energy of the outputs."""
    error = calibrated_error_trace(device, W, Q, S)
    if error == 0.0:
        return 0.0
    energy = _quadratic(device, W, S)
    if energy <= 0.0:
        raise ArgumentError("W", "outputs that are not all zero", f"output energy {energy:g}")
    return error / energy


@mirrors(reference.proxy_loss)
def proxy_loss(device: Device, W: DeviceArray, Q: DeviceArray, H: DeviceArray) -> float:
    """Estimate to second order the loss that quantization adds."""
    return 0.5 * _quadratic(device, W - Q, H)
