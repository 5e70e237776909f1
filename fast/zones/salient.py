"""Salient columns
===============

:mod:`subbit.reference.zones.salient` on a device. All counts of the salient search are
evaluated in one launch, directly from the equation, so the fast and the direct form
of the reference are one function here. The kernels are ``rank.cu``, ``salient_search.cu``
and ``reduce.cu``.
"""

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import rows, searches
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.partition import salient_columns
from subbit.fast.launches.search_inputs import places_of
from subbit.fast.mirror import mirrors
from subbit.reference.notation import Indices, SignOfZero
from subbit.reference.zones.partition import PARTITION, Partition
from subbit.reference.zones.search import Search


@mirrors(reference.column_saliency)
def column_saliency(device: Device, S: DeviceArray) -> DeviceArray:
    """Sum the absolute scores in each column."""
    return rows.column_sums(device, S)


@mirrors(reference.rank_columns)
def rank_columns(device: Device, scores: DeviceArray) -> DeviceArray:
    """Rank columns in decreasing order of their score."""
    everything = device.xp.ones(len(scores), dtype=bool)
    return rows.rank(device, scores, everything, len(scores))[1].astype(device.xp.intp)


@mirrors(reference.salient_search_direct)
def salient_search_direct(
    device: Device,
    target: DeviceArray,
    ranking: Indices,
    counts: Indices,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: DeviceArray | None = None,
) -> Search:
    """Find how many of the ranked columns to make salient, directly from the equation."""
    xp = device.xp
    place = np.full(target.shape[1], -1, dtype=np.int32)
    place[ranking] = np.arange(len(ranking))
    objective, power = searches.salient_objectives(
        device,
        target,
        places_of(device, xp.asarray(place), entries),
        xp.asarray(counts, dtype=xp.int32),
        orders=orders,
        center=center,
        sign_zero=sign_zero,
    )
    return searches.as_search(counts, objective, power)


@mirrors(reference.salient_search)
def salient_search(
    device: Device,
    target: DeviceArray,
    ranking: Indices,
    counts: Indices,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: DeviceArray | None = None,
) -> Search:
    """Find how many of the ranked columns to make salient, by the direct form."""
    return salient_search_direct(
        device,
        target,
        ranking,
        counts,
        orders=orders,
        center=center,
        sign_zero=sign_zero,
        entries=entries,
    )


_REST = 1
_SALIENT = 2


@mirrors(reference.choose_salient)
def choose_salient(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: DeviceArray,
    config: Partition = PARTITION,
    *,
    blocks: int = 1,
    entries: DeviceArray | None = None,
) -> DeviceArray:
    """Choose the salient columns of a block, or of a whole matrix."""
    numbers = {"salient": _SALIENT, "rest": _REST, "blocks": blocks}
    chosen = salient_columns(device, W, S, to_host(alive), config, entries=entries, **numbers)
    return chosen == _SALIENT
