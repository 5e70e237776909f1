"""A share of the crash points, and that what would go wrong at them is noticed."""

import re
import subprocess
import sys

from project import DEEP, ROOT, with_path

POINTS = [] if DEEP else ["--points", "4"]
FAULTS = """
import contextlib
from subbit.conformance.frozen import make
from subbit.conformance.models import checkpoint
from subbit.conformance.runs import held, manifest, quantize

# A file, and a set of vectors, are there before they are complete.
manifest.write_atomically = lambda path, data: path.write_bytes(data)
make.PARTIAL = ""
# What others have left stays there.
for module in (checkpoint, held, quantize):
    module.claim = lambda *_: contextlib.nullcontext()
"""
FAULTY = ("quantize", "quantize --resume", "vectors")
RUN = "from fuzz import crashes\nraise SystemExit(crashes.main({words!r}))\n"


def crashed(*words, faults=""):
    """What the command prints, with faults in what it tries; in a process that may fork."""
    done = subprocess.run(
        [sys.executable, "-c", faults + RUN.format(words=list(words))],
        env=with_path(ROOT / "tests"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def findings(said):
    return [int(number) for number in re.findall(r"; (\d+) findings$", said, re.MULTILINE)]


def test_stopped_anywhere_the_work_goes_on_to_the_same_bits():
    code, said = crashed(*POINTS)
    assert code == 0, said
    assert findings(said) == [0] * 5
    operations = [int(number) for number in re.findall(r": (\d+) operations", said)]
    assert len(operations) == 5
    assert min(operations) > 10
    assert DEEP or "20 of 20 crash points" in said


def test_faults_are_noticed():
    works = (word for name in FAULTY for word in ("--work", name))
    code, said = crashed(*works, "--points", "5", faults=FAULTS)
    assert code == 1
    assert all(findings(said)), said
    assert len(findings(said)) == len(FAULTY)
