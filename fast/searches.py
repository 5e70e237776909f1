"""Kernels of searches and splits
==============================

One function for each kernel. Arrays of the device in, arrays of the device out; nothing
is checked and nothing waits: what a search chooses is an array with one element, for the
next kernel to read. What a kernel computes stands at the head of its file.
"""

from collections.abc import Callable

import numpy as np

from .arrays import DeviceArray, exponent, scaled
from .device import Device
from .launch import BLOCK, held, kernel, over_rows

CONCENTRATED, SPARSE, SALIENT = 1, 2, 3
"""Groups of entries; 0 is none."""

OTHER = 1
"""Code of columns that are split; salient ones have `SALIENT`, dead ones 0."""

# Errors of candidates and rows that are kept at a time; only searches over every breakpoint
# have so many candidates that they need several launches.
_ERRORS = 1 << 24


def _objectives(
    device: Device,
    n: int,
    candidates: DeviceArray,
    errors_of: Callable[[DeviceArray, DeviceArray], None],
) -> DeviceArray:
    xp, c = device.xp, len(candidates)
    objective = xp.empty(c, dtype=xp.float32)
    step = max(1, _ERRORS // n)
    for start in range(0, c, step):
        part = candidates[start : start + step]
        errors = xp.empty((len(part), n), dtype=xp.float32)
        errors_of(part, errors)
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
        Where to run.
    target : array of float32, shape (n, k)
        What errors are measured on.
    place : array of int32, shape (k,)
        Rank of each column, -1 for those that take no part.
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
        Squared errors, in units of ``4**power``.
    power : array of int32, shape ()
        The power of two that `target` was divided by.
    """
    n, k = target.shape
    power = exponent(device, target)
    values = scaled(device, target, -power)
    which = kernel("salient_search.cu", "salient_errors", HELD=held(k), ORDERS=max(orders))
    switches = (*(np.int32(x) for x in (n, k, *orders, center)), np.float32(sign_zero))

    def errors_of(part: DeviceArray, errors: DeviceArray) -> None:
        over_rows(device, which, n, (values, place, part, *switches, errors), len(part))

    return _objectives(device, n, counts, errors_of), power


def split_objectives(
    device: Device,
    target: DeviceArray,
    key: DeviceArray,
    codes: DeviceArray,
    thresholds: DeviceArray,
    *,
    center: bool,
    sign_zero: int,
    closed: bool,
) -> tuple[DeviceArray, DeviceArray]:
    """Launch ``split_errors`` and ``sum_rows``.

    Parameters
    ----------
    device : Device
        Where to run.
    target : array of float32, shape (n, k)
        What errors are measured on.
    key : array of float32, shape (n, k)
        What is cut.
    codes : array of uint8, shape (k,)
        Columns that take part have 1.
    thresholds : array of float32, shape (c,)
        Candidates.
    center : bool
        Whether row means are subtracted.
    sign_zero : {1, 0}
        The sign of zero.
    closed : bool
        Whether an entry at the threshold is concentrated.

    Returns
    -------
    objective : array of float32, shape (c,)
        Squared errors, in units of ``4**power``.
    power : array of int32, shape ()
        The power of two that `target` was divided by.
    """
    n, k = target.shape
    power = exponent(device, target)
    values = scaled(device, target, -power)
    which = kernel("split_search.cu", "split_errors", HELD=held(k), ORDERS=1)
    switches = (np.int32(n), np.int32(k), np.int32(center), np.float32(sign_zero), np.int32(closed))

    def errors_of(part: DeviceArray, errors: DeviceArray) -> None:
        over_rows(device, which, n, (values, key, codes, part, *switches, errors), len(part))

    return _objectives(device, n, thresholds, errors_of), power


def first_minimum(device: Device, objective: DeviceArray) -> DeviceArray:
    """Launch ``first_minimum``.

    Parameters
    ----------
    device : Device
        Where to run.
    objective : array of float32, shape (c,)
        Squared errors.

    Returns
    -------
    array of int32, shape (1,)
        Position of the first of the least.
    """
    best = device.xp.empty(1, dtype=device.xp.int32)
    which = kernel("reduce.cu", "first_minimum")
    device.launch(which, 1, BLOCK, (objective, np.int32(len(objective)), best))
    return best


def mark(device: Device, place: DeviceArray, counts: DeviceArray, best: DeviceArray) -> DeviceArray:
    """Launch ``mark_columns``.

    Parameters
    ----------
    device : Device
        Where to run.
    place : array of int32, shape (k,)
        Rank of each column, -1 for those that take no part.
    counts : array of int32, shape (c,)
        Candidates.
    best : array of int32, shape (1,)
        Position of the chosen one.

    Returns
    -------
    array of uint8, shape (k,)
        `SALIENT`, `OTHER` or 0.
    """
    k = len(place)
    codes = device.xp.empty(k, dtype=device.xp.uint8)
    args = (place, counts, best, np.int32(k), codes)
    device.launch(kernel("split.cu", "mark_columns"), -(-k // BLOCK), BLOCK, args)
    return codes


def cut(
    device: Device,
    key: DeviceArray,
    codes: DeviceArray,
    thresholds: DeviceArray,
    best: DeviceArray,
    *,
    closed: bool,
) -> DeviceArray:
    """Launch ``bell_split``.

    Parameters
    ----------
    device : Device
        Where to run.
    key : array of float32, shape (n, k)
        What is cut.
    codes : array of uint8, shape (k,)
        Columns that are split have `OTHER`; others hand their code to their entries.
    thresholds : array of float32, shape (c,)
        Candidates.
    best : array of int32, shape (1,)
        Position of the chosen one.
    closed : bool
        Whether an entry at the threshold is concentrated.

    Returns
    -------
    array of uint8, shape (n, k)
        `CONCENTRATED`, `SPARSE`, `SALIENT` or 0.
    """
    n, k = key.shape
    group = device.xp.empty((n, k), dtype=device.xp.uint8)
    args = (key, codes, thresholds, best, np.int32(n), np.int32(k), np.int32(closed), group)
    over_rows(device, kernel("split.cu", "bell_split"), n, args)
    return group
