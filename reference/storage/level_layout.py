"""Levels as tensors
=================

What a group of levels stores: the number of its code, its references where no group before it
has the same, one exponent for each row, its column scales, and its levels, as codes or, where
entries are large, as signs and pattern numbers. A group without planes stores its code alone.
"""

from collections.abc import Sequence
from math import comb

import numpy as np

from subbit.reference.leveled import (
    CODE_BITS,
    CODES,
    EXPONENT_BITS,
    LARGE,
    LEAST_EXPONENT,
    SMALL,
    SPAN,
    Coding,
    LevelGroup,
    Levels,
)
from subbit.reference.notation import AnyArray, Array, Mask
from subbit.reference.record_checks import check_group
from subbit.reference.storage.patterns import pattern_bits, rank_patterns, unrank_patterns

from .record_tensors import Layout, Reader, RecordError, Writer, whole_number

NUMBERS = tuple(CODES)
"""The codes in the order of their numbers."""


def place_of(reference: Array, known: Sequence[Array]) -> int:
    """Find row references among those that are stored already.

    Parameters
    ----------
    reference : ndarray of float64, shape (n,)
        References of a group.
    known : sequence of ndarray of float64, shape (n,)
        Different references, in the order in which they are stored.

    Returns
    -------
    int
        Their place; the number of known ones if they are new.

    Examples
    --------
    >>> import numpy as np
    >>> place_of(np.ones(2), [np.zeros(2), np.ones(2)]), place_of(np.ones(2), [])
    (1, 0)
    """
    # Bit by bit, so that a zero keeps its sign.
    same = (place for place, x in enumerate(known) if x.tobytes() == reference.tobytes())
    return next(same, len(known))


def put_levels(writer: Writer, group: LevelGroup, dtype: str) -> Layout:
    """Write a group of levels.

    Parameters
    ----------
    writer : Writer
        The tensors of its layer.
    group : LevelGroup
        The group.
    dtype : str
        Type of references and column scales.

    Returns
    -------
    dict
        Its layout.

    Raises
    ------
    ArgumentError
        If a number does not fit the type, or the group is not valid.

    Examples
    --------
    >>> import numpy as np
    >>> levels = np.array([[1, -3]], dtype=np.int8)
    >>> group = LevelGroup("all", levels != 0, "2", levels, np.ones(1))
    >>> put_levels(Writer(), group, "float16")["reference"]
    0
    """
    check_group("layer", group, LevelGroup)
    code, columns = group.coding, group.column_scale
    layout = {
        "name": group.name,
        "levels": True,
        "exponents": group.exponent is not None,
        "column_scale": columns is not None,
        "reference": _put_reference(writer, group.reference, dtype) if code.planes else 0,
    }
    writer.put_codes("column_map", np.array(NUMBERS.index(group.code)), CODE_BITS)
    if not code.planes:
        return layout
    if group.exponent is not None:
        codes = group.exponent.astype(np.int64) - LEAST_EXPONENT
        writer.put_codes("exponents", codes, EXPONENT_BITS)
    if columns is not None:
        writer.put_values("scales", columns, dtype)
    if not code.large:
        steps = (group.levels.astype(np.int64) + 2**code.planes - 1) // 2
        writer.put_codes("codes", steps, code.planes)
        return layout
    writer.put("signs", group.levels >= 0)
    is_large = np.abs(group.levels) == LARGE
    whole = is_large[:, : is_large.shape[1] - is_large.shape[1] % SPAN]
    numbers = rank_patterns(whole, code.large, SPAN)
    writer.put_codes("level_map", numbers, pattern_bits(code.large, SPAN))
    return layout


def _put_reference(writer: Writer, reference: Array, dtype: str) -> int:
    place = place_of(reference, writer.references)
    if place == len(writer.references):
        writer.put_values("references", reference, dtype)
        writer.references.append(reference)
    return place


def _take_reference(reader: Reader, place: int, rows: int) -> Array:
    if place == len(reader.references):
        reader.references.append(reader.take_values("references", rows))
    if place >= len(reader.references):
        message = f"a group has references number {place}, of {len(reader.references)}"
        raise RecordError(message)
    return reader.references[place]


def take_levels(reader: Reader, layout: Layout, mask: Mask) -> LevelGroup:
    """Read a group of levels.

    Parameters
    ----------
    reader : Reader
        The tensors of its layer.
    layout : dict
        As from `put_levels`.
    mask : ndarray of bool, shape (n, k)
        Its entries.

    Returns
    -------
    LevelGroup
        The group; one without planes has zeros for what it does not store.

    Raises
    ------
    RecordError
        If the tensors do not fit the layout.

    Examples
    --------
    >>> import numpy as np
    >>> levels, writer = np.array([[1, -3]], dtype=np.int8), Writer()
    >>> group = LevelGroup("all", levels != 0, "2", levels, np.ones(1))
    >>> layout = put_levels(writer, group, "float16")
    >>> take_levels(Reader(writer.tensors(), "float16"), layout, group.mask).decode()
    array([[ 1., -3.]])
    """
    rows, width = mask.shape
    if not mask.all():
        message = "a group of levels has some entries of its columns, not all"
        raise RecordError(message)
    code = NUMBERS[int(reader.take_codes("column_map", 1, CODE_BITS)[0])]
    reference, levels = np.zeros(rows), np.zeros(mask.shape, dtype=np.int8)
    exponent = np.zeros(rows, dtype=np.int8) if layout["exponents"] else None
    columns = np.zeros(width) if layout["column_scale"] else None
    if CODES[code].planes:
        reference = _take_reference(reader, whole_number(layout["reference"]), rows)
        if exponent is not None:
            codes = reader.take_codes("exponents", rows, EXPONENT_BITS)
            exponent = (codes + LEAST_EXPONENT).astype(np.int8)
        if columns is not None:
            columns = reader.take_values("scales", width)
        levels = _take_codes(reader, CODES[code], mask)
    return LevelGroup(str(layout["name"]), mask, code, levels, reference, exponent, columns)


def _take_codes(reader: Reader, code: Coding, mask: Mask) -> Levels:
    if not code.large:
        # (n k,) -> (n, k)
        steps = reader.take_codes("codes", mask.size, code.planes).reshape(mask.shape)
        return (2 * steps - (2**code.planes - 1)).astype(np.int8)
    signs = reader.take("signs", mask.size).reshape(mask.shape)  # (n k,) -> (n, k)
    sizes = np.where(_take_large(reader, code.large, mask.shape), LARGE, SMALL)
    return np.where(signs, sizes, -sizes).astype(np.int8)


def _take_large(reader: Reader, most: int, shape: tuple[int, ...]) -> AnyArray:
    rows, width = shape
    count = width // SPAN
    numbers = reader.take_codes("level_map", rows * count, pattern_bits(most, SPAN))
    if numbers.size and numbers.max() >= comb(SPAN, most):
        message = "tensor level_map names a pattern that is not there"
        raise RecordError(message)
    is_large = np.zeros(shape, dtype=np.bool_)
    # numbers (n, k/16) -> (n, k)
    is_large[:, : count * SPAN] = unrank_patterns(numbers.reshape(rows, count), most, SPAN)
    return is_large
