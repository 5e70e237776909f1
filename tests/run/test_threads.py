"""The same records for any number of BLAS threads; other kernels are told."""

import json
import subprocess
import sys

import pytest

from project import with_path
from subbit.reference import METHODS

# In the child: every method on the tiny model, and its perplexity afterwards.
QUANTIZE = """
import contextlib, json, sys, warnings
import numpy as np
from subbit import reference
from subbit.conformance.models.load import load_model
from subbit.conformance.runs import calibrate, evaluate, kernels, layer_jobs, quantize
from subbit.conformance.runs.held import weights_digest
from subbit.conformance.runs.plan import describe_calibration, plan

if sys.argv[1] == "free":
    for module in (evaluate, layer_jobs, quantize):
        module.on_one_thread = contextlib.nullcontext
warnings.simplefilter("ignore")
tokens = np.random.default_rng(1).integers(0, 256, size=(2, 200))
found = {"kernel": kernels.kernels()["BLAS"]}
for label in sys.argv[2:]:
    model = load_model("tiny")
    settings = plan(
        model, label, describe_calibration("", 1, tokens), blocks=(0, 2), scales="float64"
    )
    manifest = quantize.quantize_model(model, reference, settings, tokens)
    names = [layer.name for layer in manifest.blocks[1].layers]
    perplexity = evaluate.evaluate(model, tokens).perplexity
    digests = [weights_digest(model, index, names) for index in (0, 1)]
    found[label] = [*digests, perplexity.hex(), manifest.layers[-1].relative_error.hex()]
json.dump(found, sys.stdout)
"""


def records(threads, *words, kernel="Haswell"):
    """What a process finds that would use that many threads, with a given set of kernels."""
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    done = subprocess.run(
        [sys.executable, "-c", QUANTIZE, *words],
        env=with_path() | variables | {"OPENBLAS_CORETYPE": kernel},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def limited():
    return records(1, "limited", *METHODS)


def test_every_method_gives_the_same_records_on_one_thread_and_on_two(limited):
    assert records(2, "limited", *METHODS) == limited


def test_without_the_limit_they_would_differ(limited):
    """With these kernels, sums over 200 tokens are taken in another order by two threads."""
    free = records(2, "free", "rtn")
    if "Haswell" not in free["kernel"]:
        pytest.skip("no processor with these kernels")
    assert free["rtn"] != limited["rtn"]


def test_other_kernels_are_told_when_a_run_goes_on(tmp_path):
    """Last bits may differ between processors, which a manifest and its reader say."""
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question " * 9, encoding="utf-8")
    options = ["--method=rtn", "--preset=sign", f"--calibration={text}", "--samples=1"]
    options += ["--length=16", "--blocks=0:1", "--no-checkpoint", f"--out={tmp_path / 'run'}"]
    said = []
    for kernel, more in (("Haswell", []), ("Haswell", ["--resume"]), ("Prescott", ["--resume"])):
        done = subprocess.run(
            [sys.executable, "-m", "subbit.conformance", "quantize", "tiny", *options, *more],
            env=with_path() | {"OPENBLAS_CORETYPE": kernel},
            capture_output=True,
            text=True,
            check=True,
        )
        said.append("was started with BLAS" in done.stderr)
        assert said[-1] == ("last bits may differ" in done.stderr)
    kernels = json.loads((tmp_path / "run" / "manifest.json").read_text())["arithmetic"]["BLAS"]
    assert said == [False, False, "Haswell" in kernels]
