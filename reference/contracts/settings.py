"""Settings of configurations
===========================

A configuration names the domain of each field: a Literal type or ``bool`` is its own domain;
the others are in ``DOMAINS`` of the class that has the field.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import (
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from subbit.reference.errors import (
    ArgumentError,
    check_config,
    check_count,
    check_pair,
    check_pattern,
)

from .kind import Call, Kind
from .room import REFERENCE, Arrays
from .scalars import Choice
from .shown import indented, shown


@dataclass(frozen=True)
class Maybe(Kind):
    """A setting, or None.

    Parameters
    ----------
    of : Kind
        The setting.
    """

    of: Kind

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return f"{self.of.describe()} or None"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check and return the setting."""
        return None if value is None else self.of.check(name, value, call)


@dataclass(frozen=True)
class Pattern(Kind):
    """N of each M."""

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "tuple of int"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the pair."""
        return check_pattern(name, value)


@dataclass(frozen=True)
class Range(Kind):
    """The smallest and the largest value of a count."""

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "tuple of int"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the pair."""
        low, high = check_pair(name, value)
        least = check_count(name, low, 0)
        return least, check_count(name, high, least)


def _defaults(kind: type) -> dict[str, tuple[Any, Any]]:
    """Return type and default of each field of a class that is no dataclass yet."""
    own = vars(kind)
    about = {"DOMAINS", "LATER"}
    names = [name for name in own.get("__annotations__", {}) if name not in about and name in own]
    return {name: (own["__annotations__"][name], own[name]) for name in names if name[0] != "_"}


S = TypeVar("S", bound="Switches")


