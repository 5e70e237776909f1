"""Bits: counted from the record, and by the papers' formulas."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.inputs.families import Mask
from subbit.conformance.inputs.strategies import Layer, layers, matrices, seeds
from subbit.conformance.oracles import exact
from subbit.conformance.target import Port
from subbit.reference.errors import ArgumentError

PRESETS = ("paper", "released", "released-magnitude", "corrected")
every_preset = pytest.mark.parametrize("preset", PRESETS)
some_layers = layers(rows=(1, 4), columns=(12, 36))


def _quantize(port: Port, layer: Layer, preset: str, **switches: Any) -> Any:
    config = port.METHODS["billm"].presets[preset].changed(block_size=16, **switches)
    return port.billm_layer(layer[0].values, layer[1].hessian, config)


def _salient_columns(layer: Any) -> int:
    return sum(int(np.count_nonzero(block.salient)) for block in layer.blocks)


@every_preset
@given(layer=some_layers)
def test_nominal_bits_of_billm(port: Port, preset: str, layer: Layer) -> None:
    """Eq. (14): ``2 r + (1 - r)`` with r the salient share, and the same entry by entry."""
    result = _quantize(port, layer, preset)
    nominal = port.nominal_bits(result)
    assert compare.bound(nominal, float(exact.nominal_bits(result)), 8 * port.unit_roundoff) <= 1
    r = _salient_columns(result) / result.shape[1]
    assert compare.bound(nominal, port.billm_parameter_bits(r), 8 * port.unit_roundoff) <= 1
    assert 1 <= nominal <= 2


@every_preset
@given(layer=some_layers)
def test_payload_is_the_sum_of_its_parts(port: Port, preset: str, layer: Layer) -> None:
    """Parts are whole numbers of bits, none negative; per weight is the total over n m."""
    result = _quantize(port, layer, preset)
    payload = port.payload_bits(result)
    parts = {name: value for name, value in asdict(payload).items() if name != "weights"}
    assert all(int(value) == value >= 0 for value in parts.values())
    assert payload.total == sum(parts.values())
    assert payload.weights == result.shape[0] * result.shape[1]
    assert payload.per_weight == payload.total / payload.weights
    assert payload.per_weight > port.nominal_bits(result)


@every_preset
@given(layer=some_layers, float_bits=st.sampled_from([16, 32]))
def test_payload_of_billm(port: Port, preset: str, float_bits: int, layer: Layer) -> None:
    """``n m + n c`` signs, a group bit for every other entry, a column map, the floats."""
    result = _quantize(port, layer, preset)
    n, m = result.shape
    c = _salient_columns(result)
    payload = port.payload_bits(result, float_bits=float_bits)
    assert payload.signs == n * m + n * c
    assert payload.column_map == m
    groups = [g for block in result.blocks for g in block.groups if g.mask.any()]
    assert payload.scales == float_bits * n * sum(len(g.planes) for g in groups)
    assert payload.means == float_bits * n * sum(g.mean is not None for g in groups)
    split = [
        block.stop - block.start - int(np.count_nonzero(block.salient))
        for block in result.blocks
        if all(g.mask.any() for g in block.groups if g.name != "salient")
    ]
    assert payload.group_map == n * sum(split)
    assert payload.kept_map == payload.codes == payload.zero_points == payload.order == 0


@pytest.mark.parametrize("preset", ["released", "released-magnitude"])
@given(layer=some_layers)
def test_payload_against_the_published_accounting(port: Port, preset: str, layer: Layer) -> None:
    """NanoQuant Eq. (44) is ours plus a group bit for salient entries, with all groups there."""
    result = _quantize(port, layer, preset)
    n, m = result.shape
    c = _salient_columns(result)
    published = port.billm_storage_bits(n, m, c, 16)
    blocks = len(result.blocks)
    assert published == 2 * n * m + n * c + m + 112 * n * blocks
    payload = port.payload_bits(result)
    complete = all(g.mask.any() for block in result.blocks for g in block.groups)
    ours = payload.total - payload.zero_signs
    assert ours == published - n * c if complete else ours <= published - n * c


@given(layer=layers(inputs=("dead",), rows=(1, 4), columns=(12, 40)))
def test_dead_columns_cost_no_signs(port: Port, layer: Layer) -> None:
    """Corrected: columns that are forced to zero are marked once and hold no sign."""
    result = _quantize(port, layer, "corrected")
    alive = int(np.count_nonzero(np.diag(layer[1].hessian)))
    n, m = result.shape
    payload = port.payload_bits(result)
    assert payload.signs == n * (alive + _salient_columns(result))
    assert (
        compare.bound(
            port.nominal_bits(result), float(exact.nominal_bits(result)), 8 * port.unit_roundoff
        )
        <= 1
    )
    assert payload.kept_map <= m
    assert (payload.kept_map > 0) == (alive < m)


@given(matrix=matrices(), bits=st.integers(1, 8), size=st.sampled_from([None, 1, 5, 16]))
def test_bits_of_uniform_grids(port: Port, matrix: Any, bits: int, size: int | None) -> None:
    """b bits per code; a scale and a zero point per row and group."""
    W = matrix.values
    result = port.rtn_layer(W, None, port.RTN(kind="minmax", bits=bits, group_size=size))
    payload = port.payload_bits(result)
    n, m = W.shape
    assert port.nominal_bits(result) == bits
    assert payload.codes == n * m * bits
    assert payload.scales == 16 * n * -(-m // (size or m))
    assert payload.signs == payload.means == payload.column_map == payload.group_map == 0
    assert payload.zero_points > 0


@pytest.mark.parametrize("center", [True, False])
@given(matrix=matrices(), size=st.sampled_from([None, 1, 5, 16]))
def test_bits_of_signs(port: Port, matrix: Any, size: int | None, *, center: bool) -> None:
    """``1 + 16/k`` for the XNOR form, ``1 + 32/k`` with means, for groups of k columns."""
    W = matrix.values
    result = port.rtn_layer(W, None, port.RTN(kind="sign", group_size=size, center=center))
    payload = port.payload_bits(result)
    n, m = W.shape
    groups = -(-m // (size or m))
    assert port.nominal_bits(result) == 1
    assert payload.total == n * m + 16 * n * groups * (2 if center else 1)


@given(layer=layers(columns=(2, 40)))
def test_activation_order_costs_a_permutation(port: Port, layer: Layer) -> None:
    """The order of columns has to be stored: at least log2(m!) bits."""
    W, H = layer[0].values, layer[1].hessian
    plain = port.payload_bits(port.gptq_layer(W, H, port.GPTQ()))
    ordered = port.payload_bits(port.gptq_layer(W, H, port.GPTQ(activation_order=True)))
    assert plain.order == 0
    assert ordered.order >= np.sum(np.log2(np.arange(1, W.shape[1] + 1))) - 1e-9
    assert ordered.total - ordered.order == plain.total


def test_published_numbers(port: Port) -> None:
    """The papers' numbers: 1.1 bits at 10% salient weights, and the table of true bits."""
    assert port.billm_parameter_bits(0.1) == pytest.approx(1.1)
    for k, expected in ((32, 5.50), (64, 3.75), (128, 2.88), (256, 2.44), (512, 2.22)):
        n = m = 4096
        assert port.billm_storage_bits(n, m, 0, k) / (n * m) == pytest.approx(expected, abs=0.006)


