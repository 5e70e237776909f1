"""Kinds of arguments: records and configurations
================================================

A record built by a caller is checked against everything its fields promise, so a function
never computes with invalid signs or with a scale that is NaN.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, ClassVar, cast

import numpy as np

from .contracts.kind import Call, Kind
from .contracts.room import Shape
from .errors import (
    ArgumentError,
    check_choice,
    check_config,
    check_count,
    check_matrix,
    check_pair,
    check_pattern,
    seen,
)
from .layer import (
    BinaryGroup,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
    ValueGroup,
    Zone,
)
from .notation import Mask

MOST_PLANES = 2
"""The most sign planes of a group that is refined."""


def _is_plain(value: object) -> bool:
    """Tell whether a value is a plain array: not a matrix, and without hidden entries."""
    return isinstance(value, np.ndarray) and not isinstance(value, np.matrix | np.ma.MaskedArray)


def _check_array(name: str, value: Any, dtype: type, shape: tuple[int, ...]) -> None:  # noqa: ANN401
    """Check the type and shape of a field, and that floating-point numbers are finite."""
    if not _is_plain(value) or value.dtype != dtype or value.shape != shape:
        kind = np.dtype(dtype).name
        raise ArgumentError(name, f"an array of shape {shape} and dtype {kind}", seen(value))
    if dtype is np.float64:
        check_matrix(name, value, shape=shape)


def _check_plane(name: str, plane: Any, mask: Mask) -> None:  # noqa: ANN401
    if not isinstance(plane, Plane):
        raise ArgumentError(name, "planes that are each a Plane", seen(plane))
    n, k = mask.shape
    _check_array(f"{name}.sign", plane.sign, np.int8, (n, k))
    inside = (plane.sign >= -1) & (plane.sign <= 1) & (mask | (plane.sign == 0))
    if not np.all(inside):
        raise ArgumentError(name, "signs of -1, 0 or +1 that are 0 outside the mask", "others")
    _check_array(f"{name}.row_scale", plane.row_scale, np.float64, (n,))
    if plane.column_scale is not None:
        _check_array(f"{name}.column_scale", plane.column_scale, np.float64, (k,))


def _check_binary(name: str, group: Any) -> None:  # noqa: ANN401
    if not isinstance(group.planes, tuple):
        raise ArgumentError(name, "a tuple of planes", seen(group.planes))
    for plane in group.planes:
        _check_plane(name, plane, group.mask)
    if group.mean is not None:
        _check_array(f"{name}.mean", group.mean, np.float64, group.mask.shape[:1])


def _check_uniform(name: str, group: UniformGroup) -> None:
    n, k = group.mask.shape
    _check_array(f"{name}.codes", group.codes, np.uint8, (n, k))
    _check_array(f"{name}.scale", group.scale, np.float64, (n,))
    _check_array(f"{name}.zero", group.zero, np.float64, (n,))
    check_count(f"{name}.bits", group.bits, 1, 8)
    if np.any(group.codes >= 2**group.bits):
        raise ArgumentError(name, f"codes below {2**group.bits}", f"{group.codes.max()}")


def check_group(name: str, group: object, kind: type | UnionType = BinaryGroup) -> Any:  # noqa: ANN401
    """Check that the fields of a group fit each other, and return it.

    Parameters
    ----------
    name : str
        Name of the argument.
    group : object
        Value received.
    kind : type, default BinaryGroup
        Class that it must have.

    Returns
    -------
    Group
        The group.

    Raises
    ------
    ArgumentError
        If it is not a group, or the type or shape of a field is not what the record says.

    Examples
    --------
    >>> from subbit.reference import residual_binarize
    >>> check_group("group", residual_binarize([[1.0, 2.0]])).name
    'all'
    """
    if not isinstance(group, kind):
        raise ArgumentError(name, f"a {getattr(kind, '__name__', 'group')}", seen(group))
    mask: Any = group.mask  # type: ignore[attr-defined]
    if not isinstance(group.name, str):  # type: ignore[attr-defined]
        raise ArgumentError(name, "a group with a name", seen(group.name))  # type: ignore[attr-defined]
    if not _is_plain(mask) or mask.dtype != np.bool_ or mask.ndim != 2:
        raise ArgumentError(name, "a mask that is a boolean matrix", seen(mask))
    if mask.size == 0:
        raise ArgumentError(name, "a mask of at least one entry", seen(mask))
    match group:
        case BinaryGroup():
            _check_binary(name, group)
        case UniformGroup():
            _check_uniform(name, group)
        case ValueGroup():
            _check_array(f"{name}.values", group.values, np.float64, mask.shape)
    return group


def check_block(name: str, block: object, columns: slice, rows: int) -> QuantizedBlock:
    """Check that the groups of a block have its shape, and return the block.

    Parameters
    ----------
    name : str
        Name of the argument.
    block : object
        Value received.
    columns : slice
        Its columns in the layer.
    rows : int
        Number of rows of the layer.

    Returns
    -------
    QuantizedBlock
        The block.

    Raises
    ------
    ArgumentError
        If it is not a block, has other columns, or a field does not fit.

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> check_block("layer", rtn_layer([[1.0, 2.0]]).blocks[0], slice(0, 2), 1).stop
    2
    """
    if not isinstance(block, QuantizedBlock):
        raise ArgumentError(name, "a QuantizedBlock", seen(block))
    start, stop = check_count(f"{name}.start", block.start, 0), check_count(name, block.stop)
    if (start, stop) != (columns.start, columns.stop):
        wanted = f"a block of columns {columns.start} to {columns.stop}"
        raise ArgumentError(name, wanted, f"{block.start} to {block.stop}")
    shape = (rows, columns.stop - columns.start)
    groups: Any = block.groups
    if not isinstance(groups, tuple) or not groups:
        raise ArgumentError(name, "a block with at least one group", seen(groups))
    for group in groups:
        own = check_group(name, group, BinaryGroup | UniformGroup | ValueGroup).mask.shape
        if own != shape:
            raise ArgumentError(name, f"groups of shape {shape}", own)
    if np.any(np.sum([group.mask for group in groups], axis=0) > 1):
        raise ArgumentError(name, "groups with disjoint masks", "overlapping ones")
    if block.pattern is not None:
        check_pattern(f"{name}.pattern", block.pattern)
    if block.salient is not None:
        _check_array(f"{name}.salient", block.salient, np.bool_, shape[1:])
    return block


def check_layer(name: str, layer: object) -> QuantizedLayer:
    """Check that the blocks of a layer cover it once, and return the layer.

    Parameters
    ----------
    name : str
        Name of the argument.
    layer : object
        Value received.

    Returns
    -------
    QuantizedLayer
        The layer.

    Raises
    ------
    ArgumentError
        If it is not a layer, or a field does not fit.

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> check_layer("layer", rtn_layer([[1.0, 2.0]])).shape
    (1, 2)
    """
    if not isinstance(layer, QuantizedLayer):
        raise ArgumentError(name, "a QuantizedLayer", seen(layer))
    rows, width = check_pair(f"{name}.shape", layer.shape)
    n, m = check_count(f"{name}.shape", rows), check_count(f"{name}.shape", width)
    stop, blocks = 0, cast("Any", layer.blocks)
    if not isinstance(blocks, tuple) or not all(isinstance(b, QuantizedBlock) for b in blocks):
        raise ArgumentError(name, "a tuple of QuantizedBlock", seen(blocks))
    for block in blocks:
        if check_count(f"{name}.start", block.start, 0) != stop:
            raise ArgumentError(name, "blocks from left to right", f"a gap at column {stop}")
        columns = slice(stop, check_count(f"{name}.stop", block.stop, stop + 1, m))
        stop = check_block(name, block, columns, n).stop
    if stop != m:
        raise ArgumentError(name, f"blocks that cover {m} columns", stop)
    if layer.order is not None:
        _check_array(f"{name}.order", layer.order, np.intp, (m,))
        if not np.array_equal(np.sort(layer.order), np.arange(m)):
            raise ArgumentError(name, f"an order of {m} columns", "another")
    return layer


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
            if not _is_plain(mask) or mask.dtype != np.bool_ or mask.shape != shape:
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
