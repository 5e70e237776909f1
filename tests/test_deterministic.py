"""The same cases everywhere: whatever else is imported, and in whatever order and number."""

import json
import os
import subprocess
import sys

import pytest

from project import ROOT
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import CASES, SMALL, seed_of, seeds_of
from subbit.reference.errors import ArgumentError

PROPERTY = """
import sys
from hypothesis import given, settings, strategies as st
{import_of_others}
drawn = []

@given(st.tuples(st.integers(), st.floats(allow_nan=False), st.integers(0, 2**32 - 1)))
@settings(max_examples=300)
def test_draws(values):
    drawn.append(values)

def test_they_are_written():
    with open({out!r}, "w") as stream:
        stream.write(repr(drawn))
"""
CONFTEST = """
from subbit.conformance.inputs.profiles import give_seed, load_profile

def pytest_configure(config):
    {load}

def pytest_runtest_setup(item):
    give_seed(item)
"""
CHECK = ("check", "reference", "--level", "2", "--depth", "quick")
OTHERS = "UNUSUAL = [271828182, 314159265, 0.577215664, 1.618033989]\n" * 5


def draws(folder, *words, others=False, load="load_profile('ci')", hashes="0"):
    """What a property test draws, and how its run ended."""
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST.format(load=load), encoding="utf-8")
    (folder / "others.py").write_text(OTHERS, encoding="utf-8")
    imported = f"sys.path.insert(0, {str(folder)!r})\nimport others" if others else ""
    out = folder / "drawn"
    text = PROPERTY.format(import_of_others=imported, out=str(out))
    (folder / "test_property.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, str(folder)],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": hashes},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / ".hypothesis" / "examples").exists()
    return out.read_text(encoding="utf-8")


def test_examples_do_not_depend_on_what_is_imported(tmp_path):
    """Hypothesis takes constants from local modules; ours does not."""
    alone = draws(tmp_path / "one", hashes="1")
    assert draws(tmp_path / "another", others=True, hashes="2") == alone
    assert "271828182" not in alone


def test_without_our_profile_they_would(tmp_path):
    """The test above can fail: with hypothesis's own provider the draws differ."""
    load = "import hypothesis; hypothesis.settings.register_profile('plain', derandomize=True)"
    load += "; hypothesis.settings.load_profile('plain')"
    alone = draws(tmp_path / "one", load=load)
    assert draws(tmp_path / "another", others=True, load=load) != alone


def test_a_seed_draws_other_examples_and_the_same_ones_again(tmp_path):
    words = ["--hypothesis-seed", "7"]
    first, again = (draws(tmp_path / name, *words) for name in ("first", "again"))
    assert first == again != draws(tmp_path / "default")


def report(folder, **environment):
    out = folder / ("-".join(environment.values()) + ".json")
    done = subprocess.run(
        [sys.executable, "-m", "subbit.conformance", *CHECK, "--json", str(out)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text(encoding="utf-8"))


def test_a_check_says_the_same_in_every_process(tmp_path):
    """Not even error ÷ bound depends on hash seeds or on the number of threads asked for."""
    one = report(tmp_path, PYTHONHASHSEED="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    assert one == report(
        tmp_path, PYTHONHASHSEED="2", OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2"
    )


def test_seeds_follow_from_the_name_and_the_depth():
    for item in OPERATIONS.values():
        quick, ci, long = (seeds_of(item, depth) for depth in CASES)
        assert set(quick) <= set(ci) <= set(long)
        assert len(long) == len(set(long)) > 1
        if item.level:
            assert quick[:3] == [0, 1, 2]
    masked, other = (seeds_of(OPERATIONS[name], "ci") for name in ("masked_mean", "masked_scale"))
    assert masked[:SMALL] == other[:SMALL]
    assert not set(masked[SMALL:]) & set(other[SMALL:])
    assert len({seed_of("a", n) for n in range(100)}) == 100
    with pytest.raises(ArgumentError, match="depth: expected one of quick, ci, long, got ful"):
        seeds_of(OPERATIONS["masked_mean"], "ful")


def test_nothing_draws_without_a_seed():
    """Neither the suite nor the tests ask the system for random numbers, but for exploration."""
    asked = []
    for room in ("reference", "fast", "conformance", "tests"):
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            words = ("default_rng" + "()", "import " + "random", "urandom", "secrets", "uuid")
            asked += [path.name for word in words if word in text]
    assert set(asked) == {"explore.py", "test_deterministic.py"}
