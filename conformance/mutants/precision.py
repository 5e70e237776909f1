"""Ports that compute in fewer bits than they declare
==================================================

The reference, with arrays that round: their numbers keep the exponents of float64 and a
mantissa of fewer bits. A port may round what it is given, everything that it computes, or
only what it compares and sorts; in each of these it declares a type with more bits, and its
decisions then are those of another matrix.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import everywhere
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.reference.contracts.room import REFERENCE, Arrays
from subbit.reference.notation import AnyArray

Where: TypeAlias = Literal["arguments", "throughout", "decisions"]
"""What is rounded: what a function is given, every result, or what is compared and sorted."""
WHERE: tuple[Where, ...] = ("arguments", "throughout", "decisions")

COMPARED = frozenset({"greater", "greater_equal", "less", "less_equal", "rint", "floor", "round"})
SORTED = frozenset(
    {"argsort", "sort", "argmin", "argmax", "partition", "argpartition", "lexsort", "searchsorted"}
)


def rounded(x: AnyArray, bits: int) -> AnyArray:
    """Round numbers to a mantissa of some bits.

    Parameters
    ----------
    x : ndarray of float64, any shape
        Numbers.
    bits : int
        Bits after the leading one.

    Returns
    -------
    ndarray of float64, shape of `x`
        The nearest numbers of that precision, of any exponent.

    Examples
    --------
    >>> rounded(np.array([1.0 + 2.0**-11, 1.0 + 2.0**-10, 3.0]), 10).tolist()
    [1.0, 1.0009765625, 3.0]
    """
    mantissa, exponent = np.frexp(np.asarray(x, dtype=np.float64))
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, bits + 1)), exponent - bits - 1))


class Coarse(np.ndarray[Any, Any]):
    """An array whose operations round; :attr:`bits` and :attr:`where` say how."""

    bits: int = 52
    where: Where = "throughout"

    def __array_finalize__(self, of: Any) -> None:  # noqa: ANN401
        """Round as the array it was made from."""
        self.bits, self.where = getattr(of, "bits", 52), getattr(of, "where", "throughout")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **switches: Any) -> Any:  # noqa: ANN401
        """Compute in float64, and round."""
        compares = self.where == "decisions" and ufunc.__name__ in COMPARED
        given = [self._taken(x, rounds=compares) for x in inputs]
        out = switches.pop("out", None)
        if out is not None:
            switches["out"] = tuple(_plain(x) for x in out)
        made = getattr(ufunc, method)(*given, **switches)
        if out is not None:
            for x in switches["out"]:
                if x.dtype.kind == "f":
                    x[...] = self._rounded(x)
            return out[0] if len(out) == 1 else out
        return tuple(map(self._like, made)) if isinstance(made, tuple) else self._like(made)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Sort and solve in float64, and round."""
        if self.where == "decisions" and function.__name__ in SORTED:
            args = tuple(self._taken(x, rounds=True) for x in args)
            kwargs = {name: self._taken(x, rounds=True) for name, x in kwargs.items()}
            return function(*args, **kwargs)
        made = super().__array_function__(function, types, args, kwargs)
        return self._like(made) if isinstance(made, np.ndarray | np.floating) else made

    def _taken(self, x: Any, *, rounds: bool) -> Any:  # noqa: ANN401
        plain = _plain(x)
        floating = getattr(plain, "dtype", np.dtype(bool)).kind == "f" or isinstance(x, float)
        return rounded(plain, self.bits) if rounds and floating else plain

    def _rounded(self, x: AnyArray) -> AnyArray:
        return rounded(x, self.bits) if self.where == "throughout" else x

    def _like(self, x: Any) -> Any:  # noqa: ANN401
        if getattr(x, "dtype", np.dtype(bool)).kind != "f":
            return x
        return coarse(self._rounded(np.asarray(x)), self.bits, self.where)


def _plain(x: Any) -> Any:  # noqa: ANN401
    return x.view(np.ndarray) if isinstance(x, Coarse) else x


def coarse(x: Any, bits: int, where: Where) -> Any:  # noqa: ANN401
    """Return an array that rounds.

    Parameters
    ----------
    x : ndarray
        Numbers; arrays of whole numbers and flags are returned as they are.
    bits : int
        Bits of the mantissa.
    where : {"arguments", "throughout", "decisions"}
        What is rounded.

    Returns
    -------
    Coarse or ndarray
        The array.
    """
    if x.dtype.kind != "f":
        return x
    if where == "arguments":
        return rounded(x, bits)
    made = (rounded(x, bits) if where == "throughout" else x).view(Coarse)
    made.bits, made.where = bits, where
    return made


class _Kept:
    """NumPy, with conversions that keep arrays that round."""

    def __init__(self, change: Callable[[AnyArray], Any]) -> None:
        self._change = change

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(np, name)

    def asarray(self, x: Any, *places: Any, **names: Any) -> Any:  # noqa: ANN401
        return np.asanyarray(x, *places, **names)

    def array(self, x: Any, *places: Any, **names: Any) -> Any:  # noqa: ANN401
        return self._change(np.array(x, *places, **names))

    def zeros(self, *places: Any, **names: Any) -> Any:  # noqa: ANN401
        """Return an array for numbers that are put together, such as a layer's blocks."""
        return self._change(np.zeros(*places, **names))


@contextmanager
def numpy_replaced(other: Any) -> Iterator[None]:  # noqa: ANN401
    """Let the modules of the reference, all but its bounds, use another NumPy.

    Parameters
    ----------
    other : object
        What takes its place.

    Yields
    ------
    None
        While it does.
    """
    home = f"{reference.__name__}."
    left = (f"{home}bounds", f"{home}contracts", f"{home}errors")
    modules = [
        module
        for name, module in tuple(sys.modules.items())
        if name.startswith(home) and not name.startswith(left) and hasattr(module, "np")
    ]
    for module in modules:
        vars(module)["np"] = other
    try:
        yield
    finally:
        for module in modules:
            vars(module)["np"] = np


def _coarsely(name: str, bits: int, where: Where) -> Callable[..., Any]:
    function: Any = getattr(reference, name)
    terms = PROTOCOL[name].contract
    change = functools.partial(coarse, bits=bits, where=where)

    @functools.wraps(function)
    def computed(*places: Any, **names: Any) -> Any:  # noqa: ANN401
        given = terms.checked(places, names, Arrays(), REFERENCE)
        given = {key: everywhere(change)(value) for key, value in given.items()}
        with numpy_replaced(_Kept(change)), REFERENCE.inside():
            made = terms.function(**given)
            made = list(made) if isinstance(made, Iterator) else made
        return everywhere(_plain)(made)

    return computed


def coarse_port(bits: int, where: Where, capabilities: Mapping[str, Any]) -> SimpleNamespace:
    """Return the reference in fewer bits than it declares, or in as many.

    Parameters
    ----------
    bits : int
        Bits of the mantissa after the leading one: 10 for float16 and TF32, 23 for float32.
    where : {"arguments", "throughout", "decisions"}
        What is rounded.
    capabilities : mapping
        What the port declares.

    Returns
    -------
    SimpleNamespace
        The port.

    Examples
    --------
    >>> port = coarse_port(10, "arguments", {"dtype": "float32"})
    >>> float(port.weight_error([[1.0]], [[2.0**-12]])).hex()[:6]
    '0x1.ff'
    """
    honest = {name: getattr(reference, name) for name in reference.__all__}
    computed = {name: _coarsely(name, bits, where) for name in PROTOCOL if name not in CLASSES}
    return SimpleNamespace(**honest | computed, CAPABILITIES=dict(capabilities))
