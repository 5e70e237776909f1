"""Error propagation: least squares on the calibration tokens, and what it leaves as it is."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import Array
from subbit.conformance.inputs.strategies import seeds
from subbit.conformance.target import Port
from subbit.reference import PROPAGATIONS, Propagation

WHOLE = Propagation(alpha=1.0, beta=1.0, ridge=0.0)
ROOM = 4
"""Times the rounding of sums and of one solution, for products of two and three."""


class _Streams:
    """Two streams of inputs and of what the outputs are added to, and the weights between."""

    def __init__(self, port: Port, seed: int, tokens: int = 3) -> None:
        rng = np.random.default_rng(seed)
        n, m = int(rng.integers(1, 6)), int(rng.integers(1, 12))
        shape = (2, tokens * m + 4, m)
        mixing = np.eye(m) + 0.3 * rng.standard_normal((m, m)) / np.sqrt(m)
        self.X = rng.standard_normal(shape) @ mixing
        self.Y = port.held(self.X + 0.3 * rng.standard_normal(shape))
        self.D = port.held(self.X - self.Y)
        self.X = self.Y + self.D
        self.h = port.held(rng.standard_normal((*shape[:2], n)))
        self.W = port.held(rng.standard_normal((n, m)))
        self.H = port.held(port.accumulate_hessian(self.Y))
        self.C = port.held(port.accumulate_cross(self.D, self.Y))
        self.R = port.held(port.accumulate_cross(self.h, self.Y))
        self.port = port

    def target(self, config: Propagation, *, stream: bool = False) -> Array:
        residual = self.R if stream else None
        answer = self.port.propagated_weights(self.W, self.H, self.C, config, residual=residual)
        return np.asarray(self.port.held(answer), dtype=np.float64)

    def error(self, weights: Array, *, stream: bool = False) -> Array:
        """What is left of the output's error, all tokens under one another."""
        left = self.X @ self.W.T - self.Y @ weights.T + (self.h if stream else 0.0)
        return np.asarray(left.reshape(-1, len(self.W)))

    @property
    def rows(self) -> Array:
        return self.Y.reshape(-1, self.Y.shape[-1])

    @property
    def slack(self) -> float:
        """How far a solution may be from the exact one, relative to the largest weight."""
        tokens, m = self.rows.shape
        roundings = (tokens + 8 * m) * self.port.unit_roundoff
        return float(ROOM * roundings * np.linalg.cond(self.H))


@given(seed=seeds(), stream=st.booleans())
def test_Z8_the_target_is_the_least_squares_minimum(port: Port, *, seed: int, stream: bool) -> None:
    """Z8: with alpha = 1 and no ridge no weights are closer to the full-precision output.

    With beta = 1 as well, none leave less error in the residual stream.
    """
    case = _Streams(port, seed)
    target = case.target(WHOLE, stream=stream)
    whole = case.error(0 * case.W, stream=stream)
    best = np.asarray(np.linalg.lstsq(case.rows, whole, rcond=None)[0].T, dtype=np.float64)
    allowed = case.slack * (np.abs(best).max() + np.abs(case.W).max())
    assert compare.bound(target, best, allowed) <= 1
    # The least error is that of the tokens outside the span of the inputs.
    found = np.sum(case.error(target, stream=stream) ** 2)
    least = np.sum(case.error(best, stream=stream) ** 2)
    assert found <= least * (1 + 1e-12) + (allowed * np.linalg.norm(case.rows)) ** 2 * case.W.size


@given(seed=seeds())
def test_the_stream_is_never_further_off_than_without_correction(port: Port, seed: int) -> None:
    """With alpha = beta = 1 and no ridge, what is left is a projection of what was there."""
    case = _Streams(port, seed)
    before = case.error(case.W, stream=True)
    after = case.error(case.target(WHOLE, stream=True), stream=True)
    projected = before - case.rows @ np.linalg.lstsq(case.rows, before, rcond=None)[0]
    allowed = case.slack * np.abs(before).max() * (1.0 + np.abs(case.rows).max())
    assert compare.bound(after, projected, allowed) <= 1
    for own, was in zip(after.T, before.T, strict=True):
        assert own @ own <= (was @ was) * (1.0 + case.slack)


