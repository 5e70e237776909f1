"""Levels of a group
=================

:mod:`subbit.reference.groups.leveling` on a device, by its array library, in float32. The
levels themselves are chosen by the kernels of ``levels.cu``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import masks
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.mirror import mirrors
from subbit.reference.errors import ArgumentError
from subbit.reference.groups.leveling import CANDIDATES
from subbit.reference.leveled import (
    CODES,
    LARGE,
    LARGEST_EXPONENT,
    LEAST_EXPONENT,
    SMALL,
    SPAN,
    STEPS,
    Code,
    Coding,
)


def _nearest(device: Device, x: DeviceArray, coding: Coding) -> DeviceArray:
    xp = device.xp
    if coding.large:
        return xp.where(x >= 0, xp.float32(1), xp.float32(-1)) * _sizes(device, x, coding.large)
    top = xp.float32(2**coding.planes - 1)
    two = xp.float32(2)
    return xp.clip(two * xp.floor(x / two) + xp.float32(1), -top, top)


def _sizes(device: Device, x: DeviceArray, most: int) -> DeviceArray:
    xp, (n, k) = device.xp, x.shape
    sizes = xp.full((n, k), SMALL, dtype=xp.float32)
    whole = k - k % SPAN
    if whole:
        mask = masks.nm_mask(device, xp.ascontiguousarray(xp.abs(x[:, :whole])), most, SPAN)
        sizes[:, :whole] = xp.where(mask, xp.float32(LARGE), xp.float32(SMALL))
    return sizes


def _refitted(
    device: Device, x: DeviceArray, weights: DeviceArray, levels: DeviceArray
) -> tuple[DeviceArray, DeviceArray]:
    xp = device.xp
    divisor = (levels * levels) @ weights
    usable = divisor > 0
    steps = xp.where(
        usable, ((x * levels) @ weights) / xp.where(usable, divisor, xp.float32(1)), xp.float32(0)
    )
    return steps, ((x - steps[:, None] * levels) ** 2) @ weights


@mirrors(reference.fit_steps)
def fit_steps(device: Device, X: DeviceArray, weights: DeviceArray, code: Code) -> DeviceArray:
    """Fit the step of a code to each row."""
    xp, coding = device.xp, CODES[code]
    if not coding.planes:
        return xp.zeros(len(X), dtype=xp.float32)
    least = (X * X) @ weights
    if not bool(xp.isfinite(least).all()):
        raise ArgumentError("X", "values whose squares float32 can hold", "larger ones")
    if coding.planes == 1 or coding.large:
        return _refitted(device, X, weights, _nearest(device, X, coding))[0]
    typical = xp.float32(coding.step) * xp.sqrt(least / (xp.sum(weights) or xp.float32(1)))
    best = xp.zeros(len(X), dtype=xp.float32)
    for factor in CANDIDATES:
        start = xp.where(typical > 0, xp.float32(factor) * typical, xp.float32(1))
        levels = _nearest(device, X / start[:, None], coding)
        steps, errors = _refitted(device, X, weights, levels)
        better = errors < least
        best, least = xp.where(better, steps, best), xp.where(better, errors, least)
    return best


@mirrors(reference.code_exponents)
def code_exponents(device: Device, steps: DeviceArray, reference: DeviceArray) -> DeviceArray:
    """Code steps as exponents of their references."""
    xp = device.xp
    usable = (steps > 0) & (reference > 0)
    one = xp.float32(1)
    ratio = xp.log2(xp.where(usable, steps, one)) - xp.log2(xp.where(usable, reference, one))
    coded = xp.clip(xp.rint(xp.float32(STEPS) * ratio), LEAST_EXPONENT, LARGEST_EXPONENT)
    unusable = xp.where(reference > 0, xp.float32(LEAST_EXPONENT), xp.float32(0))
    return xp.where(usable, coded, unusable).astype(xp.int8)
