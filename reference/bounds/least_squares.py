"""Bounds of small normal equations
================================

How far a correct port's solution may deviate, and where rounding decides what depends on
what. Return values are as in :mod:`~subbit.reference.bounds.groups.binarize`.
"""

import numpy as np

from subbit.reference.least_squares import DEPENDENT
from subbit.reference.notation import Array, Mask

from .rounding import Rounded

NOTHING = 2.0**8
"""Roundings that a pivot may consist of before it must count."""


def _where(condition: Mask, yes: Rounded, no: Rounded) -> Rounded:
    return Rounded(
        np.where(condition, yes.value, no.value),
        np.where(condition, yes.error, no.error),
        yes.arithmetic,
    )


def _columns(parts: list[Rounded]) -> Rounded:
    return Rounded(
        np.column_stack([part.value for part in parts]),  # (n, p)
        np.column_stack([part.error for part in parts]),  # (n, p)
        parts[0].arithmetic,
    )


def solve_normal_bound(
    G: Rounded, g: Rounded, usable: Mask | None = None, least: Array | None = None
) -> Rounded:
    """Bound of small normal equations, one system per row.

    Parameters
    ----------
    G : Rounded
        Gram matrices, shape (n, p, p).
    g : Rounded
        Right-hand sides, shape (n, p).
    usable : ndarray of bool, shape (n, p), optional
        Which pivots are more than rounding, if known.
    least : ndarray of float64, shape (n, p), optional
        If not known, pivots below this, or below the share :data:`NOTHING` of the
        diagonal times the unit roundoff, may or may not count: there is no bound.

    Returns
    -------
    Rounded
        Solutions, shape (n, p).

    Notes
    -----
    The same elimination, with numbers that carry their errors.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> read = Arithmetic("float32").read
    >>> found = solve_normal_bound(read([[[2.0, 1.0], [1.0, 2.0]]]), read([[3.0, 3.0]]))
    >>> found.value, bool(found.error.max() < 1e-5)
    (array([[1., 1.]]), True)
    """
    arithmetic, count = G.arithmetic, G.shape[1]
    zero, one = (arithmetic.exactly(np.full(len(G.value), x)) for x in (0.0, 1.0))
    rest = [[G[:, p, q] for q in range(count)] for p in range(count)]
    right = [g[:, p] for p in range(count)]
    pivots, used = [], []
    lost = np.zeros(len(G.value), dtype=np.bool_)
    for p in range(count):
        pivot, whole = rest[p][p], G[:, p, p]
        here = pivot.value > DEPENDENT * whole.value if usable is None else usable[:, p]
        if usable is None:
            share = max(DEPENDENT, NOTHING * arithmetic.unit_roundoff)
            nearly = share * (whole.value + whole.error)
            nearly = nearly if least is None else np.maximum(nearly, least[:, p])
            lost |= (pivot.value - pivot.error <= nearly) & (pivot.reach > 0.0)
        used.append(here)
        pivots.append(_where(here, pivot, one))
        for q in range(p + 1, count):
            # Eq. (B44), subbit:  G_qr − (G_qp / d) G_pr, and each of them off by its error
            factor = _where(here, rest[q][p] / pivots[p], zero)
            rest[q] = [own - factor * above for own, above in zip(rest[q], rest[p], strict=True)]
            right[q] -= factor * right[p]
    solution: list[Rounded] = [zero] * count
    for p in reversed(range(count)):
        known = right[p]
        for q in range(p + 1, count):
            known -= rest[p][q] * solution[q]
        solution[p] = _where(used[p], known / pivots[p], zero)
    # Where rounding may decide which pivots count, there is no bound.
    return _columns(solution).widen(np.where(lost, np.inf, 0.0)[:, None])


def known_rank(G: Array) -> Mask:
    """Return which pivots of whole numbers are not zero.

    Parameters
    ----------
    G : ndarray of float64, shape (n, p, p)
        Gram matrices of vectors of whole numbers up to c = 2¹⁰ entries each.

    Returns
    -------
    ndarray of bool, shape (n, p)
        The vectors that do not depend on earlier ones.

    Notes
    -----
    A pivot of signs that is not zero is at least 1 / c² of its diagonal.

    Examples
    --------
    >>> B = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [-1.0, -1.0, -1.0]])
    >>> known_rank((B @ B.T)[None])
    array([[ True,  True, False]])
    """
    rest, usable = G.copy(), np.zeros(G.shape[:2], dtype=np.bool_)
    for p in range(G.shape[1]):
        usable[:, p] = rest[:, p, p] > DEPENDENT * G[:, p, p]
        pivot = np.where(usable[:, p], rest[:, p, p], 1.0)
        factor = np.where(usable[:, p, None], rest[:, :, p] / pivot[:, None], 0.0)
        rest -= factor[:, :, None] * rest[:, None, p, :]
    return usable
