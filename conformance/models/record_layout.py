"""Layer records as tensors
========================

What the payload bits count is what is stored, in the same tight layout, one tensor for
each part of a layer:

=============== ===========================================================
tensor          holds
=============== ===========================================================
``signs``       one bit an entry and plane, only for the entries of each group
``zero_signs``  which signs are 0, only for planes where that changes a value
``codes``       grid positions, ``bits`` bits each
``group_map``   the group of each entry, among those of the salient columns or the others
``column_map``  the salient columns of each block
``kept_map``    the columns or entries that some group covers, where not all are
``scales``      row scales, and column scales of the columns that a group has entries in
``means``       row means
``zero_points`` the code of zero of each row of a uniform group
``order``       the column permutation
=============== ===========================================================

Bits follow one another without gaps: block by block, group by group, plane by plane,
entries by rows; only the end of a tensor is padded to a byte. Shapes, names and what is
there at all stand in the layout, a JSON object.

What no decoder needs is not stored. A group without entries comes back with zeros for
its scales, and so does a column without; a sign of 0 in a row whose scale is 0 comes back as +1.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import ArgumentError, SubbitError
from subbit.reference.layer import (
    BinaryGroup,
    Group,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
)
from subbit.reference.notation import AnyArray, Array, Mask

BIT_TENSORS = (
    "signs", "zero_signs", "codes", "group_map", "column_map", "kept_map", "zero_points", "order",
)  # fmt: skip
VALUE_TENSORS = ("scales", "means")

Layout = dict[str, Any]


class RecordError(SubbitError, ValueError):
    """A file that holds no valid layer records."""


def code_width(count: int) -> int:
    """Bits that tell `count` things apart.

    Parameters
    ----------
    count : int
        How many.

    Returns
    -------
    int
        ``⌈log2 count⌉``, and 0 for none or one.

    Examples
    --------
    >>> [code_width(n) for n in (0, 1, 2, 3, 4, 5)]
    [0, 0, 1, 2, 2, 3]
    """
    return max(count - 1, 0).bit_length()


class _Writer:
    """Collects a layer's tensors in the order in which a reader takes them."""

    def __init__(self) -> None:
        self.parts: dict[str, list[AnyArray]] = {}

    def put(self, tensor: str, values: AnyArray) -> None:
        self.parts.setdefault(tensor, []).append(np.ravel(values))

    def put_codes(self, tensor: str, values: AnyArray, width: int) -> None:
        if width:
            whole = np.ravel(values).astype(np.int64)
            self.put(tensor, (whole[:, None] >> np.arange(width)) & 1 == 1)

    def put_values(self, tensor: str, values: Array, dtype: str) -> None:
        with np.errstate(over="ignore"):
            stored = values.astype(dtype)
        if not np.array_equal(stored.astype(np.float64), values):
            expected = f"{tensor} that {dtype} holds exactly (see QuantizedLayer.with_scales)"
            raise ArgumentError("layer", expected, "others")
        self.put(tensor, stored)

    def tensors(self) -> dict[str, AnyArray]:
        joined = {name: np.concatenate(parts) for name, parts in self.parts.items()}
        return {
            name: np.packbits(values) if name in BIT_TENSORS else values
            for name, values in joined.items()
            if values.size
        }


class _Reader:
    """Takes a layer's tensors apart."""

    def __init__(self, tensors: Mapping[str, AnyArray], dtype: str) -> None:
        unknown = set(tensors) - {*BIT_TENSORS, *VALUE_TENSORS}
        wrong = [
            name
            for name, values in tensors.items()
            if values.ndim != 1 or values.dtype != (np.uint8 if name in BIT_TENSORS else dtype)
        ]
        if unknown or wrong:
            message = f"unknown or mistyped tensors {sorted(unknown) + wrong}"
            raise RecordError(message)
        self.rest = {
            name: np.unpackbits(values).astype(np.bool_) if name in BIT_TENSORS else values
            for name, values in tensors.items()
        }

    def take(self, tensor: str, count: int) -> AnyArray:
        values = self.rest.get(tensor, np.empty(0, dtype=np.bool_))
        if values.size < count:
            message = f"tensor {tensor} is too short"
            raise RecordError(message)
        self.rest[tensor] = values[count:]
        return values[:count]

    def take_codes(self, tensor: str, count: int, width: int) -> npt.NDArray[np.int64]:
        bits = self.take(tensor, count * width).reshape(count, width)
        codes: npt.NDArray[np.int64] = (bits.astype(np.int64) << np.arange(width)).sum(axis=1)
        return codes

    def take_values(self, tensor: str, count: int) -> Array:
        values = self.take(tensor, count).astype(np.float64)
        if not np.isfinite(values).all():
            message = f"tensor {tensor} holds NaN or infinite numbers"
            raise RecordError(message)
        return values

    def finish(self) -> None:
        for name, values in self.rest.items():
            if values.size >= (8 if name in BIT_TENSORS else 1) or values.any():
                message = f"tensor {name} is too long"
                raise RecordError(message)


