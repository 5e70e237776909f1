"""Layer records as tensors
========================

The parts that the payload bits count are stored in the same tight layout, one tensor for each
part of a layer:

=============== ===========================================================
tensor          holds
=============== ===========================================================
``signs``       one bit per entry and plane, only for the entries of each group; both matrices of
                a product, by rows
``zero_signs``  which signs are 0, only for planes where that changes a value
``codes``       grid positions, ``bits`` bits each; levels, ``planes`` bits each
``level_map``   the pattern number of each M columns of groups with large levels
``exponents``   the exponent of each row of a group of levels, 8 bits
``references``  row references of groups of levels, each array once
``group_map``   the group of each entry, among those of the salient columns or the others; the
                group of each Haar coefficient, among those of its band
``column_map``  the salient columns of each block; the code of each group of levels; the columns
                of a term of Haar coefficients that are not all or all others
``pattern_map`` the pattern number of each M columns in blocks with N:M sparsity
``kept_map``    the columns or entries that some group covers, if not all are covered
``values``      entries that are stored as is
``scales``      row scales, and column scales for the columns where a group has entries
``means``       row means
``zero_points`` the code of zero for each row of a uniform group
``order``       the column permutation
=============== ===========================================================

Bits follow one another without gaps: block by block, group by group, plane by plane,
entries by rows; only the end of a tensor is padded to a byte. Shapes, names and the list of
parts are in the layout, a JSON object. For a block with N:M sparsity, ``kept_map`` has flags
only for entries of its patterns and of the columns outside all patterns: if a group covers
fewer than N, its pattern is filled up (see ``fill_patterns``).

Anything that no decoder needs is not stored. A group without entries comes back with zeros for
its scales, and so does such a column; a sign of 0 in a row whose scale is 0 comes back as +1.
"""

from collections.abc import Mapping
from math import comb

import numpy as np

from subbit.reference.errors import ArgumentError
from subbit.reference.layer import QuantizedBlock, QuantizedLayer
from subbit.reference.notation import AnyArray, Mask
from subbit.reference.storage.kept_entries import flags_of, meant_entries
from subbit.reference.storage.patterns import (
    pattern_bits,
    rank_patterns,
    unrank_patterns,
)

from .group_layout import put_group, take_group
from .owners import put_owners, take_owners
from .record_tensors import Layout, Reader, RecordError, Writer, code_width, whole_number

Pattern = tuple[int, int]


def _zones(block_salient: Mask | None, width: int) -> tuple[Mask, Mask]:
    """Return the salient columns and the others."""
    salient = np.zeros(width, dtype=np.bool_) if block_salient is None else block_salient
    return salient, ~salient


def _put_kept(writer: Writer, kept: Mask, pattern: Pattern | None) -> str:
    meant = meant_entries(kept, pattern, argument="layer")
    if pattern is not None:
        whole = meant[:, : kept.shape[1] - kept.shape[1] % pattern[1]]
        writer.put_codes("pattern_map", rank_patterns(whole, *pattern), pattern_bits(*pattern))
    how = flags_of(kept, meant)
    if how == "columns":
        writer.put("kept_map", np.any(kept, axis=0))
    if how == "entries":
        writer.put("kept_map", kept[meant])
    return how


def _take_patterns(reader: Reader, pattern: Pattern, shape: tuple[int, int]) -> Mask:
    keep, group = pattern
    width = pattern_bits(keep, group)
    rows, columns = shape
    count = columns // group
    ranks = reader.take_codes("pattern_map", rows * count, width)
    if ranks.size and ranks.max() >= comb(group, keep):
        message = "tensor pattern_map names a pattern that is not there"
        raise RecordError(message)
    meant = np.ones(shape, dtype=np.bool_)
    # ranks (n, m/M) -> (n, m)
    meant[:, : count * group] = unrank_patterns(ranks.reshape(rows, count), keep, group)
    return meant


def _take_kept(reader: Reader, how: str, pattern: Pattern | None, shape: tuple[int, int]) -> Mask:
    if pattern is None:
        meant = np.ones(shape, dtype=np.bool_)
    else:
        meant = _take_patterns(reader, pattern, shape)
    if how == "columns":
        return meant & reader.take("kept_map", shape[1]).astype(np.bool_)
    if how == "entries":
        meant[meant] = reader.take("kept_map", int(meant.sum()))
    return meant


def _put_masks(writer: Writer, block: QuantizedBlock) -> Layout:
    """Write which group owns each entry: in each zone, a number among its groups."""
    masks = [group.mask for group in block.groups]
    if (np.sum(masks, axis=0) > 1).any():
        raise ArgumentError("layer", "groups with disjoint masks", "overlapping ones")
    if block.salient is not None:
        writer.put("column_map", block.salient)
    kept = np.any(masks, axis=0)
    how = _put_kept(writer, kept, block.pattern)
    parts = _zones(block.salient, kept.shape[1])
    zones = [put_owners(writer, masks, kept & columns) for columns in parts]
    said = {"salient": block.salient is not None, "kept": how, "zones": zones}
    return said if block.pattern is None else said | {"pattern": list(block.pattern)}


