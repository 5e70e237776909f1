"""Searches and splits
===================

:mod:`subbit.reference.zones.split` on a device. All candidates of a search are evaluated in
one launch, directly from the equation, so the fast and the direct form of the
reference are one function here. The kernels are ``split_search.cu``,
``calibrated_split.cu``, ``reduce.cu`` and ``split.cu``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import searches
from subbit.fast.launches.arb_x import gram as in_range
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.launches.search_inputs import numbers_of, search_inputs
from subbit.fast.launches.thresholds import quantiles, shares
from subbit.fast.mirror import mirrors
from subbit.reference.notation import SignOfZero
from subbit.reference.zones.search import Search


@mirrors(reference.maximum_grid)
def maximum_grid(device: Device, key: DeviceArray, levels: int = 9) -> DeviceArray:
    """Return thresholds at shares of the largest magnitude from 0.1 to 0.9."""
    return shares(device, key.max(), levels)


@mirrors(reference.quantile_grid)
def quantile_grid(device: Device, key: DeviceArray, levels: int = 81) -> DeviceArray:
    """Return thresholds at quantiles of the magnitudes from 0.10 to 0.90."""
    return quantiles(device, device.xp.sort(key.ravel()), key.size, levels)


@mirrors(reference.breakpoint_grid)
def breakpoint_grid(device: Device, key: DeviceArray) -> DeviceArray:
    """Return every magnitude that occurs, which makes the search exact."""
    return device.xp.unique(key)


@mirrors(reference.bell_split)
def bell_split(
    device: Device,
    key: DeviceArray,
    columns: DeviceArray,
    threshold: float,
    *,
    closed: bool = True,
) -> tuple[DeviceArray, DeviceArray]:
    """Cut the entries of some columns at a magnitude."""
    xp = device.xp
    zone = numbers_of(device, columns)
    cuts = xp.full(1, threshold, dtype=xp.float32)
    first = xp.zeros(1, dtype=xp.int32)
    group = searches.cut_zones(device, key, zone, cuts, first, closed=closed)
    return group == searches.ALL.number, group == searches.ALL.large


@mirrors(reference.bell_split_search_direct)
def bell_split_search_direct(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: DeviceArray,
    *,
    key: DeviceArray | None = None,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries, directly from the equation."""
    given = search_inputs(device, target, columns, thresholds, key)
    objective, power = searches.split_objectives(
        device,
        given.entries,
        given.cuts,
        (searches.Zone(1, 2, orders),),
        center=center,
        sign_zero=sign_zero,
        closed=closed,
    )
    return searches.as_search(given.given, objective, power)


@mirrors(reference.bell_split_search)
def bell_split_search(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: DeviceArray,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries, by the direct form."""
    return bell_split_search_direct(
        device,
        target,
        columns,
        thresholds,
        orders=orders,
        center=center,
        sign_zero=sign_zero,
        closed=closed,
    )


@mirrors(reference.calibrated_split_search)
def calibrated_split_search(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: DeviceArray,
    S: DeviceArray,
    *,
    image: DeviceArray | None = None,
    key: DeviceArray | None = None,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Find where to cut a block's entries, measured on the layer's outputs."""
    given = search_inputs(device, target, columns, thresholds, key)
    gram = in_range(device, S)
    objective, power = searches.calibrated_objectives(
        device,
        given.entries,
        target if image is None else image,
        given.cuts,
        gram,
        zone=searches.Zone(1, 2, orders),
        center=center,
        sign_zero=sign_zero,
        closed=closed,
    )
    return searches.as_search(given.given, objective, power)
