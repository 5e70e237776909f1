"""Memory that nothing was written to
==================================

On a GPU such memory holds whatever was there before; on the host it is often zero, which is
often the correct answer. So the simulated device fills it, in arrays from `empty`, in local
memory and in registers: a floating-point number is NaN, an integer is one that nothing
counts to, a boolean is false in every second place. Shared memory is not left to this:
reading it before it is written is an error.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

_BYTES = bytes([0xA5, 0xA5, 0xA5, 0xFF, 0xA5, 0xA5, 0xFF, 0xFF])
"""From the lowest: NaN as one float64 and as two float32."""
_LAST = 0x5A
"""Highest byte of an integer of several: one below zero may stand for something left out."""


def unwritten(dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return what a register holds, read as some type.

    Parameters
    ----------
    dtype : dtype
        The type.

    Returns
    -------
    ndarray, shape (1,)
        Bits that are NaN in float32 and float64; true for a predicate. It is read-only.

    Examples
    --------
    >>> unwritten(np.float32), unwritten(np.uint32).view(np.float32)
    (array([nan], dtype=float32), array([nan], dtype=float32))
    """
    return _read_as(np.dtype(dtype))


@cache
def _read_as(kind: np.dtype[Any]) -> npt.NDArray[Any]:
    if kind == np.bool_:
        found = np.ones(1, kind)
        found.setflags(write=False)
        return found
    return np.frombuffer(_BYTES[: kind.itemsize], kind)


def unwritten_bytes(rows: int, length: int) -> npt.NDArray[np.uint8]:
    """Return rows of bytes, whatever they are read as.

    Parameters
    ----------
    rows, length : int
        How many, and the bytes of each.

    Returns
    -------
    ndarray of uint8, shape (rows * length,)
        The bytes.

    Examples
    --------
    >>> unwritten_bytes(2, 8).view(np.float32)
    array([nan, nan, nan, nan], dtype=float32)
    """
    return np.tile(np.resize(np.frombuffer(_BYTES, np.uint8), length), rows)


def fill(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Fill an array with what unwritten memory holds.

    Parameters
    ----------
    array : ndarray
        The array.

    Returns
    -------
    ndarray
        The same array.

    Examples
    --------
    >>> fill(np.zeros(3, dtype=bool)), fill(np.zeros(1, dtype=np.int32))
    (array([ True, False,  True]), array([1520805285], dtype=int32))
    """
    if array.dtype.kind in "iu":
        size = array.dtype.itemsize
        pattern = bytes([0xA5]) if size == 1 else bytes([0xA5] * (size - 1) + [_LAST])
        array[...] = np.frombuffer(pattern, array.dtype)[0]
    else:
        array[...] = np.nan if array.dtype.kind == "f" else True
    if array.dtype == np.bool_:
        array.flat[1::2] = False
    return array


class Unwritten:
    """NumPy's functions, but that `empty` and `empty_like` return arrays which look unwritten.

    Examples
    --------
    >>> Unwritten().empty(2)
    array([nan, nan])
    """

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever NumPy has)
        return getattr(np, name)

    @staticmethod
    def empty(*places: Any, **names: Any) -> npt.NDArray[Any]:  # noqa: ANN401
        """Return a new array.

        Parameters
        ----------
        *places, **names
            As for NumPy's function.

        Returns
        -------
        ndarray
            The array, filled by :func:`fill`.
        """
        return fill(np.empty(*places, **names))

    @staticmethod
    def empty_like(*places: Any, **names: Any) -> npt.NDArray[Any]:  # noqa: ANN401
        """Return a new array of the shape and type of another one.

        Parameters
        ----------
        *places, **names
            As for NumPy's function.

        Returns
        -------
        ndarray
            The array, filled by :func:`fill`.
        """
        return fill(np.empty_like(*places, **names))


NUMPY = Unwritten()
"""The namespace of the simulated device."""
