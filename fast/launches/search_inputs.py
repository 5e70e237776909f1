"""What a search of thresholds works on
====================================

The form into which the searches of :mod:`split` and :mod:`trisection` bring their arguments.
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
        The block; entries that take part have the number 1.
    cuts : array of float32, shape (c,)
        The thresholds.
    given : ndarray of float64, shape (c,)
        The thresholds as given.
    """

    entries: searches.Entries
    cuts: DeviceArray
    given: Array


def numbers_of(device: Device, columns: DeviceArray) -> DeviceArray:
    """Number the columns or entries that take part with 1.

    Parameters
    ----------
    device : Device
        Device to compute on.
    columns : array of bool, shape (k,) or (n, k)
        The columns, or the entries.

    Returns
    -------
    array of uint8, shape (k,) or (n, k)
        Numbers; 0 for the others.
    """
    return device.xp.ascontiguousarray(columns).view(device.xp.uint8)


def places_of(device: Device, place: DeviceArray, entries: DeviceArray | None) -> DeviceArray:
    """Return ranks of columns, or of the entries that take part.

    Parameters
    ----------
    device : Device
        Device to compute on.
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
    """Return the inputs of a search's kernels.

    Parameters
    ----------
    device : Device
        Device to compute on.
    target : array of float32, shape (n, k)
        Values that errors are measured on.
    columns : array of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : ndarray of float64, shape (c,)
        Candidates.
    key : array of float32, shape (n, k), or None
        Values that are cut; the magnitude of `target` by default.

    Returns
    -------
    Candidates
        The inputs.
    """
    xp = device.xp
    magnitudes = xp.abs(target) if key is None else key
    entries = searches.Entries(target, magnitudes, numbers_of(device, columns))
    return Candidates(entries, xp.asarray(thresholds.astype(np.float32)), thresholds)