# Shapes of a decoder block's linears, number of blocks, numbers of embedding and head.
LLAMA_7B = (4 * [(4096, 4096)] + 2 * [(11008, 4096)] + [(4096, 11008)], 32, 2 * 32000 * 4096)
LLAMA_13B = (4 * [(5120, 5120)] + 2 * [(13824, 5120)] + [(5120, 13824)], 40, 2 * 32000 * 5120)


@pytest.mark.parametrize(
    ("rows", "columns", "published"),
    [(7, 0, (2.93, 5.36)), (10, 0, (3.23, 5.95)), (4, 4, (2.63, 4.77)), (6, 6, (2.83, 5.17))],
    ids=["arb-x", "arb-x with bitmap", "arb-rc", "arb-rc with bitmap"],
)
def test_published_memory_of_arb_llm(
    port: Port, rows: int, columns: int, published: tuple[float, float]
) -> None:
    """Table 6: gigabytes of LLaMA 7B and 13B, with 9% salient columns and blocks of 128."""
    for (shapes, blocks, others), expected in zip((LLAMA_7B, LLAMA_13B), published, strict=True):
        bits = sum(
            port.arb_storage_bits(n, m, round(0.09 * m), 128, rows=rows, columns=columns)
            for n, m in shapes
        )
        found = (blocks * bits + 16 * others) / 8e9
        assert found == pytest.approx(expected, abs=0.012)


