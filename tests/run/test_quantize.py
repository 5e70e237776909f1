"""Quantization of a model: the inputs of each layer, what is kept, and what is left alone."""

import errno

import numpy as np
import pytest
from run.helpers import StoppingPort, all_weights, make_settings

from subbit import reference
from subbit.conformance.models.load import load_model
from subbit.conformance.runs import records
from subbit.conformance.runs.calibrate import advance, block_hessians, embed
from subbit.conformance.runs.manifest import load_manifest, record_path
from subbit.conformance.runs.plan import count_steps, parse_blocks, plan
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.conformance.runs.records import load_records
from subbit.reference.errors import ArgumentError, SubbitError

LABELS = ["rtn:sign", "gptq:2bit", "billm:paper", "billm:released", "billm:corrected"]


def by_hand(sequences, label, scales="float16"):
    """The loop of the papers' codes, block by block, with whole arrays."""
    model = load_model("tiny")
    method, preset = label.split(":")
    entry = getattr(reference, reference.METHODS[method].entry)
    config = reference.METHODS[method].presets[preset]
    hidden, layers = embed(model, sequences), {}
    for index in range(model.n_blocks):
        linears = model.linears(index)
        hessians = block_hessians(model, index, hidden, {x.input_name for x in linears})
        for linear in linears:
            W = model.weight(index, linear.name)
            layer = entry(W, hessians[linear.input_name], config).with_scales(scales)
            layers[index, linear.name] = layer.decode()
        for linear in linears:
            model.set_weight(index, linear.name, layers[index, linear.name])
        advance(model, index, hidden)
    return layers


@pytest.mark.parametrize("label", LABELS)
def test_each_layer_sees_its_block_at_full_precision_and_earlier_ones_quantized(
    label, tiny, sequences, tmp_path
):
    settings = make_settings(tiny, sequences, label)
    manifest = quantize_model(tiny, reference, settings, sequences, out=tmp_path)
    weights = all_weights(tiny)
    for (index, name), Q in by_hand(sequences, label).items():
        layer = load_records(record_path(tmp_path, index)).layers[name]
        np.testing.assert_array_equal(layer.decode(), Q)
        np.testing.assert_array_equal(weights[index, name], Q.astype(np.float32))
    assert manifest == load_manifest(tmp_path)
    assert manifest.complete


def test_results_are_those_of_the_rounded_layer(tiny, sequences, settings):
    before, hidden = all_weights(tiny), embed(tiny, sequences)
    inputs = {linear.name: linear.input_name for linear in tiny.linears(0)}
    hessians = block_hessians(tiny, 0, hidden, set(inputs.values()))
    manifest = quantize_model(tiny, reference, settings, sequences)
    for layer in manifest.blocks[0].layers:
        W, H = before[0, layer.name], hessians[inputs[layer.name]]
        made = reference.billm_layer(W, H).with_scales("float16")
        assert layer.relative_error == pytest.approx(reference.relative_error(W, made.decode(), H))
        assert layer.payload_bits == reference.payload_bits(made).total
        assert layer.nominal == pytest.approx(reference.nominal_bits(made) * W.size)
        salient = sum(block.salient.sum() for block in made.blocks)
        assert layer.salient_share == salient / W.shape[1]


def test_only_the_selection_changes(tiny, sequences):
    before = all_weights(tiny)
    settings = make_settings(tiny, sequences, blocks=(1, 2), parts=("q", "down"))
    manifest = quantize_model(tiny, reference, settings, sequences)
    names = ["self_attn.q_proj", "mlp.down_proj"]
    assert [(x.block, x.name) for x in manifest.layers] == [(1, name) for name in names]
    for (index, name), weight in all_weights(tiny).items():
        chosen = index == 1 and name in names
        assert np.array_equal(weight, before[index, name]) != chosen


def test_any_port_can_do_the_layer_work(tiny, sequences, settings):
    calls = []

    class Port:
        def billm_layer(self, W, H, config):
            calls.append((W.shape, H.shape, config))
            return reference.rtn_layer(W)

    manifest = quantize_model(tiny, Port(), settings, sequences)
    assert len(calls) == 21
    assert {config for *_, config in calls} == {reference.METHODS["billm"].presets["paper"]}
    assert {layer.nominal / layer.weights for layer in manifest.layers} == {1.0}


