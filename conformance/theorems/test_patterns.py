"""Patterns of N:M sparsity: a bijection in lexicographic order, and its cost."""

import itertools
from math import comb

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import Mask
from subbit.conformance.inputs.strategies import seeds
from subbit.conformance.target import Port
from subbit.reference.errors import ArgumentError

SMALL = [(keep, group) for group in range(1, 9) for keep in range(1, group + 1)]
sizes = st.integers(1, 40).flatmap(lambda m: st.tuples(st.integers(1, m), st.just(m)))


def _mask(seed: int, rows: int, groups: int, keep: int, group: int) -> Mask:
    """Masks of exactly N of M, all equally likely."""
    draws = np.random.default_rng(seed).random((rows, groups, group))
    return np.asarray(draws.argsort(axis=2).argsort(axis=2) < keep).reshape(rows, -1)


def _all_patterns(keep: int, group: int) -> Mask:
    """Every pattern, in the lexicographic order in which itertools lists kept columns."""
    lists = list(itertools.combinations(range(group), keep))
    mask = np.zeros((len(lists), group), dtype=np.bool_)
    for row, kept in zip(mask, lists, strict=True):
        row[list(kept)] = True
    return mask


@pytest.mark.parametrize(("keep", "group"), SMALL)
def test_numbers_are_places_in_lexicographic_order(port: Port, keep: int, group: int) -> None:
    """All C(M, N) patterns have the numbers 0, 1, 2, ... in the order of their kept columns."""
    patterns = _all_patterns(keep, group)
    numbers: npt.NDArray[np.int64] = np.arange(comb(group, keep))[:, None]
    assert compare.exact(port.rank_patterns(patterns, keep, group), numbers) == 0
    assert compare.exact(port.unrank_patterns(numbers, keep, group), patterns) == 0


@pytest.mark.parametrize(("keep", "group"), SMALL)
def test_Z9_longer_patterns_carry_no_less(port: Port, keep: int, group: int) -> None:
    """2N of each 2M columns can be any two patterns of N:M, and more: it costs no fewer bits."""
    longer, shorter = port.pattern_entropy(2 * keep, 2 * group), port.pattern_entropy(keep, group)
    assert longer >= 2 * shorter * (1 - 1e-12)


@given(size=sizes, seed=seeds(), rows=st.integers(1, 4), groups=st.integers(0, 5))
def test_unranking_undoes_ranking(
    port: Port, size: tuple[int, int], seed: int, rows: int, groups: int
) -> None:
    """Mask to number to mask, and number to mask to number, change nothing."""
    keep, group = size
    mask = _mask(seed, rows, groups, keep, group)
    numbers = port.rank_patterns(mask, keep, group)
    assert numbers.shape == (rows, groups)
    assert ((numbers >= 0) & (numbers < comb(group, keep))).all()
    assert compare.exact(port.unrank_patterns(numbers, keep, group), mask) == 0
    count = comb(group, keep)
    drawn = np.random.default_rng(seed).integers(0, count, size=(rows, groups))
    again = port.rank_patterns(port.unrank_patterns(drawn, keep, group), keep, group)
    assert compare.exact(again, drawn) == 0


@given(size=sizes, seed=seeds())
def test_unranked_masks_keep_N_of_M(port: Port, size: tuple[int, int], seed: int) -> None:
    """Every number names a pattern of exactly N, the first and the last the extreme ones."""
    keep, group = size
    last = comb(group, keep) - 1
    numbers = np.random.default_rng(seed).integers(0, last + 1, size=(3, 4))
    numbers[:, :2] = (0, last)
    mask = port.unrank_patterns(numbers, keep, group).reshape(3, 4, group)
    assert (np.count_nonzero(mask, axis=2) == keep).all()
    assert mask[:, 0, :keep].all()
    assert mask[:, 1, group - keep :].all()


@given(size=sizes, seed=seeds())
def test_order_of_numbers_is_that_of_masks(port: Port, size: tuple[int, int], seed: int) -> None:
    """The pattern that keeps the first column where two differ has the lower number."""
    keep, group = size
    one, other = _mask(seed, 2, 1, keep, group)
    ranks = port.rank_patterns(np.stack([one, other]), keep, group)[:, 0]
    differs = np.flatnonzero(one != other)
    if differs.size:
        assert bool(ranks[0] < ranks[1]) == bool(one[differs[0]])
    else:
        assert ranks[0] == ranks[1]


@given(size=sizes)
def test_bits_of_a_pattern(port: Port, size: tuple[int, int]) -> None:
    """⌈h⌉ with h = log2 C(M, N); the same for kept and for pruned weights; at most M."""
    keep, group = size
    bits, entropy = port.pattern_bits(keep, group), port.pattern_entropy(keep, group)
    assert 2 ** (bits - 1) < comb(group, keep) <= 2**bits
    assert bits - 1 - 1e-6 < entropy < bits + 1e-6
    assert bits <= group
    if keep < group:
        assert bits == port.pattern_bits(group - keep, group)


@pytest.mark.parametrize(
    ("keep", "group", "stored", "floor"),
    [
        (1, 4, 0.5, 0.5),
        (2, 4, 0.75, 0.646),
        (3, 4, 0.5, 0.5),
        (2, 8, 0.625, 0.601),
        (3, 8, 0.75, 0.726),
        (4, 8, 0.875, 0.766),
        (5, 8, 0.75, 0.726),
        (6, 8, 0.625, 0.601),
        (4, 16, 0.6875, 0.677),
        (8, 16, 0.875, 0.853),
    ],
)
def test_index_bits_per_weight(
    port: Port, keep: int, group: int, stored: float, floor: float
) -> None:
    """Cost of the positions of kept weights, per weight."""
    assert port.pattern_bits(keep, group) / group == stored
    assert port.pattern_entropy(keep, group) / group == pytest.approx(floor, abs=6e-4)


def test_large_groups_are_exact(port: Port) -> None:
    """32 of 64 has 1.8e18 patterns; numbers beyond 2⁶³ do not fit and are refused."""
    mask = np.arange(64)[None] >= 32
    assert port.rank_patterns(mask, 32, 64)[0, 0] == comb(64, 32) - 1
    assert compare.exact(port.unrank_patterns([[comb(64, 32) - 1]], 32, 64), mask) == 0
    assert port.pattern_bits(40, 80) == (comb(80, 40) - 1).bit_length()
    with pytest.raises(ArgumentError, match="group: expected one with fewer than 2\\*\\*63"):
        port.rank_patterns(np.arange(68)[None] < 34, 34, 68)


def test_what_is_no_pattern_is_refused(port: Port) -> None:
    """A wrong number kept, a width that M does not divide, a number out of range."""
    mask = np.array([[True, False, False, True]])
    with pytest.raises(ArgumentError, match="mask: expected 1 of each 2 columns, got a group"):
        port.rank_patterns(np.array([[True, False, True, True]]), 1, 2)
    with pytest.raises(ArgumentError, match="mask: expected shape"):
        port.rank_patterns(mask, 1, 3)
    for number in (-1, 6):
        with pytest.raises(ArgumentError, match="ranks: expected numbers from 0 to 5"):
            port.unrank_patterns([[0, number]], 2, 4)
    with pytest.raises(ArgumentError, match="keep: expected a whole number from 1 to 4"):
        port.pattern_bits(5, 4)
