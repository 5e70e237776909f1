"""Cases that are run again: what was asked, answered and compared."""

import numpy as np
import pytest

from subbit.conformance.command.replay import replay
from subbit.conformance.programs.worker import Allowance

WRONG = "def masked_mean(W, mask=None): return 2 + reference.masked_mean(W, mask)"


def test_arrays_are_printed(run, make_port):
    result = run(make_port(WRONG), "--replay", "masked_mean:0")
    assert result.exit_code == 1
    lines = [line.split(" ")[0] for line in result.output.splitlines()]
    assert lines[0] == "call"
    for name in ("W :", "mask :", "answer :", "expected :", "found :", "bound :", "float64"):
        assert name in result.output
    assert "failed, error ÷ bound" in result.output


def test_long_arrays_are_shortened(run):
    result = run("reference", "--replay", "masked_mean:4294967296")
    assert "..." in result.output
    assert len(result.output) < 10_000


def test_arrays_are_written_without_pickles(run, make_port, tmp_path):
    name = make_port(WRONG)
    result = run(name, "--replay", "masked_mean:0", "--arrays", tmp_path / "new" / "folder")
    assert result.exit_code == 1
    file = tmp_path / "new" / "folder" / "masked_mean-0.npz"
    assert str(file) in result.output
    with np.load(file, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    asked = next(key for key in arrays if key.endswith(".W"))
    (found,) = [x for key, x in arrays.items() if key.endswith(".found") and x.ndim]
    expected = next(x for key, x in arrays.items() if key.endswith(".expected"))
    assert arrays[asked].ndim == 2
    assert np.allclose(found, expected + 2)
    assert all(x.dtype.kind in "fiubU" for x in arrays.values())


def test_what_crashed_is_known_by_its_arguments(run, make_port):
    result = run(
        make_port("def proxy_loss(W, Q, H): ctypes.string_at(0)"), "--replay", "proxy_loss:3"
    )
    assert result.exit_code == 1
    assert "call 1 proxy_loss" in result.output
    assert "H : float64" in result.output
    assert "SIGSEGV" in result.output


@pytest.mark.parametrize(
    "case",
    [
        "arb_steps:2",  # a generator
        "billm_layer_settings:0",  # a configuration, a record
        "compensate:1",  # a function among the arguments
        "interface_sign:1",  # what is no array
        "interface_masked_mean:8",
        "stbllm_block:0",  # judges beside the judge
        "HessianAccumulator:0",
    ],
)
def test_all_kinds_of_calls_can_be_shown(run, case, tmp_path):
    from subbit.conformance.cases import OPERATIONS

    if case.partition(":")[0] not in OPERATIONS:
        case = next(name for name in OPERATIONS if "hessian" in name) + ":0"
    shown, written = (run("reference", "--replay", case, *w) for w in ((), ("--arrays", tmp_path)))
    assert shown.exit_code == written.exit_code == 0, shown.output + written.output
    assert "passed" in shown.output


def test_a_case_is_judged_as_it_was():
    again = replay("reference", "masked_mean:3", Allowance())
    assert again.outcome.status == "passed"
    compared = [said for said in again.said if said.title.startswith("compared")]
    assert compared
    assert {"expected", "found", "bound"} <= set(compared[0].values)


def test_a_folder_that_cannot_be_made_is_refused(run, tmp_path):
    (tmp_path / "file").touch()
    result = run("reference", "--replay", "masked_mean:0", "--arrays", tmp_path / "file" / "x")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
