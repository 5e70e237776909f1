"""Signs
=====

The sign convention shared by every module of the reference.
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Values
from subbit.reference.contracts.scalars import choice
from subbit.reference.notation import Array, SignOfZero, Signs


@contract(
    1,
    x=Values(text="Values; negative zero counts as zero."),
    zero=choice(
        SignOfZero,
        (
            "Value of ``sign(0)``. The papers define +1; the released code calls a library "
            "function that returns 0, a third level that one bit cannot store."
        ),
    ),
)
def sign(x: Array, zero: SignOfZero = 1) -> Signs:
    """Return the sign of each element, with a stated sign of zero.

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
    if zero == 0:
        return np.sign(x).astype(np.int8)
    # Eq. (2), BiLLM:  sign(x) = +1 if x ≥ 0, −1 otherwise
    return np.asarray(2 * (x >= 0).astype(np.int8) - 1)
