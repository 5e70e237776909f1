"""Arrays in and out
=================

Arguments are NumPy arrays, or anything NumPy accepts, or arrays of the device; they are
checked against the reference's rules and become contiguous float32 arrays of the device. The
range of float32 is a rule of this package alone: a number beyond it is refused.
"""

from typing import Any, TypeAlias

import numpy as np

from subbit.fast.device import Device
from subbit.reference.errors import ArgumentError, check_mask, check_matrix
from subbit.reference.notation import AnyArray

DeviceArray: TypeAlias = Any
"""An array of the device's namespace: numpy.ndarray or cupy.ndarray."""


def to_host(x: DeviceArray) -> AnyArray:
    """Return an array of any device as a NumPy array.

    Parameters
    ----------
    x : array
        Array of NumPy or of the device.

    Returns
    -------
    ndarray
        The same values; the same array if it already is one.
    """
    return np.asarray(x.get() if hasattr(x, "get") else x)


def on_device(device: Device, value: object) -> bool:
    """Return whether a value is an array in the memory of a device.

    Parameters
    ----------
    device : Device
        The device.
    value : object
        An argument.

    Returns
    -------
    bool
        False for NumPy arrays and everything that only NumPy accepts.
    """
    kind = device.xp.ndarray
    return kind is not np.ndarray and isinstance(value, kind)


def _check_there(xp: Any, argument: str, value: DeviceArray, shape: tuple[int | None, ...]) -> None:  # noqa: ANN401
    # Shape and dtype are checked on an array without memory; then the numbers, on the device.
    check_matrix(argument, np.broadcast_to(np.zeros((), value.dtype), value.shape), shape=shape)
    bad = value.size - int(xp.count_nonzero(xp.isfinite(value)))
    if bad:
        raise ArgumentError(argument, "finite numbers", f"{bad} of {value.size} NaN or infinite")


def matrix(
    device: Device, argument: str, value: object, *, shape: tuple[int | None, ...] = (None, None)
) -> DeviceArray:
    """Return `value` as a finite float32 array of the device, of the expected shape.

    Parameters
    ----------
    device : Device
        Device to place the array on.
    argument : str
        Name to put in the error.
    value : array_like or array of the device
        Real numbers.
    shape : tuple of int or None, default (None, None)
        Expected lengths; None stands for any length of at least one.

    Returns
    -------
    array of float32
        Contiguous; it may be the caller's own array.

    Raises
    ------
    ArgumentError
        As :func:`subbit.reference.errors.check_matrix` does, and for numbers beyond the
        range of float32.
    """
    xp = device.xp
    if on_device(device, value):
        _check_there(xp, argument, value, shape)
        source = value
    else:
        source = check_matrix(argument, value, shape=shape)  # type: ignore[arg-type]
    with np.errstate(over="ignore"):
        result = xp.ascontiguousarray(xp.asarray(source, dtype=xp.float32))
    if not bool(xp.isfinite(result).all()):
        raise ArgumentError(argument, "numbers within the range of float32", "larger ones")
    return result


def mask(device: Device, argument: str, value: object, shape: tuple[int, ...]) -> DeviceArray:
    """Return `value` as a boolean array of the device; None means all True.

    Parameters
    ----------
    device : Device
        Device to place the array on.
    argument : str
        Name to put in the error.
    value : array_like of bool, array of the device, or None
        The mask.
    shape : tuple of int
        Expected shape.

    Returns
    -------
    array of bool, shape `shape`
        Contiguous.

    Raises
    ------
    ArgumentError
        If the shape or the dtype differs.
    """
    xp = device.xp
    if on_device(device, value):
        there: Any = value
        check_mask(argument, np.broadcast_to(np.zeros((), there.dtype), there.shape), shape)
        return xp.ascontiguousarray(there)
    return xp.ascontiguousarray(xp.asarray(check_mask(argument, value, shape)))  # type: ignore[arg-type]


def needed(argument: str, value: DeviceArray | None, width: int) -> DeviceArray:
    """Return an optional Gram matrix where a configuration needs it.

    Parameters
    ----------
    argument : str
        Name to put in the error.
    value : array of float32, shape (k, k), or None
        The matrix.
    width : int
        Its size k.

    Returns
    -------
    array of float32, shape (k, k)
        The matrix.

    Raises
    ------
    ArgumentError
        If it is None.
    """
    if value is None:
        raise ArgumentError(argument, f"a matrix of shape {(width, width)}", "None")
    return value


def exponent(device: Device, x: DeviceArray) -> DeviceArray:
    """Return the power of two above the largest magnitude.

    Parameters
    ----------
    device : Device
        Device that holds `x`.
    x : array of float32, any shape
        Values.

    Returns
    -------
    array of int32, shape ()
        ``e`` with ``max|x| <= 2**e``; it stays on the device.
    """
    xp = device.xp
    return xp.frexp(xp.max(xp.abs(x)))[1]


def scaled(device: Device, x: DeviceArray, power: DeviceArray | int) -> DeviceArray:
    """Multiply by a power of two, without rounding.

    Parameters
    ----------
    device : Device
        Device that holds `x`.
    x : array of float32, any shape
        Values.
    power : int or array of int32, shape ()
        The power.

    Returns
    -------
    array of float32
        ``x * 2**power``. Squares of values scaled to at most 1 stay within float32.
    """
    return device.xp.ldexp(x, power)
