"""Bounds of calibrated searches
=============================

How far a correct port's objectives may deviate where errors are those of outputs. Return
values are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``S``      (k, k)    Gram matrix of the inputs, positive semidefinite
``R``      (n, k)    remainder of the groups, and the error of the other entries
``J``      (n,)      possible change by decisions left to rounding, in rows that have any
========== ========= ===============================================================

An output depends on the signs of the remainder. So every sign that rounding decides matters,
even where the weight error would not change: by ``2α`` where it is the last one of its
entry, else by the entire remainder before it, since no order raises the sum of squares.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.groups.binarize import residual_binarize_bound
from subbit.reference.bounds.objective import calibrated_error_trace_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.notation import Array, Mask, SignOfZero

from .candidates import tiled
from .split import candidate_sides, entries_of


def _decoded(
    values: Rounded, mask: Mask, order: int, *, center: bool, sign_zero: SignOfZero
) -> tuple[Rounded, Array]:
    """Decode a group, and bound how far signs that rounding decides may carry each row."""
    bound = residual_binarize_bound(
        values,
        mask,
        order=order,
        center=center,
        sign_zero=sign_zero,
        arithmetic=values.arithmetic,
    )
    carried = np.zeros(len(mask))
    for number, (distance, scale) in enumerate(zip(bound.distances, bound.scales, strict=True)):
        near = mask & (np.abs(distance.value) <= distance.error) & (distance.error > 0.0)
        count = np.count_nonzero(near, axis=1)
        left = 2.0 * np.sqrt(np.sum(np.where(mask, distance.reach**2, 0.0), axis=1))
        if number == order - 1:
            left = np.minimum(left, 2.0 * scale.reach * np.sqrt(count))
        carried = np.where((carried == 0.0) & (count > 0), left, carried)
    return bound.decoded, carried


def _images(
    values: Rounded,
    outside: Rounded,
    groups: Sequence[Sequence[Mask]],
    *,
    orders: tuple[int, int],
    center: bool,
    sign_zero: SignOfZero,
) -> Iterator[tuple[Rounded, Array]]:
    """Decode both groups of every candidate, all at once, and bound how far that may be off."""
    n, count = len(values.value), len(groups[0])
    tall, made = tiled(values, count), tiled(outside, count)
    carried = np.zeros(count * n)
    for masks, order in zip(groups, orders, strict=True):
        mask = np.concatenate(masks)
        part, moved = _decoded(tall, mask, order, center=center, sign_zero=sign_zero)
        carried += moved
        made = Rounded(made.value + part.value, made.error + part.error, made.arithmetic)
    for start in range(0, count * n, n):
        yield made[start : start + n], carried[start : start + n]


def _jumps(
    R: Rounded, used: Mask, values: Rounded, gram: Rounded, decided: tuple[Array, Mask]
) -> Array:
    """How far the objective may jump, where the norm of the remainder may jump by `carried`."""
    carried, sides = decided
    largest = np.linalg.norm(gram.value, 2) + np.linalg.norm(gram.error, 2)
    # No objective exceeds that of leaving all entries unchanged.
    most = np.sum(np.where(used, values.reach, R.reach) ** 2, axis=1)
    norm = np.sqrt(np.sum(R.reach**2, axis=1))
    # Eq. (B65), subbit:  J ≤ ‖S‖ (2 c ‖r‖ + c²),  c = Σ 2 α √t or Σ 2 ‖d‖
    jump = np.where(sides, most, np.minimum(most, 2.0 * carried * norm + carried**2))
    return np.asarray(np.where(sides | (carried > 0.0), jump, 0.0) * largest)


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
    """Bounds of the objectives of :func:`~subbit.reference.zones.split.calibrated_split_search`.

    Parameters
    ----------
    target : array_like of float64 or Rounded, shape (n, k)
        Values that errors are measured on.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64 or Rounded, shape (c,)
        Candidates.
    S : array_like of float64 or Rounded, shape (k, k)
        Gram matrix of the block's inputs.
    image, key : array_like of float64 or Rounded, shape (n, k), optional
        As in :func:`~subbit.reference.zones.split.calibrated_split_search`.
    orders, center, sign_zero, closed
        As in :func:`~subbit.reference.zones.split.calibrated_split_search`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Objectives of all thresholds, shape (c,).

    Notes
    -----
    1. Each group decodes to values that are off by ``e_q``, as in
       :func:`~subbit.reference.bounds.groups.binarize.residual_binarize_bound`; groups are
       disjoint.
    2. ``Tr(R S Rᵀ)`` as in :func:`~subbit.reference.bounds.objective.calibrated_error_trace_bound`.
    3. Where rounding decides signs, the remainder of a row may differ by a vector of norm c,
       and the objective by ``‖S‖ (2 c ‖r‖ + c²)``. Where it decides the side of an entry,
       the objective lies between 0 and ``‖S‖`` times the row's energy before any order.

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
    # Where a number is subtracted from itself, nothing is left.
    given, fixed = values, others
    if image is None:
        given = Rounded(values.value, np.where(used, values.error, 0.0), arithmetic)
        fixed = Rounded(values.value, np.zeros(values.shape), arithmetic)
    found = []
    sides = list(candidate_sides(values, used, thresholds, key, closed=closed))
    groups = ([used & (below ^ flip) for below, _ in sides] for flip in (False, True))
    outside = fixed.keep(~used)
    images = _images(
        values, outside, tuple(groups), orders=orders, center=center, sign_zero=sign_zero
    )
    for (Q, carried), (_, undecided) in zip(images, sides, strict=True):
        jumps = _jumps(given - Q, used, values, gram, (carried, undecided))
        plain = calibrated_error_trace_bound(given, Q, gram, arithmetic=arithmetic)
        # Eq. (B66), subbit:  |L̂2 − L2| ≤ Σ (|g| e_r + e_g |r|) + γ_{p+1} Σ|g r| + Σ J,  g = R S
        found.append(plain.widen(np.sum(jumps)))
    return Rounded(
        np.array([float(o.value) for o in found]),
        np.array([float(o.error) for o in found]),
        arithmetic,
    )
