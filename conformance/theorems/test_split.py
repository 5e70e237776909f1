"""The searches: fast against direct, every candidate re-evaluated, grids and masks."""

import itertools
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import ALL, CONTINUOUS, MODES, Array, Masks, Weights
from subbit.conformance.inputs.strategies import masks, seeds, weights
from subbit.conformance.oracles import exact
from subbit.conformance.oracles.searched import ROUNDINGS, families, group_error
from subbit.conformance.oracles.searched import columns as columns_of
from subbit.conformance.oracles.searched import thresholds as thresholds_of
from subbit.conformance.target import Port

ORDERS = [(1, 1), (2, 2), (2, 1)]
every_mode = pytest.mark.parametrize("mode", MODES)
every_orders = pytest.mark.parametrize("orders", ORDERS)
either_end = pytest.mark.parametrize("closed", [True, False])
EXACT_COUNTS = {2: [0, 1, 2], 3: [1, 2], 4: [0, 2, 4], 5: [1, 4], 6: [2, 4], 8: [0, 4, 8]}
"""Widths and counts that leave groups of 2ᵏ entries: on few bits no order of them rounds."""


def _tries(data: st.DataObject, width: int) -> tuple[npt.NDArray[np.intp], list[int]]:
    """A ranking of some columns, and counts in any order."""
    rng = np.random.default_rng(data.draw(seeds(), label="ranking"))
    ranking = rng.permutation(width)[: data.draw(st.integers(1, width), label="ranked")]
    counts = rng.permutation(len(ranking) + 1)
    return ranking, counts[: data.draw(st.integers(1, len(counts)), label="tried")].tolist()


@every_mode
@every_orders
@given(data=st.data())
def test_salient_search_equals_its_direct_form(
    port: Port, mode: str, orders: tuple[int, int], data: st.DataObject
) -> None:
    """Objectives to rounding of the energy; the same choice, or one equally good within that."""
    T = data.draw(weights(families(mode, orders))).values
    ranking, counts = _tries(data, T.shape[1])
    arguments = {"orders": orders, **MODES[mode]}
    fast = port.salient_search(T, ranking, counts, **arguments)
    direct = port.salient_search_direct(T, ranking, counts, **arguments)
    allowed = port.gamma(ROUNDINGS) * np.sum(T[:, ranking] ** 2)
    assert list(fast.candidates) == list(direct.candidates) == counts
    assert compare.bound(fast.objectives, direct.objectives, allowed) <= 1
    assert (
        compare.objective(direct.objectives[fast.best], direct.objectives.min(), 2 * allowed) <= 1
    )


@every_mode
@either_end
@every_orders
@given(data=st.data())
def test_bell_split_search_equals_its_direct_form(
    port: Port, mode: str, orders: tuple[int, int], data: st.DataObject, *, closed: bool
) -> None:
    """Objectives to rounding of the energy; the same choice, or one equally good within that."""
    T = data.draw(weights(families(mode, orders))).values
    columns = columns_of(data, T.shape[1])
    if data.draw(st.booleans(), label="entries"):
        columns = data.draw(masks()).of(T.shape)
    thresholds = thresholds_of(data, np.abs(T))
    arguments = {"closed": closed, "orders": orders, **MODES[mode]}
    fast = port.bell_split_search(T, columns, thresholds, **arguments)
    direct = port.bell_split_search_direct(T, columns, thresholds, **arguments)
    allowed = port.gamma(ROUNDINGS) * np.sum(np.where(columns, T, 0.0) ** 2)
    assert compare.exact(fast.candidates, direct.candidates) == 0
    assert compare.bound(fast.objectives, direct.objectives, allowed) <= 1
    assert (
        compare.objective(direct.objectives[fast.best], direct.objectives.min(), 2 * allowed) <= 1
    )


@every_mode
@every_orders
@given(data=st.data())
def test_B2_prime_count_minimizes_the_stated_objective(
    port: Port, mode: str, orders: tuple[int, int], data: st.DataObject
) -> None:
    """B2': every candidate re-evaluated from its masks; the first least one is chosen."""
    T = data.draw(weights(families(mode, orders))).values
    ranking, counts = _tries(data, T.shape[1])
    search = port.salient_search(T, ranking, counts, orders=orders, **MODES[mode])
    again = []
    for count in counts:
        salient, rest = np.zeros((2, *T.shape), dtype=bool)
        salient[:, ranking[:count]] = True
        rest[:, ranking[count:]] = True
        first = group_error(port, T, salient, orders[0], mode)
        again.append(first + group_error(port, T, rest, orders[1], mode))
    allowed = port.gamma(ROUNDINGS) * np.sum(T[:, ranking] ** 2)
    assert compare.bound(search.objectives, again, allowed) <= 1
    assert search.best == list(search.objectives).index(min(search.objectives))
    assert search.choice == counts[search.best]
    assert compare.objective(again[search.best], min(again), 2 * allowed) <= 1


