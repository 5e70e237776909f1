"""Checks of records
=================

A record built by a caller is checked against everything its fields promise, so a function
never computes with invalid signs or with a scale that is NaN.
"""

from types import UnionType
from typing import Any, cast

import numpy as np

from .errors import (
    ArgumentError,
    check_choice,
    check_count,
    check_matrix,
    check_pair,
    check_pattern,
    seen,
)
from .factored import ProductGroup
from .haar import HaarGroup, HaarTerm
from .layer import (
    BinaryGroup,
    Group,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
    ValueGroup,
)
from .leveled import CODES, LARGE, SMALL, SPAN, LevelGroup
from .notation import Mask


def is_plain(value: object) -> bool:
    """Tell whether a value is a plain array: not a matrix, and without hidden entries.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.

    Examples
    --------
    >>> import numpy as np
    >>> is_plain(np.ones(2)), is_plain(np.ma.array([1, 2]))
    (True, False)
    """
    return isinstance(value, np.ndarray) and not isinstance(value, np.matrix | np.ma.MaskedArray)


def _check_array(name: str, value: Any, dtype: type, shape: tuple[int, ...]) -> None:  # noqa: ANN401
    """Check the type and shape of a field, and that floating-point numbers are finite."""
    if not is_plain(value) or value.dtype != dtype or value.shape != shape:
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


def _check_levels(name: str, group: LevelGroup) -> None:
    n, k = group.mask.shape
    if not np.all(group.mask):
        raise ArgumentError(f"{name}.mask", "all entries of the columns", "some of them")
    planes = CODES[check_choice(f"{name}.code", group.code, tuple(CODES))].planes
    _check_array(f"{name}.levels", group.levels, np.int8, (n, k))
    sizes = np.abs(group.levels.astype(np.int64))
    if np.any(sizes % 2 == 0) if planes else np.any(sizes):
        raise ArgumentError(f"{name}.levels", "odd levels, or zeros with code 0", "others")
    if np.any(sizes >= 2**planes):
        raise ArgumentError(f"{name}.levels", f"levels below {2**planes}", f"{sizes.max()}")
    _check_large(f"{name}.levels", sizes == LARGE, group.coding.large)
    _check_array(f"{name}.reference", group.reference, np.float64, (n,))
    if group.exponent is not None:
        _check_array(f"{name}.exponent", group.exponent, np.int8, (n,))
    if group.column_scale is not None:
        _check_array(f"{name}.column_scale", group.column_scale, np.float64, (k,))


def _check_large(name: str, is_large: Mask, most: int) -> None:
    whole = is_large.shape[1] - is_large.shape[1] % SPAN
    # (n, k) -> (n, k/16, 16)
    counts = np.count_nonzero(is_large[:, :whole].reshape(len(is_large), -1, SPAN), axis=2)
    if most and (np.any(counts != most) or np.any(is_large[:, whole:])):
        expected = f"{most} of each {SPAN} levels at ±{LARGE}, the others at ±{SMALL}"
        raise ArgumentError(name, expected, "others")


def _check_product(name: str, group: ProductGroup) -> None:
    n, k = group.mask.shape
    if not np.all(group.mask):
        raise ArgumentError(f"{name}.mask", "all entries of the columns", "some of them")
    if not is_plain(group.right) or group.right.ndim != 2 or not len(group.right):
        raise ArgumentError(f"{name}.right", "signs of at least one component", seen(group.right))
    shapes = {"left": (n, len(group.right)), "right": (len(group.right), k)}
    for field, shape in shapes.items():
        signs = getattr(group, field)
        _check_array(f"{name}.{field}", signs, np.int8, shape)
        if not np.all(np.abs(signs.astype(np.int64)) == 1):
            raise ArgumentError(f"{name}.{field}", "signs of -1 or +1", "others")
    _check_array(f"{name}.row_scale", group.row_scale, np.float64, (n,))
    _check_array(f"{name}.column_scale", group.column_scale, np.float64, (k,))


def _check_haar(name: str, group: HaarGroup) -> None:
    n, k = group.mask.shape
    if not np.array_equal(group.mask, np.broadcast_to(group.mask[0], (n, k))):
        raise ArgumentError(f"{name}.mask", "all entries of some columns", "others")
    terms: Any = group.terms
    if not isinstance(terms, tuple) or not all(isinstance(term, HaarTerm) for term in terms):
        raise ArgumentError(name, "a tuple of HaarTerm", seen(terms))
    check_choice(f"{name}.shared_means", group.shared_means, (False, True))
    covered = np.zeros(k, dtype=np.bool_)
    for term in terms:
        check_choice(f"{name}.axis", term.axis, ("columns", "rows"))
        _check_array(f"{name}.columns", term.columns, np.bool_, (k,))
        if not term.columns.any():
            raise ArgumentError(f"{name}.columns", "at least one column", "none")
        covered |= term.columns
        _check_coefficients(f"{name}.groups", term, (n, int(np.count_nonzero(term.columns))))
        if group.shared_means:
            _check_shared(f"{name}.groups", term)
    if not np.array_equal(covered, group.mask[0]):
        raise ArgumentError(f"{name}.mask", "the columns of the terms", "others")


def _check_coefficients(name: str, term: HaarTerm, shape: tuple[int, int]) -> None:
    groups: Any = term.groups
    if not isinstance(groups, tuple) or not groups:
        raise ArgumentError(name, "a tuple of at least one group", seen(groups))
    for group in groups:
        if check_group(name, group).mask.shape != shape:
            raise ArgumentError(name, f"groups of shape {shape}", group.mask.shape)
        if any(plane.column_scale is not None for plane in group.planes):
            raise ArgumentError(name, "planes without column scales", "a plane with them")
    if not np.all(np.sum([group.mask for group in groups], axis=0) == 1):
        raise ArgumentError(name, "groups that cover each coefficient once", "others")


def _check_shared(name: str, term: HaarTerm) -> None:
    known: dict[int, bytes] = {}
    for group in term.groups:
        places = [p for p, band in enumerate(term.bands) if group.mask[:, band].any()]
        if len(places) > 1 or group.mean is None:
            raise ArgumentError(name, "groups of one band with means", "others")
        # Bit by bit, so that a zero keeps its sign.
        if places and known.setdefault(places[0], group.mean.tobytes()) != group.mean.tobytes():
            raise ArgumentError(name, "the same means in all groups of a band", "others")


def _check_common(name: str, group: Any) -> None:  # noqa: ANN401
    """Check what all kinds of groups have."""
    mask: Any = group.mask
    if not isinstance(group.name, str):
        raise ArgumentError(name, "a group with a name", seen(group.name))
    if not is_plain(mask) or mask.dtype != np.bool_ or mask.ndim != 2:
        raise ArgumentError(name, "a mask that is a boolean matrix", seen(mask))
    if mask.size == 0:
        raise ArgumentError(name, "a mask of at least one entry", seen(mask))


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
    _check_common(name, group)
    match group:
        case BinaryGroup():
            _check_binary(name, group)
        case UniformGroup():
            _check_uniform(name, group)
        case ValueGroup():
            _check_array(f"{name}.values", group.values, np.float64, group.mask.shape)
        case LevelGroup():
            _check_levels(name, group)
        case ProductGroup():
            _check_product(name, group)
        case HaarGroup():
            _check_haar(name, group)
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
        own = check_group(name, group, Group).mask.shape
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
