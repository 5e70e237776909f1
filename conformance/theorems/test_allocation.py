"""Codes of column groups: the budget, Z7 against brute force, and what more energy buys."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from subbit.conformance.cases.zones.energy import SETS, bits_of, error_left, misplaced
from subbit.conformance.inputs.families import Array
from subbit.conformance.target import Port
from subbit.reference.errors import ArgumentError
from subbit.reference.leveled import CODE_BITS, CODES, Code

CONVEX: tuple[Code, ...] = ("0", "1", "2", "3", "4")
"""Each has a plane more than the one before, and gains less."""
energies = st.lists(st.integers(0, 64).map(lambda v: v / 8), min_size=1, max_size=4).map(np.array)
FREE = {"codes": CONVEX, "row_bits": 0, "column_bits": 0}
sides = st.tuples(st.sampled_from([0, 8, 16]), st.sampled_from([0, 16]))


def _best(E: Array, cost: int, budget: float) -> float:
    """The least error of all choices that the budget holds."""
    return min(
        error_left(E, [CONVEX[p] for p in planes])
        for planes in itertools.product(range(len(CONVEX)), repeat=len(E))
        if cost * sum(planes) + CODE_BITS * len(E) <= budget
    )


@given(E=energies, rows=st.integers(1, 9), size=st.integers(1, 9), planes=st.floats(0.0, 16.0))
@example(E=np.array([1.0]), rows=1, size=1, planes=1.0)
def test_Z7_greedy_is_optimal_where_planes_cost_the_same(
    port: Port, E: Array, rows: int, size: int, planes: float
) -> None:
    """Z7: falls decrease and groups are equally wide, so no choice within the bits is better."""
    budget = CODE_BITS * len(E) + planes * rows * size
    found = port.allocate_codes(E, rows, size * len(E), size, budget, **FREE)
    least = _best(E, rows * size, budget)
    assert error_left(E, found) <= least * (1.0 + port.gamma(16)) + port.gamma(16) * E.sum() * 1e-3


@given(
    E=energies,
    codes=st.sampled_from(SETS),
    side=sides,
    shape=st.tuples(st.integers(1, 20), st.integers(1, 40)),
    bits=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    fewer=st.integers(0, 39),
)
def test_more_bits_never_leave_more(
    port: Port,
    E: Array,
    codes: tuple[Code, ...],
    side: tuple[int, int],
    shape: tuple[int, int],
    bits: tuple[float, float],
    fewer: int,
) -> None:
    """For any codes and widths.

    With fewer bits all goes alike up to a step that these do not hold. From there on every step
    has less fall per bit than that one, and all of them together have fewer bits than it.
    """
    (rows, size), groups = shape, len(E)
    width = size * groups - (fewer % size if groups > 1 else 0)
    widths = [min(size, width - size * g) for g in range(groups)]
    counts = [[bits_of(code, (rows, k), *side) for code in codes] for k in widths]
    least, most = (sum(map(choose, counts)) for choose in (min, max))
    less, more = (
        error_left(
            E,
            port.allocate_codes(
                E,
                rows,
                width,
                size,
                least + share * (most - least),
                codes=codes,
                row_bits=side[0],
                column_bits=side[1],
            ),
        )
        for share in sorted(bits)
    )
    assert more <= less * (1.0 + port.gamma(16))


@given(
    E=energies,
    codes=st.sampled_from(SETS),
    side=sides,
    shape=st.tuples(st.integers(1, 20), st.integers(1, 40)),
    share=st.floats(0.0, 1.0),
    fewer=st.integers(0, 39),
)
def test_the_budget_holds_and_the_best_codes_go_to_the_most_energy(
    port: Port,
    E: Array,
    codes: tuple[Code, ...],
    side: tuple[int, int],
    shape: tuple[int, int],
    share: float,
    fewer: int,
) -> None:
    """For any codes: bits are counted to the last one; of equal groups the lower comes first."""
    (rows, size), groups = shape, len(E)
    width = size * groups - (fewer % size if groups > 1 else 0)
    widths = [min(size, width - size * g) for g in range(groups)]
    bits = [{code: bits_of(code, (rows, k), *side) for code in codes} for k in widths]
    least, most = (sum(choose(own.values()) for own in bits) for choose in (min, max))
    budget = least + share * (most - least)
    found = port.allocate_codes(
        E, rows, width, size, budget, codes=codes, row_bits=side[0], column_bits=side[1]
    )
    assert len(found) == groups
    assert set(found) <= set(codes)
    assert sum(own[code] for own, code in zip(bits, found, strict=True)) <= budget
    assert not misplaced(E, widths, found, apart=port.gamma(16)).any()


@given(E=energies, power=st.sampled_from([-20, 30]), budget=st.integers(100, 3000))
def test_only_ratios_of_energies_matter(port: Port, E: Array, power: int, budget: int) -> None:
    """Powers of two change nothing, bit for bit."""
    found = [
        port.allocate_codes(E * scale, 8, 24 * len(E), 24, 12.0 * len(E) + budget, row_bits=0,
                            column_bits=0)
        for scale in (1.0, 2.0**power)
    ]  # fmt: skip
    assert found[0] == found[1]


@given(E=energies)
def test_codes_with_less_distortion_need_bits_that_are_worth_it(port: Port, E: Array) -> None:
    """Without a bound on the bits, every group with energy has the least distortion there is."""
    found = port.allocate_codes(E, 4, 32 * len(E), 32, 1e9)
    for energy, code in zip(E, found, strict=True):
        assert energy == 0.0 or CODES[code].distortion == min(c.distortion for c in CODES.values())


def test_what_cannot_be_kept_to_is_refused(port: Port) -> None:
    """And so are more or fewer energies than groups."""
    with pytest.raises(ArgumentError, match="budget: expected at least"):
        port.allocate_codes([1.0, 1.0], 4, 32, 16, 5.0, codes=("0", "1"))
    with pytest.raises(ArgumentError, match="energies: expected 2 groups of columns"):
        port.allocate_codes([1.0], 4, 32, 16, 1e6)
