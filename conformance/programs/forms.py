"""Values outside of Python
========================

Everything that a call carries, in JSON. A value is written by what it is, so no function needs a
format of its own:

======================================= ===================================================
value                                   form
======================================= ===================================================
nothing, flags, text                    ``null``, ``true``, ``"paper"``
whole numbers                           ``3``
other numbers                           ``0.5``, ``1.0``, ``{"real": "nan"}``
sequences                               ``[...]``
an array                                see :mod:`~subbit.conformance.programs.arrays`
a range of columns                      ``{"slice": [0, 128]}``
a record, such as a group               ``{"record": "Plane", "fields": {...}}``
a configuration, see ``written``        ``{"config": "GPTQ", "settings": {...}}``
a function of the caller's              ``{"callback": "c0"}``
an object that stays with the port      ``{"object": "o0"}``
a list where a tuple is due             ``{"list": [...]}``
anything else                           ``{"other": "what it is"}``
======================================= ===================================================

The last two are never valid: a port is given them to refuse them.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from math import isfinite, isnan
from typing import Any, get_args, get_type_hints

import numpy as np

from subbit import reference
from subbit.conformance.compare import on_host
from subbit.conformance.protocol import PROTOCOL
from subbit.reference.contracts.settings import Switches
from subbit.reference.errors import ArgumentError, SubbitError, seen

from .arrays import Tensors, has_form, real_of


def _parts(hint: Any) -> Iterator[type]:  # noqa: ANN401  (any annotation)
    """Iterate over the dataclasses in an annotation, and in their fields."""
    if inspect.isclass(hint) and is_dataclass(hint) and not issubclass(hint, Switches):
        yield hint
        for inner in get_type_hints(hint).values():
            yield from _parts(inner)
    for inner in get_args(hint):
        yield from _parts(inner)


def _records() -> dict[str, type]:
    answers = (f.contract.function.__annotations__.get("return") for f in PROTOCOL.values())
    found = {kind for answer in answers for kind in _parts(answer)} | {reference.Zone}
    return {kind.__name__: kind for kind in sorted(found, key=lambda kind: kind.__name__)}


def _configs() -> dict[str, type[Switches]]:
    named = (getattr(reference, name) for name in sorted(reference.__all__))
    found = {kind for kind in named if inspect.isclass(kind) and issubclass(kind, Switches)}
    kinds = (kind for f in PROTOCOL.values() for kind in f.contract.kinds.values())
    found |= {of for kind in kinds if (of := getattr(kind, "of", None)) and _is_config(of)}
    return {kind.__name__: kind for kind in sorted(found, key=lambda kind: kind.__name__)}


def _is_config(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Switches)


RECORDS: Mapping[str, type] = _records()
"""Records that functions take and return, by name."""
CONFIGS: Mapping[str, type[Switches]] = _configs()
"""Configurations, by name."""


class FormError(SubbitError):
    """A form that cannot be read."""


class Other:
    """Something that has no form of its own.

    Parameters
    ----------
    text : str
        What it is.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Handle:
    """An object that stays with the port.

    Parameters
    ----------
    name : str
        The name that the port knows it by.
    """

    name: str


