"""Documentation of mirrored functions
===================================

The functions of this package have the names, the order and the signatures of the
reference, with the device in front. So their documentation is the reference's as well:
it is written once, there.
"""

import inspect
import re
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

_DEVICE = """Parameters
----------
device : Device
    Where to compute.
"""


def mirrors(original: Callable[..., object]) -> Callable[[F], F]:
    """Complete a docstring by the sections of the function that it mirrors.

    Parameters
    ----------
    original : callable
        The function of the reference.

    Returns
    -------
    callable
        A decorator; it keeps the summary and the function itself.

    Examples
    --------
    >>> from subbit.reference import sign
    >>> @mirrors(sign)
    ... def sign(device, x, zero=1):
    ...     '''Sign of each element.'''
    >>> sign.__doc__.splitlines()[4]
    'device : Device'
    """
    text = inspect.cleandoc(original.__doc__ or "")
    _, _, sections = text.partition("Parameters\n----------\n")
    sections, _, _ = sections.partition("\nExamples\n--------\n")
    sections = re.sub(r"ndarray of float64|array_like of float64", "array of float32", sections)

    def complete(function: F) -> F:
        function.__doc__ = f"{(function.__doc__ or '').strip()}\n\n{_DEVICE}{sections.strip()}\n"
        return function

    return complete
