"""HBLLM: the Haar transform, splits of rows, and what a block consists of.

H1 to H5 are its properties. Blocks are quantized on weights and scores that the port's type holds
exactly.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, Array, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds, weights
from subbit.conformance.oracles import naive_hbllm
from subbit.conformance.oracles.settled import same_layer
from subbit.conformance.target import Port
from subbit.reference import HBLLM, BinaryGroup, HaarGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.haar import Axis
from subbit.reference.storage.record_layout import tensor_bits

some = weights(CONTINUOUS, columns=(1, 24))
every_axis = pytest.mark.parametrize("axis", ["columns", "rows"])


def _host(x: object) -> Array:
    return np.asarray(x, dtype=np.float64)


def _quantile(X: Array, share: Fraction) -> Array:
    """Quantiles of rows, an entry itself where the place is whole; in floats it may lie beside."""
    ordered, place = np.sort(X, axis=1), share * (X.shape[1] - 1)
    low, rest = int(place), float(place % 1)
    high = min(low + 1, X.shape[1] - 1)
    return np.asarray(ordered[:, low] + rest * (ordered[:, high] - ordered[:, low]))


def _low(X: Array, axis: Axis) -> slice:
    return slice(0, -(-X.shape[axis == "columns"] // 2))


@every_axis
@given(matrix=some)
def test_H1_the_transform_is_orthonormal(port: Port, axis: Axis, matrix: Weights) -> None:
    """Its inverse undoes it, in odd sizes too, and every row or column keeps its energy."""
    X = port.held(matrix.values)
    C = _host(port.haar(X, axis))
    largest = np.abs(X).max()
    assert np.all(np.abs(_host(port.inverse_haar(C, axis)) - X) <= port.gamma(64) * largest)
    along = 1 if axis == "columns" else 0
    before, after = np.sum(X**2, axis=along), np.sum(C**2, axis=along)
    assert np.all(np.abs(after - before) <= port.gamma(64) * before)


@every_axis
@given(matrix=some, seed=seeds())
def test_H2_the_high_band_does_not_depend_on_the_quantized_low_band(
    port: Port, axis: Axis, matrix: Weights, seed: int
) -> None:
    """Taken of ``F`` or of ``F`` less the inverse of any low band, it is the same."""
    X = port.held(matrix.values)
    C, low = _host(port.haar(X, axis)), _low(X, axis)
    at = (slice(None), low) if axis == "columns" else (low, slice(None))
    quantized = np.zeros(X.shape)
    quantized[at] = np.random.default_rng(seed).standard_normal(C[at].shape) * np.abs(X).max()
    left = X - _host(port.inverse_haar(port.held(quantized), axis))
    other = _host(port.haar(port.held(left), axis))
    other[at], C[at] = 0.0, 0.0
    reach = np.abs(X).max() + np.abs(quantized).max()
    assert np.all(np.abs(other - C) <= port.gamma(64) * reach)


def _distances(X: Array, group: BinaryGroup) -> tuple[Array, Array, Array]:
    """Number, mean and mean square of the distances of a side's entries, by rows."""
    d = np.where(group.mask, X - group.row_means[:, None], 0.0)
    count = np.maximum(np.count_nonzero(group.mask, axis=1), 1)
    return count, np.abs(d).sum(axis=1) / count, (d**2).sum(axis=1) / count


def _left(X: Array, group: BinaryGroup) -> Array:
    return np.asarray(np.sum(np.where(group.mask, X - group.decode(), 0.0) ** 2, axis=1))


@pytest.mark.parametrize("share_mean", [False, True])
@given(matrix=some)
def test_H3_the_root_mean_square_is_never_the_better_scale(
    port: Port, *, share_mean: bool, matrix: Weights
) -> None:
    """It leaves ``2 rms / (rms + mean)`` times the error, so from once to twice as much."""
    X = port.held(matrix.values)
    for group in port.row_split(X, scale="rms", share_mean=share_mean):
        own = BinaryGroup(group.name, np.asarray(group.mask), group.planes, _host(group.mean))
        count, mean, square = _distances(X, own)
        rms, slack = np.sqrt(square), port.gamma(2**9) * np.sum(X**2, axis=1)
        least = count * (square - mean**2)
        assert np.all(_left(X, own) >= least - slack)
        share = 2 * rms / np.maximum(rms + mean, np.finfo(float).tiny)
        assert np.all(share <= 2.0)
        assert np.all(np.abs(_left(X, own) - share * least) <= slack)


