"""Bounds of searches
==================

How far a correct port's objectives may deviate, and which candidates rounding may choose.
Return values are as in ``bounds``; the parts of candidates are in
``bounds.zones.candidates``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``r``      (n, k)    remainder that no order of binarization represents
``J``      (n,)      possible change by decisions left to rounding, in rows that have any
========== ========= ===============================================================
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_mask
from subbit.reference.notation import Array, Mask, SignOfZero

from .candidates import (
    candidate_objective,
    group_remainders,
    stacked,
    undecided_rows,
)
from .running import Running, flushed


def bell_split_search_bound(
    target: Input,
    columns: npt.ArrayLike,
    thresholds: Input,
    *,
    key: Input | None = None,
    orders: tuple[int, int] = (1, 1),
    center: bool = False,
    sign_zero: SignOfZero = 1,
    closed: bool = True,
    running: bool = False,
    arithmetic: Arithmetic,
) -> Rounded:
    """Bounds of the objectives of :func:`~subbit.reference.zones.split.bell_split_search`.

    Parameters
    ----------
    target : array_like of float64 or Rounded, shape (n, k)
        Values that errors are measured on.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64 or Rounded, shape (c,)
        Candidates.
    key : array_like of float64 or Rounded, shape (n, k), optional
        Values to cut; ``|target|`` by default.
    orders, center, sign_zero, closed
        As in :func:`~subbit.reference.zones.split.bell_split_search_direct`.
    running : bool, default False
        Allow the port to form the objectives from running sums.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Objectives of all thresholds as the equation reads, shape (c,).

    Notes
    -----
    As in :func:`salient_search_bound`. In a row where an entry is so close to the threshold
    that its conversion, or the threshold's, may carry it over, the objective may be
    anything between 0 and the row's energy.

    From running sums the levels ``μ ± α + μ₂`` of a second order are off by the loss of three
    sums. An entry may then be taken for a tie with one of them
    when it is not one, or the reverse: ``α₂²`` for each.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> W, port = [[1.0, -1.0, 5.0]], Arithmetic("float32")
    >>> bound = bell_split_search_bound(W, [True] * 3, [2.0, 6.0], arithmetic=port)
    >>> bound.error < 1e-4
    array([ True,  True])
    """
    values = arithmetic.checked("target", target)
    used = entries_of(columns, values)
    sums = Running.of(values, used) if running else None
    sides = list(candidate_sides(values, used, thresholds, key, closed=closed))
    below, above = ([used & (side ^ flip) for side, _ in sides] for flip in (False, True))
    groups = [
        group_remainders(values, masks, order, center=center, sign_zero=sign_zero, running=sums)
        for masks, order in zip((below, above), orders, strict=True)
    ]
    undecided = [undecided_rows(values, used, carried) for _, carried in sides]
    objectives = [candidate_objective(parts) for parts in zip(*groups, undecided, strict=True)]
    return stacked(objectives, flushed(used, arithmetic) if running else 0.0, arithmetic)


def entries_of(columns: npt.ArrayLike, values: Rounded) -> Mask:
    """Return the entries that take part in a search.

    Parameters
    ----------
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries.
    values : Rounded
        Values to search, shape (n, k).

    Returns
    -------
    ndarray of bool, shape (n, k)
        The entries.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> entries_of([True, False], Arithmetic().read([[1.0, 2.0]]))
    array([[ True, False]])
    """
    shape = values.shape if np.ndim(columns) == len(values.shape) else values.shape[1:]
    return np.broadcast_to(check_mask("columns", columns, shape), values.shape)


def candidate_sides(
    values: Rounded, used: Mask, thresholds: Input, key: Input | None, *, closed: bool
) -> Iterator[tuple[Mask, Mask]]:
    """Yield for each threshold the entries below, and the rows where rounding may change them.

    Parameters
    ----------
    values : Rounded
        Values to search, shape (n, k).
    used : ndarray of bool, shape (n, k)
        The entries that take part.
    thresholds : array_like of float64 or Rounded, shape (c,)
        Candidates.
    key : array_like of float64 or Rounded, shape (n, k), or None
        Values to cut; the magnitude of `values` by default.
    closed : bool
        Whether an entry at the threshold lies below.

    Yields
    ------
    below : ndarray of bool, shape (n, k)
        Entries that the reference puts below.
    carried : ndarray of bool, shape (n,)
        Rows in which an entry may lie on the other side.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> values = Arithmetic("float32").read([[1.0, 3.0]])
    >>> next(candidate_sides(values, values.value > 0, [2.0], None, closed=True))
    (array([[ True, False]]), array([False]))
    """
    arithmetic = values.arithmetic
    keys = values.absolute() if key is None else arithmetic.checked("key", key, shape=values.shape)
    cuts = arithmetic.checked("thresholds", thresholds, shape=(None,))
    for p, e_p in zip(cuts.value, cuts.error, strict=True):
        below = keys.value <= p if closed else keys.value < p
        allowed = keys.error + e_p
        near = used & (np.abs(keys.value - p) <= allowed) & (allowed > 0.0)
        yield below, near.any(axis=1)


def choice_margin(objectives: Rounded, choice: int) -> Rounded:
    """Margin of the candidate that a port chose.

    Parameters
    ----------
    objectives : Rounded
        Objectives of all candidates, shape (c,).
    choice : int
        Position of the port's candidate.

    Returns
    -------
    Rounded
        How much its objective lies above another one, a scalar, and the errors of both;
        the other is the one with the largest ratio.

    Notes
    -----
    The port's objectives say ``ô_c <= ô_b`` for every b; hence ``o_c - o_b <= e_c + e_b``.
    So the port reaches the least objective to within the errors of the two, and it makes
    the reference's choice wherever that one leads by more.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> objectives = Arithmetic("float32").read([2.0, 1.0, 1.0])
    >>> float(choice_margin(objectives, 0).value), float(choice_margin(objectives, 2).value)
    (1.0, 0.0)
    """
    # Eq. (B25), subbit:  c chosen  ⇒  o_c − o_b ≤ e_c + e_b for every b
    excess = np.maximum(objectives.value[choice] - objectives.value, 0.0)
    allowed = objectives.error[choice] + objectives.error
    return _worst(excess, allowed, objectives.arithmetic)


def _worst(excess: Array, allowed: Array, arithmetic: Arithmetic) -> Rounded:
    """Along the last axis, the pair with the largest ratio of excess to allowance."""
    ratio = np.where(excess > 0.0, np.inf, 0.0)
    sound = (excess > 0.0) & (excess < np.inf) & (allowed > 0.0)
    np.divide(excess, allowed, out=ratio, where=sound)
    worst = np.argmax(ratio, axis=-1)[..., None]
    # (…, c) -> (…)
    value, error = (np.take_along_axis(x, worst, axis=-1)[..., 0] for x in (excess, allowed))
    return Rounded(value, error, arithmetic)