def _zones(block_salient: Mask | None, width: int) -> tuple[Mask, Mask]:
    """Return the salient columns and the others."""
    salient = np.zeros(width, dtype=np.bool_) if block_salient is None else block_salient
    return salient, ~salient


def _put_kept(writer: _Writer, kept: Mask) -> str:
    if kept.all():
        return "all"
    if np.array_equal(kept, np.broadcast_to(kept[0], kept.shape)):
        writer.put("kept_map", kept[0])
        return "columns"
    writer.put("kept_map", kept)
    return "entries"


def _take_kept(reader: _Reader, how: str, shape: tuple[int, int]) -> Mask:
    if how == "all":
        return np.ones(shape, dtype=np.bool_)
    if how == "columns":
        return np.tile(reader.take("kept_map", shape[1]), (shape[0], 1))
    return reader.take("kept_map", shape[0] * shape[1]).reshape(shape)


def _put_masks(writer: _Writer, block: QuantizedBlock) -> Layout:
    """Write who owns which entry: in each zone a number among the groups that it has."""
    masks = [group.mask for group in block.groups]
    if (np.sum(masks, axis=0) > 1).any():
        raise ArgumentError("layer", "groups with disjoint masks", "overlapping ones")
    if block.salient is not None:
        writer.put("column_map", block.salient)
    kept = np.any(masks, axis=0)
    how = _put_kept(writer, kept)
    zones = []
    for columns in _zones(block.salient, kept.shape[1]):
        present = [index for index, mask in enumerate(masks) if mask[:, columns].any()]
        owner = np.zeros(kept.shape, dtype=np.int64)
        for place, index in enumerate(present):
            owner[masks[index]] = place
        writer.put_codes("group_map", owner[kept & columns], code_width(len(present)))
        zones.append(present)
    return {"salient": block.salient is not None, "kept": how, "zones": zones}


def _take_masks(
    reader: _Reader, layout: Layout, salient: Mask | None, shape: tuple[int, int]
) -> list[Mask]:
    kept = _take_kept(reader, layout["kept"], shape)
    masks = [np.zeros(shape, dtype=np.bool_) for _ in layout["groups"]]
    for columns, present in zip(_zones(salient, shape[1]), layout["zones"], strict=True):
        here = kept & columns
        codes = reader.take_codes("group_map", int(here.sum()), code_width(len(present)))
        if codes.size and codes.max() >= len(present):
            message = "tensor group_map names a group that is not there"
            raise RecordError(message)
        for place, index in enumerate(present):
            masks[index][here] = codes == place
    return masks


def _put_plane(writer: _Writer, plane: Plane, mask: Mask, dtype: str) -> Layout:
    inside = plane.sign[mask]
    if plane.sign.astype(np.bool_)[~mask].any():
        raise ArgumentError("layer", "signs that are 0 outside their mask", "others")
    meant = np.broadcast_to(plane.row_scale[:, None] != 0.0, mask.shape)[mask]
    zeros = bool(((inside == 0) & meant).any())
    writer.put("signs", inside >= 0)
    if zeros:
        writer.put("zero_signs", inside == 0)
    writer.put_values("scales", plane.row_scale, dtype)
    if plane.column_scale is not None:
        writer.put_values("scales", plane.column_scale[mask.any(axis=0)], dtype)
    return {"zeros": zeros, "column_scale": plane.column_scale is not None}


def _take_plane(reader: _Reader, layout: Layout, mask: Mask) -> Plane:
    count = int(mask.sum())
    inside = np.where(reader.take("signs", count), 1, -1).astype(np.int8)
    if layout["zeros"]:
        inside[reader.take("zero_signs", count).astype(np.bool_)] = 0
    sign = np.zeros(mask.shape, dtype=np.int8)
    sign[mask] = inside
    row_scale = reader.take_values("scales", mask.shape[0])
    if not layout["column_scale"]:
        return Plane(sign, row_scale)
    column_scale = np.zeros(mask.shape[1])
    used = mask.any(axis=0)
    column_scale[used] = reader.take_values("scales", int(used.sum()))
    return Plane(sign, row_scale, column_scale)


class _NullReader(_Reader):
    """Gives zeros, for a group without entries."""

    def __init__(self) -> None:
        super().__init__({}, "float64")

    def take(self, _tensor: str, count: int) -> AnyArray:
        """Return zeros."""
        return np.zeros(count)


def _put_group(writer: _Writer, group: Group, dtype: str) -> Layout:
    if not group.mask.any():
        writer = _Writer()  # what it is given goes nowhere
    if isinstance(group, UniformGroup):
        return _put_uniform(writer, group, dtype)
    planes = [_put_plane(writer, plane, group.mask, dtype) for plane in group.planes]
    if group.mean is not None:
        writer.put_values("means", group.mean, dtype)
    return {"name": group.name, "planes": planes, "mean": group.mean is not None}


