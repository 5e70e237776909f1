"""Bounds of entries assigned column by column
===========================================

When the only sign of an entry is decided; pairs of signs are decided as in ``joint_signs``, and
the states that they are chosen from are those of ``compensate`` with blocks of one column. Return
values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``Z``      (n, k)    values to represent, off by ``e_Z``
``u``      (n, k)    scale of the sign, off by ``e_u``
========== ========= ===============================================================
"""

import numpy as np

from subbit.reference.bounds.rounding import Rounded


def nearest_sign_margin(Z: Rounded, u: Rounded) -> Rounded:
    """Return how far values are from the place where their sign changes.

    Parameters
    ----------
    Z : Rounded
        Values to represent, shape (n, k).
    u : Rounded
        Scale of the sign, shape (n, k).

    Returns
    -------
    Rounded
        Distances, and the errors of the values; infinite where rounding decides whether the scale
        is negative.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> of = Arithmetic("float32")
    >>> u = Rounded(np.array([1.0, 0.5]), np.array([0.0, 1.0]), of)
    >>> margin = nearest_sign_margin(of.read([[0.5, -2.0]]), u)
    >>> margin.value, margin.error
    (array([[0.5, 2. ]]), array([[ 0., inf]]))
    """
    # Eq. (B144), subbit:  B̂ = B  if |Z| > e_Z  and  |u| > e_u or e_u = 0
    unknown = (np.abs(u.value) <= u.error) & (u.error > 0.0)
    error = np.where(unknown, np.inf, Z.error)
    return Rounded(np.abs(Z.value), error, Z.arithmetic)
