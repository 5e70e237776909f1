"""Ports that others write: the skeleton, and the worked example of the documentation."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from project import ROOT, with_path
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.command import report
from subbit.conformance.programs.forms import Codec
from subbit.conformance.protocol import PROTOCOL, differences
from subbit.conformance.target import arithmetic_of


def subbit(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "subbit.conformance", *words],
        cwd=cwd,
        env=with_path(cwd),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory):
    folder = tmp_path_factory.mktemp("port")
    made = subbit("init-port", "my_own_port.py", cwd=folder)
    assert made.returncode == 0, made.stderr
    assert "subbit check my_own_port" in made.stdout
    return folder


def test_the_skeleton_has_every_function(skeleton, monkeypatch):
    monkeypatch.syspath_prepend(skeleton)
    port = importlib.import_module("my_own_port")
    for name in PROTOCOL:
        assert differences(port, name) == []
        said = inspect.getdoc(getattr(port, name))
        assert said.startswith(PROTOCOL[name].summary)
        # What is taken and what is answered, with shapes; not how.
        assert all(f"{argument} : " in said for argument in PROTOCOL[name].contract.kinds)
        assert "Examples" not in said
    assert arithmetic_of(port).dtype == "float64"


def test_the_skeleton_implements_nothing(skeleton):
    done = subbit("check", "my_own_port", "--depth", "quick", "--json", "out.json", cwd=skeleton)
    assert done.returncode == 2
    content = json.loads((skeleton / "out.json").read_text())
    assert content["result"] == "incomplete"
    assert {row["status"] for row in content["operations"]} == {"missing"}
    assert {row["operation"] for row in content["operations"]} == set(OPERATIONS)


@pytest.mark.parametrize("name", ["my_own_port.py", "not-a-name.py", "port.txt"])
def test_files_that_cannot_be_a_port_are_one_sentence(skeleton, name):
    done = subbit("init-port", name, cwd=skeleton)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "FILE" in done.stderr


def test_other_languages_get_a_list_of_the_functions(skeleton):
    made = subbit("init-port", "functions.json", "--language", "any", cwd=skeleton)
    assert made.returncode == 0, made.stderr
    listed = json.loads((skeleton / "functions.json").read_text())
    assert listed.keys() == PROTOCOL.keys()
    for name, function in PROTOCOL.items():
        own = listed[name]
        assert own["arguments"].keys() == function.contract.kinds.keys()
        assert own["answer"] or name == "HessianAccumulator"
        for argument, parameter in function.signature.parameters.items():
            given = own["arguments"][argument]
            assert given["takes"]
            assert ("default" in given) == (parameter.default is not parameter.empty)
            if "default" in given:
                assert Codec().read(given["default"]) == parameter.default
    assert subbit("init-port", "a.json", "--language", "cobol", cwd=skeleton).returncode == 2


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("example_port")


def test_the_example_conforms_in_what_it_implements(example):
    found = report.run(report.Request(example.__name__, 3, "ci"))
    assert found["dtype"] == "float32"
    by_status = {status: set() for status in ("passed", "failed", "missing")}
    for row in found["operations"]:
        by_status[row["status"]].add(row["operation"])
    assert not by_status["failed"], [row["message"] for row in found["operations"]]
    source = ast.parse((ROOT / "docs" / "example_port.py").read_text(encoding="utf-8"))
    own = {node.name for node in source.body if isinstance(node, ast.FunctionDef)} & set(PROTOCOL)
    assert len(own) == 6
    assert by_status["passed"] == own | {f"interface_{name}" for name in own}
    assert found["exit_code"] == 2


def test_the_example_is_caught_when_it_declares_more_than_it_has(example, make_port):
    exact = "from example_port import *\nCAPABILITIES = {'dtype': 'float64'}"
    found = report.run(report.Request(make_port(exact, drop=reference.__all__), 2, "quick"))
    failed = {row["operation"] for row in found["operations"] if row["status"] == "failed"}
    assert failed >= {"masked_mean", "masked_scale", "weight_error", "column_saliency"}
    assert Path(example.__file__).name == "example_port.py"
