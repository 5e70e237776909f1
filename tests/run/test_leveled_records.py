"""Files of level groups: what they share and leave out, and broken ones that are refused."""

from dataclasses import replace

import numpy as np
import pytest

from subbit.conformance.cases.storage.leveled import draw_levels
from subbit.conformance.runs.records import load_records, save_records
from subbit.conformance.runs.stored_scales import round_scales
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, ValueGroup
from subbit.reference.leveled import LevelGroup
from subbit.reference.storage.record_layout import put_layer, take_layer, tensor_bits
from subbit.reference.storage.record_tensors import RecordError

ROWS, WIDTH = 3, 32


def group(code, reference=None, *, coded=True, scaled=False):
    rng = np.random.default_rng(1)
    return LevelGroup(
        "all",
        np.ones((ROWS, WIDTH), dtype=bool),
        code,
        draw_levels(rng, code, (ROWS, WIDTH)),
        np.ones(ROWS) if reference is None else reference,
        np.arange(ROWS, dtype=np.int8) if coded else None,
        np.full(WIDTH, 0.5) if scaled else None,
    )


def layer(*groups):
    blocks = (QuantizedBlock(WIDTH * g, WIDTH * (g + 1), (x,)) for g, x in enumerate(groups))
    return QuantizedLayer((ROWS, WIDTH * len(groups)), tuple(blocks))


def test_equal_references_are_stored_once():
    same, other = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])
    groups = [group("1", same), group("2", other), group("3", same.copy()), group("1", other)]
    assert tensor_bits(layer(*groups))["references"] == 2 * 16 * ROWS
    zeros = [group("1", np.zeros(ROWS)), group("1", -np.zeros(ROWS))]
    assert tensor_bits(layer(*zeros))["references"] == 2 * 16 * ROWS


def test_a_group_without_planes_stores_its_code_alone():
    alone = tensor_bits(layer(group("0", scaled=True)))
    assert alone == {"column_map": 8}
    layout, tensors = put_layer(layer(group("0"), group("1", np.full(ROWS, 7.0))), "float16")
    back = take_layer(layout, tensors, "float16").blocks
    assert not back[0].groups[0].reference.any()
    assert np.array_equal(back[1].groups[0].reference, np.full(ROWS, 7.0))


def with_bits(tensors, name, first, number, width):
    """Tensors with another number of some bits, the lowest first."""
    bits = np.unpackbits(tensors[name])
    bits[first : first + width] = (number >> np.arange(width)) & 1
    return tensors | {name: np.packbits(bits)}


@pytest.mark.parametrize(("code", "number"), [("2:16", 120), ("2:16", 127), ("3:16", 560)])
def test_a_pattern_that_is_not_there_is_refused(code, number):
    layout, tensors = put_layer(layer(group(code)), "float16")
    width = {"2:16": 7, "3:16": 10}[code]
    right = with_bits(tensors, "level_map", 0, number - 1 if number != 127 else 119, width)
    take_layer(layout, right, "float16")
    with pytest.raises(RecordError, match="level_map names a pattern that is not there"):
        take_layer(layout, with_bits(tensors, "level_map", 0, number, width), "float16")


NUMBERS = {"1:16": 2, "2": 5, "4": 7}


@pytest.mark.parametrize(
    ("own", "other"), [(own, n) for own, right in NUMBERS.items() for n in range(8) if n != right]
)
def test_another_code_is_refused(own, other):
    """Its tensors would have another length."""
    layout, tensors = put_layer(layer(group(own)), "float16")
    with pytest.raises(RecordError):
        take_layer(layout, with_bits(tensors, "column_map", 0, other, 3), "float16")


@pytest.mark.parametrize("place", [1, 7, -1, 0.5, None, "0", True])
def test_references_that_are_not_there_are_refused(place):
    layout, tensors = put_layer(layer(group("2")), "float16")
    layout["patterns"][0]["groups"][0]["reference"] = place
    with pytest.raises((RecordError, TypeError, ValueError)):
        take_layer(layout, tensors, "float16")


def test_references_that_no_group_takes_are_refused():
    """A place that was stored before leaves a tensor unread."""
    first, second = group("1"), group("1", np.full(ROWS, 2.0))
    layout, tensors = put_layer(layer(first, second), "float16")
    assert layout["patterns"][1]["groups"][0]["reference"] == 1
    layout["patterns"][1]["groups"][0]["reference"] = 0
    with pytest.raises(RecordError):
        take_layer(layout, tensors, "float16")


