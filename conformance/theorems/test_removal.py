"""Removing several weights: constrained least squares, its loss, and the choice in a group.

The theorems of arXiv 2410.15567 on the multiple-removal problem.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import Array, Mask, Masks
from subbit.conformance.inputs.strategies import Layer, layers, masks, seeds
from subbit.conformance.oracles import exact
from subbit.conformance.target import Port
from subbit.reference.bounds.pruning import removal as removal_bounds
from subbit.reference.errors import ArgumentError, HessianError

some_layers = layers(rows=(1, 4), columns=(2, 16))
SIZES = [(1, 2), (2, 4), (3, 4), (4, 8), (1, 8)]
every_size = pytest.mark.parametrize("size", SIZES)


def _damped(port: Port, layer: Layer) -> tuple[Array, Array]:
    W, H = layer[0].values, layer[1].hessian
    diagonal = np.where(np.diag(H) == 0, 1.0, np.diag(H))
    return port.held(W), port.held(H + np.diag(0.05 * diagonal.mean() + (np.diag(H) == 0)))


def _loss(D: Array, H: Array) -> Array:
    """``½ d H dᵀ`` of each row."""
    return np.asarray(0.5 * np.einsum("ni,ij,nj->n", D, H, D))


def _ratio(found: Array, wanted: Array, allowed: Array) -> float:
    """Error over bound; no bound if lower precision cannot tell whether H is singular."""
    some = np.isfinite(allowed)
    return compare.bound(found[some], wanted[some], allowed[some])


def _least_squares(W: Array, H: Array, removed: Mask) -> Array:
    """Solve for the kept weights of each row, without an inverse: ``H_kk z = H_kp w_p``."""
    result = np.where(removed, 0.0, W)
    for row, w, gone in zip(result, W, removed, strict=True):
        right = H[np.ix_(~gone, gone)] @ w[gone]
        row[~gone] += np.linalg.solve(H[np.ix_(~gone, ~gone)], right)
    return result


@given(layer=some_layers, drawn=masks())
def test_the_move_is_constrained_least_squares(port: Port, layer: Layer, drawn: Masks) -> None:
    """Eqs. (11), (13): the result of solving for the kept weights; removed ones exactly zero."""
    W, H = _damped(port, layer)
    removed = drawn.of(W.shape)
    moved = port.removal_move(W, H, removed)
    bound = removal_bounds.removal_move_bound(W, H, removed, arithmetic=port.arithmetic)
    assert _ratio(moved, _least_squares(W, H, removed), bound.error) <= 1
    assert not moved[removed].any()


@given(layer=some_layers, drawn=masks())
def test_the_gradient_vanishes_at_kept_weights(port: Port, layer: Layer, drawn: Masks) -> None:
    """``[(x - w) H]_k = 0``: no kept weight can improve on the move."""
    W, H = _damped(port, layer)
    removed = drawn.of(W.shape)
    moved = port.removal_move(W, H, removed)
    bound = removal_bounds.removal_move_bound(W, H, removed, arithmetic=port.arithmetic)
    with np.errstate(invalid="ignore"):
        allowed = (bound.error + port.unit_roundoff * np.abs(W)) @ np.abs(H)
    allowed += port.gamma(len(H) + 2) * np.abs(moved - W) @ np.abs(H)
    gradient = np.where(removed, 0.0, (moved - W) @ H)
    assert _ratio(gradient, np.zeros(W.shape), allowed) <= 1


@given(layer=some_layers, drawn=masks())
def test_the_loss_is_what_the_move_costs(port: Port, layer: Layer, drawn: Masks) -> None:
    """Eq. (12): ``½ w_p [G_pp]⁻¹ w_pᵀ`` is the rise of ``½ tr(D H Dᵀ)``."""
    W, H = _damped(port, layer)
    removed = drawn.of(W.shape)
    loss = port.removal_loss(W, H, removed)
    bound = removal_bounds.removal_loss_bound(W, H, removed, arithmetic=port.arithmetic)
    assert _ratio(loss, _loss(_least_squares(W, H, removed) - W, H), bound.error) <= 1
    assert (loss >= 0).all()


@given(layer=some_layers, seed=seeds())
def test_one_removal_is_optimal_brain_surgery(port: Port, layer: Layer, seed: int) -> None:
    """|p| = 1: half of the score ``w² / [H⁻¹]_jj``, and the move along a row of the inverse."""
    W, H = _damped(port, layer)
    n, m = W.shape
    columns = np.random.default_rng(seed).integers(m, size=(n,))
    removed = np.arange(m) == columns[:, None]
    rows, G = np.arange(n), np.linalg.inv(H)
    loss = removal_bounds.removal_loss_bound(W, H, removed, arithmetic=port.arithmetic)
    score = port.obs_saliency(W, H)[rows, columns] / 2
    assert _ratio(port.removal_loss(W, H, removed), score, 2 * loss.error) <= 1
    surgery = W - (W[rows, columns] / G[columns, columns])[:, None] * G[columns]
    move = removal_bounds.removal_move_bound(W, H, removed, arithmetic=port.arithmetic)
    moved = port.removal_move(W, H, removed)
    assert _ratio(moved, np.where(removed, 0.0, surgery), 2 * move.error) <= 1


@given(layer=some_layers, drawn=masks())
def test_E2_for_the_same_mask_least_squares_loses_no_more_than_zeroing(
    port: Port, layer: Layer, drawn: Masks
) -> None:
    """E2: and no more than the point halfway between both, as an arbitrary alternative."""
    W, H = _damped(port, layer)
    removed = drawn.of(W.shape)
    loss = port.removal_loss(W, H, removed)
    bound = removal_bounds.removal_loss_bound(W, H, removed, arithmetic=port.arithmetic)
    zeroed = np.where(removed, 0.0, W)
    halfway = (zeroed + port.removal_move(W, H, removed)) / 2
    for other in (zeroed, halfway):
        worse = _loss(other - W, H)
        assert (loss <= worse + bound.error + port.gamma(64) * worse).all()


@given(layer=some_layers, seed=seeds())
def test_removing_more_never_costs_less(port: Port, layer: Layer, seed: int) -> None:
    """p ⊂ q: the optimum over fewer free weights is no smaller."""
    W, H = _damped(port, layer)
    draws = np.random.default_rng(seed).random(W.shape)
    few, many = draws < 0.3, draws < 0.7
    bounds = [
        removal_bounds.removal_loss_bound(W, H, p, arithmetic=port.arithmetic) for p in (few, many)
    ]
    less, more = port.removal_loss(W, H, few), port.removal_loss(W, H, many)
    assert (less <= more + bounds[0].error + bounds[1].error).all()


@given(layer=some_layers)
def test_nothing_and_everything(port: Port, layer: Layer) -> None:
    """Removing nothing costs nothing and moves nothing; removing everything costs ``½ w H wᵀ``."""
    W, H = _damped(port, layer)
    none, everything = np.zeros(W.shape, np.bool_), np.ones(W.shape, np.bool_)
    assert compare.exact(port.removal_move(W, H, none), W) == 0
    assert not port.removal_loss(W, H, none).any()
    assert not port.removal_move(W, H, everything).any()
    bound = removal_bounds.removal_loss_bound(W, H, everything, arithmetic=port.arithmetic)
    assert _ratio(port.removal_loss(W, H, everything), _loss(W, H), bound.error) <= 1


@given(seed=seeds(), n=st.integers(1, 2), m=st.integers(1, 4))
def test_exact_removal(port: Port, seed: int, n: int, m: int) -> None:
    """Eqs. (11)-(12) over the rational numbers, on whole numbers."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, size=(m + 2, m))
    H = (2 * (X.T @ X) + np.eye(m)).astype(np.float64)
    W = rng.integers(-8, 9, size=(n, m)).astype(np.float64)
    removed = rng.random((n, m)) < 0.5
    G, weights = exact.inverse(exact.rational(H)), exact.rational(W)
    wanted, losses = weights.copy(), [exact.ZERO] * n
    for i in np.flatnonzero(removed.any(axis=1)):
        p = np.flatnonzero(removed[i])
        y = weights[i, p].dot(exact.inverse(G[np.ix_(p, p)]))
        wanted[i] -= y.dot(G[p])
        losses[i] = weights[i, p].dot(y) / 2
    move = removal_bounds.removal_move_bound(W, H, removed, arithmetic=port.arithmetic)
    loss = removal_bounds.removal_loss_bound(W, H, removed, arithmetic=port.arithmetic)
    found = port.removal_move(W, H, removed)
    assert _ratio(found, exact.floats(wanted), move.error) <= 1
    assert _ratio(port.removal_loss(W, H, removed), exact.floats(losses), loss.error) <= 1


