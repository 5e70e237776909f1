"""The same cases everywhere, regardless of imports, order and number of tests."""

import json
import os
import re
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info

from project import ROOT
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.draw import BROAD, PAIRED, TALL, WIDE
from subbit.conformance.cases.seeds import CASES, SMALL, seeds_of
from subbit.conformance.inputs.seeds import seed_of
from subbit.reference.errors import ArgumentError

PROPERTY = """
import sys
from hypothesis import given, settings, strategies as st
{import_of_others}
drawn, others_drawn = [], []

some = st.tuples(st.integers(), st.floats(allow_nan=False), st.integers(0, 2**32 - 1))

@given(some)
@settings(max_examples=300)
def test_draws(values):
    drawn.append(values)

@given(some)
@settings(max_examples=300)
def test_another(values):
    others_drawn.append(values)

def test_names_are_seeds():
    assert drawn[5:] != others_drawn[5:]

def test_they_are_written():
    with open({out!r}, "w") as stream:
        stream.write(repr(drawn))
"""
CONFTEST = """
from subbit.conformance.inputs.profiles import give_seed, load_profile

def pytest_collectstart(collector):
    {load}

def pytest_runtest_setup(item):
    give_seed(item)
"""
CHECK = ("check", "reference", "--level", "1", "--depth", "quick")
OTHERS = "UNUSUAL = [271828182, 314159265, 0.577215664, 1.618033989]\n" * 5


def draws(folder, *words, others=False, load="load_profile('ci')", hashes="0"):
    """The draws of a property test, and how its run ended."""
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


def checked(folder, **environment):
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
    found = json.loads(out.read_text(encoding="utf-8"))
    # When, and for how long.
    return {name: value for name, value in found.items() if name not in {"date", "seconds"}}


def test_a_check_says_the_same_in_every_process(tmp_path):
    """Not even error ÷ bound depends on hash seeds or the number of threads."""
    one = checked(tmp_path, PYTHONHASHSEED="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    assert one == checked(
        tmp_path, PYTHONHASHSEED="2", OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2"
    )


def test_the_suite_gives_its_tests_their_seeds(tmp_path):
    """Through the suite's conftest, not one of this test, and from any folder."""
    plugin = (
        "def pytest_runtest_call(item):\n"
        "    test = item.obj\n"
        "    if hasattr(test, 'hypothesis'):\n"
        "        seed = getattr(test, '_hypothesis_internal_use_seed', None)\n"
        "        examples = test._hypothesis_internal_use_settings.max_examples\n"
        "        print(f'SEED {item.name} {seed} {examples}')\n"
    )
    (tmp_path / "seen.py").write_text(plugin, encoding="utf-8")
    theorem = str(ROOT / "conformance" / "theorems" / "test_rtn.py")
    own = str(ROOT / "tests" / "test_compare.py")
    words = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "seen", "-p", "no:cacheprovider"]
    seen = set()
    for cwd, files in [(tmp_path, [theorem]), (ROOT, [own, theorem]), (ROOT, [theorem, own])]:
        done = subprocess.run(
            [*words, "--target", "reference", "--depth", "quick", *files],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        seen.add(
            tuple(
                re.findall(
                    r"SEED (test_(?:scaling|the_hessian)\S*) (\d+) 16$", done.stdout, re.MULTILINE
                )
            )
        )
    (found,) = seen
    assert len(dict(found)) == len({seed for _, seed in found}) > 1


THREADS = """
import numpy
from threadpoolctl import threadpool_info

def weight_error(W, Q):
    raise RuntimeError(f"threads {sorted({pool['num_threads'] for pool in threadpool_info()})}")
"""


def test_tests_and_checks_compute_on_one_thread(tmp_path):
    (tmp_path / "threads_port.py").write_text(THREADS, encoding="utf-8")
    two = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "subbit.conformance", "check", "threads_port", "--depth", "quick"],
        cwd=tmp_path,
        env=os.environ | two,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "threads [1]" in done.stdout
    assert "threads [2]" not in done.stdout
    assert {pool["num_threads"] for pool in threadpool_info()} == {1}


DRAWN = """
import hashlib
import numpy as np
from subbit.conformance.cases.draw import Draw
from subbit.conformance.inputs.families import ACTIVATIONS, WEIGHTS
digest = hashlib.sha256()
for build in (*WEIGHTS.values(), *ACTIVATIONS.values()):
    for seed in range(20):
        digest.update(build(np.random.default_rng(seed), (3, 20, 17)).tobytes())
for seed in range(100):
    digest.update(Draw(seed).hessian(1 + seed % 50, tuple(ACTIVATIONS)).tobytes())
print(digest.hexdigest())
"""


def test_other_processors_draw_the_same_numbers():
    """With matrix products as on an old processor, and without wide vectors."""
    wide = " ".join(name for name in ("X86_V3", "X86_V4", "AVX2", "AVX512F", "AVX512_SKX"))
    old = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": wide}
    found = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DRAWN],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for environment in ({}, old)
    }
    assert len(found) == 1


def test_seeds_follow_from_the_name_and_the_depth():
    for item in OPERATIONS.values():
        quick, ci, long = (seeds_of(item, depth) for depth in CASES)
        assert set(quick) <= set(ci) <= set(long)
        assert len(long) == len(set(long)) > 1
        if item.level:
            assert quick[:3] == [0, 1, 2]
    masked, other = (seeds_of(OPERATIONS[name], "ci") for name in ("masked_mean", "masked_scale"))
    assert masked[:SMALL] == other[:SMALL]
    common = set(masked[SMALL:]) & set(other[SMALL:])
    assert common == {s for s in masked if s >= 2**32}
    assert common >= {WIDE, TALL, PAIRED, BROAD}
    assert len({seed_of("a", n) for n in range(100)}) == 100
    with pytest.raises(ArgumentError, match="depth: expected one of quick, ci, long, got ful"):
        seeds_of(OPERATIONS["masked_mean"], "ful")


LATER = """
import time

later = 1e5
clock, ticks = time.time, time.time_ns
time.time = lambda: clock() + later
time.time_ns = lambda: ticks() + int(later * 1e9)
"""


def collected(folder, *files):
    """Names of the tests in some files, as a process finds them on another day."""
    (folder / "later.py").write_text(LATER, encoding="utf-8")
    words = ["--collect-only", "-q", "-p", "later", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--rootdir", str(ROOT), *files],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_tests_have_the_same_names_on_another_day(tmp_path, request):
    """Otherwise processes that share the tests would sometimes disagree on them."""
    names = {item.nodeid for item in request.session.items}
    files = {name.partition("::")[0] for name in names}
    found = collected(tmp_path, *(str(ROOT / file) for file in sorted(files)))
    # A run may have selected some tests of a file only.
    assert names <= found


def test_a_name_made_from_the_clock_differs(tmp_path):
    """The test above can fail."""
    text = "import gzip, pytest\n"
    text += "@pytest.mark.parametrize('raw', [gzip.compress(b'x')])\ndef test_it(raw): ...\n"
    file = tmp_path / "test_named.py"
    file.write_text(text, encoding="utf-8")
    (one,) = collected(tmp_path, str(file))
    (here,) = {
        line
        for line in subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", str(file)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        if "::" in line
    }
    assert one != here


def test_nothing_draws_without_a_seed():
    """Except for exploration, neither the suite nor the tests use random numbers of the system."""
    asked = []
    for room in ("reference", "fast", "conformance", "tests"):
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            words = ("default_rng" + "()", "import " + "random", "urandom", "secrets", "uuid")
            asked += [path.name for word in words if word in text]
    assert set(asked) == {"explored.py", "test_deterministic.py"}
