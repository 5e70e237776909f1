"""Bounds of scores and margins of masks: honest float32 stays inside, more does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bounds import PORTS, F

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.inputs.families import WEIGHTS
from subbit.reference.bounds.pruning import sparsity as sparsity_bounds
from subbit.reference.bounds.rounding import Arithmetic, Rounded

SINGLE = Arithmetic("float32")
SWITCHES = [
    {"standardize": standardize, "axis": axis, "exponent": exponent}
    for standardize in ("before", "after", "none")
    for axis in ("row", "matrix")
    for exponent in (1.0, 0.3)
]
families = st.sampled_from(sorted(set(WEIGHTS) - {"huge_range"}))
every_switch = pytest.mark.parametrize(
    "switches", SWITCHES, ids=lambda s: "-".join(map(str, s.values()))
)
every_port = pytest.mark.parametrize("name", PORTS)


def drawn(family, seed, k):
    rng = np.random.default_rng(seed)
    W = WEIGHTS[family](rng, (3, k))
    return W, np.where(rng.random(k) < 0.1, 0.0, np.exp(rng.standard_normal(k)))


def share(x, total):
    return np.divide(x, total, out=np.zeros_like(x), where=total > 0)


def standardized(port, x, axis, *, moved):
    """In float32, with or without subtracting the first value."""
    flat = x if axis == "row" else x.reshape(1, -1)
    flat = flat - flat[:, :1] if moved else flat
    centered = flat - (port.add(flat, 1) / F(flat.shape[1]))[:, None]
    deviation = np.sqrt(port.add(centered * centered, 1) / F(flat.shape[1]))[:, None]
    return share(centered, np.broadcast_to(deviation, centered.shape)).reshape(x.shape)


def scores(port, W, norms, *, standardize, axis, exponent, moved=True):
    """Eq. (2) in float32."""
    magnitudes = np.abs(W.astype(F))
    factor = np.power(norms.astype(F), F(exponent))
    x = share(magnitudes, np.broadcast_to(port.add(magnitudes, 0), W.shape))
    x += share(magnitudes, np.broadcast_to(port.add(magnitudes, 1)[:, None], W.shape))
    if standardize == "before":
        return standardized(port, x, axis, moved=moved) * factor
    x *= factor
    return standardized(port, x, axis, moved=moved) if standardize == "after" else x


def inside(found, bound):
    finite = np.isfinite(bound.error)
    return compare.bound(found[finite], bound.value[finite], bound.error[finite])


@every_port
@every_switch
@settings(max_examples=10, deadline=None)
@given(family=families, seed=st.integers(0, 2**20), k=st.integers(1, 50), moved=st.booleans())
def test_honest_scores_stay_inside(name, switches, family, seed, k, moved):
    port, (W, norms) = PORTS[name], drawn(family, seed, k)
    # A straight sum of a whole matrix is in the order of the matrix.
    bound = sparsity_bounds.standardized_importance_bound(
        W, norms, **switches, arithmetic=SINGLE if switches["axis"] == "matrix" else port.arithmetic
    )
    assert inside(scores(port, W, norms, **switches, moved=moved), bound) <= 1.0


@settings(max_examples=30, deadline=None)
@given(family=families, seed=st.integers(0, 2**20), k=st.integers(1, 50))
def test_honest_products_and_roots_stay_inside(family, seed, k):
    W, norms = drawn(family, seed, k)
    found = np.abs(W.astype(F)) * norms.astype(F)
    assert inside(found, sparsity_bounds.wanda_importance_bound(W, norms, arithmetic=SINGLE)) <= 1
    H = W.T @ W
    bound = sparsity_bounds.input_norms_bound(H, arithmetic=SINGLE)
    assert inside(np.sqrt(np.diag(H).astype(F) / F(2)), bound) <= 1


@every_switch
def test_an_error_of_a_few_bounds_is_caught(switches):
    """On smooth weights, bounds are far below the scores, and three bounds are noticed."""
    W, norms = drawn("gauss", 3, 40)
    norms = np.maximum(norms, 0.1)
    exact = reference.standardized_importance(W, norms, **switches)
    bound = sparsity_bounds.standardized_importance_bound(W, norms, **switches, arithmetic=SINGLE)
    assert np.allclose(bound.value, exact, rtol=1e-12)
    assert (bound.error < 1e-3 * np.abs(exact).max()).all()
    assert 2.0 <= inside(exact + 3 * bound.error, bound) <= 4.0


@settings(max_examples=40, deadline=None)
@given(exponent=st.floats(0.0, 1.0), seed=st.integers(0, 2**20))
def test_powers_of_uncertain_numbers_stay_inside(exponent, seed):
    rng = np.random.default_rng(seed)
    value = rng.choice([0.0, 1e-20, 1.0, 1e20], 12) * rng.random(12)
    given_ = Rounded(value, value * rng.choice([0.0, 1e-6, 0.5, 2.0], 12), SINGLE)
    bound = sparsity_bounds.power_bound(given_, exponent)
    for side in (-1, 1):
        base = np.maximum(value + side * given_.error, 0.0)
        assert inside(base ** float(F(exponent)), bound) <= 1.0


def moved_masks(seed, decide):
    """Masks of nearly tied scores, and of the same scores moved by up to their bounds."""
    rng = np.random.default_rng(seed)
    s = rng.integers(0, 4, (3, 16)) + 1e-3 * rng.integers(0, 4, (3, 16))
    e = 1e-3 * rng.choice([0.0, 0.5, 1.5, 3.0], s.shape)
    return Rounded(s, e, SINGLE), decide(s), decide(s + e * rng.uniform(-1, 1, s.shape))


DECISIONS = {
    "2:4": (
        lambda s: reference.nm_mask(s, 2, 4),
        lambda s: sparsity_bounds.nm_mask_margin(s, 2, 4, arithmetic=SINGLE),
    ),
    "3:5 and a rest": (
        lambda s: reference.nm_mask(s, 3, 5, tail="dense"),
        lambda s: sparsity_bounds.nm_mask_margin(s, 3, 5, arithmetic=SINGLE),
    ),
    "rows": (
        lambda s: reference.row_mask(s, 0.4),
        lambda s: sparsity_bounds.row_mask_margin(s, 0.4, arithmetic=SINGLE),
    ),
    "threshold": (
        lambda s: reference.threshold_mask(s, 0.4),
        lambda s: sparsity_bounds.threshold_mask_margin(s, 0.4, arithmetic=SINGLE),
    ),
}
every_decision = pytest.mark.parametrize("decision", DECISIONS)


@every_decision
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_an_entry_changes_sides_within_its_margin_only(decision, seed):
    decide, margin_of = DECISIONS[decision]
    scores_, before, after = moved_masks(seed, decide)
    margin = margin_of(scores_)
    differs = before != after
    assert (margin.value[differs] <= margin.error[differs] * (1 + 1e-9)).all()


@every_decision
def test_margins_are_not_idle(decision):
    """Some entries do change sides, and most may not."""
    decide, margin_of = DECISIONS[decision]
    changed, allowed = 0, []
    for seed in range(30):
        scores_, before, after = moved_masks(seed, decide)
        margin = margin_of(scores_)
        changed += np.count_nonzero(before != after)
        allowed.append(np.mean(margin.value <= margin.error))
    assert changed > 5
    assert np.mean(allowed) < 0.6


def test_ties_of_exact_scores_have_no_allowance():
    """The rule for ties decides, so nothing may change places."""
    margin = sparsity_bounds.nm_mask_margin([[1.0, 1.0, 1.0, 1.0]], 2, 4, arithmetic=SINGLE)
    assert not margin.error.any()
    assert np.isinf(margin.value).all()


def test_ties_of_uncertain_scores_may_go_either_way():
    given_ = Rounded(np.array([[1.0, 1.0, 1.0, 5.0]]), np.array([[0.0, 1e-9, 0.0, 0.0]]), SINGLE)
    margin = sparsity_bounds.nm_mask_margin(given_, 2, 4, arithmetic=SINGLE)
    # Kept are 5 and the first 1; only the second may take its place.
    assert margin.value.tolist() == [[0.0, 0.0, np.inf, 4.0]]
    assert margin.error.tolist() == [[1e-9, 1e-9, 0.0, 1e-9]]


def test_what_rounding_decides_has_no_bound():
    """Equal shares that are not known exactly: their deviation is zero, or only rounding."""
    W = np.full((2, 3), 0.1)
    bound = sparsity_bounds.standardized_importance_bound(W, np.ones(3), arithmetic=SINGLE)
    assert np.isinf(bound.error).all()
    zeros = sparsity_bounds.standardized_importance_bound(0 * W, np.ones(3), arithmetic=SINGLE)
    assert not zeros.error.any()
    assert not zeros.value.any()
