"""Lines of the kernels are reached by cases of the check itself, and what is not is said."""

import re

import numpy as np
import pytest
from covering import covering

from subbit import fast
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.command.kernel_coverage import cases_of, cover
from subbit.fast.coverage import ARCH, never_launched, reached
from subbit.fast.device import Kernel
from subbit.fast.device.simulated import Coverage, Simulated, load
from subbit.fast.launches.kernels import FILES, kernels

SOURCE = """
__device__ inline float halved(float x) {
  return 0.5f * x;
}
extern "C" __global__ void branches(float* x, int n, int never) {
  if (threadIdx.x < n)
    x[threadIdx.x] += 1.0f;
  if (never)
    x[0] = halved(x[1]);
  for (int i = 0; i < n; ++i)
    x[threadIdx.x] *= x[i];
}
"""
KERNEL = Kernel(SOURCE, "branches", file="rows.cu")


def launched(n, *, never=0, threads=4):
    recorder = Coverage()
    device = Simulated(coverage=recorder)
    x = np.ones(32, np.float32)
    device.launch(KERNEL, 1, threads, (x, np.int32(n), np.int32(never)))
    (found,) = reached(recorder, [KERNEL])
    return found


def test_lines_that_no_lane_executed_are_missed():
    assert [SOURCE.splitlines()[line - 1].strip() for line in launched(2).missed] == [
        "return 0.5f * x;",
        "x[0] = halved(x[1]);",
    ]
    assert launched(2, never=1).missed == []


def test_a_branch_is_two_sided_if_lanes_go_both_ways():
    def one_sided(**how):
        return {line for line, _ in launched(**how).one_sided}

    lines = {text.strip(): at for at, text in enumerate(SOURCE.splitlines(), 1)}
    first, second = lines["if (threadIdx.x < n)"], lines["if (never)"]
    assert first not in one_sided(n=2)
    assert first in one_sided(n=4)
    assert first in one_sided(n=0)
    assert {second} <= one_sided(n=2) & one_sided(n=2, never=1)


def test_what_two_launches_reach_adds_up():
    recorder = Coverage()
    device = Simulated(coverage=recorder)
    for never in (0, 1):
        device.launch(KERNEL, 1, 4, (np.ones(32, np.float32), np.int32(2), np.int32(never)))
    (found,) = reached(recorder, [KERNEL])
    assert not found.missed
    lines = {text.strip(): at for at, text in enumerate(SOURCE.splitlines(), 1)}
    assert lines["if (never)"] not in {line for line, _ in found.one_sided}


def test_a_device_without_a_recorder_keeps_none():
    device = Simulated()
    device.launch(KERNEL, 1, 4, (np.ones(32, np.float32), np.int32(2), np.int32(0)))
    assert device.coverage is None


def test_forms_that_were_never_launched_are_named():
    recorder = Coverage()
    fast.on("simulated", coverage=recorder).masked_mean(np.ones((1, 3)))
    missing = never_launched(recorder)
    assert "masked_mean" not in missing
    assert missing["masked_scale"] == [""]
    assert sum(map(len, missing.values())) == len(kernels()) - 1


def test_covering_cases_are_cases_of_the_check():
    """What only tests reach would not be tested on a GPU by `subbit check`."""
    for name, seed in covering():
        assert seed in seeds_of(OPERATIONS[name], "ci"), (name, seed)
    assert {(item.name, seed) for item, seed in cases_of("ci")} >= set(covering())


def test_every_line_is_reached_and_every_form_launched():
    """Where this fails after a change, `python tests/covering.py` chooses other cases."""
    found = cover((OPERATIONS[name], seed) for name, seed in covering())
    assert not found.failed
    assert not {file.file: file.missed for file in found.files if file.missed}
    assert not found.unused
    assert found.complete
    # So what a block runs, all of its lanes run.
    guarded = {
        ins.parts[0]
        for form in kernels()
        for block in load(form, ARCH).blocks
        for ins in block.instructions
        if ins.guard is not None
    }
    assert guarded == {"bra"}
    assert {file.file for file in found.files} == {p for k in FILES.values() for p in k.shared} | {
        *FILES
    }


def test_command_lists_what_is_missing(tmp_path, capsys, monkeypatch):
    from subbit.conformance.command import kernel_coverage

    case = OPERATIONS["masked_mean"], 0
    monkeypatch.setattr(kernel_coverage, "cases_of", lambda _: [case])
    assert not kernel_coverage.cover_kernels("quick", tmp_path / "found.json")
    said = capsys.readouterr().out
    assert "masked_scale never launched" in said
    assert re.search(r"rank\.cu:\d+ never reached: place\[j\] = rank;", said)
    assert 0 < int(re.search(r"rows\.cu +│ +(\d+) / 26 ", said)[1]) < 26
    assert '"cases": 1' in (tmp_path / "found.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["--depth quick", "--coverage --write-budget"])
def test_options_that_do_not_go_together_are_refused(text):
    from typer.testing import CliRunner

    from subbit.conformance.command.cli import make_app

    done = CliRunner().invoke(make_app("kernels"), ["kernels", *text.split()])
    assert done.exit_code == 2
