"""The breakdown of a run, on the tiny model."""

import json

import pytest
from typer.testing import CliRunner

from subbit.conformance.command import bench_model, cli
from subbit.conformance.command.bench_model import PHASES, Phases


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, that is the question " * 20, encoding="utf-8")
    return path


def bench(text, *words):
    fixed = ["--model=tiny", f"--calibration={text}", "--samples=3", "--length=32", "--workers=2"]
    return CliRunner().invoke(cli.make_app("bench"), ["bench", "model", *fixed, *map(str, words)])


def test_phases_are_those_of_both_runs(text, tmp_path):
    file = tmp_path / "rows.json"
    done = bench(text, "--method=rtn:sign", "--repeats=2", "--json", file)
    assert done.exit_code == 0, done.output
    assert "workers 1, s" in done.stdout
    assert "workers 2, s" in done.stdout
    assert "the records of both are the same to the last bit" in done.stdout
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["workers"] == 2
    assert content["machine"]["cores"] >= 1
    assert [row["phase"] for row in content["rows"]] == [*PHASES, "total"]
    assert all(row["one"] > 0 and row["several"] > 0 for row in content["rows"])
    assert all(row["ratio"] == row["one"] / row["several"] for row in content["rows"])


def test_records_that_differ_are_an_error(text, monkeypatch):
    made = iter([[b"one"], [b"other"]])
    monkeypatch.setattr(bench_model, "_records", lambda _: next(made))
    done = bench(text, "--method=rtn:sign", "--blocks=0:1")
    assert done.exit_code == 2
    assert "the records of one process and of 2 differ" in done.stderr


def test_steps_belong_to_phases(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(bench_model.time, "perf_counter", lambda: float(next(now)))
    phases = Phases()
    notes = "budget, block 0", "block 0, calibrated", "block 0, mlp.up", "block 0, done"
    for note in (*notes, "block 1, calibrated for mlp.up"):
        phases.step(note)
    assert phases.seconds == {"load": 0.0, "calibrate": 4.0, "quantize": 1.0, "save": 0.0}