def test_bounds_are_there_in_float64(port: Port) -> None:
    """A float64 port has a bound where lower precision may have none."""
    if port.arithmetic.dtype != "float64":
        pytest.skip("about ports that compute in float64")
    X = np.random.default_rng(1).standard_normal((60, 16))
    H, W = X.T @ X, np.ones((2, 16))
    removed = np.arange(32).reshape(2, 16) % 3 == 0
    for bound in (removal_bounds.removal_move_bound, removal_bounds.removal_loss_bound):
        assert (bound(W, H, removed, arithmetic=port.arithmetic).error < 1e-6).all()


@every_size
@given(layer=layers(rows=(1, 3), columns=(8, 8)))
def test_M1_no_choice_of_a_group_loses_less(
    port: Port, size: tuple[int, int], layer: Layer
) -> None:
    """M1: against all ``C(M, N)`` choices of each group alone, every one of them evaluated."""
    keep, group = size
    W, H = _damped(port, layer)
    kept = port.removal_mask(W, H, keep, group)
    for first in range(0, 8, group):
        places = slice(first, first + group)
        chosen = np.zeros(W.shape, dtype=np.bool_)
        chosen[:, places] = ~kept[:, places]
        assert (np.count_nonzero(chosen, axis=1) == group - keep).all()
        reached = removal_bounds.removal_loss_bound(W, H, chosen, arithmetic=port.arithmetic)
        sets = list(itertools.combinations(range(first, first + group), group - keep))
        every = np.zeros((len(sets), 1, 8), dtype=np.bool_)
        np.put_along_axis(every, np.array(sets).reshape(len(sets), 1, -1), values=True, axis=2)
        removed = np.repeat(every, len(W), axis=1).reshape(-1, 8)
        rows = np.tile(W, (len(sets), 1))
        losses = removal_bounds.removal_loss_bound(rows, H, removed, arithmetic=port.arithmetic)
        allowed = (losses.value + losses.error).reshape(-1, len(W)) + reached.error
        assert (reached.value <= allowed).all()