class Switches:
    """A configuration, which prints only the settings that differ from the defaults.

    Examples
    --------
    >>> from subbit.reference import GPTQ
    >>> GPTQ(bits=3), GPTQ()
    (GPTQ(bits=3), GPTQ())
    """

    DOMAINS: ClassVar[Mapping[str, Kind]] = {}
    LATER: ClassVar[frozenset[str]] = frozenset()
    _GIVEN: ClassVar[Any] = inspect.Parameter.POSITIONAL_OR_KEYWORD
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        parameters = [
            inspect.Parameter(name, cls._GIVEN, default=default, annotation=kind)
            for name, (kind, default) in _defaults(cls).items()
        ]
        if parameters:
            cls.__signature__ = shown(inspect.Signature(parameters), cls.__name__)

    def __post_init__(self) -> None:
        """Check the settings against their domains."""
        check_settings(self)

    def __repr__(self) -> str:
        """Return the call that creates this configuration."""
        default = type(self)().switches()
        changed = [
            f"{name}={value!r}" for name, value in self.switches().items() if value != default[name]
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def switches(self) -> dict[str, Any]:
        """Return all settings by name, including those of parts.

        Returns
        -------
        dict of str to value
            The settings, those of parts first.

        Examples
        --------
        >>> from subbit.reference import STBLLM
        >>> STBLLM(keep=(2, 4)).switches()["keep"]
        (2, 4)
        """
        config: Any = self
        return {field.name: getattr(self, field.name) for field in fields(config)}

    def written(self) -> dict[str, Any]:
        """Return the settings that a file or a message has.

        Returns
        -------
        dict of str to value
            All settings but those in ``LATER`` that have their default: they were added after
            version 1 of the specification, whose files and ports do not know them.

        Examples
        --------
        >>> from subbit.reference import Loop
        >>> "column_feedback" in Loop().written(), "column_feedback" in Loop().switches()
        (False, True)
        """
        default, later = type(self)().switches(), later_settings(type(self))
        return {
            name: value
            for name, value in self.switches().items()
            if name not in later or value != default[name]
        }

    def part(self, kind: type[S]) -> S:
        """Return the part of a configuration that is of a class.

        Parameters
        ----------
        kind : type
            The class.

        Returns
        -------
        configuration
            The part, or the configuration itself.

        Raises
        ------
        TypeError
            If there is no such part.

        Examples
        --------
        >>> from subbit.reference import PBS2P, Partition
        >>> PBS2P().part(Partition).counts
        (1, 49)
        """
        if isinstance(self, kind):
            return self
        for value in vars(self).values():
            if isinstance(value, Switches):
                with suppress(TypeError):
                    return value.part(kind)
        message = f"{type(self).__name__} has no part {kind.__name__}"
        raise TypeError(message)

    def changed(self, **switches: Any) -> Self:  # noqa: ANN401  (each setting has its own type)
        """Return a configuration that differs in some settings.

        Parameters
        ----------
        **switches
            New settings, including those of parts, each by its own name.

        Returns
        -------
        configuration
            A configuration of the same class.

        Raises
        ------
        ArgumentError
            If a setting is unknown or lies outside its domain.

        Examples
        --------
        >>> from subbit.reference import PBS2P
        >>> PBS2P().changed(levels="exact", counts=(0, 49))
        PBS2P(counts=(0, 49), levels='exact')
        """
        config: Any = self
        _refuse_unknown(type(self), switches)
        return cast("Self", replace(config, **switches))


class Composed(Switches):
    """A configuration made of parts.

    A setting belongs to one part and is read there. It can be given by its own name, which
    no other part uses for anything else.

    Parameters
    ----------
    **switches
        Whole parts, and settings of this class and its parts by their own names.

    Raises
    ------
    ArgumentError
        If a setting is unknown or lies outside its domain, or if two parts share a setting
        but differ in its value.

    Examples
    --------
    >>> from subbit.reference import BiLLM
    >>> config = BiLLM(block_size=64, center=True)
    >>> config, config.loop.block_size
    (BiLLM(block_size=64, center=True), 64)
    """

    _GIVEN: ClassVar[Any] = inspect.Parameter.KEYWORD_ONLY

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        text = inspect.cleandoc(cls.__doc__ or "")
        for name, (_, part) in _defaults(cls).items():
            if isinstance(part, Switches):
                own = ", ".join(f"{key}={value!r}" for key, value in part.switches().items())
                below = re.compile(rf"^{name} : .*\n(?:    .*\n)+", re.MULTILINE)
                if found := below.search(text):
                    text = f"{text[: found.end()]}{indented(own)}.\n{text[found.end() :]}"
        cls.__doc__ = f"{text}\n"

    def __init__(self, **switches: Any) -> None:  # noqa: ANN401  (each setting has its own type)
        config: Any = self
        _refuse_unknown(type(config), switches)
        for field in fields(config):
            value = switches.get(field.name, field.default)
            if isinstance(value, Switches):
                kind: Any = type(value)
                own = {name: x for name, x in switches.items() if name in _names(kind)}
                value = value.changed(**own) if own else value
            object.__setattr__(self, field.name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check the settings against their domains, and parts against each other."""
        super().__post_init__()
        config: Any = self
        found: dict[str, Any] = {}
        for field in fields(config):
            part = getattr(self, field.name)
            if not isinstance(part, Switches):
                continue
            for name, value in part.switches().items():
                if found.setdefault(name, value) != value:
                    expected = f"one setting for all parts, such as {found[name]!r}"
                    raise ArgumentError(name, expected, repr(value))

    def switches(self) -> dict[str, Any]:
        """Return all settings by name, including those of parts.

        Returns
        -------
        dict of str to value
            The settings, those of parts first.
        """
        own = super().switches()
        inner = [part.switches() for part in own.values() if isinstance(part, Switches)]
        mine = {name: x for name, x in own.items() if not isinstance(x, Switches)}
        return {name: value for part in (*inner, mine) for name, value in part.items()}


def domains(kind: type) -> Mapping[str, Kind]:
    """Return the domain of each field of a configuration.

    Parameters
    ----------
    kind : type
        The configuration's class.

    Returns
    -------
    mapping of str to Kind
        Domain of each field.

    Raises
    ------
    TypeError
        If a field has no domain.

    Examples
    --------
    >>> from subbit.reference import GPTQ
    >>> domains(GPTQ)["bits"].most
    8
    """
    found: dict[str, Kind] = {}
    for field in fields(kind):
        part = _part(kind, field.name)
        found |= domains(part) if part else {field.name: _domain(kind, field.name)}
    return found


def later_settings(kind: type) -> frozenset[str]:
    """Return the settings of a configuration that version 1 of the specification does not have.

    Parameters
    ----------
    kind : type
        The configuration's class.

    Returns
    -------
    frozenset of str
        Their names.

    Examples
    --------
    >>> from subbit.reference import BiLLM
    >>> sorted(later_settings(BiLLM))
    ['column_feedback']
    """
    parts = (part for field in fields(kind) if (part := _part(kind, field.name)))
    own: frozenset[str] = vars(kind).get("LATER", frozenset())
    return own.union(*map(later_settings, parts))


@cache
def _part(kind: type, name: str) -> type | None:
    """Return the class of a field that is a configuration itself."""
    hint = get_type_hints(kind)[name]
    return hint if inspect.isclass(hint) and issubclass(hint, Switches) else None


@cache
def _names(kind: type) -> tuple[str, ...]:
    """Return the names that `kind` takes: its fields, and those of its parts."""
    parts = [part for field in fields(kind) if (part := _part(kind, field.name))]
    return (*(f.name for f in fields(kind)), *(name for part in parts for name in _names(part)))


def _refuse_unknown(kind: type, names: Iterable[str]) -> None:
    for name in names:
        if name not in _names(kind):
            known = ", ".join(sorted(domains(kind)))
            raise ArgumentError(
                name, f"a setting of {kind.__name__}, one of {known}", "no such one"
            )


@cache
def _domain(kind: type, name: str) -> Kind:
    hint = get_type_hints(kind)[name]
    if get_origin(hint) is Literal or hint is bool:
        return Choice((False, True) if hint is bool else get_args(hint))
    named: Mapping[str, Kind] = vars(kind).get("DOMAINS", {})
    if name not in named:
        message = f"{kind.__name__}.{name} has no domain"
        raise TypeError(message)
    return named[name]


def check_settings(config: Switches) -> None:
    """Check the fields of a configuration against their domains.

    Parameters
    ----------
    config : Switches
        The configuration.

    Raises
    ------
    ArgumentError
        If a field lies outside its domain.

    Examples
    --------
    >>> from subbit.reference import BiLLM
    >>> check_settings(BiLLM())
    """
    call, whole = Call({}, Arrays(), REFERENCE), cast("Any", config)
    kind: Any = type(whole)
    for name in (field.name for field in fields(whole)):
        value, part = getattr(whole, name), _part(kind, name)
        if part:
            check_config(value, part, name)
            continue
        taken = _domain(kind, name).check(name, value, call)
        if taken is not value:
            # NumPy numbers become Python's: they would overflow, and files cannot hold them.
            object.__setattr__(config, name, taken)