@pytest.mark.parametrize("part", ["codes", "exponents", "references", "scales", "column_map"])
def test_parts_that_are_missing_or_too_long_are_refused(part):
    layout, tensors = put_layer(layer(group("3", scaled=True)), "float16")
    with pytest.raises(RecordError):
        take_layer(layout, {n: x for n, x in tensors.items() if n != part}, "float16")
    longer = np.concatenate([tensors[part], tensors[part]])
    with pytest.raises(RecordError):
        take_layer(layout, tensors | {part: longer}, "float16")


def test_some_entries_of_columns_are_no_group_of_levels(tmp_path):
    half = np.arange(ROWS * WIDTH).reshape(ROWS, WIDTH) % 2 == 0
    parts = tuple(ValueGroup(name, m, 1.0 * m) for name, m in (("a", half), ("b", ~half)))
    values = QuantizedLayer((ROWS, WIDTH), (QuantizedBlock(0, WIDTH, parts),))
    layout, tensors = put_layer(values, "float16")
    own, _ = put_layer(layer(group("1")), "float16")
    layout["patterns"][0]["groups"][0] = own["patterns"][0]["groups"][0]
    with pytest.raises(RecordError, match="some entries of its columns, not all"):
        take_layer(layout, tensors, "float16")
    wrong = layer(replace(group("1"), mask=half))
    with pytest.raises(ArgumentError, match="all entries of the columns"):
        save_records(tmp_path / "x", {"layer": wrong})


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"levels": np.zeros((ROWS, WIDTH), np.int8)}, "odd levels"),
        ({"code": "1"}, "levels below 2"),
        ({"code": "2:16"}, "2 of each 16 levels"),
        ({"reference": np.full(ROWS, 0.1)}, "references that float16 holds exactly"),
        ({"column_scale": np.full(WIDTH, 0.1)}, "scales that float16 holds exactly"),
        ({"exponent": np.zeros(ROWS)}, "exponent: expected an array"),
    ],
)
def test_a_group_that_is_no_valid_one_is_not_written(fields, complaint, tmp_path):
    with pytest.raises(ArgumentError, match=complaint):
        save_records(tmp_path / "x", {"layer": layer(replace(group("2"), **fields))})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["reference", "column_scale"])
def test_a_number_beyond_the_stored_type_is_refused(field):
    count = ROWS if field == "reference" else WIDTH
    wide = layer(replace(group("2", scaled=True), **{field: np.full(count, 1e6)}))
    with pytest.raises(ArgumentError, match=f"float16, with {count} of {ROWS + WIDTH} beyond"):
        round_scales(wide, "float16")
    with pytest.raises(ArgumentError, match=f"float16, which is too small for {count}"):
        wide.with_scales("float16")
    assert np.array_equal(round_scales(wide, "float32")[0].decode(), wide.decode())


@pytest.mark.parametrize("field", ["reference", "column_scale"])
def test_numbers_below_the_stored_type_are_counted(field):
    count = ROWS if field == "reference" else WIDTH
    small = layer(replace(group("2", scaled=True), **{field: np.full(count, 1e-6)}))
    rounded, underflows = round_scales(small, "float16")
    assert underflows == count
    assert not np.array_equal(rounded.decode(), small.decode())
    assert round_scales(small, "float32")[1] == 0


def test_shared_references_are_counted_once():
    small = np.full(ROWS, 1e-6)
    assert round_scales(layer(group("1", small), group("2", small.copy())), "float16")[1] == ROWS
    assert round_scales(layer(group("1", small), group("2", 2 * small)), "float16")[1] == 2 * ROWS


def test_rounding_leaves_levels_and_exponents(tmp_path):
    own = group("3:16", np.array([0.1, 0.2, 0.3]), scaled=True)
    rounded, _ = round_scales(layer(own), "float16")
    (found,) = rounded.blocks[0].groups
    assert np.array_equal(found.levels, own.levels)
    assert np.array_equal(found.exponent, own.exponent)
    assert np.allclose(rounded.decode(), layer(own).decode(), rtol=1e-3)
    save_records(tmp_path / "x", {"layer": rounded})
    assert np.array_equal(load_records(tmp_path / "x").layers["layer"].decode(), rounded.decode())
