"""Where commands run: no room, closed streams, plain terminals, other locales and hash seeds."""

import subprocess
import sys
from pathlib import Path

import pytest
from run.helpers import files_of, make_settings

from project import ROOT, with_path
from subbit import reference
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.quantize import quantize_model

SUBBIT = [sys.executable, "-m", "subbit.conformance"]
PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}


@pytest.fixture
def run(sequences, tmp_path):
    model = load_model("tiny")
    settings = make_settings(model, sequences, "rtn:sign", blocks=(0, 1))
    quantize_model(model, reference, settings, sequences, out=tmp_path / "run")
    return tmp_path / "run"


def started(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment):
    return subprocess.run(
        [*SUBBIT, *map(str, words)],
        stdout=stdout,
        stderr=stderr,
        env=with_path() | environment,
        check=False,
    )


def test_output_to_a_full_device_is_refused_in_one_sentence(run):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = started("bits", run, stdout=full)
        assert done.returncode == 2
        assert done.stderr == b"subbit: No space left on device\n"
        assert started("bits", run / "nowhere", stderr=full).returncode == 2


def test_a_reader_that_has_gone_ends_a_command_without_a_traceback(run):
    with subprocess.Popen(
        [*SUBBIT, "bits", str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=with_path()
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode
    assert b"Traceback" not in said


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_stream_is_no_obstacle(closed, run):
    words = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *SUBBIT, "bits", str(run)]
    done = subprocess.run(words, capture_output=True, env=with_path(), check=False)
    assert done.returncode == 0
    assert done.stderr == b""
    assert (b"Bits per weight" in done.stdout) == (closed == 2)


def test_a_plain_terminal_gets_plain_characters(run):
    usual = started("bits", run)
    plain = started("bits", run, **PLAIN, TERM="dumb", NO_COLOR="1")
    assert plain.returncode == 0
    assert plain.stdout.isascii()
    assert not usual.stdout.isascii()
    digits = [bytes(c for c in done.stdout if c in b"0123456789") for done in (usual, plain)]
    assert digits[0] == digits[1]
    # Nothing that moves a cursor or colors a word, where there is no terminal.
    assert b"\x1b" not in usual.stdout + plain.stdout


def test_records_do_not_depend_on_locale_terminal_and_hash_seed(tmp_path):
    options = ["--method=rtn", "--preset=sign", f"--calibration={ROOT / 'constraints.txt'}"]
    options += ["--samples=1", "--length=16", "--blocks=0:1", "--parts=q,v"]
    for name, variables in (
        ("usual", {"PYTHONHASHSEED": "1"}),
        ("other", PLAIN | {"PYTHONHASHSEED": "2", "TERM": "dumb", "TZ": "Asia/Kathmandu"}),
    ):
        done = started("quantize", "tiny", *options, f"--out={tmp_path / name}", **variables)
        assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "usual") == files_of(tmp_path / "other")
