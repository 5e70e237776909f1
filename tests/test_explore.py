"""Exploration: new cases in several processes, kept, repeated, resumed and interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from project import INTERRUPTIBLE_PYTHON, with_path
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.draw import BARE
from subbit.conformance.command.explore import Listener, explore
from subbit.conformance.command.explored import (
    Explored,
    Tally,
    load_state,
    save_state,
    state_file,
)
from subbit.conformance.programs.worker import Allowance
from subbit.reference.errors import ArgumentError

PORT = '''
"""A port that is right but for some functions."""
import os
from subbit.reference import *  # noqa
from subbit.reference import masked_mean as right, masked_scale as scale, proxy_loss as loss

def masked_mean(W, mask=None):
    found = right(W, mask)
    return found * (1 + 1e-3) if found.shape[0] > 1 else found

def masked_scale(*arguments, **switches):
    raise NotImplementedError("masked_scale")
'''
ENDINGS = {
    "dying": "os._exit(3)",
    "exiting": "raise SystemExit(0)",
    "interrupting": "raise KeyboardInterrupt",
    "crashing": "import ctypes; ctypes.string_at(0)",
}
RIGHT = "import os\nfrom subbit.reference import *  # noqa\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "wrong_port.py").write_text(PORT, encoding="utf-8")
    for name, ending in ENDINGS.items():
        text = f"{RIGHT}\ndef proxy_loss(W, Q, H):\n    {ending}\n"
        (tmp_path / f"{name}_port.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    # With these states all explorations of this test draw the same cases each time.
    (tmp_path / "explored").mkdir()
    for target in ("reference", "wrong_port", "single_port", *(f"{n}_port" for n in ENDINGS)):
        save_state(state_file(tmp_path / "explored", target), Explored(target, "float64", 1))
    return tmp_path


def command(*words):
    return [sys.executable, "-m", "subbit.conformance", "check", *map(str, words)]


def explored(folder, *words):
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=with_path(folder),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def refused(folder, run, monkeypatch):
    """What the command says in this process when it refuses."""
    monkeypatch.chdir(folder)

    def ask(*words):
        result = run("reference", *words)
        assert result.exit_code == 2, result.output
        return result.stderr

    return ask


def state_of(folder, target):
    path = state_file(folder / "explored", target)
    return json.loads(path.read_text(encoding="utf-8"))


def test_failures_are_printed_kept_and_can_be_repeated(folder):
    done = explored(folder, "wrong_port", "--random", "--cases", 500, "--level", 2, "--jobs", 2)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("subbit check")]
    state = state_of(folder, "wrong_port")
    assert lines == [
        f"subbit check wrong_port --replay {f['operation']}:{f['seed']}" for f in state["failures"]
    ]
    assert {f["operation"] for f in state["failures"]} >= {"masked_mean"}
    assert sum(row["cases"] for row in state["operations"].values()) == 500
    missing = {name for name, row in state["operations"].items() if row["missing"]}
    assert "masked_scale" in missing
    # One case tells.
    assert {state["operations"][name]["cases"] for name in missing} == {1}
    assert "500 cases" in done.stdout
    assert "not implemented" in done.stdout
    again = explored(folder, *lines[0].split()[2:])
    assert again.returncode == 1
    assert state["failures"][0]["message"] in again.stdout


def test_a_later_call_goes_on_with_other_cases(folder):
    first = explored(folder, "reference", "--random", "--cases", 200, "--level", 1)
    assert first.returncode == 0, first.stdout + first.stderr
    before = state_of(folder, "reference")
    assert explored(folder, "reference", "--random", "--cases", 450, "--level", 1).returncode == 0
    after = state_of(folder, "reference")
    assert sum(row["cases"] for row in after["operations"].values()) == 450
    assert (after["stream"], after["round"]) == (before["stream"], before["round"] + 1)
    assert all(
        after["operations"][n]["cases"] >= row["cases"] for n, row in before["operations"].items()
    )
    enough = explored(folder, "reference", "--random", "--cases", 450, "--level", 1)
    assert "450 cases" in enough.stdout
    assert all(OPERATIONS[name].level == 1 for name in after["operations"])


def started(folder, *words):
    """An exploration that has judged some cases, in its own process group."""
    process = subprocess.Popen(
        [*INTERRUPTIBLE_PYTHON, *command(*words)[1:]],
        cwd=folder,
        env=with_path(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = process.stderr.readline()
    assert " cases in " in line, line
    return process


def alive(group):
    """Processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found += [stat.parent.name] if int(fields[2]) == group and fields[0] != "Z" else []
    return found


