"""Block compensation: the least-squares theorem, its relatives, and what stays unchanged."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, Array, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds
from subbit.conformance.oracles import exact
from subbit.conformance.target import Port
from subbit.reference.layer import QuantizedBlock

COMPENSATIONS = ("none", "released", "exact")
every_compensation = pytest.mark.parametrize("mode", COMPENSATIONS)
Quantizer = Callable[[Array, slice], QuantizedBlock]


def _quantizer(port: Port) -> Quantizer:
    """Binarize each block as one group."""

    def quantize(W: Array, columns: slice) -> QuantizedBlock:
        group = port.residual_binarize(W[:, columns])
        return QuantizedBlock(columns.start, columns.stop, (group,))

    return quantize


def _problem(port: Port, layer: Layer) -> tuple[Array, Array, Array]:
    """Weights, damped Hessian and its factor."""
    H = layer[1].hessian
    H = H + 0.01 * np.diag(H).mean() * np.eye(len(H))
    return port.held(layer[0].values), H, port.inverse_factor(H)


def _slack(port: Port, H: Array) -> float:
    return float(64 * len(H) * port.unit_roundoff * np.linalg.cond(H))


def _immediate_loss(W: Array, moved: Array, H: Array, start: int) -> float:
    """Loss of the trailing problem right after a block, over its columns and the free ones."""
    D = (W - moved)[:, start:]
    return float(np.sum((D @ H[start:, start:]) * D) / 2)


def _block(data: st.DataObject, m: int) -> slice:
    start = data.draw(st.integers(0, m - 1), label="start")
    return slice(start, data.draw(st.integers(start + 1, m), label="stop"))


@given(width=st.integers(1, 600), size=st.integers(1, 300))
def test_S9_blocks_cover_the_columns(port: Port, width: int, size: int) -> None:
    """S9: consecutive blocks of `size` columns; only the last one may be narrower."""
    slices = port.block_slices(width, size)
    assert [s.start for s in slices] == list(range(0, width, size))
    assert [s.stop for s in slices] == [min(s.start + size, width) for s in slices]


@every_compensation
@given(n=st.integers(1, 3), k=st.integers(1, 5), seed=seeds())
def test_exact_feedback(port: Port, mode: str, n: int, k: int, seed: int) -> None:
    """All three forms against rational numbers on a given rational factor."""
    rng = np.random.default_rng(seed)
    D = rng.integers(-16, 17, (n, k)) / 8
    U = np.triu(rng.integers(-4, 5, (k, k)) / 4.0, 1) + np.diag(2.0 ** rng.integers(-2, 3, k))
    expected = exact.floats(exact.feedback(exact.rational(D), exact.rational(U), mode))
    # Backward stable: the error grows with |D| |U⁻¹| |U| |U⁻¹|.
    inverse = np.abs(exact.floats(exact.inverse(exact.rational(U))))
    natural = np.abs(D) @ inverse @ np.abs(U) @ inverse
    allowed = port.gamma(8 * (k + 1)) * natural
    assert compare.bound(port.feedback(D, U, mode), expected, allowed) <= 1


@given(layer=layers(), data=st.data())
def test_C5_exact_step_is_constrained_least_squares(
    port: Port, layer: Layer, data: st.DataObject
) -> None:
    """C5: ``W_R' = W_R + D_B G_BR G_RR⁻¹``, solved without the factor; loss ``½ ‖D_B U_BB⁻¹‖²``."""
    W, H, U = _problem(port, layer)
    block = _block(data, len(H))
    record, moved, E = port.compensate_step(W, U, block, _quantizer(port), mode="exact")
    D = W[:, block] - record.decode()
    right = slice(block.stop, None)
    expected = W[:, right]
    if block.stop < len(H):
        expected = expected + np.linalg.solve(H[right, right], H[right, block] @ D.T).T
    natural = np.abs(W).max() + np.abs(moved).max()
    assert compare.bound(moved[:, right], expected, _slack(port, H) * natural) <= 1
    value = float(np.sum(E**2) / 2)
    loss = _immediate_loss(W, moved, H, block.start)
    assert compare.bound(value, loss, 16 * _slack(port, H) * max(value, loss)) <= 1


