"""The trisection: masks, candidates, and the search against its direct form and naive readings."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import MODES, Array, Mask, Weights
from subbit.conformance.inputs.strategies import masks, seeds, weights
from subbit.conformance.oracles import exact, naive
from subbit.conformance.oracles.searched import (
    ROUNDINGS,
    columns,
    families,
    group_error,
    thresholds,
)
from subbit.conformance.target import Port
from subbit.reference import Partition

ORDERS = [(1, 1, 1), (2, 1, 1), (1, 2, 2), (1, 1, 2)]
every_mode = pytest.mark.parametrize("mode", MODES)


def _part(data: st.DataObject, shape: tuple[int, int]) -> Mask:
    """Columns or entries that take part."""
    if data.draw(st.booleans(), label="entries"):
        return data.draw(masks()).of(shape)
    return columns(data, shape[1])


def _switches(data: st.DataObject, mode: str) -> dict[str, Any]:
    return {
        "closed": data.draw(st.booleans(), label="closed"),
        "factor": data.draw(st.sampled_from([2.0, 1.0, 4.0]), label="factor"),
        **MODES[mode],
    }


def _regions(key: Array, part: Mask, t: float, *, factor: float, closed: bool) -> list[Mask]:
    """The three groups, entry by entry."""
    numbers = np.zeros(key.shape, dtype=int)
    for place in np.ndindex(*key.shape):
        for magnitude in (t, factor * t):
            above = key[place] > magnitude if closed else key[place] >= magnitude
            numbers[place] += above
    return [(numbers == g) & part for g in range(3)]


def _allowed(port: Port, T: Array, part: Mask) -> float:
    return port.gamma(ROUNDINGS) * float(np.sum(np.where(part, T, 0.0) ** 2))


@every_mode
@given(data=st.data(), orders=st.sampled_from(ORDERS))
def test_search_equals_its_direct_form(
    port: Port, mode: str, data: st.DataObject, orders: tuple[int, int, int]
) -> None:
    """Objectives to rounding of the energy; the same choice, or one equally good within that."""
    T = data.draw(weights(families(mode, orders))).values
    part, tried = _part(data, T.shape), thresholds(data, np.abs(T))
    arguments = {"orders": orders, **_switches(data, mode)}
    fast = port.trisection_search(T, part, tried, **arguments)
    direct = port.trisection_search_direct(T, part, tried, **arguments)
    allowed = _allowed(port, T, part)
    assert compare.exact(fast.candidates, direct.candidates) == 0
    assert compare.bound(fast.objectives, direct.objectives, allowed) <= 1
    reached = direct.objectives[fast.best]
    assert compare.objective(reached, direct.objectives.min(), 2 * allowed) <= 1


@every_mode
@given(data=st.data(), orders=st.sampled_from(ORDERS))
def test_B2_prime_threshold_minimizes_the_stated_objective(
    port: Port, mode: str, data: st.DataObject, orders: tuple[int, int, int]
) -> None:
    """B2': every candidate re-evaluated from its masks; the first least one is chosen."""
    T = data.draw(weights(families(mode, orders))).values
    part, tried = _part(data, T.shape), thresholds(data, np.abs(T))
    switches = _switches(data, mode)
    search = port.trisection_search(T, part, tried, orders=orders, **switches)
    cut = {name: switches[name] for name in ("factor", "closed")}
    again = []
    for t in tried:
        groups = _regions(np.abs(T), part, t, **cut)
        again.append(
            sum(group_error(port, T, m, o, mode) for m, o in zip(groups, orders, strict=True))
        )
    allowed = _allowed(port, T, part)
    assert compare.bound(search.objectives, again, allowed) <= 1
    assert search.best == list(search.objectives).index(min(search.objectives))
    assert search.choice == tried[search.best]
    assert compare.objective(again[search.best], min(again), 2 * allowed) <= 1


@every_mode
@given(matrix=weights(rows=(1, 3), columns=(1, 24)), data=st.data())
def test_naive_reading(port: Port, mode: str, matrix: Weights, data: st.DataObject) -> None:
    """A second reading that forms every candidate's approximation, and cuts any key."""
    T = matrix.values
    key = np.random.default_rng(matrix.seed).integers(0, 8, T.shape).astype(np.float64)
    part, tried = _part(data, T.shape), np.array([0.5, 3.0, 1.0, 2.0, 9.0])
    switches, config = _switches(data, mode), Partition(**MODES[mode])
    cut = {name: switches[name] for name in ("factor", "closed")}
    again = []
    for t in tried:
        left = np.where(part, T, 0.0)
        for group in _regions(key, part, t, **cut):
            left = left - naive.binarize(T, group, 1, config)
        again.append(np.sum(left**2))
    search = port.trisection_search_direct(T, part, tried, key=key, **switches)
    assert compare.bound(search.objectives, again, _allowed(port, T, part)) <= 1


