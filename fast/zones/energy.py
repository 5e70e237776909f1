"""Energy of columns
=================

:mod:`subbit.reference.zones.energy` on a device. Sums of columns are the kernel of
``saliency.cu``; the rest is arithmetic of the array library.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import rows
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.mirror import mirrors
from subbit.reference.errors import ArgumentError


@mirrors(reference.column_energies)
def column_energies(device: Device, W: DeviceArray, H: DeviceArray) -> DeviceArray:
    """Compute the energy of each column."""
    xp = device.xp
    energies = xp.diagonal(H) * (rows.column_sums(device, W * W) / xp.float32(len(W)))
    if not bool(xp.isfinite(energies).all()):
        raise ArgumentError("W", "weights whose energies float32 can hold", "larger ones")
    return energies


@mirrors(reference.column_scales)
def column_scales(device: Device, W: DeviceArray, power: float = 1.0) -> DeviceArray:
    """Compute scales that make columns alike."""
    xp = device.xp
    largest = float(xp.abs(W).max()) or 1.0
    scaled = W / xp.float32(largest)
    squares = rows.column_sums(device, scaled * scaled) / xp.float32(len(W))
    relative = squares / (xp.mean(squares) or xp.float32(1))
    used = squares > 0
    powers = xp.power(xp.where(used, relative, xp.float32(1)), xp.float32(power / 2.0))
    return xp.where(used, powers, xp.float32(1))
