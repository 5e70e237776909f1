"""Products of sign matrices: the projection, gauge, scaling, least squares, and sweeps."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.cases.groups.product_sweeps import draw_product, product_in
from subbit.conformance.inputs.families import CONTINUOUS, Array, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds, weights
from subbit.conformance.target import Port
from subbit.reference import ProductGroup, QuantizedLayer, SignProduct
from subbit.reference.bounds.groups.product_sweeps import sign_rise_bound
from subbit.reference.storage.record_layout import tensor_bits

some_layers = layers(rows=(1, 4), columns=(1, 16))
ranks = st.integers(1, 5)


def _damped(H: Array) -> Array:
    return np.asarray(H + (0.1 * np.diag(H).mean() + 2.0**-30) * np.eye(len(H)))


def _with(layer: QuantizedLayer, group: ProductGroup) -> QuantizedLayer:
    return replace(layer, blocks=(replace(layer.blocks[0], groups=(group,)),))


def _record(W: Array, seed: int, rank: int) -> QuantizedLayer:
    """Any signs, and scales of the size of the weights and of few bits, none of them zero."""
    layer = draw_product(np.random.default_rng(seed), (W.shape[0], W.shape[1]), rank)
    typical = np.exp2(np.round(np.log2(np.abs(W).mean() + 2.0**-40)))
    rows, columns = (
        np.where(x == 0.0, 0.5, np.sign(x) * np.exp2(np.round(np.log2(np.abs(x) + 2.0**-9))))
        for x in (product_in(layer).row_scale, product_in(layer).column_scale)
    )
    group = replace(product_in(layer), row_scale=typical * rows, column_scale=columns)
    return _with(layer, group)


def _row_errors(W: Array, Q: Array, H: Array) -> Array:
    return np.asarray(np.sum(((W - Q) @ H) * (W - Q), axis=1))


def _images(*records: QuantizedLayer) -> list[Array]:
    return [np.asarray(record.decode(), np.float64) for record in records]


def _reach(W: Array, record: QuantizedLayer, H: Array) -> Array:
    """What errors of rows are made of, without their signs."""
    group = product_in(record)
    scales = np.abs(np.multiply.outer(group.row_scale, group.column_scale))
    sizes = np.abs(W) + group.rank * scales
    return np.asarray(np.sum((sizes @ np.abs(H)) * sizes, axis=1))


@given(M=weights(CONTINUOUS, rows=(1, 6), columns=(1, 12)))
def test_N1_a_projection_leaves_what_it_does_not_explain(port: Port, M: Weights) -> None:
    """N1: after any number of steps the squares add up, and no rank-one matrix leaves less."""
    X = M.values
    energy, last = np.sum(X**2), np.inf
    least = energy - np.linalg.norm(np.abs(X), 2) ** 2
    for steps in (1, 2, 5, 30):
        Z = np.asarray(port.project_rank_one(X, steps), np.float64)
        assert np.all(Z * np.where(X >= 0.0, 1.0, -1.0) >= 0.0)
        left, allowed = np.sum((X - Z) ** 2), port.gamma(16 * sum(X.shape) + 64) * energy
        assert abs(left - (energy - np.sum(Z**2))) <= allowed
        assert least - allowed <= left <= last + allowed
        last = left


@given(a=weights(CONTINUOUS, rows=(1, 1)), b=weights(CONTINUOUS, rows=(1, 1)), seed=seeds())
def test_N1_signs_with_magnitudes_of_rank_one_stay(
    port: Port, a: Weights, b: Weights, seed: int
) -> None:
    """N1: one step is enough to find magnitudes that are there."""
    size = np.abs(np.outer(a.values, b.values))
    M = size * np.random.default_rng(seed).choice([-1.0, 1.0], size.shape)
    found = np.asarray(port.project_rank_one(M, 1), np.float64)
    scale = np.sqrt(np.outer(np.sum(size**2, axis=1), np.sum(size**2, axis=0))).max()
    assert np.all(np.abs(found - M) <= port.gamma(8 * sum(size.shape) + 64) * (size + scale * 1e-3))


@given(layer=some_layers, rank=ranks, seed=seeds())
def test_N2_components_change_places_and_signs(
    port: Port, rank: int, layer: Layer, seed: int
) -> None:
    """N2: the product stays, and so do the scales that suit it, to the last bit."""
    W, H = layer[0].values, _damped(layer[1].hessian)
    first, rng = _record(W, seed, rank), np.random.default_rng(seed)
    order, flips = rng.permutation(rank), rng.choice([-1, 1], rank).astype(np.int8)
    group = product_in(first)
    moved = replace(
        group, left=(group.left * flips)[:, order], right=(group.right.T * flips).T[order]
    )
    second = _with(first, moved)
    assert compare.exact(second.decode(), first.decode()) == 0
    for refit in (port.refit_row_scales, port.refit_column_scales):
        one, two = _images(refit(W, H, first), refit(W, H, second))
        assert compare.exact(two, one) == 0


@given(layer=some_layers, rank=ranks, seed=seeds(), power=st.sampled_from([3, -4]))
def test_N2_a_factor_moves_between_the_scales(
    port: Port, rank: int, power: int, layer: Layer, seed: int
) -> None:
    """N2: row scales times a power of two, column scales divided by it: the same fits and signs."""
    W, H, factor = layer[0].values, _damped(layer[1].hessian), 2.0**power
    first = _record(W, seed, rank)
    group = product_in(first)
    scaled = {"row_scale": factor * group.row_scale, "column_scale": group.column_scale / factor}
    second = _with(first, replace(group, **scaled))  # type: ignore[arg-type]
    for change in (port.refit_row_scales, port.refit_column_scales, port.sweep_signs):
        one, two = _images(change(W, H, first), change(W, H, second))
        assert compare.exact(two, one) == 0


@given(layer=layers(rows=(1, 4), columns=(2, 12)), seed=seeds())
def test_N4_scaled_columns_with_unscaled_inputs_have_the_same_signs(
    port: Port, layer: Layer, seed: int
) -> None:
    """N4: columns of W times powers of two, inputs divided by them: the same matrix is factored."""
    W, H = layer[0].values, layer[1].hessian + np.eye(len(layer[1].hessian))
    config = SignProduct(payload=64.0, iterations=4, refit=False, sweeps=0, percdamp=0.0)
    factors = np.exp2(np.random.default_rng(seed).integers(-2, 3, W.shape[1]).astype(float))
    one = product_in(port.sign_product_layer(W, H, config))
    two = product_in(port.sign_product_layer(W * factors, H / np.outer(factors, factors), config))
    assert compare.exact(np.asarray(two.left), one.left) == 0
    assert compare.exact(np.asarray(two.right), one.right) == 0


@given(layer=some_layers, rank=ranks, seed=seeds())
def test_N5_refitted_scales_raise_no_error(port: Port, rank: int, layer: Layer, seed: int) -> None:
    """N5: of no row with row scales, and not of the layer with column scales."""
    W, H = layer[0].values, _damped(layer[1].hessian)
    before = _record(W, seed, rank)
    after = port.refit_row_scales(W, H, before)
    Q, R = _images(before, after)
    allowed = port.gamma(8 * (len(H) + rank) + 64) * (_reach(W, before, H) + _reach(W, after, H))
    assert np.all(_row_errors(W, R, H) <= _row_errors(W, Q, H) + allowed)
    last = port.refit_column_scales(W, H, after)
    (S,) = _images(last)
    reach = np.sum(_reach(W, after, H) + _reach(W, last, H))
    worst = float(np.linalg.cond(H)) * port.gamma(8 * (len(H) + len(W)) + 64) * reach
    assert np.sum(_row_errors(W, S, H)) <= np.sum(_row_errors(W, R, H)) + worst


@given(layer=some_layers, rank=ranks, seed=seeds())
def test_N6_no_sweep_raises_the_error_and_none_is_left_to_gain_by_one_flip(
    port: Port, rank: int, layer: Layer, seed: int
) -> None:
    """N6: from any signs, until they stay; then each single flip is tried."""
    W, H = layer[0].values, _damped(layer[1].hessian)
    before = _record(W, seed, rank)
    for _ in range(40):
        after = port.sweep_signs(W, H, before)
        (Q,) = _images(after)
        rise = sign_rise_bound(W, H, product_in(before), Q, arithmetic=port.arithmetic)
        assert rise.value <= rise.error
        if compare.exact(Q, before.decode()) == 0:
            break
        before = after
    else:
        return
    group = product_in(after)
    own, allowed = np.sum(_row_errors(W, Q, H)), float(rise.error)
    for field in ("left", "right"):
        signs = np.asarray(getattr(group, field))
        for place in np.ndindex(*signs.shape):
            other = signs.copy()
            other[place] *= -1
            (R,) = _images(_with(after, replace(group, **{field: other})))  # type: ignore[arg-type]
            assert own <= np.sum(_row_errors(W, R, H)) + allowed


@given(layer=some_layers, rank=ranks, seed=seeds())
def test_what_is_a_product_stays(port: Port, rank: int, layer: Layer, seed: int) -> None:
    """Without an error no sign moves."""
    H, record = _damped(layer[1].hessian), _record(layer[0].values, seed, rank)
    after = product_in(port.sweep_signs(record.decode(), H, record))
    assert compare.exact(np.asarray(after.left), product_in(record).left) == 0
    assert compare.exact(np.asarray(after.right), product_in(record).right) == 0


@given(layer=layers(rows=(1, 5), columns=(1, 16)), extra=st.floats(0.0, 3.0))
def test_bits_keep_to_the_payload_and_no_rank_above_does(
    port: Port, extra: float, layer: Layer
) -> None:
    """The bits are those of a file, and one component more would be too many."""
    W, H = layer[0].values, layer[1].hessian
    n, m = W.shape
    config = SignProduct(payload=17.0 * (n + m) / (n * m) + extra, iterations=1, sweeps=0)
    made = port.sign_product_layer(W, H, config)
    bits, rank = reference.payload_bits(made), product_in(made).rank
    assert bits.total == bits.signs + bits.scales <= config.payload * n * m * (1.0 + 2.0**-40)
    assert rank == min(n, m) or bits.total + n + m > config.payload * n * m * (1.0 - 2.0**-40)
    stored = tensor_bits(made.with_scales("float16"))
    assert 0 <= stored["signs"] - bits.signs < 8
    assert stored["scales"] == bits.scales
