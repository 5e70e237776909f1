"""Scales that over- or underflow the type they are stored in."""

import numpy as np
import pytest
from run.helpers import make_settings

from subbit import reference
from subbit.conformance.command.cli_tables import summary_table
from subbit.conformance.runs.inventory import take_inventory
from subbit.conformance.runs.manifest import load_manifest, record_path
from subbit.conformance.runs.quantize import quantize_model
from subbit.conformance.runs.records import load_records
from subbit.conformance.runs.stored_scales import round_scales
from subbit.reference.errors import ArgumentError, SubbitError

LABELS = ["billm:paper", "arb-rc", "rtn", "pb-llm"]


def scaled(model, index, name, factor):
    model.set_weight(index, name, model.weight(index, name) * factor)


@pytest.mark.parametrize("label", LABELS)
def test_overflow_is_refused_with_its_count(label, tiny, sequences):
    scaled(tiny, 0, "mlp.up_proj", 1e6)
    settings = make_settings(tiny, sequences, label, blocks=(0, 1), parts=("up",))
    expected = r"block 0, mlp\.up_proj: scales: .* --scales float32\), got float16, with \d+ of \d+"
    with pytest.raises(SubbitError, match=expected):
        quantize_model(tiny, reference, settings, sequences)


@pytest.mark.parametrize("label", LABELS)
def test_a_wider_type_holds_the_same_layer(label, tiny, sequences):
    scaled(tiny, 0, "mlp.up_proj", 1e6)
    settings = make_settings(tiny, sequences, label, blocks=(0, 1), parts=("up",), scales="float32")
    (layer,) = quantize_model(tiny, reference, settings, sequences).layers
    assert layer.relative_error < 1
    assert layer.underflows == 0


def test_underflow_is_counted_and_reported(tiny, sequences, tmp_path):
    scaled(tiny, 1, "mlp.up_proj", 1e-6)
    settings = make_settings(tiny, sequences, "rtn", blocks=(1, 2), parts=("up", "gate"))
    manifest = quantize_model(tiny, reference, settings, sequences, out=tmp_path)
    counts = {layer.kind: layer.underflows for layer in manifest.layers}
    held = load_records(record_path(tmp_path, 1)).layers["mlp.up_proj"]
    scales = [plane.row_scale.size for b in held.blocks for g in b.groups for plane in g.planes]
    assert counts == {"gate": 0, "up": sum(scales)}
    assert load_manifest(tmp_path) == manifest
    notes = summary_table(manifest, take_inventory(tmp_path, manifest)).notes
    assert notes[-1].startswith(f"underflow: {counts['up']} scales lose digits in float16")


def test_nothing_is_said_where_nothing_is_lost(tiny, sequences, tmp_path):
    settings = make_settings(tiny, sequences, blocks=(0, 1), parts=("q",))
    manifest = quantize_model(tiny, reference, settings, sequences, out=tmp_path)
    notes = summary_table(manifest, take_inventory(tmp_path, manifest)).notes
    assert not any("underflow" in note for note in notes)


def valued(value):
    values = np.array([[value, 0.0]])
    group = reference.ValueGroup("kept", values != 0, values)
    return reference.QuantizedLayer((1, 2), (reference.QuantizedBlock(0, 2, (group,)),))


@pytest.mark.parametrize("value", [65504.0, 65519.0])
def test_numbers_that_round_to_the_largest_one_stay(value):
    assert round_scales(valued(value), "float16")[0].decode()[0, 0] == 65504.0


@pytest.mark.parametrize(
    ("value", "scales", "wider"), [(65521.0, "float16", "float32"), (1e39, "float32", "float64")]
)
def test_the_next_wider_type_is_named(value, scales, wider):
    with pytest.raises(ArgumentError, match=rf"--scales {wider}\), got {scales}, with 1 of 1 "):
        round_scales(valued(value), scales)
