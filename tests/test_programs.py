"""Ports that are programs: the same cases, reports and replays, and all that can go wrong."""

import json
import re
import shlex
import subprocess
import sys
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from project import DEEP, ROOT, some, with_path
from subbit import reference
from subbit.conformance.capabilities import in_json, read_capabilities
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.command import report
from subbit.conformance.command.workers import Workers
from subbit.conformance.programs.port import NOT_ASKED, connect
from subbit.conformance.programs.process import Process
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import resolve
from subbit.reference.errors import ArgumentError, HessianError

PYTHON = shlex.quote(sys.executable)
SERVED = f"{PYTHON} -m subbit.conformance.programs.serve"
SMALL = f"{PYTHON} {shlex.quote(str(ROOT / 'tests' / 'programs' / 'small.py'))}"
SCHEMA = json.loads((files("subbit.conformance") / "schemas/messages.json").read_text())
# Large layers take their time; these are of every family, with records, callbacks and objects.
CONFORMING = [
    *some([name for name, item in OPERATIONS.items() if item.level == 0]),
    *some([name for name, item in OPERATIONS.items() if item.level in {1, 2}]),
    *some([name for name, item in OPERATIONS.items() if item.level == 3])[: None if DEEP else 2],
    "compensate",
    "hessian_in_batches",
    "arb_steps",
    "trace_objective",
]


@pytest.fixture
def _same_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", with_path(*sys.path)["PYTHONPATH"])


@pytest.fixture
def served(_same_path):
    program = connect(f"{SERVED} reference")
    yield program
    program.PROCESS.close()


@pytest.mark.usefixtures("_same_path")
def test_the_reference_conforms_through_the_protocol(monkeypatch):
    chosen = [OPERATIONS[name] for name in dict.fromkeys(CONFORMING)]
    monkeypatch.setattr(report, "of_level", lambda _: iter(chosen))
    found = report.run(report.Request(f"exec:{SERVED} reference", 3, "quick"))
    failed = [row for row in found["operations"] if row["status"] != "passed"]
    assert not failed, [row["message"] for row in failed]
    assert found["exit_code"] == 0
    assert found["not_asked"] == NOT_ASKED
    # What could not be asked is named where it would have counted.
    signatures = [row for row in found["operations"] if row["part"] == "signatures"]
    reason = f"signature: {NOT_ASKED['signatures']}"
    assert signatures
    assert all(row["counts"]["skipped"][reason] == 1 for row in signatures)


def test_each_message_is_one_of_the_schema(served, monkeypatch):
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    said, ask = [], Process.ask

    def listened(self, message, doing):
        answer = ask(self, message, doing)
        said.extend([message, answer])
        return answer

    monkeypatch.setattr(Process, "ask", listened)
    validator.validate(served.PROCESS.hello)
    for name in CONFORMING:
        for seed in seeds_of(OPERATIONS[name], "quick")[1:3]:
            OPERATIONS[name].check(served, read_capabilities(None).arithmetic, seed)
    kinds = {}
    for message in said:
        validator.validate(message)
        kinds.setdefault(message["type"], message)
    assert kinds.keys() == {"call", "result", "error", "ask", "answer"}
    # The schema itself: each of them with something more, or without its type, is none.
    for message in kinds.values():
        assert not validator.is_valid(message | {"more": 1})
        assert not validator.is_valid({k: v for k, v in message.items() if k != "type"})


def test_large_arrays_go_through_files_that_are_removed(served):
    W = np.random.default_rng(0).standard_normal((40, 100))
    layer = served.rtn_layer(W)
    assert np.array_equal(layer.decode(), reference.rtn_layer(W).decode())
    assert list(served.PROCESS.folder.iterdir()) == []


def test_refusals_arrive_as_the_references(served):
    with pytest.raises(HessianError, match="H: expected"):
        served.inverse_factor(-np.eye(2))
    with pytest.raises(ArgumentError, match="x: expected"):
        served.sign([np.nan])
    with pytest.raises(TypeError):
        served.sign()
    assert not hasattr(served, "no_such_function")
    assert not hasattr(served, "STRICT_TWIN")


def test_a_callback_that_raises_ends_the_call_only(served):
    def broken(_W, _columns):
        raise ArithmeticError("broken")

    with pytest.raises(ArithmeticError, match="broken"):
        served.compensate(np.ones((1, 2)), np.eye(2), broken, block_size=1, mode="exact")
    assert served.sign([-2.0]).tolist() == [-1]