@dataclass
class Codec:
    """Writes and reads the values of one message.

    Parameters
    ----------
    tensors : Tensors
        Arrays beside the message.
    callbacks : dict of str to callable
        Functions that the message names.
    call : callable, optional
        ``call(name)`` returns a function for the one that a message names.

    Examples
    --------
    >>> from subbit.reference import GPTQ
    >>> codec = Codec()
    >>> codec.write((1, 0.5, slice(0, 4)))
    [1, 0.5, {'slice': [0, 4]}]
    >>> codec.read(codec.write(GPTQ(bits=3)))
    GPTQ(bits=3)
    """

    tensors: Tensors = field(default_factory=Tensors)
    callbacks: dict[str, Callable[..., Any]] = field(default_factory=dict)
    call: Callable[[str], Callable[..., Any]] | None = None

    def write(self, value: Any) -> Any:  # noqa: ANN401
        """Write a value.

        Parameters
        ----------
        value : object
            The value.

        Returns
        -------
        object
            Its form, as JSON holds it.
        """
        if hasattr(value, "dtype"):
            return self._write_array(value)
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return _real(value)
        if isinstance(value, tuple | list | Iterator):
            return [self.write(item) for item in value]
        return self._write_object(value)

    def _write_array(self, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, np.generic):
            return self.write(value.item()) if value.dtype.kind in "biuf" else _other(value)
        array = value if isinstance(value, np.ndarray) else on_host(value)
        return self.tensors.put(array) if has_form(array) else _other(array)

    def _write_object(self, value: Any) -> Any:  # noqa: ANN401
        kind = type(value)
        if isinstance(value, slice):
            ends = [value.start, value.stop] + ([] if value.step is None else [value.step])
            return {"slice": [self.write(end) for end in ends]}
        if CONFIGS.get(kind.__name__) is kind:
            settings = {name: self.write(x) for name, x in value.written().items()}
            return {"config": kind.__name__, "settings": settings}
        if RECORDS.get(kind.__name__) is kind:
            named = {f.name: self.write(getattr(value, f.name)) for f in fields(value)}
            return {"record": kind.__name__, "fields": named}
        if isinstance(value, Handle):
            return {"object": value.name}
        if callable(value):
            name = f"c{len(self.callbacks)}"
            self.callbacks[name] = value
            return {"callback": name}
        return _other(value)

    def read(self, form: Any) -> Any:  # noqa: ANN401
        """Read a value.

        Parameters
        ----------
        form : object
            Its form.

        Returns
        -------
        object
            The value; a sequence is a tuple.

        Raises
        ------
        FormError
            If there is no such form.
        """
        try:
            return self._read(form)
        except ArgumentError as error:
            raise FormError(str(error)) from error

    def _read(self, form: Any) -> Any:  # noqa: ANN401
        if isinstance(form, list):
            return tuple(self._read(item) for item in form)
        if not isinstance(form, dict):
            return form
        if "dtype" in form:
            return self.tensors.take(form)
        for tag, reader in _READERS.items():
            if tag in form:
                return reader(self, form)
        raise FormError(f"form: expected one of dtype, {', '.join(_READERS)}, got {sorted(form)}")

    def _read_slice(self, form: Mapping[str, Any]) -> slice:
        ends = form["slice"]
        if not isinstance(ends, list) or len(ends) not in {2, 3}:
            raise ArgumentError("slice", "its two ends", ends)
        return slice(*(self._read(end) for end in ends))

    def _read_record(self, form: Mapping[str, Any]) -> Any:  # noqa: ANN401
        kind: Any = _named(form, "record", RECORDS)
        given = _mapping(form, "fields")
        known = {f.name for f in fields(kind)}
        if given.keys() != known:
            said = ", ".join(sorted(given)) or "none"
            raise ArgumentError(form["record"], f"the fields {', '.join(sorted(known))}", said)
        return kind(**{name: self._read(value) for name, value in given.items()})

    def _read_config(self, form: Mapping[str, Any]) -> Switches:
        kind = _named(form, "config", CONFIGS)
        return kind(**{name: self._read(x) for name, x in _mapping(form, "settings").items()})

    def _read_callback(self, form: Mapping[str, Any]) -> Callable[..., Any]:
        if self.call is None:
            raise ArgumentError("callback", "none here", form["callback"])
        return self.call(form["callback"])


def _mapping(form: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = form.get(key)
    if not isinstance(found, dict):
        raise ArgumentError(key, "an object", found)
    return found


def _named(form: Mapping[str, Any], tag: str, known: Mapping[str, type]) -> Any:  # noqa: ANN401
    if form[tag] not in known:
        raise ArgumentError(tag, "one of " + ", ".join(known), form[tag])
    return known[form[tag]]


def _real(value: float) -> Any:  # noqa: ANN401
    if isfinite(value):
        return float(value)
    return {"real": "nan" if isnan(value) else "inf" if value > 0 else "-inf"}


def _other(value: object) -> dict[str, str]:
    return {"other": value.text if isinstance(value, Other) else seen(value)}


_READERS: Mapping[str, Callable[[Codec, Mapping[str, Any]], Any]] = {
    "real": lambda _, form: real_of(form),
    "slice": Codec._read_slice,  # noqa: SLF001
    "record": Codec._read_record,  # noqa: SLF001
    "config": Codec._read_config,  # noqa: SLF001
    "callback": Codec._read_callback,  # noqa: SLF001
    "object": lambda _, form: Handle(str(form["object"])),
    "list": lambda codec, form: [codec.read(item) for item in form["list"]],
    "other": lambda _, form: Other(str(form["other"])),
}
