"""Kept entries of a block
=======================

How a block tells a decoder which entries its groups cover. With N:M sparsity the numbers of
patterns do, N of each M columns; without, all entries are meant at first. What is covered then
differs from what is meant nowhere, in whole columns, or somewhere.
"""

from typing import Literal, TypeAlias

import numpy as np

from subbit.reference.errors import ArgumentError, check_count
from subbit.reference.notation import Array, Mask

Flags: TypeAlias = Literal["all", "columns", "entries"]


def fill_patterns(covered: Mask, keep: int, group: int, *, argument: str = "covered") -> Mask:
    """Complete the covered entries of a block to N of each M columns.

    Parameters
    ----------
    covered : ndarray of bool, shape (n, k)
        Entries that hold something, at most N of each M consecutive columns of a row; the
        last ``k % M`` columns are free.
    keep, group : int
        N and M.
    argument : str, default "covered"
        Name to put in the error.

    Returns
    -------
    ndarray of bool, shape (n, k)
        `covered`, the free columns and, where a group has fewer than N, further entries:
        those of columns that are empty in all rows come first, then the lower column.

    Raises
    ------
    ArgumentError
        If a group has more than N covered entries.

    Notes
    -----
    So a block whose dead columns hold nothing is told by its patterns and a flag a column.

    Examples
    --------
    >>> import numpy as np
    >>> fill_patterns(np.array([[True, False, False, True]]), 2, 3).astype(int)
    array([[1, 1, 0, 1]])
    """
    check_count("keep", keep, 1, check_count("group", group))
    n, k = covered.shape
    whole = k - k % group
    inside = covered[:, :whole].reshape(n, -1, group)  # (n, k) -> (n, k/M, M)
    if np.any(np.count_nonzero(inside, axis=2) > keep):
        raise ArgumentError(argument, f"at most {keep} covered of each {group} columns", "more")
    used = np.any(covered, axis=0)[:whole].reshape(1, -1, group)  # (1, k/M, M)
    worth: Array = 2.0 * inside + ~used  # covered, then dead, then the others
    order = np.argsort(-worth, axis=2, kind="stable")
    pattern = np.zeros(inside.shape, dtype=np.bool_)  # (n, k/M, M)
    np.put_along_axis(pattern, order[:, :, :keep], values=True, axis=2)
    allowed = np.ones(covered.shape, dtype=np.bool_)
    allowed[:, :whole] = pattern.reshape(n, whole)
    return allowed


def flags_of(kept: Mask, meant: Mask) -> Flags:
    """Say what flags tell the covered entries among those that are meant.

    Parameters
    ----------
    kept : ndarray of bool, shape (n, k)
        Entries that a group covers.
    meant : ndarray of bool, shape (n, k)
        Entries of the patterns, or all; no others are covered.

    Returns
    -------
    {"all", "columns", "entries"}
        Whether there are no flags, one for each column or one for each entry that is meant.

    Examples
    --------
    >>> import numpy as np
    >>> kept = np.array([[True, False], [True, False]])
    >>> flags_of(kept, kept), flags_of(kept, np.ones((2, 2), dtype=bool))
    ('all', 'columns')
    """
    if np.array_equal(kept, meant):
        return "all"
    return "columns" if np.array_equal(kept, meant & kept.any(axis=0)) else "entries"


def meant_entries(kept: Mask, pattern: tuple[int, int] | None, *, argument: str) -> Mask:
    """Return the entries that patterns name, or all.

    Parameters
    ----------
    kept : ndarray of bool, shape (n, k)
        Entries that a group covers.
    pattern : tuple of int, or None
        ``(N, M)``.
    argument : str
        Name to put in an error.

    Returns
    -------
    ndarray of bool, shape (n, k)
        The entries, those of `kept` among them.

    Raises
    ------
    ArgumentError
        If a group has more than N covered entries.

    Examples
    --------
    >>> import numpy as np
    >>> meant_entries(np.array([[True, False]]), None, argument="layer")
    array([[ True,  True]])
    """
    if pattern is None:
        return np.ones(kept.shape, dtype=np.bool_)
    return fill_patterns(kept, *pattern, argument=argument)
