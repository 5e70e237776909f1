"""What a search of thresholds is given
====================================

The checks of the searches of :mod:`split` and :mod:`trisection`, and what they make of
the arguments.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from subbit.fast.device import Device
from subbit.reference.errors import check_choice, check_count
from subbit.reference.notation import AnyArray

from . import searches
from .arrays import DeviceArray, mask, matrix, to_host


class Candidates(NamedTuple):
    """A block, and the thresholds that are tried on it.

    Parameters
    ----------
    entries : Entries
        The block; what takes part has the number 1.
    cuts : array of float32, shape (c,)
        The thresholds.
    given : ndarray of float64, shape (c,)
        The thresholds as they came.
    """

    entries: searches.Entries
    cuts: DeviceArray
    given: AnyArray


def numbers_of(device: Device, columns: DeviceArray, shape: tuple[int, int]) -> DeviceArray:
    """Return 1 for what takes part.

    Parameters
    ----------
    device : Device
        Where to compute.
    columns : array of bool, shape (k,) or (n, k)
        The columns, or the entries.
    shape : tuple of int
        (n, k).

    Returns
    -------
    array of uint8, shape (k,) or (n, k)
        Numbers; 0 for what takes no part.
    """
    wanted = shape if np.ndim(columns) > 1 else shape[1:]
    return mask(device, "columns", columns, wanted).view(device.xp.uint8)


def places_of(
    device: Device, place: DeviceArray, entries: object, argument: str, shape: tuple[int, int]
) -> DeviceArray:
    """Return ranks of columns, or of the entries that take part.

    Parameters
    ----------
    device : Device
        Where to compute.
    place : array of int32, shape (k,)
        Rank of each column.
    entries : array of bool, shape (n, k), or None
        The entries that take part; None for all.
    argument : str
        Name to put in an error.
    shape : tuple of int
        (n, k).

    Returns
    -------
    array of int32, shape (k,) or (n, k)
        Ranks; -1 for entries that take no part.
    """
    if entries is None:
        return place
    xp, part = device.xp, mask(device, argument, entries, shape)
    return xp.ascontiguousarray(xp.where(part, place, xp.int32(-1)))


def checked_search(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: DeviceArray,
    key: DeviceArray | None,
    *,
    orders: Sequence[int],
    sign_zero: int,
) -> Candidates:
    """Check what a search is given.

    Parameters
    ----------
    device : Device
        Where to compute.
    target : array of float32, shape (n, k)
        What errors are measured on.
    columns : array of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array of float32, shape (c,)
        Candidates.
    key : array of float32, shape (n, k), or None
        What is cut; the magnitude of `target` by default.
    orders : sequence of int
        Orders of the groups.
    sign_zero : {1, 0}
        The sign of zero.

    Returns
    -------
    Candidates
        What kernels need.
    """
    values = matrix(device, "target", target)
    numbers = numbers_of(device, columns, values.shape)
    cuts = matrix(device, "thresholds", thresholds, shape=(None,))
    magnitudes = device.xp.abs(values)
    if key is not None:
        magnitudes = matrix(device, "key", key, shape=values.shape)
    for order in orders:
        check_count("orders", order)
    check_choice("sign_zero", sign_zero, (0, 1))
    entries = searches.Entries(values, magnitudes, numbers)
    return Candidates(entries, cuts, to_host(thresholds).astype(np.float64))
