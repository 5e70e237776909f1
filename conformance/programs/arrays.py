"""Arrays outside of Python
========================

An array is a JSON object with its ``dtype``, in the names of safetensors, its ``shape``, and its
elements by rows, in one of three ways:

=========== ====================================================================
``base64``  little-endian bytes
``data``    a flat list of numbers, or of true and false
``tensor``  the name of a tensor in the safetensors file that goes with the message
=========== ====================================================================
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from subbit.reference.errors import ArgumentError
from subbit.reference.notation import AnyArray

DTYPES: Mapping[str, str] = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Types by their names in safetensors."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_WAYS = ("base64", "data", "tensor")
INLINE = 4096
"""Bytes of the largest array that is written into a message, unless its reader says otherwise."""


@dataclass
class Tensors:
    """Arrays that go with a message.

    Parameters
    ----------
    inline : int, default 4096
        Bytes of the largest array that is written into the message itself.
    outside : dict of str to ndarray
        All other arrays, by the names that the message has for them.
    """

    inline: int = INLINE
    outside: dict[str, AnyArray] = field(default_factory=dict)

    def put(self, array: AnyArray) -> dict[str, Any]:
        """Write an array.

        Parameters
        ----------
        array : ndarray
            The array, of a type in :data:`DTYPES`.

        Returns
        -------
        dict
            Its form. What is too large for it is in `outside`.

        Examples
        --------
        >>> Tensors().put(np.array([[True, False]]))
        {'dtype': 'BOOL', 'shape': [1, 2], 'base64': 'AQA='}
        """
        dtype = _NAMES[array.dtype.name]
        form = {"dtype": dtype, "shape": list(array.shape)}
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        plain = plain.reshape(array.shape)
        if array.nbytes <= self.inline:
            return form | {"base64": base64.b64encode(plain.tobytes()).decode("ascii")}
        name = f"a{len(self.outside)}"
        self.outside[name] = plain
        return form | {"tensor": name}

    def take(self, form: Mapping[str, Any]) -> AnyArray:
        """Read an array.

        Parameters
        ----------
        form : mapping
            Its form.

        Returns
        -------
        ndarray
            The array.

        Raises
        ------
        ArgumentError
            If the form is not one of an array.

        Examples
        --------
        >>> Tensors().take({"dtype": "I8", "shape": [2], "data": [1, -1]})
        array([ 1, -1], dtype=int8)
        """
        dtype, shape = _dtype(form), _shape(form)
        ways = [way for way in _WAYS if way in form]
        if len(ways) != 1 or len(form) != len(ways) + 2:
            raise ArgumentError(
                "array", "dtype, shape and one of " + ", ".join(_WAYS), sorted(form)
            )
        array = getattr(self, f"_from_{ways[0]}")(form[ways[0]], dtype)
        if array.size != prod(shape):
            raise ArgumentError("array", f"{prod(shape)} elements for shape {shape}", array.size)
        return array.reshape(shape)

    def _from_tensor(self, name: object, dtype: np.dtype[Any]) -> AnyArray:
        if not isinstance(name, str) or name not in self.outside:
            known = ", ".join(self.outside) or "none"
            raise ArgumentError(
                "tensor", f"a tensor of the message's file, which has {known}", name
            )
        array = self.outside[name]
        if array.dtype != dtype:
            raise ArgumentError("tensor", f"{name} of type {dtype}", array.dtype)
        return array

    @staticmethod
    def _from_base64(text: object, dtype: np.dtype[Any]) -> AnyArray:
        try:
            data = base64.b64decode(str(text), validate=True)
            return np.frombuffer(data, dtype=dtype.newbyteorder("<")).astype(dtype)
        except (binascii.Error, ValueError) as error:
            raise ArgumentError("base64", f"bytes of {dtype}", str(error)) from error

    @staticmethod
    def _from_data(numbers: object, dtype: np.dtype[Any]) -> AnyArray:
        if not isinstance(numbers, list):
            raise ArgumentError("data", "a flat list", numbers)
        exact = all(isinstance(x, bool | int) for x in numbers)
        if not exact and dtype.kind != "f":
            raise ArgumentError("data", f"elements of {dtype}", "others")
        try:
            array = np.array([_number(x) for x in numbers], dtype=dtype)
        except (OverflowError, TypeError, ValueError) as error:
            raise ArgumentError("data", f"a flat list of {dtype}", str(error)) from error
        if array.ndim != 1:
            raise ArgumentError("data", "a flat list", f"{array.ndim} axes")
        return array


def _number(form: object) -> object:
    """Return an element of a list; those that JSON has no number for are objects."""
    return real_of(form) if isinstance(form, dict) else form


REALS: Mapping[str, float] = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
"""Numbers that JSON does not have."""


def real_of(form: Mapping[str, Any]) -> float:
    """Read a number that JSON does not have.

    Parameters
    ----------
    form : mapping
        ``{"real": "nan"}``, ``"inf"`` or ``"-inf"``.

    Returns
    -------
    float
        The number.

    Raises
    ------
    ArgumentError
        If it is another one.

    Examples
    --------
    >>> real_of({"real": "-inf"})
    -inf
    """
    name = form.get("real")
    if len(form) != 1 or not isinstance(name, str) or name not in REALS:
        raise ArgumentError("real", "one of " + ", ".join(REALS), dict(form))
    return REALS[name]


def _dtype(form: Mapping[str, Any]) -> np.dtype[Any]:
    name = form.get("dtype")
    if not isinstance(name, str) or name not in DTYPES:
        raise ArgumentError("dtype", "one of " + ", ".join(DTYPES), name)
    return np.dtype(DTYPES[name])


def _shape(form: Mapping[str, Any]) -> tuple[int, ...]:
    shape = form.get("shape")
    if not isinstance(shape, list) or not all(type(x) is int and x >= 0 for x in shape):
        raise ArgumentError("shape", "a list of lengths", shape)
    return tuple(shape)


def has_form(array: AnyArray) -> bool:
    """Tell whether an array's type has a name in :data:`DTYPES`.

    Parameters
    ----------
    array : ndarray
        The array.

    Returns
    -------
    bool
        False for complex numbers, text and objects, for matrices and masked arrays.

    Examples
    --------
    >>> has_form(np.array([1j])), has_form(np.array([1]))
    (False, True)
    """
    return type(array) is np.ndarray and array.dtype.name in _NAMES