@every_mode
@either_end
@every_orders
@given(data=st.data())
def test_B2_prime_threshold_minimizes_the_stated_objective(
    port: Port, mode: str, orders: tuple[int, int], data: st.DataObject, *, closed: bool
) -> None:
    """B2', G2: every candidate re-evaluated from its masks; the first least one is chosen."""
    T = data.draw(weights(families(mode, orders))).values
    columns = columns_of(data, T.shape[1])
    thresholds = thresholds_of(data, np.abs(T))
    arguments = {"closed": closed, "orders": orders, **MODES[mode]}
    search = port.bell_split_search(T, columns, thresholds, **arguments)
    again = []
    for threshold in thresholds:
        below = np.abs(T) <= threshold if closed else np.abs(T) < threshold
        first = group_error(port, T, below & columns, orders[0], mode)
        again.append(first + group_error(port, T, ~below & columns, orders[1], mode))
    allowed = port.gamma(ROUNDINGS) * np.sum(T[:, columns] ** 2)
    assert compare.bound(search.objectives, again, allowed) <= 1
    assert search.best == list(search.objectives).index(min(search.objectives))
    assert search.choice == thresholds[search.best]
    assert compare.objective(again[search.best], min(again), 2 * allowed) <= 1


@every_mode
@either_end
@given(data=st.data(), seed=seeds())
def test_split_by_another_key(
    port: Port, mode: str, data: st.DataObject, seed: int, *, closed: bool
) -> None:
    """The direct form cuts any key and measures on the target."""
    T = data.draw(weights()).values
    columns = columns_of(data, T.shape[1])
    key = np.random.default_rng(seed).integers(0, 4, T.shape).astype(np.float64)
    thresholds = np.array([0.5, 2.0, 1.0, 5.0])
    search = port.bell_split_search_direct(
        T, columns, thresholds, key=key, closed=closed, **MODES[mode]
    )
    again = []
    for threshold in thresholds:
        below = key <= threshold if closed else key < threshold
        first = group_error(port, T, below & columns, 1, mode)
        again.append(first + group_error(port, T, ~below & columns, 1, mode))
    assert compare.bound(search.objectives, again, port.gamma(ROUNDINGS) * np.sum(T**2)) <= 1


@every_mode
@every_orders
@given(matrix=weights(("integer", "tied"), rows=(1, 2), columns=(1, 1)), data=st.data())
def test_exact_salient_objectives(
    port: Port, mode: str, orders: tuple[int, int], matrix: Weights, data: st.DataObject
) -> None:
    """Against rational numbers, ties included; the choice is the first exact minimum."""
    width = data.draw(st.sampled_from(sorted(EXACT_COUNTS)))
    T = Weights(matrix.family, matrix.seed, (matrix.shape[0], width)).values
    ranking = np.random.default_rng(matrix.seed).permutation(width)
    counts = EXACT_COUNTS[width]
    rational = exact.rational(T)
    expected = []
    for count in counts:
        salient = np.isin(np.arange(width), ranking[:count])
        expected.append(exact.salient_objective(rational, salient, orders=orders, **MODES[mode]))
    search = port.salient_search(T, ranking, counts, orders=orders, **MODES[mode])
    allowed = port.gamma(ROUNDINGS) * float(np.sum(T**2))
    assert compare.bound(search.objectives, exact.floats(expected), allowed) <= 1
    assert float(expected[search.best] - min(expected)) <= 2 * allowed


@every_mode
@either_end
@given(matrix=weights(("integer", "tied"), rows=(1, 3), columns=(1, 7)), data=st.data())
def test_exact_split_objectives(
    port: Port, mode: str, matrix: Weights, data: st.DataObject, *, closed: bool
) -> None:
    """Against rational numbers, ties with the mean and with the threshold included."""
    T = matrix.values
    columns = columns_of(data, T.shape[1])
    thresholds = np.arange(0, 10) / 2
    rational = exact.rational(T)
    expected = []
    for threshold in thresholds:
        below = np.abs(T) <= threshold if closed else np.abs(T) < threshold
        groups = (below & columns, ~below & columns)
        expected.append(exact.split_objective(rational, *groups, **MODES[mode]))
    search = port.bell_split_search(T, columns, thresholds, closed=closed, **MODES[mode])
    allowed = port.gamma(ROUNDINGS) * float(np.sum(T**2))
    assert compare.bound(search.objectives, exact.floats(expected), allowed) <= 1
    assert float(expected[search.best] - min(expected)) <= 2 * allowed


