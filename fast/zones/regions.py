"""Regions of magnitude
====================

:mod:`subbit.reference.zones.regions` on a device. The threshold is searched for and applied
without waiting; the kernels are those of ``launches.regions``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.launches.regions import split_regions
from subbit.fast.launches.search_inputs import numbers_of
from subbit.fast.mirror import mirrors
from subbit.reference.zones.regions import REGIONS, Regions


@mirrors(reference.choose_regions)
def choose_regions(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    part: DeviceArray,
    config: Regions = REGIONS,
) -> tuple[DeviceArray, ...]:
    """Cut some entries into regions of magnitude."""
    group = split_regions(device, W, S, numbers_of(device, part), config)
    return tuple(group == number for number in range(1, config.regions + 1))