@given(layer=layers(), data=st.data(), seed=seeds())
def test_C5_no_other_move_is_better(
    port: Port, layer: Layer, data: st.DataObject, seed: int
) -> None:
    """C5, C5': neither the released update, nor none, nor any other beats the exact one at once."""
    W, H, U = _problem(port, layer)
    block = _block(data, len(H))
    losses = {}
    for mode in COMPENSATIONS:
        moved = port.compensate_step(W, U, block, _quantizer(port), mode=mode)[1]
        losses[mode] = _immediate_loss(W, moved, H, block.start)
        if mode == "exact":
            step = np.random.default_rng(seed).standard_normal(moved[:, block.stop :].shape)
            other = moved.copy()
            other[:, block.stop :] += 0.1 * step
            losses["other"] = _immediate_loss(W, other, H, block.start)
    best = losses.pop("exact")
    assert (
        compare.objective(best, list(losses.values()), _slack(port, H) * max(losses.values())) <= 1
    )


@given(layer=layers(), data=st.data())
def test_C6_released_step_differs_by_the_stated_term(
    port: Port, layer: Layer, data: st.DataObject
) -> None:
    """C6: both steps differ by ``D_B (diag⁻¹ - U_BB⁻¹) U_BR``, so agree iff that is zero."""
    W, H, U = _problem(port, layer)
    block = _block(data, len(H))
    steps = {m: port.compensate_step(W, U, block, _quantizer(port), mode=m) for m in COMPENSATIONS}
    D = W[:, block] - steps["exact"][0].decode()
    U_BB, right = U[block, block], slice(block.stop, None)
    term = D @ (np.diag(1 / np.diag(U_BB)) - np.linalg.inv(U_BB)) @ U[block, right]
    gap = steps["exact"][1][:, right] - steps["released"][1][:, right]
    natural = np.abs(W).max() + max(np.abs(step[1]).max() for step in steps.values())
    assert compare.bound(gap, term, _slack(port, H) * natural) <= 1


@given(layer=layers(), data=st.data())
def test_C6_released_is_exact_for_diagonal_hessians(
    port: Port, layer: Layer, data: st.DataObject
) -> None:
    """C6: with a diagonal H both are the same, bit for bit, and nothing moves."""
    W, H, _ = _problem(port, layer)
    U = port.inverse_factor(np.diag(np.diag(H)))
    block = _block(data, len(H))
    released = port.compensate_step(W, U, block, _quantizer(port), mode="released")
    exactly = port.compensate_step(W, U, block, _quantizer(port), mode="exact")
    assert compare.exact(released[1], exactly[1]) == 0
    assert compare.exact(released[2], exactly[2]) == 0
    assert compare.exact(exactly[1][:, block.stop :], W[:, block.stop :]) == 0


@given(layer=layers(columns=(2, 24)))
def test_C6_released_is_exact_for_blocks_of_one_column(port: Port, layer: Layer) -> None:
    """C6: at block width 1 both are the same, bit for bit."""
    W, _, U = _problem(port, layer)
    results = [
        port.compensate(W, U, _quantizer(port), block_size=1, mode=mode)
        for mode in ("released", "exact")
    ]
    assert compare.exact(results[0].errors, results[1].errors) == 0
    assert compare.exact(results[0].layer.decode(), results[1].layer.decode()) == 0


@pytest.mark.parametrize("block_size", [1, 7, 16, 64])
@given(layer=layers())
def test_C7_exact_errors_are_the_loss(port: Port, layer: Layer, block_size: int) -> None:
    """C7, G1, exact: ``W - Q = E U`` and ``½ Tr(D H Dᵀ) = ½ Σ E²`` over the whole layer."""
    W, H, U = _problem(port, layer)
    result = port.compensate(W, U, _quantizer(port), block_size=block_size, mode="exact")
    Q, E = result.layer.decode(), result.errors
    natural = np.abs(E) @ np.abs(U) + np.abs(W) + np.abs(Q)
    assert compare.bound(W - Q, E @ U, port.gamma(64 * len(H)) * natural.max()) <= 1
    loss = port.proxy_loss(W, Q, H)
    assert compare.bound(np.sum(E**2) / 2, loss, 16 * _slack(port, H) * loss) <= 1


