"""Salient columns
===============

:mod:`subbit.reference.zones.salient` on a device. All counts of the salient search are
evaluated in one launch, directly, as the equation reads; so the fast and the direct form
of the reference are one function here. The kernels are ``rank.cu``, ``salient_search.cu``
and ``reduce.cu``.
"""

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import rows, searches
from subbit.fast.launches.arrays import DeviceArray, mask, matrix, to_host
from subbit.fast.launches.partition import salient_columns
from subbit.fast.launches.search_inputs import places_of
from subbit.fast.mirror import mirrors
from subbit.reference.errors import ArgumentError, check_choice, check_count
from subbit.reference.notation import AnyArray, SignOfZero
from subbit.reference.zones.partition import PARTITION, Partition
from subbit.reference.zones.search import Search


@mirrors(reference.column_saliency)
def column_saliency(device: Device, S: DeviceArray) -> DeviceArray:
    """Sum of absolute scores in each column."""
    return rows.column_sums(device, matrix(device, "S", S))


@mirrors(reference.rank_columns)
def rank_columns(device: Device, scores: DeviceArray) -> DeviceArray:
    """Columns in decreasing order of their score."""
    values = matrix(device, "scores", scores, shape=(None,))
    everything = device.xp.ones(len(values), dtype=bool)
    return rows.rank(device, values, everything, len(values))[1].astype(device.xp.intp)


def _check_ranking(ranking: DeviceArray, width: int) -> AnyArray:
    order = to_host(ranking)
    valid = (
        order.ndim == 1
        and order.dtype.kind in "iu"
        and len(np.unique(order)) == order.size
        and order.size > 0
        and order.min() >= 0
        and order.max() < width
    )
    if not valid:
        raise ArgumentError("ranking", f"distinct column numbers below {width}", order.tolist())
    return order


def _check_counts(counts: DeviceArray, most: int) -> AnyArray:
    values = to_host(counts)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iu":
        raise ArgumentError("counts", "a list of whole numbers, not empty", values.tolist())
    if values.min() < 0 or values.max() > most:
        raise ArgumentError("counts", f"numbers from 0 to {most}", values.tolist())
    return values.astype(np.intp)


@mirrors(reference.salient_search_direct)
def salient_search_direct(
    device: Device,
    target: DeviceArray,
    ranking: DeviceArray,
    counts: DeviceArray,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: DeviceArray | None = None,
) -> Search:
    """How many of the ranked columns to make salient, as the equation reads."""
    xp = device.xp
    values = matrix(device, "target", target)
    order = _check_ranking(ranking, values.shape[1])
    numbers = _check_counts(counts, len(order))
    for each in orders:
        check_count("order", each)
    check_choice("sign_zero", sign_zero, (0, 1))
    place = np.full(values.shape[1], -1, dtype=np.int32)
    place[order] = np.arange(len(order))
    objective, power = searches.salient_objectives(
        device,
        values,
        places_of(device, xp.asarray(place), entries, "entries", values.shape),
        xp.asarray(numbers.astype(np.int32)),
        orders=orders,
        center=center,
        sign_zero=sign_zero,
    )
    return searches.as_search(numbers, objective, power)


@mirrors(reference.salient_search)
def salient_search(
    device: Device,
    target: DeviceArray,
    ranking: DeviceArray,
    counts: DeviceArray,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    entries: DeviceArray | None = None,
) -> Search:
    """How many of the ranked columns to make salient: the same as the direct form."""
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
    weights = matrix(device, "W", W)
    scores = matrix(device, "S", S, shape=weights.shape)
    part = mask(device, "alive", alive, weights.shape[1:])
    numbers = {"salient": _SALIENT, "rest": _REST, "blocks": blocks}
    chosen = salient_columns(
        device, weights, scores, to_host(part), config, entries=entries, **numbers
    )
    return chosen == _SALIENT
