"""Running sums
============

The arithmetic behind the two searches of ``split``. A group of ``c`` entries, binarized
once, leaves

    ``Σ (x - q)² = Σ x² - c μ² - c α² - c₀ α²``

where ``c₀`` counts the entries that sit exactly on the mean and get the sign 0; it is
zero when the sign of zero is +1. So a group's error needs four sums: ``c``, ``Σ x``,
``Σ x²`` and ``Σ |x - μ|``. Over runs of sorted or ranked entries they are differences of
running sums, and no candidate's approximation is ever formed.

========== ========= ===========================================================
symbol     shape     meaning
========== ========= ===========================================================
``c``      (n, t)    entries of the group, for each row and candidate
``C``      (n, k+1)  running sums of a sorted row, with a leading zero
========== ========= ===========================================================
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Part, Places, matrix
from subbit.reference.contracts.scalars import Orders, Whole, choice
from subbit.reference.contracts.words import CENTER, COUNTED, SIGN_ZERO, THRESHOLDS
from subbit.reference.notation import Array, Indices, Mask, SignOfZero

from .sorted_rows import bisect_rows, mean_of, nested_errors

# Rows of prefixes that are processed together: each step is a few calls on all of them.
PREFIX_ROWS = 320


@contract(
    2,
    X=matrix("n", "k", text="Values."),
    counts=Places(("c",), "k", text="Numbers of leading columns that form the group."),
    order=Whole(1, 64, text="Orders of binarization."),
    center=CENTER,
    sign_zero=SIGN_ZERO,
    part=COUNTED.says("Entries that take part; all by default."),
)
def prefix_errors(
    X: Array,
    counts: Indices,
    *,
    order: int,
    center: bool,
    sign_zero: SignOfZero,
    part: Mask | None = None,
) -> Array:
    """Compute the squared error of binarizing the first columns, for several column counts.

    Returns
    -------
    ndarray of float64, shape (c,)
        The error of each group, summed over the rows.

    Notes
    -----
    Without a mean and at order 1, one running sum of ``|x|`` serves all candidates. With
    a mean, the distances from it have to be summed for every candidate; the last order's
    remainder is still never formed.

    References
    ----------
    Eq. (16), subbit.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, -3.0, 2.0]])
    >>> prefix_errors(X, np.array([1, 2]), order=1, center=False, sign_zero=1)
    array([0., 2.])
    """
    errors = np.zeros(len(counts))
    for start in range(0, len(X), PREFIX_ROWS):
        # (n, k) -> (k, n): a group is then contiguous, and sums run over whole rows of memory
        Y = np.ascontiguousarray(X[start : start + PREFIX_ROWS].T)
        own = None if part is None else np.ascontiguousarray(part[start : start + PREFIX_ROWS].T)
        if center:
            Y = Y - _first_entries(Y, own)
        if own is not None:
            Y = np.where(own, Y, 0.0)
        if order == 1 and not center:
            errors += _mean_free_prefixes(Y, own, counts, sign_zero)
        else:
            errors += _run_prefixes(Y, own, counts, order=order, center=center, sign_zero=sign_zero)
    return errors


def _first_entries(Y: Array, part: Mask | None) -> Array:
    # A mean far from zero would drown the variance, see _SortedRows. A row's first entry is in
    # every nonempty group; any other may be far larger than all entries of a short group.
    if part is None or not len(Y):
        return Y[:1]
    return np.take_along_axis(Y, np.argmax(part, axis=0)[None], axis=0)  # (1, n)


def _mean_free_prefixes(
    Y: Array, part: Mask | None, counts: Indices, sign_zero: SignOfZero
) -> Array:
    sums = np.zeros((3, len(Y) + 1, Y.shape[1]))
    np.cumsum(np.abs(Y), axis=0, out=sums[0, 1:])
    np.cumsum(Y * Y, axis=0, out=sums[1, 1:])
    np.cumsum(Y == 0.0 if part is None else part & (Y == 0.0), axis=0, out=sums[2, 1:])
    total, energy, zeros = sums[:, counts]  # (c, n) each
    size = counts[:, None] if part is None else _sizes(part)[counts]
    scale = mean_of(total, size)
    # Eq. (16), subbit:  Σ(x − q)² = Σx² − cμ² − cα² − c₀α²
    weight = size + (zeros if sign_zero == 0 else 0.0)
    return np.asarray(np.sum(energy - weight * scale**2, axis=1))


def _sizes(part: Mask) -> Indices:
    # (k, n) -> (k + 1, n): how many of the first columns' entries take part
    return np.vstack([np.zeros((1, part.shape[1]), dtype=np.intp), np.cumsum(part, axis=0)])


def _run_prefixes(
    Y: Array,
    part: Mask | None,
    counts: Indices,
    *,
    order: int,
    center: bool,
    sign_zero: SignOfZero,
) -> Array:
    scratch = np.empty((2, *Y.shape))
    sums = np.zeros((2, len(Y) + 1, Y.shape[1]))
    np.cumsum(Y, axis=0, out=sums[0, 1:])
    np.cumsum(Y * Y, axis=0, out=sums[1, 1:])
    errors = np.zeros(len(counts))
    for i, c in enumerate(counts.tolist()):
        if c:
            own = None if part is None else part[:c]
            size = c if own is None else np.count_nonzero(own, axis=0)
            mean = mean_of(sums[0, c], size) if center else np.zeros(Y.shape[1])
            remainder = np.subtract(Y[:c], mean, out=scratch[0, :c])
            energy = sums[1, c] - size * mean**2
            errors[i] = _run_error(
                remainder,
                own,
                energy,
                scratch[1, :c],
                order=order,
                center=center,
                sign_zero=sign_zero,
            )
    return errors


def _run_error(
    remainder: Array,
    part: Mask | None,
    energy: Array,
    work: Array,
    *,
    order: int,
    center: bool,
    sign_zero: SignOfZero,
) -> float:
    count = len(remainder) if part is None else np.count_nonzero(part, axis=0)
    for further in reversed(range(order)):
        _leave_out(remainder, part)
        scale = mean_of(np.add.reduce(np.abs(remainder, out=work), axis=0), count)
        on_mean: Mask | None = None
        # Usually the least distance tells that no entry is on the mean.
        tied = bool(work.min() == 0.0)
        if tied and sign_zero == 0:
            on_mean = work == 0.0
            on_mean = on_mean if part is None else part & on_mean
        zeros = 0 if on_mean is None else np.count_nonzero(on_mean, axis=0)
        # Eq. (16), subbit:  Σ(x − q)² = Σx² − cμ² − cα² − c₀α²
        energy = energy - (count + zeros) * scale**2
        if further:
            _take_level(remainder, scale, work, on_mean, tied=tied)
            if center:
                _leave_out(remainder, part)
                mean = mean_of(np.add.reduce(remainder, axis=0), count)
                remainder -= mean
                energy = energy - count * mean**2
    return float(np.sum(energy))


def _take_level(
    remainder: Array, scale: Array, distance: Array, on_mean: Mask | None, *, tied: bool
) -> None:
    """Subtract the first order of each entry, nothing where it is on the mean."""
    if tied:
        # abs(r) = r picks out r ≥ 0 and with it both zeros, whose sign is +1
        signed = np.where(distance == remainder, scale, -scale)
        remainder -= signed if on_mean is None else np.where(on_mean, 0.0, signed)
    else:
        remainder -= np.copysign(scale, remainder, out=distance)


def _leave_out(remainder: Array, part: Mask | None) -> None:
    if part is not None:
        remainder *= part


@contract(
    2,
    X=matrix("n", "k", text="Values."),
    thresholds=THRESHOLDS.says("Magnitudes."),
    orders=Orders(
        2, 2, text="Orders of binarization of the entries inside and of those outside, 1 or 2."
    ),
    center=CENTER,
    sign_zero=SIGN_ZERO,
    closed=choice(bool, "Whether an entry at the threshold lies inside."),
    part=Part(("n", "k"), text="Columns or entries that take part; all by default."),
)
def interval_errors(
    X: Array,
    thresholds: Array,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool,
    sign_zero: SignOfZero,
    closed: bool,
    part: Mask | None = None,
) -> Array:
    """Compute the squared error of cutting each row at a magnitude, for several magnitudes.

    Returns
    -------
    ndarray of float64, shape (c,)
        Error of the entries inside plus error of those outside, summed over the rows.

    References
    ----------
    Eq. (16), subbit, by Eq. (17), subbit; at the second order also Eq. (28), subbit.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, -1.0, 5.0]])
    >>> interval_errors(X, np.array([2.0]), center=False, sign_zero=1, closed=True)
    array([0.])
    """
    return nested_errors(
        X,
        thresholds[None],
        orders=orders,
        center=center,
        sign_zero=sign_zero,
        closed=closed,
        part=part,
    )


@contract(
    1,
    rows=matrix("n", "k", text="Values, increasing in each row."),
    values=matrix("n", "t", text="Values to look up in the row with the same number."),
    right=choice(bool, "Whether equal entries count as lying before."),
)
def rank_in_rows(rows: Array, values: Array, *, right: bool) -> Indices:
    """Count the entries of each sorted row that lie before some values.

    Returns
    -------
    ndarray of intp, shape (n, t)
        Ranks from 0 to k.

    Notes
    -----
    Bisection of all look-ups at once.

    References
    ----------
    Eq. (18), subbit.

    Examples
    --------
    >>> import numpy as np
    >>> rank_in_rows(np.array([[1.0, 2.0, 2.0]]), np.array([[2.0]]), right=False)
    array([[1]])
    >>> rank_in_rows(np.array([[1.0, 2.0, 2.0]]), np.array([[2.0]]), right=True)
    array([[3]])
    """
    return bisect_rows(rows, values, right=right)
