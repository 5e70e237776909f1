"""Searches, grids and splits against the reference."""

import numpy as np
import pytest
from fast_inputs import NASTY, U, smooth

from subbit import reference
from subbit.fast import depths
from subbit.fast import searches as launched
from subbit.reference.errors import ArgumentError

every_input = pytest.mark.parametrize("family", NASTY)
every_center = pytest.mark.parametrize("center", [False, True])
every_zero = pytest.mark.parametrize("sign_zero", [0, 1])


def allowed(W, orders=2):
    """Rounding of two stages of sums, relative to the energy, which no error exceeds."""
    n, k = W.shape
    spread = np.abs(W) + np.abs(W).max(axis=1, keepdims=True)
    return 8 * orders * (depths.row(k) + depths.objective(n)) * U * np.sum(spread**2)


def agree(ours, theirs, slack):
    assert np.array_equal(ours.candidates, theirs.candidates)
    assert np.all(np.abs(ours.objectives - theirs.objectives) <= slack)
    assert theirs.objectives[ours.best] <= theirs.objectives.min() + 2 * slack


@every_input
@every_center
@every_zero
@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (1, 2)])
def test_salient_search(port, family, center, sign_zero, orders):
    W = NASTY[family]((9, 45))
    ranking = np.random.default_rng(1).permutation(45)[:40]
    switches = {"orders": orders, "center": center, "sign_zero": sign_zero}
    counts = [0, 1, 5, 39, 40, 2]
    ours = port.salient_search(W, ranking, counts, **switches)
    agree(ours, reference.salient_search_direct(W, ranking, counts, **switches), allowed(W))


@every_input
@every_center
@every_zero
@pytest.mark.parametrize("closed", [True, False])
def test_bell_split_search(port, family, center, sign_zero, closed):
    W = NASTY[family]((9, 45)).astype(np.float32).astype(np.float64)
    columns = np.arange(45) % 5 != 2
    cuts = np.append(np.quantile(np.abs(W), np.linspace(0.1, 0.9, 7)), np.abs(W[1, :4]))
    cuts = cuts.astype(np.float32).astype(np.float64)
    switches = {"center": center, "sign_zero": sign_zero, "closed": closed}
    ours = port.bell_split_search(W, columns, cuts, **switches)
    agree(ours, reference.bell_split_search_direct(W, columns, cuts, **switches), allowed(W))


def test_key_is_what_is_cut(port):
    W, key = smooth((5, 40), 1), np.abs(smooth((5, 40), 2))
    columns, cuts = np.ones(40, dtype=bool), [0.2, 0.7, 1.5]
    ours = port.bell_split_search_direct(W, columns, cuts, key=key)
    theirs = reference.bell_split_search_direct(W, columns, cuts, key=key)
    agree(ours, theirs, allowed(W))
    assert not np.allclose(ours.objectives, port.bell_split_search(W, columns, cuts).objectives)


@pytest.mark.parametrize("shape", [(300, 20), (9, 130), (2, 400)])
def test_many_rows_and_wide_rows(port, shape):
    W = smooth(shape)
    ranking, counts = np.arange(shape[1])[::-1], [3, 17]
    ours = port.salient_search(W, ranking, counts, orders=(2, 1), center=True)
    agree(
        ours, reference.salient_search(W, ranking, counts, orders=(2, 1), center=True), allowed(W)
    )


@pytest.mark.parametrize("width", [20, 50, 128])
def test_registers_and_memory_give_the_same_bits(port, monkeypatch, width):
    W, cuts = smooth((10, width)), [0.3, 0.8]
    part = np.arange(width) % 7 != 3
    held = port.bell_split_search(W, part, cuts, center=True).objectives
    salient = port.salient_search(W, np.arange(width), [4], orders=(2, 2)).objectives
    monkeypatch.setattr(launched, "held", lambda _: 0)
    assert np.array_equal(port.bell_split_search(W, part, cuts, center=True).objectives, held)
    streamed = port.salient_search(W, np.arange(width), [4], orders=(2, 2)).objectives
    assert np.array_equal(streamed, salient)


def test_the_order_of_the_ranking_changes_no_bit_of_a_group(port):
    """Rows are summed in the order of their columns, whatever their ranks."""
    W, ranking = smooth((6, 30)), np.random.default_rng(2).permutation(30)
    other = np.concatenate([ranking[:9][::-1], ranking[9:][::-1]])
    first = port.salient_search(W, ranking, [9]).objectives
    assert np.array_equal(first, port.salient_search(W, other, [9]).objectives)


