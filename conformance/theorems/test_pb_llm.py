"""PB-LLM: two values for the low part, a fine grid for the rest, and the error identities."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.cases.judge import host
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Array, Weights
from subbit.conformance.inputs.strategies import Layer, layers, weights
from subbit.conformance.oracles import naive_baselines
from subbit.conformance.oracles.replay import damped, replay, slack
from subbit.conformance.oracles.settled import same_layer
from subbit.conformance.target import Port
from subbit.reference import ArgumentError

FAMILIES = (*CONTINUOUS, "tied", "zero_rows")
SHARES = st.sampled_from([0.9, 0.5, 0.0])
SIZES = st.sampled_from([7, 16, 128])
AGREEMENT = 1e-9


def _record(port: Port, W: Array, H: Array, **switches: Any) -> Any:
    return port.pb_llm_layer(W, H, port.PBLLM(**switches))


@given(layer=layers(FAMILIES, (*LIVE, "dead"), columns=(2, 30)), share=SHARES, block_size=SIZES)
def test_low_entries_take_two_values_in_a_row_and_block(
    port: Port, layer: Layer, share: float, block_size: int
) -> None:
    """``μ ± α``; with sign(0) = 0 also ``μ`` itself."""
    W, H = layer[0].values, layer[1].hessian
    for sign_zero, most in ((1, 2), (0, 3)):
        switches = {"low_share": share, "block_size": block_size, "sign_zero": sign_zero}
        for block in _record(port, W, H, **switches).blocks:
            low, high = block.groups
            assert compare.exact(high.mask, ~low.mask) == 0
            for row, mask in zip(block.decode(), low.mask, strict=True):
                assert len(np.unique(row[mask])) <= most


@given(layer=layers(FAMILIES, columns=(2, 30)), share=SHARES, block_size=SIZES)
def test_low_share(port: Port, layer: Layer, share: float, block_size: int) -> None:
    """One weight more than the share of a block, and ties; low ones are no larger than others."""
    W, H = layer[0].values, layer[1].hessian
    switches = {"low_share": share, "block_size": block_size, "score": "magnitude"}
    for block in _record(port, W, H, **switches).blocks:
        low, size = block.groups[0].mask, np.abs(W[:, block.columns])
        assert np.count_nonzero(low) > int(low.size * share)
        if layer[0].family == "gauss":
            assert np.count_nonzero(low) == int(low.size * share) + 1
        assert size[low].max() <= size[~low].min(initial=np.inf)


@pytest.mark.parametrize("statistics", ["row", "group"])
@given(layer=layers(FAMILIES, columns=(2, 30)), share=SHARES, block_size=SIZES)
def test_levels_are_means_of_what_came(
    port: Port, statistics: str, layer: Layer, share: float, block_size: int
) -> None:
    """The levels are fitted to the current weights: with the zeros of the others, or without."""
    W, H = layer[0].values, layer[1].hessian
    switches = {"statistics": statistics, "low_share": share, "block_size": block_size}
    for block in _record(port, W, H, **switches).blocks:
        low = block.groups[0]
        kept = np.where(low.mask, W[:, block.columns], 0.0)
        entries = low.mask if statistics == "group" else np.ones_like(low.mask)
        count = np.maximum(entries.sum(axis=1), 1)
        mean = kept.sum(axis=1) / count
        scale = np.sum(np.abs(kept - mean[:, None]) * entries, axis=1) / count
        allowed = port.gamma(2 * W.shape[1] + 8) * np.abs(kept).max(axis=1)
        assert compare.bound(low.mean, mean, allowed) <= 1
        assert compare.bound(low.planes[0].row_scale, scale, 2 * allowed) <= 1


@pytest.mark.parametrize("bits", [8, 3])
@given(layer=layers(columns=(2, 30)), share=SHARES, block_size=SIZES)
def test_high_entries_are_rounded_to_the_nearest_step(
    port: Port, bits: int, layer: Layer, share: float, block_size: int
) -> None:
    """A high entry lies within half a step of its value, or at an end of its grid."""
    W, H = layer[0].values, damped(layer[1].hessian)
    U = host(port.inverse_factor(H)).astype(np.float64)
    switches = {"high_bits": bits, "low_share": share, "block_size": block_size}
    record = _record(port, W, layer[1].hessian, **switches)
    Q = record.decode()
    states, _ = replay(W, U, Q)
    allowed = slack(port, H) * (max(np.abs(s).max() for s in states) + np.abs(Q).max())
    for block in record.blocks:
        high = block.groups[1]
        for j in range(block.start, block.stop):
            mask, code = (x[:, j - block.start] for x in (high.mask, high.codes))
            inside = mask & (code > 0) & (code < 2**bits - 1)
            distance = np.abs(states[j][:, j] - Q[:, j])[inside]
            assert compare.objective(distance, high.scale[inside] / 2, allowed) <= 1


@given(layer=layers(columns=(2, 30)), share=SHARES)
def test_G1_G2_loss_is_the_sum_of_squared_errors(port: Port, layer: Layer, share: float) -> None:
    """G1, G2: ``W - Q = E U``, and the loss is ``½ Σ E²``."""
    W, H = layer[0].values, damped(layer[1].hessian)
    U = host(port.inverse_factor(H)).astype(np.float64)
    Q = _record(port, W, layer[1].hessian, low_share=share).decode()
    _, E = replay(W, U, Q)
    natural = (np.abs(E) @ np.abs(U) + np.abs(W) + np.abs(Q)).max()
    assert compare.bound(E @ U, W - Q, port.gamma(64 * len(H)) * natural) <= 1
    loss = port.proxy_loss(W, Q, H)
    least = port.unit_roundoff * port.proxy_loss(W, 0.0 * W, H)
    assert compare.bound(np.sum(E**2) / 2, loss, 16 * slack(port, H) * loss + least) <= 1


@pytest.mark.parametrize("statistics", ["row", "group"])
@given(
    layer=layers(inputs=("iid", "scaled", "dead"), columns=(2, 24)),
    share=SHARES,
    score=st.sampled_from(["trailing", "magnitude"]),
    zero=st.sampled_from([0, 1]),
)
def test_the_naive_loop_gives_the_same(
    port: Port, statistics: str, layer: Layer, share: float, score: str, zero: int
) -> None:
    """The released pseudo-code in plain NumPy."""
    port.compares_ends("level 3 judges every column from its own state")
    W, H = layer[0].values, layer[1].hessian
    config = port.PBLLM(
        low_share=share, score=score, statistics=statistics, sign_zero=zero, block_size=16
    )
    actual = port.pb_llm_layer(W, H, config).decode()
    expected = naive_baselines.pb_llm(W, H, config)
    assert same_layer(
        actual,
        expected,
        W,
        H,
        AGREEMENT,
        reading=lambda W, H: naive_baselines.pb_llm(W, H, config),
    )


@given(layer=layers(columns=(2, 30)), power=st.sampled_from([2, -3]))
def test_scaling(port: Port, layer: Layer, power: int) -> None:
    """S1, S3: ``W → cW`` gives ``cQ`` and ``X → cX`` the same Q, bit for bit for powers of two."""
    W, H = layer[0].values, layer[1].hessian
    Q = _record(port, W, H, block_size=16).decode()
    factor = 2.0**power
    assert compare.exact(_record(port, factor * W, H, block_size=16).decode(), factor * Q) == 0
    assert compare.exact(_record(port, W, factor**2 * H, block_size=16).decode(), Q) == 0


@given(matrix=weights(("zeros",), rows=(1, 3), columns=(1, 20)), share=SHARES)
def test_zero_layers_stay_zero(port: Port, matrix: Weights, share: float) -> None:
    """Zero rows have levels of zero, zero is on every grid, and dead inputs give zeros."""
    width = matrix.shape[1]
    for W in (matrix.values, matrix.values + 1.0):
        for H in (np.eye(width), np.zeros((width, width))):
            if W.any() and H.any():
                continue
            assert not _record(port, W, H, low_share=share).decode().any()


def test_bits_are_those_of_the_papers_count(port: Port) -> None:
    """One bit for the low part and eight for the rest: 1.7 at a share of 0.9."""
    W = np.random.default_rng(0).standard_normal((8, 128))
    record = _record(port, W, np.eye(128))
    low = int(1024 * 0.9) + 1
    assert port.nominal_bits(record) == (low + 8 * (1024 - low)) / 1024
    bits = port.payload_bits(record)
    assert (bits.signs, bits.codes, bits.group_map) == (low, 8 * (1024 - low), 1024)


def test_bad_configurations_are_refused(port: Port) -> None:
    """Each refusal names its switch."""
    for switches in ({"low_share": 1.0}, {"high_bits": 9}, {"score": "obs"}, {"statistics": "all"}):
        (name,) = switches
        with pytest.raises(ArgumentError, match=f"{name}: expected"):
            port.PBLLM(**switches)
