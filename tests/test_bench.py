"""What `subbit bench reference` compares computes the same, and says what it lacks."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from subbit import reference
from subbit.conformance.command import bench, torch_loops
from subbit.conformance.command.bench_beside import BESIDE, measure_beside, measure_steps
from subbit.conformance.command.cli import make_app

SMALL = ["--rows=5", "--columns=64", "--block-size=32", "--repeats=1"]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.usefixtures("torch")
def test_released_loops_reach_the_loss_of_the_specification():
    rows = list(measure_beside(12, 128, 64, 1))
    assert [row["routine"] for row in rows] == list(BESIDE)
    for row in rows:
        exact = row["torch_type"] == "float64"
        assert row["loss_ratio"] == pytest.approx(1.0, abs=1e-9 if exact else 1e-3)
        assert row["ratio"] > 0


@pytest.mark.usefixtures("torch")
def test_steps_of_the_hessian_agree_with_torch():
    rows = list(measure_steps(48, 1))
    assert [row["routine"] for row in rows] == ["damp", "inverse_factor"]
    assert max(row["difference"] for row in rows) < 1e-12


def test_dead_inputs_count_as_one_in_both(torch):
    H = np.diag([2.0, 0.0, 4.0])
    damped = torch_loops.damp(torch.tensor(H)).numpy()
    np.testing.assert_allclose(damped, reference.damp(H), rtol=1e-14)


@pytest.mark.parametrize("missing", [False, True])
def test_rows_go_to_a_file_and_a_missing_torch_is_named(missing, tmp_path, monkeypatch):
    if missing:
        monkeypatch.setattr(bench, "installed", lambda _: None)
    else:
        pytest.importorskip("torch")
    file = tmp_path / "rows.json"
    words = ["bench", "reference", *SMALL, "--method=gptq", f"--json={file}"]
    done = CliRunner().invoke(make_app("bench"), words)
    assert done.exit_code == 0, done.output
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert rows["versions"]["torch"] == "not installed" or not missing
    assert [row["routine"] for row in rows["beside"]] == ([] if missing else ["gptq:2bit"])
    assert ("torch is not installed" in " ".join(done.output.split())) == missing
    assert rows["searches"][-1]["search"] == "columns of a block"
    assert rows["searches"][-1]["difference"] == 0.0
    assert rows["loading"][0]["cpu_seconds"] > 0
