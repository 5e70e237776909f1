"""Saliency: each published score, column scores and their ranking."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, Activations, Array, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds, weights
from subbit.conformance.oracles import exact
from subbit.conformance.target import Port

SCORED = (*CONTINUOUS, "tied", "integer", "zero_columns", "zeros")


def _damped(inputs: Activations) -> Array:
    H = inputs.hessian
    return H + 0.01 * np.diag(H).mean() * np.eye(len(H))


def _slack(port: Port, H: Array) -> float:
    return float(32 * len(H) * port.unit_roundoff * np.linalg.cond(H))


@given(layers(SCORED, columns=(1, 24)))
def test_scores_are_their_equations(port: Port, layer: Layer) -> None:
    """Eq. (3) ``w²/[H⁻¹]_jj²``, the unordered ``w²/[H⁻¹]_jj``, the trailing ``w²/U_jj²``."""
    W, H = port.held(layer[0].values), _damped(layer[1])
    diagonal = np.diag(np.linalg.inv(H))
    U = port.inverse_factor(H)
    for actual, divisor in (
        (port.inverse_hessian_saliency(W, H), diagonal**2),
        (port.obs_saliency(W, H), diagonal),
        (port.trailing_saliency(W, U), np.diag(U) ** 2),
    ):
        expected = W**2 / divisor
        assert compare.bound(actual, expected, _slack(port, H) * expected) <= 1
        assert (actual >= 0).all()
    assert compare.exact(port.magnitude_saliency(W), W) == 0


@given(layers(SCORED, columns=(1, 24)))
def test_trailing_score_is_unordered_in_the_first_column(port: Port, layer: Layer) -> None:
    """``U_00² = [H⁻¹]_00``: both scores agree in column 0."""
    W, H = port.held(layer[0].values), _damped(layer[1])
    trailing = port.trailing_saliency(W, port.inverse_factor(H))[:, 0]
    unordered = port.obs_saliency(W, H)[:, 0]
    assert compare.bound(trailing, unordered, _slack(port, H) * unordered) <= 1


@given(layers(SCORED, rows=(1, 1), columns=(1, 12)), st.integers(0, 11))
def test_scores_are_twice_a_loss(port: Port, layer: Layer, position: int) -> None:
    """C2: the cost of zeroing one weight while all others move, or only those to its right."""
    W, H = port.held(layer[0].values), _damped(layer[1])
    j = min(position, len(H) - 1)
    U = port.inverse_factor(H)
    for free, score in (
        (np.arange(len(H)), port.obs_saliency(W, H)[0, j]),
        (np.arange(j, len(H)), port.trailing_saliency(W, U)[0, j]),
    ):
        G, others = H[np.ix_(free, free)], free != j
        move = np.where(others, 0.0, -W[0, j])
        if others.any():
            right = -G[np.ix_(others, ~others)][:, 0] * -W[0, j]
            move[others] = np.linalg.solve(G[np.ix_(others, others)], right)
        loss = move @ G @ move
        assert compare.bound(score, loss, _slack(port, H) * max(score, loss)) <= 1


@given(layers(SCORED, columns=(1, 24)))
def test_scores_scale_with_the_square(port: Port, layer: Layer) -> None:
    """``W → 4W`` gives sixteen times every squared score, bit for bit."""
    W, H = port.held(layer[0].values), _damped(layer[1])
    U = port.inverse_factor(H)
    for score, second in (
        (port.inverse_hessian_saliency, H),
        (port.obs_saliency, H),
        (port.trailing_saliency, U),
    ):
        assert compare.exact(score(4 * W, second), 16 * score(W, second)) == 0
        assert compare.exact(score(-W, second), score(W, second)) == 0
    assert compare.exact(port.magnitude_saliency(-W), -W) == 0


@given(weights(("integer", "tied"), rows=(1, 3), columns=(1, 5)), seeds())
def test_exact_scores(port: Port, matrix: Weights, seed: int) -> None:
    """All scores against rational numbers, on a rational Hessian."""
    W = matrix.values
    rng = np.random.default_rng(seed)
    A = rng.integers(-2, 3, (len(W[0]) + 2, len(W[0]))).astype(np.float64)
    H = A.T @ A + np.eye(len(W[0]))
    inverse = exact.inverse(exact.rational(H))
    squares = exact.rational(W) ** 2
    for actual, divisor in (
        (port.inverse_hessian_saliency(W, H), np.diag(inverse) ** 2),
        (port.obs_saliency(W, H), np.diag(inverse)),
    ):
        expected = exact.floats(squares / divisor)
        assert compare.bound(actual, expected, _slack(port, H) * expected) <= 1
    trailing = [exact.inverse(exact.rational(H[j:, j:]))[0, 0] for j in range(len(H))]
    expected = exact.floats(squares / np.array(trailing, dtype=object))
    actual = port.trailing_saliency(W, port.inverse_factor(H))
    assert compare.bound(actual, expected, _slack(port, H) * expected) <= 1


@given(weights((*SCORED, "huge_range")))
def test_column_scores(port: Port, matrix: Weights) -> None:
    """Column scores are sums of absolute scores."""
    S = matrix.values
    expected = exact.floats(np.sum(np.abs(exact.rational(S)), axis=0))
    actual = port.column_saliency(S)
    assert compare.bound(actual, expected, port.gamma(len(S)) * expected) <= 1
    assert compare.exact(port.column_saliency(-S), actual) == 0


@given(weights((*SCORED, "all_equal"), rows=(1, 1)))
def test_ranking_is_stable_and_descending(port: Port, matrix: Weights) -> None:
    """Columns by decreasing score; of equal ones, the lower index first."""
    scores = matrix.values[0]
    ranking = port.rank_columns(scores)
    expected = sorted(range(len(scores)), key=lambda j: (-Fraction(scores[j]), j))
    assert ranking.tolist() == expected


@pytest.mark.parametrize(("sign_zero", "error"), [(1, 1.0), (0, 3 / 16)])
def test_an_entry_on_the_mean_has_the_sign_that_was_asked_for(
    port: Port, sign_zero: int, error: float
) -> None:
    """At order 2 the error tells signs of zero apart; nothing rounds."""
    T = np.array([[2.0, 1.0, 1.0, 4.0]])
    switches = {"orders": (2, 1), "center": True, "sign_zero": sign_zero}
    search = port.salient_search(T, np.arange(4), np.array([4]), **switches)
    assert compare.bound(search.objectives, [error], 64 * port.unit_roundoff * np.sum(T**2)) <= 1
