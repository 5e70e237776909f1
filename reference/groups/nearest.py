"""Nearest levels
==============

The levels of a code that are nearest to values in units of their steps.

========== ========= ===================================================
symbol     shape     meaning
========== ========= ===================================================
``x``      (n, k)    values, divided by their steps
``p``                sign planes of the code
``ℓ``                nearest level
========== ========= ===================================================
"""

import numpy as np

from subbit.reference.leveled import LARGE, SMALL, SPAN, Coding, Levels
from subbit.reference.notation import Array, Mask
from subbit.reference.signs import sign


def large_entries(x: Array, most: int) -> Mask:
    """Mark the largest entries of each 16 columns.

    Parameters
    ----------
    x : ndarray of float64, shape (n, k)
        Values.
    most : int
        Entries to mark among each 16.

    Returns
    -------
    ndarray of bool, shape (n, k)
        The entries, of equal ones those in lower columns; none in the last ``k % 16`` columns.

    Examples
    --------
    >>> import numpy as np
    >>> large_entries(np.arange(18.0)[None], 2).nonzero()[1]
    array([14, 15])
    """
    n, k = x.shape
    mask = np.zeros((n, k), dtype=np.bool_)
    whole = k - k % SPAN
    sizes = np.abs(x[:, :whole]).reshape(n, -1, SPAN)  # (n, k) -> (n, k/16, 16)
    # Eq. (86), subbit:  ±3 for the N largest |x_ij| of 16 columns
    first = np.argsort(-sizes, axis=2, kind="stable")[:, :, :most]
    chosen = np.zeros(sizes.shape, dtype=np.bool_)
    np.put_along_axis(chosen, first, values=True, axis=2)
    mask[:, :whole] = chosen.reshape(n, whole)  # (n, k/16, 16) -> (n, k)
    return mask


def nearest_levels(x: Array, coding: Coding, is_large: Mask) -> Levels:
    """Find the nearest levels of values in units of the step.

    Parameters
    ----------
    x : ndarray of float64
        Values, divided by their steps.
    coding : Coding
        The code, not ``"0"``.
    is_large : ndarray of bool, shape of `x`
        Entries at ±3, for a code with a given number of them.

    Returns
    -------
    ndarray of int8, shape of `x`
        Odd levels; of two that are as near, the larger one.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([-9.0, -0.5, 0.0, 2.0])
    >>> from subbit.reference.leveled import CODES
    >>> nearest_levels(x, CODES["2"], np.zeros(4, dtype=bool))
    array([-3, -1,  1,  3], dtype=int8)
    """
    if coding.large:
        return np.asarray(sign(x) * np.where(is_large, LARGE, SMALL), dtype=np.int8)
    top = 2.0**coding.planes - 1.0
    # Eq. (77), subbit:  ℓ(x) = 2 ⌊x/2⌋ + 1, at least −(2^p − 1) and at most 2^p − 1
    return np.clip(2.0 * np.floor(x / 2.0) + 1.0, -top, top).astype(np.int8)