@every_compensation
@given(layer=layers(), data=st.data())
def test_C8_only_columns_on_the_right_move(
    port: Port, mode: str, layer: Layer, data: st.DataObject
) -> None:
    """C8: columns left of a block stay; the block becomes its image; the last block moves none."""
    W, _, U = _problem(port, layer)
    block = _block(data, len(U))
    record, moved, E = port.compensate_step(W, U, block, _quantizer(port), mode=mode)
    assert compare.exact(moved[:, : block.start], W[:, : block.start]) == 0
    assert compare.exact(moved[:, block], record.decode()) == 0
    assert E.shape == record.decode().shape
    if mode == "none":
        assert compare.exact(moved[:, block.stop :], W[:, block.stop :]) == 0


@every_compensation
@given(layer=layers())
def test_C8_single_block_layers_ignore_the_mode(port: Port, mode: str, layer: Layer) -> None:
    """C8: a layer of one block is the same with every compensation, bit for bit."""
    W, _, U = _problem(port, layer)
    single = port.compensate(W, U, _quantizer(port), block_size=len(U), mode=mode)
    assert compare.exact(single.layer.decode(), port.residual_binarize(W).decode()) == 0


@every_compensation
@pytest.mark.parametrize("block_size", [1, 5, 16])
@given(layer=layers(columns=(2, 24)))
def test_the_loop_is_its_steps(port: Port, mode: str, block_size: int, layer: Layer) -> None:
    """The layer loop is a sequence of steps, each from the state left by the one before."""
    W, _, U = _problem(port, layer)
    result = port.compensate(W, U, _quantizer(port), block_size=block_size, mode=mode)
    state, records, errors = W, [], []
    for columns in port.block_slices(len(U), block_size):
        record, state, E = port.compensate_step(state, U, columns, _quantizer(port), mode=mode)
        records.append(record)
        errors.append(E)
    assert compare.exact(result.errors, np.hstack(errors)) == 0
    assert compare.exact(result.layer.decode(), np.hstack([r.decode() for r in records])) == 0
    assert [(b.start, b.stop) for b in result.layer.blocks] == [(r.start, r.stop) for r in records]


@every_compensation
@given(layer=layers(columns=(2, 16)))
def test_the_loop_sees_the_moved_weights(port: Port, mode: str, layer: Layer) -> None:
    """Every block is quantized once, from left to right, from the state left before it."""
    W, _, U = _problem(port, layer)
    seen: list[tuple[int, int]] = []

    def watch(current: Array, columns: slice) -> Any:
        seen.append((columns.start, columns.stop))
        expected = W - E_so_far(columns.start) @ U[: columns.start]
        natural = np.abs(W).max() + np.abs(E_so_far(columns.start)).max(initial=0) * np.abs(U).max()
        allowed = port.gamma(64 * len(U)) * natural * len(U)
        assert compare.bound(current[:, columns], expected[:, columns], allowed) <= 1
        record = _quantizer(port)(current, columns)
        D = current[:, columns] - record.decode()
        errors.append(port.feedback(D, U[columns, columns], mode))
        return record

    def E_so_far(width: int) -> Array:
        return np.hstack(errors) if errors else np.zeros((len(W), width))

    errors: list[Array] = []
    port.compensate(W, U, watch, block_size=4, mode=mode)
    assert seen == [(s.start, s.stop) for s in port.block_slices(len(U), 4)]


@every_compensation
@given(matrix=st.builds(Weights, st.sampled_from(CONTINUOUS), seeds(), st.just((3, 8))))
def test_zero_error_feeds_nothing_forward(port: Port, mode: str, matrix: Weights) -> None:
    """A block without error leaves the others as they are."""
    U = np.triu(matrix.values[:1].T @ matrix.values[1:2], 1) + 2 * np.eye(8)
    assert not port.feedback(np.zeros((3, 8)), U, mode).any()
