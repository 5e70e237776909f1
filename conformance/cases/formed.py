"""Whether records are what their fields say
=========================================

A decoder may give the right numbers from a record whose fields are not: a mask in the place of
a name, signs as floats, a scale for every entry. Whoever stores or counts it would not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from subbit.conformance.cases.judge import host
from subbit.reference.factored import ProductGroup
from subbit.reference.haar import HaarGroup
from subbit.reference.layer import BinaryGroup, Group, UniformGroup, ValueGroup
from subbit.reference.leveled import LevelGroup


def components_of(value: Any) -> Iterator[Any]:  # noqa: ANN401
    """Iterate over what an answer consists of, one level down.

    Parameters
    ----------
    value : object
        A record or a sequence; anything else has no parts.

    Yields
    ------
    object
        The fields or the items.
    """
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield getattr(value, field.name)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from value


def groups_in(value: Any) -> Iterator[Group]:  # noqa: ANN401
    """Iterate over the groups in an answer.

    Parameters
    ----------
    value : object
        Arrays, records, numbers, and sequences of them.

    Yields
    ------
    Group
        In order, each before those that it consists of.
    """
    if isinstance(value, Group):
        yield value
    if isinstance(value, Group) and not isinstance(value, HaarGroup):
        return
    for part in components_of(value):
        yield from groups_in(part)


def misfits(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Iterate over what is wrong with the fields of groups.

    Parameters
    ----------
    value : object
        An answer.

    Yields
    ------
    str
        The field, what it should be and what it is.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.ones((1, 2), dtype=bool)
    >>> list(misfits(ValueGroup("kept", mask, np.ones((1, 2)))))
    []
    >>> list(misfits(ValueGroup("kept", mask + 0, np.ones((1, 2)))))
    ['mask: expected flags of shape (n, k), got int64 of shape (1, 2)']
    """
    for group in groups_in(value):
        if not isinstance(group.name, str):
            yield f"name: expected text, got {type(group.name).__name__}"
        shape, found = host(group.mask).shape, host(group.mask)
        if found.dtype.kind != "b" or found.ndim != 2:
            yield f"mask: expected flags of shape (n, k), got {found.dtype} of shape {shape}"
            continue
        for field, part, kinds, wanted in _fields(group, *shape):
            there = host(part)
            if there.dtype.kind not in kinds or there.shape != wanted:
                got = f"{there.dtype} of shape {there.shape}"
                yield f"{field}: expected {_NAMES[kinds]} of shape {wanted}, got {got}"


_NAMES = {"iu": "whole numbers", "f": "numbers"}


def _fields(group: Group, n: int, k: int) -> Iterator[tuple[str, Any, str, tuple[int, ...]]]:
    if isinstance(group, ValueGroup):
        yield "values", group.values, "f", (n, k)
    elif isinstance(group, UniformGroup):
        yield "codes", group.codes, "iu", (n, k)
        yield "scale", group.scale, "f", (n,)
    elif isinstance(group, LevelGroup):
        yield "levels", group.levels, "iu", (n, k)
        yield "reference", group.reference, "f", (n,)
        if group.exponent is not None:
            yield "exponent", group.exponent, "iu", (n,)
        if group.column_scale is not None:
            yield "column_scale", group.column_scale, "f", (k,)
    elif isinstance(group, ProductGroup):
        rank = len(group.right)
        yield "left", group.left, "iu", (n, rank)
        yield "right", group.right, "iu", (rank, k)
        yield "row_scale", group.row_scale, "f", (n,)
        yield "column_scale", group.column_scale, "f", (k,)
    elif isinstance(group, BinaryGroup):
        yield from _binary_fields(group, n, k)


def _binary_fields(
    group: BinaryGroup, n: int, k: int
) -> Iterator[tuple[str, Any, str, tuple[int, ...]]]:
    for plane in group.planes:
        yield "sign", plane.sign, "iu", (n, k)
        yield "row_scale", plane.row_scale, "f", (n,)
        if plane.column_scale is not None:
            yield "column_scale", plane.column_scale, "f", (k,)
    if group.mean is not None:
        yield "mean", group.mean, "f", (n,)
