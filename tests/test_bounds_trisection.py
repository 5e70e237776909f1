"""Bounds of the trisection: honest float32 stays inside, more does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bounds import FAMILIES, PORTS, Case, F

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.inputs.families import WEIGHTS
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.bounds.zones import trisection as trisection_bounds

SINGLE = Arithmetic("float32")
MODES = [(center, zero) for center in (False, True) for zero in (0, 1)]
moderate = st.sampled_from(sorted(set(WEIGHTS) - {"huge_range", "spiky"}))
every_orders = pytest.mark.parametrize("orders", [(1, 1, 1), (2, 1, 2)])
every_mode = pytest.mark.parametrize(("center", "sign_zero"), MODES)


def held(x):
    return np.asarray(x).astype(F).astype(float)


@pytest.mark.parametrize("name", PORTS)
@every_orders
@settings(max_examples=8, deadline=None)
@given(family=moderate, seed=st.integers(0, 2**20), k=st.integers(2, 40))
def test_an_honest_port_stays_inside(name, orders, family, seed, k):
    case, port = Case(family, seed, 3, k), PORTS[name]
    W, found = held(case.W), []
    cuts = held(reference.quantile_grid(np.abs(W), 7))
    for t in cuts:
        groups = reference.trisection(np.abs(W), case.mask, t)
        errors = (
            port.group_error(W, group, order, center=True)
            for group, order in zip(groups, orders, strict=True)
        )
        found.append(sum(errors))
    bound = trisection_bounds.trisection_search_bound(
        W, case.mask, cuts, orders=orders, center=True, arithmetic=port.arithmetic
    )
    assert compare.bound(found, bound.value, bound.error) <= 1.0


@every_orders
@pytest.mark.parametrize("family", FAMILIES)
def test_an_error_of_a_few_bounds_is_caught(orders, family):
    case = Case(family, 5)
    W = held(case.W)
    cuts = held(reference.quantile_grid(np.abs(W), 7) * (1 + 2.0**-10))
    search = reference.trisection_search_direct(W, case.mask, cuts, orders=orders, center=True)
    bound = trisection_bounds.trisection_search_bound(
        W, case.mask, cuts, orders=orders, center=True, arithmetic=SINGLE
    )
    assert (bound.error < 1e-3 * bound.value.max()).all()
    pushed = search.objectives + 3.0 * bound.error
    assert 2.0 <= compare.bound(pushed, bound.value, bound.error) <= 4.0


@every_orders
@every_mode
@settings(max_examples=12, deadline=None)
@given(family=moderate, seed=st.integers(0, 2**20), factor=st.sampled_from([2.0, 1.5, 1.0]))
def test_what_conversion_decides_stays_inside(orders, center, sign_zero, family, seed, factor):
    """The reference's search on weights, keys and thresholds rounded to float32."""
    case = Case(family, seed)
    switches = {"orders": orders, "center": center, "sign_zero": sign_zero, "factor": factor}
    cuts, key = reference.quantile_grid(case.W**2, 9), case.W**2
    search = reference.trisection_search_direct(
        held(case.W), case.mask, held(cuts), key=held(key), **switches
    )
    bound = trisection_bounds.trisection_search_bound(
        case.W, case.mask, cuts, key=key, **switches, arithmetic=SINGLE
    )
    assert compare.bound(search.objectives, bound.value, bound.error) <= 1.0


@every_orders
@every_mode
@settings(max_examples=12, deadline=None)
@given(family=moderate, seed=st.integers(0, 2**20), k=st.integers(1, 40))
def test_running_sums_stay_inside(orders, center, sign_zero, family, seed, k):
    """The reference's own running form, on a mask of single entries."""
    case = Case(family, seed, 3, k)
    cuts = reference.breakpoint_grid(np.abs(case.W))
    switches = {"orders": orders, "center": center, "sign_zero": sign_zero}
    search = reference.trisection_search(case.W, case.mask, cuts, **switches)
    bound = trisection_bounds.trisection_search_bound(
        case.W, case.mask, cuts, **switches, running=True, arithmetic=Arithmetic()
    )
    assert compare.bound(search.objectives, bound.value, bound.error) <= 1.0


def test_thresholds_that_are_known_to_rounding_only():
    """An entry within the uncertainty of the upper magnitude may lie in either group."""
    W, columns = np.array([[1.0, -1.0, 4.1, 5.0]]), np.ones(4, bool)
    cut = Rounded(np.array([2.0]), np.array([0.1]), SINGLE)
    bound = trisection_bounds.trisection_search_bound(W, columns, cut, arithmetic=SINGLE)
    for t in (1.9, 2.0, 2.1):
        found = reference.trisection_search_direct(W, columns, [t]).objectives
        assert compare.bound(found, bound.value, bound.error) <= 1.0
    sure = trisection_bounds.trisection_search_bound(W, columns, [2.0], arithmetic=SINGLE)
    assert bound.error > 1.0 > sure.error


@pytest.mark.parametrize(("factor", "exact"), [(1.0, True), (2.0, True), (4.0, True), (1.1, False)])
def test_a_power_of_two_rounds_nothing(factor, exact):
    """So an entry at twice the threshold lies on it for every port."""
    t = held([0.3, 0.7])
    bound = trisection_bounds.upper_magnitude_bound(t, factor, arithmetic=SINGLE)
    assert (bound.error == 0.0).all() == exact
    found = F(factor) * t.astype(F)
    assert (np.abs(found - bound.value) <= bound.error).all()


def test_margins_lie_at_both_magnitudes():
    key = np.array([[1.0, 3.0, 4.5, 2.0, 4.0]])
    lower, upper = trisection_bounds.trisection_margin(key, 2.0, arithmetic=SINGLE)
    assert lower.value.tolist() == [[1.0, 1.0, 2.5, 0.0, 2.0]]
    assert upper.value.tolist() == [[3.0, 1.0, 0.5, 2.0, 0.0]]
    assert not lower.error.any()
    assert not upper.error.any()


def test_a_candidate_may_leave_the_grid_by_rounding_only():
    cuts = [0.1, 0.2, 0.4 * (1 + 1e-9)]
    margin = trisection_bounds.trisection_thresholds_margin(cuts, arithmetic=SINGLE)
    assert (margin.value <= margin.error).tolist() == [False, True, False]
    exact = trisection_bounds.trisection_thresholds_margin(cuts, arithmetic=Arithmetic())
    assert (exact.value > exact.error).all()
