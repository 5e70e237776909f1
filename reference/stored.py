"""Numbers in the type they are stored in
======================================

Scales, means and plain values of a record, rounded as a file rounds them.
"""

import numpy as np
import numpy.typing as npt

from .errors import ArgumentError
from .notation import Array


def as_stored(values: Array, dtype: npt.DTypeLike) -> Array:
    """Round numbers to a storage type.

    Parameters
    ----------
    values : ndarray of float64
        Numbers.
    dtype : dtype_like
        A floating type, such as ``"float16"``.

    Returns
    -------
    ndarray of float64, shape of `values`
        What the type holds.

    Raises
    ------
    ArgumentError
        If a number is beyond the type's largest.

    Examples
    --------
    >>> import numpy as np
    >>> as_stored(np.array([0.1]), "float16")
    array([0.09997559])
    """
    with np.errstate(over="ignore"):
        rounded: Array = values.astype(dtype).astype(np.float64)
    if lost := int((np.isinf(rounded) & np.isfinite(values)).sum()):
        came = f"{np.dtype(dtype)}, which is too small for {lost} of {values.size}"
        raise ArgumentError("dtype", "a type that holds every scale and mean", came)
    return rounded
