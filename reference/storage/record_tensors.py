"""Tensors of bits and numbers
===========================

Layer records are written to these tensors and read from them: parts are appended in an order
that a reader knows, bits follow one another without gaps, and only the end of a tensor is
padded.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import ArgumentError, SubbitError, is_whole
from subbit.reference.notation import AnyArray, Array

BIT_TENSORS = (
    "signs", "zero_signs", "codes", "level_map", "exponents", "group_map", "column_map",
    "pattern_map", "kept_map", "zero_points", "order",
)  # fmt: skip
VALUE_TENSORS = ("scales", "references", "means", "values")
Layout = dict[str, Any]
"""What a file says of a layer, a block or a group, as JSON."""


class RecordError(SubbitError, ValueError):
    """A file without valid layer records."""


def code_width(count: int) -> int:
    """Return the bits that tell `count` things apart.

    Parameters
    ----------
    count : int
        Number of things.

    Returns
    -------
    int
        ``⌈log2 count⌉``, and 0 for zero or one.

    Examples
    --------
    >>> [code_width(n) for n in (0, 1, 2, 3, 4, 5)]
    [0, 0, 1, 2, 2, 3]
    """
    return max(count - 1, 0).bit_length()


def whole_number(value: object) -> int:
    """Return a number of a layout, unless it is none or not whole.

    Parameters
    ----------
    value : object
        What a layout says.

    Returns
    -------
    int
        The number.

    Raises
    ------
    RecordError
        If it is something else, or negative.

    Examples
    --------
    >>> whole_number(3)
    3
    """
    if not is_whole(value) or value < 0:
        message = f"expected a whole number, got {str(value)[:40]}"
        raise RecordError(message)
    return int(value)


class Writer:
    """Collects a layer's tensors in the order in which a reader takes them."""

    def __init__(self) -> None:
        self.parts: dict[str, list[AnyArray]] = {}
        self.references: list[Array] = []
        """References of rows that are written already."""

    def put(self, tensor: str, values: AnyArray) -> None:
        """Append numbers, or bits, as they are.

        Parameters
        ----------
        tensor : str
            Name of the tensor.
        values : ndarray
            Numbers or bits, by rows.
        """
        self.parts.setdefault(tensor, []).append(np.ravel(values))

    def put_codes(self, tensor: str, values: AnyArray, width: int) -> None:
        """Append whole numbers of a fixed number of bits.

        Parameters
        ----------
        tensor : str
            Name of the tensor.
        values : ndarray of int
            Whole numbers, by rows.
        width : int
            Bits per number; if 0, nothing is written.
        """
        if width:
            whole = np.ravel(values).astype(np.int64)
            self.put(tensor, (whole[:, None] >> np.arange(width)) & 1 == 1)

    def put_values(self, tensor: str, values: Array, dtype: str) -> None:
        """Append floating-point numbers.

        Parameters
        ----------
        tensor : str
            Name of the tensor.
        values : ndarray of float64
            Numbers.
        dtype : str
            Type that has to represent them exactly.

        Raises
        ------
        ArgumentError
            If it does not.
        """
        with np.errstate(over="ignore"):
            stored = values.astype(dtype)
        if not np.array_equal(stored.astype(np.float64), values):
            expected = f"{tensor} that {dtype} holds exactly (see QuantizedLayer.with_scales)"
            raise ArgumentError("layer", expected, "others")
        self.put(tensor, stored)

    def tensors(self) -> dict[str, AnyArray]:
        """Return the collected tensors.

        Returns
        -------
        dict of str to ndarray
            Tensors by name, with bits packed into bytes.
        """
        joined = {name: np.concatenate(parts) for name, parts in self.parts.items()}
        return {
            name: np.packbits(values) if name in BIT_TENSORS else values
            for name, values in joined.items()
            if values.size
        }


class Reader:
    """Takes a layer's tensors apart, each from its beginning.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        Tensors from a writer.
    dtype : str
        Type of floating-point numbers.

    Raises
    ------
    RecordError
        If a tensor has an unknown name or the wrong type.
    """

    def __init__(self, tensors: Mapping[str, AnyArray], dtype: str) -> None:
        unknown = set(tensors) - {*BIT_TENSORS, *VALUE_TENSORS}
        wrong = [
            name
            for name, values in tensors.items()
            if values.ndim != 1 or values.dtype != (np.uint8 if name in BIT_TENSORS else dtype)
        ]
        if unknown or wrong:
            message = f"unknown or mistyped tensors {sorted(unknown) + wrong}"
            raise RecordError(message)
        self.references: list[Array] = []
        """References of rows that were taken already."""
        self.rest = {
            name: np.unpackbits(values).astype(np.bool_) if name in BIT_TENSORS else values
            for name, values in tensors.items()
        }

    def take(self, tensor: str, count: int) -> AnyArray:
        """Take numbers, or bits.

        Parameters
        ----------
        tensor : str
            Name of the tensor.
        count : int
            How many to take.

        Returns
        -------
        ndarray, shape (count,)
            The next values.

        Raises
        ------
        RecordError
            If too few are left.
        """
        values = self.rest.get(tensor, np.empty(0, dtype=np.bool_))
        if values.size < count:
            message = f"tensor {tensor} is too short"
            raise RecordError(message)
        self.rest[tensor] = values[count:]
        return values[:count]

    def take_codes(self, tensor: str, count: int, width: int) -> npt.NDArray[np.int64]:
        """Take whole numbers of a fixed number of bits.

        Parameters
        ----------
        tensor : str
            Name of the tensor.
        count : int
            How many to take.
        width : int
            Bits per number.

        Returns
        -------
        ndarray of int64, shape (count,)
            The numbers.

        Raises
        ------
        RecordError
            If too few are left.
        """
        bits = self.take(tensor, count * width).reshape(count, width)  # (count, width)
        codes: npt.NDArray[np.int64] = (bits.astype(np.int64) << np.arange(width)).sum(axis=1)
        return codes

    def take_values(self, tensor: str, count: int) -> Array:
        """Take floating-point numbers.

        Parameters
        ----------
        tensor : str
            Name of the tensor.
        count : int
            How many to take.

        Returns
        -------
        ndarray of float64, shape (count,)
            The numbers.

        Raises
        ------
        RecordError
            If too few are left, or one is not finite.
        """
        values = self.take(tensor, count).astype(np.float64)
        if not np.isfinite(values).all():
            message = f"tensor {tensor} holds NaN or infinite numbers"
            raise RecordError(message)
        return values

    def finish(self) -> None:
        """Check that no tensor holds more than was taken.

        Raises
        ------
        RecordError
            If one does.
        """
        for name, values in self.rest.items():
            if values.size >= (8 if name in BIT_TENSORS else 1) or values.any():
                message = f"tensor {name} is too long"
                raise RecordError(message)


class NullReader(Reader):
    """Returns zeros, for a group without entries."""

    def __init__(self) -> None:
        super().__init__({}, "float64")

    def take(self, _tensor: str, count: int) -> AnyArray:
        """Return zeros.

        Parameters
        ----------
        _tensor : str
            Name of the tensor.
        count : int
            How many to take.

        Returns
        -------
        ndarray, shape (count,)
            Zeros.
        """
        return np.zeros(count)
