"""Exploration: new cases in several processes, kept, repeated, resumed and interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.command.explore import (
    Explored,
    Tally,
    explore,
    load_state,
    save_state,
    state_file,
)
from subbit.reference.errors import ArgumentError

PORT = '''
"""A port that is right but for some functions."""
import os
from subbit.reference import *  # noqa
from subbit.reference import masked_mean as right, masked_scale as scale, proxy_loss as loss

def masked_mean(W, mask=None):
    found = right(W, mask)
    return found * (1 + 1e-3) if found.shape[0] == 2 else found

def masked_scale(*arguments, **switches):
    raise NotImplementedError("masked_scale")
'''
DYING = (
    PORT
    + """
def proxy_loss(W, Q, H):
    os._exit(3)
"""
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "wrong_port.py").write_text(PORT, encoding="utf-8")
    (tmp_path / "dying_port.py").write_text(DYING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def command(*words):
    return [sys.executable, "-m", "subbit.conformance", "check", *map(str, words)]


def run(folder, *words):
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def state_of(folder, target):
    path = state_file(folder / "explored", target)
    return json.loads(path.read_text(encoding="utf-8"))


def test_failures_are_printed_kept_and_can_be_repeated(folder):
    done = run(folder, "wrong_port", "--random", "--cases", 3000, "--level", 2, "--jobs", 2)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("subbit check")]
    state = state_of(folder, "wrong_port")
    assert lines == [
        f"subbit check wrong_port --replay {f['operation']}:{f['seed']}" for f in state["failures"]
    ]
    assert {f["operation"] for f in state["failures"]} >= {"masked_mean"}
    assert sum(row["cases"] for row in state["operations"].values()) == 3000
    missing = {name for name, row in state["operations"].items() if row["missing"]}
    assert "masked_scale" in missing
    assert "3,000 cases" in done.stdout
    assert "not implemented" in done.stdout
    again = run(folder, *lines[0].split()[2:])
    assert again.returncode == 1
    assert state["failures"][0]["message"] in again.stdout.replace("\n", " ")


def test_a_later_call_goes_on_with_other_cases(folder):
    first = run(folder, "reference", "--random", "--cases", 400, "--level", 1)
    assert first.returncode == 0, first.stdout + first.stderr
    before = state_of(folder, "reference")
    assert run(folder, "reference", "--random", "--cases", 900, "--level", 1).returncode == 0
    after = state_of(folder, "reference")
    assert sum(row["cases"] for row in after["operations"].values()) == 900
    assert (after["stream"], after["round"]) == (before["stream"], before["round"] + 1)
    assert all(
        after["operations"][n]["cases"] >= row["cases"] for n, row in before["operations"].items()
    )
    enough = run(folder, "reference", "--random", "--cases", 900, "--level", 1)
    assert "900 cases" in enough.stdout
    assert all(OPERATIONS[name].level == 1 for name in after["operations"])


def test_ctrl_c_keeps_what_was_found(folder):
    words = command("reference", "--random", "--jobs", 1)
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    path = state_file(folder / "explored", "reference")
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was found is kept in explored, the same call goes on" in errors
    assert state_of(folder, "reference")["round"] == 1


def test_a_failure_that_is_mended_is_not_told_again(folder):
    port, path = reference, folder / "state.json"
    state = load_state(path, "reference", "float64")
    stale = [{"operation": "masked_mean", "seed": 3, "message": "was wrong"}]
    content = state.to_json() | {"failures": stale}
    path.write_text(json.dumps(content), encoding="utf-8")
    told = []
    found = explore("reference", port, path, cases=1, jobs=1, level=1, found=told.append)
    assert found.failures == told == []


def test_a_process_that_dies_is_one_sentence_and_the_rest_is_kept(folder):
    done = run(folder, "dying_port", "--random", "--cases", 5000, "--jobs", 1)
    assert done.returncode == 2
    (sentence,) = done.stderr.strip().splitlines()[-1:]
    assert sentence.startswith("subbit: a process died while it judged ")
    assert state_of(folder, "dying_port")["target"] == "dying_port"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--minutes", "0"], "--minutes: expected a number above 0, got 0"),
        (["--minutes", "nan"], "--minutes: expected a number above 0, got nan"),
        (["--cases", "-1"], "--cases: expected a number above 0, got -1"),
        (["--jobs", "0"], "--jobs: expected a number above 0, got 0"),
        (["--level", "7"], "--level: expected a level from 1 to 3"),
        (["--level", "0"], "level 0 has no cases to draw, got 0"),
    ],
)
def test_limits_that_are_none_are_one_sentence(folder, words, expected):
    done = run(folder, "reference", "--random", *words)
    assert done.returncode == 2
    (sentence,) = done.stderr.strip().splitlines()
    assert expected in sentence


@pytest.mark.parametrize("words", [["--minutes", "1"], ["--cases", "1"], ["--jobs", "1"]])
def test_limits_ask_for_random(folder, words):
    done = run(folder, "reference", *words)
    assert done.returncode == 2
    assert f"{words[0]}: expected --random beside it" in done.stderr


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[" * 100_000, '{"format": 2}', "null", '{"format": 1, "target": 3}'],
)
def test_files_that_are_no_state_are_refused(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentError, match="--out: expected a folder of explorations"):
        load_state(path, "reference", "float64")


def test_states_of_other_ports_are_refused(tmp_path):
    path = tmp_path / "state.json"
    save_state(path, Explored("reference", "float64", 1))
    with pytest.raises(ArgumentError, match="expected an exploration of fast:simulated in float32"):
        load_state(path, "fast:simulated", "float32")


def test_states_are_what_the_schema_says(tmp_path):
    state = Explored("reference", "float64", 5, 2, {"masked_mean": Tally(3, 1, worst=float("inf"))})
    path = tmp_path / "state.json"
    save_state(path, state)
    assert load_state(path, "reference", "float64").operations == state.operations
    assert json.loads(path.read_text())["operations"]["masked_mean"]["worst"] is None


def test_names_of_states_are_apart():
    targets = ["reference", "fast:simulated", "fast:simulated+race", "fast:cuda", "a.b:c"]
    assert len({state_file(Path(), target) for target in targets}) == len(targets)
