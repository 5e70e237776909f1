"""Trisection
==========

:mod:`subbit.reference.zones.trisection` on a device. All candidates are evaluated in one launch,
directly from the equation. The kernels are ``trisection.cu``, ``reduce.cu`` and
``split.cu``.
"""

from dataclasses import replace

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import searches
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.launches.regions import REGIONS, region_objectives, within_grid
from subbit.fast.launches.search_inputs import numbers_of, search_inputs
from subbit.fast.mirror import mirrors
from subbit.reference.notation import SignOfZero
from subbit.reference.zones.search import Search


@mirrors(reference.trisection)
def trisection(
    device: Device,
    key: DeviceArray,
    columns: DeviceArray,
    threshold: float,
    *,
    factor: float = 2.0,
    closed: bool = True,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Cut the entries of some columns at two magnitudes."""
    xp = device.xp
    numbers = numbers_of(device, columns)
    zone = replace(REGIONS, factor=factor)
    cuts, first = xp.full(1, threshold, dtype=xp.float32), xp.zeros(1, dtype=xp.int32)
    group = searches.cut_zones(device, key, numbers, cuts, first, zones=(zone,), closed=closed)
    return group == zone.number, group == zone.large, group == zone.largest


@mirrors(reference.trisection_thresholds)
def trisection_thresholds(
    device: Device, thresholds: DeviceArray, *, factor: float = 2.0
) -> DeviceArray:
    """Return the candidates whose upper magnitude lies within the grid."""
    cuts = device.xp.asarray(thresholds, dtype=device.xp.float32)
    return cuts[within_grid(device, cuts, factor)]


@mirrors(reference.trisection_search_direct)
def trisection_search_direct(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: DeviceArray,
    *,
    factor: float = 2.0,
    key: DeviceArray | None = None,
    orders: tuple[int, int, int] = (1, 1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries in three, directly from the equation."""
    given = search_inputs(device, target, columns, thresholds, key)
    objective, power = region_objectives(
        device,
        given.entries,
        given.cuts,
        replace(REGIONS, orders=orders, factor=factor),
        center=center,
        sign_zero=sign_zero,
        closed=closed,
    )
    return searches.as_search(given.given, objective, power)


@mirrors(reference.trisection_search)
def trisection_search(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: DeviceArray,
    *,
    factor: float = 2.0,
    orders: tuple[int, int, int] = (1, 1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries in three, by the direct form."""
    return trisection_search_direct(
        device,
        target,
        columns,
        thresholds,
        factor=factor,
        orders=orders,
        center=center,
        sign_zero=sign_zero,
        closed=closed,
    )
