"""Bounds of searches of both orders and on outputs: honest float32 stays inside, more does not."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bounds import FAMILIES, PORTS, Case, F

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.inputs.families import WEIGHTS
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.bounds.zones import calibrated_split
from subbit.reference.bounds.zones.split import bell_split_search_bound
from subbit.reference.zones import sorted_rows

SINGLE = Arithmetic("float32")
ORDERS = [(1, 1), (2, 2), (2, 1)]
MODES = [(center, zero) for center in (False, True) for zero in (0, 1)]
moderate = st.sampled_from(sorted(set(WEIGHTS) - {"huge_range", "spiky"}))
every_orders = pytest.mark.parametrize("orders", ORDERS)
every_mode = pytest.mark.parametrize(("center", "sign_zero"), MODES)


def held(x):
    return np.asarray(x).astype(F).astype(float)


def cuts_of(W):
    return held(reference.quantile_grid(np.abs(W), 7))


def outputs(port, W, parts, orders, S, *, center):
    """The calibrated error of two groups, all in float32; other entries are exact."""
    R = np.zeros(W.shape, F)
    for mask, order in zip(parts, orders, strict=True):
        R += port.orders(W, mask, order, center=center, signs=[None] * order)[-1]
    return port.total(port.dot(R, S.astype(F)) * R)


@pytest.mark.parametrize("name", PORTS)
@every_orders
@pytest.mark.parametrize("center", [False, True])
@settings(max_examples=8, deadline=None)
@given(family=moderate, seed=st.integers(0, 2**20), k=st.integers(2, 40))
def test_an_honest_port_stays_inside(name, orders, center, family, seed, k):
    case, port = Case(family, seed, 3, k), PORTS[name]
    W, mask, cuts, S = held(case.W), case.mask, cuts_of(case.W), held(case.H)
    plain, calibrated = [], []
    for p in cuts:
        parts = mask & (np.abs(W) <= p), mask & (np.abs(W) > p)
        errors = (
            port.group_error(W, part, order, center=center)
            for part, order in zip(parts, orders, strict=True)
        )
        plain.append(sum(errors))
        calibrated.append(outputs(port, W, parts, orders, S, center=center))
    switches = {"orders": orders, "center": center, "arithmetic": port.arithmetic}
    bound = bell_split_search_bound(W, mask, cuts, **switches)
    assert compare.bound(plain, bound.value, bound.error) <= 1.0
    bound = calibrated_split.calibrated_split_search_bound(W, mask, cuts, S, **switches)
    assert compare.bound(calibrated, bound.value, bound.error) <= 1.0


@every_orders
@pytest.mark.parametrize("family", FAMILIES)
def test_an_error_of_a_few_bounds_is_caught(orders, family):
    """On continuous weights, a bound is far below the objective, and three bounds are noticed."""
    case = Case(family, 5)
    W, cuts, S = held(case.W), held(cuts_of(case.W) * (1 + 2.0**-10)), case.H
    switches = {"orders": orders, "center": True, "arithmetic": SINGLE}
    direct = reference.bell_split_search_direct(W, case.mask, cuts, orders=orders, center=True)
    outer = reference.calibrated_split_search(W, case.mask, cuts, S, orders=orders, center=True)
    bounds = (
        bell_split_search_bound(W, case.mask, cuts, **switches),
        calibrated_split.calibrated_split_search_bound(W, case.mask, cuts, S, **switches),
    )
    for search, bound in zip((direct, outer), bounds, strict=True):
        assert (bound.error < 1e-3 * bound.value.max()).all()
        pushed = search.objectives + 3.0 * bound.error
        assert 2.0 <= compare.bound(pushed, bound.value, bound.error) <= 4.0


@every_orders
@every_mode
@settings(max_examples=12, deadline=None)
@given(family=moderate, seed=st.integers(0, 2**20))
def test_what_conversion_decides_stays_inside(orders, center, sign_zero, family, seed):
    """The reference's searches on weights, keys and matrices rounded to float32."""
    case = Case(family, seed)
    switches = {"orders": orders, "center": center, "sign_zero": sign_zero}
    cuts, key = reference.quantile_grid(case.W**2, 9), case.W**2
    search = reference.bell_split_search_direct(
        held(case.W), case.mask, held(cuts), key=held(key), **switches
    )
    bound = bell_split_search_bound(case.W, case.mask, cuts, key=key, **switches, arithmetic=SINGLE)
    assert compare.bound(search.objectives, bound.value, bound.error) <= 1.0
    given_ = {"key": key, "image": case.Q}
    search = reference.calibrated_split_search(
        held(case.W),
        case.mask,
        held(cuts),
        held(case.H),
        **{name: held(x) for name, x in given_.items()},
        **switches,
    )
    bound = calibrated_split.calibrated_split_search_bound(
        case.W, case.mask, cuts, case.H, **given_, **switches, arithmetic=SINGLE
    )
    assert compare.bound(search.objectives, bound.value, bound.error) <= 1.0


@every_orders
@every_mode
@settings(max_examples=12, deadline=None)
@given(family=moderate, seed=st.integers(0, 2**20), k=st.integers(1, 40))
def test_running_sums_stay_inside(orders, center, sign_zero, family, seed, k):
    """The reference's own running form, which counts ties of its levels differently."""
    W = Case(family, seed, 3, k).W
    columns, cuts = np.ones(k, bool), reference.breakpoint_grid(np.abs(W))
    switches = {"orders": orders, "center": center, "sign_zero": sign_zero}
    search = reference.bell_split_search(W, columns, cuts, **switches)
    bound = bell_split_search_bound(
        W, columns, cuts, **switches, running=True, arithmetic=Arithmetic()
    )
    assert compare.bound(search.objectives, bound.value, bound.error) <= 1.0


