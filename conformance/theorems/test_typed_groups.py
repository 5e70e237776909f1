"""Typed groups: GPTQ on a grid, fixed points, bits, order and symmetries."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.cases.storage.leveled import draw_levels
from subbit.conformance.cases.typed_groups import groups_of, within_reach
from subbit.conformance.inputs.families import Array
from subbit.conformance.inputs.strategies import Layer, layers, seeds
from subbit.conformance.oracles.settled import Reading, same_layer
from subbit.conformance.target import Port
from subbit.reference import QuantizedLayer, TypedGroups
from subbit.reference.errors import ArgumentError
from subbit.reference.leveled import CODES, LARGE, SPAN, Code, Levels
from subbit.reference.storage.record_layout import tensor_bits

AGREEMENT = 1e-9
ALL: tuple[Code, ...] = tuple(CODES)
PLAIN: tuple[Code, ...] = ("1", "2", "3", "4")
LARGE_CODES: tuple[Code, ...] = ("1:16", "2:16", "3:16")
shares = st.sampled_from([0.0, 0.3, 0.6, 1.0])
ordered = st.sampled_from(["energy", "activation", "none"])
every_plain = pytest.mark.parametrize("code", PLAIN)
PARTS = {
    "signs": ("signs",),
    "codes": ("codes",),
    "group_map": ("level_map",),
    "column_map": ("column_map",),
    "scales": ("exponents", "references", "scales"),
    "order": ("order",),
}
"""Tensors of each part of the payload; all others are empty."""
# Groups of 16 columns, where patterns of large levels begin and end.
BARE = TypedGroups(order="none", column_power=0.0, sweeps=0, group_size=16)


def _reading(config: TypedGroups) -> Reading:
    return lambda W, H: np.asarray(reference.typed_groups_layer(W, H, config).decode())


def _damped(H: Array, config: TypedGroups) -> Array:
    diagonal = np.where(np.diag(H) == 0.0, 1.0, np.diag(H))
    H = H - np.diag(np.diag(H)) + np.diag(diagonal)
    return np.asarray(H + config.percdamp * diagonal.mean() * np.eye(len(H)))


def _row_errors(W: Array, Q: Array, H: Array) -> Array:
    return np.asarray(np.sum(((W - Q) @ H) * (W - Q), axis=1))


def _plain_gptq(W: Array, H: Array, layer: QuantizedLayer, code: Code) -> Array:
    """GPTQ's loop over all columns on a fixed grid, without blocks."""
    U, Q = np.linalg.cholesky(np.linalg.inv(H)).T, np.zeros(W.shape)
    top, left = 2 ** CODES[code].planes - 1, W.copy()
    scales = [g.row_scale for g in groups_of(layer) for _ in range(g.mask.shape[1])]
    grid = np.arange(-top, top + 1, 2)
    for j, scale in enumerate(scales):
        points = np.multiply.outer(scale, grid)
        nearest = np.argmin(np.abs(left[:, j, None] - points), axis=1)
        Q[:, j] = np.take_along_axis(points, nearest[:, None], axis=1)[:, 0]
        left[:, j:] -= np.outer((left[:, j] - Q[:, j]) / U[j, j], U[j, j:])
    return Q


@every_plain
@given(layer=layers(), scales=st.sampled_from(["references", "exponents"]))
def test_Z1_one_code_is_gptq_on_its_grid(port: Port, code: Code, scales: Any, layer: Layer) -> None:
    """Z1: without order, column scales and sweeps, the loop of GPTQ with the record's steps."""
    port.compares_ends("level 3 judges every level from its own state")
    W, H = layer[0].values, layer[1].hessian
    config = within_reach(BARE.changed(codes=(code,), scales=scales), W.shape, 1.0)
    found = port.typed_groups_layer(W, H, config)
    expected = _plain_gptq(W, _damped(H, config), found, code)
    assert same_layer(found.decode(), expected, W, H, AGREEMENT, reading=_reading(config))


@given(layer=layers(), share=shares, order=ordered, sweeps=st.integers(1, 3))
def test_Z2_sweeps_never_raise_the_error_of_a_row(
    port: Port, share: float, order: Any, sweeps: int, layer: Layer
) -> None:
    """Z2: with more sweeps no row's error under the damped Hessian is larger."""
    W, H = layer[0].values, layer[1].hessian
    config = within_reach(TypedGroups(codes=ALL, order=order, group_size=16), W.shape, share)
    before, after = (
        np.asarray(port.typed_groups_layer(W, H, config.changed(sweeps=n)).decode())
        for n in (sweeps - 1, sweeps)
    )
    H = _damped(H, config)
    sizes = np.abs(W) + np.abs(before) + np.abs(after)
    allowed = port.gamma(16 * len(H) + 64) * np.sum((sizes @ np.abs(H)) * sizes, axis=1)
    # In lower precision the first pass may end otherwise.
    port.compares_ends("level 3 judges the errors of rows after one sweep")
    assert np.all(_row_errors(W, after, H) <= _row_errors(W, before, H) + allowed)


