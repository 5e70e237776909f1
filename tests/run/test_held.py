"""Records are bound to their run: every reader compares, verify tells, --resume mends."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from run.helpers import StoppingPort, all_weights, files_of, make_settings, without_times
from typer.testing import CliRunner

from subbit import reference
from subbit.conformance.command.cli import make_app
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.held import read_block, verify
from subbit.conformance.runs.inventory import take_inventory
from subbit.conformance.runs.manifest import MANIFEST, load_manifest, record_path
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.conformance.runs.records import load_records, save_records
from subbit.reference.errors import SubbitError


@pytest.fixture
def whole(settings, sequences, tmp_path):
    out = tmp_path / "whole"
    quantize_model(load_model("tiny"), reference, settings, sequences, out=out)
    return out


def swap(folder, one=0, other=1):
    paths = record_path(folder, one), record_path(folder, other)
    first, second = (path.read_bytes() for path in paths)
    paths[0].write_bytes(second)
    paths[1].write_bytes(first)


def without_digests(folder):
    """Make the manifest one of version 2."""
    content = json.loads((folder / MANIFEST).read_text())
    for block in content["blocks"]:
        del block["sha256"], block["source"]
    del content["arithmetic"], content["sha256"]
    (folder / MANIFEST).write_text(json.dumps(content | {"version": 2}))


def faults(folder):
    found = [part.what for part in verify(folder, load_manifest(folder)) if part.fault]
    return [int(what.removeprefix("decoder block ")) for what in found]


def said(*words):
    result = CliRunner().invoke(make_app(words[0]), [str(word) for word in words])
    return result.exit_code, result.output


def resumed(folder, settings, sequences, model=None):
    """What a resumed run says, and its model."""
    told, model = [], model or load_model("tiny")
    hooks = Hooks(notice=told.append)
    quantize_model(model, reference, settings, sequences, out=folder, resume=True, hooks=hooks)
    return told, model


def remake(path, change):
    """Write a valid record file with other layers."""
    held = load_records(path)
    save_records(path, change(dict(held.layers)), about=held.about)


def test_a_whole_run_is_whole(whole):
    assert faults(whole) == []
    assert said("verify", whole) == (
        0,
        "".join(f"decoder block {n}: whole\n" for n in range(3))
        + "3 whole, 0 not, 0 not finished\n",
    )


@pytest.mark.parametrize("old", [False, True])
def test_swapped_records_are_refused_by_every_reader(whole, old):
    swap(whole)
    if old:
        without_digests(whole)
    assert faults(whole) == [0, 1]
    code, text = said("verify", whole)
    assert code == 1
    assert "1 whole, 2 not, 0 not finished; quantize --resume makes them" in text
    assert ("of an older version" in text) == old
    with pytest.raises(SubbitError, match="block-000"):
        take_inventory(whole, load_manifest(whole))
    for words in (("bits", whole), ("evaluate", whole)):
        code, text = said(*words)
        assert code == 2
        assert "block-000.safetensors" in text
        assert "Traceback" not in text


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: dict(list(layers.items())[:1]),
        lambda layers: layers | {"more": layers["mlp.up_proj"]},
        lambda layers: layers | {"mlp.up_proj": layers["mlp.gate_proj"]},
    ],
    ids=["one linear", "one more", "another"],
)
def test_valid_files_with_other_layers_are_refused(whole, change):
    remake(record_path(whole, 1), change)
    assert faults(whole) == [1]
    code, text = said("bits", whole)
    assert code == 2
    assert "not the file that this run has written for decoder block 1" in text


def test_linears_are_compared_without_a_digest_too(whole):
    remake(record_path(whole, 1), lambda layers: dict(list(layers.items())[:1]))
    without_digests(whole)
    (part,) = (part for part in verify(whole, load_manifest(whole)) if part.fault)
    assert "expected records of mlp.down_proj, mlp.gate_proj" in part.fault


@pytest.mark.parametrize("damage", ["swapped", "missing", "cut"])
def test_resume_makes_again_exactly_what_is_not_whole(whole, settings, sequences, damage):
    before, state = files_of(whole), without_times(load_manifest(whole))
    path = record_path(whole, 1)
    if damage == "swapped":
        swap(whole, 1, 2)
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    port = StoppingPort(7 * len(faults(whole)), AssertionError("made more than that"))
    told = []
    hooks = Hooks(notice=told.append)
    quantize_model(
        load_model("tiny"), port, settings, sequences, out=whole, resume=True, hooks=hooks
    )
    assert files_of(whole) == before
    assert without_times(load_manifest(whole)) == state
    assert len(told) == (2 if damage == "swapped" else 1)
    assert "decoder block 1 is quantized again" in told[0]


def test_a_record_of_another_method_does_not_get_into_a_run(settings, sequences, tmp_path):
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    other = make_settings(load_model("tiny"), sequences, "rtn:sign")
    quantize_model(load_model("tiny"), reference, other, sequences, out=theirs)
    port = StoppingPort(8, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        quantize_model(load_model("tiny"), port, settings, sequences, out=mine)
    shutil.copy(record_path(theirs, 0), record_path(mine, 0))
    told, model = resumed(mine, settings, sequences)
    assert "block-000.safetensors" in told[0]
    fresh = load_model("tiny")
    quantize_model(fresh, reference, settings, sequences)
    weights = all_weights(fresh)
    assert all(np.array_equal(weight, weights[key]) for key, weight in all_weights(model).items())


def test_blocks_after_one_that_came_out_differently_are_made_again(whole, settings, sequences):
    manifest, before = load_manifest(whole), files_of(whole)
    changed = dataclasses.replace(manifest.blocks[0], sha256="0" * 64)
    dataclasses.replace(manifest, blocks=(changed, *manifest.blocks[1:])).save(whole)
    told, _ = resumed(whole, settings, sequences)
    assert "decoder block 0 differs from before; later ones are redone" in told[1]
    assert files_of(whole) == before
    assert [block.block for block in load_manifest(whole).blocks] == [0, 1, 2]


def test_a_run_is_not_continued_with_other_weights_under_the_same_name(whole, settings, sequences):
    model = load_model("tiny")
    weight = model.weight(1, "mlp.up_proj")
    weight[0, 0] += 1.0
    model.set_weight(1, "mlp.up_proj", weight)
    with pytest.raises(SubbitError, match="decoder block 1 was made from other weights"):
        resumed(whole, settings, sequences, model)


def test_other_kernels_or_threads_are_told(whole, settings, sequences):
    manifest = load_manifest(whole)
    assert manifest.arithmetic is not None
    other = {**manifest.arithmetic, "threads": "96"}
    dataclasses.replace(manifest, arithmetic=other).save(whole)
    told, _ = resumed(whole, settings, sequences)
    assert len(told) == 1
    assert "was started with threads 96, not" in told[0]


def test_an_unfinished_run_says_how_much_is_left(settings, sequences, tmp_path):
    port = StoppingPort(8, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        quantize_model(load_model("tiny"), port, settings, sequences, out=tmp_path / "a")
    code, text = said("verify", tmp_path / "a")
    assert code == 1
    assert text.endswith("1 whole, 0 not, 2 not finished; quantize --resume makes them\n")
    assert said("verify", tmp_path)[0] == 2


def test_reading_a_block_gives_its_layers(whole):
    manifest = load_manifest(whole)
    names = {layer.name for layer in manifest.blocks[2].layers}
    assert set(read_block(whole, manifest, manifest.blocks[2]).layers) == names