@given(seed=seeds(), ridge=st.sampled_from([0.0, 0.01, 0.1, 1.0]))
def test_more_of_the_correction_is_never_worse_on_the_calibration_tokens(
    port: Port, seed: int, ridge: float
) -> None:
    """The error falls in alpha up to 1, whatever the ridge."""
    case = _Streams(port, seed)
    errors = [
        float(np.sum(case.error(case.target(Propagation(alpha=alpha, ridge=ridge))) ** 2))
        for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    slack = case.slack * errors[0]
    assert all(later <= sooner + slack for sooner, later in pairwise(errors))


@given(seed=seeds(), name=st.sampled_from(list(PROPAGATIONS)))
def test_weights_stay_as_they_are_where_nothing_deviates(port: Port, seed: int, name: str) -> None:
    """If the two models agree so far, there is nothing to correct, to the last bit."""
    case = _Streams(port, seed)
    none, still = np.zeros_like(case.C), np.zeros_like(case.R)
    target = port.propagated_weights(case.W, case.H, none, PROPAGATIONS[name], residual=still)
    assert compare.exact(target, case.W) == 0
    off = case.target(Propagation(alpha=0.0, beta=0.0), stream=True)
    assert compare.exact(off, case.W) == 0


@given(seed=seeds(), alpha=st.floats(0.0, 1.0), beta=st.floats(0.0, 1.0))
def test_the_correction_is_linear_in_both_strengths(
    port: Port, seed: int, alpha: float, beta: float
) -> None:
    """``W* − W = α (W*₁₀ − W) + β (W*₀₁ − W)``."""
    case = _Streams(port, seed)
    config = Propagation(alpha=alpha, beta=beta, ridge=0.01)
    own, other = (
        case.target(replace(config, alpha=a, beta=1.0 - a), stream=True) - case.W
        for a in (1.0, 0.0)
    )
    expected = case.W + alpha * own + beta * other
    allowed = case.slack * (np.abs(case.W).max() + np.abs(own).max() + np.abs(other).max())
    assert compare.bound(case.target(config, stream=True), expected, allowed) <= 1


@given(seed=seeds())
def test_the_order_of_inputs_and_outputs_does_not_matter(port: Port, seed: int) -> None:
    """Permuting inputs or outputs permutes the columns or rows of the answer."""
    case = _Streams(port, seed)
    rng = np.random.default_rng(seed)
    rows, columns = (rng.permutation(size) for size in case.W.shape)
    config = Propagation(alpha=0.7, beta=0.3, ridge=0.01)
    wanted = case.target(config, stream=True)[np.ix_(rows, columns)]
    square = np.ix_(columns, columns)
    found = port.propagated_weights(
        case.W[np.ix_(rows, columns)],
        case.H[square],
        case.C[square],
        config,
        residual=case.R[np.ix_(rows, columns)],
    )
    assert compare.bound(found, wanted, case.slack * np.abs(wanted).max()) <= 1


@given(seed=seeds())
def test_inputs_may_be_measured_in_any_basis(port: Port, seed: int) -> None:
    """Without a ridge, ``X → X T`` and ``W → W T⁻ᵀ`` give ``W* → W* T⁻ᵀ``."""
    case = _Streams(port, seed)
    rng = np.random.default_rng(seed)
    m = len(case.H)
    T = port.held(np.eye(m) + 0.3 * np.triu(rng.standard_normal((m, m)), 1))
    back = np.linalg.inv(T).T
    H = T.T @ case.H @ T
    found = port.propagated_weights(
        case.W @ back, (H + H.T) / 2, T.T @ case.C @ T, WHOLE, residual=case.R @ T
    )
    wanted = case.target(WHOLE, stream=True) @ back
    room = (
        case.slack * np.linalg.cond(T) ** 4 * (np.abs(wanted).max() + np.abs(case.W @ back).max())
    )
    assert compare.bound(found, wanted, room) <= 1


@given(seed=seeds())
def test_batches_of_the_cross_gram_matrix_add_up(port: Port, seed: int) -> None:
    """A sum over sequences, like the Hessian; with inputs for deviations it is the Hessian."""
    case = _Streams(port, seed)
    parts = [port.accumulate_cross(case.D[i : i + 1], case.Y[i : i + 1]) for i in range(2)]
    natural = np.abs(case.D).reshape(case.rows.shape).T @ np.abs(case.rows)
    allowed = port.gamma(4 * len(case.rows)) * natural
    whole = np.asarray(parts[0], np.float64) / 2 + np.asarray(parts[1], np.float64) / 2
    assert compare.bound(port.accumulate_cross(case.D, case.Y), whole, allowed) <= 1
    natural = np.abs(case.rows).T @ np.abs(case.rows)
    allowed = port.gamma(4 * len(case.rows)) * natural
    own = port.accumulate_cross(case.Y, case.Y)
    assert compare.bound(own, port.accumulate_hessian(case.Y), allowed) <= 1
