"""Energy of columns
=================

How much a column contributes to the output, and scales that make columns alike.

Columns of high energy are quantized first, while the columns to their right can still make up
for their error, and get the better codes. A column scale takes the spread of the columns out of
a group, so that one step suits them all.

========== ========= ===================================================
symbol     shape     meaning
========== ========= ===================================================
``E_j``    (m,)      energy of a column
``c_j``    (m,)      scale of a column
========== ========= ===================================================
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import symmetric
from subbit.reference.contracts.scalars import Share
from subbit.reference.contracts.words import LAYER
from subbit.reference.notation import Array


@contract(2, W=LAYER, H=symmetric("m", "Proxy Hessian."))
def column_energies(W: Array, H: Array) -> Array:
    """Compute the energy of each column.

    Returns
    -------
    ndarray of float64, shape (m,)
        Energies; the mean over the rows of what each column adds to the squared output.

    References
    ----------
    Eq. (74), subbit.

    Examples
    --------
    >>> column_energies([[1.0, 2.0], [3.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]])
    array([10.,  2.])
    """
    # Eq. (74), subbit:  E_j = H_jj Σ_i W_ij² / n
    return np.asarray(np.diag(H) * np.mean(W**2, axis=0))


@contract(2, W=LAYER, power=Share(text="Power of the root mean square, from 0 to 1."))
def column_scales(W: Array, power: float = 1.0) -> Array:
    """Compute scales that make columns alike.

    Returns
    -------
    ndarray of float64, shape (m,)
        Scales, positive; 1 for a column of zeros, and for all with a power of 0.

    Notes
    -----
    They are relative to the root mean square of all weights, so that scaling the layer leaves
    them as they are.

    References
    ----------
    Eq. (75), subbit.

    Examples
    --------
    >>> column_scales([[1.0, 7.0, 0.0], [1.0, 7.0, 0.0]]).round(3)
    array([0.245, 1.715, 1.   ])
    """
    largest = float(np.abs(W).max()) or 1.0
    squares = np.mean((W / largest) ** 2, axis=0)
    scales = np.ones(len(squares))
    # Eq. (75), subbit:  c_j = (Σ_i W_ij² / n)^{p/2} / (Σ_ij W_ij² / (n m))^{p/2}
    np.power(squares / (np.mean(squares) or 1.0), power / 2.0, out=scales, where=squares > 0.0)
    return scales
