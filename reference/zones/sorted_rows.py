"""Sorted rows
===========

Rows of a block in increasing order with their running sums, for the searches that cut at
magnitudes. In a sorted row, the entries up to a magnitude are one run, and a region around
them is two; entries that take no part come after the others and add nothing.

========== ========= ===========================================================
symbol     shape     meaning
========== ========= ===========================================================
``C``      (n, k+1)  running sums of a sorted row, with a leading zero
``c``      (n, t)    entries of the group, for each row and candidate
========== ========= ===========================================================
"""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from subbit.reference.layer import block_slices
from subbit.reference.notation import AnyArray, Array, Indices, Mask, SignOfZero

# Rows processed together, so that a block of them stays in the second-level cache.
ROWS = 128
# Candidates processed together; only the search over every breakpoint has more.
CANDIDATES = 1024


def bisect_rows(rows: Array, values: Array, *, right: bool) -> Indices:
    """Look up the ranks of some values in sorted rows, all at once by bisection.

    Parameters
    ----------
    rows, values, right
        As in :func:`~subbit.reference.zones.running.rank_in_rows`.

    Returns
    -------
    ndarray of intp, shape (n, t)
        Ranks from 0 to k.

    Examples
    --------
    >>> bisect_rows(np.array([[1.0, 2.0, 2.0]]), np.array([[2.0]]), right=False)
    array([[1]])
    """
    n, k = rows.shape
    step = 1 << max(k.bit_length() - 1, 0)
    # Entries after the last one are before no value, so that no look-up leaves its row.
    padded = np.full((n, 2 * step), np.inf)
    padded[:, :k] = rows
    flat, base = padded.ravel(), np.arange(n, dtype=np.intp)[:, None] * (2 * step)
    last = np.broadcast_to(base - 1, values.shape).copy()
    compare = np.less_equal if right else np.less
    while step:
        # Eq. (18), subbit:  rank(v) = #{j : x_j < v}, or with ≤
        last += step * compare(flat.take(last + step, mode="clip"), values)
        step >>= 1
    return last - (base - 1)


def mean_of(total: AnyArray, count: AnyArray | int) -> Array:
    """Divide sums by numbers of entries; the mean of no entries is 0.

    Parameters
    ----------
    total : ndarray, any shape
        Sums.
    count : int or ndarray, shape of `total`
        Number of entries in each sum.

    Returns
    -------
    ndarray of float64
        Means.

    Examples
    --------
    >>> mean_of(np.array([3.0, 0.0]), np.array([2, 0]))
    array([1.5, 0. ])
    """
    return np.asarray(total / (max(count, 1) if isinstance(count, int) else np.maximum(count, 1)))


def nested_errors(
    X: Array,
    cuts: Array,
    *,
    orders: tuple[int, ...],
    center: bool,
    sign_zero: SignOfZero,
    closed: bool,
    part: Mask | None = None,
) -> Array:
    """Compute the squared error of cutting each row at several magnitudes, by candidate.

    Parameters
    ----------
    X : ndarray of float64, shape (n, k)
        Values.
    cuts : ndarray of float64, shape (cuts, c)
        Magnitudes of each candidate, from the inside out.
    orders : tuple of int
        Orders of binarization of the regions, from the inside out; one more than cuts.
    center, sign_zero, closed, part
        As in :func:`~subbit.reference.zones.running.interval_errors`.

    Returns
    -------
    ndarray of float64, shape (c,)
        Errors of all regions, summed over them and over the rows.

    Notes
    -----
    The entries inside the first cut are one run of the sorted row, and every region around
    it is two. An entry inside a cut takes no part in the later ones.

    Examples
    --------
    >>> import numpy as np
    >>> X, cuts = np.array([[1.0, -2.0, 5.0]]), np.array([[1.0], [2.0]])
    >>> nested_errors(X, cuts, orders=(1, 1, 1), center=False, sign_zero=1, closed=True)
    array([0.])
    """
    errors = np.zeros(cuts.shape[1])
    values, entries = _taking_part(X, part)
    for start in range(0, len(X) if values.size else 0, ROWS):
        some = slice(start, start + ROWS)
        own = None if entries is None else entries[some]
        rows = _SortedRows(values[some], own, center=center, sign_zero=sign_zero)
        for tried in block_slices(cuts.shape[1], CANDIDATES):
            errors[tried] += rows.split_errors(cuts[:, tried], orders, closed=closed)
    return errors


def _taking_part(X: Array, part: Mask | None) -> tuple[Array, Mask | None]:
    # Columns in which no entry takes part need not be sorted.
    if part is None:
        return X, None
    used = np.any(np.atleast_2d(part), axis=0)
    return X[:, used], part[:, used] if part.ndim > 1 else None


# The first and the last position of a run of sorted entries, for each row and candidate.
_Run: TypeAlias = tuple[Indices, Indices]


