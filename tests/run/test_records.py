"""Layer records: they load as they were saved, and files have exactly the counted size."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance.runs import records as record_files
from subbit.conformance.runs.records import load_records, save_records, write_atomically
from subbit.reference.errors import ArgumentError
from subbit.reference.factored import ProductGroup
from subbit.reference.haar import HaarGroup, HaarTerm
from subbit.reference.layer import (
    BinaryGroup,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
    ValueGroup,
)
from subbit.reference.leveled import CODES, SPAN, LevelGroup
from subbit.reference.storage.bits import payload_bits
from subbit.reference.storage.record_layout import put_layer, take_layer, tensor_bits
from subbit.reference.storage.record_tensors import RecordError


def _scale(rng, count):
    values = rng.normal(size=count).astype(np.float16).astype(np.float64)
    values[rng.random(count) < 0.1] = -0.0
    return values


def _plane(rng, mask, *, zeros, wide):
    sign = rng.choice([-1, 1], size=mask.shape).astype(np.int8)
    if zeros:
        sign[rng.random(mask.shape) < 0.2] = 0
    sign[~mask] = 0
    return Plane(sign, _scale(rng, len(mask)), _scale(rng, mask.shape[1]) if wide else None)


def _levels(rng, name, mask, references):
    """Whole columns at the levels of a code, with references that other groups may have."""
    code = str(rng.choice(list(CODES)))
    n, k = mask.shape
    if CODES[code].large:
        sizes = np.ones((n, k), dtype=np.int8)
        whole = sizes[:, : k - k % SPAN].reshape(n, -1, SPAN)
        whole[rng.random(whole.shape).argsort(axis=2).argsort(axis=2) < CODES[code].large] = 3
        levels = (sizes * rng.choice([-1, 1], size=(n, k))).astype(np.int8)
    else:
        top = 2 ** CODES[code].planes - 1
        levels = (2 * rng.integers(0, top + 1, size=(n, k)) - top).astype(np.int8)
    exponent = rng.integers(-128, 128, size=n).astype(np.int8) if rng.random() < 0.7 else None
    columns = _scale(rng, k) if rng.random() < 0.7 else None
    reference = references[int(rng.integers(0, len(references)))]
    return LevelGroup(name, mask, code, levels, reference, exponent, columns)


def _product(rng, name, mask):
    """Whole columns as a product of any rank."""
    (n, k), rank = mask.shape, int(rng.integers(1, 9))
    left, right = (rng.choice([-1, 1], size=s).astype(np.int8) for s in ((n, rank), (rank, k)))
    return ProductGroup(name, mask, left, right, _scale(rng, n), _scale(rng, k))


def _group(rng, name, mask):
    if rng.random() < 0.3:
        bits = int(rng.integers(1, 9))
        codes = rng.integers(0, 2**bits, size=mask.shape).astype(np.uint8)
        codes[~mask] = 0
        zero = rng.integers(0, 2**bits, size=len(mask)).astype(np.float64)
        return UniformGroup(name, mask, codes, _scale(rng, len(mask)), zero, bits)
    if rng.random() < 0.3:
        values = np.where(mask, _scale(rng, mask.size).reshape(mask.shape), 0.0)
        return ValueGroup(name, mask, values)
    planes = tuple(
        _plane(rng, mask, zeros=rng.random() < 0.3, wide=rng.random() < 0.3)
        for _ in range(rng.integers(0, 4))
    )
    return BinaryGroup(name, mask, planes, _scale(rng, len(mask)) if rng.random() < 0.5 else None)


def _haar(rng, rows, width):
    """Haar coefficients of columns that are not dead, in up to three terms."""
    covered, shared = rng.random(width) < 0.8, bool(rng.random() < 0.5)
    terms = []
    for _ in range(int(rng.integers(0, 4))):
        columns = covered & (rng.random(width) < 0.5)
        columns = columns if rng.random() < 0.6 else covered
        if columns.any():
            terms.append(_term(rng, rows, columns, shared=shared))
    # The rest of the columns, or all.
    left = covered & ~np.any([term.columns for term in terms], axis=0)
    if left.any():
        terms.append(_term(rng, rows, left, shared=shared))
    mask = np.broadcast_to(covered, (rows, width)).copy()
    return HaarGroup("haar", mask, tuple(terms), shared)


def _term(rng, rows, columns, *, shared):
    axis, groups = str(rng.choice(["columns", "rows"])), []
    for band in HaarTerm(axis, columns, ()).bands:
        owner = rng.integers(0, 2, size=(rows, int(columns.sum())))
        mean = _scale(rng, rows)
        for number in range(2):
            mask = np.zeros(owner.shape, dtype=np.bool_)
            mask[:, band] = owner[:, band] == number
            plane = _plane(rng, mask, zeros=rng.random() < 0.3, wide=False)
            own = mean if shared else _scale(rng, rows) if rng.random() < 0.7 else None
            groups.append(BinaryGroup(f"{number}", mask, (plane,), own))
    return HaarTerm(axis, columns, tuple(groups))


def _pattern(rng, owner):
    """Prune a block to N:M, except for last columns that do not fill a group."""
    rows, width = owner.shape
    group = int(rng.integers(1, 9))
    keep = int(rng.integers(1, group + 1))
    whole = width - width % group
    order = rng.random((rows, whole // group, group)).argsort(axis=2).argsort(axis=2)
    owner[:, :whole][order.reshape(rows, whole) >= keep] = -1
    return keep, group


def _block(rng, rows, start, stop, references):
    if rng.random() < 0.3:
        mask = np.ones((rows, stop - start), dtype=np.bool_)
        whole = _product(rng, "product", mask)
        if rng.random() < 0.6:
            whole = _levels(rng, "levels", mask, references)
        return QuantizedBlock(start, stop, (whole,))
    if rng.random() < 0.3:
        return QuantizedBlock(start, stop, (_haar(rng, rows, stop - start),))
    width, count = stop - start, int(rng.integers(1, 6))
    owner = rng.integers(-1 if rng.random() < 0.4 else 0, count, size=(rows, width))
    if rng.random() < 0.3:
        owner[:, rng.random(width) < 0.5] = -1
    salient = None
    if rng.random() < 0.6:
        salient = rng.random(width) < 0.3
        owner[owner == count - 1] = count - 2  # -1, no group, if there is only one
        owner[:, salient] = count - 1
    pattern = _pattern(rng, owner) if rng.random() < 0.5 else None
    groups = tuple(_group(rng, f"group {g}", owner == g) for g in range(count))
    return QuantizedBlock(start, stop, groups, salient, pattern)


@st.composite
def layers(draw):
    """Any valid record: pruned entries, several orders, uniform codes, permuted columns."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(1, 9))
    stops = np.cumsum(draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))).tolist()
    references = [_scale(rng, rows) for _ in range(2)]
    blocks = tuple(
        _block(rng, rows, start, stop, references)
        for start, stop in zip([0, *stops[:-1]], stops, strict=True)
    )
    order = rng.permutation(stops[-1]) if draw(st.booleans()) else None
    return QuantizedLayer((rows, stops[-1]), blocks, order)


