"""Groups as tensors
=================

What ``record_layout`` stores of each group of a block, and how it comes back. Which entries
are the group's is known by then.
"""

import numpy as np

from subbit.reference.errors import ArgumentError
from subbit.reference.factored import ProductGroup
from subbit.reference.haar import HaarGroup
from subbit.reference.layer import BinaryGroup, Group, Plane, UniformGroup, ValueGroup
from subbit.reference.leveled import LevelGroup
from subbit.reference.notation import Mask

from .haar_layout import put_haar, take_haar
from .level_layout import put_levels, take_levels
from .product_layout import put_product, take_product
from .record_tensors import Layout, NullReader, Reader, Writer, whole_number


def _put_plane(writer: Writer, plane: Plane, mask: Mask, dtype: str) -> Layout:
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


def _take_plane(reader: Reader, layout: Layout, mask: Mask) -> Plane:
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


def _put_uniform(writer: Writer, group: UniformGroup, dtype: str) -> Layout:
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


def _put_entries(writer: Writer, group: ValueGroup, dtype: str) -> Layout:
    if group.values[~group.mask].any():
        raise ArgumentError("layer", "values that are 0 outside their mask", "others")
    writer.put_values("values", group.values[group.mask], dtype)
    return {"name": group.name, "plain": True}


def put_group(writer: Writer, group: Group, dtype: str) -> Layout:
    """Write a group.

    Parameters
    ----------
    writer : Writer
        The tensors of its layer.
    group : Group
        The group.
    dtype : str
        Type of scales and means.

    Returns
    -------
    dict
        Its layout.

    Raises
    ------
    ArgumentError
        If a scale does not fit the type, or the group is not valid.

    Examples
    --------
    >>> from subbit.reference import residual_binarize
    >>> put_group(Writer(), residual_binarize([[1.0, -1.0]]), "float16")["planes"]
    [{'zeros': False, 'column_scale': False}]
    """
    if not group.mask.any():
        writer = Writer()  # its content is discarded
    if isinstance(group, UniformGroup):
        return _put_uniform(writer, group, dtype)
    if isinstance(group, ValueGroup):
        return _put_entries(writer, group, dtype)
    if isinstance(group, LevelGroup):
        return put_levels(writer, group, dtype)
    if isinstance(group, ProductGroup):
        return put_product(writer, group, dtype)
    if isinstance(group, HaarGroup):
        return put_haar(writer, group, dtype, put_group)
    planes = [_put_plane(writer, plane, group.mask, dtype) for plane in group.planes]
    if group.mean is not None:
        writer.put_values("means", group.mean, dtype)
    return {"name": group.name, "planes": planes, "mean": group.mean is not None}


def take_group(reader: Reader, layout: Layout, mask: Mask) -> Group:
    """Read a group.

    Parameters
    ----------
    reader : Reader
        The tensors of its layer.
    layout : dict
        As from `put_group`.
    mask : ndarray of bool, shape (n, k)
        Its entries.

    Returns
    -------
    Group
        The group.

    Raises
    ------
    RecordError
        If the tensors do not fit the layout.

    Examples
    --------
    >>> from subbit.reference import residual_binarize
    >>> group, writer = residual_binarize([[1.0, -1.0]]), Writer()
    >>> layout = put_group(writer, group, "float16")
    >>> take_group(Reader(writer.tensors(), "float16"), layout, group.mask).decode()
    array([[ 1., -1.]])
    """
    name = str(layout["name"])
    rows = mask.shape[0]
    if not mask.any():
        reader = NullReader()
    if "bits" in layout:
        bits = whole_number(layout["bits"])
        codes = np.zeros(mask.shape, dtype=np.uint8)
        codes[mask] = reader.take_codes("codes", int(mask.sum()), bits)
        zero = reader.take_codes("zero_points", rows, bits).astype(np.float64)
        return UniformGroup(name, mask, codes, reader.take_values("scales", rows), zero, bits)
    if "levels" in layout:
        return take_levels(reader, layout, mask)
    if "rank" in layout:
        return take_product(reader, layout, mask)
    if "haar" in layout:
        return take_haar(reader, layout, mask, take_group)
    if "plain" in layout:
        values = np.zeros(mask.shape)
        values[mask] = reader.take_values("values", int(mask.sum()))
        return ValueGroup(name, mask, values)
    planes = tuple(_take_plane(reader, plane, mask) for plane in layout["planes"])
    mean = reader.take_values("means", rows) if layout["mean"] else None
    return BinaryGroup(name, mask, planes, mean)
