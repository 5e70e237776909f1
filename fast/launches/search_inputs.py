"""What a search of thresholds works on
====================================

What the searches of :mod:`split` and :mod:`trisection` make of their arguments.
"""

from typing import NamedTuple

import numpy as np

from subbit.fast.device import Device
from subbit.reference.notation import Array

from . import searches
from .arrays import DeviceArray


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
    given: Array


def numbers_of(device: Device, columns: DeviceArray) -> DeviceArray:
    """Return 1 for what takes part.

    Parameters
    ----------
    device : Device
        Where to compute.
    columns : array of bool, shape (k,) or (n, k)
        The columns, or the entries.

    Returns
    -------
    array of uint8, shape (k,) or (n, k)
        Numbers; 0 for what takes no part.
    """
    return device.xp.ascontiguousarray(columns).view(device.xp.uint8)


def places_of(device: Device, place: DeviceArray, entries: DeviceArray | None) -> DeviceArray:
    """Return ranks of columns, or of the entries that take part.

    Parameters
    ----------
    device : Device
        Where to compute.
    place : array of int32, shape (k,)
        Rank of each column.
    entries : array of bool, shape (n, k), or None
        The entries that take part; None for all.

    Returns
    -------
    array of int32, shape (k,) or (n, k)
        Ranks; -1 for entries that take no part.
    """
    if entries is None:
        return place
    xp = device.xp
    return xp.ascontiguousarray(xp.where(entries, place, xp.int32(-1)))


def search_inputs(
    device: Device,
    target: DeviceArray,
    columns: DeviceArray,
    thresholds: Array,
    key: DeviceArray | None,
) -> Candidates:
    """Return what the kernels of a search work on.

    Parameters
    ----------
    device : Device
        Where to compute.
    target : array of float32, shape (n, k)
        What errors are measured on.
    columns : array of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : ndarray of float64, shape (c,)
        Candidates.
    key : array of float32, shape (n, k), or None
        What is cut; the magnitude of `target` by default.

    Returns
    -------
    Candidates
        What kernels need.
    """
    xp = device.xp
    magnitudes = xp.abs(target) if key is None else key
    entries = searches.Entries(target, magnitudes, numbers_of(device, columns))
    return Candidates(entries, xp.asarray(thresholds.astype(np.float32)), thresholds)
