"""Objectives: both forms of the calibrated error, and their values on exact numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import ACTIVATIONS, Activations, Weights
from subbit.conformance.inputs.strategies import seeds, weights
from subbit.conformance.oracles import exact
from subbit.conformance.target import Port

FINITE = ("gauss", "t3", "shifted", "outlier_columns", "integer", "tied", "zeros", "huge_range")


@st.composite
def problems(
    draw: st.DrawFn, families: tuple[str, ...], inputs: tuple[str, ...], largest: int
) -> tuple[Weights, Weights, Activations]:
    W = draw(weights(families, rows=(1, 4), columns=(1, largest)))
    Q = Weights(draw(st.sampled_from(families)), draw(seeds()), W.shape)
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 8)), W.shape[1])
    return W, Q, Activations(draw(st.sampled_from(inputs)), draw(seeds()), shape)


def _natural(D: np.ndarray, X: np.ndarray) -> float:
    """Sum of the absolute values of all terms of both forms."""
    return float(np.sum((np.abs(D) @ np.abs(X).T) ** 2))


@given(problems(FINITE, tuple(ACTIVATIONS), 40))
def test_direct_form_equals_trace_form(
    port: Port, problem: tuple[Weights, Weights, Activations]
) -> None:
    """``‖D Xᵀ‖² = Tr(D S Dᵀ)`` with ``S = XᵀX``; all modes."""
    W, Q, inputs = problem
    X = inputs.values.reshape(-1, W.shape[1])
    direct = port.calibrated_error(W.values, Q.values, X)
    trace = port.calibrated_error_trace(W.values, Q.values, X.T @ X)
    depth = 4 * (W.shape[0] + 2 * W.shape[1] + 2 * len(X))
    allowed = port.gamma(depth) * _natural(W.values - Q.values, X)
    assert compare.bound(trace, direct, allowed) <= 1
    assert direct >= 0


@given(problems(FINITE, tuple(ACTIVATIONS), 24))
def test_proxy_loss_is_output_error_per_sequence(
    port: Port, problem: tuple[Weights, Weights, Activations]
) -> None:
    """``½ Tr(D H Dᵀ) = ‖D Xᵀ‖² / N`` with ``H = 2/N Σ XᵀX``, N sequences."""
    W, Q, inputs = problem
    X = inputs.values.reshape(-1, W.shape[1])
    loss = port.proxy_loss(W.values, Q.values, inputs.hessian)
    direct = port.calibrated_error(W.values, Q.values, X) / inputs.shape[0]
    depth = 4 * (W.shape[0] + 2 * W.shape[1] + 2 * len(X))
    allowed = port.gamma(depth) * _natural(W.values - Q.values, X) / inputs.shape[0]
    assert compare.bound(loss, direct, allowed) <= 1


@given(problems(("integer", "tied"), ("integer",), 6))
def test_exact_on_small_numbers(port: Port, problem: tuple[Weights, Weights, Activations]) -> None:
    """On whole numbers and halves nothing is rounded: all objectives are exact."""
    W, Q, inputs = problem
    X = inputs.values.reshape(-1, W.shape[1])
    D = exact.rational(W.values) - exact.rational(Q.values)
    rational_X = exact.rational(X)
    S = rational_X.T.dot(rational_X)
    assert port.weight_error(W.values, Q.values) == float(exact.squared_sum(D))
    expected = exact.calibrated_error(D, rational_X)
    assert exact.trace_error(D, S) == expected
    assert port.calibrated_error(W.values, Q.values, X) == float(expected)
    assert port.calibrated_error_trace(W.values, Q.values, exact.floats(S)) == float(expected)
    assert port.proxy_loss(W.values, Q.values, exact.floats(S)) == float(expected / 2)
    energy = exact.trace_error(exact.rational(W.values), S)
    if energy > 0:
        relative = port.relative_error(W.values, Q.values, exact.floats(S))
        assert (
            compare.bound(relative, float(expected / energy), 4 * port.unit_roundoff * relative)
            <= 1
        )


@given(problems(FINITE, ("iid", "integer"), 24))
def test_objectives_of_a_perfect_image_are_zero(
    port: Port, problem: tuple[Weights, Weights, Activations]
) -> None:
    """``W = Q`` gives exactly zero, whatever the inputs."""
    W, _, inputs = problem
    X = inputs.values.reshape(-1, W.shape[1])
    assert port.weight_error(W.values, W.values) == 0
    assert port.calibrated_error(W.values, W.values, X) == 0
    assert port.calibrated_error_trace(W.values, W.values, X.T @ X) == 0
    assert port.proxy_loss(W.values, W.values, inputs.hessian) == 0
    assert port.relative_error(W.values, W.values, X.T @ X) == 0
    assert port.relative_error(0.0 * W.values, 0.0 * W.values, X.T @ X) == 0


@pytest.mark.parametrize("power", [1, 3])
@given(problem=problems(FINITE, ("iid",), 24))
def test_objectives_scale_with_the_square(
    port: Port, power: int, problem: tuple[Weights, Weights, Activations]
) -> None:
    """``L(cW, cQ) = c² L(W, Q)``, bit for bit for a power of two."""
    W, Q, inputs = (item.values for item in problem)
    X = inputs.reshape(-1, W.shape[1])
    factor = 2.0**power
    for function, argument in (
        (port.calibrated_error, X),
        (port.calibrated_error_trace, X.T @ X),
        (port.proxy_loss, X.T @ X),
    ):
        scaled = function(factor * W, factor * Q, argument)
        assert scaled == factor**2 * function(W, Q, argument)
    assert port.weight_error(factor * W, factor * Q) == factor**2 * port.weight_error(W, Q)