@pytest.mark.parametrize("share", [2.0**-50, -(2.0**-50)])
def test_a_tie_with_the_second_level_that_is_none(share, monkeypatch):
    """A port whose levels have rounded away from two ties, which cost ``α₂²`` each."""
    W, columns, cuts = np.array([[4.0, 2.0, -2.0, -4.0, 3.0, -3.0]]), np.ones(6, bool), [5.0]
    switches = {"orders": (2, 2), "center": True, "sign_zero": 0}
    exactly = reference.bell_split_search(W, columns, cuts, **switches).objectives
    bound = bell_split_search_bound(
        W, columns, cuts, **switches, running=True, arithmetic=Arithmetic()
    )
    ranks = sorted_rows.bisect_rows
    monkeypatch.setattr(
        sorted_rows, "bisect_rows", lambda rows, x, *, right: ranks(rows, x + share, right=right)
    )
    found = reference.bell_split_search(W, columns, cuts, **switches).objectives
    assert abs(found - exactly) > 0.1
    assert compare.bound(found, bound.value, bound.error) <= 1.0


def test_entries_take_part_one_by_one():
    W = np.array([[1.0, 9.0, 3.0], [2.0, -4.0, 7.0]])
    part = np.array([[True, False, True], [False, True, True]])
    bound = bell_split_search_bound(W, part, [3.5], arithmetic=SINGLE)
    again = bell_split_search_bound(np.where(part, W, 100.0), part, [3.5], arithmetic=SINGLE)
    assert bound.value == again.value == 6.5
    assert bound.error == again.error


def test_thresholds_that_are_known_to_rounding_only():
    """An entry within the uncertainty of a threshold may lie on either side."""
    W, columns = np.array([[1.0, -1.0, 2.0, 5.0]]), np.ones(4, bool)
    cut = Rounded(np.array([2.1]), np.array([0.2]), SINGLE)
    bound = bell_split_search_bound(W, columns, cut, arithmetic=SINGLE)
    calibrated = calibrated_split.calibrated_split_search_bound(
        W, columns, cut, np.eye(4), arithmetic=SINGLE
    )
    for p in (1.9, 2.1, 2.3):
        found = reference.bell_split_search_direct(W, columns, [p]).objectives
        assert compare.bound(found, bound.value, bound.error) <= 1.0
        assert compare.bound(found, calibrated.value, calibrated.error) <= 1.0
    assert bound.error > 1.0


def test_outputs_see_a_sign_that_rounding_decides():
    """The weight error does not change; the calibrated error does, and the bound allows it."""
    W = np.array([[2.0, -1.0, 1e-9, 3.0]])
    given_ = Rounded(W, np.where(W == 1e-9, 2e-9, 0.0), SINGLE)
    S = np.full((4, 4), 0.5) + np.eye(4)
    columns, found = np.ones(4, bool), []
    plain = bell_split_search_bound(given_, columns, [5.0], arithmetic=SINGLE)
    bound = calibrated_split.calibrated_split_search_bound(
        given_, columns, [5.0], S, arithmetic=SINGLE
    )
    for tie in (1e-9, -1e-9):
        other = np.where(W == 1e-9, tie, W)
        search = reference.calibrated_split_search(other, columns, [5.0], S)
        assert compare.bound(search.objectives, bound.value, bound.error) <= 1.0
        found.append(SimpleNamespace(error=search.objectives))
    assert abs(found[0].error - found[1].error) > 0.1
    assert plain.error < 1e-5


def prefix(x):
    """Running sums of rows in float32, zero first, one addition after another."""
    return np.concatenate([np.zeros((len(x), 1), F), np.cumsum(x, axis=1, dtype=F)], axis=1)


def from_running_sums(W, cuts):
    """Errors of two groups without means, each from differences of running sums, in float32."""
    size = np.sort(np.abs(W).astype(F), axis=1)
    sums, squares, rows = prefix(size), prefix(size * size), np.arange(len(W))
    found = []
    for p in cuts.astype(F):
        count = np.sum(size <= p, axis=1)
        ends = [(0 * count, count), (count, np.full_like(count, size.shape[1]))]
        total = F(0.0)
        for start, stop in ends:
            A, Q = (x[rows, stop] - x[rows, start] for x in (sums, squares))
            c = np.maximum(stop - start, 1).astype(F)
            total += np.sum(Q - A * A / c, dtype=F)
        found.append(total)
    return np.array(found, dtype=np.float64)


@settings(max_examples=25, deadline=None)
@given(family=moderate, seed=st.integers(0, 2**20), k=st.integers(1, 60))
def test_running_sums_in_float32_stay_inside(family, seed, k):
    W = held(Case(family, seed, 3, k).W)
    cuts = held(reference.breakpoint_grid(np.abs(W)))
    bound = bell_split_search_bound(W, np.ones(k, bool), cuts, running=True, arithmetic=SINGLE)
    assert compare.bound(from_running_sums(W, cuts), bound.value, bound.error) <= 1.0


@pytest.mark.parametrize("center", [False, True])
def test_running_sums_hide_no_large_error(center):
    """Of one row, a running form may lose a share of the error that falls with its length."""
    for k, share in ((4, 2.0**-12), (64, 2.0**-8)):
        W = Case("gauss", 3, 1, k).W
        bound = bell_split_search_bound(
            W, np.ones(k, bool), [0.0], center=center, running=True, arithmetic=SINGLE
        )
        assert 0 < bound.error[0] < share * (2 + 6 * center) * np.sum(W**2)