def _pattern(layout: Layout) -> Pattern | None:
    """Return N and M of a block, or None, as always in files of version 1."""
    if "pattern" not in layout:
        return None
    keep, group = layout["pattern"]
    return whole_number(keep), whole_number(group)


def _take_masks(
    reader: Reader, layout: Layout, salient: Mask | None, shape: tuple[int, int]
) -> list[Mask]:
    kept = _take_kept(reader, layout["kept"], _pattern(layout), shape)
    masks = [np.zeros(shape, dtype=np.bool_) for _ in layout["groups"]]
    for columns, present in zip(_zones(salient, shape[1]), layout["zones"], strict=True):
        take_owners(reader, masks, present, kept & columns)
    return masks


UNCHECKED = 2**24
"""Entries up to which a layer may have no tensors."""


def put_layer(layer: QuantizedLayer, dtype: str) -> tuple[Layout, dict[str, AnyArray]]:
    """Turn a layer into tensors.

    Parameters
    ----------
    layer : QuantizedLayer
        The layer.
    dtype : str
        Type of stored scales and means, which must represent the layer's exactly.

    Returns
    -------
    tuple of dict and dict
        The layout, and the tensors by name.

    Raises
    ------
    ArgumentError
        If a scale does not fit the type, or the record is not valid.

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> layer = rtn_layer([[1.0, -3.0, 2.0]]).with_scales("float16")
    >>> layout, tensors = put_layer(layer, "float16")
    >>> layout["shape"], sorted(tensors)
    ((1, 3), ['means', 'scales', 'signs'])
    """
    writer = Writer()
    patterns: list[Layout] = []
    blocks: list[tuple[int, int]] = []
    for block in layer.blocks:
        pattern = _put_masks(writer, block)
        pattern["groups"] = [put_group(writer, group, dtype) for group in block.groups]
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


def _take_block(reader: Reader, layout: Layout, rows: int, span: tuple[int, int]) -> QuantizedBlock:
    start, stop = span
    width = stop - start
    if width < 1:
        message = f"a block ends at column {stop} and starts at {start}"
        raise RecordError(message)
    salient = reader.take("column_map", width).astype(np.bool_) if layout["salient"] else None
    masks = _take_masks(reader, layout, salient, (rows, width))
    groups = tuple(
        take_group(reader, group, mask) for group, mask in zip(layout["groups"], masks, strict=True)
    )
    return QuantizedBlock(start, stop, groups, salient, _pattern(layout))


def _check_held(rows: int, columns: int, tensors: Mapping[str, AnyArray]) -> None:
    """Refuse a shape that the tensors are too small for, before anything is allocated.

    A group with entries has a scale or a bit for each row, and a bit for each column. Only a
    layer without entries has none.
    """
    bits = 8 * sum(values.nbytes for values in tensors.values())
    if rows * columns > UNCHECKED and max(rows, columns) > bits:
        message = f"{bits} bits cannot hold a layer of {rows} x {columns}"
        raise RecordError(message)


def take_layer(layout: Layout, tensors: Mapping[str, AnyArray], dtype: str) -> QuantizedLayer:
    """Rebuild a layer from its tensors.

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

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> layer = rtn_layer([[1.0, -3.0, 2.0]]).with_scales("float16")
    >>> take_layer(*put_layer(layer, "float16"), "float16").decode().tolist()
    [[2.0, -2.0, 2.0]]
    """
    rows, columns = (whole_number(length) for length in layout["shape"])
    _check_held(rows, columns, tensors)
    reader = Reader(tensors, dtype)
    blocks, start = [], 0
    for stop, pattern in layout["blocks"]:
        if whole_number(stop) > columns:
            message = f"a block ends at column {stop} of {columns}"
            raise RecordError(message)
        chosen = layout["patterns"][whole_number(pattern)]
        blocks.append(_take_block(reader, chosen, rows, (start, whole_number(stop))))
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
    """Count the bits of each tensor that a file would hold for a layer.

    Parameters
    ----------
    layer : QuantizedLayer
        The layer, with scales of the given type.
    scales : str, default "float16"
        Type of the stored scales.

    Returns
    -------
    dict of str to int
        Bits of whole bytes, by tensor.

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> layer = rtn_layer([[1.0, -3.0, 2.0]]).with_scales("float16")
    >>> tensor_bits(layer)
    {'signs': 8, 'scales': 16, 'means': 16}
    """
    tensors = put_layer(layer, scales)[1]
    return {name: 8 * values.nbytes for name, values in tensors.items()}
