"""Searches, grids and splits against the reference."""

import numpy as np
import pytest
from fast_inputs import NASTY, U, hessian, mask, smooth

from subbit import fast, reference
from subbit.fast.launches import depths
from subbit.fast.launches import searches as launched
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


@every_input
@every_center
@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (1, 2), (3, 1)])
def test_bell_split_search_of_entries(port, family, center, orders):
    W = NASTY[family]((9, 45)).astype(np.float32).astype(np.float64)
    entries = mask(W.shape, 5)
    cuts = np.quantile(np.abs(W), [0.1, 0.4, 0.5, 0.9]).astype(np.float32).astype(np.float64)
    switches = {"orders": orders, "center": center, "key": np.abs(W)}
    ours = port.bell_split_search_direct(W, entries, cuts, **switches)
    theirs = reference.bell_split_search_direct(W, entries, cuts, **switches)
    agree(ours, theirs, allowed(W, max(orders)))
    columns = np.broadcast_to(np.arange(45) % 5 != 2, W.shape)
    by_entry = port.bell_split_search_direct(W, columns, cuts, **switches).objectives
    by_column = port.bell_split_search_direct(W, columns[0], cuts, **switches).objectives
    assert np.array_equal(by_entry, by_column)


def calibrated_slack(W, S, orders):
    """Rounding of the remainder and two products, relative to the sum of magnitudes."""
    n, k = W.shape
    reach = np.abs(W) + np.abs(W).max(axis=1, keepdims=True)
    depth = 8 * orders * (depths.row(k) + k + depths.objective(n))
    return depth * U * np.sum((reach @ np.abs(S)) * reach)


@every_input
@every_center
@every_zero
@pytest.mark.parametrize("orders", [(1, 1), (2, 2)])
def test_calibrated_split_search(port, family, center, sign_zero, orders):
    W = NASTY[family]((9, 45)).astype(np.float32).astype(np.float64)
    S, key = hessian(45), np.abs(smooth((9, 45), 3))
    if family == "tied" and center:
        orders = (1, 1)  # rounding decides the second signs, and outputs notice them
    switches = {"key": key, "orders": orders, "center": center, "sign_zero": sign_zero}
    for part, image in ((np.arange(45) % 5 != 2, None), (mask(W.shape), 0.5 * W)):
        arguments = (W, part, [0.3, 0.8, 1.5], S)
        ours = port.calibrated_split_search(*arguments, image=image, closed=False, **switches)
        theirs = reference.calibrated_split_search(
            *arguments, image=image, closed=False, **switches
        )
        agree(ours, theirs, calibrated_slack(W, S, 2))


@pytest.mark.parametrize("width", [20, 33, 64, 128, 150])
def test_calibrated_split_search_of_any_width(port, width):
    W, S, cuts = smooth((10, width)), hessian(width), [0.3, 0.8]
    part = np.arange(width) % 7 != 3
    for image in (None, 0.5 * W):
        ours = port.calibrated_split_search(W, part, cuts, S, image=image)
        theirs = reference.calibrated_split_search(W, part, cuts, S, image=image)
        agree(ours, theirs, calibrated_slack(W, S, 1))


@pytest.mark.parametrize("power", [-100, 100])
def test_calibrated_split_search_scales_with_weights_and_inputs(port, power):
    W, S, cuts = smooth((5, 40)), hessian(40), np.array([0.3, 0.8])
    part = np.arange(40) % 7 != 3
    plain = port.calibrated_split_search(W, part, cuts, S).objectives
    scaled = np.ldexp(S, power)
    inputs = port.calibrated_split_search(W, part, cuts, scaled).objectives
    assert np.array_equal(inputs, np.ldexp(plain, power))
    for image in (None, np.zeros(W.shape)):
        plain = port.calibrated_split_search(W, part, cuts, S, image=image).objectives
        arguments = (np.ldexp(W, power), part, np.ldexp(cuts, power), S)
        moved = port.calibrated_split_search(*arguments, image=image).objectives
        assert np.array_equal(moved, np.ldexp(plain, 2 * power))


def test_the_identity_gives_the_plain_search(port):
    W, cuts = smooth((5, 40)), [0.3, 0.8, 1.1]
    everything = np.ones(40, dtype=bool)
    plain = port.bell_split_search(W, everything, cuts, orders=(2, 2))
    outputs = port.calibrated_split_search(W, everything, cuts, np.eye(40), orders=(2, 2))
    assert outputs.objectives == pytest.approx(plain.objectives, rel=1e-5)


