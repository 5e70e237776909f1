"""Layers quantized in other processes: the same bits, and nothing lost in silence."""

import dataclasses
import os
import subprocess
import time
from pathlib import Path

import pytest
from run.helpers import files_of, make_settings, without_times
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from project import INTERRUPTIBLE_PYTHON, some, with_path
from subbit import reference
from subbit.conformance.command import cli
from subbit.conformance.command.crews import CrewOptions, open_crew
from subbit.conformance.models.load import load_model
from subbit.conformance.runs import processes
from subbit.conformance.runs.crew import Here
from subbit.conformance.runs.manifest import load_manifest
from subbit.conformance.runs.processes import Machine, Processes
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.reference.errors import ArgumentError, SubbitError

LABELS = ["rtn:sign", "gptq:2bit", "billm:paper", "arb-rc:paper", "pbs2p:best@4:8", "wanda:ria@2:4"]

# Reference, and what a test adds; `calls` counts the calls of all processes.
COUNTING = """
from pathlib import Path

CALLS = Path(__file__).with_suffix(".calls")

def calls():
    with CALLS.open("a") as file:
        file.write("x")
        return file.tell()
"""


def quantized(out, sequences, crew, label="billm:paper", **choices):
    """Run on the tiny model; return what the run says and leaves."""
    model = load_model("tiny")
    settings = make_settings(model, sequences, label, **choices)
    steps, layers, notices = [], [], []
    hooks = Hooks(steps.append, layers.append, notice=notices.append)
    manifest = quantize_model(model, crew, settings, sequences, out=out, hooks=hooks)
    weights = {
        (index, linear.name): model.weight(index, linear.name).tobytes()
        for index in range(*settings.blocks)
        for linear in model.linears(index)
    }
    said = [dataclasses.replace(layer, seconds=0, cpu_seconds=0) for layer in layers]
    return without_times(manifest), files_of(out), weights, said, sorted(steps), notices


@pytest.fixture(scope="module", params=[2, 3])
def several(request):
    with Processes("reference", request.param) as crew:
        yield crew


@pytest.mark.parametrize("label", some(LABELS, every=2))
def test_any_number_of_processes_gives_the_bits_of_one(label, several, sequences, tmp_path):
    blocks = (0, 3) if label == "billm:paper" else (0, 1)
    one = quantized(tmp_path / "one", sequences, Here(reference), label, blocks=blocks)
    many = quantized(tmp_path / "many", sequences, several, label, blocks=blocks)
    assert one == many
    assert one[-1] == []


def test_times_are_those_of_the_process_that_did_the_work(sequences, make_port):
    slow = """
    def billm_layer(W, H, config):
        began = time.process_time()
        while time.process_time() < began + 0.05:
            pass
        return reference.billm_layer(W, H, config)
    """
    model = load_model("tiny")
    port = make_port(slow)
    settings = make_settings(model, sequences, blocks=(0, 1), target=port)
    with Processes(port, 2) as crew:
        (block,) = quantize_model(model, crew, settings, sequences).blocks
    assert all(layer.cpu_seconds >= 0.05 for layer in block.layers)
    assert block.cpu_seconds >= sum(layer.cpu_seconds for layer in block.layers)


def test_a_port_computes_on_one_thread_everywhere(sequences, make_port):
    counts = """
    from threadpoolctl import threadpool_info
    def billm_layer(W, H, config):
        threads = {one["num_threads"] for one in threadpool_info()}
        if threads != {1}:
            raise reference.errors.SubbitError(f"{threads} threads")
        return reference.billm_layer(W, H, config)
    """
    port = make_port(counts)
    for options in (CrewOptions(1), CrewOptions(2)):
        model = load_model("tiny")
        settings = make_settings(model, sequences, blocks=(0, 1), target=port)
        with threadpool_limits(2), open_crew(port, options) as crew:
            assert quantize_model(model, crew, settings, sequences).complete


def test_a_killed_process_loses_nothing_and_is_told(sequences, make_port, tmp_path):
    port = make_port(
        COUNTING
        + """
def billm_layer(W, H, config):
    if calls() == 3:
        os.kill(os.getpid(), 9)
    return reference.billm_layer(W, H, config)
"""
    )
    with Processes(port, 2) as crew:
        *many, notices = quantized(tmp_path / "many", sequences, crew, target=port)
    *one, _ = quantized(tmp_path / "one", sequences, Here(reference), target=port)
    assert many == one
    (notice,) = notices
    assert notice.startswith("decoder block 0, ")
    assert "the process was ended by SIGKILL (Killed)" in notice
    assert notice.endswith("; the linear is done again in a new process")


def test_a_linear_that_kills_every_process_is_named(sequences, make_port, tmp_path):
    port = make_port(
        """
        def billm_layer(W, H, config):
            if W.shape == (64, 160):
                os.kill(os.getpid(), 9)
            return reference.billm_layer(W, H, config)
        """
    )
    said = r"decoder block 0, mlp\.down_proj: .*SIGKILL.* second one; .* fewer --workers than 2"
    with Processes(port, 2) as crew:
        with pytest.raises(SubbitError, match=said):
            quantized(tmp_path / "out", sequences, crew, target=port)
        assert not crew.busy
    assert load_manifest(tmp_path / "out").blocks == ()


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("reference.errors.SubbitError('no')", "no"),
        ("reference.errors.ArgumentError('H', 'more', 'less')", "H: expected more, got less"),
        ("ValueError('odd')", "raised ValueError: odd"),
        ("MemoryError()", "raised MemoryError: "),
        ("KeyboardInterrupt", "raised KeyboardInterrupt: "),
    ],
)
def test_what_a_port_raises_names_the_linear(raised, said, sequences, make_port, tmp_path):
    port = make_port(
        f"""
        def billm_layer(W, H, config):
            if W.shape == (64, 160):
                raise {raised}
            return reference.billm_layer(W, H, config)
        """
    )
    with Processes(port, 2) as crew, pytest.raises(SubbitError) as error:
        quantized(tmp_path / "out", sequences, crew, target=port)
    assert str(error.value) == f"decoder block 0, mlp.down_proj: {said}"


