"""What a port says about itself
=============================

The attribute ``CAPABILITIES`` of a port is a mapping. All of it can be written in JSON, so a port
in another language can declare the same.

============ =============================================================================
``dtype``    type that it computes in: ``"float16"``, ``"float32"`` or ``"float64"``
``lanes``    partial sums that a row is split into before they are added
``depth``    depths of its sums, by kind; see
             :class:`~subbit.reference.bounds.rounding.Arithmetic`. A depth is a function of
             the number n of terms, or in JSON ``{"base": a, "per_term": b, "per_doubling": c}``
             for ``a + b n + c log2 n``, rounded up; what is left out is 0
``stored``   type that numbers of a record are rounded to, by what they are: ``"scales"``,
             ``"means"``
``sizes``    the most ``"rows"``, ``"columns"``, ``"sequences"``, ``"tokens"`` and
             ``"candidates"`` that it takes
``settings`` settings that it has, by function, ``"*"`` for all: for each setting the values,
             or ``{"least": a, "most": b}``
``device``   where it computes, for example ``"simulated"`` or ``"cuda"``
``versions`` names and versions of what it is built with, for reports
============ =============================================================================

What is not declared is not restricted; a key that is not in the table is refused, since it
is most likely a spelling mistake that would be taken for silence.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Any, TypeAlias

from subbit.reference.bounds.rounding import STORED, TYPES, Arithmetic
from subbit.reference.errors import ArgumentError, check_choice, check_count, check_real

_ENDS = ("least", "most")
_FORMULA = ("base", "per_term", "per_doubling")
SIZES = ("rows", "columns", "sequences", "tokens", "candidates")


@dataclass(frozen=True)
class Values:
    """Settings that a port has: some values, or a range.

    Parameters
    ----------
    options : tuple, optional
        The values; lists count as tuples.
    least, most : float, optional
        The range, inclusive, where there are no options.
    """

    options: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None

    def hold(self, value: Any) -> bool:  # noqa: ANN401  (any setting)
        """Tell whether a value is among them.

        Parameters
        ----------
        value : object
            A setting.

        Returns
        -------
        bool
            Whether the port has it.

        Examples
        --------
        >>> Values((1,)).hold(True), Values(least=1, most=2).hold(2)
        (False, True)
        """
        if self.options:
            return any(type(value) is type(one) and value == one for one in self.options)
        low = self.least is None or value >= self.least
        return low and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        if self.options:
            return " or ".join(map(repr, self.options))
        ends = (("at least", self.least), ("at most", self.most))
        return " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)


Settings: TypeAlias = Mapping[str, Mapping[str, Values]]


@dataclass(frozen=True)
class Capabilities:
    """A checked declaration.

    Parameters
    ----------
    arithmetic : Arithmetic
        How the port computes and stores.
    sizes : mapping of str to int
        Largest sizes.
    settings : mapping of str to mapping of str to Values
        Settings that it has, by function.
    device : str
        Where it computes; empty if it does not say.
    versions : mapping of str to str
        What it is built with.
    """

    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    sizes: Mapping[str, int] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)
    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def restricted(self) -> bool:
        """Whether it excludes any call."""
        return bool(self.sizes or self.settings)


def _mapping(value: Any, expected: str) -> Mapping[str, Any]:  # noqa: ANN401
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ArgumentError("", expected, repr(value))
    return value


def _keyed(value: Any, keys: Iterable[str], expected: str) -> Mapping[str, Any]:  # noqa: ANN401
    for key in (found := _mapping(value, expected)):
        check_choice("", key, keys)
    return found


def _text(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise ArgumentError("", "text", repr(value))
    return value


def _depths(value: Any) -> Mapping[str, Callable[[int], int]]:  # noqa: ANN401
    found: dict[str, Callable[[int], int]] = {}
    for kind, depth in _mapping(value, "depths of sums by kind").items():
        try:
            found[kind] = _formula(depth) if isinstance(depth, Mapping) else depth
            check_count("", found[kind](8), 0)
        # Foreign code, or no function at all.
        except Exception as error:
            expected = f"a depth for each number of terms for {kind!r}"
            raise ArgumentError("", expected, f"{depth!r} ({error})") from error
    return found


def _formula(given: Mapping[str, Any]) -> Callable[[int], int]:
    """Return the depth that a formula gives."""
    parts = _keyed(given or None, _FORMULA, "a formula with " + ", ".join(_FORMULA))
    base, per_term, per_doubling = (check_real("", parts.get(key, 0), 0.0) for key in _FORMULA)
    return lambda terms: ceil(base + per_term * terms + per_doubling * log2(max(terms, 1)))


def _stored(value: Any) -> Mapping[str, str]:  # noqa: ANN401
    found = _keyed(value, STORED, "types by what is stored")
    return {kind: check_choice("", dtype, TYPES) for kind, dtype in found.items()}


def _sizes(value: Any) -> Mapping[str, int]:  # noqa: ANN401
    found = _keyed(value, SIZES, "numbers by size")
    return {size: check_count("", most) for size, most in found.items()}


def _versions(value: Any) -> Mapping[str, str]:  # noqa: ANN401
    found = _mapping(value, "versions by name")
    return {name: _text(version) for name, version in found.items()}


def as_setting(value: Any) -> Any:  # noqa: ANN401
    """Return a setting as configurations hold it.

    Parameters
    ----------
    value : object
        A setting, perhaps read from JSON.

    Returns
    -------
    object
        The same, with tuples for lists.

    Examples
    --------
    >>> as_setting([4, 8])
    (4, 8)
    """
    return tuple(map(as_setting, value)) if isinstance(value, list | tuple) else value


def _values(value: Any) -> Values:  # noqa: ANN401
    if isinstance(value, list | tuple) and value:
        return Values(tuple(map(as_setting, value)))
    if isinstance(value, Mapping) and value:
        ends = _keyed(value, _ENDS, "a range")
        least, most = (None if end is None else check_real("", end) for end in map(ends.get, _ENDS))
        return Values((), least, most)
    raise ArgumentError("", 'a list of values, or {"least": a, "most": b}', repr(value))


def _settings(value: Any) -> Settings:  # noqa: ANN401
    found = _mapping(value, "settings by function")
    return {
        function: {name: _values(one) for name, one in _mapping(own, "values by setting").items()}
        for function, own in found.items()
    }


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "dtype": lambda value: check_choice("", value, TYPES),
    "lanes": lambda value: check_count("", value),
    "depth": _depths,
    "stored": _stored,
    "sizes": _sizes,
    "settings": _settings,
    "device": _text,
    "versions": _versions,
}
KEYS = tuple(_READERS)


def read_capabilities(declared: object) -> Capabilities:
    """Check what a port declares.

    Parameters
    ----------
    declared : mapping or None
        Its ``CAPABILITIES``; None is a port that declares nothing.

    Returns
    -------
    Capabilities
        The declaration.

    Raises
    ------
    ArgumentError
        If it is no mapping, has a key that is not known, or a value that is not allowed.

    Examples
    --------
    >>> read_capabilities({"dtype": "float32", "sizes": {"columns": 64}}).sizes
    {'columns': 64}
    >>> read_capabilities([])
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: CAPABILITIES: expected a mapping, got []
    """
    if declared is None:
        return Capabilities()
    if not isinstance(declared, Mapping):
        raise ArgumentError("CAPABILITIES", "a mapping", repr(declared))
    for key in declared:
        if key not in KEYS:
            raise ArgumentError("CAPABILITIES", "keys among " + ", ".join(KEYS), repr(key))
    read = {key: _read(key, value) for key, value in declared.items()}
    own = {name: read[name] for name in ("sizes", "settings", "device", "versions") if name in read}
    return Capabilities(_arithmetic(read), **own)


def in_json(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a declaration, if JSON can hold it.

    Parameters
    ----------
    declared : mapping
        A port's ``CAPABILITIES``.

    Returns
    -------
    dict
        The same.

    Raises
    ------
    ArgumentError
        If a depth is a function.

    Examples
    --------
    >>> in_json({"lanes": 4})
    {'lanes': 4}
    """
    try:
        json.dumps(dict(declared), allow_nan=False)
    except (TypeError, ValueError) as error:
        expected = "what JSON can hold, with depths as formulas"
        raise ArgumentError("CAPABILITIES", expected, str(error)) from error
    return dict(declared)


def _read(key: str, value: Any) -> Any:  # noqa: ANN401
    try:
        return _READERS[key](value)
    except ArgumentError as error:
        raise ArgumentError(f"CAPABILITIES[{key!r}]", error.expected, error.came) from error


def _arithmetic(read: Mapping[str, Any]) -> Arithmetic:
    try:
        return Arithmetic.of(read)
    except ArgumentError as error:
        # What the readers cannot know: the kinds of sums.
        raise ArgumentError("CAPABILITIES['depth']", error.expected, error.came) from error