def gone(group):
    """Whether all processes of a group end soon."""
    deadline = time.monotonic() + 20
    while alive(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not alive(group)


def test_ctrl_c_keeps_what_was_found(folder):
    """As a terminal sends it: to the whole group, and twice if the user is impatient."""
    process = started(folder, "wrong_port", "--random", "--jobs", 2, "--level", 2)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in output + errors
    assert "interrupted; progress is kept in explored, the same command continues" in errors
    state = state_of(folder, "wrong_port")
    assert sum(row["cases"] for row in state["operations"].values()) > 10
    assert len(state["failures"]) == output.count("--replay")
    assert gone(process.pid)


def test_processes_end_with_the_one_that_started_them(folder):
    process = started(folder, "reference", "--random", "--jobs", 2)
    process.kill()
    process.communicate(timeout=60)
    assert gone(process.pid)
    assert state_of(folder, "reference")["round"] == 1
    assert explored(folder, "reference", "--random", "--cases", 50, "--level", 1).returncode == 0


def test_one_exploration_at_a_time(folder):
    process = started(folder, "reference", "--random", "--jobs", 1, "--level", 1)
    second = explored(folder, "reference", "--random", "--cases", 5)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert second.returncode == 2
    assert "a folder in which this target is not being explored" in second.stderr


@pytest.mark.parametrize("seed", [3, BARE + 3])
def test_a_failure_that_is_mended_is_not_told_again(folder, seed):
    path = folder / "state.json"
    state = Explored("reference", "float64", 1)
    stale = [{"operation": "masked_mean", "seed": seed, "message": "was wrong"}]
    content = state.to_json() | {"failures": stale}
    path.write_text(json.dumps(content), encoding="utf-8")
    told = []
    found = explore(
        "reference",
        path,
        cases=1,
        jobs=1,
        level=1,
        listener=Listener(told.append, lambda _: None),
    )
    assert found.failures == told == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_port_that_ends_its_process_fails_there_and_the_rest_goes_on(folder, ending):
    done = explored(folder, f"{ending}_port", "--random", "--cases", 400, "--jobs", 1, "--level", 2)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    state = state_of(folder, f"{ending}_port")
    assert {failure["operation"] for failure in state["failures"]} == {"proxy_loss"}
    assert f"--replay proxy_loss:{state['failures'][0]['seed']}" in done.stdout
    assert state["operations"]["masked_mean"]["cases"] > 1


def test_an_operation_that_only_raises_is_not_left_out(folder):
    """Only one that has ended a process is; one that raises may be correct on other cases."""
    explored(folder, "exiting_port", "--random", "--cases", 400, "--jobs", 1, "--level", 2)
    operations = state_of(folder, "exiting_port")["operations"]
    assert sum(row["cases"] for row in operations.values()) == 400
    assert operations["proxy_loss"]["cases"] > 1


def test_a_case_that_never_ends_is_a_failure(folder):
    # On one line, so that the interrupted process is always found on the same one.
    text = f"{RIGHT}\ndef proxy_loss(W, Q, H):\n    while True: pass\n"
    (folder / "endless_port.py").write_text(text, encoding="utf-8")
    told = []
    save_state(folder / "state.json", Explored("endless_port", "float64", 1))
    found = explore(
        "endless_port",
        folder / "state.json",
        cases=250,
        jobs=1,
        level=2,
        allowance=Allowance(seconds=5.0),
        listener=Listener(told.append, lambda _: None),
    )
    assert {failure.operation for failure in told} == {"proxy_loss"}
    said = told[0].message
    assert "did not answer in 5 s, in proxy_loss (endless_port.py, line 5); other cases" in said
    assert found.total.cases == 250


def test_a_port_that_only_the_first_process_can_import(folder):
    """Each process looks the port up."""
    text = "import pathlib\npathlib.Path('there').touch(exist_ok=False)\n"
    (folder / "single_port.py").write_text(text + RIGHT, encoding="utf-8")
    done = explored(folder, "single_port", "--random", "--cases", 500, "--jobs", 2)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "FileExistsError" in done.stderr


def test_exits_of_a_port_are_no_verdict(folder):
    (folder / "leaving_port.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    left = explored(folder, "leaving_port")
    assert left.returncode == 2
    assert "SystemExit" in left.stderr
    done = explored(folder, "exiting_port", "--replay", "proxy_loss:0")
    assert done.returncode == 1
    assert "raised SystemExit" in done.stdout


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
def test_limits_that_are_none_are_one_sentence(refused, words, expected):
    (sentence,) = refused("--random", *words).strip().splitlines()
    assert expected in sentence


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--minutes", "1"], "--minutes: expected --random alongside it"),
        (["--cases", "1"], "--cases: expected --random alongside it"),
        (["--replay", "a:1", "--jobs", "1"], "--jobs: expected --random or no kind of check"),
        (["--arrays", "x"], "--arrays: expected --replay alongside it"),
        (["--random", "--exceptions", "x"], "--exceptions: expected no kind of check alongside it"),
        (["--out", "x"], "--out: expected --random alongside it"),
        (
            ["--random", "--json", "x"],
            "--json: expected --released or no kind of check alongside it",
        ),
        (["--random", "--html", "x"], "--html: expected no kind of check alongside it"),
        (["--random", "--depth", "ci"], "--depth: expected no kind of check alongside it"),
        (["--random", "--replay", "a:1"], "--replay: expected no other kind of check alongside it"),
        (["--replay", "a:1", "--released", "."], "--released: expected no other kind of check"),
        (["--released", ".", "--level", "2"], "--level: expected --random or no kind of check"),
    ],
)
def test_options_without_a_use_are_refused(folder, refused, words, expected):
    assert expected in refused(*words)
    assert not (folder / "x").exists()
    assert state_of(folder, "reference")["round"] == 0