@every_mode
@either_end
@every_orders
@given(family=st.sampled_from(["integer", "tied"]), seed=seeds(), width=st.sampled_from([2, 4, 8]))
def test_exact_split_objectives_of_both_orders(
    port: Port,
    mode: str,
    orders: tuple[int, int],
    family: str,
    seed: int,
    width: int,
    *,
    closed: bool,
) -> None:
    """Against rational numbers: groups of 2ᵏ entries, where a level's ties are exact."""
    T = Weights(family, seed, (1, width)).values
    rational, columns = exact.rational(T), np.ones(width, dtype=bool)
    thresholds, expected = [], []
    for threshold in np.arange(0, 20) / 2:
        below = np.abs(T) <= threshold if closed else np.abs(T) < threshold
        if {int(below.sum()), int((~below).sum())} <= {0, 1, 2, 4, 8}:
            thresholds.append(threshold)
            expected.append(
                exact.split_objective(rational, below, ~below, orders=orders, **MODES[mode])
            )
    search = port.bell_split_search(
        T, columns, thresholds, orders=orders, closed=closed, **MODES[mode]
    )
    allowed = port.gamma(ROUNDINGS) * float(np.sum(T**2))
    assert compare.bound(search.objectives, exact.floats(expected), allowed) <= 1


@every_mode
@either_end
@every_orders
@given(matrix=weights(CONTINUOUS), mask=masks(), seed=seeds())
def test_split_of_entries(
    port: Port,
    mode: str,
    orders: tuple[int, int],
    matrix: Weights,
    mask: Masks,
    seed: int,
    *,
    closed: bool,
) -> None:
    """The direct form takes any entries; those left out have no error."""
    T, part = matrix.values, mask.of(matrix.shape)
    key = np.random.default_rng(seed).integers(0, 4, T.shape).astype(np.float64)
    thresholds = np.array([0.5, 2.0, 1.0, 5.0])
    arguments = {"closed": closed, "orders": orders, **MODES[mode]}
    search = port.bell_split_search_direct(T, part, thresholds, key=key, **arguments)
    again = []
    for threshold in thresholds:
        below = key <= threshold if closed else key < threshold
        first = group_error(port, T, below & part, orders[0], mode)
        again.append(first + group_error(port, T, ~below & part, orders[1], mode))
        found = port.bell_split(key, part, threshold, closed=closed)
        assert compare.exact(found[0], below & part) == 0
        assert compare.exact(found[1], ~below & part) == 0
    assert compare.bound(search.objectives, again, port.gamma(ROUNDINGS) * np.sum(T**2)) <= 1


@either_end
@given(matrix=weights(), data=st.data())
def test_B1_groups_partition_the_columns(
    port: Port, matrix: Weights, data: st.DataObject, *, closed: bool
) -> None:
    """B1, B6: the groups are disjoint and cover the columns; entries at the cut go as stated."""
    key = np.abs(matrix.values)
    columns = columns_of(data, key.shape[1])
    for threshold in thresholds_of(data, key):
        below, above = port.bell_split(key, columns, threshold, closed=closed)
        expected = key <= threshold if closed else key < threshold
        assert compare.exact(below, expected & columns) == 0
        assert compare.exact(above, ~expected & columns) == 0


@pytest.mark.parametrize("mode", ["mean-free", "mean-free-zero"])
@given(matrix=weights(), data=st.data())
def test_B4a_splitting_never_raises_the_mean_free_error(
    port: Port, mode: str, matrix: Weights, data: st.DataObject
) -> None:
    """B4a, mean-free: ``a₁²/c₁ + a₂²/c₂ ≥ (a₁ + a₂)²/(c₁ + c₂)``, Sedrakyan.

    With sign(0) = 0 it holds if no entry is zero.
    """
    T = (
        matrix.values
        if MODES[mode]["sign_zero"]
        else np.where(matrix.values == 0, 1, matrix.values)
    )
    columns = columns_of(data, T.shape[1])
    search = port.bell_split_search(T, columns, thresholds_of(data, np.abs(T)), **MODES[mode])
    whole = group_error(port, T, np.broadcast_to(columns, T.shape), 1, mode)
    allowed = port.gamma(ROUNDINGS) * np.sum(T[:, columns] ** 2)
    assert compare.objective(search.objectives, whole, allowed) <= 1