def test_a_port_without_the_routine_is_refused(tiny, sequences, settings, tmp_path):
    with pytest.raises(ArgumentError, match="target: expected a port that has billm_layer"):
        quantize_model(tiny, object(), settings, sequences, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_refused_layer_is_named(tiny, sequences, settings):
    port = StoppingPort(8, SubbitError("no"))
    with pytest.raises(SubbitError, match=r"decoder block 1, self_attn\.k_proj: no"):
        quantize_model(tiny, port, settings, sequences)


def test_other_sequences_than_described_are_refused(tiny, sequences, settings):
    with pytest.raises(ArgumentError, match="sequences"):
        quantize_model(tiny, reference, settings, sequences + 1)


def test_nan_weights_are_found_before_anything_is_written(tiny, sequences, settings, tmp_path):
    weight = tiny.weight(2, "mlp.up_proj")
    weight[3, 5] = np.nan
    monkey = {(2, "mlp.up_proj"): weight}
    original = tiny.weight
    tiny.weight = lambda index, name: monkey.get((index, name), original(index, name))
    with pytest.raises(SubbitError, match=r"mlp\.up_proj in decoder block 2 holds NaN"):
        quantize_model(tiny, reference, settings, sequences, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scales", ["float16", "float32", "float64"])
def test_scales_are_rounded_to_their_storage_type(scales, tiny, sequences, tmp_path):
    settings = make_settings(tiny, sequences, scales=scales, blocks=(0, 1))
    manifest = quantize_model(tiny, reference, settings, sequences, out=tmp_path)
    expected = by_hand(sequences, "billm:paper", scales)
    layers = load_records(record_path(tmp_path, 0)).layers
    for name, layer in layers.items():
        np.testing.assert_array_equal(layer.decode(), expected[0, name])
    values = {layer.name: layer.payload["scales"] for layer in manifest.layers}
    assert values["self_attn.q_proj"] == 64 * 4 * 8 * np.dtype(scales).itemsize


def test_steps_are_counted_beforehand(tiny, sequences):
    for choices in ({}, {"blocks": (1, 3), "parts": ("v",)}):
        model = load_model("tiny")
        settings = make_settings(model, sequences, "rtn:sign", **choices)
        steps = []
        quantize_model(model, reference, settings, sequences, hooks=Hooks(step=steps.append))
        assert len(steps) == count_steps(tiny, settings)


def test_a_full_disk_costs_one_block(tiny, sequences, settings, tmp_path, monkeypatch):
    """The synced files are manifest, record 0, manifest, and record 1, which does not fit."""
    out, synced = tmp_path / "out", []
    sync = records.os.fsync

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        quantize_model(tiny, reference, settings, sequences, out=out)
    assert [path.name for path in (out / "layers").iterdir()] == ["block-000.safetensors"]
    assert len(load_manifest(out).blocks) == 1
    again = quantize_model(load_model("tiny"), reference, settings, sequences, out=out, resume=True)
    assert again.complete


@pytest.mark.parametrize(
    ("label", "choices", "complaint"),
    [
        ("bilm:paper", {}, "method: expected one of rtn, gptq, .*, got bilm"),
        ("billm:papre", {}, "preset: expected one of paper, released"),
        ("billm:paper", {"blocks": (2, 4)}, "blocks: expected START:STOP"),
        ("billm:paper", {"blocks": (2, 2)}, "blocks: expected START:STOP"),
        ("billm:paper", {"parts": ("q", "qkv")}, "parts: expected one of q, k, v, o"),
        ("billm:paper@4:8", {}, "keep: expected a method and preset that prune to N:M"),
        ("billm:paper", {"scales": "bfloat16"}, "scales: expected one of float16"),
    ],
)
def test_what_is_unknown_is_refused(label, choices, complaint, tiny, sequences):
    with pytest.raises(ArgumentError, match=complaint):
        make_settings(tiny, sequences, label, **choices)


@pytest.mark.parametrize("text", ["1", "a:b", "1:2:3", "-1:2", "1-2"])
def test_a_selection_that_is_none_is_refused(text):
    with pytest.raises(ArgumentError, match="blocks: expected START:STOP"):
        parse_blocks(text, 3)


def test_the_first_preset_is_the_default(tiny, settings):
    named = plan(tiny, "billm", settings.calibration)
    assert named.label == "billm:paper"
    assert named == settings


def test_tokens_beyond_the_embedding_leave_no_manifest(tiny, sequences, tmp_path):
    sequences[0, 0] = 256
    settings = make_settings(tiny, sequences)
    with pytest.raises(ArgumentError, match="tokens: expected numbers from 0 to 255"):
        quantize_model(tiny, reference, settings, sequences, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
