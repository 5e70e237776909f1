"""Signs
=====

The sign convention on a device; see :mod:`subbit.reference.signs`.
"""

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray
from subbit.reference.notation import SignOfZero

from .device import Device
from .mirror import mirrors


@mirrors(reference.sign)
def sign(device: Device, x: DeviceArray, zero: SignOfZero = 1) -> DeviceArray:
    """Return the sign of each element, with a stated sign of zero."""
    xp = device.xp
    values = xp.asarray(x, dtype=xp.float32)
    if zero == 0:
        return xp.sign(values).astype(xp.int8)
    return xp.where(values >= 0, 1, -1).astype(xp.int8)