def _put_uniform(writer: _Writer, group: UniformGroup, dtype: str) -> Layout:
    levels = 2**group.bits
    whole = group.zero.astype(np.int64)
    if not np.array_equal(whole, group.zero) or (whole < 0).any() or (whole >= levels).any():
        raise ArgumentError("layer", f"zero points from 0 to {levels - 1}", "others")
    if (group.codes >= levels).any() or group.codes[~group.mask].any():
        raise ArgumentError("layer", f"codes below {levels}, 0 outside the mask", "others")
    writer.put_codes("codes", group.codes[group.mask], group.bits)
    writer.put_codes("zero_points", whole, group.bits)
    writer.put_values("scales", group.scale, dtype)
    return {"name": group.name, "bits": group.bits}


def _take_group(reader: _Reader, layout: Layout, mask: Mask) -> Group:
    name = str(layout["name"])
    rows = mask.shape[0]
    if not mask.any():
        reader = _NullReader()
    if "bits" in layout:
        bits = int(layout["bits"])
        codes = np.zeros(mask.shape, dtype=np.uint8)
        codes[mask] = reader.take_codes("codes", int(mask.sum()), bits)
        zero = reader.take_codes("zero_points", rows, bits).astype(np.float64)
        return UniformGroup(name, mask, codes, reader.take_values("scales", rows), zero, bits)
    planes = tuple(_take_plane(reader, plane, mask) for plane in layout["planes"])
    mean = reader.take_values("means", rows) if layout["mean"] else None
    return BinaryGroup(name, mask, planes, mean)


def put_layer(layer: QuantizedLayer, dtype: str) -> tuple[Layout, dict[str, AnyArray]]:
    """Turn a layer into tensors.

    Parameters
    ----------
    layer : QuantizedLayer
        The layer.
    dtype : str
        Type of stored scales and means, which must hold the layer's exactly.

    Returns
    -------
    tuple of dict and dict
        The layout, and the tensors by name.

    Raises
    ------
    ArgumentError
        If a scale does not fit the type, or the record is no valid one.
    """
    writer = _Writer()
    patterns: list[Layout] = []
    blocks: list[tuple[int, int]] = []
    for block in layer.blocks:
        pattern = _put_masks(writer, block)
        pattern["groups"] = [_put_group(writer, group, dtype) for group in block.groups]
        if pattern not in patterns:
            patterns.append(pattern)
        blocks.append((block.stop, patterns.index(pattern)))
    if layer.order is not None:
        writer.put_codes("order", layer.order, code_width(layer.shape[1]))
    layout = {
        "shape": layer.shape,
        "blocks": blocks,
        "patterns": patterns,
        "ordered": layer.order is not None,
    }
    return layout, writer.tensors()


def _take_block(
    reader: _Reader, layout: Layout, rows: int, span: tuple[int, int]
) -> QuantizedBlock:
    start, stop = span
    width = stop - start
    if width < 1:
        message = f"a block ends at column {stop} and starts at {start}"
        raise RecordError(message)
    salient = reader.take("column_map", width).astype(np.bool_) if layout["salient"] else None
    masks = _take_masks(reader, layout, salient, (rows, width))
    groups = tuple(
        _take_group(reader, group, mask)
        for group, mask in zip(layout["groups"], masks, strict=True)
    )
    return QuantizedBlock(start, stop, groups, salient)


def take_layer(layout: Layout, tensors: Mapping[str, AnyArray], dtype: str) -> QuantizedLayer:
    """Make a layer of its tensors again.

    Parameters
    ----------
    layout : dict
        As from `put_layer`.
    tensors : mapping of str to ndarray
        As from `put_layer`.
    dtype : str
        Type of scales and means.

    Returns
    -------
    QuantizedLayer
        The layer.

    Raises
    ------
    RecordError
        If the tensors do not fit the layout.
    """
    rows, columns = (int(length) for length in layout["shape"])
    reader = _Reader(tensors, dtype)
    blocks, start = [], 0
    for stop, pattern in layout["blocks"]:
        blocks.append(_take_block(reader, layout["patterns"][pattern], rows, (start, stop)))
        start = stop
    order = None
    if layout["ordered"]:
        order = reader.take_codes("order", columns, code_width(columns)).astype(np.intp)
    reader.finish()
    if start != columns or (order is not None and sorted(order) != list(range(columns))):
        message = "the blocks or the order do not cover the columns once"
        raise RecordError(message)
    return QuantizedLayer((rows, columns), tuple(blocks), order)


def tensor_bits(layer: QuantizedLayer, scales: str = "float16") -> dict[str, int]:
    """Bits of each tensor that a file would hold for a layer.

    Parameters
    ----------
    layer : QuantizedLayer
        The layer, with scales of the given type.
    scales : str, default "float16"
        Type of the stored scales.

    Returns
    -------
    dict of str to int
        Whole bytes, in bits, by tensor.
    """
    tensors = put_layer(layer, scales)[1]
    return {name: 8 * values.nbytes for name, values in tensors.items()}
