"""Calls that a port declares
==========================

A port need not have every setting, nor take every size. Where its ``CAPABILITIES`` say so, a
call outside of them never reaches it: the case is *not compared (declared)*, which reports
count, and which is neither agreement nor a fault.

Arguments that the contract itself excludes do reach it, since it has to refuse them.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from subbit.conformance.capabilities import SIZES, Capabilities, as_setting
from subbit.conformance.protocol import PROTOCOL, Function
from subbit.conformance.target import Port, capabilities_of
from subbit.reference.contracts.kind import Call, Kind
from subbit.reference.contracts.room import REFERENCE, Arrays
from subbit.reference.contracts.scalars import Choice, Choices, Orders, Real, Share, Whole
from subbit.reference.contracts.settings import Switches, domains
from subbit.reference.errors import ArgumentError
from subbit.reference.records import PlaneNumber

ANY_FUNCTION = "*"
SCALARS = (Choice, Choices, Orders, PlaneNumber, Real, Share, Whole)
"""Kinds of arguments that are settings."""
_AXES: Mapping[str, str] = {
    "rows": "n",
    "columns": "kmd",
    "sequences": "N",
    "tokens": "LT",
    "candidates": "c",
}
"""Letters of contracts, by the size that they mean."""
_SIZE_OF = {letter: size for size in SIZES for letter in _AXES[size]}


class UndeclaredError(NotImplementedError):
    """A call outside of what the port declares."""


def within(port: Port) -> Port:
    """Return a port that only receives calls inside its declaration.

    Parameters
    ----------
    port : object
        The port.

    Returns
    -------
    object
        The port itself if it restricts nothing.

    Raises
    ------
    ArgumentError
        If the declaration names functions or settings that do not exist.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from subbit.reference import sign
    >>> port = SimpleNamespace(sign=sign, CAPABILITIES={"settings": {"sign": {"zero": [1]}}})
    >>> within(port).sign([0.0], 0)
    Traceback (most recent call last):
        ...
    subbit.conformance.declared.UndeclaredError: sign has zero 1, not 0
    """
    capabilities = capabilities_of(port)
    if not capabilities.restricted:
        return port
    _check_names(capabilities)
    return _Within(port, capabilities)


def _names(function: Function) -> set[str]:
    """Return the settings of a function: arguments, and switches of a configuration."""
    found: set[str] = set()
    for argument, kind in function.contract.kinds.items():
        config = getattr(kind, "of", None)
        if inspect.isclass(config) and issubclass(config, Switches):
            found |= domains(config).keys()
        elif isinstance(kind, SCALARS):
            found.add(argument)
    return found


def _check_names(capabilities: Capabilities) -> None:
    where = "CAPABILITIES['settings']"
    for name, settings in capabilities.settings.items():
        if name != ANY_FUNCTION and name not in PROTOCOL:
            raise ArgumentError(where, f"functions of the protocol or {ANY_FUNCTION!r}", repr(name))
        functions = PROTOCOL.values() if name == ANY_FUNCTION else [PROTOCOL[name]]
        known = {setting for function in functions for setting in _names(function)}
        for setting in settings:
            if setting not in known:
                expected = f"settings of {name}, which has {', '.join(sorted(known))}"
                raise ArgumentError(where, expected, repr(setting))


class _Within:
    """A port behind its declaration."""

    def __init__(self, port: Port, capabilities: Capabilities) -> None:
        self._port, self._capabilities = port, capabilities

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the port has)
        value = getattr(self._port, name)
        if name == "STRICT_TWIN":
            return functools.partial(self._strict_twin, value)
        if name not in PROTOCOL or not callable(value):
            return value

        @functools.wraps(value, updated=())
        def declared(*places: Any, **names: Any) -> Any:  # noqa: ANN401
            if said := next(_outside(name, self._capabilities, places, names), None):
                raise UndeclaredError(said)
            return value(*places, **names)

        return declared

    def _strict_twin(self, made: Callable[[int], tuple[Port, str]], seed: int) -> tuple[Port, str]:
        """Return the port's strict twin, behind the same declaration."""
        twin, how = made(seed)
        return _Within(twin, self._capabilities), how


def _outside(
    name: str, capabilities: Capabilities, places: tuple[Any, ...], names: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what the declaration excludes of a call."""
    function = PROTOCOL[name]
    try:
        bound = function.signature.bind(*places, **names)
    except TypeError:
        # A wrong call is the port's to refuse.
        return
    bound.apply_defaults()
    allowed = {
        setting: values
        for key in (ANY_FUNCTION, name)
        for setting, values in capabilities.settings.get(key, {}).items()
    }
    call = Call(dict(bound.arguments), Arrays(), REFERENCE)
    for argument, value in bound.arguments.items():
        kind = function.contract.kinds[argument]
        for size, length in _lengths(argument, kind, value):
            most = capabilities.sizes.get(size)
            if most is not None and length > most:
                yield f"{name} takes at most {most} {size}, not {length}"
        for setting, found in _settings(argument, kind, value):
            values = allowed.get(setting)
            if values and _valid(kind, argument, call) and not values.hold(as_setting(found)):
                yield f"{name} has {setting} {values}, not {found!r}"


def _settings(argument: str, kind: Kind, value: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401
    if isinstance(value, Switches):
        return value.switches().items()
    # A record may have the name of another function's setting.
    return [(argument, value)] if isinstance(kind, SCALARS) else []


def _valid(kind: Kind, argument: str, call: Call) -> bool:
    try:
        kind.check(argument, call.values[argument], call)
    except ArgumentError:
        return False
    return True


def _lengths(argument: str, kind: Kind, value: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401
    """Yield the sizes of an argument that is an array or a record."""
    if argument == "width" and isinstance(value, int):
        yield "columns", value
    shape = getattr(getattr(value, "mask", value), "shape", None)
    if not isinstance(shape, tuple):
        return
    axes = getattr(kind, "axes", ())
    if len(axes) != len(shape):
        axes = ("n", "k")[-len(shape) :] if len(shape) in {1, 2} else ()
    for axis, length in zip(axes, shape, strict=False):
        if axis in _SIZE_OF:
            yield _SIZE_OF[axis], length