ENDINGS = {
    "crash": r"the program was ended by SIGSEGV \(Segmentation fault\), in proxy_loss",
    "exit": "the program exited with code 3, in proxy_loss",
    "hang": "the program did not answer in 1 s, in proxy_loss",
    "spin": "the program did not answer in 1 s, in proxy_loss",
    "close": "the program closed its output, in proxy_loss",
}
MEMORY = {"memory": r"raised MemoryError: no memory \(--memory-limit 0.5 GiB\)"}
ANSWERS = {
    "chatter": "raised FormError: proxy_loss: expected a message on each line, got 'Hello!'",
    "two values": r"got '….*, 2\] \[3\]}', which at character 183 is no JSON$",
    "nan": r"character 29 is no JSON; what JSON has no number for is \{\"real\": \"nan\"\}",
    "NaN": r"character 29 is no JSON; what JSON has no number for is \{\"real\": \"nan\"\}",
    "list": r"expected a message on each line, an object with a type, got '\[1\]'",
    "number": r"raised FormError: proxy_loss: expected the id \d+, got \d+",
    "type": "expected a result, not_implemented or an error, got answer",
    "form": "raised FormError: dtype: expected one of F64, .*, got BF16",
    "file": "raised FormError: tensors: expected a file in the folder",
    "ask": "raised FormError: ask: expected a callback among none and arguments, got c9",
    "error": "raised ProgramError: out of luck",
    "not an error": "raised FormError: error: expected a kind among",
}


@pytest.mark.parametrize("how", ENDINGS | MEMORY)
def test_whatever_happens_is_the_result_of_one_operation(run, few, tmp_path, how):
    few("proxy_loss", "weight_error")
    file = tmp_path / "out.json"
    # On a busy machine everything takes its time; only what never ends needs a short limit.
    seconds = 1 if "answer in" in ENDINGS.get(how, "") else 60
    limits = ("--memory-limit", 0.5, "--time-limit", seconds)
    command = f"{SMALL} {shlex.quote(how)}"
    result = run("--exec", command, "--depth", "quick", "--json", file, *limits)
    assert result.exit_code == 1, result.output
    content = json.loads(file.read_text())
    rows = {row["operation"]: row for row in content["operations"]}
    assert rows["weight_error"]["status"] == "passed"
    failed = rows["proxy_loss"]
    assert re.search((ENDINGS | MEMORY)[how], failed["message"]), failed["message"]
    asked = len(seeds_of(OPERATIONS["proxy_loss"], "quick"))
    assert failed["left_out"] == (asked - 1 if how in ENDINGS else 0)
    assert f"subbit check {shlex.quote(content['target'])} --replay proxy_loss:0" in result.output
    assert "not asked: signatures" in result.output


@pytest.mark.parametrize("how", ANSWERS)
def test_a_wrong_answer_is_the_result_of_one_call(how):
    program = connect(f"{SMALL} {shlex.quote(how)}")
    arithmetic = read_capabilities(None).arithmetic
    failed = OPERATIONS["proxy_loss"].check(program, arithmetic, 0)
    assert failed.status == "failed"
    assert re.search(ANSWERS[how], failed.message), failed.message
    assert OPERATIONS["weight_error"].check(program, arithmetic, 0).status == "passed"
    program.PROCESS.close()


def test_what_is_not_implemented_is_incomplete(run, few, tmp_path):
    few("proxy_loss", "weight_error", "masked_mean")
    file = tmp_path / "out.json"
    assert run("--exec", f"{SMALL} missing", "--depth", "quick", "--json", file).exit_code == 2
    rows = {row["operation"]: row for row in json.loads(file.read_text())["operations"]}
    assert rows["proxy_loss"]["message"] == "not implemented: not yet"
    assert rows["masked_mean"]["message"] == "not implemented: masked_mean"


def test_a_case_of_a_program_is_replayed(run, tmp_path):
    result = run("--exec", f"{SMALL} crash", "--replay", "weight_error:3")
    assert result.exit_code == 0, result.output
    assert "call 1 weight_error" in result.output
    result = run(f"exec:{SMALL} crash", "--replay", "proxy_loss:3", "--arrays", tmp_path)
    assert result.exit_code == 1
    assert "ended by SIGSEGV" in result.output
    with np.load(tmp_path / "proxy_loss-3.npz") as arrays:
        assert "call_1_proxy_loss.W" in arrays


def test_new_cases_are_drawn_for_a_program(run, tmp_path):
    words = ("--random", "--cases", 400, "--jobs", 1, "--out", tmp_path)
    result = run("--exec", f"{SMALL} missing", *words)
    # What it does not implement is missing, what it does is compared.
    assert result.exit_code == 2
    assert "400 cases" in result.output
    assert "0 failures" in result.output
    assert re.search(r"[1-9]\d* numbers compared", result.output), result.output


def test_a_program_is_started_again():
    program = connect(f"{SMALL} exit")
    for _ in range(2):
        with pytest.raises(BaseException, match="exited with code 3"):
            program.proxy_loss([[1.0]], [[1.0]], [[1.0]])
        assert program.weight_error([[1.0]], [[3.0]]) == 4.0
    program.PROCESS.close()


def test_no_process_and_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Workers(f"exec:{SMALL} hang", 1) as workers:
        workers.submit(("proxy_loss", [0]))
        assert workers.about.lacking == PROTOCOL.keys() - {"proxy_loss", "weight_error"}
    left = subprocess.run(
        ["pgrep", "-f", f"{ROOT}.*small.py hang"], check=False, capture_output=True
    )
    assert not left.stdout
    assert list(tmp_path.iterdir()) == []


