"""Objectives
==========

:mod:`subbit.reference.objective` on a device, in float32. Differences and matrices are
scaled by powers of two before they are squared, so that no square leaves the range.
"""

import math

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray, exponent, matrix, scaled
from subbit.reference.errors import ArgumentError

from .device import Device
from .mirror import mirrors


def _difference(device: Device, W: DeviceArray, Q: DeviceArray) -> DeviceArray:
    weights = matrix(device, "W", W)
    return weights - matrix(device, "Q", Q, shape=weights.shape)


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
    """Squared Frobenius norm of the weight error."""
    return _energy(device, _difference(device, W, Q))


@mirrors(reference.calibrated_error)
def calibrated_error(device: Device, W: DeviceArray, Q: DeviceArray, X: DeviceArray) -> float:
    """Squared output error on calibration inputs, from the inputs."""
    D, power = _unit(device, _difference(device, W, Q))
    inputs, input_power = _unit(device, matrix(device, "X", X, shape=(None, D.shape[1])))
    return math.ldexp(_energy(device, D @ inputs.T), 2 * (power + input_power))


@mirrors(reference.calibrated_error_trace)
def calibrated_error_trace(device: Device, W: DeviceArray, Q: DeviceArray, S: DeviceArray) -> float:
    """Squared output error on calibration inputs, from their Gram matrix."""
    D = _difference(device, W, Q)
    return _quadratic(device, D, matrix(device, "S", S, shape=(D.shape[1], D.shape[1])))


@mirrors(reference.relative_error)
def relative_error(device: Device, W: DeviceArray, Q: DeviceArray, S: DeviceArray) -> float:
    """Output error relative to the energy of the outputs."""
    error = calibrated_error_trace(device, W, Q, S)
    if error == 0.0:
        return 0.0
    energy = _quadratic(device, matrix(device, "W", W), matrix(device, "S", S))
    if energy <= 0.0:
        raise ArgumentError("W", "outputs that are not all zero", f"output energy {energy:g}")
    return error / energy


@mirrors(reference.proxy_loss)
def proxy_loss(device: Device, W: DeviceArray, Q: DeviceArray, H: DeviceArray) -> float:
    """Second-order estimate of the loss that quantization adds."""
    D = _difference(device, W, Q)
    return 0.5 * _quadratic(device, D, matrix(device, "H", H, shape=(D.shape[1], D.shape[1])))