@every_mode
@given(matrix=weights(("integer", "tied"), rows=(1, 2), columns=(1, 7)), data=st.data())
def test_exact_objectives(port: Port, mode: str, matrix: Weights, data: st.DataObject) -> None:
    """Against rational numbers, ties with the mean and with both magnitudes included."""
    T, rational = matrix.values, exact.rational(matrix.values)
    part, switches = columns(data, T.shape[1]), _switches(data, mode)
    cut = {name: switches[name] for name in ("factor", "closed")}
    tried, expected = np.arange(0, 10) / 2, []
    for t in tried:
        groups = _regions(np.abs(T), part, t, **cut)
        expected.append(exact.split_objective(rational, *groups, orders=(1, 1, 1), **MODES[mode]))
    search = port.trisection_search(T, part, tried, **switches)
    allowed = _allowed(port, T, part)
    assert compare.bound(search.objectives, exact.floats(expected), allowed) <= 1
    assert float(expected[search.best] - min(expected)) <= 2 * allowed


@given(matrix=weights(), data=st.data())
def test_B1_groups_partition_what_takes_part(
    port: Port, matrix: Weights, data: st.DataObject
) -> None:
    """B1: disjoint, covering, as stated at the magnitudes, and monotone in the threshold."""
    key = np.abs(matrix.values)
    part, switches = _part(data, key.shape), _switches(data, "affine")
    cut = {name: switches[name] for name in ("factor", "closed")}
    before = (np.zeros(key.shape, dtype=bool), None, np.broadcast_to(part, key.shape))
    for t in np.sort(thresholds(data, key)):
        groups = port.trisection(key, part, t, **cut)
        for found, wanted in zip(groups, _regions(key, part, t, **cut), strict=True):
            assert compare.exact(found, wanted) == 0
        # Dense entries stay dense, and sparse ones were sparse before.
        assert not np.any(before[0] & ~groups[0])
        assert not np.any(groups[2] & ~before[2])
        before = groups


@pytest.mark.parametrize("mode", ["mean-free", "mean-free-zero"])
@given(matrix=weights(), data=st.data())
def test_B4a_a_third_group_never_raises_the_mean_free_error(
    port: Port, mode: str, matrix: Weights, data: st.DataObject
) -> None:
    """B4a: the bell split's sparse group cut once more, Sedrakyan.

    With sign(0) = 0 it holds if no entry is zero.
    """
    T = matrix.values
    T = T if MODES[mode]["sign_zero"] else np.where(T == 0, 1.0, T)
    part, tried = _part(data, T.shape), thresholds(data, np.abs(T))
    three = port.trisection_search(T, part, tried, **_switches(data, mode) | {"closed": True})
    two = port.bell_split_search(T, part, tried, **MODES[mode])
    assert compare.objective(three.objectives, two.objectives, _allowed(port, T, part)) <= 1


@every_mode
@given(matrix=weights(), data=st.data())
def test_B4c_a_finer_grid_is_never_worse(
    port: Port, mode: str, matrix: Weights, data: st.DataObject
) -> None:
    """B4c: nested grids of thresholds."""
    T = matrix.values
    part, switches = _part(data, T.shape), _switches(data, mode)
    coarse = thresholds(data, np.abs(T))
    fine = np.concatenate([coarse, thresholds(data, np.abs(T))])

    def least(grid: Array) -> float:
        return float(port.trisection_search(T, part, grid, **switches).objectives.min())

    assert compare.objective(least(fine), least(coarse), _allowed(port, T, part)) <= 1


@every_mode
@given(data=st.data(), orders=st.sampled_from([(1, 1), (2, 1), (1, 2)]))
def test_with_a_large_factor_it_is_the_bell_split(
    port: Port, mode: str, data: st.DataObject, orders: tuple[int, int]
) -> None:
    """Nothing lies beyond the upper magnitude, so two groups are left."""
    T = data.draw(weights(families(mode, orders))).values
    part, tried = _part(data, T.shape), thresholds(data, np.abs(T))
    tried = tried[tried > 1e-10 * np.abs(T).max()]
    if len(tried):
        arguments = {"closed": data.draw(st.booleans()), **MODES[mode]}
        three = port.trisection_search(
            T, part, tried, factor=1e20, orders=(*orders, 1), **arguments
        )
        two = port.bell_split_search(T, part, tried, orders=orders, **arguments)
        assert compare.bound(three.objectives, two.objectives, _allowed(port, T, part)) <= 1


