"""Haar coefficients as tensors
============================

What a group of Haar coefficients stores: for each term its columns, unless they are all of the
group's or all that no earlier term has; in each band the group of each coefficient, if there are
several; then its binary groups. Means that the groups of a band share are stored once, behind
the groups of the term.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from subbit.reference.binary import BinaryGroup
from subbit.reference.haar import HaarGroup, HaarTerm
from subbit.reference.notation import Array, Mask
from subbit.reference.record_checks import check_group

from .owners import put_owners, take_owners
from .record_tensors import Layout, Reader, RecordError, Writer

PutGroup = Callable[[Writer, BinaryGroup, str], Layout]
TakeGroup = Callable[[Reader, Layout, Mask], Any]
ALL, REST, MAP = "all", "rest", "map"


def columns_of(terms: Sequence[HaarTerm], place: int, covered: Mask) -> str:
    """Return how the columns of a term are known.

    Parameters
    ----------
    terms : sequence of HaarTerm
        The terms of a group.
    place : int
        The term's place among them.
    covered : ndarray of bool, shape (k,)
        The group's columns.

    Returns
    -------
    str
        ``"all"`` of the group's, the ``"rest"`` that no earlier term has, or by a ``"map"``.

    Examples
    --------
    >>> some, every = np.array([True, False]), np.ones(2, dtype=bool)
    >>> terms = [HaarTerm("rows", columns, ()) for columns in (some, ~some, every)]
    >>> [columns_of(terms, place, every) for place in range(3)]
    ['map', 'rest', 'all']
    """
    columns = terms[place].columns
    if np.array_equal(columns, covered):
        return ALL
    earlier = np.any([term.columns for term in terms[:place]], axis=0) if place else False
    return REST if np.array_equal(columns, covered & ~np.asarray(earlier)) else MAP


def owners_of_bands(term: HaarTerm) -> list[list[int]]:
    """Return which groups have coefficients in each band.

    Parameters
    ----------
    term : HaarTerm
        The term.

    Returns
    -------
    list of list of int
        Places of groups, by band.

    Examples
    --------
    >>> group = BinaryGroup("all", np.ones((1, 2), dtype=bool), ())
    >>> owners_of_bands(HaarTerm("columns", np.ones(2, dtype=bool), (group,)))
    [[0], [0]]
    """
    masks = [group.mask for group in term.groups]
    return [[i for i, mask in enumerate(masks) if mask[:, band].any()] for band in term.bands]


def put_haar(writer: Writer, group: HaarGroup, dtype: str, put_group: PutGroup) -> Layout:
    """Write a group of Haar coefficients.

    Parameters
    ----------
    writer : Writer
        The tensors of its layer.
    group : HaarGroup
        The group.
    dtype : str
        Type of scales and means.
    put_group : callable
        Writes a binary group.

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
    >>> mask = np.ones((1, 2), dtype=bool)
    >>> term = HaarTerm("columns", mask[0], (BinaryGroup("all", mask, ()),))
    >>> put_haar(Writer(), HaarGroup("all", mask, (term,)), "float16", lambda *_: {})["haar"]
    [{'axis': 'columns', 'columns': 'all', 'bands': [[0], [0]], 'groups': [{}]}]
    """
    check_group("layer", group, HaarGroup)
    covered, layouts = group.mask[0], []
    for place, term in enumerate(group.terms):
        how = columns_of(group.terms, place, covered)
        if how == MAP:
            writer.put("column_map", term.columns[covered])
        masks, shape = [own.mask for own in term.groups], term.groups[0].mask.shape
        bands = [put_owners(writer, masks, _part(shape, band)) for band in term.bands]
        own = (
            [replace(one, mean=None) for one in term.groups] if group.shared_means else term.groups
        )
        layout = {"axis": term.axis, "columns": how, "bands": bands}
        layouts.append(layout | {"groups": [put_group(writer, one, dtype) for one in own]})
        if group.shared_means:
            for first in (band[0] for band in bands):
                writer.put_values("means", term.groups[first].row_means, dtype)
    return {"name": group.name, "haar": layouts, "shared_means": group.shared_means}


def _part(shape: tuple[int, ...], band: slice) -> Mask:
    here = np.zeros(shape, dtype=np.bool_)
    here[:, band] = True
    return here


def take_haar(reader: Reader, layout: Layout, mask: Mask, take_group: TakeGroup) -> HaarGroup:
    """Read a group of Haar coefficients.

    Parameters
    ----------
    reader : Reader
        The tensors of its layer.
    layout : dict
        As from `put_haar`.
    mask : ndarray of bool, shape (n, k)
        Its entries.
    take_group : callable
        Reads a binary group.

    Returns
    -------
    HaarGroup
        The group.

    Raises
    ------
    RecordError
        If the tensors do not fit the layout.

    Examples
    --------
    >>> mask = np.zeros((1, 2), dtype=bool)
    >>> said = {"name": "all", "haar": [], "shared_means": False}
    >>> take_haar(Reader({}, "float16"), said, mask, lambda *_: None).terms
    ()
    """
    covered, terms = mask[0], []
    rest, shared = covered.copy(), bool(layout["shared_means"])
    for said in layout["haar"]:
        columns = rest.copy() if said["columns"] == REST else covered.copy()
        if said["columns"] == MAP:
            columns[covered] = reader.take("column_map", int(covered.sum()))
        rest &= ~columns
        terms.append(_take_term(reader, said, columns, len(mask), take_group, shared=shared))
    group = HaarGroup(str(layout["name"]), mask, tuple(terms), shared)
    try:
        return check_group("layer", group, HaarGroup)
    except ValueError as error:
        raise RecordError(str(error)) from error


def _take_term(
    reader: Reader,
    said: Layout,
    columns: Mask,
    rows: int,
    take_group: TakeGroup,
    *,
    shared: bool,
) -> HaarTerm:
    term = HaarTerm(said["axis"], columns, ())
    masks = [np.zeros((rows, int(columns.sum())), dtype=np.bool_) for _ in said["groups"]]
    for band, present in zip(term.bands, said["bands"], strict=True):
        take_owners(reader, masks, present, _part(masks[0].shape, band))
    groups = [
        take_group(reader, one, mask) for one, mask in zip(said["groups"], masks, strict=True)
    ]
    if shared:
        groups = _with_means(reader, groups, said["bands"], rows)
    return replace(term, groups=tuple(groups))


def _with_means(
    reader: Reader, groups: list[BinaryGroup], bands: list[list[int]], rows: int
) -> list[BinaryGroup]:
    means: dict[int, Array] = {}
    for band in bands:
        means |= dict.fromkeys(band, reader.take_values("means", rows))
    zeros = np.zeros(rows)
    return [replace(group, mean=means.get(i, zeros)) for i, group in enumerate(groups)]
