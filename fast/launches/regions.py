"""Kernels of three groups
=======================

The trisection's search and its masks, in addition to those of ``searches``. Nothing is checked and
nothing waits.
"""

from dataclasses import replace

import numpy as np

from subbit.fast.device import Device
from subbit.reference.zones.regions import Regions

from .arrays import DeviceArray, exponent, scaled
from .kernels import held, kernel, over_rows
from .partition import candidate_thresholds, split_zone
from .searches import Entries, Zone, cut_zones, first_minimum, objectives_of, stride

REGIONS = Zone(1, 2, (1, 1, 1), largest=3, factor=2.0)
"""Entries numbered 1 become dense, 1, intermediate, 2, or sparse, 3."""


def region_objectives(
    device: Device,
    entries: Entries,
    thresholds: DeviceArray,
    zone: Zone = REGIONS,
    *,
    center: bool,
    sign_zero: int,
    closed: bool,
) -> tuple[DeviceArray, DeviceArray]:
    """Launch ``trisection_errors`` and ``sum_rows``.

    Parameters
    ----------
    device : Device
        Device to run on.
    entries : Entries
        The block.
    thresholds : array of float32, shape (c,)
        Candidates for the lower magnitude.
    zone : Zone, default REGIONS
        The zone, three orders and the factor; its other numbers are not used.
    center : bool
        Whether row means are subtracted.
    sign_zero : {1, 0}
        The sign of zero.
    closed : bool
        Whether an entry at a magnitude belongs to the group below it.

    Returns
    -------
    objective : array of float32, shape (c,)
        Squared errors, in units of ``2**power``.
    power : array of int32, shape ()
        The power.
    """
    n, k = entries.target.shape
    power = exponent(device, entries.target)
    values = scaled(device, entries.target, -power)
    depth = max(zone.orders)
    which = kernel("trisection.cu", "trisection_errors", HELD=held(k), ORDERS=depth)
    numbers = map(np.int32, (zone.number, *zone.orders, n, k, center))
    before = (values, entries.key, entries.zone, stride(entries.zone))
    behind = (np.float32(zone.factor), *numbers, np.float32(sign_zero), np.int32(closed))

    def errors_of(_: int, part: DeviceArray, errors: DeviceArray) -> None:
        over_rows(device, which, n, (*before, part, *behind, errors), len(part))

    return objectives_of(device, n, thresholds, errors_of), 2 * power


def within_grid(device: Device, thresholds: DeviceArray, factor: float) -> DeviceArray:
    """Return which candidates have an upper magnitude within the grid.

    Parameters
    ----------
    device : Device
        Device to compute on.
    thresholds : array of float32, shape (c,)
        Magnitudes in increasing order.
    factor : float
        The upper magnitude divided by the lower one.

    Returns
    -------
    array of bool, shape (c,)
        All True where there are none.
    """
    xp = device.xp
    within = xp.float32(factor) * thresholds <= thresholds[-1]
    return within | ~xp.any(within)


def cut_regions(
    device: Device,
    entries: Entries,
    thresholds: DeviceArray,
    zone: Zone = REGIONS,
    *,
    bounded: bool,
    center: bool,
    sign_zero: int,
    closed: bool,
) -> DeviceArray:
    """Search for the threshold of a zone's three groups, and number them.

    Parameters
    ----------
    device : Device
        Device to run on.
    entries : Entries
        The block; entries of other zones keep their numbers.
    thresholds : array of float32, shape (c,)
        Candidates for the lower magnitude.
    zone : Zone, default REGIONS
        The zone, its orders, the numbers of the groups, and the factor.
    bounded : bool
        Whether candidates are those of
        :func:`subbit.reference.zones.trisection.trisection_thresholds`.
    center, sign_zero, closed
        As for :func:`region_objectives`.

    Returns
    -------
    array of uint8, shape (n, k)
        Group of each entry.
    """
    xp = device.xp
    objective, _ = region_objectives(
        device, entries, thresholds, zone, center=center, sign_zero=sign_zero, closed=closed
    )
    if bounded:
        # Only the device knows how many there are, so all of them have been tried.
        tried = within_grid(device, thresholds, zone.factor)
        objective = xp.where(tried, objective, xp.float32(np.inf))
    best = first_minimum(device, objective)
    return cut_zones(
        device, entries.key, entries.zone, thresholds, best, zones=(zone,), closed=closed
    )


def split_regions(
    device: Device, W: DeviceArray, S: DeviceArray, zone: DeviceArray, config: Regions
) -> DeviceArray:
    """Search for the regions of a block, and number its entries.

    Parameters
    ----------
    device : Device
        Device to run on.
    W, S : array of float32, shape (n, k)
        Weights and scores.
    zone : array of uint8, shape (k,) or (n, k)
        Zone of each column, or of each entry; zones other than 1 keep their number.
    config : Regions
        The configuration.

    Returns
    -------
    array of uint8, shape (n, k)
        Group of each entry, by increasing magnitude from 1.
    """
    how = config.partition
    if config.regions == 2:
        return split_zone(device, W, S, zone, how, levels=config.levels)
    key = device.xp.abs(how.cut(W, S))
    part = zone == REGIONS.number
    thresholds = candidate_thresholds(device, key, part, how.grid, config.levels)
    entries = Entries(how.searched(W, S), key, zone)
    regions = replace(REGIONS, factor=config.factor)
    return cut_regions(device, entries, thresholds, regions, bounded=config.bounded, **how.cutter)