def _canonical_levels(group):
    if group.coding.planes:
        return group
    parts = {"reference": group.reference, "exponent": group.exponent}
    parts["column_scale"] = group.column_scale
    zeros = {name: None if part is None else np.zeros_like(part) for name, part in parts.items()}
    return dataclasses.replace(group, **zeros)


def _canonical_group(group):
    if isinstance(group, ValueGroup | ProductGroup):
        return group
    if isinstance(group, LevelGroup):
        return _canonical_levels(group)
    if isinstance(group, HaarGroup):
        terms = (
            dataclasses.replace(term, groups=tuple(map(_canonical_group, term.groups)))
            for term in group.terms
        )
        return dataclasses.replace(group, terms=tuple(terms))
    return _canonical_numbers(group)


def _canonical_numbers(group):
    if isinstance(group, UniformGroup):
        if group.mask.any():
            return group
        zero = np.zeros(len(group.mask))
        return dataclasses.replace(group, scale=zero, zero=zero)
    planes = []
    for plane in group.planes:
        sign = plane.sign.copy()
        meant = plane.row_scale[:, None] != 0.0
        if not (group.mask & (sign == 0) & meant).any():
            sign[group.mask & (sign == 0)] = 1
        columns = plane.column_scale
        if columns is not None:
            columns = np.where(group.mask.any(axis=0), columns, 0.0)
        planes.append(dataclasses.replace(plane, sign=sign, column_scale=columns))
    group = dataclasses.replace(group, planes=tuple(planes))
    if group.mask.any():
        return group
    zero = np.zeros(len(group.mask))
    wide = [p.column_scale is not None for p in group.planes]
    empty = tuple(
        Plane(p.sign, zero, np.zeros(group.mask.shape[1]) if w else None)
        for p, w in zip(group.planes, wide, strict=True)
    )
    return dataclasses.replace(group, planes=empty, mean=None if group.mean is None else zero)


