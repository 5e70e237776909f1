"""GPTQ: the error identities, and every rounding replayed from the port's own answer.

``W - Q = E U`` holds for any Q if E is defined by the recursion. So the recursion is run
on the port's Q: it gives, for each entry, the value that was rounded, which must be
closest to the chosen level.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Array, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds, weights
from subbit.conformance.oracles import exact, exact_gptq
from subbit.conformance.oracles.replay import damped, replay, slack
from subbit.conformance.oracles.settled import Reading, same_layer
from subbit.conformance.target import Port

widths = st.sampled_from([1, 2, 3, 4])
FAMILIES = (*CONTINUOUS, "tied", "zero_rows")
AGREEMENT = 1e-9


def _reading(**settings: Any) -> Reading:
    config = reference.GPTQ(**settings)
    return lambda W, H: np.asarray(reference.gptq_layer(W, H, config).decode())


def _grid(W: Array, bits: int) -> tuple[Array, Array, Array]:
    """Scale, zero point, and the zero point's distance from another one."""
    low, high = np.minimum(W.min(axis=1), 0), np.maximum(W.max(axis=1), 0)
    flat = low == high
    low, high = np.where(flat, -1.0, low), np.where(flat, 1.0, high)
    scale = (high - low) / (2**bits - 1)
    place = -low / scale
    return scale, np.round(place), np.abs(place - np.floor(place) - 0.5)


def _gptq(port: Port, W: Array, H: Array, **switches: Any) -> Any:
    return port.gptq_layer(W, H, port.GPTQ(**switches))


@pytest.mark.parametrize("group_size", [None, 5, 16])
@given(block_size=st.sampled_from([8, 128]), layer=layers(FAMILIES, (*LIVE, "dead")), bits=widths)
def test_every_code_is_nearest_to_what_was_rounded(
    port: Port, bits: int, group_size: int | None, block_size: int, layer: Layer
) -> None:
    """Alg. 1: each column rounds what the columns before it left, on the grid of its group."""
    W, H = layer[0].values, layer[1].hessian
    H_damped = damped(H)
    result = _gptq(port, W, H, bits=bits, group_size=group_size, block_size=block_size)
    W = np.where(np.diag(H) == 0, 0.0, W)
    Q = result.decode()
    states, _ = replay(W, port.inverse_factor(H_damped), Q)
    size = group_size or W.shape[1]
    natural = max(np.abs(state).max() for state in states) + np.abs(Q).max()
    allowed = slack(port, H_damped) * natural
    for block in result.blocks:
        group = block.groups[0]
        # A group's grid is fitted to the state left by the outer blocks before it.
        outer = 0 if group_size is None else block.start // block_size * block_size
        scale, zero, margin = _grid(states[outer][:, block.columns], bits)
        assert block.start % size == 0
        # A row of zeros still has a grid, so its scale has its own rounding.
        assert compare.bound(group.scale, scale, allowed + port.gamma(3) * scale) <= 1
        assert compare.decision(group.zero, zero, margin, allowed / scale) <= 1
        for j in range(block.start, block.stop):
            value = states[j][:, j]
            codes = np.clip(np.round(value / group.scale) + group.zero, 0, 2**bits - 1)
            nearest = group.scale * (codes - group.zero)
            reached = np.abs(value - Q[:, j])
            assert compare.objective(reached, np.abs(value - nearest), allowed) <= 1


@given(layer=layers(), bits=widths)
def test_C3_loss_is_the_sum_of_squared_errors(port: Port, bits: int, layer: Layer) -> None:
    """C3, G1, G2: ``W - Q = E U`` and ``½ Tr(D H Dᵀ) = ½ Σ E²`` for the damped H."""
    W, H = layer[0].values, damped(layer[1].hessian)
    U = port.inverse_factor(H)
    Q = _gptq(port, W, layer[1].hessian, bits=bits).decode()
    _, E = replay(W, U, Q)
    natural = (np.abs(E) @ np.abs(U) + np.abs(W) + np.abs(Q)).max()
    assert compare.bound(E @ U, W - Q, port.gamma(64 * len(H)) * natural) <= 1
    loss = port.proxy_loss(W, Q, H)
    assert compare.bound(np.sum(E**2) / 2, loss, 16 * slack(port, H) * loss) <= 1


@pytest.mark.parametrize("activation_order", [False, True])
@given(layer=layers(inputs=("iid", "scaled", "positive")), bits=widths)
def test_C3_blocks_are_an_access_pattern(
    port: Port, bits: int, layer: Layer, *, activation_order: bool
) -> None:
    """C3, G3: Q does not depend on the block size if there is one grid per row."""
    W, H = layer[0].values, layer[1].hessian
    settings = {"bits": bits, "activation_order": activation_order}

    def quantize(W: Array, H: Array, size: int = 128) -> Array:
        return _gptq(port, W, H, block_size=size, **settings).decode()

    expected, reading = quantize(W, H), _reading(bits=bits, activation_order=activation_order)
    for size in (1, 7, 32):
        assert same_layer(quantize(W, H, size), expected, W, H, AGREEMENT, reading=reading)


