"""Kinds of arguments: records and configurations
================================================

Arguments that are records, as contracts declare them; ``record_checks`` has what they check.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .contracts.kind import Call, Kind
from .contracts.room import Shape
from .errors import ArgumentError, check_choice, check_config, check_count, seen
from .factored import ProductGroup
from .layer import BinaryGroup, QuantizedBlock, QuantizedLayer, Zone
from .record_checks import check_block, check_group, check_layer, is_plain

MOST_PLANES = 2
"""The most sign planes of a group that is refined."""
MOST_GROUPS = 255
"""The most groups of a block that is assigned: their numbers take a byte."""


@dataclass(frozen=True)
class Binary(Kind):
    """A binary group of one or two sign planes.

    Parameters
    ----------
    axes : tuple of str
        Letters for the axes of its mask.
    columns : bool, default False
        Whether all its planes have column scales; otherwise none may.
    """

    axes: tuple[str, str] = ("n", "k")
    columns: bool = False
    stage: ClassVar[int] = 0

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "BinaryGroup"

    def check(self, name: str, value: Any, call: Call) -> BinaryGroup:  # noqa: ANN401
        """Check and return the group."""
        group = check_group(name, value)
        if not 1 <= len(group.planes) <= MOST_PLANES:
            raise ArgumentError(name, "one or two planes", len(group.planes))
        if any((plane.column_scale is not None) != self.columns for plane in group.planes):
            wanted, came = ("with", "without") if self.columns else ("without", "with them")
            raise ArgumentError(name, f"planes {wanted} column scales", f"a plane {came}")
        call.settle(name, self.axes, group.mask.shape)
        return group


@dataclass(frozen=True)
class BinaryBlock(Kind):
    """A block of binary groups with at most two sign planes each.

    Parameters
    ----------
    axes : tuple of str
        Letters for the axes of its masks.
    """

    axes: tuple[str, str] = ("n", "k")
    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "QuantizedBlock"

    def check(self, name: str, value: Any, call: Call) -> QuantizedBlock:  # noqa: ANN401
        """Check and return the block."""
        if not isinstance(value, QuantizedBlock):
            raise ArgumentError(name, "a QuantizedBlock", seen(value))
        rows, width = (int(call.sizes[axis]) for axis in self.axes)
        start = check_count(f"{name}.start", value.start, 0)
        check_block(name, value, slice(start, start + width), rows)
        for group in value.groups:
            if not isinstance(group, BinaryGroup):
                raise ArgumentError(name, "binary groups, whose levels have signs", seen(group))
            if len(group.planes) > MOST_PLANES:
                raise ArgumentError(name, "at most two planes in each group", len(group.planes))
        if len(value.groups) > MOST_GROUPS:
            raise ArgumentError(name, f"at most {MOST_GROUPS} groups", len(value.groups))
        return value


@dataclass(frozen=True)
class PlaneNumber(Kind):
    """The number of a sign plane of the group."""

    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "int"

    def check(self, name: str, value: Any, call: Call) -> int:  # noqa: ANN401
        """Check and return the number."""
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
        """Return the type as written in documentation."""
        return self.of.__name__

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401, ARG002
        """Check and return the configuration."""
        check_config(value, self.of)
        return value


@dataclass(frozen=True)
class HalfSteps(Kind):
    """Half steps of a refinement, of a group with the shape of the weights."""

    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "iterable of (str, BinaryGroup)"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return an iterator that raises an error at the first invalid step."""
        try:
            steps = iter(value)
        except TypeError as error:
            raise ArgumentError(name, self.describe(), seen(value)) from error
        # The steps are computed by the caller's code, or through doors of their own.
        shape = call.lengths(("n", "k"))
        return call.room.iterate(_half_steps(name, steps, shape), entered=False)


def _half_steps(name: str, steps: Iterator[Any], shape: Shape) -> Iterator[tuple[str, BinaryGroup]]:
    for step in steps:
        match step:
            case (str() as what, BinaryGroup() as group):
                if check_group(name, group).mask.shape != shape:
                    raise ArgumentError(name, f"groups of shape {shape}", group.mask.shape)
                yield what, group
            case _:
                raise ArgumentError(name, "pairs of a str and a BinaryGroup", seen(step))


@dataclass(frozen=True)
class Layer(Kind):
    """The record of a layer."""

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "QuantizedLayer"

    def check(self, name: str, value: Any, call: Call) -> QuantizedLayer:  # noqa: ANN401, ARG002
        """Check and return the record."""
        return check_layer(name, value)


@dataclass(frozen=True)
class Product(Layer):
    """The record of a layer that is one product, with the shape of the weights."""

    stage: ClassVar[int] = 2

    def check(self, name: str, value: Any, call: Call) -> QuantizedLayer:  # noqa: ANN401
        """Check and return the record."""
        layer, shape = super().check(name, value, call), call.lengths(("n", "m"))
        groups = [group for block in layer.blocks for group in block.groups]
        single = len(groups) == 1 and isinstance(groups[0], ProductGroup)
        if not single or layer.shape != shape or layer.order is not None:
            wanted = f"one product of shape {shape}, without an order"
            raise ArgumentError(name, wanted, "another record")
        return layer


@dataclass(frozen=True)
class Zones(Kind):
    """Zones of a block."""

    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "tuple of Zone"

    def check(self, name: str, value: Any, call: Call) -> tuple[Zone, ...]:  # noqa: ANN401
        """Check and return the zones."""
        if not isinstance(value, tuple):
            raise ArgumentError(name, "a tuple of Zone", type(value).__name__)
        shape = call.lengths(("n", "k"))
        for zone in value:
            if not isinstance(zone, Zone):
                raise ArgumentError(name, "zones that are each a Zone", type(zone).__name__)
            mask: Any = zone.mask
            if not is_plain(mask) or mask.dtype != np.bool_ or mask.shape != shape:
                raise ArgumentError(name, f"boolean masks of shape {shape}", seen(mask))
            if not isinstance(zone.name, str):
                raise ArgumentError(name, "zones with a name", zone.name)
            check_choice(name, zone.order, (1, 2))
        if value and np.any(np.sum([zone.mask for zone in value], axis=0) > 1):
            raise ArgumentError(name, "disjoint zones", "overlapping ones")
        return value


@dataclass(frozen=True)
class Quantizer(Kind):
    """A caller's function that quantizes a block."""

    stage: ClassVar[int] = 2

    def describe(self) -> str:
        """Return the type as written in documentation."""
        return "callable"

    def check(self, name: str, value: Any, call: Call) -> Any:  # noqa: ANN401
        """Return the function with its own calls and its answers checked."""
        if not callable(value):
            raise ArgumentError(name, "a callable", seen(value))
        rows = call.sizes["n"]

        def quantize(W: Any, columns: slice) -> QuantizedBlock:  # noqa: ANN401
            # The loop goes on to change its array, and the function may keep this one.
            W = W.copy()
            if isinstance(W, np.ndarray):
                W.flags.writeable = False
            with call.room.inside(False):  # noqa: FBT003
                block = value(W, columns)
            return check_block(name, block, columns, rows)

        return quantize


GROUP = Binary(text="The state.")
PLANE = PlaneNumber(text="Number of the sign plane.")
