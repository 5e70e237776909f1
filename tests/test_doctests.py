"""The examples in the docstrings run, and print what they say."""

import doctest
import importlib
import importlib.util

import pytest

from project import import_name, relative, sources

NEEDS = {"conformance/models/hf.py": "transformers"}


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_examples(path):
    needed = NEEDS.get(relative(path))
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    if relative(path) == "fast/device/cuda.py":
        pytest.importorskip("cupy")
    if path.name == "__main__.py":
        return
    module = importlib.import_module(import_name(path))
    result = doctest.testmod(module, optionflags=doctest.DONT_ACCEPT_TRUE_FOR_1)
    assert result.failed == 0