@given(layer=layers(inputs=("scaled", "outlier_inputs")), bits=widths)
def test_activation_order_is_a_permutation(port: Port, bits: int, layer: Layer) -> None:
    """Activation order quantizes the columns by decreasing diagonal of H, and puts them back."""
    W, H = layer[0].values, layer[1].hessian
    order = np.argsort(-np.diag(H), kind="stable")
    permuted = _gptq(port, W[:, order], H[np.ix_(order, order)], bits=bits)
    result = _gptq(port, W, H, bits=bits, activation_order=True)
    assert compare.exact(result.decode()[:, order], permuted.decode()) == 0
    assert compare.exact(result.order, order) == 0


@pytest.mark.parametrize(("diagonal", "order"), [((0.5, 0, 1.5), (2, 1, 0)), ((1, 0), (0, 1))])
def test_a_dead_input_counts_as_one_in_the_activation_order(
    port: Port, diagonal: tuple[float, ...], order: tuple[int, ...]
) -> None:
    """Eq. (14): its diagonal is replaced before the columns are sorted; of equal ones the first."""
    W = np.arange(1.0, 1.0 + len(order))[None]
    result = _gptq(port, W, np.diag(diagonal), bits=2, activation_order=True)
    assert compare.exact(result.order, np.array(order)) == 0


@pytest.mark.parametrize("group_size", [None, 5])
@given(layer=layers(FAMILIES), bits=widths)
def test_diagonal_hessian_is_round_to_nearest(
    port: Port, bits: int, group_size: int | None, layer: Layer
) -> None:
    """C6: with a diagonal H nothing is fed forward, and GPTQ rounds to nearest, bit for bit."""
    W = layer[0].values
    H = np.diag(np.diag(layer[1].hessian))
    expected = port.rtn_layer(W, None, port.RTN(kind="minmax", bits=bits, group_size=group_size))
    actual = _gptq(port, W, H, bits=bits, group_size=group_size)
    assert compare.exact(actual.decode(), expected.decode()) == 0


@given(layer=layers(), power=st.sampled_from([2, -3]), bits=widths)
def test_scaling(port: Port, bits: int, layer: Layer, power: int) -> None:
    """S1, S3: ``W → cW`` gives ``cQ`` and ``X → cX`` the same Q, bit for bit for powers of two."""
    W, H = layer[0].values, layer[1].hessian
    Q = _gptq(port, W, H, bits=bits, group_size=16).decode()
    factor = 2.0**power
    assert (
        compare.exact(_gptq(port, factor * W, H, bits=bits, group_size=16).decode(), factor * Q)
        == 0
    )
    assert compare.exact(_gptq(port, W, factor**2 * H, bits=bits, group_size=16).decode(), Q) == 0


@given(layer=layers(inputs=("iid", "scaled")), seed=seeds(), bits=widths)
def test_S4_permuted_rows(port: Port, bits: int, layer: Layer, seed: int) -> None:
    """S4: rows are quantized independently."""
    port.compares_ends("level 3 judges every column from its own state")
    W, H = layer[0].values, layer[1].hessian
    order = np.random.default_rng(seed).permutation(len(W))
    expected = _gptq(port, W, H, bits=bits).decode()[order]
    actual = _gptq(port, W[order], H, bits=bits).decode()
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=_reading(bits=bits))


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 5)), seed=seeds(), bits=widths)
def test_exact_on_a_rational_factor(
    port: Port, bits: int, shape: tuple[int, int], seed: int
) -> None:
    """Against rational numbers, on a Hessian whose factor is rational, not damped."""
    rng = np.random.default_rng(seed)
    m = shape[1]
    W = rng.integers(-99, 100, shape) / 32
    U = np.triu(rng.integers(-1, 2, (m, m)) / 2, 1) + np.diag(2.0 ** rng.integers(-1, 2, m))
    inverse = exact.inverse(exact.rational(U))
    H = exact.floats(inverse.dot(inverse.T))
    trace = exact_gptq.gptq(exact.rational(W), exact.rational(U), bits)
    grid = exact_gptq.Grid.fit(exact.rational(W), bits)
    lowest = [
        min(*row, exact.ZERO) / s for row, s in zip(exact.rational(W), grid.scale, strict=True)
    ]
    assume(trace.margin > port.gamma(2**14))
    assume(all(abs(q - q // 1 - Fraction(1, 2)) > port.gamma(2**14) for q in lowest))
    actual = _gptq(port, W, H, bits=bits, percdamp=0.0).decode()
    assert compare.bound(actual, exact.floats(trace.Q), port.gamma(2**10) * np.abs(W).max()) <= 1
    difference = exact.rational(W) - trace.Q
    assert compare.exact(difference, trace.errors.dot(exact.rational(U))) == 0


@given(matrix=weights(("zeros",), rows=(1, 3), columns=(1, 20)), seed=seeds(), bits=widths)
def test_zero_layers_stay_zero(port: Port, bits: int, matrix: Weights, seed: int) -> None:
    """Zero is on every grid."""
    X = np.random.default_rng(seed).standard_normal((2, 8, matrix.shape[1]))
    H = 2 / len(X) * np.einsum("sti,stj->ij", X, X)
    assert not _gptq(port, matrix.values, H, bits=bits).decode().any()
