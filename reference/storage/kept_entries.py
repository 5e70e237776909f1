"""Kept entries of a block
=======================

How a block tells a decoder which entries its groups cover. With N:M sparsity, pattern numbers
name N of each M columns; without it, all entries count as named. The covered entries are then
all the named ones, all but whole columns of them, or any subset, which flags tell.
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
        Entries in use, at most N of each M consecutive columns of a row; the last ``k % M``
        columns are free.
    keep, group : int
        N and M.
    argument : str, default "covered"
        Name to put in the error.

    Returns
    -------
    ndarray of bool, shape (n, k)
        `covered`, the free columns and, where a group has fewer than N, further entries:
        those of columns that are empty in all rows come first, then lower columns.

    Raises
    ------
    ArgumentError
        If a group has more than N covered entries.

    Notes
    -----
    So its patterns and one flag per column describe a block whose dead columns hold nothing.

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
    allowed[:, :whole] = pattern.reshape(n, whole)  # (n, k/M, M) -> (n, k)
    return allowed


def flags_of(kept: Mask, meant: Mask) -> Flags:
    """Choose the flags that tell which of the named entries are covered.

    Parameters
    ----------
    kept : ndarray of bool, shape (n, k)
        Entries that a group covers.
    meant : ndarray of bool, shape (n, k)
        Named entries, those of the patterns or all; no others are covered.

    Returns
    -------
    {"all", "columns", "entries"}
        Whether there are no flags, one per column, or one per named entry.

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
    """Return the entries named by patterns, or all.

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
        The entries, including those of `kept`.

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
