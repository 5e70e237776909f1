"""The trisection on a device: masks, search, candidates that only the device knows."""

from dataclasses import replace

import numpy as np
import pytest
from fast_inputs import NASTY, U, mask, smooth

from subbit import fast, reference
from subbit.fast.launches import depths
from subbit.fast.launches import regions as searches_regions
from subbit.fast.launches import searches as launched
from subbit.fast.launches.partition import candidate_thresholds
from subbit.fast.launches.regions import REGIONS, cut_regions

SWITCHES = {"center": True, "sign_zero": 1, "closed": False}


def allowed(W):
    """Rounding of two stages of sums, relative to the energy, which no error exceeds."""
    n, k = W.shape
    spread = np.abs(W) + np.abs(W).max(axis=1, keepdims=True)
    return 24 * (depths.row(k) + depths.objective(n)) * U * np.sum(spread**2)


def held(x):
    return np.asarray(x).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("family", NASTY)
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("orders", "closed"), [((1, 1, 1), False), ((1, 1, 2), True)])
def test_search(port, family, center, orders, closed):
    W, part = held(NASTY[family]((9, 45))), mask((9, 45))
    cuts = held(np.append(np.quantile(np.abs(W), [0.2, 0.5, 0.7]), np.abs(W[1, :4]) / 2))
    switches = {"orders": orders, "center": center, "closed": closed}
    ours = port.trisection_search(W, part, cuts, **switches)
    theirs = reference.trisection_search_direct(W, part, cuts, **switches)
    assert np.array_equal(ours.candidates, theirs.candidates)
    assert np.all(np.abs(ours.objectives - theirs.objectives) <= allowed(W))
    assert theirs.objectives[ours.best] <= theirs.objectives.min() + 2 * allowed(W)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("factor", [1.0, 2.0, 4.0])
def test_masks(port, closed, factor):
    key, part = held(np.abs(smooth((9, 45)))), mask((9, 45))
    key[0, :5] = [0.5, 0.5 * factor, 0.0, 9.0, 0.25]
    ours = port.trisection(key, part, 0.5, factor=factor, closed=closed)
    theirs = reference.trisection(key, part, 0.5, factor=factor, closed=closed)
    assert all(map(np.array_equal, ours, theirs))


@pytest.mark.parametrize("shape", [(300, 20), (9, 130), (2, 400)])
def test_many_rows_and_wide_rows(port, shape):
    W, cuts = held(smooth(shape)), [0.25, 0.75]
    everything = np.ones(shape[1], dtype=bool)
    ours = port.trisection_search(W, everything, cuts, center=True)
    theirs = reference.trisection_search(W, everything, cuts, center=True)
    assert np.all(np.abs(ours.objectives - theirs.objectives) <= allowed(W))


@pytest.mark.parametrize("width", [20, 50, 128])
def test_registers_and_memory_give_the_same_bits(port, monkeypatch, width):
    W, cuts, part = smooth((10, width)), [0.3, 0.8], np.arange(width) % 7 != 3
    switches = {"orders": (2, 1, 2), "center": True}
    first = port.trisection_search(W, part, cuts, **switches).objectives
    monkeypatch.setattr(searches_regions, "held", lambda _: 0)
    assert np.array_equal(port.trisection_search(W, part, cuts, **switches).objectives, first)


def test_without_a_third_group_the_bits_are_those_of_the_bell_split(port):
    W, part, cuts = smooth((9, 70)), mask((9, 70)), [0.3, 0.8]
    three = port.trisection_search(W, part, cuts, factor=1e20, center=True).objectives
    assert np.array_equal(three, port.bell_split_search(W, part, cuts, center=True).objectives)


def test_traffic_is_what_the_head_of_the_kernel_says():
    """Sectors of 32 bytes per row and candidate; one for its threshold, one for its error."""
    n, k, cuts = 16, 128, [0.5, 1.0, 1.5]
    port = fast.on("simulated", counters=True)
    port.trisection_search(smooth((n, k)), np.ones((n, k), bool), cuts)
    sectors = port.device.counters["trisection_errors"].total("global").sectors
    assert sectors == n * len(cuts) * (9 * k / 32 + 2)


def zones(port, key):
    """Zone numbers: 4 for a salient column, 2 for entries to cut, 0 for all others."""
    group = np.where(mask(key.shape), 2, 0).astype(np.uint8)
    group[:, 3] = 4
    return port.device.xp.asarray(group)


@pytest.mark.parametrize("bounded", [False, True])
def test_a_layer_cuts_without_waiting(port, bounded):
    """Search, bound and masks of a zone, with group numbers chosen by the caller."""
    W = smooth((9, 45)).astype(np.float32)
    key, group = np.abs(W), zones(port, W)
    cut = replace(REGIONS, number=2, large=3, largest=1)
    cuts = candidate_thresholds(port.device, key, group == 2, "quantiles_with_zeros", 40)
    entries = launched.Entries(W, key, group)
    made = np.asarray(cut_regions(port.device, entries, cuts, cut, bounded=bounded, **SWITCHES))
    tried = reference.trisection_thresholds(cuts) if bounded else cuts
    chosen = reference.trisection_search_direct(W, group == 2, tried, **SWITCHES).choice
    groups = reference.trisection(key, group == 2, chosen, closed=False)
    for number, wanted in zip((2, 3, 1), groups, strict=True):
        assert np.array_equal(made == number, wanted)
    assert np.array_equal(made[:, 3], np.full(9, 4))
    assert len(tried) < len(cuts) or not bounded


def test_a_layer_without_a_candidate_tries_all(port):
    """Constant magnitudes: twice any threshold lies beyond the grid."""
    W = np.where(mask((4, 20)), 1.5, -1.5).astype(np.float32)
    cuts = candidate_thresholds(port.device, np.abs(W), np.ones((4, 20), bool), "quantiles", 7)
    assert len(cuts) == 7
    entries = launched.Entries(W, np.abs(W), port.device.xp.ones((4, 20), dtype=np.uint8))
    made = np.asarray(cut_regions(port.device, entries, cuts, bounded=True, **SWITCHES))
    assert np.array_equal(made, np.full((4, 20), 2))


def test_two_zones_with_their_own_second_magnitudes(port):
    """One launch can cut one zone in three and another in two."""
    key, group = np.abs(smooth((9, 45))).astype(np.float32), zones(port, smooth((9, 45)))
    cuts, best = np.array([[0.5], [0.7]], dtype=np.float32), np.zeros(2, dtype=np.int32)
    both = (replace(REGIONS, number=2, large=5, largest=6, factor=3.0), launched.Zone(4, 7))
    made = launched.cut_zones(port.device, key, group, cuts, best, zones=both, closed=True)
    thirds = np.where(key > 1.5, 6, np.where(key > 0.5, 5, 2))
    halves = np.where(key > np.float32(0.7), 7, 4)
    assert np.array_equal(made, np.choose(group // 2, [0, thirds, halves]))
