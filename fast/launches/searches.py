"""Kernels of searches and splits
==============================

One function for each kernel. Arrays of the device in, arrays of the device out; nothing
is checked and nothing waits: the choice of a search is an array with one element, for the
next kernel to read. Each kernel is described at the head of its file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from subbit.fast.device import Device
from subbit.reference.notation import AnyArray
from subbit.reference.zones.search import Search

from .arb_x import Gram
from .arrays import DeviceArray, exponent, scaled, to_host
from .kernels import BLOCK, held, kernel, over_rows


@dataclass(frozen=True)
class Zone:
    """A zone of a block, and the groups that it is cut into by magnitude.

    Parameters
    ----------
    number : int
        Number of its entries, from 1; the concentrated ones keep it.
    large : int
        New number of the sparse ones.
    orders : tuple of int, default (1, 1)
        Orders of the concentrated and of the sparse side; with `largest`, of three groups.
    largest : int, optional
        Number of the sparse ones beyond `factor` times the threshold; `large` by default.
    factor : float, default 1.0
        Second magnitude divided by the threshold.
    """

    number: int
    large: int
    orders: tuple[int, ...] = (1, 1)
    largest: int | None = None
    factor: float = 1.0

    @property
    def beyond(self) -> tuple[int, int]:
        """Numbers of the entries beyond either magnitude."""
        return self.large, self.large if self.largest is None else self.largest


ALL = Zone(1, 2)
"""Entries numbered 1 are cut, those numbered 0 take no part."""
NOTHING = Zone(-1, 0)
"""No entry has that number."""


@dataclass(frozen=True)
class Entries:
    """Inputs of a threshold search.

    Parameters
    ----------
    target : array of float32, shape (n, k)
        Values that errors are measured on.
    key : array of float32, shape (n, k)
        Values that are cut.
    zone : array of uint8, shape (k,) or (n, k)
        Zone of each column, or of each entry.
    """

    target: DeviceArray
    key: DeviceArray
    zone: DeviceArray


# Errors of candidates and rows that are kept at a time; only searches over all breakpoints
# have enough candidates to need several launches.
_ERRORS = 1 << 24


def objectives_of(
    device: Device,
    n: int,
    candidates: DeviceArray,
    errors_of: Callable[[int, DeviceArray, DeviceArray], None],
) -> DeviceArray:
    """Sum the errors of all candidates over the rows.

    Parameters
    ----------
    device : Device
        Device to run on.
    n : int
        Rows.
    candidates : array, shape (c,)
        Candidates.
    errors_of : callable
        Receives the first candidate's position, candidates and the array, of shape
        (candidates, n), to write their errors to.

    Returns
    -------
    array of float32, shape (c,)
        The sums.
    """
    xp, c = device.xp, len(candidates)
    objective = xp.empty(c, dtype=xp.float32)
    step = max(1, _ERRORS // n)
    for start in range(0, c, step):
        part = candidates[start : start + step]
        errors = xp.empty((len(part), n), dtype=xp.float32)
        errors_of(start, part, errors)
        args = (errors, np.int32(n), objective[start : start + step])
        device.launch(kernel("reduce.cu", "sum_rows"), len(part), BLOCK, args)
    return objective


def salient_objectives(
    device: Device,
    target: DeviceArray,
    place: DeviceArray,
    counts: DeviceArray,
    *,
    orders: tuple[int, int],
    center: bool,
    sign_zero: int,
) -> tuple[DeviceArray, DeviceArray]:
    """Launch ``salient_errors`` and ``sum_rows``.

    Parameters
    ----------
    device : Device
        Device to run on.
    target : array of float32, shape (n, k)
        Values that errors are measured on.
    place : array of int32, shape (k,) or (n, k)
        Rank of each column, or of each entry's column; -1 for those that take no part.
    counts : array of int32, shape (c,)
        Candidates.
    orders : tuple of int
        Orders of the salient columns and of the rest; 0 leaves one out of the error.
    center : bool
        Whether row means are subtracted.
    sign_zero : {1, 0}
        The sign of zero.

    Returns
    -------
    objective : array of float32, shape (c,)
        Squared errors, in units of ``2**power``.
    power : array of int32, shape ()
        The power.
    """
    n, k = target.shape
    power = exponent(device, target)
    values = scaled(device, target, -power)
    which = kernel("salient_search.cu", "salient_errors", HELD=held(k), ORDERS=max(orders))
    switches = (*(np.int32(x) for x in (n, k, *orders, center)), np.float32(sign_zero))

    def errors_of(_: int, part: DeviceArray, errors: DeviceArray) -> None:
        args = (values, place, stride(place), part, *switches, errors)
        over_rows(device, which, n, args, len(part))

    return objectives_of(device, n, counts, errors_of), 2 * power


def split_objectives(
    device: Device,
    entries: Entries,
    thresholds: DeviceArray,
    zones: Sequence[Zone] = (ALL,),
    *,
    center: bool,
    sign_zero: int,
    closed: bool,
) -> tuple[DeviceArray, DeviceArray]:
    """Launch ``split_errors`` and ``sum_rows``.

    Parameters
    ----------
    device : Device
        Device to run on.
    entries : Entries
        The block.
    thresholds : array of float32, shape (c,) or (zones, c)
        Candidates of each zone.
    zones : sequence of Zone
        The zones, at most two; `large` is not used.
    center : bool
        Whether row means are subtracted.
    sign_zero : {1, 0}
        The sign of zero.
    closed : bool
        Whether an entry at the threshold is concentrated.

    Returns
    -------
    objective : array of float32, shape of `thresholds`
        Squared errors of each zone, in units of ``2**power``.
    power : array of int32, shape ()
        The power.
    """
    n, k = entries.target.shape
    power = exponent(device, entries.target)
    values = scaled(device, entries.target, -power)
    one, two = zones[0], zones[-1]
    depth = max(*one.orders, *two.orders)
    which = kernel("split_search.cu", "split_errors", HELD=held(k), ORDERS=depth)
    numbers = (one.number, two.number, *one.orders, *two.orders, n, k, center)
    switches = (*map(np.int32, numbers), np.float32(sign_zero), np.int32(closed))
    each, zone = thresholds.shape[-1], entries.zone

    def errors_of(start: int, part: DeviceArray, errors: DeviceArray) -> None:
        first = np.int32(max(each - start, 0))
        args = (values, entries.key, zone, stride(zone), part, first, *switches, errors)
        over_rows(device, which, n, args, len(part))

    objective = objectives_of(device, n, thresholds.ravel(), errors_of)
    return objective.reshape(thresholds.shape), 2 * power


def stride(zone: DeviceArray) -> np.int32:
    """Return the distance between the zone numbers of two rows.

    Parameters
    ----------
    zone : array of uint8, shape (k,) or (n, k)
        Zone of each column, or of each entry.

    Returns
    -------
    int32
        Zero for columns, which have one number for all rows.
    """
    return np.int32(zone.shape[1] if zone.ndim > 1 else 0)


def calibrated_objectives(
    device: Device,
    entries: Entries,
    image: DeviceArray,
    thresholds: DeviceArray,
    S: Gram,
    *,
    zone: Zone = ALL,
    center: bool,
    sign_zero: int,
    closed: bool,
) -> tuple[DeviceArray, DeviceArray]:
    """Launch ``calibrated_split_errors`` and ``sum_rows``.

    Parameters
    ----------
    device : Device
        Device to run on.
    entries : Entries
        The block.
    image : array of float32, shape (n, k)
        Decoded values of entries outside the zone.
    thresholds : array of float32, shape (c,)
        Candidates.
    S : Gram
        Gram matrix of the inputs.
    zone : Zone, default ALL
        The zone; `large` is not used.
    center, sign_zero, closed
        As for :func:`split_objectives`.

    Returns
    -------
    objective : array of float32, shape (c,)
        Calibrated errors, in units of ``2**power``.
    power : array of int32, shape ()
        The power.
    """
    xp, (n, k) = device.xp, entries.target.shape
    power = exponent(device, xp.maximum(xp.abs(entries.target), xp.abs(image)))
    values, fixed = (scaled(device, x, -power) for x in (entries.target, image))
    which = kernel(
        "calibrated_split.cu", "calibrated_split_errors", HELD=held(k), ORDERS=max(zone.orders)
    )
    own, switches = map(np.int32, (zone.number, *zone.orders)), map(np.int32, (n, k, center))
    before = (values, fixed, entries.key, entries.zone, stride(entries.zone))
    behind = (*own, S.values, *switches, np.float32(sign_zero), np.int32(closed))

    def errors_of(_: int, part: DeviceArray, errors: DeviceArray) -> None:
        over_rows(device, which, n, (*before, part, *behind, errors), len(part))

    return objectives_of(device, n, thresholds, errors_of), 2 * power + S.power


def first_minimum(device: Device, objective: DeviceArray) -> DeviceArray:
    """Launch ``first_minimum``.

    Parameters
    ----------
    device : Device
        Device to run on.
    objective : array of float32, shape (c,) or (searches, c)
        Squared errors.

    Returns
    -------
    array of int32, shape (searches,)
        Positions of the first minima.
    """
    c = objective.shape[-1]
    searches = objective.size // c
    best = device.xp.empty(searches, dtype=device.xp.int32)
    which = kernel("reduce.cu", "first_minimum")
    device.launch(which, searches, BLOCK, (objective, np.int32(c), best))
    return best


def mark(
    device: Device,
    place: DeviceArray,
    counts: DeviceArray,
    best: DeviceArray,
    *,
    salient: int,
    rest: int,
) -> DeviceArray:
    """Launch ``mark_columns``.

    Parameters
    ----------
    device : Device
        Device to run on.
    place : array of int32, shape (k,)
        Rank of each column, -1 for those that take no part.
    counts : array of int32, shape (c,)
        Candidates.
    best : array of int32, shape (1,)
        Position of the chosen one.
    salient, rest : int
        Zones of salient columns and of the others.

    Returns
    -------
    array of uint8, shape (k,)
        Zone of each column; 0 for those that take no part.
    """
    k = len(place)
    zone = device.xp.empty(k, dtype=device.xp.uint8)
    args = (place, counts, best, *map(np.int32, (k, salient, rest)), zone)
    device.launch(kernel("split.cu", "mark_columns"), -(-k // BLOCK), BLOCK, args)
    return zone


def cut_zones(
    device: Device,
    key: DeviceArray,
    zone: DeviceArray,
    thresholds: DeviceArray,
    best: DeviceArray,
    *,
    zones: Sequence[Zone] = (ALL,),
    closed: bool,
) -> DeviceArray:
    """Launch ``cut_zones``.

    Parameters
    ----------
    device : Device
        Device to run on.
    key : array of float32, shape (n, k)
        Values that are cut.
    zone : array of uint8, shape (k,) or (n, k)
        Zone of each column, or of each entry; zones that are not cut stay unchanged.
    thresholds : array of float32, shape (c,) or (zones, c)
        Candidates of each zone.
    best : array of int32, shape (zones,)
        Positions of the chosen ones.
    zones : sequence of Zone, default (ALL,)
        The zones, at most two.
    closed : bool
        Whether an entry at the threshold is concentrated.

    Returns
    -------
    array of uint8, shape (n, k)
        Zone of each entry.
    """
    n, k = key.shape
    group = device.xp.empty((n, k), dtype=device.xp.uint8)
    one, two = (*zones, NOTHING)[:2]
    ends = zip(one.beyond, two.beyond, strict=True)
    numbers = map(np.int32, (thresholds.shape[-1], one.number, two.number, *chain(*ends)))
    factors, switches = map(np.float32, (one.factor, two.factor)), map(np.int32, (n, k, closed))
    before = (key, zone, stride(zone), thresholds, best)
    args = (*before, *numbers, *factors, *switches, group)
    over_rows(device, kernel("split.cu", "cut_zones"), n, args)
    return group


def as_search(candidates: AnyArray, objective: DeviceArray, power: DeviceArray) -> Search:
    """Bring a search to the host.

    Parameters
    ----------
    candidates : ndarray, shape (c,)
        Candidates.
    objective : array of float32, shape (c,)
        Squared errors, in units of ``2**power``.
    power : array of int32, shape ()
        The power.

    Returns
    -------
    Search
        The search, its objectives in units of one.
    """
    return Search(candidates, np.ldexp(to_host(objective).astype(np.float64), int(power)))
