"""Partition of a block
====================

:mod:`subbit.reference.zones.partition` on a device: the choices that a layer routine makes
inside it. Nothing waits and nothing comes back, so counts, sizes and thresholds are
arrays of the device. Groups have numbers, from 1; 0 is for entries that take no part.
"""

import numpy as np

from subbit.fast.device import Device
from subbit.fast.launches import rows, searches
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.launches.search_inputs import places_of
from subbit.fast.launches.thresholds import quantiles, shares
from subbit.reference.notation import Mask
from subbit.reference.zones.partition import Grid, Partition


def salient_columns(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: Partition,
    *,
    salient: int,
    rest: int,
    blocks: int = 1,
    entries: DeviceArray | None = None,
) -> DeviceArray:
    """Choose the salient columns of a block, or of a whole matrix.

    Parameters
    ----------
    device : Device
        Device to compute on.
    W, S : array of float32, shape (n, k)
        Weights and scores.
    alive : ndarray of bool, shape (k,)
        Columns that may be salient; the host knows them.
    config : Partition
        The configuration.
    salient, rest : int
        Numbers for salient columns and for the others.
    blocks : int, default 1
        Number of blocks in `W`; the range of counts is per block.
    entries : array of bool, shape (n, k), optional
        The entries whose errors count; all by default.

    Returns
    -------
    array of uint8, shape (k,)
        Those numbers; 0 for columns that are not alive.
    """
    xp = device.xp
    count = int(np.count_nonzero(alive))
    if count == 0:
        return xp.zeros(len(alive), dtype=xp.uint8)
    place, _ = rows.rank(device, rows.column_sums(device, S), xp.asarray(alive), count)
    low, high = (min(number * blocks, count) for number in config.counts)
    counts = xp.arange(low, high + 1, dtype=xp.int32)
    objective, _ = searches.salient_objectives(
        device,
        W if config.search_on == "weights" else S,
        places_of(device, place, entries),
        counts,
        orders=config.search_orders,
        **config.binarizer,
    )
    best = searches.first_minimum(device, objective)
    return searches.mark(device, place, counts, best, salient=salient, rest=rest)


def candidate_thresholds(
    device: Device, key: DeviceArray, part: DeviceArray, grid: Grid, levels: int | None = None
) -> DeviceArray:
    """Return the thresholds that a search tries.

    Parameters
    ----------
    device : Device
        Device to compute on.
    key : array of float32, shape (n, k)
        Values that are cut; not negative.
    part : array of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    grid : str
        Kind of candidates; see :class:`subbit.reference.Partition`.
    levels : int, optional
        Number of candidates; by default 9 for a maximum grid and 81 for quantiles.

    Returns
    -------
    array of float32, shape (c,)
        Thresholds; their number does not depend on what takes part. Zeros where nothing does.
    """
    # Only the device knows how many entries take part, so the others are moved to the end
    # of the sample instead of being taken out.
    xp = device.xp
    few, many = (9, 81) if levels is None else (levels, levels)
    if grid == "maximum":
        return shares(device, xp.max(xp.where(part, key, xp.float32(0))), few)
    if grid == "quantiles_with_zeros":
        everything = xp.where(part, key, xp.float32(0)).ravel()
        return quantiles(device, xp.sort(everything), key.size, many)
    ordered = xp.sort(xp.where(part, key, xp.float32(np.inf)).ravel())
    size = xp.count_nonzero(part) * (1 if part.ndim > 1 else len(key))
    if grid == "quantiles":
        return quantiles(device, ordered, size, many)
    # Repeated breakpoints don't change which one is the first minimum.
    cuts = ordered[xp.minimum(xp.arange(key.size), xp.maximum(size - 1, 0))]
    return xp.where(size > 0, cuts, xp.float32(0))


def split_zone(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    zone: DeviceArray,
    config: Partition,
    *,
    levels: int | None = None,
) -> DeviceArray:
    """Search for a threshold, and cut the entries numbered 1.

    Parameters
    ----------
    device : Device
        Device to compute on.
    W, S : array of float32, shape (n, k)
        Weights and scores.
    zone : array of uint8, shape (k,) or (n, k)
        Zone of each column, or of each entry; zones other than 1 keep their number.
    config : Partition
        The configuration.
    levels : int, optional
        As for :func:`candidate_thresholds`.

    Returns
    -------
    array of uint8, shape (n, k)
        Group of each entry: 1 concentrated, 2 sparse.
    """
    key = device.xp.abs(config.cut(W, S))
    part = zone == searches.ALL.number
    thresholds = candidate_thresholds(device, key, part, config.grid, levels)
    entries = searches.Entries(config.searched(W, S), key, zone)
    objective, _ = searches.split_objectives(device, entries, thresholds, **config.cutter)
    best = searches.first_minimum(device, objective)
    return searches.cut_zones(device, key, zone, thresholds, best, closed=config.closed)