@every_size
@given(layer=layers(rows=(1, 4), columns=(8, 8)))
def test_M2_one_group_alone_never_loses_to_single_scores(
    port: Port, size: tuple[int, int], layer: Layer
) -> None:
    """M2: on one isolated group the exhaustive choice is no worse than the diagonal score."""
    keep, group = size
    W, H = _damped(port, layer)
    W, H = W[:, :group], H[:group, :group]
    kept = port.removal_mask(W, H, keep, group)
    order = np.argsort(-port.obs_saliency(W, H), axis=1, kind="stable")
    single = np.ones(W.shape, dtype=np.bool_)
    np.put_along_axis(single, order[:, :keep], values=False, axis=1)
    best, other = (
        removal_bounds.removal_loss_bound(W, H, p, arithmetic=port.arithmetic)
        for p in (~kept, single)
    )
    assert (best.value <= other.value + best.error + other.error).all()


def test_M2_is_sometimes_strict(port: Port) -> None:
    """Two nearly equal inputs: each weight is cheap alone, both together are expensive."""
    W = np.array([[1.0, 1.0, 1.25, 1.25]])
    H = np.eye(4)
    H[0, 1] = H[1, 0] = 0.9375
    kept = port.removal_mask(W, H, 2, 4)
    single = np.array([[False, False, True, True]])
    assert np.count_nonzero(kept[:, :2]) == 1
    losses = [port.removal_loss(W, H, ~mask)[0] for mask in (kept, single)]
    assert losses[0] < 0.5 * losses[1]


@given(seed=seeds(), size=st.sampled_from(SIZES))
def test_on_a_diagonal_hessian_the_choice_is_that_of_scores(
    port: Port, seed: int, size: tuple[int, int]
) -> None:
    """Nothing interacts there; of equal losses, the lower columns are kept."""
    keep, group = size
    rng = np.random.default_rng(seed)
    W = rng.integers(-4, 5, size=(3, 2 * group)).astype(np.float64)
    H = np.diag(4.0 ** rng.integers(-1, 3, size=2 * group))
    scores = (W**2 * np.diag(H)).reshape(3, 2, group)
    wanted = np.zeros(scores.shape, dtype=np.bool_)
    order = np.argsort(-scores, axis=2, kind="stable")[:, :, :keep]
    np.put_along_axis(wanted, order, values=True, axis=2)
    assert compare.exact(port.removal_mask(W, H, keep, group), wanted.reshape(W.shape)) == 0


def test_what_cannot_be_removed_is_refused(port: Port) -> None:
    """Widths, too many choices, and a Hessian that is not positive definite."""
    W, H = np.ones((2, 32)), np.eye(32)
    with pytest.raises(ArgumentError, match="group: expected one of at most 65536 patterns"):
        port.removal_mask(W, H, 16, 32)
    with pytest.raises(ArgumentError, match="group: expected a divisor of the width 32"):
        port.removal_mask(W, H, 2, 5)
    with pytest.raises(ArgumentError, match="removed: expected a boolean array"):
        port.removal_move(W, H, np.ones((2, 32)))
    with pytest.raises(HessianError, match="H: expected a positive definite matrix"):
        port.removal_loss(W, -H, W > 0)
