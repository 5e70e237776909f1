"""The page of promises names what there is, and nothing unpickles."""

import re

import pytest

from project import ROOT, imports, relative, sources

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python (\S+\.py)((?: --\S+ \S+)*)$", PAGE, re.MULTILINE)
UNPICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_nothing_unpickles(path):
    text = path.read_text(encoding="utf-8")
    assert not {name.partition(".")[0] for name in imports(path)} & UNPICKLERS
    assert "allow_pickle=True" not in text
    assert "torch.load" not in text
    if "np.load(" in text:
        assert "allow_pickle=False" in text


def test_tests_that_are_named_are_there():
    named = set(re.findall(r"`(tests/\S+?\.py)`", PAGE))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_commands_that_are_named_are_there():
    assert len(COMMANDS) > 3
    for file, options in COMMANDS:
        text = (ROOT / file).read_text(encoding="utf-8")
        for option in re.findall(r"--\S+", options):
            assert f'"{option}"' in text, f"{file} {option}"