def state_with(**changes):
    """A state with other values, as JSON; a name with a dot goes into its operation."""
    row = {"cases": 1, "missing": 0, "compared": 0, "unbounded": 0, "worst": 0.0, "seconds": 0.0}
    failure = {"operation": "masked_mean", "seed": 3, "message": ""}
    content = Explored("reference", "float64", 1).to_json()
    content["operations"]["masked_mean"] = row
    content["failures"] = [failure]
    for name, value in changes.items():
        kind, _, key = name.partition("__")
        place = {"operations": row, "failures": failure}.get(kind, content)
        place[key or kind] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[" * 100_000,
        "null",
        '{"format": 2}',
        state_with(format=2),
        state_with(target=3),
        state_with(stream=-1),
        state_with(round=10**400),
        state_with(operations__cases=10**400),
        state_with(operations__cases=-1),
        state_with(operations__seconds=float("nan")),
        state_with(operations__worst=float("inf")),
        state_with(operations__worst=10**400),
        state_with(failures__seed=2**53),
        state_with(failures__seed="3"),
        state_with(failures__operation="[/x]"),
        state_with(operations={"\ud800": {}}),
    ],
)
def test_files_that_are_no_state_are_refused(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentError, match="--out: expected a folder of explorations"):
        load_state(path, "reference", "float64")


def test_numbers_are_read_as_what_they_count(tmp_path):
    path = tmp_path / "state.json"
    path.write_text(state_with(operations__cases=2.0, failures__seed=3.0), encoding="utf-8")
    state = load_state(path, "reference", "float64")
    assert type(state.operations["masked_mean"].cases) is int
    assert state.failures[0].replay == "masked_mean:3"


def test_operations_that_are_gone_are_dropped(tmp_path):
    path = tmp_path / "state.json"
    path.write_text(state_with(failures__operation="a_former_one"), encoding="utf-8")
    assert load_state(path, "reference", "float64").failures == []


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
