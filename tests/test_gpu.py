"""What of `make gpu` can be tried without a GPU: all of it, on the simulated device."""

import argparse
import json
import os
import subprocess
import sys

import gpu
import gpu_page
import gpu_steps
import numpy as np
import pytest
from planted_sources import BUGS, Faulty

from project import ROOT
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.target import arithmetic_of
from subbit.fast.device import DeviceUnavailableError
from subbit.fast.device.cuda import Cuda
from subbit.fast.port import Port

# Not on a machine that has no more than the command says that it needs.
ABSENT = ("pytest", "jsonschema", "safetensors", "threadpoolctl", "torch", "tokenizers", "gguf")
BLOCKED = f"""
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import gpu, gpu_page, gpu_steps
"""
# Stands for compute-sanitizer: the simulated device finds the faults by itself.
SANITIZER = """#!/bin/sh
shift 4
exec "$@"
"""


def options(**changed):
    given = {"device": "simulated", "every": 60, "limit": 1.0} | changed
    return argparse.Namespace(**given)


def test_command_says_in_one_sentence_what_is_missing():
    try:
        Cuda()
    except DeviceUnavailableError as error:
        sentence = str(error)
    else:
        pytest.skip("this machine has a GPU")
    done = subprocess.run(
        ["make", "gpu", f"PYTHON={sys.executable}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(gpu.RECORDS.glob("*.json"))


def test_rehearsal_runs_every_step_and_writes_a_record(tmp_path):
    stand_in = tmp_path / "bin" / "compute-sanitizer"
    stand_in.parent.mkdir()
    stand_in.write_text(SANITIZER)
    stand_in.chmod(0o755)
    path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
    words = ["--device", "simulated", "--every", "150", "--limit", "9", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, gpu.__file__, *words],
        capture_output=True, text=True, check=False, env=os.environ | {"PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.glob("*.json")
    record = json.loads(file.read_text())
    steps = record["steps"]
    assert list(steps) == list(gpu.LIMITS)
    assert all(step["status"] == "complete" and step["well"] for step in steps.values())
    assert steps["kernels"]["launches"] > 0
    assert steps["conformance"]["cases"]["passed"] > 50
    assert set(steps["sanitizer"]["clean"].values()) == {True}
    assert set(steps["sanitizer"]["noticed"].values()) == {True}
    assert steps["bandwidth"]["copy"] > 0
    assert {"date", "commit", "every"} <= set(record)
    page = gpu_page.written(gpu_page.PAGE.read_text(encoding="utf-8"), tmp_path)
    for step in steps.values():
        assert step["summary"] in page


def test_a_rehearsal_never_writes_into_the_repository():
    done = subprocess.run(
        [sys.executable, gpu.__file__, "--device", "simulated"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--out FOLDER" in done.stderr


def test_a_step_that_takes_too_long_is_stopped_and_keeps_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setitem(gpu.LIMITS, "conformance", 12.0)
    found = gpu.run_step("conformance", options(every=2), tmp_path)
    assert found["status"] == "stopped after 12 s"
    record = gpu.Record("simulated", 1)
    record.content["steps"]["conformance"] = found
    assert json.loads(record.write(tmp_path / "kept").read_text())["steps"] == {
        "conformance": found
    }


def test_a_kernel_that_differs_is_found_bit_for_bit():
    bug = next(b for b in BUGS if b.name == "saliency.cu: a switch is ignored")
    device = gpu_steps.Compared(Faulty(bug))
    port = Port(device, "simulated")
    del port.STRICT_TWIN
    item = OPERATIONS[bug.operation]
    for seed in range(4):
        item.check(port, arithmetic_of(port), seed)
    assert set(device.different) == {"saliency"}
    assert "simulated" in device.different["saliency"]


def test_zeros_of_both_signs_differ():
    device = gpu_steps.Compared(None)
    device._compare("x", "k", np.zeros(2, np.float32), np.array([0.0, -0.0], np.float32))  # noqa: SLF001
    assert device.different["k"].startswith("x: 1 of 2 differ, the first at 1")


def test_no_more_is_imported_than_a_machine_with_a_gpu_has():
    subprocess.run([sys.executable, "-c", BLOCKED], cwd=ROOT / "tests", check=True)


def test_all_steps_fit_into_eight_minutes():
    assert list(gpu.LIMITS) == list(gpu_steps.STEPS)
    assert sum(gpu.LIMITS.values()) <= 8 * 60 - 5


def test_page_shows_the_newest_record(tmp_path):
    page = gpu_page.PAGE.read_text(encoding="utf-8")
    assert gpu_page.written(page) == page
    for date in ("2026-01-02", "2026-01-01"):
        record = {
            "date": date,
            "commit": "abc",
            "steps": {"machine": {"gpu": date, "status": "complete", "seconds": 1, "summary": "x"}},
        }
        (tmp_path / f"{date}.json").write_text(json.dumps(record))
    assert "2026-01-02:" in gpu_page.written(page, tmp_path)
    assert gpu_page.NOTHING not in gpu_page.written(page, tmp_path)
