"""Killed runs: at most one block is lost, and a resumed run gives the same files."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
from contextlib import nullcontext

import pytest
from run.helpers import StoppingPort, files_of, make_settings, without_times

from project import INTERRUPTIBLE_PYTHON
from subbit import reference
from subbit.conformance.models.load import load_model
from subbit.conformance.runs import quantize
from subbit.conformance.runs.correction import Correction
from subbit.conformance.runs.manifest import MANIFEST, load_manifest
from subbit.conformance.runs.plan import count_steps
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.reference.errors import SubbitError

# A port that sends its own process a signal at a certain call. A tiny block has 7 linears.
PORT = """
import os
from subbit import reference

calls = 0

def stop_at_call():
    global calls
    calls += 1
    if calls == int(os.environ.get("STOP_AT_CALL", 0)):
        os.kill(os.getpid(), int(os.environ["STOP_SIGNAL"]))

def billm_layer(W, H, config):
    stop_at_call()
    return reference.billm_layer(W, H, config)

def wanda_layer(W, H, config):
    stop_at_call()
    return reference.wanda_layer(W, H, config)
"""
BILLM = ["--method=billm", "--preset=released"]
WANDA = ["--method=wanda", "--keep=2:4", "--budget=outlier"]
OPTIONS = ["--samples=3", "--length=40", "--target=stopping"]


@pytest.fixture
def command(tmp_path):
    """Run ``subbit quantize tiny`` in a separate process that is stopped at a given call."""
    (tmp_path / "stopping.py").write_text(PORT, encoding="utf-8")
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question " * 20, encoding="utf-8")

    def run(out, *options, method=BILLM, stop_at=0, sent=signal.SIGKILL):
        return subprocess.run(
            [
                *(*INTERRUPTIBLE_PYTHON, "-m", "subbit.conformance", "quantize", "tiny"),
                *(*method, *OPTIONS, f"--calibration={text}", f"--out={out}", *options),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(tmp_path),
                "STOP_AT_CALL": str(stop_at),
                "STOP_SIGNAL": str(int(sent)),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("method", [BILLM, WANDA], ids=["billm", "wanda"])
def test_kill_9_loses_one_block_and_resuming_gives_the_same_bytes(method, command, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = functools.partial(command, method=method)
    assert command(whole).returncode == 0
    assert command(killed, stop_at=7 + 3).returncode == -signal.SIGKILL
    assert set(files_of(killed)) == {"layers/block-000.safetensors"}
    assert len(load_manifest(killed).blocks) == 1
    # Killed once more, in the last block: the first call of this process is in block 1.
    assert command(killed, "--resume", stop_at=7 + 7).returncode == -signal.SIGKILL
    assert len(load_manifest(killed).blocks) == 2
    assert command(killed, "--resume").returncode == 0
    assert files_of(killed) == files_of(whole)
    assert "model.safetensors" in files_of(killed)
    assert without_times(load_manifest(killed)) == without_times(load_manifest(whole))


def test_ctrl_c_ends_with_one_sentence_and_130(command, tmp_path):
    out = tmp_path / "out"
    stopped = command(out, stop_at=9, sent=signal.SIGINT)
    assert stopped.returncode == 130
    assert stopped.stderr.splitlines()[-1] == (
        "subbit: interrupted; finished decoder blocks are kept, --resume continues the run"
    )
    assert "Traceback" not in stopped.stderr
    assert len(load_manifest(out).blocks) == 1


def stopped_run(out, settings, sequences, calls=8):
    port = StoppingPort(calls, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        quantize_model(load_model("tiny"), port, settings, sequences, out=out)


def test_finished_blocks_are_not_made_again(sequences, settings, tmp_path):
    stopped_run(tmp_path / "out", settings, sequences, calls=15)
    made, told = [], []
    manifest = quantize_model(
        load_model("tiny"),
        reference,
        settings,
        sequences,
        out=tmp_path / "out",
        resume=True,
        hooks=Hooks(layer=made.append, block=lambda index, _: told.append(index)),
    )
    assert {layer.block for layer in made} == {2}
    assert told == [0, 1, 2]
    assert manifest.complete


def test_a_write_that_was_killed_is_no_obstacle(sequences, settings, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".partial-{MANIFEST}").write_bytes(b"{")
    quantize_model(load_model("tiny"), reference, settings, sequences, out=tmp_path / "out")


CHANGES = {
    "model": {"model": "other"},
    "precision": {"precision": "float16"},
    "method": {"method": "gptq"},
    "preset": {"preset": "released"},
    "counts of the preset": {"config": {"counts": [1, 2]}},
    "calibration text": {"text": "other", "sha256": "0" * 64},
    "calibration samples": {"samples": 9},
    "calibration length": {"length": 9},
    "calibration seed": {"seed": 9},
    "calibration sha256": {"sha256": "0" * 64},
    "blocks": {"blocks": (0, 2)},
    "parts": {"parts": ("q",)},
    "scales": {"scales": "float32"},
    "target": {"target": "other"},
    "version": {"version": "0.0.0"},
    "keep": {"keep": (2, 4)},
    "budget": {"budget": "norm"},
    "propagation": {"propagation": Correction("qep", 0.5, 0.0, 0.01)},
}


@pytest.mark.parametrize("name", CHANGES)
def test_resuming_with_another_setting_is_refused_by_name(name, sequences, settings, tmp_path):
    out = tmp_path / "out"
    change = CHANGES[name]
    if name.startswith("calibration"):
        calibration = dataclasses.replace(settings.calibration, **change)
        started = dataclasses.replace(settings, calibration=calibration)
    elif "config" in change:
        config = {**settings.config, **change["config"]}
        started = dataclasses.replace(settings, config=config)
    else:
        started = dataclasses.replace(settings, **change)
    stopped_run(out, settings, sequences)
    dataclasses.replace(load_manifest(out), settings=started).save(out)
    before = files_of(out)
    with pytest.raises(SubbitError, match=f"the run there was started with {name} "):
        quantize_model(load_model("tiny"), reference, settings, sequences, out=out, resume=True)
    assert files_of(out) == before


def test_every_setting_is_held_against_the_run():
    names = {field.name for field in dataclasses.fields(make_settings.__annotations__["return"])}
    checked = {name.split()[0] for name in CHANGES if name != "counts of the preset"}
    assert names == checked | {"config"}


def test_a_plan_that_was_interrupted_is_made_again(sequences, tmp_path):
    settings = make_settings(load_model("tiny"), sequences, "wanda@4:8/outlier")
    whole = quantize_model(
        load_model("tiny"), reference, settings, sequences, out=tmp_path / "whole"
    )

    def interrupt(note):
        if note == "budget, block 1":
            raise KeyboardInterrupt

    out, steps = tmp_path / "out", []
    with pytest.raises(KeyboardInterrupt):
        quantize_model(
            load_model("tiny"), reference, settings, sequences, out=out, hooks=Hooks(step=interrupt)
        )
    assert (load_manifest(out).kept, files_of(out)) == (None, {})
    resumed = quantize_model(
        load_model("tiny"),
        reference,
        settings,
        sequences,
        out=out,
        resume=True,
        hooks=Hooks(step=steps.append),
    )
    assert steps[:3] == ["budget, block 0", "budget, block 1", "budget, block 2"]
    assert without_times(resumed) == without_times(whole)
    assert files_of(out) == files_of(tmp_path / "whole")


@pytest.mark.parametrize("calls", [0, 8])
def test_a_plan_is_made_once(calls, sequences, tmp_path, monkeypatch):
    settings = make_settings(load_model("tiny"), sequences, "wanda@4:8/outlier")
    stopped_run(tmp_path / "out", settings, sequences, calls=calls)
    planned, steps = load_manifest(tmp_path / "out"), []
    assert len(planned.kept) == 3
    assert len(planned.blocks) == calls // 7
    monkeypatch.setattr(quantize, "plan_kept", lambda *_: pytest.fail("it is planned already"))
    resumed = quantize_model(
        load_model("tiny"),
        reference,
        settings,
        sequences,
        out=tmp_path / "out",
        resume=True,
        hooks=Hooks(step=steps.append),
    )
    assert resumed.complete
    assert resumed.kept == planned.kept == load_manifest(tmp_path / "out").kept
    assert len(steps) == count_steps(load_model("tiny"), settings)


def test_a_manifest_from_before_budgets_still_counts(sequences, settings, tmp_path):
    out = tmp_path / "out"
    stopped_run(out, settings, sequences)
    before = load_manifest(out)
    content = json.loads((out / MANIFEST).read_text())
    del content["settings"]["keep"], content["settings"]["budget"], content["kept"]
    del content["sha256"]
    content["version"] = 2
    (out / MANIFEST).write_text(json.dumps(content))
    assert load_manifest(out) == before
    assert quantize_model(
        load_model("tiny"), reference, settings, sequences, out=out, resume=True
    ).complete


def test_a_run_of_the_first_version_goes_on(sequences, tmp_path):
    """Its manifest has the settings in another order, and one that the method never used."""
    settings = make_settings(load_model("tiny"), sequences, "pbs2p:exact@4:8")
    out = tmp_path / "out"
    stopped_run(out, settings, sequences)
    content = json.loads((out / MANIFEST).read_text())
    content["version"] = 1
    del content["sha256"]
    config = content["settings"]["config"]
    for signs, goes_on in (("refreshed", False), ("fixed", True)):
        changed = dict(reversed(config.items())) | {"column_signs": signs}
        content["settings"]["config"] = changed
        (out / MANIFEST).write_text(json.dumps(content))
        with nullcontext() if goes_on else pytest.raises(SubbitError, match="column_signs of the"):
            quantize_model(load_model("tiny"), reference, settings, sequences, out=out, resume=True)
    assert load_manifest(out).complete


@pytest.mark.parametrize("version", [1, 2])
def test_a_manifest_is_not_taken_for_an_older_one(sequences, settings, tmp_path, version):
    """Those have no digest of themselves, so a changed number would pass for one."""
    stopped_run(tmp_path, settings, sequences)
    content = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(content | {"version": version}))
    with pytest.raises(SubbitError, match="sha256: expected the digest of the rest"):
        load_manifest(tmp_path)


def test_a_manifest_of_a_later_version_is_refused(sequences, settings, tmp_path):
    stopped_run(tmp_path, settings, sequences)
    content = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(content | {"version": 4}))
    with pytest.raises(SubbitError, match="version: expected 1 to 3, got 4"):
        load_manifest(tmp_path)


def test_a_folder_with_a_run_or_other_content_is_left_alone(sequences, settings, tmp_path):
    stopped_run(tmp_path / "run", settings, sequences)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine", encoding="utf-8")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    before = files_of(tmp_path)
    complaints = {
        "run": "holds a run already; --resume continues it",
        "other": "exists and holds something other",
        "file": "exists and holds something other",
    }
    for name, complaint in complaints.items():
        with pytest.raises(SubbitError, match=complaint):
            quantize_model(load_model("tiny"), reference, settings, sequences, out=tmp_path / name)
    assert files_of(tmp_path) == before


def test_a_damaged_manifest_is_refused(sequences, settings, tmp_path):
    out = tmp_path / "out"
    stopped_run(out, settings, sequences)
    (out / MANIFEST).write_text("{}", encoding="utf-8")
    with pytest.raises(SubbitError, match="no valid manifest"):
        quantize_model(load_model("tiny"), reference, settings, sequences, out=out, resume=True)