UNSTARTED = [
    (("--exec", "./no-such-program"), "--exec: expected a program .*: .*No such file"),
    (("--exec", ""), "--exec: expected a program"),
    (("--exec", f"{PYTHON} -c pass"), "--exec: .*exited with code 0, in hello"),
    (
        ("--exec", f"{PYTHON} -c 'print(1)'"),
        "--exec: .*expected a message on each line, an object with a type, got '1'",
    ),
    (
        ("reference", "--exec", "./port"),
        "TARGET: expected either a port or one of --exec, --outputs, got reference, --exec",
    ),
    ((), "TARGET: expected either a port or one of --exec, --outputs, got nothing"),
]


@pytest.mark.parametrize(("words", "said"), UNSTARTED)
def test_a_program_that_cannot_be_used_is_one_sentence(run, words, said):
    result = run(*words)
    assert result.exit_code == 2
    # The first line of those that start says so.
    last = result.stderr.strip().splitlines()[-1]
    assert re.search(said, last)
    assert "Traceback" not in result.output + result.stderr


GREETS = (
    "import json,sys; sys.stdin.readline(); print(json.dumps({}), flush=True); sys.stdin.read()"
)
HELLO = {"type": "hello", "protocol": 1}


def greeting(**more):
    return f"{PYTHON} -c {shlex.quote(GREETS.format(HELLO | more))}"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"protocol": 2}, "--exec: expected hello, and protocol 1"),
        ({"name": "x"}, r"hello: expected keys among type, .*, got 'name'"),
        ({"functions": ["sing"]}, r"hello\['functions'\]: expected functions of .*, got 'sing'"),
        ({"functions": "sign"}, r"hello\['functions'\]: expected a list"),
        ({"inline": -1}, r"hello\['inline'\]: expected bytes"),
        ({"strict_twin": {"how": "x"}}, r"hello\['strict_twin'\]: expected"),
        (
            {"capabilities": {"dtype": "float8"}},
            r"CAPABILITIES\['dtype'\]: expected one of float16",
        ),
    ],
)
def test_a_wrong_hello_is_one_sentence(run, more, said):
    result = run("--exec", greeting(**more))
    assert result.exit_code == 2
    assert re.search(said, result.stderr), result.stderr


def test_a_program_declares_what_a_port_in_python_can(few, run, tmp_path):
    """What is declared is respected, since a call outside would end the program."""
    declared = {
        "dtype": "float32",
        "depth": {"row": {"per_term": 1.0}},
        "sizes": {"rows": 1},
        "settings": {"sign": {"zero": [0]}},
        "device": "abacus",
        "versions": {"beads": "10"},
    }
    few("weight_error", "masked_mean")
    file = tmp_path / "out.json"
    command = greeting(capabilities=declared, functions=["weight_error"])
    run("--exec", command, "--depth", "quick", "--json", file)
    content = json.loads(file.read_text())
    assert (content["dtype"], content["device"]) == ("float32", "abacus")
    assert content["versions"]["beads"] == "10"
    assert content["operations"][0]["declared"] > 0
    jsonschema.validate(
        content, json.loads((files("subbit.conformance") / "schemas/check.json").read_text())
    )


def test_a_strict_twin_is_another_program(tmp_path):
    script = tmp_path / "twin.py"
    small = (ROOT / "tests" / "programs" / "small.py").read_text()
    twin = '"protocol": 1, "strict_twin": {"arguments": "strict", "how": "strictly"}'
    script.write_text(small.replace('"protocol": 1', twin))
    program = resolve(f"exec:{PYTHON} {script} error")
    other, how = program.STRICT_TWIN(7)
    assert how == "strictly"
    assert other.PROCESS.command.endswith("error strict")
    assert other.weight_error([[1.0]], [[3.0]]) == 4.0
    # There is never more than one.
    third, _ = program.STRICT_TWIN(8)
    assert third.PROCESS.running
    assert not other.PROCESS.running
    for one in (program, third):
        one.PROCESS.close()


@pytest.mark.parametrize(
    ("form", "depths"),
    [
        ({"base": 5}, {1: 5, 1000: 5}),
        ({"per_term": 1.0}, {1: 1, 1000: 1000}),
        ({"base": 2, "per_term": 0.25, "per_doubling": 1}, {1: 3, 8: 7, 1000: 262}),
    ],
)
def test_a_depth_is_a_formula_in_json(form, depths):
    arithmetic = read_capabilities({"depth": {"row": form}}).arithmetic
    assert {n: int(arithmetic.depths["row"](n)) for n in depths} == depths


def test_a_depth_that_json_cannot_hold_is_one_sentence():
    with pytest.raises(ArgumentError, match="CAPABILITIES: expected what JSON can hold"):
        in_json({"depth": {"row": len}})


@pytest.mark.parametrize("form", [{}, {"base": -1}, {"basis": 1}, {"base": "x"}])
def test_a_depth_that_is_none(form):
    with pytest.raises(ArgumentError, match=r"CAPABILITIES\['depth'\]: expected"):
        read_capabilities({"depth": {"row": form}})