@given(matrix=weights(("gauss", "integer", "tied", "zeros", "constant_magnitude")), data=st.data())
def test_candidates_lie_within_the_grid(port: Port, matrix: Weights, data: st.DataObject) -> None:
    """As in the released loop; all are candidates if none is within the grid."""
    cuts = np.sort(port.held(thresholds(data, np.abs(matrix.values))))
    factor = data.draw(st.sampled_from([1.0, 2.0, 4.0]))
    wanted = [t for t in cuts if factor * t <= cuts[-1]] or list(cuts)
    assert port.trisection_thresholds(cuts, factor=factor).tolist() == wanted


@every_mode
@given(seed=seeds(), shape=st.tuples(st.integers(1, 3), st.integers(1, 12)), closed=st.booleans())
def test_B6_degenerate_blocks(
    port: Port, mode: str, seed: int, shape: tuple[int, int], *, closed: bool
) -> None:
    """B6: rows of one magnitude, where the released code finds no candidate and stops."""
    for family in ("constant_magnitude", "all_equal", "zeros"):
        T = Weights(family, seed, shape).values
        cuts = port.trisection_thresholds(port.quantile_grid(np.abs(T), 3))
        assert len(cuts) == 3 or shape[0] > 1
        for part in (np.ones(shape[1], dtype=bool), np.zeros(shape, dtype=bool)):
            search = port.trisection_search(T, part, cuts, closed=closed, **MODES[mode])
            whole = group_error(port, T, np.broadcast_to(part, shape), 1, mode)
            allowed = _allowed(port, T, part)
            assert compare.bound(search.objectives, np.full(len(cuts), whole), allowed) <= 1


def test_first_minimum_wins(port: Port) -> None:
    """Candidates that are equally good to the last bit: the first one tried is chosen."""
    T, everything = np.array([[1.0, 1.0, 2.0, 2.0]]), np.ones(4, dtype=bool)
    for tried in itertools.permutations([1.0, 1.5, 1.75]):
        for search in (port.trisection_search, port.trisection_search_direct):
            found = search(T, everything, np.array(tried), factor=4.0)
            assert found.choice == tried[0]


@pytest.mark.parametrize("factor", [0.5, float("nan"), float("inf")])
def test_a_factor_below_one_is_refused(port: Port, factor: float) -> None:
    """The upper magnitude is not below the lower one."""
    T, everything = np.array([[1.0, 2.0]]), np.ones(2, dtype=bool)
    for function, arguments in (
        (port.trisection, (T, everything, 1.0)),
        (port.trisection_search, (T, everything, [1.0])),
        (port.trisection_search_direct, (T, everything, [1.0])),
        (port.trisection_thresholds, ([1.0],)),
    ):
        with pytest.raises(ValueError, match="factor"):
            function(*arguments, factor=factor)


def test_every_one_of_many_candidates_is_judged(port: Port) -> None:
    """More of them than a search holds at once have the objectives that they have in parts."""
    T = port.held(np.random.default_rng(0).standard_normal((2, 9)))
    part, tried = np.ones(9, dtype=np.bool_), np.linspace(0.01, 2.0, 1100)
    found = port.trisection_search(T, part, tried).objectives
    halves = [port.trisection_search(T, part, some).objectives for some in np.split(tried, 2)]
    assert compare.bound(found, np.concatenate(halves), _allowed(port, T, part)) <= 1


def test_an_entry_on_the_mean_is_not_in_its_place_at_the_second_order(port: Port) -> None:
    """``x − μ − α B`` is ``0, 0, 0, 1``: nothing rounds, and no other residual has its error."""
    T, part = np.array([[2.0, 1.0, 1.0, 4.0]]), np.ones(4, dtype=np.bool_)
    switches = {"orders": (2, 1, 1), "center": True, "sign_zero": 0}
    search = port.trisection_search(T, part, np.array([8.0]), **switches)
    assert compare.bound(search.objectives, [3 / 16], _allowed(port, T, part)) <= 1
