"""Places of quantiles
===================

Where the quantiles of a row lie, as whole fractions.
"""

import numpy as np

from subbit.reference.notation import Array, Indices


def quantile_places(size: int, levels: int) -> tuple[Indices, Array]:
    """Return where quantiles from 0.10 to 0.90 lie among sorted numbers.

    Parameters
    ----------
    size : int
        How many numbers there are.
    levels : int
        Number of quantiles.

    Returns
    -------
    low : ndarray of intp, shape (levels,)
        The number below each quantile.
    share : ndarray of float64, shape (levels,)
        How far it lies toward the next one, from 0 to less than 1.

    Examples
    --------
    >>> quantile_places(11, 3)
    (array([1, 5, 9]), array([0., 0., 0.]))
    """
    steps = max(levels - 1, 1)
    low, rest = np.divmod((size - 1) * (steps + 8 * np.arange(levels)), 10 * steps)
    return low.astype(np.intp), rest / (10 * steps)
