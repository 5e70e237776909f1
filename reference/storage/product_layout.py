"""Products as tensors
===================

What a product of sign matrices stores: the signs of the left matrix, those of the right one, and
the scales of rows and columns. Its rank is in the layout.
"""

import numpy as np

from subbit.reference.factored import ProductGroup
from subbit.reference.notation import Mask, Signs
from subbit.reference.record_checks import check_group

from .record_tensors import Layout, Reader, RecordError, Writer, whole_number


def put_product(writer: Writer, group: ProductGroup, dtype: str) -> Layout:
    """Write a product.

    Parameters
    ----------
    writer : Writer
        The tensors of its layer.
    group : ProductGroup
        The group.
    dtype : str
        Type of its scales.

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
    >>> import numpy as np
    >>> one = np.ones((1, 1), dtype=np.int8)
    >>> group = ProductGroup("all", one > 0, one, one, np.ones(1), np.ones(1))
    >>> put_product(Writer(), group, "float16")
    {'name': 'all', 'rank': 1}
    """
    check_group("layer", group, ProductGroup)
    for signs in (group.left, group.right):
        writer.put("signs", signs > 0)
    for scales in (group.row_scale, group.column_scale):
        writer.put_values("scales", scales, dtype)
    return {"name": group.name, "rank": group.rank}


def _take_signs(reader: Reader, shape: tuple[int, int]) -> Signs:
    rows, columns = shape
    bits = reader.take("signs", rows * columns)
    # (rows columns,) -> (rows, columns)
    return np.where(bits, 1, -1).astype(np.int8).reshape(shape)


def take_product(reader: Reader, layout: Layout, mask: Mask) -> ProductGroup:
    """Read a product.

    Parameters
    ----------
    reader : Reader
        The tensors of its layer.
    layout : dict
        As from `put_product`.
    mask : ndarray of bool, shape (n, k)
        Its entries.

    Returns
    -------
    ProductGroup
        The group.

    Raises
    ------
    RecordError
        If the tensors do not fit the layout.

    Examples
    --------
    >>> import numpy as np
    >>> one, writer = np.ones((1, 1), dtype=np.int8), Writer()
    >>> group = ProductGroup("all", one > 0, one, -one, np.ones(1), np.ones(1))
    >>> layout = put_product(writer, group, "float16")
    >>> take_product(Reader(writer.tensors(), "float16"), layout, group.mask).decode()
    array([[-1.]])
    """
    rows, width = mask.shape
    rank = whole_number(layout["rank"])
    if not mask.all() or not rank:
        message = "a product has some entries of its columns, not all, or no component"
        raise RecordError(message)
    left, right = _take_signs(reader, (rows, rank)), _take_signs(reader, (rank, width))
    scales = reader.take_values("scales", rows), reader.take_values("scales", width)
    return ProductGroup(str(layout["name"]), mask, left, right, *scales)
