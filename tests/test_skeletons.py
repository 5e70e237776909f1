"""Skeletons of programs: they build, speak the protocol, and say what every function takes."""

import base64
import json
import re
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from project import ROOT
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.command import report
from subbit.conformance.command.cli import make_app
from subbit.conformance.command.skeleton import listing
from subbit.conformance.programs.calls import METHODS
from subbit.conformance.protocol import PROTOCOL

COMPILED = pytest.param(
    "c",
    marks=pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in ("cc", "make")), reason="no cc or no make here"
    ),
)
LANGUAGES = [COMPILED, "exec"]
SKELETONS = ROOT / "conformance" / "skeletons"


def init_port(*words):
    return CliRunner().invoke(make_app("init-port"), ["init-port", *map(str, words)])


def written(language, folder):
    """Write a skeleton, build it as it says, and return the program and its source."""
    made = init_port(folder / "own", "--language", language)
    assert made.exit_code == 0, made.output
    assert "subbit check --exec ./" in made.output
    if language == "exec":
        return folder / "own", folder / "own"
    build(folder / "own")
    return folder / "own" / "port", folder / "own" / "port.c"


def build(folder):
    done = subprocess.run(["make", "-C", folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_skeleton_is_incomplete_with_one_function(language, tmp_path):
    program, _ = written(language, tmp_path)
    found = report.run(report.Request(f"exec:{program}", 3, "quick"))
    assert found["result"] == "incomplete"
    by_status = {}
    for row in found["operations"]:
        by_status.setdefault(row["status"], set()).add(row["operation"])
    assert by_status.keys() == {"passed", "missing"}
    assert by_status["passed"] == {"sign", "interface_sign"}
    assert by_status["missing"] == OPERATIONS.keys() - by_status["passed"]
    refused = [r for r in found["operations"] if r["part"] == "refusals" and r["passed"]]
    assert [row["operation"] for row in refused] == ["interface_sign"]


def comments_of(source):
    """The text of each entry of the table, by its name."""
    table = re.search(r"FUNCTIONS(?:\[\])? = \{\n(.*?)\n\}", source, re.DOTALL)[1]
    blocks = re.findall(r'((?:    (?://|#)[^\n]*\n)+)    \{?"([\w.]+)"', table)
    return {
        name: " ".join(re.sub(r"^ *(//|#)", "", text, flags=re.MULTILINE).split())
        for text, name in blocks
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_function_says_what_it_takes_and_answers(language, tmp_path):
    _, path = written(language, tmp_path)
    said = comments_of(path.read_text(encoding="utf-8"))
    assert said.keys() == PROTOCOL.keys() | METHODS.keys()
    for name, about in listing().items():
        own = said[name]
        assert f"level {about['level']}, family {about['family']}" in own
        for argument, kind in about["arguments"].items():
            assert f"{argument} : {kind['takes']}" in own, name
        assert " ".join(about["answer"].split()) in own, name


def test_shared_sources_stand_in_one_place(tmp_path):
    for name in ("message.h", "serve.h"):
        assert not list((ROOT / "docs").rglob(name))
        assert name in (ROOT / "docs" / "ports" / "c" / "Makefile").read_text()
    init_port(tmp_path / "c", "--language", "c")
    own = {path.name for path in (tmp_path / "c").iterdir()}
    assert own == {path.name for path in (SKELETONS / "c").iterdir()}
    for name in own - {"port.c"}:
        assert (tmp_path / "c" / name).read_text() == (SKELETONS / "c" / name).read_text()


@pytest.mark.parametrize(
    ("name", "language", "said"),
    [
        ("taken", "c", "FILE: expected a place where there is nothing yet"),
        ("taken", "exec", "FILE: expected a place where there is nothing yet"),
        ("taken", "any", "FILE: expected a place where there is nothing yet"),
        ("nowhere/port", "c", "FILE: expected a place in a folder that exists"),
        ("nowhere/port", "exec", "FILE: expected a place in a folder that exists"),
        ("nowhere/port.py", "python", "FILE: expected a place in a folder that exists"),
        ("/proc/port", "c", "/proc/port"),
        ("/proc/port", "exec", "/proc/port"),
        ("new", "cobol", "--language: expected one of python, c, exec, any, got cobol"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(name, language, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("mine")
    result = init_port(name, "--language", language)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert said in result.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("taken", "mine")]


def talk(program, *messages):
    """Say messages to a program, and return what it says."""
    lines = "".join(json.dumps(message) + "\n" for message in messages)
    done = subprocess.run(
        [sys.executable, program], input=lines, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_program_can_ask_and_keep_objects(tmp_path):
    """What only a few functions need is there as well: callbacks, methods, other errors."""
    program, path = written("exec", tmp_path)
    source = path.read_text(encoding="utf-8")
    for name, body in (
        ("compensate", "lambda W, U, quantize_block, **_: ask(2, quantize_block, W)"),
        ("HessianAccumulator", 'lambda width: {"object": "o0"}'),
        ("HessianAccumulator.count", "lambda self: 1 / (self['object'] == 'o1')"),
    ):
        assert f'"{name}": None' in source
        source = source.replace(f'"{name}": None', f'"{name}": {body}')
    path.write_text(source, encoding="utf-8")
    W = {"dtype": "F64", "shape": [1], "base64": base64.b64encode(bytes(8)).decode()}
    calls = [
        ("HessianAccumulator", {"width": 3}),
        ("compensate", {"W": W, "U": W, "quantize_block": {"callback": "c0"}}),
    ]
    hello, made, asked, result, failed = talk(
        program,
        {"type": "hello", "protocol": 1},
        *(
            {"type": "call", "id": n, "function": f, "arguments": a}
            for n, (f, a) in enumerate(calls, 1)
        ),
        {"type": "answer", "id": 2, "value": {"real": "inf"}},
        {
            "type": "call",
            "id": 3,
            "function": "HessianAccumulator.count",
            "arguments": {"self": {"object": "o0"}},
        },
    )
    assert hello["functions"] == ["compensate", "HessianAccumulator", "sign"]
    assert made == {"type": "result", "value": {"object": "o0"}, "id": 1}
    assert asked == {"type": "ask", "id": 2, "callback": "c0", "arguments": [W]}
    assert result == {"type": "result", "value": {"real": "inf"}, "id": 2}
    assert failed["error"] == {"kind": "other", "message": "ZeroDivisionError: division by zero"}
