"""Mirrored functions
==================

The functions of this package have the names, the order and the signatures of the
reference, with the device in front. Their documentation is the reference's too, written
once, there. The same holds for their arguments: the reference's contract is checked at
the door, and arrays come in as arrays of the device.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from subbit.reference.contracts.door import with_door
from subbit.reference.contracts.room import Arrays, Room, Shape
from subbit.reference.contracts.shown import shown
from subbit.reference.errors import as_array
from subbit.reference.notation import AnyArray

from .device import Device
from .launches.arrays import DeviceArray, mask, matrix, on_device, to_host

FAST = Room("fast")
F = TypeVar("F", bound=Callable[..., object])


class DeviceArrays(Arrays):
    """Conversion of array arguments to contiguous arrays of the device.

    Parameters
    ----------
    device : Device
        The device.
    """

    def __init__(self, device: Device) -> None:
        self.device = device

    def numbers(self, name: str, value: Any, shape: Shape) -> DeviceArray:  # noqa: ANN401
        """Return finite numbers as float32, or raise an error."""
        return matrix(self.device, name, value, shape=shape)

    def flags(self, name: str, value: Any, shape: tuple[int, ...]) -> DeviceArray:  # noqa: ANN401
        """Return a boolean array, or raise an error."""
        return mask(self.device, name, value, shape)

    def host(self, name: str, value: Any) -> AnyArray:  # noqa: ANN401
        """Return an array of small numbers on the host."""
        return as_array(name, to_host(value) if on_device(self.device, value) else value)


_DEVICE = """Parameters
----------
device : Device
    Device to compute on.
"""


def mirrors(original: Callable[..., object]) -> Callable[[F], F]:
    """Give a function the contract and the documentation of the one it mirrors.

    Parameters
    ----------
    original : callable
        The function of the reference.

    Returns
    -------
    callable
        A decorator; it keeps the summary.

    Examples
    --------
    >>> from subbit.reference import sign
    >>> @mirrors(sign)
    ... def sign(device, x, zero=1):
    ...     '''Sign of each element.'''
    >>> sign.__doc__.splitlines()[6]
    'device : Device'
    """
    text = inspect.cleandoc(original.__doc__ or "")
    head, _, sections = text.partition("Parameters\n----------\n")
    _, _, equations = head.partition("\n\n")
    sections, _, _ = sections.partition("\nExamples\n--------\n")
    sections = re.sub(r"ndarray of float64|array_like of float64", "array of float32", sections)

    def complete(function: F) -> F:
        summary = inspect.cleandoc(function.__doc__ or "").rstrip()
        function.__doc__ = f"{summary}\n\n{equations}{_DEVICE}{sections.strip()}\n"
        terms = original.contract  # type: ignore[attr-defined]
        made = with_door(function, terms, FAST, DeviceArrays, skip=1)
        answer = terms.signature.return_annotation
        signature = inspect.signature(function).replace(return_annotation=answer)
        made.__signature__ = shown(signature, function.__name__)  # type: ignore[attr-defined]
        return made

    return complete