def test_a_port_outside_its_declaration_is_refused_alike(sequences, make_port, tmp_path):
    port = make_port('CAPABILITIES = {"sizes": {"columns": 100}}')
    said = set()
    for workers in (1, 2):
        with open_crew(port, CrewOptions(workers)) as crew, pytest.raises(SubbitError) as error:
            quantized(tmp_path / str(workers), sequences, crew, target=port)
        said.add(str(error.value))
    (sentence,) = said
    assert "decoder block 0, mlp.down_proj: billm_layer takes at most 100 columns" in sentence


def test_a_port_without_the_routine_or_that_is_none(sequences, make_port, tmp_path):
    port = make_port(drop=["billm_layer"])
    with Processes(port, 2) as crew, pytest.raises(ArgumentError, match="has billm_layer"):
        quantized(tmp_path / "out", sequences, crew, target=port)
    assert not (tmp_path / "out").exists()
    for none, said in (("no_such_port", "target: expected"), (make_port("os._exit(3)"), "code 3")):
        with Processes(none, 2) as crew, pytest.raises(SubbitError, match=said):
            crew.has("billm_layer")


def test_small_blocks_are_done_here(sequences, tmp_path, monkeypatch):
    with Machine("reference", reference, 2) as crew:
        here = quantized(tmp_path / "here", sequences, crew, blocks=(0, 1))
        assert crew.processes is None
        monkeypatch.setattr(processes, "WORTH_A_PROCESS", 0)
        assert quantized(tmp_path / "apart", sequences, crew, blocks=(0, 1)) == here
        assert crew.processes is not None


def test_who_works_by_default(make_port):
    with open_crew("reference", CrewOptions()) as crew:
        assert isinstance(crew, Machine)
        assert crew.count == processes.available_processors() >= 1
    with open_crew(make_port('CAPABILITIES = {"device": "cuda"}'), CrewOptions()) as crew:
        assert isinstance(crew, Here)
    with pytest.raises(ArgumentError, match="workers: expected"):
        Processes("reference", 0)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, that is the question " * 20, encoding="utf-8")
    return path


def command(name, text, out, *words):
    fixed = [name, "tiny", f"--calibration={text}", f"--out={out}", "--samples=3", "--length=32"]
    return CliRunner().invoke(cli.make_app(name), [*fixed, *map(str, words)])


def test_the_commands_take_workers(text, tmp_path):
    for workers in (1, 2):
        made = command("quantize", text, tmp_path / f"q{workers}", "--method=billm",
                       f"--workers={workers}")  # fmt: skip
        assert made.exit_code == 0, made.output
        drawn = command(
            "curve", text, tmp_path / f"c{workers}", "--method=rtn:sign", "--method=gptq:2bit",
            f"--text={text}", "--window=32", "--windows=2", "--ks=1,2", "--parts=q,k",
            f"--workers={workers}",
        )  # fmt: skip
        assert drawn.exit_code == 0, drawn.output
    assert files_of(tmp_path / "q1") == files_of(tmp_path / "q2")
    one, two = (files_of(tmp_path / name / "runs") for name in ("c1", "c2"))
    records = {name for name in one if name.endswith(".safetensors")}
    assert len(records) == 2 * 2 + 2 * 2 * 3
    assert all(one[name] == two[name] for name in records)


def test_workers_and_scheduler_exclude_each_other(text, tmp_path):
    words = ["--method=billm", "--workers=2", "--scheduler=tcp://127.0.0.1:1"]
    made = command("quantize", text, tmp_path / "out", *words)
    assert made.exit_code == 2
    assert "--workers: expected no --scheduler alongside it" in made.stderr
    assert command("quantize", text, tmp_path / "out", "--method=billm", "--workers=0").exit_code


# Interrupts the command in the second block, once it is told to, and works on for a long time.
INTERRUPTING = """
def billm_layer(W, H, config):
    with Path(__file__).with_suffix(".pids").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if calls() == 9 and os.environ.get("INTERRUPT"):
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(1000)
    return reference.billm_layer(W, H, config)
"""


def alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_ctrl_c_ends_all_processes_and_the_run_goes_on(text, make_port, tmp_path):
    port = make_port("import signal\n" + COUNTING + INTERRUPTING)
    ports = tmp_path / "ports"

    def run(out, *words, **environment):
        fixed = ["--method=billm", f"--target={port}", f"--calibration={text}", "--samples=3"]
        return subprocess.run(
            [
                *(*INTERRUPTIBLE_PYTHON, "-m", "subbit.conformance", "quantize", "tiny"),
                *(*fixed, "--length=32", f"--out={out}", "--workers=2", *words),
            ],
            env=with_path(ports) | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    began = time.monotonic()
    stopped = run(tmp_path / "stopped", INTERRUPT="1")
    assert time.monotonic() - began < 100
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stderr.splitlines()[-1] == (
        "subbit: interrupted; finished decoder blocks are kept, --resume continues the run"
    )
    assert "Traceback" not in stopped.stderr
    pids = set((ports / f"{port}.pids").read_text().split())
    assert pids
    assert str(os.getpid()) not in pids
    assert not [pid for pid in pids if alive(pid)]
    assert len(load_manifest(tmp_path / "stopped").blocks) == 1
    assert run(tmp_path / "stopped", "--resume").returncode == 0
    assert run(tmp_path / "whole").returncode == 0
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")