@pytest.mark.parametrize("code", ["1", "2", *LARGE_CODES])
@given(seed=seeds(), n=st.integers(1, 5), width=st.integers(1, 48), sweeps=st.integers(0, 2))
def test_Z3_a_representable_layer_stays(
    port: Port, code: Code, seed: int, n: int, width: int, sweeps: int
) -> None:
    """Z3: levels times powers of two, where the fit returns these; no error is fed forward."""
    rng = np.random.default_rng(seed)
    levels = draw_levels(rng, code, (n, width))
    W = np.ldexp(levels.astype(np.float64), rng.integers(-3, 4, n)[:, None])
    X = rng.standard_normal((2 * width + 4, width))
    config = BARE.changed(codes=(code,), scales="references", sweeps=sweeps)
    layer = port.typed_groups_layer(W, X.T @ X, within_reach(config, W.shape, 1.0))
    allowed = port.gamma(2**10) * np.linalg.cond(_damped(X.T @ X, config)) * np.abs(W).max()
    assert compare.bound(np.asarray(layer.decode()), W, allowed) <= 1


@given(layer=layers(inputs=("iid", "scaled", "dead")), share=shares, order=ordered, seed=seeds())
def test_Z4_payload(port: Port, share: float, order: Any, layer: Layer, seed: int) -> None:
    """Z4: bits of the record are those of its tensors up to padding, and as many as allowed."""
    W, H = layer[0].values, layer[1].hessian
    rng = np.random.default_rng(seed)
    config = TypedGroups(
        codes=ALL,
        order=order,
        group_size=int(rng.choice([8, 16, 24])),
        column_power=float(rng.choice([0.0, 1.0])),
        scales="exponents" if rng.random() < 0.7 else "references",
    )
    config = within_reach(config, W.shape, share)
    layer_ = port.typed_groups_layer(W, H, config).with_scales("float16")
    payload = port.payload_bits(layer_)
    assert payload.total <= config.payload * W.size
    stored = tensor_bits(layer_)
    for part, tensors in PARTS.items():
        there = sum(stored.pop(tensor, 0) for tensor in tensors)
        # Each tensor is filled up to whole bytes.
        assert 0 <= there - getattr(payload, part) < 8 * len(tensors)
    assert not stored


@pytest.mark.parametrize("code", LARGE_CODES)
@given(layer=layers(columns=(16, 48)), sweeps=st.integers(0, 2))
def test_Z5_exactly_so_many_of_sixteen_are_large(
    port: Port, code: Code, sweeps: int, layer: Layer
) -> None:
    """Z5: N of each 16 columns at ±3, all others at ±1."""
    W, H = layer[0].values, layer[1].hessian
    config = TypedGroups(codes=(code,), group_size=40, sweeps=sweeps)
    for group in groups_of(port.typed_groups_layer(W, H, within_reach(config, W.shape, 1.0))):
        sizes = np.abs(np.asarray(group.levels).astype(int))
        whole = sizes.shape[1] // SPAN * SPAN
        counts = np.count_nonzero(sizes[:, :whole].reshape(len(W), -1, SPAN) == LARGE, axis=2)
        assert (counts == CODES[code].large).all()
        assert np.isin(sizes, (1, LARGE)).all()
        assert (sizes[:, whole:] == 1).all()


@given(layer=layers(rows=(1, 4), columns=(16, 16)), large=st.integers(1, 15))
def test_Z6_a_large_map_leaves_no_more_than_a_kept_map(
    port: Port, large: int, layer: Layer
) -> None:
    """Z6: with two free scales; a small scale of zero is one of the choices."""
    W = port.held(layer[0].values)
    kept = port.nm_mask(np.abs(W), large, SPAN)
    first, second = (port.residual_binarize(W, mask).decode() for mask in (kept, ~kept))
    allowed = port.gamma(64) * np.sum(W**2)
    assert np.sum((W - first - second) ** 2) <= np.sum((W - first) ** 2) + allowed


@given(layer=layers(inputs=("scaled", "iid")), share=shares)
def test_columns_come_in_decreasing_energy(port: Port, share: float, layer: Layer) -> None:
    """The order is that of the columns' energies; the layer is that of the ordered columns."""
    W, H = layer[0].values, layer[1].hessian
    config = within_reach(TypedGroups(codes=PLAIN, group_size=16), W.shape, share)
    found = port.typed_groups_layer(W, H, config)
    energies = np.diag(H) * np.mean(W**2, axis=0)
    falls = np.diff(energies[np.asarray(found.order)])
    assert (falls <= port.gamma(len(W) + 8) * energies.max()).all()
    port.compares_ends("level 3 judges the order and every level")
    order, plain = np.asarray(found.order), config.changed(order="none", payload=64.0)
    if share == 1.0:
        ahead = port.typed_groups_layer(W[:, order], H[np.ix_(order, order)], plain)
        expected, reading = np.asarray(ahead.decode()), _reading(plain)
        own = np.asarray(found.decode())[:, order]
        assert same_layer(
            own, expected, W[:, order], H[np.ix_(order, order)], AGREEMENT, reading=reading
        )