@pytest.mark.parametrize("scale", ["rms", "mean_abs"])
@given(matrix=some, levels=st.integers(1, 9), share_mean=st.booleans())
def test_no_other_quantile_splits_a_row_better(
    port: Port, scale: str, levels: int, *, share_mean: bool, matrix: Weights
) -> None:
    """Sides cover each entry once, small ones are smaller, and no candidate leaves less."""
    X = port.held(matrix.values)
    switches = {"scale": scale, "share_mean": share_mean}
    small, large = port.row_split(X, levels=levels, **switches)
    below, above = np.asarray(small.mask), np.asarray(large.mask)
    assert np.array_equal(below, ~above)
    size = np.abs(X)
    highest = np.where(below, size, -1.0).max(axis=1)
    assert np.all(highest < np.where(above, size, np.inf).min(axis=1))
    left = np.sum((X - small.decode() - large.decode()) ** 2, axis=1)
    for level in range(levels):
        cut = _quantile(size, Fraction(1, 10) + Fraction(8 * level, 10 * max(levels - 1, 1)))
        whole = np.zeros(X.shape)
        for side in (size < cut[:, None], size >= cut[:, None]):
            count = np.maximum(side.sum(axis=1), 1)
            mean = X.mean(axis=1) if share_mean else (X * side).sum(axis=1) / count
            d = np.where(side, X - mean[:, None], 0.0)
            power = 2.0 if scale == "rms" else 1.0
            alpha = ((np.abs(d) ** power).sum(axis=1) / count) ** (1.0 / power)
            whole += np.where(side, mean[:, None] + alpha[:, None] * np.where(d < 0, -1, 1), 0.0)
        tolerance = port.gamma(2**9) * np.sum(X**2, axis=1)
        assert np.all(left <= np.sum((X - whole) ** 2, axis=1) + tolerance)


def _config(pairs: Axis, seed: int, *, share_mean: bool = False) -> HBLLM:
    rng = np.random.default_rng(seed)
    least = int(rng.integers(0, 5))
    scale = "rms" if rng.random() < 0.5 else "mean_abs"
    counts = (least, least + int(rng.integers(0, 9)))
    return HBLLM(pairs=pairs, counts=counts, scale=scale, share_mean=share_mean, quantiles=5)


def _block(port: Port, X: Array, config: HBLLM) -> HaarGroup:
    block = port.hbllm_block(X, X**2, np.ones(X.shape[1], dtype=np.bool_), config)
    (group,) = block.groups
    assert isinstance(group, HaarGroup)
    return group


@every_axis
@given(matrix=some, seed=seeds())
def test_H1_errors_of_coefficients_are_errors_of_weights(
    port: Port, axis: Axis, matrix: Weights, seed: int
) -> None:
    """Without salient columns, a band is an ordinary matrix whose rows are split."""
    X = port.held(matrix.values)
    group = _block(port, X, _config(axis, seed).changed(counts=(0, 0)))
    (term,) = group.terms
    C = np.sum([own.decode() for own in term.groups], axis=0)
    errors = [
        np.sum((x - y) ** 2) for x, y in ((X, group.decode()), (_host(port.haar(X, axis)), C))
    ]
    assert abs(errors[0] - errors[1]) <= port.gamma(2**8) * np.sum(X**2)


@given(matrix=some, seed=seeds(), share_mean=st.booleans())
def test_H5_a_pair_of_columns_has_sixteen_values(
    port: Port, seed: int, *, share_mean: bool, matrix: Weights
) -> None:
    """Four in the low band, four in the high one; a salient column adds four of its own rows'."""
    X = port.held(matrix.values)
    group = _block(port, X, _config("columns", seed, share_mean=share_mean).changed(sign_zero=1))
    first = group.terms[0].decode()
    salient = group.terms[1].columns if len(group.terms) > 1 else np.zeros(X.shape[1], np.bool_)
    for own, row in zip(first, group.decode(), strict=True):
        assert len(np.unique(own[0::2])) <= 16
        assert np.array_equal(own[~salient], row[~salient])
        assert len(np.unique(row)) <= 32 * (1 + 16 * salient.any())


