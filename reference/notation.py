"""Notation
===========

Symbols, shapes and the sign convention that every module of the reference shares.

========== ============ ==========================================================
symbol     shape        meaning
========== ============ ==========================================================
``W``      (n, m)       weights of a linear layer; rows are outputs, columns inputs
``Q``      (n, m)       the quantized image of ``W``
``D``      (n, m)       ``W - Q``
``X``      (N, L, m)    calibration inputs: N sequences of L tokens
``H``      (m, m)       proxy Hessian ``2/N Σ_s X_sᵀ X_s``
``U``      (m, m)       upper triangular, ``H⁻¹ = UᵀU``
``B``, R                a block's columns, and all columns right of the block
``M``      (n, k)       boolean mask of a group inside a block of width k
``mu``     (n,)         row means of a group
``alpha``  (n,)         row scales of a group
``S``      (n, k)       saliency scores of a block
========== ============ ==========================================================

Everything is computed in float64, and no function changes its arguments.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Signs: TypeAlias = npt.NDArray[np.int8]
Indices: TypeAlias = npt.NDArray[np.intp]
Codes: TypeAlias = npt.NDArray[np.uint8]
AnyArray: TypeAlias = npt.NDArray[Any]
SignOfZero: TypeAlias = Literal[0, 1]
Compensation: TypeAlias = Literal["none", "released", "exact"]
"""What becomes of a block's error, see :func:`~subbit.reference.compensate.feedback`."""


def sign(x: npt.ArrayLike, zero: SignOfZero = 1) -> Signs:
    """Sign of each element, with a stated sign of zero.

    Parameters
    ----------
    x : array_like of float64, any shape
        Values; negative zero counts as zero.
    zero : {1, 0}, default 1
        What ``sign(0)`` is. The papers define +1; the authors' codes call a library
        function that returns 0, a third level that one bit cannot store.

    Returns
    -------
    ndarray of int8, shape of `x`
        -1, +1, and where ``zero=0`` also 0.

    Notes
    -----
    ``sign(x) = +1 for x ≥ 0, -1 otherwise``.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (2).

    Examples
    --------
    >>> sign([-2.0, 0.0, 3.0])
    array([-1,  1,  1], dtype=int8)
    >>> sign([-2.0, 0.0, 3.0], zero=0)
    array([-1,  0,  1], dtype=int8)
    """
    values = np.asarray(x, dtype=np.float64)
    if zero == 0:
        return np.sign(values).astype(np.int8)
    # Eq. (2), BiLLM:  sign(x) = +1 if x ≥ 0, −1 otherwise
    return np.where(values >= 0, 1, -1).astype(np.int8)
