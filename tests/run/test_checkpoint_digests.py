"""A run's checkpoint is held to its manifest as well, by verify and by every reader."""

import dataclasses
import hashlib
import re

import pytest
from run.helpers import files_of
from typer.testing import CliRunner

from subbit.conformance.command.cli import make_app
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.held import check_checkpoint
from subbit.conformance.runs.manifest import load_manifest
from subbit.reference.errors import SubbitError

TEXT = "to be or not to be, that is the question; " * 20
WINDOWS = ("--length=32", "--windows=1")


def said(*words):
    result = CliRunner().invoke(make_app(words[0]), [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def quantize(text, tmp_path):
    options = ["--method=rtn", "--preset=sign", f"--calibration={text}", "--samples=1"]
    options += ["--length=16", "--blocks=0:1", f"--out={tmp_path / 'run'}"]
    return lambda *more: said("quantize", "tiny", *options, *more)


@pytest.fixture
def run(quantize, tmp_path):
    assert quantize()[0] == 0
    return tmp_path / "run"


def perplexity(output):
    return re.search(r"│ +([\d,.]+) │", output)[1]


def marked_unfinished(run):
    """What a process leaves behind that is killed while it writes the checkpoint."""
    dataclasses.replace(load_manifest(run), checkpoint={}).save(run)


def test_every_file_that_quantize_writes_has_its_digest(run):
    manifest = load_manifest(run)
    held = {name: hashlib.sha256(data).hexdigest() for name, data in files_of(run).items()}
    records = {"layers/block-000.safetensors": manifest.blocks[0].sha256}
    assert held == {**records, **manifest.checkpoint}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(manifest.checkpoint)
    code, output = said("verify", run)
    assert code == 0
    assert "model.safetensors: whole\n" in output
    assert output.endswith(f"{len(held)} whole, 0 not, 0 not finished\n")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_file_that_is_not_whole_is_refused_by_every_reader(name, damage, run, text, quantize):
    before, path = files_of(run), run / name
    if damage == "missing":
        path.unlink()
        wanted = f"{path}: cannot be read (No such file or directory)"
    else:
        data = bytearray(path.read_bytes())
        data[-2] ^= 1
        path.write_bytes(data)
        wanted = f"{path}: not the file that this run has written"
    code, output = said("verify", run)
    assert code == 1
    assert f"{name}: {wanted}" in output
    reads = [["evaluate", run, f"--text={text}", *WINDOWS]]
    reads += [["evaluate", "tiny", f"--reference={run}", f"--text={text}", *WINDOWS]]
    reads += [["evaluate", f"numpy:{run}", f"--text={text}", *WINDOWS]]
    # Without config.json a run has no checkpoint to be evaluated; its records are.
    for words in reads[1 if (name, damage) == ("config.json", "missing") else 0 :]:
        code, output = said(*words)
        assert code == 2, words
        assert wanted in output
    assert quantize("--resume")[0] == 0
    assert files_of(run) == before
    assert said("verify", run)[0] == 0


def test_a_checkpoint_that_was_not_finished_is_not_read(run, text, quantize):
    measured = said("evaluate", run, f"--text={text}", *WINDOWS)
    marked_unfinished(run)
    code, output = said("verify", run)
    assert code == 1
    assert "checkpoint: not finished\n1 whole, 0 not, 1 not finished; quantize --res" in output
    with pytest.raises(SubbitError, match="the checkpoint there is not finished"):
        check_checkpoint(run, load_manifest(run))
    assert said("evaluate", "tiny", f"--reference={run}", f"--text={text}", *WINDOWS)[0] == 2
    (run / "model.safetensors").write_bytes(b"half")
    code, output = said("evaluate", run, f"--text={text}", *WINDOWS)
    assert code == 0
    assert perplexity(output) == perplexity(measured[1])
    assert quantize("--resume")[0] == 0
    assert load_manifest(run).checkpoint


def test_a_checkpoint_of_other_blocks_is_not_finished(run):
    manifest = load_manifest(run)
    assert manifest.before(0).checkpoint == {}
    assert dataclasses.replace(manifest, checkpoint=None).before(0).checkpoint is None


def test_a_run_from_before_checkpoints_had_digests_is_read(run, text):
    dataclasses.replace(load_manifest(run), checkpoint=None).save(run)
    assert said("evaluate", run, f"--text={text}", *WINDOWS)[0] == 0
    assert said("verify", run)[0] == 0


def test_names_lead_nowhere_else(run):
    manifest = load_manifest(run)
    for name in ("../x", "a/b", ".partial-x", "\\x"):
        dataclasses.replace(manifest, checkpoint={name: "0" * 64}).save(run)
        with pytest.raises(SubbitError, match="no valid manifest"):
            load_manifest(run)


def test_saving_a_model_names_its_files(tmp_path):
    names = load_model("tiny").save(tmp_path / "model")
    assert sorted(names) == sorted(files_of(tmp_path / "model"))
    assert names[-1] == "config.json"
