"""Haar coefficients
=================

:mod:`subbit.reference.haar` on a device, by its array library, in float32.
"""

from subbit import reference
from subbit.reference.haar import Axis

from .device import Device
from .launches.arrays import DeviceArray
from .launches.transforms import paired, unpaired
from .mirror import mirrors


@mirrors(reference.haar)
def haar(device: Device, X: DeviceArray, axis: Axis = "columns") -> DeviceArray:
    """Transform neighbors to their sums and differences."""
    return paired(device, X, axis)


@mirrors(reference.inverse_haar)
def inverse_haar(device: Device, C: DeviceArray, axis: Axis = "columns") -> DeviceArray:
    """Transform sums and differences back to neighbors."""
    return unpaired(device, C, axis)
