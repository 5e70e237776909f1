"""Running sums
============

The names of :mod:`subbit.reference.zones.running` on a device. The reference uses running
sums because it has to be fast on one processor; a device has a warp for each row and
candidate, and sums each group separately, without cancellation.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import searches
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.launches.search_inputs import numbers_of, places_of
from subbit.fast.mirror import mirrors
from subbit.reference.notation import SignOfZero


def _in_units(device: Device, objective: DeviceArray, power: DeviceArray) -> DeviceArray:
    return device.xp.ldexp(objective.astype(device.xp.float64), power)


@mirrors(reference.prefix_errors)
def prefix_errors(
    device: Device,
    X: DeviceArray,
    counts: DeviceArray,
    *,
    order: int,
    center: bool,
    sign_zero: SignOfZero,
    part: DeviceArray | None = None,
) -> DeviceArray:
    """Compute the squared error of binarizing the first columns, for several column counts."""
    xp = device.xp
    place = xp.arange(X.shape[1], dtype=xp.int32)
    objective, power = searches.salient_objectives(
        device,
        X,
        places_of(device, place, part),
        xp.asarray(counts, dtype=xp.int32),
        orders=(order, 0),
        center=center,
        sign_zero=sign_zero,
    )
    return _in_units(device, objective, power)


@mirrors(reference.interval_errors)
def interval_errors(
    device: Device,
    X: DeviceArray,
    thresholds: DeviceArray,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool,
    sign_zero: SignOfZero,
    closed: bool,
    part: DeviceArray | None = None,
) -> DeviceArray:
    """Compute the squared error of cutting each row at a magnitude, for several magnitudes."""
    xp = device.xp
    taken = xp.ones(X.shape[1], dtype=xp.bool_) if part is None else part
    objective, power = searches.split_objectives(
        device,
        searches.Entries(X, xp.abs(X), numbers_of(device, taken)),
        xp.asarray(thresholds, dtype=xp.float32),
        (searches.Zone(1, 2, orders),),
        center=center,
        sign_zero=sign_zero,
        closed=closed,
    )
    return _in_units(device, objective, power)


@mirrors(reference.rank_in_rows)
def rank_in_rows(
    device: Device, rows: DeviceArray, values: DeviceArray, *, right: bool
) -> DeviceArray:
    """Count the entries of each sorted row that lie before some values."""
    xp = device.xp
    n, k = rows.shape
    flat = xp.ravel(rows)
    base = xp.arange(n, dtype=xp.intp)[:, None] * k
    rank = xp.zeros(values.shape, dtype=xp.intp)
    step = 1 << max(k.bit_length() - 1, 0)
    while step:
        probe = rank + step
        entry = flat[base + xp.minimum(probe, k) - 1]
        before = entry <= values if right else entry < values
        rank = xp.where((probe <= k) & before, probe, rank)
        step >>= 1
    return rank
