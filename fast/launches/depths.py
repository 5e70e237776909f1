"""Depths of summation
===================

An input of error bounds: the most additions that any term passes through. The
shapes are fixed by the kernels and do not depend on the launch.
"""

from .kernels import BLOCK, ROWS, WARP

SLAB = 256


def row(columns: int) -> int:
    """Return the depth of a sum over a row: lanes in order, then a butterfly.

    Means, scales and joint levels of refinements are such sums, in every round;
    so are the calibrated sums, after products with the Gram matrix of depth `product`.

    Parameters
    ----------
    columns : int
        Width k.

    Returns
    -------
    int
        ``ceil(k / 32) + 4``.

    Examples
    --------
    >>> row(128)
    8
    """
    return -(-columns // WARP) + 4


def column(rows: int) -> int:
    """Return the depth of a column score: 32 rows, a tree of three levels, slabs in order.

    Parameters
    ----------
    rows : int
        Length n.

    Returns
    -------
    int
        ``34 + ceil(n / 256)``.

    Examples
    --------
    >>> column(4096)
    50
    """
    return 34 + -(-rows // SLAB)


def column_fit(rows: int) -> int:
    """Return the depth of a column scale: 4 rows of a warp, a tree of three levels, slabs in order.

    Parameters
    ----------
    rows : int
        Length n.

    Returns
    -------
    int
        ``7 + ceil(n / 32)``.

    Examples
    --------
    >>> column_fit(4096)
    135
    """
    return WARP // ROWS + 3 + -(-rows // WARP)


def objective(rows: int) -> int:
    """Return the depth of a search's objective over the errors of its rows.

    Parameters
    ----------
    rows : int
        Length n.

    Returns
    -------
    int
        ``ceil(n / 256) + 9``.

    Examples
    --------
    >>> objective(4096)
    25
    """
    return -(-rows // BLOCK) + 9


def product(terms: int) -> int:
    """Return the depth of a library's sum or matrix product, whose order is unspecified.

    Parameters
    ----------
    terms : int
        Number of terms.

    Returns
    -------
    int
        The number itself, which is the upper bound.

    Examples
    --------
    >>> product(64)
    64
    """
    return terms
