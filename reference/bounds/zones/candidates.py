"""Bounds of groups
================

The parts of a search's candidate: binarized groups, their remainders, and the sum of
squares of these. Return values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``r``      (n, k)    remainder that no order of binarization represents
``d``      (n, k)    distance of the binarized values from their mean, off by ``e_d``
``J``      (n,)      possible change by decisions left to rounding, in rows that have any
========== ========= ===============================================================

An objective is a sum of squares ``Σ r²``, and it depends on decisions. Where rounding may
change one of them, either

* the objective stays the same: whatever the sign of d, the remainder has the magnitude
  ``||d| - α|``, and later orders and squares depend only on magnitudes; or
* it jumps: a sign 0 that becomes ±1, a sign whose change moves the next order's mean, an
  entry at the threshold that changes groups. Both values then lie between 0 and the
  row's energy before that decision, because no order raises the error; so that energy is
  the bound. A sign 0 of the last order costs at most ``α²``.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from subbit.reference.bounds.groups.binarize import (
    BinarizeBound,
    residual_binarize_bound,
)
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.notation import Array, Mask, SignOfZero

from .running import Running

GroupBound: TypeAlias = tuple[Rounded, Array]
"""Remainder of a group, and how far the objective of each row may jump."""


def group_remainder(
    values: Rounded,
    mask: Mask,
    order: int,
    *,
    center: bool,
    sign_zero: SignOfZero,
    running: Running | None = None,
) -> GroupBound:
    """Return the remainder of a group.

    Parameters
    ----------
    values : Rounded
        Values to search, shape (n, k).
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : int
        Orders of binarization.
    center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.
    running : Running, optional
        Running sums that the objective may be formed from.

    Returns
    -------
    remainder : Rounded
        Remainder that no order represents, zero outside the mask, shape (n, k).
    jump : ndarray of float64, shape (n,)
        How far the objective of each row may jump.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> values = Arithmetic("float32").read([[1.0, 3.0]])
    >>> group_remainder(values, values.value > 0.0, 1, center=False, sign_zero=1)[0].value
    array([[-1.,  1.]])
    """
    bound = residual_binarize_bound(
        values,
        mask,
        order=order,
        center=center,
        sign_zero=sign_zero,
        arithmetic=values.arithmetic,
    )
    more, count = np.zeros(len(mask)), np.maximum(np.count_nonzero(mask, axis=1), 1)
    if running is not None:
        more = running.slack / count
    jump = np.zeros(len(mask))
    for number in range(order):
        if sign_zero == 0 or (center and number < order - 1):
            jump = np.where(jump == 0.0, _jump(bound, number, mask, more), jump)
    if running is not None:
        mean = np.sum(np.where(mask, values.reach, 0.0), axis=1) / count
        jump = jump + running.lost(mean, [scale.reach for scale in bound.scales], center=center)
    return bound.remainder.keep(mask), jump


def group_remainders(
    values: Rounded,
    masks: Sequence[Mask],
    order: int,
    *,
    center: bool,
    sign_zero: SignOfZero,
    running: Running | None = None,
) -> list[GroupBound]:
    """Return the remainders of several groups, all at once.

    Parameters
    ----------
    values : Rounded
        Values to search, shape (n, k).
    masks : sequence of ndarray of bool, shape (n, k)
        The entries of each group.
    order, center, sign_zero, running
        As in :func:`group_remainder`.

    Returns
    -------
    list of tuple
        For each mask, the result of :func:`group_remainder`.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> values = Arithmetic("float32").read([[1.0, 3.0]])
    >>> masks = [values.value > 0.0, values.value > 2.0]
    >>> groups = group_remainders(values, masks, 1, center=False, sign_zero=1)
    >>> [remainder.value.tolist() for remainder, _ in groups]
    [[[-1.0, 1.0]], [[0.0, 0.0]]]
    """
    if not masks:
        return []
    tall = tiled(values, len(masks))
    sums = None if running is None else running.tiled(len(masks))
    remainder, jump = group_remainder(
        tall, np.concatenate(masks), order, center=center, sign_zero=sign_zero, running=sums
    )
    n = len(masks[0])
    rows = [slice(start, start + n) for start in range(0, len(jump), n)]
    return [(remainder[own], jump[own]) for own in rows]


def tiled(values: Rounded, times: int) -> Rounded:
    """Stack copies of a matrix; rows are binarized one by one.

    Parameters
    ----------
    values : Rounded
        The matrix, shape (n, k).
    times : int
        Number of copies.

    Returns
    -------
    Rounded
        Shape (times n, k).

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> tiled(Arithmetic().read([[1.0, 3.0]]), 2).value
    array([[1., 3.],
           [1., 3.]])
    """
    value, error = (np.tile(x, (times, 1)) for x in (values.value, values.error))
    return Rounded(value, error, values.arithmetic)


def _jump(bound: BinarizeBound, number: int, mask: Mask, slack: Array) -> Array:
    distance, scale = bound.distances[number], bound.scales[number]
    near = mask & (np.abs(distance.value) <= distance.error + slack[:, None])
    near &= distance.error > 0.0
    energy = np.sum(np.where(mask, distance.reach**2, 0.0), axis=1)
    count = np.count_nonzero(near, axis=1)
    if number < len(bound.distances) - 1:
        return np.where(count > 0, energy, 0.0)
    return np.minimum(energy, count * (scale.reach + slack) ** 2)


def undecided_rows(values: Rounded, used: Mask, undecided: Mask) -> GroupBound:
    """Return an empty group for the rows where rounding decides which group an entry is in.

    Parameters
    ----------
    values : Rounded
        Values to search, shape (n, k).
    used : ndarray of bool, shape (n, k)
        The entries that take part.
    undecided : ndarray of bool, shape (n,)
        Rows in which an entry may belong to another group.

    Returns
    -------
    remainder : Rounded
        Zeros, shape (n, k).
    jump : ndarray of float64, shape (n,)
        The energy of those rows.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> values = Arithmetic().read([[1.0, 3.0]])
    >>> undecided_rows(values, values.value > 0.0, np.array([True]))[1]
    array([10.])
    """
    energy = np.sum(np.where(used, values.reach**2, 0.0), axis=1)
    nothing = values.arithmetic.exactly(np.zeros(values.shape))
    return nothing, np.where(undecided, energy, 0.0)


def candidate_objective(groups: Sequence[GroupBound]) -> Rounded:
    """Bound the objective of disjoint groups.

    Parameters
    ----------
    groups : sequence of tuple
        Remainder of each, and how far its objective may jump.

    Returns
    -------
    Rounded
        The sum of the squares, a scalar.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> values = Arithmetic().read([[1.0, 3.0]])
    >>> group = group_remainder(values, values.value > 0.0, 1, center=False, sign_zero=1)
    >>> float(candidate_objective([group]).value)
    2.0
    """
    remainder, jump = groups[0]
    arithmetic = remainder.arithmetic
    for other, more in groups[1:]:
        remainder = Rounded(
            remainder.value + other.value, remainder.error + other.error, arithmetic
        )
        jump = jump + more
    # Eq. (B23), subbit:  |θ̂² − θ²| ≤ Σ (2 |r| e_r + e_r²) + γ_{p+2} Σ r² + Σ J
    squares = (remainder * remainder).total("objective")
    extra = np.sum(jump) * (1.0 + arithmetic.gamma(remainder.value.size + 8))
    return squares.widen(extra + arithmetic.gamma(1) * squares.reach)


def stacked(objectives: Sequence[Rounded], extra: float, arithmetic: Arithmetic) -> Rounded:
    """Return the objectives of all candidates as one array.

    Parameters
    ----------
    objectives : sequence of Rounded
        Objectives, each a scalar.
    extra : float
        Error to add to each.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Objectives, shape (c,).

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> one = Arithmetic().read(2.0)
    >>> stacked([one, one], 0.5, one.arithmetic).error
    array([0.5, 0.5])
    """
    return Rounded(
        np.array([o.value for o in objectives], dtype=np.float64),
        np.array([o.error + extra for o in objectives], dtype=np.float64),
        arithmetic,
    )
