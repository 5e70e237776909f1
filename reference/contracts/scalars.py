"""Kinds of arguments: scalars and settings
========================================

Scalars are described by their domains.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from subbit.reference.errors import (
    LARGEST,
    ArgumentError,
    check_choice,
    check_count,
    check_real,
    check_share,
)

from .kind import Call, Kind

MOST_SIZE = 2**31 - 1
"""A larger size can only be a mistake."""


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few settings.

    Parameters
    ----------
    options : tuple
        The settings.
    """

    options: tuple[Any, ...]

    def describe(self) -> str:
        """Return the type as written in documentation."""
        if set(self.options) == {False, True} and isinstance(self.options[0], bool):
            return "bool"
        return "{" + ", ".join(map(repr, self.options)) + "}"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the setting."""
        return check_choice(name, value, self.options)


@dataclass(frozen=True)
class Choices(Kind):
    """Several of a few settings, each once.

    Parameters
    ----------
    options : tuple
        The settings.
    """

    options: tuple[Any, ...]

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "tuple of {" + ", ".join(map(repr, self.options)) + "}"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the settings."""
        if not isinstance(value, tuple) or not value:
            raise ArgumentError(name, f"a {self.describe()}", value)
        for one in value:
            check_choice(name, one, self.options)
        if len(set(value)) < len(value):
            raise ArgumentError(name, "different settings", value)
        return value


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number.

    Parameters
    ----------
    least : int or str, default 1
        The smallest value, or the argument that gives it.
    most : int or str, default 2147483647
        The largest value, or the argument that gives it.
    """

    least: int | str = 1
    most: int | str = MOST_SIZE
    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "int"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Check and return the number."""

        def end(limit: int | str) -> int | None:
            if isinstance(limit, str):
                given = call.values[limit]
                return None if given is None else check_count(limit, given, 0)
            return limit

        return check_count(name, value, end(self.least) or 0, end(self.most))


@dataclass(frozen=True)
class Real(Kind):
    """A finite number.

    Parameters
    ----------
    least, most : float
        The range, inclusive.
    """

    least: float = -LARGEST
    most: float = LARGEST

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "float"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the number."""
        return check_real(name, value, self.least, self.most)


@dataclass(frozen=True)
class Share(Kind):
    """A number from 0 to 1.

    Parameters
    ----------
    below : bool, default False
        Whether 1 itself is rejected.
    """

    below: bool = False

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "float"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the share."""
        return check_share(name, value, below=self.below)


@dataclass(frozen=True)
class Text(Kind):
    """A name."""

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "str"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the name."""
        if not isinstance(value, str):
            raise ArgumentError(name, "a name", value)
        return value


@dataclass(frozen=True)
class Orders(Kind):
    """Orders of several zones.

    Parameters
    ----------
    number : int
        Number of zones.
    most : int, default 64
        The highest order.
    """

    number: int
    most: int = 64

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "tuple of int"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the orders."""
        if not isinstance(value, tuple) or len(value) != self.number:
            raise ArgumentError(name, f"{self.number} whole numbers", value)
        return tuple(check_count(name, order, 1, self.most) for order in value)


def choice(literal: Any, text: str) -> Choice:  # noqa: ANN401
    """Describe a choice among the settings of a Literal type.

    Parameters
    ----------
    literal : type
        The type, or bool.
    text : str
        Its meaning.

    Returns
    -------
    Choice
        The kind.

    Examples
    --------
    >>> choice(bool, "Whether it rains.").options
    (False, True)
    """
    return Choice((False, True) if literal is bool else get_args(literal), text=text)
