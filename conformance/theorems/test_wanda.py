"""Wanda, RIA and magnitude pruning: masks from scores, and not one weight moved."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Array, Mask
from subbit.conformance.inputs.strategies import Layer, layers
from subbit.conformance.target import Port
from subbit.reference import ArgumentError

FAMILIES = (*CONTINUOUS, "tied", "zero_rows")
PATTERNS = st.sampled_from([(4, 8), (2, 4), (5, 8), (1, 3)])
IMPORTANCE = ("wanda", "ria", "magnitude")


def _single(layer: Layer) -> tuple[Array, Array]:
    """Weights that every port holds exactly, so kept ones can keep their bits."""
    return layer[0].values.astype(np.float32).astype(np.float64), layer[1].hessian


def _kept(port: Port, W: Array, H: Array, **switches: Any) -> tuple[Array, Mask]:
    record = port.wanda_layer(W, H, port.Wanda(**{"tail": "dense"} | switches))
    return record.decode(), np.hstack([block.groups[0].mask for block in record.blocks])


@pytest.mark.parametrize("importance", IMPORTANCE)
@given(layer=layers(FAMILIES, (*LIVE, "dead")), keep=PATTERNS)
def test_D1_patterns_are_exact_and_kept_weights_keep_their_bits(
    port: Port, importance: str, layer: Layer, keep: tuple[int, int]
) -> None:
    """D1: N of each M are kept, unchanged."""
    W, H = _single(layer)
    Q, kept = _kept(port, W, H, keep=keep, importance=importance, block_size=3 * keep[1])
    assert compare.exact(Q, np.where(kept, W, 0.0)) == 0
    whole = W.shape[1] // keep[1] * keep[1]
    counts = kept[:, :whole].reshape(len(W), -1, keep[1]).sum(axis=2)
    assert compare.exact(counts, np.full(counts.shape, keep[0])) == 0
    assert kept[:, whole:].all()


@pytest.mark.parametrize("importance", ["wanda", "ria"])
@given(layer=layers(FAMILIES), share=st.sampled_from([0.0, 0.3, 0.5]))
def test_a_share_is_taken_of_each_row(
    port: Port, importance: str, layer: Layer, share: float
) -> None:
    """Wanda: ``int(m s)`` of each row are pruned, and the record needs no pattern."""
    W, H = _single(layer)
    Q, kept = _kept(port, W, H, keep=None, sparsity=share, importance=importance)
    assert compare.exact(Q, np.where(kept, W, 0.0)) == 0
    gone = np.count_nonzero(~kept, axis=1)
    assert compare.exact(gone, np.full(len(W), int(W.shape[1] * share))) == 0


@given(layer=layers(FAMILIES), share=st.sampled_from([0.0, 0.3, 0.5]))
def test_magnitudes_are_cut_at_one_threshold(port: Port, layer: Layer, share: float) -> None:
    """Magnitude: every kept weight of the layer exceeds every pruned one."""
    W, H = _single(layer)
    _, kept = _kept(port, W, H, keep=None, sparsity=share, importance="magnitude")
    assert np.count_nonzero(~kept) > int(W.size * share)
    assert np.abs(W)[kept].min(initial=np.inf) > np.abs(W)[~kept].max()


@given(layer=layers(), keep=PATTERNS, power=st.integers(-3, 3))
def test_E4_rows_may_be_scaled(port: Port, layer: Layer, keep: tuple[int, int], power: int) -> None:
    """E4: Wanda's mask does not change if a row, or a row of inputs, is scaled.

    By powers of two, and the gauge ``W diag(c)``, ``diag(1/c) X``, so nothing rounds.
    """
    W, H = _single(layer)
    factors = 2.0 ** (power + np.arange(len(W)) % 3)
    gauge = 2.0 ** (np.arange(W.shape[1]) % 5 - power)
    switches = {"keep": keep, "block_size": keep[1]}
    _, kept = _kept(port, W, H, **switches)
    assert compare.exact(_kept(port, factors[:, None] * W, H, **switches)[1], kept) == 0
    moved = H / gauge / gauge[:, None]
    assert compare.exact(_kept(port, W * gauge, moved, **switches)[1], kept) == 0


@pytest.mark.parametrize("importance", ["wanda", "ria"])
@given(layer=layers(inputs=("iid", "scaled")), data=st.data())
def test_D5_D6_larger_is_not_less_important(
    port: Port, importance: str, layer: Layer, data: st.DataObject
) -> None:
    """D5, D6: raising ``|w_ij|`` never prunes it, and raising ``‖X_j‖`` prunes none of column j."""
    W, H = _single(layer)
    i, j = (data.draw(st.integers(0, length - 1)) for length in W.shape)
    switches = {"keep": (2, 4), "importance": importance}
    _, kept = _kept(port, W, H, **switches)
    larger = W.copy()
    larger[i, j] *= 4
    assert _kept(port, larger, H, **switches)[1][i, j] >= kept[i, j]
    norms = np.where(np.arange(len(H)) == j, 4.0, 1.0)
    louder = _kept(port, W, H * norms * norms[:, None], **switches)[1]
    assert (louder[:, j] >= kept[:, j]).all()


@given(layer=layers((*CONTINUOUS, "integer"), ("dead",), columns=(2, 24)))
def test_dead_inputs_go_first(port: Port, layer: Layer) -> None:
    """An input that never fires has score zero, and no live one is pruned before it."""
    W, H = _single(layer)
    _, kept = _kept(port, W, H, keep=(1, 2), block_size=2)
    scores = np.where(np.diag(H) == 0, 0.0, np.abs(W))
    for start in range(0, W.shape[1] - 1, 2):
        one, other = scores[:, start], scores[:, start + 1]
        assert kept[(one > 0) & (other == 0), start].all()
        assert kept[(one == 0) & (other > 0), start + 1].all()


def test_bad_configurations_are_refused(port: Port) -> None:
    """Each refusal names its switch."""
    for switches, name in (
        ({"importance": "obs"}, "importance"),
        ({"exponent": 2.0}, "exponent"),
        ({"block_size": 12}, "block_size"),
        ({"keep": (9, 8)}, "keep"),
        ({"keep": None}, "sparsity"),
    ):
        with pytest.raises(ArgumentError, match=f"{name}: expected"):
            port.Wanda(**switches)
    with pytest.raises(ArgumentError, match="W: expected a width that the group 8 divides"):
        port.wanda_layer(np.ones((1, 12)), np.eye(12))
