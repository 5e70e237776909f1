"""The doctor, and the version."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from subbit import reference
from subbit.conformance.command import doctor


@pytest.fixture
def ask():
    app = typer.Typer()
    app.command("doctor")(doctor.doctor_command)
    return lambda *words: CliRunner().invoke(app, words)


def test_what_is_here(ask):
    result = ask()
    assert result.exit_code == 0
    for part in doctor.parts():
        assert part.name in result.output
    assert "subbit check can run: reference" in result.output


def test_each_part_has_a_purpose_and_a_remedy():
    found = doctor.parts()
    assert len({part.name for part in found}) == len(found)
    wanted = {"Python", "numpy", "NVRTC", "CuPy", "GPU", "torch", "transformers"}
    wanted |= {"embedded model", "embedded text", "compute-sanitizer"}
    assert wanted <= {part.name for part in found}
    assert all(part.purpose and part.remedy for part in found)


def test_what_is_missing_is_told_with_its_remedy(ask, monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda name: None if name == "torch" else "1.0")
    result = ask("--missing")
    assert result.exit_code == 0
    (line,) = [line for line in result.output.splitlines() if "torch" in line]
    assert "missing" in line
    assert "pip install 'subbit[models]'" in line
    assert "scipy" not in result.output


def test_without_the_basics_it_is_code_2(ask, monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda name: None if name == "scipy" else "1.0")
    result = ask()
    assert result.exit_code == 2
    assert "subbit check cannot run without scipy" in result.output


def test_a_gpu_whose_driver_fails_is_missing(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda _: sys.executable)
    gpu = next(part for part in doctor.parts() if part.name == "GPU")
    assert gpu.found is None


def test_the_version():
    call = [sys.executable, "-m", "subbit.conformance", "--version"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.strip() == (
        f"subbit {reference.__version__}, specification {reference.SPEC_VERSION}"
    )
