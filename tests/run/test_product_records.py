"""Products of sign matrices in records and files: their bits, and broken ones that are refused."""

from dataclasses import replace

import numpy as np
import pytest

from subbit.conformance.runs.records import load_records, save_records
from subbit.conformance.runs.stored_scales import round_scales
from subbit.reference import nominal_bits, payload_bits
from subbit.reference.errors import ArgumentError
from subbit.reference.factored import ProductGroup
from subbit.reference.layer import QuantizedBlock, QuantizedLayer
from subbit.reference.record_checks import check_group
from subbit.reference.storage.record_layout import put_layer, take_layer
from subbit.reference.storage.record_tensors import RecordError

ROWS, WIDTH, RANK = 3, 7, 2


def group(**fields):
    rng = np.random.default_rng(0)
    signs = [rng.choice([-1, 1], s).astype(np.int8) for s in ((ROWS, RANK), (RANK, WIDTH))]
    made = ProductGroup(
        "all", np.ones((ROWS, WIDTH), dtype=bool), *signs, np.arange(ROWS) + 0.5, np.ones(WIDTH)
    )
    return replace(made, **fields)


def layer(one):
    return QuantizedLayer((ROWS, WIDTH), (QuantizedBlock(0, WIDTH, (one,)),))


def test_bits_follow_from_the_rank():
    bits = payload_bits(layer(group()))
    assert (bits.signs, bits.scales) == (RANK * (ROWS + WIDTH), 16 * (ROWS + WIDTH))
    assert bits.total == bits.signs + bits.scales
    assert nominal_bits(layer(group())) == RANK * (ROWS + WIDTH) / (ROWS * WIDTH)
    assert payload_bits(layer(group()), float_bits=32).scales == 2 * bits.scales


def test_a_file_holds_signs_by_rows_then_scales(tmp_path):
    one = group()
    layout, tensors = put_layer(layer(one), "float16")
    signs = np.concatenate([np.ravel(one.left), np.ravel(one.right)]) > 0
    assert np.array_equal(np.unpackbits(tensors["signs"])[: signs.size], signs)
    assert tensors["scales"].tolist() == [0.5, 1.5, 2.5] + [1.0] * WIDTH
    assert layout["patterns"][0]["groups"] == [{"name": "all", "rank": RANK}]
    save_records(tmp_path / "x", {"layer": layer(one)})
    assert np.array_equal(load_records(tmp_path / "x").layers["layer"].decode(), one.decode())


@pytest.mark.parametrize("rank", [0, 1, 3, -1, 0.5, None, "2", True, 10**9])
def test_another_rank_is_refused(rank):
    layout, tensors = put_layer(layer(group()), "float16")
    layout["patterns"][0]["groups"][0]["rank"] = rank
    with pytest.raises(RecordError):
        take_layer(layout, tensors, "float16")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"mask": np.eye(ROWS, WIDTH, dtype=bool)}, "all entries of the columns"),
        ({"left": np.zeros((ROWS, RANK), np.int8)}, "signs of -1 or"),
        ({"left": np.full((ROWS, RANK), -128, np.int8)}, "signs of -1 or"),
        ({"left": np.ones((ROWS, RANK + 1), np.int8)}, "left: expected an array"),
        ({"right": np.ones((RANK, WIDTH))}, "right: expected an array"),
        ({"right": np.ones((0, WIDTH), np.int8)}, "at least one component"),
        ({"right": None}, "at least one component"),
        ({"row_scale": np.full(ROWS, np.nan)}, "row_scale"),
        ({"column_scale": np.ones(WIDTH + 1)}, "column_scale"),
        ({"column_scale": None}, "column_scale"),
    ],
)
def test_what_is_no_product_is_refused(fields, complaint, tmp_path):
    check_group("group", group(), ProductGroup)
    with pytest.raises(ArgumentError, match=complaint):
        check_group("group", group(**fields), ProductGroup)
    with pytest.raises(ArgumentError, match=complaint):
        save_records(tmp_path / "x", {"layer": layer(group(**fields))})


def test_some_entries_of_columns_are_no_product():
    layout, tensors = put_layer(layer(group()), "float16")
    layout["patterns"][0]["kept"] = "columns"
    flags = np.packbits(np.arange(WIDTH) > 0)
    with pytest.raises(RecordError, match="some entries of its columns"):
        take_layer(layout, tensors | {"kept_map": flags}, "float16")


@pytest.mark.parametrize("field", ["row_scale", "column_scale"])
def test_scales_beyond_the_stored_type_are_refused_and_those_below_counted(field):
    count = ROWS if field == "row_scale" else WIDTH
    with pytest.raises(ArgumentError, match=f"float16, with {count} of {ROWS + WIDTH} beyond"):
        round_scales(layer(group(**{field: np.full(count, 1e6)})), "float16")
    assert round_scales(layer(group(**{field: np.full(count, 1e-6)})), "float16")[1] == count
    rounded = layer(group(**{field: np.full(count, 0.1)})).with_scales("float16")
    assert getattr(rounded.blocks[0].groups[0], field)[0] == np.float64(np.float16(0.1))


def test_numbers_that_a_type_does_not_hold_are_not_written(tmp_path):
    with pytest.raises(ArgumentError, match="scales that float16 holds exactly"):
        save_records(tmp_path / "x", {"layer": layer(group(row_scale=np.full(ROWS, 0.1)))})
    assert list(tmp_path.iterdir()) == []
