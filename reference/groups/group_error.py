"""Error of a group
================

The quantity that searches compare: the squared error of a group's binarization.
"""

import numpy as np

from subbit.reference.notation import Array, Mask, SignOfZero

from .binarize import residual_binarize


def group_error(
    target: Array, mask: Mask, order: int, *, center: bool, sign_zero: SignOfZero
) -> float:
    """Compute the squared error of the residual binarization of a group.

    Parameters
    ----------
    target : ndarray of float64, shape (n, k)
        Values.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : int
        Orders of binarization.
    center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.

    Returns
    -------
    float
        The error, nonnegative.

    Examples
    --------
    >>> import numpy as np
    >>> row = np.array([[1.0, 3.0]])
    >>> group_error(row, row > 0, 1, center=False, sign_zero=1)
    2.0
    """
    group = residual_binarize(target, mask, order=order, center=center, sign_zero=sign_zero)
    return float(np.sum((np.where(mask, target, 0.0) - group.decode()) ** 2))
