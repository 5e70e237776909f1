"""Owners of entries
=================

Which of several groups each entry belongs to, as numbers among those that have any.
"""

from collections.abc import Sequence

import numpy as np

from subbit.reference.notation import Mask

from .record_tensors import Reader, RecordError, Writer, code_width


def put_owners(writer: Writer, masks: Sequence[Mask], here: Mask) -> list[int]:
    """Write the owner of each of some entries.

    Parameters
    ----------
    writer : Writer
        The tensors of a layer.
    masks : sequence of ndarray of bool, shape (n, k)
        Disjoint masks of the groups, which cover the entries.
    here : ndarray of bool, shape (n, k)
        The entries.

    Returns
    -------
    list of int
        The groups that have any of them; an owner is a place in this list.

    Examples
    --------
    >>> masks = [np.array([[flag, False]]) for flag in (False, True)]
    >>> put_owners(Writer(), [*masks, ~masks[1]], np.array([[True, True]]))
    [1, 2]
    """
    present = [index for index, mask in enumerate(masks) if (mask & here).any()]
    owner = np.zeros(here.shape, dtype=np.int64)
    for place, index in enumerate(present):
        owner[masks[index]] = place
    writer.put_codes("group_map", owner[here], code_width(len(present)))
    return present


def take_owners(reader: Reader, masks: Sequence[Mask], present: Sequence[int], here: Mask) -> None:
    """Read the owner of each of some entries into the masks of the groups.

    Parameters
    ----------
    reader : Reader
        The tensors of a layer.
    masks : sequence of ndarray of bool, shape (n, k)
        Masks of the groups; they are set where a group owns an entry.
    present : sequence of int
        As from `put_owners`.
    here : ndarray of bool, shape (n, k)
        The entries.

    Raises
    ------
    RecordError
        If an owner is not there.

    Examples
    --------
    >>> writer, here, masks = Writer(), np.ones((1, 2), dtype=bool), np.zeros((2, 1, 2), bool)
    >>> present = put_owners(writer, [np.array([[False, True]]), np.array([[True, False]])], here)
    >>> take_owners(Reader(writer.tensors(), "float16"), list(masks), present, here)
    >>> masks[0]
    array([[False,  True]])
    """
    codes = reader.take_codes("group_map", int(here.sum()), code_width(len(present)))
    if codes.size and codes.max() >= len(present):
        message = "tensor group_map names a group that is not there"
        raise RecordError(message)
    for place, index in enumerate(present):
        masks[index][here] = codes == place