@every_mode
@either_end
@given(matrix=weights(), data=st.data())
def test_B4c_a_finer_grid_is_never_worse(
    port: Port, mode: str, matrix: Weights, data: st.DataObject, *, closed: bool
) -> None:
    """B4c, all modes: nested grids; all breakpoints contain every other grid's partitions."""
    T = matrix.values
    columns = np.ones(T.shape[1], dtype=bool)
    arguments = {"closed": closed, **MODES[mode]}

    def least(grid: Array) -> float:
        return float(port.bell_split_search(T, columns, grid, **arguments).objectives.min())

    coarse = thresholds_of(data, np.abs(T))
    fine = np.concatenate([coarse, thresholds_of(data, np.abs(T))])
    allowed = port.gamma(ROUNDINGS) * np.sum(T**2)
    assert compare.objective(least(fine), least(coarse), allowed) <= 1
    best = least(port.breakpoint_grid(np.abs(T)))
    for grid in (fine, port.maximum_grid(np.abs(T)), port.quantile_grid(np.abs(T))):
        assert compare.objective(best, least(grid), allowed) <= 1


@every_mode
@given(matrix=weights(ALL, columns=(1, 24)), data=st.data())
def test_searches_scale_with_the_square(
    port: Port, mode: str, matrix: Weights, data: st.DataObject
) -> None:
    """``T → 4T`` with 4p gives sixteen times the objectives, bit for bit."""
    T = matrix.values
    columns = columns_of(data, T.shape[1])
    thresholds = thresholds_of(data, np.abs(T))
    ranking, counts = _tries(data, T.shape[1])
    for search, one, two in (
        (port.bell_split_search, (columns, thresholds), (columns, 4 * thresholds)),
        (port.salient_search, (ranking, counts), (ranking, counts)),
    ):
        small, large = search(T, *one, **MODES[mode]), search(4 * T, *two, **MODES[mode])
        assert compare.exact(large.objectives, 16 * small.objectives) == 0
        assert large.best == small.best


@given(matrix=weights())
def test_grids(port: Port, matrix: Weights) -> None:
    """Shares of the maximum; linear quantiles from 0.10 to 0.90; all distinct values."""
    key = port.held(np.abs(matrix.values))
    tenths = exact.floats([exact.rational(key).max() * i / 10 for i in range(1, 10)])
    assert compare.bound(port.maximum_grid(key), tenths, port.gamma(3) * tenths) <= 1
    fifths = exact.floats([exact.rational(key).max() * i / 10 for i in (1, 3, 5, 7, 9)])
    assert compare.bound(port.maximum_grid(key, 5), fifths, port.gamma(3) * fifths) <= 1
    assert port.breakpoint_grid(key).tolist() == sorted(set(key.ravel().tolist()))
    ordered = sorted(exact.rational(key).ravel())
    quantiles = port.quantile_grid(key)
    assert len(quantiles) == 81
    assert (np.diff(quantiles) >= 0).all()
    for i, quantile in enumerate(quantiles):
        place = Fraction(10 + i, 100) * (len(ordered) - 1)
        low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
        expected = low + (high - low) * (place - int(place))
        # The position is rounded too, and single-precision levels are as good as the release's.
        slack = 1e-6 * len(ordered) * float(max(high - low, high / 2**20))
        neighbors = ordered[max(int(place) - 1, 0) : int(place) + 3]
        slack += 1e-6 * len(ordered) * float(neighbors[-1] - neighbors[0])
        assert compare.bound(quantile, float(expected), slack) <= 1


@every_mode
@given(seed=seeds(), shape=st.tuples(st.integers(1, 3), st.integers(1, 12)))
def test_B6_degenerate_blocks(port: Port, mode: str, seed: int, shape: tuple[int, int]) -> None:
    """B6: constant magnitudes, all-equal and all-zero blocks have finite, correct objectives."""
    for family in ("constant_magnitude", "all_equal", "zeros"):
        T = Weights(family, seed, shape).values
        for columns in (np.ones(shape[1], dtype=bool), np.zeros(shape[1], dtype=bool)):
            thresholds = port.maximum_grid(np.abs(T))
            search = port.bell_split_search(T, columns, thresholds, **MODES[mode])
            assert np.isfinite(search.objectives).all()
            if not columns.any() or family == "zeros":
                assert not search.objectives.any()
                assert search.best == 0


def test_first_minimum_wins(port: Port) -> None:
    """Candidates that are equally good to the last bit: the first one tried is chosen."""
    T = np.array([[1.0, 1.0, 2.0, 2.0]])
    columns = np.ones(4, dtype=bool)
    for thresholds in itertools.permutations([1.0, 1.5, 1.75]):
        for search in (port.bell_split_search, port.bell_split_search_direct):
            for orders in itertools.product((1, 2), repeat=2):
                found = search(T, columns, np.array(thresholds), orders=orders)
                assert found.choice == thresholds[0]
        found = port.calibrated_split_search(T, columns, np.array(thresholds), np.eye(4))
        assert found.choice == thresholds[0]
    for counts in itertools.permutations([0, 4, 2]):
        found = port.salient_search(np.ones((1, 4)), np.arange(4), list(counts))
        assert found.choice == counts[0]
