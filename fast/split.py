"""Searches and splits
===================

:mod:`subbit.reference.split` on a device. All candidates of a search are evaluated in
one launch, directly, as the equation reads; so the fast and the direct form of the
reference are one function here. The kernels are ``salient_search.cu``,
``split_search.cu``, ``reduce.cu`` and ``split.cu``.
"""

import numpy as np

from subbit import reference
from subbit.reference.errors import ArgumentError, check_choice, check_count
from subbit.reference.notation import AnyArray, SignOfZero
from subbit.reference.split import Search

from . import searches
from .arrays import DeviceArray, mask, matrix, on_device, to_host
from .device import Device
from .grids import quantiles, tenths
from .mirror import mirrors


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


def _search(candidates: AnyArray, objective: DeviceArray, power: DeviceArray) -> Search:
    return Search(candidates, np.ldexp(to_host(objective).astype(np.float64), 2 * int(power)))


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
        xp.asarray(place),
        xp.asarray(numbers.astype(np.int32)),
        orders=orders,
        center=center,
        sign_zero=sign_zero,
    )
    return _search(numbers, objective, power)


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
) -> Search:
    """How many of the ranked columns to make salient: the same as the direct form."""
    return salient_search_direct(
        device, target, ranking, counts, orders=orders, center=center, sign_zero=sign_zero
    )


@mirrors(reference.maximum_grid)
def maximum_grid(device: Device, key: DeviceArray) -> DeviceArray:
    """Thresholds at tenths of the largest magnitude."""
    return tenths(device, _flat(device, key).max())


@mirrors(reference.quantile_grid)
def quantile_grid(device: Device, key: DeviceArray, levels: int = 81) -> DeviceArray:
    """Thresholds at quantiles of the magnitudes from 0.10 to 0.90."""
    magnitudes = _flat(device, key)
    check_count("levels", levels)
    return quantiles(device, device.xp.sort(magnitudes), magnitudes.size, levels)


@mirrors(reference.breakpoint_grid)
def breakpoint_grid(device: Device, key: DeviceArray) -> DeviceArray:
    """Every magnitude that occurs: the search over it is exact."""
    return device.xp.unique(_flat(device, key))


def _flat(device: Device, key: DeviceArray) -> DeviceArray:
    flat = key.ravel() if on_device(device, key) else np.ravel(key)
    return matrix(device, "key", flat, shape=(None,))


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
    magnitudes = matrix(device, "key", key)
    part = mask(device, "columns", columns, magnitudes.shape[1:])
    cuts = xp.full(1, threshold, dtype=xp.float32)
    first = xp.zeros(1, dtype=xp.int32)
    group = searches.cut(device, magnitudes, part.view(xp.uint8), cuts, first, closed=closed)
    return group == 1, group == searches.SPARSE


@mirrors(reference.bell_split_search_direct)
def bell_split_search_direct(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: DeviceArray,
    *,
    key: DeviceArray | None = None,
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries, as the equation reads."""
    xp = device.xp
    values = matrix(device, "target", target)
    part = mask(device, "columns", columns, values.shape[1:])
    cuts = matrix(device, "thresholds", thresholds, shape=(None,))
    magnitudes = xp.abs(values) if key is None else matrix(device, "key", key, shape=values.shape)
    check_choice("sign_zero", sign_zero, (0, 1))
    objective, power = searches.split_objectives(
        device,
        values,
        magnitudes,
        part.view(xp.uint8),
        cuts,
        center=center,
        sign_zero=sign_zero,
        closed=closed,
    )
    return _search(to_host(thresholds).astype(np.float64), objective, power)


@mirrors(reference.bell_split_search)
def bell_split_search(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: DeviceArray,
    *,
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
) -> Search:
    """Where to cut a block's entries: the same as the direct form."""
    return bell_split_search_direct(
        device,
        target,
        columns,
        thresholds,
        center=center,
        sign_zero=sign_zero,
        closed=closed,
    )
