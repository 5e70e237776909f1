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

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from .compensate import block_slices
from .notation import AnyArray, Array, Indices, SignOfZero

# Rows worked on together, so that a block of them stays in the second-level cache.
ROWS = 128
# Candidates worked on together; only the search over every breakpoint has more.
CANDIDATES = 1024


def _mean(total: AnyArray, count: AnyArray) -> Array:
    return np.asarray(total / np.maximum(count, 1))


def prefix_errors(
    X: Array, counts: Indices, *, order: int, center: bool, sign_zero: SignOfZero
) -> Array:
    """Squared error of binarizing the first columns, for several numbers of columns.

    Parameters
    ----------
    X : ndarray of float64, shape (n, k)
        Values.
    counts : ndarray of intp, shape (c,)
        Numbers of leading columns that form the group.
    order : int
        Orders of binarization.
    center, sign_zero
        As in :func:`~subbit.reference.binarize.residual_binarize`.

    Returns
    -------
    ndarray of float64, shape (c,)
        The error of each group, summed over the rows.

    Notes
    -----
    Without a mean and at order 1, one running sum of ``|x|`` answers all candidates. With
    a mean, the distances from it have to be summed for every candidate; the last order's
    remainder is still never formed.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, -3.0, 2.0]])
    >>> prefix_errors(X, np.array([1, 2]), order=1, center=False, sign_zero=1)
    array([0., 2.])
    """
    errors = np.zeros(len(counts))
    for start in range(0, len(X), ROWS):
        # (n, k) -> (k, n): a group is then contiguous, and sums run over whole rows of memory
        Y = np.ascontiguousarray(X[start : start + ROWS].T)
        if center:
            # A mean far from zero would drown the variance, see _SortedRows.
            Y = Y - Y[len(Y) // 2]
        if order == 1 and not center:
            errors += _mean_free_prefixes(Y, counts, sign_zero)
        else:
            errors += _run_prefixes(Y, counts, order=order, center=center, sign_zero=sign_zero)
    return errors


def _mean_free_prefixes(Y: Array, counts: Indices, sign_zero: SignOfZero) -> Array:
    sums = np.zeros((3, len(Y) + 1, Y.shape[1]))
    np.cumsum(np.abs(Y), axis=0, out=sums[0, 1:])
    np.cumsum(Y * Y, axis=0, out=sums[1, 1:])
    np.cumsum(Y == 0.0, axis=0, out=sums[2, 1:])
    total, energy, zeros = sums[:, counts]  # (c, n) each
    scale = _mean(total, counts[:, None])
    # Eq. (16), subbit:  Σ(x − q)² = Σx² − cμ² − cα² − c₀α²
    weight = counts[:, None] + (zeros if sign_zero == 0 else 0.0)
    return np.asarray(np.sum(energy - weight * scale**2, axis=1))


def _run_prefixes(
    Y: Array, counts: Indices, *, order: int, center: bool, sign_zero: SignOfZero
) -> Array:
    scratch = np.empty((2, *Y.shape))
    sums = np.zeros((2, len(Y) + 1, Y.shape[1]))
    np.cumsum(Y, axis=0, out=sums[0, 1:])
    np.cumsum(Y * Y, axis=0, out=sums[1, 1:])
    errors = np.zeros(len(counts))
    for i, c in enumerate(counts):
        if c:
            mean = sums[0, c] / c if center else np.zeros(Y.shape[1])
            remainder = np.subtract(Y[:c], mean, out=scratch[0, :c])
            energy = sums[1, c] - c * mean**2
            errors[i] = _run_error(
                remainder, energy, scratch[1, :c], order=order, center=center, sign_zero=sign_zero
            )
    return errors


def _run_error(
    remainder: Array,
    energy: Array,
    work: Array,
    *,
    order: int,
    center: bool,
    sign_zero: SignOfZero,
) -> float:
    count = len(remainder)
    for further in reversed(range(order)):
        scale = np.sum(np.abs(remainder, out=work), axis=0) / count
        on_mean = work == 0.0 if sign_zero == 0 else np.False_
        zeros = np.count_nonzero(on_mean, axis=0) if np.any(on_mean) else 0
        # Eq. (16), subbit:  Σ(x − q)² = Σx² − cμ² − cα² − c₀α²
        energy = energy - (count + zeros) * scale**2
        if further:
            # abs(r) = r picks out r ≥ 0 and with it both zeros, whose sign is +1
            signed = np.where(work == remainder, scale, -scale)
            remainder -= np.where(on_mean, 0.0, signed) if np.any(zeros) else signed
            if center:
                mean = np.sum(remainder, axis=0) / count
                remainder -= mean
                energy = energy - count * mean**2
    return float(np.sum(energy))


def interval_errors(
    X: Array,
    thresholds: Array,
    *,
    orders: tuple[int, int] = (1, 1),
    center: bool,
    sign_zero: SignOfZero,
    closed: bool,
) -> Array:
    """Squared error of cutting each row at a magnitude, for several magnitudes.

    Parameters
    ----------
    X : ndarray of float64, shape (n, k)
        Values.
    thresholds : ndarray of float64, shape (c,)
        Magnitudes.
    orders : tuple of int, default (1, 1)
        Orders of binarization of the entries inside and of those outside, 1 or 2.
    center, sign_zero
        As in :func:`~subbit.reference.binarize.residual_binarize`.
    closed : bool
        Whether an entry at the threshold lies inside.

    Returns
    -------
    ndarray of float64, shape (c,)
        Error of the entries inside plus error of those outside, summed over the rows.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, -1.0, 5.0]])
    >>> interval_errors(X, np.array([2.0]), center=False, sign_zero=1, closed=True)
    array([0.])
    """
    errors = np.zeros(len(thresholds))
    for start in range(0, len(X), ROWS):
        rows = _SortedRows(X[start : start + ROWS], center=center, sign_zero=sign_zero)
        for part in block_slices(len(thresholds), CANDIDATES):
            errors[part] += rows.split_errors(thresholds[part], orders, closed=closed)
    return errors


# The first and the last place of a run of sorted entries, for each row and candidate.
_Run: TypeAlias = tuple[Indices, Indices]


class _SortedRows:
    """Rows in increasing order with their running sums."""

    def __init__(self, X: Array, *, center: bool, sign_zero: SignOfZero) -> None:
        self.center, self.sign_zero = center, sign_zero
        self.X = np.sort(X, axis=1)
        # A mean far from zero would drown the variance. Subtracting an entry of the row
        # itself is exact where that matters, and keeps exact ties with the mean exact.
        n, k = X.shape
        self.origin = self.X[:, [k // 2]] if center else np.zeros((n, 1))
        self.Y = self.X - self.origin
        self.sums, self.energy = np.zeros((2, n, k + 1))
        np.cumsum(self.Y, axis=1, out=self.sums[:, 1:])
        np.cumsum(self.Y * self.Y, axis=1, out=self.energy[:, 1:])

    def split_errors(self, thresholds: Array, orders: tuple[int, int], *, closed: bool) -> Array:
        """Return the error of each cut, summed over the rows."""
        magnitudes = np.broadcast_to(thresholds, (len(self.X), len(thresholds)))
        low = rank_in_rows(self.X, -magnitudes, right=not closed)
        high = np.maximum(rank_in_rows(self.X, magnitudes, right=closed), low)
        first, last = np.zeros_like(low), np.full_like(high, self.X.shape[1])
        inside = self._error([(low, high)], orders[0])
        outside = self._error([(first, low), (high, last)], orders[1])
        return np.asarray(np.sum(inside + outside, axis=0))

    def _error(self, runs: list[_Run], order: int) -> Array:
        count = _total(high - low for low, high in runs)
        total = _total(self._between(self.sums, *run) for run in runs)
        mean = _mean(total, count) if self.center else np.zeros(total.shape)
        left, right = self._ranks(mean)
        scale = _mean(_total(self._distance(mean, left, *run) for run in runs), count)
        ties = _total(_overlap(run, (left, right)) for run in runs)
        energy = _total(self._between(self.energy, *run) for run in runs)
        # Eq. (16), subbit:  Σ(x − q)² = Σx² − cμ² − cα² − c₀α²
        error = energy - count * mean**2 - (count + ties) * scale**2
        if order == 1:
            return np.asarray(error)
        below = [_clip(run, np.zeros_like(left), left) for run in runs]
        above = [_clip(run, right, np.full_like(right, self.X.shape[1])) for run in runs]
        return np.asarray(error - self._gain(below, above, (mean, scale), (count, ties)))

    def _gain(
        self,
        below: list[_Run],
        above: list[_Run],
        levels: tuple[Array, Array],
        counts: tuple[AnyArray, AnyArray],
    ) -> Array:
        # What a second order takes off: below the first mean all entries are moved by one
        # number, above it by another, and ties lie at zero.
        (mean, scale), (count, ties) = levels, counts
        balance = _total(b - a for a, b in above) - _total(b - a for a, b in below)
        shift = -scale * _mean(balance, count) if self.center else np.zeros(mean.shape)
        distance, on_mean = ties * np.abs(shift), np.where(shift == 0.0, ties, 0)
        for runs, level in ((below, mean - scale + shift), (above, mean + scale + shift)):
            left, right = self._ranks(level)
            distance = distance + _total(self._distance(level, left, *run) for run in runs)
            on_mean = on_mean + _total(_overlap(run, (left, right)) for run in runs)
        # Eq. (28), subbit:  Σr² − Σ(r − q)² = cμ₂² + cα₂² + c₀α₂²,  r = x − μ ∓ α
        return np.asarray(count * shift**2 + (count + on_mean) * _mean(distance, count) ** 2)

    def _ranks(self, mean: Array) -> tuple[Indices, Indices]:
        left = rank_in_rows(self.Y, mean, right=False)
        if self.sign_zero == 1:
            return left, left
        return left, rank_in_rows(self.Y, mean, right=True)

    def _distance(self, mean: Array, rank: Indices, low: Indices, high: Indices) -> Array:
        # Eq. (17), subbit:  Σ|x − μ| = μ(j − a) − (C_j − C_a) + (C_b − C_j) − μ(b − j)
        j = np.clip(rank, low, high)
        below = mean * (j - low) - self._between(self.sums, low, j)
        above = self._between(self.sums, j, high) - mean * (high - j)
        return below + above

    @staticmethod
    def _between(sums: Array, low: Indices, high: Indices) -> Array:
        ends = np.take_along_axis(sums, high, axis=1)
        return np.asarray(ends - np.take_along_axis(sums, low, axis=1))


def _total(parts: Iterable[AnyArray]) -> AnyArray:
    return np.asarray(np.sum(list(parts), axis=0))


def _overlap(run: _Run, other: _Run) -> Indices:
    low, high = run
    return np.asarray(np.clip(other[1], low, high) - np.clip(other[0], low, high))


def _clip(run: _Run, least: Indices, most: Indices) -> _Run:
    low = np.clip(run[0], least, most)
    return low, np.maximum(np.clip(run[1], least, most), low)


def rank_in_rows(rows: Array, values: Array, *, right: bool) -> Indices:
    """Count the entries of each sorted row that lie before some values.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, k)
        Values, increasing in each row.
    values : ndarray of float64, shape (n, t)
        What to look up in the row of the same number.
    right : bool
        Whether equal entries count as lying before.

    Returns
    -------
    ndarray of intp, shape (n, t)
        Ranks from 0 to k.

    Notes
    -----
    Bisection of all look-ups at once.

    Examples
    --------
    >>> import numpy as np
    >>> rank_in_rows(np.array([[1.0, 2.0, 2.0]]), np.array([[2.0]]), right=False)
    array([[1]])
    >>> rank_in_rows(np.array([[1.0, 2.0, 2.0]]), np.array([[2.0]]), right=True)
    array([[3]])
    """
    n, k = rows.shape
    # Eq. (18), subbit:  rank(v) = #{j : x_j < v}, or with ≤
    flat = np.ravel(rows)
    base = np.arange(n, dtype=np.intp)[:, None] * k
    rank = np.zeros(values.shape, dtype=np.intp)
    step = 1 << max(k.bit_length() - 1, 0)
    while step:
        probe = rank + step
        entry = flat[base + np.minimum(probe, k) - 1]
        before = entry <= values if right else entry < values
        rank = np.where((probe <= k) & before, probe, rank)
        step >>= 1
    return rank
