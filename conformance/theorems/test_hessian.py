"""The Hessian: accumulation, dead inputs, damping, and the two facts about its factor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import LIVE, Activations, Array
from subbit.conformance.inputs.strategies import activations, seeds
from subbit.conformance.oracles import exact
from subbit.conformance.target import Port

PERCDAMP = 0.01


def _natural(X: Array) -> Array:
    flat = np.abs(X.reshape(-1, X.shape[-1]))
    return flat.T @ flat * (2 / len(X))


def _damped(inputs: Activations) -> Array:
    """H after dead inputs and damping, written out independently."""
    H = inputs.hessian.copy()
    diagonal = np.where(np.diag(H) == 0, 1.0, np.diag(H))
    np.fill_diagonal(H, diagonal + PERCDAMP * diagonal.mean())
    return H


def _condition_slack(port: Port, H: Array) -> float:
    """Rounding that a factorization of H may amplify: m·u·cond(H), with room for constants."""
    return float(8 * len(H) * port.unit_roundoff * np.linalg.cond(H))


@given(inputs=activations(), seed=seeds())
def test_S7_accumulation_does_not_depend_on_batches(
    port: Port, inputs: Activations, seed: int
) -> None:
    """S7: one sequence per call, all in one call, or anything in between gives the same H."""
    X = inputs.values
    rng = np.random.default_rng(seed)
    accumulator = port.HessianAccumulator(X.shape[-1])
    start = 0
    while start < len(X):
        size = int(rng.integers(1, len(X) - start + 1))
        single = size == 1 and rng.random() < 0.5
        accumulator.add(X[start] if single else X[start : start + size])
        start += size
    allowed = port.gamma(4 * (X.shape[0] * X.shape[1] + len(X))) * _natural(X)
    assert accumulator.count == len(X)
    assert compare.bound(accumulator.hessian(), port.accumulate_hessian(X), allowed) <= 1


@given(inputs=activations())
def test_S7_order_of_sequences_does_not_matter(port: Port, inputs: Activations) -> None:
    """S7: H is a sum over sequences."""
    X = inputs.values
    allowed = port.gamma(4 * (X.shape[0] * X.shape[1] + len(X))) * _natural(X)
    backwards = port.accumulate_hessian(X[::-1])
    assert compare.bound(backwards, port.accumulate_hessian(X), allowed) <= 1


@given(inputs=activations(("integer",), sequences=(1, 8), tokens=(1, 6), inputs=(1, 6)))
def test_exact_hessian(port: Port, inputs: Activations) -> None:
    """``H = 2/N Σ XᵀX`` on whole numbers: the sum is exact, a division or two are not."""
    rows = exact.rational(inputs.values.reshape(-1, inputs.shape[-1]))
    expected = exact.floats(rows.T.dot(rows) * 2 / inputs.shape[0])
    allowed = port.gamma(4 * inputs.shape[0]) * _natural(inputs.values)
    actual = port.accumulate_hessian(inputs.values)
    assert compare.bound(actual, expected, allowed) <= 1
    if inputs.shape[0] in (1, 2, 4, 8):
        single = port.HessianAccumulator(inputs.shape[-1])
        single.add(inputs.values[0])
        rows = exact.rational(inputs.values[0])
        assert compare.exact(single.hessian(), exact.floats(2 * rows.T.dot(rows))) == 0


@given(inputs=activations())
def test_hessian_is_symmetric_and_finds_dead_inputs(port: Port, inputs: Activations) -> None:
    """H is symmetric; an input is dead if and only if no token had it."""
    H = port.accumulate_hessian(inputs.values)
    assert compare.bound(H, H.T, port.gamma(8 * inputs.values.size) * _natural(inputs.values)) <= 1
    dead = ~inputs.values.any(axis=(0, 1))
    assert compare.exact(port.dead_inputs(H), dead) == 0


@given(inputs=activations(), percdamp=st.sampled_from([0.0, 0.01, 0.1, 1.0]))
def test_damping(port: Port, inputs: Activations, percdamp: float) -> None:
    """``H + λI``, λ a share of the mean diagonal, taken after dead inputs are set to one."""
    H = port.held(inputs.hessian)
    diagonal = np.where(np.diag(H) == 0, 1.0, np.diag(H))
    expected = H.copy()
    np.fill_diagonal(expected, diagonal + percdamp * diagonal.mean())
    allowed = port.gamma(len(H) + 4) * expected.max()
    damped = port.damp(H, percdamp)
    assert compare.bound(damped, expected, allowed) <= 1
    off = ~np.eye(len(H), dtype=bool)
    assert compare.exact(damped[off], H[off]) == 0


@given(inputs=activations())
def test_factor_is_upper_and_inverts_the_hessian(port: Port, inputs: Activations) -> None:
    """``H⁻¹ = UᵀU`` with U upper triangular and a positive diagonal."""
    H = _damped(inputs)
    U = port.inverse_factor(H)
    assert not np.tril(U, -1).any()
    assert (np.diag(U) > 0).all()
    assert compare.bound(U.T @ U @ H, np.eye(len(H)), _condition_slack(port, H)) <= 1


@given(inputs=activations())
def test_C1_factor_rows_are_trailing_inverses(port: Port, inputs: Activations) -> None:
    """C1: ``U_ii² = (F_i)_00`` and ``U_i,i: / U_ii = (F_i)_0,: / (F_i)_00``, F_i = (H_i:,i:)⁻¹."""
    H = _damped(inputs)
    U = port.inverse_factor(H)
    for i in range(len(H)):
        F = np.linalg.inv(H[i:, i:])
        slack = 8 * _condition_slack(port, H[i:, i:])
        assert compare.bound(U[i, i] ** 2, F[0, 0], slack * F[0, 0]) <= 1
        row = F[0] / F[0, 0]
        assert compare.bound(U[i, i:] / U[i, i], row, slack * np.abs(row).max()) <= 1


@given(inputs=activations(LIVE, tokens=(8, 24), inputs=(2, 24)), seed=seeds())
def test_C2_one_column_update_is_constrained_least_squares(
    port: Port, inputs: Activations, seed: int
) -> None:
    """C2: moving the free entries by ``-(e/U_ii) U_i,i:`` is optimal, at the loss ``e²/2U_ii²``."""
    H = _damped(inputs)
    U = port.inverse_factor(H)
    rng = np.random.default_rng(seed)
    i = int(rng.integers(0, len(H)))
    e = float(rng.standard_normal())
    G = H[i:, i:]
    moved = -(e / U[i, i]) * U[i, i:]
    # Stationarity over the free entries: G (rows right of i) times the move is zero.
    slack = 16 * _condition_slack(port, H) * np.abs(G).max() * np.abs(moved).max()
    assert compare.bound(G[1:] @ moved, np.zeros(len(G) - 1), slack) <= 1
    loss = e**2 / (2 * U[i, i] ** 2)
    assert compare.bound(moved @ G @ moved / 2, loss, 64 * _condition_slack(port, H) * loss) <= 1


@pytest.mark.parametrize("power", [1, -2])
@given(inputs=activations())
def test_factor_scales_with_the_inputs(port: Port, power: int, inputs: Activations) -> None:
    """``X → cX`` gives ``c² H`` and ``U / c``, bit for bit for a power of two."""
    factor = 2.0**power
    H = port.accumulate_hessian(inputs.values)
    scaled = port.accumulate_hessian(factor * inputs.values)
    assert compare.exact(scaled, factor**2 * H) == 0
    if not port.dead_inputs(H).any():
        U = port.prepare_hessian(H, PERCDAMP).factor
        assert compare.exact(port.prepare_hessian(scaled, PERCDAMP).factor, U / factor) == 0


@given(inputs=activations())
def test_prepared_hessian_is_its_parts(port: Port, inputs: Activations) -> None:
    """Preparation means: find dead inputs, damp, factor."""
    H = inputs.hessian
    prepared = port.prepare_hessian(H, PERCDAMP)
    damped = port.damp(H, PERCDAMP)
    assert compare.exact(prepared.dead, port.dead_inputs(H)) == 0
    assert compare.exact(prepared.damped, damped) == 0
    assert compare.exact(prepared.factor, port.inverse_factor(damped)) == 0