@given(layer=layers(inputs=("scaled", "iid")), share=shares, seed=seeds())
def test_S4_permutations(port: Port, share: float, layer: Layer, seed: int) -> None:
    """S4: rows in another order are; so are columns, where their energies give the order."""
    port.compares_ends("level 3 judges every level from its own state")
    W, H = layer[0].values, layer[1].hessian
    config = within_reach(TypedGroups(codes=ALL, group_size=16), W.shape, share)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(W)), rng.permutation(len(H))
    expected = np.asarray(port.typed_groups_layer(W, H, config).decode())
    moved = W[rows][:, columns], H[np.ix_(columns, columns)]
    found = np.asarray(port.typed_groups_layer(*moved, config).decode())
    back = found[np.argsort(rows)][:, np.argsort(columns)]
    assert same_layer(back, expected, W, H, AGREEMENT, reading=_reading(config))


@given(layer=layers(), share=shares, power=st.sampled_from([2, -3]), sweeps=st.integers(0, 1))
def test_scaling(port: Port, share: float, power: int, sweeps: int, layer: Layer) -> None:
    """S1, S3: powers of two on the weights scale the layer, and on the inputs leave it."""
    W, H, factor = layer[0].values, layer[1].hessian, 2.0**power
    config = within_reach(TypedGroups(codes=ALL, group_size=16, sweeps=sweeps), W.shape, share)

    def quantize(W: Array, H: Array) -> Array:
        return np.asarray(port.typed_groups_layer(W, H, config).decode())

    expected = quantize(W, H)
    # The exponents' logarithms are rounded.
    port.compares_ends("level 3 judges every level from its own state")
    reading = _reading(config)
    scaled = quantize(factor * W, H) / factor
    assert same_layer(scaled, expected, W, H, AGREEMENT, reading=reading)
    assert same_layer(quantize(W, factor**2 * H), expected, W, H, AGREEMENT, reading=reading)


@pytest.mark.parametrize("code", ALL)
@given(seed=seeds(), n=st.integers(1, 4), width=st.integers(1, 40))
def test_zero_layers_stay_zero(port: Port, code: Code, seed: int, n: int, width: int) -> None:
    """Whatever the code; the references are zero then."""
    X = np.random.default_rng(seed).standard_normal((2 * width + 4, width))
    config = within_reach(TypedGroups(codes=(code,), group_size=16), (n, width), 1.0)
    layer = port.typed_groups_layer(np.zeros((n, width)), X.T @ X, config)
    assert not np.asarray(layer.decode()).any()


@given(layer=layers(inputs=("dead",)), share=shares)
def test_weights_of_dead_inputs_do_not_matter(port: Port, share: float, layer: Layer) -> None:
    """They count as zero from the beginning: for energies, scales and levels."""
    W, H = layer[0].values, layer[1].hessian
    dead = np.diag(H) == 0.0
    config = within_reach(TypedGroups(codes=ALL, group_size=16), W.shape, share)
    layers_ = [port.typed_groups_layer(V, H, config) for V in (W, np.where(dead, 0.0, W))]
    own, right = (np.asarray(made.decode()) for made in layers_)
    assert compare.exact(own, right) == 0


def test_too_small_a_payload_is_refused(port: Port) -> None:
    """Scales alone take more than the presets' bits in a small layer."""
    W, H = np.ones((2, 8)), np.eye(8)
    with pytest.raises(ArgumentError, match="payload: expected enough for the scales of a layer"):
        port.typed_groups_layer(W, H, TypedGroups(payload=3.0))


def _levels_of(code: Code, x: Array) -> Levels:
    top = 2 ** CODES[code].planes - 1
    grid = np.arange(-top, top + 1, 2)
    return grid[np.argmin(np.abs(x[..., None] - grid), axis=-1)].astype(np.int8)


@every_plain
@given(layer=layers())
def test_a_diagonal_hessian_is_round_to_nearest(port: Port, code: Code, layer: Layer) -> None:
    """C6: nothing is fed forward, and each weight goes to its nearest level."""
    W, H = layer[0].values, np.diag(np.diag(layer[1].hessian))
    config = within_reach(BARE.changed(codes=(code,), sweeps=0), W.shape, 1.0)
    layer_ = port.typed_groups_layer(port.held(W), port.held(H), config)
    for block, group in zip(layer_.blocks, groups_of(layer_), strict=True):
        scale = group.row_scale
        x = port.held(W)[:, block.columns] / np.where(scale > 0.0, scale, 1.0)[:, None]
        nearest = _levels_of(code, x)
        near = np.abs(np.abs(x - np.round(x / 2.0) * 2.0)) <= port.gamma(16) * (1.0 + np.abs(x))
        rows = (scale > 0.0)[:, None] & ~near
        assert compare.exact(np.asarray(group.levels)[rows], nearest[rows]) == 0
