"""Patterns of N:M sparsity as numbers
====================================

STBLLM, arXiv 2408.01803, section 3.3; NanoQuant, arXiv 2602.06694v3, appendix.

Of M consecutive weights in a row, N are kept: ``C(M, N)`` patterns, hence ``⌈log2 C(M, N)⌉``
bits to name one. The number of a pattern is its position in the *lexicographic* order of the
lists of kept columns. The patterns of 2:4 are

====== ===== ===== ===== ===== ===== =====
number 0     1     2     3     4     5
kept   0, 1  0, 2  0, 3  1, 2  1, 3  2, 3
====== ===== ===== ===== ===== ===== =====

It is found by counting the patterns that come before (the combinatorial number system): a
column j that is not kept, with r kept ones from there on, has passed over the
``C(M − 1 − j, r − 1)`` patterns that keep it.

========== =================== ====================================================
symbol     shape               meaning
========== =================== ====================================================
``N``      ``keep``            kept weights of a group
``M``      ``group``           consecutive columns that form a group
``r``      (n, m / M, M)       kept weights of a group from column j on
``t``      (n, m / M)          number of the group's pattern
========== =================== ====================================================

``N:M`` means *kept : group*; all released code counts pruned weights instead.
"""

from math import comb, log2
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Flags, WholeNumbers
from subbit.reference.contracts.words import GROUP_SIZE, KEEP
from subbit.reference.errors import ArgumentError
from subbit.reference.notation import Mask

Numbers: TypeAlias = npt.NDArray[np.int64]

LARGEST_COUNT = 2**63 - 1


@contract(1, keep=KEEP, group=GROUP_SIZE)
def pattern_bits(keep: int, group: int) -> int:
    """Compute the bits of a pattern's number.

    Returns
    -------
    int
        ``⌈log2 C(M, N)⌉``.

    References
    ----------
    NanoQuant, arXiv 2602.06694v3, Eq. (46).

    Examples
    --------
    >>> pattern_bits(4, 8), pattern_bits(2, 4), pattern_bits(8, 8)
    (7, 3, 0)
    """
    # Eq. (46), NanoQuant:  ⌈log2 C(M, N)⌉ bits name the kept weights of a group
    return (comb(group, keep) - 1).bit_length()


@contract(1, keep=KEEP, group=GROUP_SIZE)
def pattern_entropy(keep: int, group: int) -> float:
    """Compute the information in a pattern if all are equally likely.

    Returns
    -------
    float
        ``log2 C(M, N)``, which no code for all patterns can undercut on average.

    Examples
    --------
    >>> round(pattern_entropy(4, 8) / 8, 3)
    0.766
    """
    # Eq. (35), subbit:  h = log2 C(M, N)
    return log2(comb(group, keep))


def _steps(keep: int, group: int) -> Numbers:
    """Tabulate ``C(M − 1 − j, r − 1)`` by column j and kept weights r from there on.

    Where no pattern has r kept weights left, the entry may be larger than all counts that
    are looked up; it is capped.
    """
    total = comb(group, keep)
    if total > LARGEST_COUNT:
        raise ArgumentError("group", "one with fewer than 2**63 patterns", f"{keep}:{group}")
    rows = (
        [0, *(min(comb(group - 1 - j, r - 1), total) for r in range(1, keep + 1))]
        for j in range(group)
    )
    return np.array(list(rows), dtype=np.int64)


@contract(
    1,
    mask=Flags(
        ("n", "m"), text="Kept weights, exactly N of each M consecutive columns.", whole=False
    ),
    keep=KEEP,
    group=GROUP_SIZE,
)
def rank_patterns(mask: Mask, keep: int, group: int) -> Numbers:
    """Number the patterns of kept weights.

    Returns
    -------
    ndarray of int64, shape (n, m // group)
        Numbers from 0 to ``C(M, N) − 1``, in lexicographic order of the kept columns.

    Notes
    -----
    ``t = Σ_{j not kept} C(M − 1 − j, r_j − 1)`` with r_j the kept columns from j on, and
    ``C(·, −1) = 0``.

    Examples
    --------
    >>> rank_patterns([[True, True, False, False, False, True, False, True]], 2, 4)
    array([[0, 4]])
    """
    steps = _steps(keep, group)
    n, m = mask.shape
    if m % group:
        raise ArgumentError("mask", f"shape (any, a multiple of {group})", f"{mask.shape}")
    kept = mask.reshape(n, m // group, group)  # (n, m) -> (n, m/M, M)
    counts = np.count_nonzero(kept, axis=2)
    if np.any(counts != keep):
        raise ArgumentError(
            "mask", f"{keep} of each {group} columns", f"a group with {counts[counts != keep][0]}"
        )
    # Eq. (36), subbit:  t = Σ_j (1 − m_j) C(M − 1 − j, r_j − 1),  r_j = Σ_{i ≥ j} m_i
    left = np.cumsum(kept[:, :, ::-1], axis=2)[:, :, ::-1]  # (n, m/M, M)
    passed = steps[np.arange(group), left]
    return np.asarray(np.sum(np.where(kept, 0, passed), axis=2), dtype=np.int64)


@contract(
    1,
    ranks=WholeNumbers(("n", "g"), text="Numbers from 0 to ``C(M, N) − 1``."),
    keep=KEEP,
    group=GROUP_SIZE,
)
def unrank_patterns(ranks: Numbers, keep: int, group: int) -> Mask:
    """Find the patterns that numbers name.

    Returns
    -------
    ndarray of bool, shape (n, g * group)
        Kept weights; :func:`rank_patterns` returns the numbers.

    Notes
    -----
    From left to right: column j is kept if ``t < C(M − 1 − j, r − 1)``; otherwise that many
    patterns are passed over and subtracted from t.

    Examples
    --------
    >>> unrank_patterns([[0, 4]], 2, 4).astype(int)
    array([[1, 1, 0, 0, 0, 1, 0, 1]])
    """
    steps = _steps(keep, group)
    count = comb(group, keep)
    if ranks.size and not 0 <= int(ranks.min()) <= int(ranks.max()) < count:
        raise ArgumentError("ranks", f"numbers from 0 to {count - 1}", "others")
    rest = ranks.astype(np.int64)
    left = np.full(rest.shape, keep)
    mask = np.zeros((*rest.shape, group), dtype=np.bool_)
    # Eq. (36), subbit:  t = Σ_j (1 − m_j) C(M − 1 − j, r_j − 1),  r_j = Σ_{i ≥ j} m_i
    for j in range(group):
        step = steps[j, left]
        mask[:, :, j] = rest < step
        rest -= np.where(mask[:, :, j], 0, step)
        left -= mask[:, :, j]
    return mask.reshape(len(ranks), ranks.shape[1] * group)  # (n, g, M) -> (n, g M)
