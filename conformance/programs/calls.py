"""Calls outside of Python
=======================

What a call carries follows from the contract of its function. A call is complete: all arguments
are there, by name, and what was left out has its default. Arrays come in one type for each kind
of argument, by rows, without gaps: numbers as F64, masks as BOOL, whole numbers as I64. An array
that does not hold such values is passed as it is, so that the port can refuse it.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_origin

import numpy as np

from subbit import reference
from subbit.conformance.compare import on_host
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import (
    Flags,
    Numbers,
    Part,
    Several,
    Spread,
    Tokens,
    Values,
    WholeNumbers,
)
from subbit.reference.errors import ArgumentError, HessianError, SubbitError
from subbit.reference.notation import AnyArray
from subbit.reference.records import HalfSteps

from .forms import Codec, FormError

_REAL = (Numbers, Spread, Tokens, Values, Several)
_ARRAYS = (*_REAL, Flags, Part, WholeNumbers)
_SEQUENCES = (Several, HalfSteps)
SELF = "self"


def methods_of(name: str) -> dict[str, Any]:
    """Return what an object of the protocol has: methods, and properties.

    Parameters
    ----------
    name : str
        A class of the protocol.

    Returns
    -------
    dict of str to callable or property
        By name.

    Examples
    --------
    >>> sorted(methods_of("HessianAccumulator"))
    ['add', 'count', 'hessian']
    """
    own = vars(getattr(reference, name)).items()
    return {key: x for key, x in own if not key.startswith("_")}


METHODS: Mapping[str, Any] = {
    f"{name}.{key}": value for name in sorted(CLASSES) for key, value in methods_of(name).items()
}
"""What an object can be asked, as ``Class.method``."""


def _signature(function: str) -> inspect.Signature:
    if function in PROTOCOL:
        return PROTOCOL[function].signature
    method: Any = METHODS[function]
    function_of: Any = method.fget if isinstance(method, property) else method
    return inspect.signature(function_of)


def _plain(array: AnyArray, dtype: type) -> AnyArray:
    """Return an array in another type, if that has all of its numbers."""
    with np.errstate(invalid="ignore", over="ignore"):
        other: AnyArray = array.astype(dtype)
        same = np.array_equal(other.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")
    return other if same else array


def _array(kind: Kind, value: Any) -> Any:  # noqa: ANN401
    """Return an argument that is an array in the type of its kind."""
    if isinstance(value, list | tuple):
        try:
            # A ragged list stays a list.
            value = np.array(value)
        except ValueError:
            return value
    if not isinstance(value, np.ndarray) or type(value) is not np.ndarray:
        return value
    if isinstance(kind, _REAL) and value.dtype.kind in "iuf":
        return _plain(value, np.float64)
    if isinstance(kind, WholeNumbers) and value.dtype.kind in "iu":
        return _plain(value, np.int64)
    return value


def _argument(kind: Kind | None, value: Any, codec: Codec) -> Any:  # noqa: ANN401
    if hasattr(value, "dtype") and not isinstance(value, np.ndarray | np.generic):
        value = on_host(value)
    if isinstance(kind, Several) and isinstance(value, list | tuple):
        return [codec.write(_array(kind, part)) for part in value]
    if kind is None or isinstance(kind, _ARRAYS):
        return codec.write(_array(kind or Values(), value))
    if isinstance(value, list) and not isinstance(kind, _SEQUENCES):
        return {"list": [codec.write(item) for item in value]}
    return codec.write(value)


def write_call(
    function: str, places: tuple[Any, ...], names: Mapping[str, Any], codec: Codec
) -> dict[str, Any]:
    """Write the arguments of a call.

    Parameters
    ----------
    function : str
        A function of the protocol, or ``Class.method``.
    places, names : tuple and mapping
        Arguments by place and by name.
    codec : Codec
        Writes values.

    Returns
    -------
    dict
        The form of every argument, by name.

    Raises
    ------
    TypeError
        If the function does not take such arguments.

    Examples
    --------
    >>> write_call("block_slices", (5,), {"block_size": 2}, Codec())
    {'width': 5, 'block_size': 2}
    """
    bound = _signature(function).bind(*places, **names)
    bound.apply_defaults()
    kinds = PROTOCOL[function].contract.kinds if function in PROTOCOL else {}
    return {
        name: codec.write(value) if name == SELF else _argument(kinds.get(name), value, codec)
        for name, value in bound.arguments.items()
    }


def read_call(function: str, forms: Mapping[str, Any], codec: Codec) -> dict[str, Any]:
    """Read the arguments of a call.

    Parameters
    ----------
    function : str
        A function of the protocol, or ``Class.method``.
    forms : mapping
        The form of every argument, by name.
    codec : Codec
        Reads values.

    Returns
    -------
    dict
        Arguments by name.

    Raises
    ------
    FormError
        If arguments are missing or unknown, or a form cannot be read.

    Examples
    --------
    >>> read_call("block_slices", {"width": 5, "block_size": 2}, Codec())
    {'width': 5, 'block_size': 2}
    """
    known = _signature(function).parameters.keys()
    if forms.keys() != known:
        said = ", ".join(forms) or "none"
        raise FormError(f"{function}: expected the arguments {', '.join(known)}, got {said}")
    return {name: codec.read(form) for name, form in forms.items()}


def _annotation(function: str) -> Any:  # noqa: ANN401
    if function in PROTOCOL:
        return PROTOCOL[function].contract.function.__annotations__.get("return")
    return None


def read_answer(function: str, form: Any, codec: Codec) -> Any:  # noqa: ANN401
    """Read the answer to a call.

    Parameters
    ----------
    function : str
        A function of the protocol, or ``Class.method``.
    form : object
        The form of the answer.
    codec : Codec
        Reads values.

    Returns
    -------
    object
        The answer. A number that stands without a fraction where a real one is due is a real
        one; half steps are an iterator.

    Raises
    ------
    FormError
        If the form cannot be read.

    Examples
    --------
    >>> read_answer("weight_error", 2, Codec())
    2.0
    """
    value, wanted = codec.read(form), _annotation(function)
    if wanted is float and type(value) is int:
        return float(value)
    if get_origin(wanted) is Iterator:
        return iter(value)
    return value


class ProgramError(SubbitError):
    """An error that a program reported, other than a refusal."""


_ERRORS: Mapping[str, type[Exception]] = {
    "memory": MemoryError,
    "value": ValueError,
    "type": TypeError,
    "other": ProgramError,
}
"""Errors other than refusals, by the names that programs have for them."""
_REFUSALS: Mapping[str, Callable[..., ArgumentError]] = {
    "hessian": HessianError,
    "argument": ArgumentError,
}


def write_error(error: BaseException) -> dict[str, Any]:
    """Write what a function raised.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    dict
        Its form: ``kind``, and ``argument``, ``expected`` and ``got`` of a refusal, or
        ``message``.

    Examples
    --------
    >>> write_error(ArgumentError("W", "finite numbers", "NaN"))
    {'kind': 'argument', 'argument': 'W', 'expected': 'finite numbers', 'got': 'NaN'}
    """
    if isinstance(error, ArgumentError):
        kind = "hessian" if isinstance(error, HessianError) else "argument"
        refused = {"argument": error.argument, "expected": error.expected, "got": str(error.came)}
        return {"kind": kind} | refused
    kinds = (name for name, kind in _ERRORS.items() if isinstance(error, kind))
    kind = next(kinds, "other")
    plain = kind != "other" or isinstance(error, ProgramError)
    return {"kind": kind, "message": f"{'' if plain else f'{type(error).__name__}: '}{error}"}


def read_error(form: Mapping[str, Any]) -> Exception:
    """Read what a function raised.

    Parameters
    ----------
    form : mapping
        Its form.

    Returns
    -------
    Exception
        The error.

    Raises
    ------
    FormError
        If there is no such form.

    Examples
    --------
    >>> read_error({"kind": "argument", "argument": "W", "expected": "numbers", "got": "NaN"})
    ArgumentError('W: expected numbers, got NaN')
    """
    kind = str(form.get("kind"))
    if all(isinstance(text, str) for text in form.values()):
        if kind in _REFUSALS and form.keys() == {"kind", "argument", "expected", "got"}:
            return _REFUSALS[kind](form["argument"], form["expected"], form["got"])
        if kind in _ERRORS and form.keys() == {"kind", "message"}:
            return _ERRORS[kind](form["message"])
    kinds = ", ".join((*_REFUSALS, *_ERRORS))
    raise FormError(f"error: expected a kind among {kinds} with its texts, got {dict(form)}")