def two_zones():
    """Numbers of entries of two zones, and cuts of both with different candidates."""
    group = np.random.default_rng(4).integers(0, 4, (9, 45)).astype(np.uint8)
    return group, np.array([[0.2, 0.9, 1.4], [0.5, 0.7, 2.0]], dtype=np.float32)


@pytest.mark.parametrize("part_size", [9, 18, 36, 1 << 24])
def test_two_zones_in_one_launch(port, monkeypatch, part_size):
    """Each zone has its own candidates and orders, for any number of candidates per launch."""
    W = smooth((9, 45)).astype(np.float32)
    group, cuts = two_zones()
    entries = launched.Entries(W, np.abs(W), group)
    zones = (launched.Zone(2, 1, (2, 2)), launched.Zone(3, 1, (1, 1)))
    switches = {"center": True, "sign_zero": 1, "closed": True}
    monkeypatch.setattr(launched, "_ERRORS", part_size)
    both, power = launched.split_objectives(port.device, entries, cuts, zones, **switches)
    for errors, own, zone in zip(both, cuts, zones, strict=True):
        theirs = reference.bell_split_search_direct(
            W, group == zone.number, own, orders=zone.orders, center=True
        )
        assert np.ldexp(errors, power) == pytest.approx(theirs.objectives, rel=1e-5)


def test_zones_are_cut_in_one_launch(port):
    key, (group, cuts) = np.abs(smooth((9, 45))).astype(np.float32), two_zones()
    zones = (launched.Zone(2, 1), launched.Zone(3, 5))
    best = np.array([1, 2], dtype=np.int32)
    for closed in (True, False):
        key[group == 2] = np.where(key[group == 2] < 0.7, np.float32(0.9), key[group == 2])
        made = launched.cut_zones(port.device, key, group, cuts, best, zones=zones, closed=closed)
        large = key > np.choose(group, [9, 9, cuts[0, 1], cuts[1, 2]])
        if not closed:
            large |= (group == 2) & (key == cuts[0, 1])
        expected = np.where(large & (group == 2), 1, np.where(large & (group == 3), 5, group))
        assert np.array_equal(made, expected)
        alone = launched.cut_zones(
            port.device, key, group, cuts[1], best[1:], zones=zones[1:], closed=closed
        )
        assert np.array_equal(alone, np.where(large & (group == 3), 5, group))


def test_traffic_is_what_the_heads_of_the_kernels_say():
    """Sectors of 32 bytes per row and candidate; one for its threshold, one for its error."""
    n, k, cuts = 16, 128, [0.5, 1.0, 1.5]
    port, W, entries = fast.on("simulated", counters=True), smooth((n, k)), np.ones((n, k), bool)
    port.bell_split_search_direct(W, entries, cuts)
    port.calibrated_split_search(W, entries, cuts, np.eye(k))
    port.bell_split(np.abs(W), entries, 0.5)
    sectors = {name: c.total("global").sectors for name, c in port.device.counters.items()}
    assert sectors["split_errors"] == n * len(cuts) * (9 * k / 32 + 2)
    assert sectors["calibrated_split_errors"] == n * len(cuts) * (k * (9 + 4 * k) / 32 + 2)
    assert sectors["cut_zones"] == n * (6 * k / 32 + 2)


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
    calibrated = port.calibrated_split_search(W, part, cuts, hessian(width)).objectives
    monkeypatch.setattr(launched, "held", lambda _: 0)
    assert np.array_equal(port.bell_split_search(W, part, cuts, center=True).objectives, held)
    streamed = port.salient_search(W, np.arange(width), [4], orders=(2, 2)).objectives
    assert np.array_equal(streamed, salient)
    streamed = port.calibrated_split_search(W, part, cuts, hessian(width)).objectives
    assert np.array_equal(streamed, calibrated)


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
    searches = rng.integers(1, 4, (3, count)).astype(np.float32)
    best = launched.first_minimum(port.device, searches)
    assert np.array_equal(best, np.argmin(searches, axis=1))
    objective = np.full(count, np.inf, dtype=np.float32)
    assert launched.first_minimum(port.device, objective)[0] == 0


def test_exact_where_nothing_rounds(port):
    """One magnitude per row: every candidate has error zero, so the first is chosen."""
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
    entries = np.array([[True, False, True, True, True]])
    ours = port.bell_split(key, entries, 1.0, closed=closed)
    theirs = reference.bell_split(key, entries, 1.0, closed=closed)
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


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
