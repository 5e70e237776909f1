"""Levels of a group
=================

From values to the levels of a code, and to the step between them.

========== ========= ===================================================
symbol     shape     meaning
========== ========= ===================================================
``x``      (n, k)    values, column scales divided out
``w``      (k,)      weight of each column's squared error
``s``      (n,)      step of each row, its row scale
``ℓ``                nearest level of a code
``L``      (n, k)    levels
``ρ``      (n,)      reference of each row
``e``      (n,)      exponent of each row
========== ========= ===================================================
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Numbers, matrix
from subbit.reference.contracts.scalars import Choice
from subbit.reference.least_squares import ratio
from subbit.reference.leveled import (
    CODES,
    LARGEST_EXPONENT,
    LEAST_EXPONENT,
    STEPS,
    Code,
    Levels,
)
from subbit.reference.notation import Array

from .nearest import large_entries, nearest_levels

CODE = Choice(tuple(CODES), text="The code.")
CANDIDATES = np.linspace(0.5, 1.6, 8)
"""Steps that are tried, as multiples of the one that suits Gaussian values."""


def _refitted(x: Array, weights: Array, levels: Levels) -> tuple[Array, Array]:
    """Return the least-squares steps of some levels, and the errors that they leave."""
    # Eq. (78), subbit:  s = Σ_j w_j x_ij L_ij / Σ_j w_j L_ij²
    steps = ratio(
        (x * levels) @ weights,
        (levels.astype(np.float64) ** 2) @ weights,
        np.zeros(len(x)),
        0.0,
        "absolute",
    )
    return steps, ((x - steps[:, None] * levels) ** 2) @ weights


@contract(
    2,
    X=matrix("n", "k", text="Values of the group, column scales divided out."),
    weights=Numbers(("k",), positive=True, text="Weight of each column's squared error."),
    code=CODE,
)
def fit_steps(X: Array, weights: Array, code: Code) -> Array:
    """Fit the step of a code to each row.

    Returns
    -------
    ndarray of float64, shape (n,)
        Steps; zeros for ``"0"``, and for rows without weight.

    Notes
    -----
    With one plane, and with a given number of large entries, levels do not depend on the step,
    and its least-squares value is the best. Otherwise eight steps around the one that suits
    Gaussian values are refitted, each to its nearest levels, and the best is kept; of equal
    ones, that of the smaller start.

    References
    ----------
    Eqs. (77) and (78), subbit.

    Examples
    --------
    >>> fit_steps([[1.5, -0.5, 0.5, -1.5]], [1.0, 1.0, 1.0, 1.0], "2")
    array([0.5])
    """
    coding = CODES[code]
    if not coding.planes:
        return np.zeros(len(X))
    is_large = large_entries(X, coding.large)
    if coding.planes == 1 or coding.large:
        return _refitted(X, weights, nearest_levels(X, coding, is_large))[0]
    # Eq. (79), subbit:  s_0 = γ (Σ_j w_j x_ij² / Σ_j w_j)^{1/2},  γ the code's step
    typical = coding.step * np.sqrt((X**2) @ weights / (np.sum(weights) or 1.0))
    best, least = np.zeros(len(X)), (X**2) @ weights
    for factor in CANDIDATES:
        start = np.where(typical > 0.0, factor * typical, 1.0)
        levels = nearest_levels(X / start[:, None], coding, is_large)
        steps, errors = _refitted(X, weights, levels)
        better = errors < least
        best, least = np.where(better, steps, best), np.where(better, errors, least)
    return best


@contract(
    2,
    steps=Numbers(("n",), positive=True, text="Step of each row."),
    reference=Numbers(("n",), positive=True, text="Reference of each row."),
)
def code_exponents(steps: Array, reference: Array) -> Levels:
    """Code steps as exponents of their references.

    Returns
    -------
    ndarray of int8, shape (n,)
        Exponents; 0 where the reference is 0, and -128 for a step of 0.

    Notes
    -----
    Steps from ``2**-8`` to ``2**7.9375`` times their reference are off by at most
    ``2**(1/32)``, a factor of 1.022; others are clamped.

    References
    ----------
    Eq. (80), subbit.

    Examples
    --------
    >>> code_exponents([0.5, 2.0, 3.0, 0.0], [1.0, 1.0, 3.0, 1.0])
    array([ -16,   16,    0, -128], dtype=int8)
    """
    coded = np.where(reference > 0.0, float(LEAST_EXPONENT), 0.0)
    usable = (steps > 0.0) & (reference > 0.0)
    # Eq. (80), subbit:  e = round(16 log2(s / ρ)), at least −128 and at most 127
    coded[usable] = np.rint(STEPS * (np.log2(steps[usable]) - np.log2(reference[usable])))
    return np.clip(coded, LEAST_EXPONENT, LARGEST_EXPONENT).astype(np.int8)