@every_axis
@given(matrix=some, seed=seeds(), power=st.sampled_from([4, -6]))
def test_blocks_scale(port: Port, axis: Axis, matrix: Weights, seed: int, power: int) -> None:
    """A power of two on the weights is one on the values, bit for bit."""
    X, config = port.held(matrix.values), _config(axis, seed)
    one, other = _block(port, X, config), _block(port, 2.0**power * X, config)
    assert compare.exact(other.decode(), 2.0**power * one.decode()) == 0


@every_axis
@given(matrix=some, seed=seeds(), share_mean=st.booleans())
def test_payload_is_what_its_equation_says(
    port: Port, axis: Axis, *, share_mean: bool, matrix: Weights, seed: int
) -> None:
    """Two bits for each coefficient; in each row 4 or 3 numbers per band and 4 or 3 for the rest.

    A side without any entry stores nothing, and no bit of the map where it leaves one side.
    """
    X = port.held(matrix.values)
    n, k = X.shape
    group = _block(port, X, _config(axis, seed, share_mean=share_mean).changed(sign_zero=1))
    record = QuantizedLayer((n, k), (QuantizedBlock(0, k, (group,)),))
    bits = port.payload_bits(record)
    signs = scales = means = owners = 0
    for term in group.terms:
        width = int(term.columns.sum())
        ends = [-(-width // 2), width] if term.axis == "columns" else [width]
        for start, stop in zip([0, *ends[:-1]], ends, strict=True):
            present = sum(bool(own.mask[:, start:stop].any()) for own in term.groups)
            signs += n * (stop - start)
            owners += n * (stop - start) * (present == 2)
            scales += n * present
            means += n * (min(present, 1) if share_mean else present)
    assert (bits.signs, bits.group_map, bits.scales, bits.means) == (
        *(signs, owners),
        *(16 * scales, 16 * means),
    )
    assert bits.column_map == k * any(not term.columns.all() for term in group.terms)
    stored = tensor_bits(record, "float64")
    assert sum(stored.values()) - 48 * (scales + means) - bits.total in range(8 * len(stored))


RELEASED = {
    "block_size": 128,
    "percdamp": 0.01,
    "score": "trailing",
    "compensation": "released",
    "dead_inputs": "binarize",
    "column_feedback": False,
    "pairs": "columns",
    "scale": "rms",
    "share_mean": False,
    "quantiles": 41,
    "counts": (1, 49),
    "search_on": "scores",
    "search_orders": (2, 2),
    "center": True,
    "sign_zero": 0,
}
CORRECTED = RELEASED | {
    "compensation": "exact",
    "dead_inputs": "zero",
    "scale": "mean_abs",
    "counts": (0, 49),
    "sign_zero": 1,
}


def test_presets_are_what_the_page_says(port: Port) -> None:
    """The released code and its corrected form differ in these switches and no others."""
    presets = port.METHODS["hbllm"].presets
    assert [config.switches() for config in presets.values()] == [RELEASED, CORRECTED]


@every_axis
@given(layer=layers(CONTINUOUS, rows=(1, 5), columns=(3, 30)), seed=seeds())
def test_layers_against_the_naive_reading(port: Port, axis: Axis, layer: Layer, seed: int) -> None:
    """A matrix for the transform, rows split one by one, and the same layer."""
    port.compares_ends("level 3 judges every block from its own state")
    W, H = layer[0].values, layer[1].hessian
    rng = np.random.default_rng(seed)
    config = _config(axis, seed, share_mean=bool(rng.random() < 0.3)).changed(
        block_size=int(rng.choice([7, 16, 64])),
        compensation=str(rng.choice(["exact", "released"])),
        search_on=str(rng.choice(["weights", "scores"])),
        dead_inputs="zero",
    )

    def reading(W: Array, H: Array) -> Array:
        return naive_hbllm.hbllm_layer(W, H, config)

    actual = port.hbllm_layer(W, H, config).decode()
    assert same_layer(actual, reading(W, H), W, H, 1e-9, reading=reading)