def canonical(layer):
    """The layer without details that no decoder can see."""
    blocks = tuple(
        dataclasses.replace(block, groups=tuple(map(_canonical_group, block.groups)))
        for block in layer.blocks
    )
    return dataclasses.replace(layer, blocks=blocks)


def assert_same(one, other):
    """Compare two records field by field, bits of floats included."""
    assert type(one) is type(other)
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()
    else:
        assert one == other


@given(layer=layers())
def test_a_loaded_record_is_the_saved_one(layer, tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "block.safetensors"
    size = save_records(path, {"a.b": layer}, about={"method": "any"})
    records = load_records(path)
    assert_same(records.layers["a.b"], canonical(layer))
    # A group without planes may decode to zeros with a sign, which no file keeps.
    assert records.layers["a.b"].decode().tobytes() == canonical(layer).decode().tobytes()
    assert np.array_equal(records.layers["a.b"].decode(), layer.decode())
    assert records.about == {"method": "any"}
    assert records.file_bytes == size == path.stat().st_size
    assert 8 * records.layer_bytes["a.b"] == sum(tensor_bits(layer).values())


# What is counted as one part and stored in several.
TOGETHER = {
    "kept_map": ("pattern_map", "kept_map"),
    "group_map": ("group_map", "level_map"),
    "scales": ("scales", "references", "exponents"),
}


@given(layer=layers())
def test_the_file_is_as_tight_as_the_payload_bits_say(layer):
    counted = dataclasses.asdict(payload_bits(layer))
    assert counted.pop("weights") == layer.shape[0] * layer.shape[1]
    stored = tensor_bits(layer)
    for part, names in TOGETHER.items():
        parts = [stored.pop(name) for name in names if name in stored]
        assert 0 <= sum(parts) - counted.pop(part) < 8 * max(len(parts), 1), part
    for part, bits in counted.items():
        assert 0 <= stored.pop(part, 0) - bits < 8, part
    assert not stored


@given(layer=layers(), position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_damaged_file_is_refused(layer, position, bit, tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "block.safetensors"
    save_records(path, {"layer": layer})
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(RecordError, match=r"block\.safetensors: no valid layer records"):
        load_records(path)


@given(layer=layers(), keep=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(layer, keep, tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "block.safetensors"
    save_records(path, {"layer": layer})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(RecordError, match="no valid layer records"):
        load_records(path)


def _sign_layer(scale=1.0, sign=((1, -1),), mask=((True, True),)):
    plane = Plane(np.array(sign, dtype=np.int8), np.array([scale]))
    group = BinaryGroup("all", np.array(mask), (plane,))
    return QuantizedLayer((1, 2), (QuantizedBlock(0, 2, (group,)),))


def test_a_scale_that_the_type_does_not_hold_is_refused(tmp_path):
    path = tmp_path / "block.safetensors"
    layer = _sign_layer(0.1)
    with pytest.raises(ArgumentError, match="scales that float16 holds exactly"):
        save_records(path, {"layer": layer})
    with pytest.raises(ArgumentError, match="scales that float16 holds exactly"):
        save_records(path, {"layer": _sign_layer(1e6)})
    assert list(tmp_path.iterdir()) == []
    save_records(path, {"layer": layer}, scales="float64")
    assert_same(load_records(path).layers["layer"], layer)
    rounded = layer.with_scales("float16")
    save_records(path, {"layer": rounded})
    assert_same(load_records(path).layers["layer"], rounded)


def test_the_third_level_of_the_released_sign_survives_and_costs_its_bitmap():
    assert tensor_bits(_sign_layer()) == {"signs": 8, "scales": 16}
    assert tensor_bits(_sign_layer(sign=((0, -1),))) == {
        "signs": 8,
        "zero_signs": 8,
        "scales": 16,
    }


def _value_layer(mask, pattern=None, values=None):
    mask = np.array(mask)
    group = ValueGroup("kept", mask, 1.0 * mask if values is None else values)
    return QuantizedLayer(mask.shape, (QuantizedBlock(0, mask.shape[1], (group,), None, pattern),))


NM = np.array([[1, 1, 0, 0, 0, 1, 1, 0, 1], [0, 1, 1, 0, 1, 0, 1, 0, 1]], dtype=bool)


def test_kept_entries_are_stored_as_numbers_of_patterns():
    """Four groups of 2:4 in six patterns: 3 bits each instead of 4."""
    sizes = tensor_bits(_value_layer(NM, (2, 4)))
    assert sizes == {"pattern_map": 16, "values": 16 * np.count_nonzero(NM)}
    assert payload_bits(_value_layer(NM, (2, 4))).kept_map == 12
    assert tensor_bits(_value_layer(NM))["kept_map"] == 24


def test_dead_columns_under_a_pattern_cost_a_flag_a_column_and_gaps_one_an_entry():
    dead = NM & (np.arange(9) != 1)
    assert payload_bits(_value_layer(dead, (2, 4))).kept_map == 12 + 9
    gap = np.array([[1, 1, 0, 0, 1], [0, 0, 1, 1, 1], [0, 0, 0, 1, 1]], dtype=bool)
    assert payload_bits(_value_layer(gap, (2, 4))).kept_map == 3 * 3 + 3 * (2 + 1)
    for mask in (dead, gap):
        layout, tensors = put_layer(_value_layer(mask, (2, 4)), "float16")
        assert_same(take_layer(layout, tensors, "float16"), _value_layer(mask, (2, 4)))


@pytest.mark.parametrize("number", [6, 7])
def test_a_number_that_no_pattern_has_is_refused(number):
    layout, tensors = put_layer(_value_layer(NM, (2, 4)), "float16")
    bits = np.unpackbits(tensors["pattern_map"])
    bits[:3] = (number >> np.arange(3)) & 1
    with pytest.raises(RecordError, match="names a pattern that is not there"):
        take_layer(layout, tensors | {"pattern_map": np.packbits(bits)}, "float16")


@pytest.mark.parametrize("pattern", [[0, 4], [5, 4], [4, 0], [2, -1], [2], "2:4", [1, 4]])
def test_another_pattern_than_the_saved_one_is_refused(pattern, tmp_path, monkeypatch):
    def other(layer, dtype):
        layout, tensors = put_layer(layer, dtype)
        layout["patterns"][0]["pattern"] = pattern
        return layout, tensors

    path = tmp_path / "block.safetensors"
    monkeypatch.setattr(record_files, "put_layer", other)
    save_records(path, {"layer": _value_layer(NM, (2, 4))})
    with pytest.raises(RecordError, match="no valid layer records"):
        load_records(path)


def test_files_of_the_first_version_are_read(tmp_path, monkeypatch):
    path = tmp_path / "block.safetensors"
    for version in (1, 2, 3, 5):
        monkeypatch.setattr(record_files, "FORMAT_VERSION", version)
        save_records(path, {"layer": _sign_layer()})
        monkeypatch.undo()
        if version <= 3:
            assert_same(load_records(path).layers["layer"], _sign_layer())
    with pytest.raises(RecordError, match="version 1 to 4"):
        load_records(path)


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [
        (_value_layer(NM, (1, 4)), "at most 1 covered of each 4 columns"),
        (_value_layer(NM, (2, 4), np.ones(NM.shape)), "values that are 0 outside their mask"),
        (_value_layer(NM, (2, 4), 0.1 * NM), "values that float16 holds exactly"),
        (_sign_layer(mask=((True, False),)), "0 outside their mask"),
        (
            QuantizedLayer((1, 2), (QuantizedBlock(0, 2, _sign_layer().blocks[0].groups * 2),)),
            "disjoint masks",
        ),
        (
            QuantizedLayer(
                (1, 1),
                (
                    QuantizedBlock(
                        0,
                        1,
                        (
                            UniformGroup(
                                "all",
                                np.ones((1, 1), dtype=bool),
                                np.ones((1, 1), dtype=np.uint8),
                                np.ones(1),
                                np.array([4.0]),
                                2,
                            ),
                        ),
                    ),
                ),
            ),
            "zero points from 0 to 3",
        ),
    ],
)
def test_a_record_that_is_no_valid_one_is_not_written(layer, complaint, tmp_path):
    with pytest.raises(ArgumentError, match=complaint):
        save_records(tmp_path / "x", {"layer": layer})
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other"
    path.write_bytes(b"")
    with pytest.raises(RecordError):
        load_records(path)
    with pytest.raises(ArgumentError, match="scales"):
        save_records(path, {}, scales="float8")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("subbit.conformance.runs.records.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