@given(
    n=st.integers(1, 50),
    k=st.integers(1, 20),
    blocks=st.integers(1, 5),
    share=st.floats(0, 1),
    rows=st.integers(0, 10),
    columns=st.integers(0, 6),
)
def test_storage_of_arb_llm_adds_up(
    port: Port, n: int, k: int, blocks: int, share: float, rows: int, columns: int
) -> None:
    """Whole blocks cost what they cost alone; every salient column ``n`` bits, every row vector
    16 bits per row and block; a narrower block has as many row vectors.
    """
    m = k * blocks
    c = round(share * k)
    numbers = {"rows": rows, "columns": columns}
    bits = port.arb_storage_bits(n, m, c * blocks, k, **numbers)
    assert bits == blocks * port.arb_storage_bits(n, k, c, k, **numbers)
    twice = port.arb_storage_bits(2 * n, m, c * blocks, k, **numbers)
    by_column = m + 16 * columns * m
    assert twice - by_column == 2 * (bits - by_column)
    assert bits - port.arb_storage_bits(n, m, 0, k, **numbers) == n * c * blocks
    more = port.arb_storage_bits(n, m, c * blocks, k, rows=rows + 1, columns=columns)
    assert more - bits == 16 * n * blocks
    wider = port.arb_storage_bits(n, m + 1, c * blocks, k, **numbers)
    assert wider - bits == 2 * n + 1 + 16 * (rows * n + columns)


NM = st.sampled_from([(4, 8), (5, 8), (6, 8), (2, 4), (1, 3), (8, 8)])


