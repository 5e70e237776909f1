"""Entries assigned column by column: GPTQ on given values, nearest values, fixed points."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.inputs.families import Array
from subbit.conformance.inputs.strategies import Layer, layers, seeds
from subbit.conformance.oracles.settled import same_layer
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup, Plane, QuantizedBlock

AGREEMENT = 1e-9
ORDERS = (0, 1, 2)
sizes = st.integers(1, 4)
widths = st.integers(1, 12)


def _few_bits(rng: np.random.Generator, n: int, k: int) -> QuantizedBlock:
    """Groups whose means, scales and signs are numbers of few bits; entries may be in none."""
    number, groups = rng.integers(0, 4, (n, k)), []
    for g, order in enumerate(ORDERS, 1):
        mask = number == g
        planes = tuple(
            Plane(
                np.where(mask, rng.choice([-1, 1], (n, k)), 0).astype(np.int8),
                # Distinct levels: the second scale is below the first.
                np.asarray(rng.integers(1, 4, n) * 4.0 ** (1 - p)),
                np.asarray(2.0 ** rng.integers(0, 2, k)) if g == len(ORDERS) and not p else None,
            )
            for p in range(order)
        )
        groups.append(BinaryGroup(f"group {g}", mask, planes, rng.integers(-2, 3, n) / 2))
    return QuantizedBlock(0, k, tuple(groups))


def _values(block: QuantizedBlock) -> Array:
    """Return what each entry can be: (4, n, k), each value once or more."""
    found = np.zeros((4, *block.groups[0].mask.shape))
    for number, (first, second) in enumerate(((-1, -1), (-1, 1), (1, -1), (1, 1))):
        for group in block.groups:
            assert isinstance(group, BinaryGroup)
            signs = (first, second)[: len(group.planes)]
            planes = tuple(
                replace(p, sign=(s * group.mask).astype(np.int8))
                for p, s in zip(group.planes, signs, strict=True)
            )
            found[number] += replace(group, planes=planes).decode()
    return found


def _gptq(W: Array, U: Array, values: Array) -> Array:
    """GPTQ's loop, each entry to the nearest of its values."""
    left, Q = W.copy(), np.zeros(W.shape)
    for j in range(W.shape[1]):
        own = values[:, :, j]
        Q[:, j] = np.take_along_axis(own, np.argmin(np.abs(left[:, j] - own), 0)[None], 0)[0]
        left[:, j:] -= np.outer((left[:, j] - Q[:, j]) / U[j, j], U[j, j:])
    return Q


@given(layer=layers(), seed=seeds())
def test_assigned_columns_are_gptq_on_the_values_of_the_block(
    port: Port, layer: Layer, seed: int
) -> None:
    """For the values that its entries can take, a block is what GPTQ's loop makes of it."""
    port.compares_ends("level 2 judges every sign from its own state")
    W, H = layer[0].values, layer[1].hessian
    rng, H = np.random.default_rng(seed), H + 0.05 * np.diag(H).mean() * np.eye(len(H))
    number = rng.integers(0, 3, W.shape)
    groups = (
        reference.residual_binarize(W, number == 1, order=1, name="one"),
        reference.residual_binarize(W, number == 2, order=2, center=True, name="two"),
    )
    block = QuantizedBlock(0, W.shape[1], groups)

    def factor(H: Array) -> Array:
        return np.asarray(np.linalg.cholesky(np.linalg.inv(H)).T)

    def reading(W: Array, H: Array) -> Array:
        return np.asarray(reference.assign_columns(W, factor(H), block).decode())

    found = port.assign_columns(W, factor(H), block).decode()
    expected = _gptq(W, factor(H), _values(block))
    assert same_layer(found, expected, W, H, AGREEMENT, reading=reading)


@given(n=sizes, k=widths, seed=seeds())
def test_without_correlation_every_entry_goes_to_its_nearest_value(
    port: Port, n: int, k: int, seed: int
) -> None:
    """With a diagonal factor no entry could be nearer, and weights excluded or not are the same."""
    rng = np.random.default_rng(seed)
    block, W = _few_bits(rng, n, k), rng.integers(-40, 41, (n, k)) / 4
    U = np.diag(2.0 ** rng.integers(-3, 4, k))
    nearest = np.min(np.abs(W - _values(block)), axis=0)
    for free in (None, rng.random((n, k)) < 0.5):
        found = port.assign_columns(W, U, block, free=free).decode()
        assert np.array_equal(np.abs(W - found), nearest)


@given(n=sizes, k=widths, seed=seeds())
def test_a_representable_block_stays(port: Port, n: int, k: int, seed: int) -> None:
    """No error is fed forward where every weight is one of its values, whatever the factor."""
    rng = np.random.default_rng(seed)
    block = _few_bits(rng, n, k)
    U = np.triu(rng.standard_normal((k, k)), 1) + np.diag(rng.uniform(0.5, 2.0, k))
    found = port.assign_columns(block.decode(), U, block)
    assert np.array_equal(found.decode(), block.decode())


@given(n=sizes, k=widths, seed=seeds())
def test_weights_that_may_not_move_get_their_nearest_value(
    port: Port, n: int, k: int, seed: int
) -> None:
    """A weight that feedback must not move is assigned as if it stood alone."""
    rng = np.random.default_rng(seed)
    block, W = _few_bits(rng, n, k), rng.integers(-40, 41, (n, k)) / 4
    free, U = rng.random((n, k)) < 0.5, np.triu(rng.standard_normal((k, k)), 1) + np.eye(k)
    found = port.assign_columns(W, U, block, free=free).decode()
    nearest = np.min(np.abs(W - _values(block)), axis=0)
    assert np.array_equal(np.abs(W - found)[~free], nearest[~free])


@pytest.mark.parametrize("method", ["billm", "arb_llm"])
@given(layer=layers())
def test_only_the_signs_of_the_first_block_change(port: Port, method: str, layer: Layer) -> None:
    """Masks, means and scales of the first block are those of the fit."""
    W, H = layer[0].values, layer[1].hessian
    config = {"billm": reference.BiLLM(), "arb_llm": reference.ARBLLM(iterations=2)}[method]
    config = config.changed(block_size=8, counts=(1, 2), grid="maximum")
    run = getattr(port, f"{method}_layer")
    plain, fed = (
        run(W, H, config.changed(column_feedback=on)).blocks[0].groups for on in (False, True)
    )
    for one, other in zip(plain, fed, strict=True):
        assert compare.exact(np.asarray(other.mask), np.asarray(one.mask)) == 0
        assert compare.exact(np.asarray(other.row_means), np.asarray(one.row_means)) == 0
        for before, after in zip(one.planes, other.planes, strict=True):
            assert np.array_equal(np.asarray(before.row_scale), np.asarray(after.row_scale))


@given(layer=layers(inputs=("iid", "scaled", "dead")))
def test_without_correlation_a_layer_of_one_scale_per_group_stays(port: Port, layer: Layer) -> None:
    """With a diagonal Hessian and signs that are nearest already, feedback changes nothing."""
    W, H = layer[0].values, np.diag(np.diag(layer[1].hessian))
    # The few salient columns, with two scales, are left out.
    config = reference.BiLLM(block_size=8, counts=(0, 0), grid="maximum")
    plain, fed = (
        np.asarray(port.billm_layer(W, H, config.changed(column_feedback=on)).decode())
        for on in (False, True)
    )
    assert np.array_equal(plain, fed)
