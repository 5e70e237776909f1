"""A share of the fuzzed files, and what was found once."""

import json

import numpy as np
import pytest
from fuzz import files, sources

from project import DEEP
from subbit.conformance.models.load import load_model
from subbit.conformance.models.reading import reading
from subbit.conformance.runs import records
from subbit.reference.errors import SubbitError
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, ValueGroup
from subbit.reference.storage.record_layout import put_layer, take_layer
from subbit.reference.storage.record_tensors import RecordError


@pytest.mark.parametrize("kind", files.KINDS)
def test_changed_files_are_refused_or_read_in_one_piece(kind):
    found = [
        (seed, *files.finding_of(kind, seed)) for seed in range(60 if kind in files.SLOWER else 200)
    ]
    assert [(seed, what, said) for seed, what, said, _ in found if said] == []
    assert any(refused for *_, refused in found) or kind in sources.UNREAD


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((60_000_000, 24), "bits cannot hold a layer of 60000000 x 24"),
        ((6, 60_000_000), "bits cannot hold a layer of 6 x 60000000"),
        ((2**70, 24), "bits cannot hold a layer"),
        ((-6, 24), "expected a whole number, got -6"),
        ((6.0, 24), "expected a whole number, got 6.0"),
        ((True, 24), "expected a whole number, got True"),
    ],
)
def test_a_shape_is_compared_with_the_file_before_anything_is_allocated(shape, said):
    layout, tensors = put_layer(files._layers()["billm"], "float16")  # noqa: SLF001
    with pytest.raises(RecordError, match=said):
        take_layer({**layout, "shape": shape}, tensors, "float16")


def test_a_layer_without_entries_needs_no_bits():
    nothing = np.zeros((1000, 100))
    group = ValueGroup("kept", nothing.astype(np.bool_), nothing)
    layer = QuantizedLayer((1000, 100), (QuantizedBlock(0, 100, (group,)),))
    layout, tensors = put_layer(layer, "float16")
    held = sum(values.nbytes for values in tensors.values())
    assert 8 * held < 1000 * 100 / 8
    assert np.array_equal(take_layer(layout, tensors, "float16").decode(), nothing)


def test_entries_without_their_values_are_refused():
    layout, _ = put_layer(files._layers()["wanda"], "float16")  # noqa: SLF001
    with pytest.raises(RecordError, match="too short"):
        take_layer(layout, {}, "float16")


def test_manifests_nested_too_deeply_are_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(files.SubbitError, match="no valid manifest"):
        files.load_manifest(tmp_path)


def test_the_file_that_is_changed_is_a_valid_one(tmp_path):
    (tmp_path / "x").write_bytes(files._file())  # noqa: SLF001
    held = records.load_records(tmp_path / "x").layers
    for name, layer in files._layers().items():  # noqa: SLF001
        assert np.array_equal(held[name].decode(), layer.decode())


FOUND = json.loads(files.CORPUS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", FOUND if DEEP else sorted(FOUND.keys() - files.SLOW))
def test_what_was_found_once_is_refused_or_read(kind):
    found = [(seed, *files.finding_of(kind, seed)) for seed in FOUND[kind]]
    assert [(seed, what, said) for seed, what, said, _ in found if said] == []


def test_what_is_changed_is_read_as_it_stands(tmp_path):
    for name, data in sources.folder_files().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "a.gguf").write_bytes(sources.gguf_file())
    models = [load_model(f"numpy:{path}") for path in (tmp_path, tmp_path / "a.gguf")]
    for model in models:
        sources.use(model)
    one, other = (model.weights["model.layers.1.mlp.down_proj.weight"] for model in models)
    assert np.array_equal(one, other)
    assert models[1].first_token == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (SystemExit(3), "SystemExit: 3"),
        (SubbitError("x" * 13_000), "refused in 13000 characters"),
    ],
)
def test_findings_are_noticed(monkeypatch, fault, said):
    def read():
        raise fault

    monkeypatch.setitem(files.KINDS, "config.json", lambda *_: ("", read))
    assert said in files.finding_of("config.json", 0)[1]


def test_memory_that_a_library_ran_out_of_is_a_finding(monkeypatch):
    def read():
        with reading("a file", "x"):
            raise MemoryError

    monkeypatch.setitem(files.KINDS, "config.json", lambda *_: ("", read))
    assert "more than 1073741824 bytes" in files.finding_of("config.json", 0)[1]


def test_tensors_that_share_their_bytes_are_refused(tmp_path):
    data = sources.gguf_file(shared=True)
    (tmp_path / "a.gguf").write_bytes(data)
    with pytest.raises(SubbitError, match=r"a\.gguf \(\d+ bytes of tensors in \d+\)"):
        load_model(f"numpy:{tmp_path / 'a.gguf'}")


def test_a_late_reading_is_a_finding(monkeypatch):
    monkeypatch.setitem(files.KINDS, "config.json", lambda *_: ("", lambda: None))
    monkeypatch.setattr(files, "SECONDS", -1.0)
    assert files.finding_of("config.json", 0)[1] == "more than -1.0 s"
