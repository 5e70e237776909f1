"""Kinds of arguments: records and configurations
================================================

A record that a caller made is held to all that its fields promise, so that a function never
computes with signs that are none or with a scale that is NaN.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .contracts.door import Call, Kind, Shape
from .errors import ArgumentError, check_choice, check_config, check_matrix
from .layer import BinaryGroup, Plane


def _check_plane(name: str, plane: Any, group: BinaryGroup) -> None:  # noqa: ANN401
    if not isinstance(plane, Plane):
        raise ArgumentError(name, "planes that are each a Plane", plane)
    n, k = group.mask.shape
    signs: Any = plane.sign
    if not isinstance(signs, np.ndarray) or signs.dtype != np.int8 or signs.shape != (n, k):
        raise ArgumentError(name, f"signs in an int8 array of shape {(n, k)}", _seen(signs))
    if np.any(np.abs(signs) > group.mask):
        raise ArgumentError(name, "signs of -1, 0 or +1 that are 0 outside the mask", "others")
    check_matrix(f"{name}.row_scale", plane.row_scale, shape=(n,))
    if plane.column_scale is not None:
        check_matrix(f"{name}.column_scale", plane.column_scale, shape=(k,))


def _seen(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"a {type(value).__name__}"


def check_group(name: str, group: object) -> BinaryGroup:
    """Return a binary group whose fields fit each other, or refuse.

    Parameters
    ----------
    name : str
        Name of the argument.
    group : object
        What came.

    Returns
    -------
    BinaryGroup
        The group.

    Raises
    ------
    ArgumentError
        If it is none, or a field has another type or shape than the record says.

    Examples
    --------
    >>> from subbit.reference import residual_binarize
    >>> check_group("group", residual_binarize([[1.0, 2.0]])).name
    'all'
    """
    if not isinstance(group, BinaryGroup):
        raise ArgumentError(name, "a BinaryGroup", group)
    mask: Any = group.mask
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
        raise ArgumentError(name, "a mask that is a boolean matrix", _seen(mask))
    planes: Any = group.planes
    if mask.size == 0 or not isinstance(planes, tuple) or not planes:
        raise ArgumentError(name, "at least one entry and one plane", _seen(mask))
    for plane in group.planes:
        _check_plane(name, plane, group)
    if group.mean is not None:
        check_matrix(f"{name}.mean", group.mean, shape=mask.shape[:1])
    return group


@dataclass(frozen=True)
class Group(Kind):
    """A binary group.

    Parameters
    ----------
    axes : tuple of str
        Letters for the axes of its mask.
    columns : bool, default False
        Whether each plane needs a scale for each column.
    """

    axes: tuple[str, str] = ("n", "k")
    columns: bool = False
    stage: ClassVar[int] = 0

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "BinaryGroup"

    def check(self, name: str, value: Any, call: Call) -> BinaryGroup:  # noqa: ANN401
        """Return the group, or refuse."""
        group = check_group(name, value)
        if self.columns and any(plane.column_scale is None for plane in group.planes):
            raise ArgumentError(name, "planes with column scales", "a plane without")
        call.settle(name, self.axes, group.mask.shape)
        return group


@dataclass(frozen=True)
class PlaneNumber(Kind):
    """The number of a sign plane of the group."""

    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "int"

    def check(self, name: str, value: Any, call: Call) -> int:  # noqa: ANN401
        """Return the number, or refuse."""
        return check_choice(name, value, range(len(call.values["group"].planes)))


@dataclass(frozen=True)
class Config(Kind):
    """A configuration.

    Parameters
    ----------
    of : type
        Its class.
    """

    of: type
    text: str = field(default="The switches.", kw_only=True)

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return self.of.__name__

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Return the configuration, or refuse."""
        check_config(value, self.of)
        return value


@dataclass(frozen=True)
class HalfSteps(Kind):
    """Half steps of a refinement, of a group with the shape of the weights."""

    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as documentation writes it."""
        return "iterable of (str, BinaryGroup)"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return an iterator that refuses the first step that is none."""
        if not isinstance(value, Iterable):
            raise ArgumentError(name, self.describe(), _seen(value))
        # The steps are computed by the caller's code, or through doors of their own.
        shape = call.lengths(("n", "k"))
        return call.room.iterate(_half_steps(name, value, shape), entered=False)


def _half_steps(name: str, steps: Iterable[Any], shape: Shape) -> Iterator[tuple[str, BinaryGroup]]:
    for step in steps:
        match step:
            case (str() as what, BinaryGroup() as group):
                if check_group(name, group).mask.shape != shape:
                    raise ArgumentError(name, f"groups of shape {shape}", group.mask.shape)
                yield what, group
            case _:
                raise ArgumentError(name, "pairs of a str and a BinaryGroup", _seen(step))


GROUP = Group(text="The state.")
PLANE = PlaneNumber(text="Which sign plane.")
