"""Bits: counted from the record, and by the papers' formulas."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare, exact
from subbit.conformance.strategies import Layer, layers, matrices
from subbit.conformance.target import Port

PRESETS = ("paper", "released", "released-magnitude", "corrected")
every_preset = pytest.mark.parametrize("preset", PRESETS)
some_layers = layers(rows=(1, 4), columns=(12, 36))


def _quantize(port: Port, layer: Layer, preset: str, **switches: Any) -> Any:
    config = replace(port.METHODS["billm"].presets[preset], block_size=16, **switches)
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
    """b bits a code; a scale and a zero point for each row and group."""
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
    """What the papers print: 1.1 bits at 10 % salient weights, and the table of true bits."""
    assert port.billm_parameter_bits(0.1) == pytest.approx(1.1)
    for k, expected in ((32, 5.50), (64, 3.75), (128, 2.88), (256, 2.44), (512, 2.22)):
        n = m = 4096
        assert port.billm_storage_bits(n, m, 0, k) / (n * m) == pytest.approx(expected, abs=0.006)