def test_candidates_in_parts_give_the_same_bits(port, monkeypatch):
    W = smooth((7, 12))
    cuts = port.breakpoint_grid(np.abs(W))
    whole = port.bell_split_search(W, np.ones(12, dtype=bool), cuts).objectives
    monkeypatch.setattr(launched, "_ERRORS", 7 * 10)
    parts = port.bell_split_search(W, np.ones(12, dtype=bool), cuts).objectives
    assert len(cuts) > 10
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize("count", [1, 5, 256, 257, 1000])
def test_first_minimum_is_the_first(port, count):
    rng = np.random.default_rng(count)
    for _ in range(5):
        objective = rng.integers(1, 4, count).astype(np.float32)
        assert launched.first_minimum(port.device, objective)[0] == np.argmin(objective)
    objective = np.full(count, np.inf, dtype=np.float32)
    assert launched.first_minimum(port.device, objective)[0] == 0


def test_exact_where_nothing_rounds(port):
    """One magnitude a row: every candidate costs nothing, and the first is taken."""
    W = np.where(smooth((12, 40)) < 0, -1.0, 1.0) * 2.0 ** np.arange(-6, 6)[:, None]
    salient = port.salient_search(W, np.arange(40), np.arange(2, 30), orders=(2, 1))
    assert not salient.objectives.any()
    assert salient.choice == 2
    two = np.where(np.arange(40) % 3 == 0, 4 * W, W)
    split = port.bell_split_search(two[3:4], np.ones(40, dtype=bool), [0.01, 0.125, 0.2, 0.6])
    theirs = reference.bell_split_search(two[3:4], np.ones(40, dtype=bool), [0.01, 0.125, 0.2, 0.6])
    assert split.choice == theirs.choice == 0.125
    assert split.objectives[1:3].tolist() == [0.0, 0.0]


@every_input
def test_grids(port, family):
    key = np.abs(NASTY[family]((6, 20))).astype(np.float32).astype(np.float64)
    top = 2 * U * key.max()
    assert np.all(np.abs(port.maximum_grid(key) - reference.maximum_grid(key)) <= top)
    for levels in (1, 81):
        exact = reference.quantile_grid(key, levels)
        assert np.all(np.abs(port.quantile_grid(key, levels) - exact) <= U * exact)
    assert np.array_equal(port.breakpoint_grid(key), reference.breakpoint_grid(key))


@pytest.mark.parametrize("closed", [True, False])
def test_bell_split_at_the_threshold(port, closed):
    key = np.array([[0.0, 1.0, 2.0, 3.0, 1.0]])
    columns = [True, True, True, True, False]
    ours = port.bell_split(key, columns, 2.0, closed=closed)
    theirs = reference.bell_split(key, columns, 2.0, closed=closed)
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a, b)
        assert a.dtype == bool


@every_center
@every_zero
@pytest.mark.parametrize("order", [1, 2])
def test_running_sums(port, center, sign_zero, order):
    X = NASTY["tied"]((5, 37))
    switches = {"center": center, "sign_zero": sign_zero}
    counts = np.array([0, 1, 20, 37])
    ours = port.prefix_errors(X, counts, order=order, **switches)
    theirs = reference.prefix_errors(X, counts, order=order, **switches)
    assert np.all(np.abs(ours - theirs) <= allowed(X, order))
    cuts = np.array([0.1, 0.5, 1.0, 9.0])
    for closed in (True, False):
        ours = port.interval_errors(X, cuts, closed=closed, **switches)
        theirs = reference.interval_errors(X, cuts, closed=closed, **switches)
        assert np.all(np.abs(ours - theirs) <= allowed(X))


@pytest.mark.parametrize("right", [True, False])
def test_rank_in_rows(port, right):
    rows = np.sort(NASTY["tied"]((4, 9)), axis=1)
    values = np.array([[-3.0, 0.0, 1.5]] * 4)
    ours = port.rank_in_rows(rows, values, right=right)
    assert np.array_equal(ours, reference.rank_in_rows(rows, values, right=right))


@pytest.mark.parametrize(
    ("ranking", "counts", "argument"),
    [
        ([0, 0], [1], "ranking"),
        ([0, 9], [1], "ranking"),
        ([0, 1], [3], "counts"),
        ([0], [], "counts"),
    ],
)
def test_bad_searches_are_refused(port, ranking, counts, argument):
    with pytest.raises(ArgumentError) as caught:
        port.salient_search([[1.0, 2.0]], ranking, counts)
    assert caught.value.argument == argument