class _SortedRows:
    """Rows in increasing order with their running sums; entries that take no part are last."""

    def __init__(self, X: Array, part: Mask | None, *, center: bool, sign_zero: SignOfZero) -> None:
        self.center, self.sign_zero = center, sign_zero
        n, k = X.shape
        self.count = np.full((n, 1), k) if part is None else np.sum(part, axis=1, keepdims=True)
        self.X = np.sort(X if part is None else np.where(part, X, np.inf), axis=1)
        # A mean far from zero would drown the variance. Subtracting an entry of the row
        # itself is exact where that matters, and keeps exact ties with the mean exact.
        # (n, k) -> (n, 1)
        middle = np.take_along_axis(self.X, self.count // 2, axis=1) if center else 0.0
        self.Y = self.X - np.where(self.count > 0, middle, 0.0)
        Y = self.Y if part is None else np.where(np.isinf(self.Y), 0.0, self.Y)
        self.sums, self.energy = np.zeros((2, n, k + 1))
        np.cumsum(Y, axis=1, out=self.sums[:, 1:])
        np.cumsum(Y * Y, axis=1, out=self.energy[:, 1:])

    def split_errors(self, cuts: Array, orders: tuple[int, ...], *, closed: bool) -> Array:
        """Return the error of each candidate, summed over regions and rows."""
        total: Array = np.zeros((len(self.X), cuts.shape[1]))
        inner: _Run | None = None
        for thresholds, order in zip(cuts, orders[:-1], strict=True):
            low, high = outer = self._run(thresholds, inner, closed=closed)
            runs = [outer] if inner is None else [(low, inner[0]), (inner[1], high)]
            total, inner = total + self._error(runs, order), outer
        low, high = outer
        rest = [(np.zeros_like(low), low), (high, np.broadcast_to(self.count, high.shape))]
        return np.asarray(np.sum(total + self._error(rest, orders[-1]), axis=0))

    def _run(self, thresholds: Array, inner: _Run | None, *, closed: bool) -> _Run:
        # Between -p and p, and around everything inside the previous cut.
        magnitudes = np.broadcast_to(thresholds, (len(self.X), len(thresholds)))
        low = bisect_rows(self.X, -magnitudes, right=not closed)
        high = np.maximum(bisect_rows(self.X, magnitudes, right=closed), low)
        if inner is None:
            return low, high
        return np.minimum(low, inner[0]), np.maximum(high, inner[1])

    def _error(self, runs: list[_Run], order: int) -> Array:
        count = _total(high - low for low, high in runs)
        total = _total(self._between(self.sums, *run) for run in runs)
        mean = mean_of(total, count) if self.center else np.zeros(total.shape)
        left, right = self._ranks(mean)
        scale = mean_of(_total(self._distance(mean, left, *run) for run in runs), count)
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
        # Error that a second order removes: below the first mean all entries are shifted by
        # one number, above it by another, and ties are at zero.
        (mean, scale), (count, ties) = levels, counts
        balance = _total(b - a for a, b in above) - _total(b - a for a, b in below)
        shift = -scale * mean_of(balance, count) if self.center else np.zeros(mean.shape)
        distance, on_mean = ties * np.abs(shift), np.where(shift == 0.0, ties, 0)
        for runs, level in ((below, mean - scale + shift), (above, mean + scale + shift)):
            left, right = self._ranks(level)
            distance = distance + _total(self._distance(level, left, *run) for run in runs)
            on_mean = on_mean + _total(_overlap(run, (left, right)) for run in runs)
        # Eq. (28), subbit:  Σr² − Σ(r − q)² = cμ₂² + cα₂² + c₀α₂²,  r = x − μ ∓ α
        return np.asarray(count * shift**2 + (count + on_mean) * mean_of(distance, count) ** 2)

    def _ranks(self, mean: Array) -> tuple[Indices, Indices]:
        left = bisect_rows(self.Y, mean, right=False)
        if self.sign_zero == 1 or not np.any(self._at(self.Y, left) == mean):
            return left, left
        return left, bisect_rows(self.Y, mean, right=True)

    @staticmethod
    def _at(rows: Array, places: Indices) -> Array:
        # By places in the whole array; after the last entry of a row there is no other.
        n, k = rows.shape
        first = np.arange(0, n * k, k)[:, None]
        return rows.ravel().take(first + np.minimum(places, k - 1))

    def _distance(self, mean: Array, rank: Indices, low: Indices, high: Indices) -> Array:
        # Eq. (17), subbit:  Σ|x − μ| = μ(j − a) − (C_j − C_a) + (C_b − C_j) − μ(b − j)
        j = np.clip(rank, low, high)
        below = mean * (j - low) - self._between(self.sums, low, j)
        above = self._between(self.sums, j, high) - mean * (high - j)
        return below + above

    def _between(self, sums: Array, low: Indices, high: Indices) -> Array:
        return self._at(sums, high) - self._at(sums, low)


def _total(parts: Iterable[AnyArray]) -> AnyArray:
    return np.asarray(np.sum(list(parts), axis=0))


def _overlap(run: _Run, other: _Run) -> Indices:
    low, high = run
    return np.asarray(np.clip(other[1], low, high) - np.clip(other[0], low, high))


def _clip(run: _Run, least: Indices, most: Indices) -> _Run:
    low = np.clip(run[0], least, most)
    return low, np.maximum(np.clip(run[1], least, most), low)