def _sparse_layer(
    seed: int, size: tuple[int, int], salient: float, dead: float = 0.0
) -> reference.QuantizedLayer:
    """Two blocks of 24 columns, N:M sparse, in three regions and a salient group of two planes."""
    keep, group = size
    rng = np.random.default_rng(seed)
    kept = rng.random((4, 48 // group, group)).argsort(axis=2).argsort(axis=2) < keep
    kept = kept.reshape(4, 48) & (rng.random(48) >= dead)
    region = rng.integers(0, 3, size=(4, 48))
    columns = rng.random(48) < salient
    names = ("dense", "intermediate", "sparse", "salient")

    masks = [kept & ~columns & (region == number) for number in range(3)] + [kept & columns]

    def group_of(name: str, mask: Mask) -> reference.BinaryGroup:
        values, order = rng.standard_normal(mask.shape), 1 + (name == "salient")
        return reference.residual_binarize(values, mask, order=order, center=True, name=name)

    blocks = (
        reference.QuantizedBlock(
            part.start,
            part.stop,
            tuple(group_of(n, mask[:, part]) for n, mask in zip(names, masks, strict=True)),
            columns[part],
            size,
        )
        for part in (slice(0, 24), slice(24, 48))
    )
    return reference.QuantizedLayer((4, 48), tuple(blocks))


@given(seed=seeds(), size=NM, salient=st.sampled_from([0.0, 0.2]))
def test_payload_of_pruned_regions(
    port: Port, seed: int, size: tuple[int, int], salient: float
) -> None:
    """Signs and regions of kept weights, patterns, a flag per column; two signs if salient."""
    layer = _sparse_layer(seed, size, salient)
    keep, group = size
    bits = port.payload_bits(layer)
    kept = 4 * 48 * keep // group
    second = sum(np.count_nonzero(b.groups[3].mask) for b in layer.blocks)
    assert bits.signs == kept + second
    assert bits.kept_map == 4 * 48 // group * port.pattern_bits(keep, group)
    assert bits.column_map == 48
    regions = [sum(g.mask.any() for g in block.groups[:3]) for block in layer.blocks]
    if regions == [3, 3]:
        assert bits.group_map == 2 * (kept - second)
    assert port.index_floor(layer) <= bits.kept_map
    share = second / kept
    nominal = port.stbllm_parameter_bits(share, keep, group)
    assert compare.bound(port.nominal_bits(layer), nominal, 16 * port.unit_roundoff) <= 1


@given(seed=seeds(), size=NM)
def test_payload_of_pruned_regions_against_the_published_accounting(
    port: Port, seed: int, size: tuple[int, int]
) -> None:
    """Without salient weights: NanoQuant's, less three numbers per row, plus a column map."""
    layer = _sparse_layer(seed, size, 0.0)
    published = port.stbllm_storage_bits(4, 48, 24, *size)
    if all(g.mask.any() for block in layer.blocks for g in block.groups[:3]):
        assert port.payload_bits(layer).total == published - 3 * 16 * 4 * 2 + 48


@given(seed=seeds(), size=NM)
def test_dead_columns_do_not_change_the_price_of_patterns(
    port: Port, seed: int, size: tuple[int, int]
) -> None:
    """Groups with fewer than N entries still have a pattern; flags then mark the empty ones."""
    layer = _sparse_layer(seed, size, 0.2, dead=0.4)
    keep, group = size
    bits = port.payload_bits(layer)
    index = 4 * 48 // group * port.pattern_bits(keep, group)
    flags = bits.kept_map - index
    assert flags in (0, 24, 48)
    assert port.index_floor(layer) <= bits.kept_map
    assert bits.signs >= sum(np.count_nonzero(g.mask) for b in layer.blocks for g in b.groups)


def test_columns_that_no_group_of_M_has_are_free(port: Port) -> None:
    """The last k % M columns have no pattern."""
    mask = np.array([[True, False, True, False, True, True]])
    block = port.QuantizedBlock(0, 6, (port.ValueGroup("kept", mask, 1.0 * mask),), None, (2, 4))
    bits = port.payload_bits(port.QuantizedLayer((1, 6), (block,)))
    assert (bits.kept_map, bits.values, bits.signs) == (3, 64, 0)
    assert port.nominal_bits(port.QuantizedLayer((1, 6), (block,))) == pytest.approx(64 / 6)


def test_more_entries_than_the_pattern_has_are_refused(port: Port) -> None:
    """Three of four kept where the record says two: the record is invalid."""
    mask = np.array([[True, False, True, True]])
    block = port.QuantizedBlock(0, 4, (port.ValueGroup("kept", mask, 1.0 * mask),), None, (2, 4))
    layer = port.QuantizedLayer((1, 4), (block,))
    for count in (port.payload_bits, port.index_floor):
        with pytest.raises(ArgumentError, match="layer: expected at most 2 covered of each 4"):
            count(layer)


def test_published_numbers_of_pruned_layers(port: Port) -> None:
    """The papers' numbers: bits of signs at 10% salient weights, and the table of true bits."""
    n = m = 4096
    for (keep, group), printed, true in (
        ((8, 8), 1.10, 4.13),
        ((6, 8), 0.825, 4.00),
        ((5, 8), 0.6875, 3.75),
        ((4, 8), 0.55, 3.50),
        ((2, 4), 0.55, 3.38),
    ):
        assert port.stbllm_parameter_bits(0.1, keep, group) == pytest.approx(printed)
        stored = port.stbllm_storage_bits(n, m, 128, keep, group) / (n * m)
        assert stored == pytest.approx(true, abs=0.0051)
    assert port.stbllm_storing_bits(128) == 2 + 1 / 128
