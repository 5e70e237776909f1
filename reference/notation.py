"""Notation
===========

Symbols, shapes and types shared by every module of the reference.

========== ============ ==========================================================
symbol     shape        meaning
========== ============ ==========================================================
``W``      (n, m)       weights of a linear layer; rows are outputs, columns inputs
``Q``      (n, m)       the quantized image of ``W``
``D``      (n, m)       ``W - Q``
``X``      (N, L, m)    calibration inputs: N sequences of L tokens
``H``      (m, m)       proxy Hessian ``2/N Σ_s X_sᵀ X_s``
``U``      (m, m)       upper triangular, ``H⁻¹ = UᵀU``
``B``, R                a block's columns, and all columns to its right
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
"""Treatment of a block's error, see :func:`~subbit.reference.compensate.feedback`."""
