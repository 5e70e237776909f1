"""One process at a time in a folder, and nothing left behind by one that was killed."""

import subprocess
import sys

import pytest

from project import ROOT
from subbit import reference
from subbit.conformance.command.cli_curve import CurveOptions, run_curve
from subbit.conformance.command.cli_run import CalibrationOptions
from subbit.conformance.command.crews import CrewOptions
from subbit.conformance.models.claim import claim
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.manifest import Calibration
from subbit.conformance.runs.quantize import quantize_model
from subbit.conformance.runs.study import Study, Windows, open_results
from subbit.reference.errors import SubbitError

HOLD = """
import sys, time
from pathlib import Path
from subbit.conformance.models.claim import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds."""
    folder = tmp_path / "held"
    folder.mkdir()
    words = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield folder, process
        process.kill()


def test_a_second_process_is_refused_at_once_and_told_of_the_first(held, settings, sequences):
    folder, process = held
    said = rf"another process is writing there( \(process {process.pid}\))?$"
    with pytest.raises(SubbitError, match=said):
        quantize_model(load_model("tiny"), reference, settings, sequences, out=folder)
    with pytest.raises(SubbitError, match="another process is writing there"):
        load_model("tiny").save(folder)
    assert list(folder.iterdir()) == []


def test_a_second_process_does_not_go_on_with_a_study(held):
    folder, process = held
    text = str(ROOT / "constraints.txt")
    options = CurveOptions(
        model="tiny",
        labels=("rtn:sign",),
        ks="1",
        calibration=CalibrationOptions(text, samples=1, length=16, seed=0),
        text=text,
        window=16,
        windows=1,
        out=folder,
        with_parts=False,
        crew=CrewOptions(1),
    )
    with pytest.raises(SubbitError, match="another process is writing there"):
        run_curve(options)
    process.kill()
    process.wait()
    run_curve(options)
    assert sorted(path.name for path in folder.iterdir()) == ["results.json", "runs", "tables.md"]


def test_a_study_that_was_killed_at_once_is_started_again(tmp_path):
    calibration = Calibration("text", 1, 16, 0, "0" * 64)
    study = Study("tiny", "float32", calibration, Windows("text", 1, 16, "0" * 64))
    (tmp_path / ".partial-results.json").write_bytes(b"{")
    assert open_results(tmp_path, study).points == ()
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_lock_ends_with_its_process(held, settings, sequences):
    folder, process = held
    process.kill()
    process.wait()
    quantize_model(load_model("tiny"), reference, settings, sequences, out=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["layers", "manifest.json"]


def test_what_a_killed_process_has_left_is_removed_by_the_next(tmp_path, settings, sequences):
    folder = tmp_path / "run"
    (folder / ".partial-abc").mkdir(parents=True)
    (folder / ".partial-abc" / "model.safetensors").write_bytes(b"half a model")
    (folder / ".partial-manifest.json").write_bytes(b"{")
    quantize_model(load_model("tiny"), reference, settings, sequences, out=folder)
    (folder / "layers" / ".partial-block-001.safetensors").write_bytes(b"half")
    (folder / ".partial-xyz").mkdir()
    mine = folder / "layers" / "notes.txt"
    mine.write_text("kept", encoding="utf-8")
    quantize_model(load_model("tiny"), reference, settings, sequences, out=folder, resume=True)
    assert list(folder.rglob(".partial-*")) == []
    assert mine.read_text(encoding="utf-8") == "kept"


def test_a_checkpoint_removes_it_too(tmp_path):
    (tmp_path / ".partial-abc").mkdir()
    load_model("tiny").save(tmp_path)
    assert (tmp_path / "config.json").is_file()
    assert not list(tmp_path.glob(".partial-*"))


def test_a_folder_is_free_afterwards(tmp_path):
    for _ in range(2):
        with claim(tmp_path):
            pass
    with claim(tmp_path), pytest.raises(SubbitError), claim(tmp_path):
        pass
