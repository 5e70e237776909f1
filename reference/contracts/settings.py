"""Settings of configurations
===========================

A configuration names the domain of each field: a Literal type or ``bool`` says it by itself,
the others stand in ``DOMAINS`` of the class that has the field.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from subbit.reference.errors import check_count, check_pair, check_pattern

from .kind import Call, Kind
from .room import REFERENCE, Arrays
from .scalars import Choice

PARAMETERS = "Parameters\n----------\n"


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
        """Return the type as documentation writes it."""
        return f"{self.of.describe()} or None"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the setting, or refuse."""
        return None if value is None else self.of.check(name, value, call)


@dataclass(frozen=True)
class Pattern(Kind):
    """N of each M."""

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "tuple of int"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return the pair, or refuse."""
        return check_pattern(name, value)


@dataclass(frozen=True)
class Range(Kind):
    """The least and the most of a count."""

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "tuple of int"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return the pair, or refuse."""
        low, high = check_pair(name, value)
        least = check_count(name, low, 0)
        return least, check_count(name, high, least)


_FIELD = re.compile(r"(?m)^(\w+) : (.*(?:\n(?:    .*)?(?=\n|$))*)")


class Switches:
    """A configuration, which prints as the settings that are not the default.

    A class documents the fields that it adds; those of its bases are documented there, and
    are put in front with the class's own defaults.

    Examples
    --------
    >>> from subbit.reference import GPTQ
    >>> GPTQ(bits=3), GPTQ()
    (GPTQ(bits=3), GPTQ())
    """

    _documented: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        text = inspect.cleandoc(cls.__doc__ or "")
        head, title, rest = text.partition(PARAMETERS)
        own, gap, rest = rest.partition("\n\n")
        known: dict[str, str] = {}
        for base in reversed(cls.__mro__[1:]):
            known |= vars(base).get("_documented", {})
        cls._documented = known | dict(_FIELD.findall(own))
        listed = "\n".join(
            f"{name} : {_with_default(said, vars(cls).get(name, _SAME))}"
            for name, said in cls._documented.items()
        )
        cls.__doc__ = head + (title or f"\n\n{PARAMETERS}") + listed + gap + rest + "\n"

    def __repr__(self) -> str:
        config: Any = self
        values = {f.name: getattr(self, f.name) for f in fields(config)}
        changed = [
            f"{f.name}={values[f.name]!r}" for f in fields(config) if values[f.name] != f.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


_SAME = object()


def _with_default(said: str, value: object) -> str:
    kind, _, text = said.partition("\n")
    if value is not _SAME:
        kind = f"{kind.partition(', default ')[0]}, default {value!r}"
    return f"{kind}\n{text}"


def domains(kind: type) -> Mapping[str, Kind]:
    """Return the domain of each field of a configuration.

    Parameters
    ----------
    kind : type
        The configuration's class.

    Returns
    -------
    mapping of str to Kind
        By field.

    Raises
    ------
    TypeError
        If a field has none.

    Examples
    --------
    >>> from subbit.reference import GPTQ
    >>> domains(GPTQ)["bits"].most
    8
    """
    named: dict[str, Kind] = {}
    for base in reversed(kind.__mro__):
        named |= vars(base).get("DOMAINS", {})
    hints = get_type_hints(kind)
    found = {}
    for field in fields(kind):
        hint = hints[field.name]
        if get_origin(hint) is Literal or hint is bool:
            options = (False, True) if hint is bool else get_args(hint)
            named[field.name] = Choice(options)
        if field.name not in named:
            message = f"{kind.__name__}.{field.name} has no domain"
            raise TypeError(message)
        found[field.name] = named[field.name]
    return found


def check_settings(config: object) -> None:
    """Hold the fields of a configuration to their domains.

    Parameters
    ----------
    config : dataclass
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
    call = Call({}, Arrays(), REFERENCE)
    for name, kind in domains(type(config)).items():
        value = getattr(config, name)
        taken = kind.check(name, value, call)
        if taken is not value:
            # Numbers of NumPy become Python's: they would overflow, and no file takes them.
            object.__setattr__(config, name, taken)
