"""Ports that end their process, never answer or take all memory: the result of one operation."""

import json
import re

import numpy as np
import pytest

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.command.workers import Workers
from subbit.conformance.programs.worker import Allowance
from subbit.reference.errors import ArgumentError, SubbitError

ENDINGS = {
    "ctypes.string_at(0)": r"ended by SIGSEGV \(Segmentation fault\), in proxy_loss \(port_under",
    "os._exit(3)": r"exited with code 3",
    "os._exit(0)": r"exited with code 0",
    "os.abort()": r"ended by SIGABRT \(Aborted\), in proxy_loss",
    "os.kill(os.getpid(), 9)": r"ended by SIGKILL",
    "while True: pass": r"did not answer in 5 s, in proxy_loss \(port_under_test_\d+.py, line",
    "time.sleep(1000)": r"did not answer in 5 s, in proxy_loss",
    "np.ones(2**40)": r"raised \w*MemoryError: .*\(--memory-limit 0.5 GiB\)",
    "return bytearray(2**30)": r"raised MemoryError: .*\(--memory-limit 0.5 GiB\)",
    "raise BaseException('odd')": r"raised BaseException: odd",
    "raise KeyboardInterrupt": r"raised KeyboardInterrupt",
    "raise SystemExit(0)": r"raised SystemExit: 0",
    "raise GeneratorExit": r"raised GeneratorExit",
}
ENDED = re.compile("ended by|exited|did not answer")
MEMORY = ("--memory-limit", 0.5)


def rows_in(path):
    return {row["operation"]: row for row in json.loads(path.read_text())["operations"]}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_result_of_one_operation(run, few, make_port, tmp_path, ending):
    few("masked_mean", "proxy_loss", "weight_error", "rtn_layer")
    name = make_port(f"def proxy_loss(W, Q, H):\n    {ending}")
    file = tmp_path / "out.json"
    # On a busy machine everything takes its time; only what never ends needs a short limit.
    limits = (*MEMORY, "--time-limit", 5) if "did not" in ENDINGS[ending] else MEMORY
    result = run(name, "--depth", "quick", "--json", file, *limits)
    assert result.exit_code == 1, result.output
    rows = rows_in(file)
    failed = rows.pop("proxy_loss")
    assert failed["status"] == "failed"
    assert failed["replay"].startswith("proxy_loss:")
    assert re.search(ENDINGS[ending], failed["message"]), failed["message"]
    assert {row["status"] for row in rows.values()} == {"passed"}
    assert len(rows) == 3
    asked = len(seeds_of(OPERATIONS["proxy_loss"], "quick"))
    left_out = asked - 1 if ENDED.search(failed["message"]) else 0
    assert failed["left_out"] == left_out
    assert ("other cases of the operation are left out" in failed["message"]) == bool(left_out)
    assert f"--replay {failed['replay']}" in result.output


def test_memory_that_is_kept_is_not_the_next_ones_fault(run, few, make_port, tmp_path):
    few("masked_mean", "proxy_loss", "weight_error")
    kept = """
    kept = []
    def weight_error(W, Q):
        kept.append(np.ones(2**24))
        return reference.weight_error(W, Q)
    def proxy_loss(W, Q, H):
        np.ones(2**25)
        return reference.proxy_loss(W, Q, H)
    """
    file = tmp_path / "out.json"
    run(make_port(kept), "--depth", "quick", "--json", file, *MEMORY)
    statuses = {name: row["status"] for name, row in rows_in(file).items()}
    assert statuses == {"masked_mean": "passed", "proxy_loss": "passed", "weight_error": "failed"}


def test_a_crash_while_refusing_is_no_verdict_on_numbers(run, few, make_port, tmp_path):
    few("interface_weight_error", "weight_error")
    crash = """
    def weight_error(W, Q):
        if not np.isfinite(np.asarray(W, dtype=float)).all():
            ctypes.string_at(0)
        return reference.weight_error(W, Q)
    """
    file = tmp_path / "out.json"
    assert run(make_port(crash), "--depth", "quick", "--json", file).exit_code == 3
    verdicts = json.loads(file.read_text())["verdicts"]
    assert verdicts == {"signatures": "conforms", "refusals": "missing", "numbers": "conforms"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os._exit(0)", "exited with code 0"),
        ("raise OSError('no')", "OSError: no"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
@pytest.mark.parametrize("words", [(), ("--replay", "sign:1"), ("--released", ".")])
def test_a_port_that_cannot_be_imported_is_one_sentence(run, make_port, source, said, words):
    result = run(make_port(source), *words)
    assert result.exit_code == 2
    (sentence,) = [line for line in result.stderr.splitlines() if "starting" not in line]
    assert said in sentence


def test_what_a_port_prints_is_not_in_the_report(few, make_port, capfd, run):
    few("sign")
    loud = "print('loud')\ndef sign(x, zero=1):\n    print('louder')\n    os.write(1, b'loudest')\n"
    name = make_port(f"{loud}    return reference.sign(x, zero)")
    assert run(name, "--depth", "quick").exit_code == 0
    out, err = capfd.readouterr()
    assert "loud" not in out
    assert "loudest" in err


def test_released_outputs_survive_a_crash(run, make_port, tmp_path):
    np.savez(tmp_path / "case.npz", W=np.ones((2, 3)), mask=np.ones((2, 3), bool))
    with np.load(tmp_path / "case.npz") as archive:
        given = dict(archive)
    np.savez(tmp_path / "case.npz", **given, residual_order1=np.ones((2, 3)))
    name = make_port("def residual_binarize(*_, **__): ctypes.string_at(0)")
    result = run(name, "--released", tmp_path)
    assert result.exit_code == 2
    assert "SIGSEGV" in result.stderr
    assert "in residual_binarize" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--time-limit", 0), "--time-limit: expected a number above 0"),
        (("--memory-limit", -1), "--memory-limit: expected a number above 0"),
        (("--memory-limit", "nan"), "--memory-limit: expected a number above 0"),
        (("--jobs", 0), "--jobs: expected a number above 0"),
    ],
)
def test_limits_that_are_none_are_refused(run, words, said):
    result = run("reference", "--depth", "quick", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_nothing_outlives_its_end(make_port):
    with Workers(make_port("def sign(x, zero=1): time.sleep(1000)"), 1) as workers:
        workers.submit(("sign", [1]))
        (worker,) = workers.busy
        assert worker.process.poll() is None
    assert worker.process.poll() is not None


def test_a_target_that_does_not_exist_is_an_error():
    with pytest.raises(SubbitError, match=r"target: expected reference"):
        Workers("no.such.port", 1)
    with pytest.raises(ArgumentError):
        Allowance(seconds=0.0)


def test_pytest_judges_in_processes_as_well(pytester_run, make_port):
    name = make_port("def proxy_loss(W, Q, H): ctypes.string_at(0)")
    done = pytester_run(name, "-k", "test_operation and (proxy_loss or masked_mean)")
    assert done.returncode == 1
    assert "2 failed, 2 passed" in done.stdout
    assert "ended by SIGSEGV (Segmentation fault), in proxy_loss" in done.stdout
    assert "[--replay proxy_loss:0]" in done.stdout
