"""Bounds of calibrated searches
=============================

How far a right port's objectives may lie from the reference's where errors are those of
outputs. What is returned is as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``S``      (k, k)    Gram matrix of the inputs, not indefinite
``R``      (n, k)    what the groups leave, and the error of the other entries
``J``      (n,)      what decisions of rounding may change in the rows that have some
========== ========= ===============================================================

An output sees the signs of what is left. So every sign that rounding decides matters, also
where the weight error would not notice.
"""

import numpy as np
import numpy.typing as npt

from .bounds import residual_binarize_bound
from .bounds_objective import calibrated_error_trace_bound
from .bounds_search import candidate_sides, entries_of
from .notation import Array, Mask, SignOfZero
from .rounding import Arithmetic, Input, Rounded


def _decoded(
    values: Rounded, mask: Mask, order: int, *, center: bool, sign_zero: SignOfZero
) -> tuple[Rounded, Mask]:
    """What a group becomes, and the rows in which rounding decides a sign."""
    bound = residual_binarize_bound(
        values,
        mask,
        order=order,
        center=center,
        sign_zero=sign_zero,
        arithmetic=values.arithmetic,
    )
    near = np.zeros(len(mask), dtype=np.bool_)
    for distance in bound.distances:
        undecided = (np.abs(distance.value) <= distance.error) & (distance.error > 0.0)
        near |= (mask & undecided).any(axis=1)
    return bound.decoded, near


def _energy(values: Rounded, others: Rounded, used: Mask, gram: Rounded) -> Array:
    """The largest objective of each row: no order raises the sum of squares."""
    outside = np.abs(values.value - others.value) + values.error + others.error
    squares = np.sum(np.where(used, values.reach, outside) ** 2, axis=1)
    largest = np.linalg.norm(gram.value, 2) + np.linalg.norm(gram.error, 2)
    return np.asarray(squares * largest)


def calibrated_split_search_bound(
    target: Input,
    columns: npt.ArrayLike,
    thresholds: Input,
    S: Input,
    *,
    image: Input | None = None,
    key: Input | None = None,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
    arithmetic: Arithmetic,
) -> Rounded:
    """Bounds of the objectives of :func:`~subbit.reference.split.calibrated_split_search`.

    Parameters
    ----------
    target : array_like of float64 or Rounded, shape (n, k)
        What errors are measured on.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64 or Rounded, shape (c,)
        Candidates.
    S : array_like of float64 or Rounded, shape (k, k)
        Gram matrix of the block's inputs.
    image, key : array_like of float64 or Rounded, shape (n, k), optional
        As in :func:`~subbit.reference.split.calibrated_split_search`.
    orders, center, sign_zero, closed
        As in :func:`~subbit.reference.split.calibrated_split_search`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Objectives of all thresholds, shape (c,).

    Notes
    -----
    1. Each group decodes to values that are off by ``e_q``, as in
       :func:`~subbit.reference.bounds.residual_binarize_bound`; groups are disjoint.
    2. ``Tr(R S Rᵀ)`` as in :func:`~subbit.reference.bounds_objective.calibrated_error_trace_bound`.
    3. A row in which rounding decides a sign, or the side of an entry, has an objective
       between 0 and ``‖S‖`` times its energy before any order.

    Examples
    --------
    >>> import numpy as np
    >>> W, everything, port = [[1.0, -1.0, 5.0]], [True] * 3, Arithmetic("float32")
    >>> cuts, S = [2.0, 6.0], np.eye(3)
    >>> bound = calibrated_split_search_bound(W, everything, cuts, S, arithmetic=port)
    >>> bound.value.round(3), bound.error < 1e-4
    (array([ 0.   , 10.667]), array([ True,  True]))
    """
    values = arithmetic.checked("target", target)
    used = entries_of(columns, values)
    gram = arithmetic.checked("S", S, shape=(values.shape[1],) * 2)
    others = values if image is None else arithmetic.checked("image", image, shape=values.shape)
    energy = _energy(values, others, used, gram)
    # Where the others are what they decode to, nothing is subtracted but a number from itself.
    outside = Rounded(values.value, np.zeros(values.shape), arithmetic) if image is None else others
    given = (
        values
        if image is not None
        else Rounded(values.value, np.where(used, values.error, 0.0), arithmetic)
    )
    found = []
    for below, carried in candidate_sides(values, used, thresholds, key, closed=closed):
        value, error = (np.where(used, 0.0, x) for x in (outside.value, outside.error))
        undecided = carried
        for mask, order in zip((used & below, used & ~below), orders, strict=True):
            part, near = _decoded(values, mask, order, center=center, sign_zero=sign_zero)
            value, error = value + part.value, error + part.error
            undecided = undecided | near
        Q = Rounded(value, error, arithmetic)
        # Eq. (B65), subbit:  |L̂2 − L2| ≤ Σ (|g| e_r + e_g |r|) + γ_{p+1} Σ|g r| + Σ J,  g = R S
        plain = calibrated_error_trace_bound(given, Q, gram, arithmetic=arithmetic)
        found.append(plain.widen(np.sum(np.where(undecided, energy, 0.0))))
    return Rounded(
        np.array([float(o.value) for o in found]),
        np.array([float(o.error) for o in found]),
        arithmetic,
    )
