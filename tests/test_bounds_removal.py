"""Bounds of removing several weights: honest float32 ports stay inside, wrong ones do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit import reference
from subbit.reference.bounds.hessian import inverse_bound
from subbit.reference.bounds.pruning import removal as removal_bounds
from subbit.reference.bounds.rounding import Arithmetic

F = np.float32
SINGLE = Arithmetic("float32")


@st.composite
def problems(draw):
    """Weights, a damped Hessian of correlated inputs of different sizes, and removed weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, 5)), 4 * draw(st.integers(1, 4))
    X = rng.standard_normal((3 * m, m)) + draw(st.sampled_from([0.0, 3.0])) * rng.standard_normal(
        (3 * m, 1)
    )
    X *= np.exp(draw(st.sampled_from([0.0, 2.0])) * rng.standard_normal(m))
    H = reference.damp(X.T @ X, 0.01).astype(F)
    W = rng.standard_normal((n, m)).astype(F)
    return W, H, rng.random((n, m)) < draw(st.sampled_from([0.2, 0.5, 0.9]))


def in_the_inverse(W, H, removed):
    G = np.linalg.inv(H)
    moved, losses = W.copy(), np.zeros(len(W), F)
    for i, p in enumerate(removed):
        y = np.linalg.solve(G[np.ix_(p, p)], W[i, p])
        moved[i] -= y @ G[p]
        losses[i] = F(0.5) * (W[i, p] @ y)
    return np.where(removed, F(0), moved), losses


def in_the_hessian(W, H, removed):
    moved = np.where(removed, F(0), W)
    for i, p in enumerate(removed):
        moved[i, ~p] += np.linalg.solve(H[np.ix_(~p, ~p)], H[np.ix_(~p, p)] @ W[i, p])
    D = moved - W
    return moved, F(0.5) * np.sum((D @ H) * D, axis=1, dtype=F)


def ratio(found, bound):
    finite = np.isfinite(bound.error)
    error = np.abs(found.astype(np.float64) - bound.value)
    return np.max(np.where(error > 0, error, 0.0)[finite] / np.maximum(bound.error, 1e-300)[finite])


@pytest.mark.parametrize("port", [in_the_inverse, in_the_hessian])
@given(problem=problems())
def test_honest_ports_stay_inside(port, problem):
    move = removal_bounds.removal_move_bound(*problem, arithmetic=SINGLE)
    loss = removal_bounds.removal_loss_bound(*problem, arithmetic=SINGLE)
    moved, losses = port(*problem)
    assert moved.dtype == losses.dtype == F
    assert np.isfinite(move.error).all()
    assert ratio(moved, move) <= 1
    assert ratio(losses, loss) <= 1


@given(problem=problems())
def test_the_bounds_are_no_wider_than_conditioning_asks_for(problem):
    """Smaller than the bounded values times a scale-free condition number."""
    W, H, removed = problem
    move = removal_bounds.removal_move_bound(W, H, removed, arithmetic=SINGLE)
    d = np.sqrt(np.diag(H))
    condition = np.linalg.cond(H / np.outer(d, d))
    size = np.max(np.abs(move.value * d), axis=1) + np.max(np.abs(W * d), axis=1)
    allowed = 100 * len(H) ** 2 * SINGLE.unit_roundoff * condition * size
    assert (np.max(move.error * d, axis=1) <= allowed).all()


@given(problem=problems())
def test_a_relative_error_of_a_thousandth_falls_outside_on_good_inputs(problem):
    W, H, removed = problem
    H = np.diag(np.diag(H))
    loss = removal_bounds.removal_loss_bound(W, H, removed, arithmetic=SINGLE)
    _, losses = in_the_inverse(W, H, removed)
    some = removed.any(axis=1)
    assert (np.abs(losses * 1.001 - loss.value) > loss.error)[some].all()


@given(problem=problems())
def test_a_choice_in_float32_is_within_its_margin(problem):
    W, H, _ = problem
    H = H.astype(np.float64)
    noisy = reference.removal_mask(W, H * (1 + 1e-8), 2, 4)
    margin = removal_bounds.removal_mask_margin(W, H, noisy, 2, 4, arithmetic=SINGLE)
    assert (margin.value <= margin.error).all()
    worst = reference.removal_mask(W, H, 2, 4) ^ np.tile([True] * 4, W.shape[1] // 4)
    margin = removal_bounds.removal_mask_margin(W, H, worst, 2, 4, arithmetic=SINGLE)
    best = removal_bounds.removal_mask_margin(W, H, ~worst, 2, 4, arithmetic=SINGLE)
    assert (best.value == 0).all()
    assert (margin.value >= 0).all()


def test_the_inverse_of_an_ill_conditioned_hessian_has_no_bound():
    """If rounding can make it singular, there is no bound."""
    H = np.ones((3, 3)) + 1e-9 * np.eye(3)
    assert not np.isfinite(inverse_bound(H, arithmetic=SINGLE).error).any()
    W, removed = np.ones((1, 3)), np.array([[True, False, False]])
    move = removal_bounds.removal_move_bound(W, H, removed, arithmetic=SINGLE)
    assert not np.isfinite(move.error[~removed]).any()


@pytest.mark.parametrize("function", ["removal_move", "removal_mask"])
def test_rows_are_taken_in_parts_without_a_difference(function, monkeypatch):
    """The result does not depend on how many rows fit at once."""
    rng = np.random.default_rng(5)
    X, W = rng.standard_normal((40, 8)), rng.standard_normal((9, 8))
    last = (rng.random((9, 8)) < 0.5,) if function == "removal_move" else (4, 8)
    whole = getattr(reference, function)(W, X.T @ X, *last)
    monkeypatch.setattr("subbit.reference.pruning.removal.HELD", 1)
    assert np.array_equal(getattr(reference, function)(W, X.T @ X, *last), whole)
