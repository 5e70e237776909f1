"""Each method on one page: short, whole, by no other code, and with the reference's equations."""

import pytest
from onepage import ROOM, homes, strips, tags_of

from project import ROOT, imports, relative, sources

LISTINGS = [path for path in sources(ROOM) if path.name != "__init__.py"]
LONGEST = 180
LIBRARIES = {"collections.abc", "numpy", "numpy.typing", "typing"}
every_listing = pytest.mark.parametrize("path", LISTINGS, ids=relative)


def test_each_method_has_its_listing():
    assert [path.stem for path in LISTINGS] == ["arb_llm", "billm", "pbs2p", "stbllm"]


@every_listing
def test_a_listing_fits_on_a_page(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@every_listing
def test_a_listing_uses_nothing_of_the_project(path):
    found = list(imports(path))
    assert "numpy" in found
    strange = [n for n in found if n not in LIBRARIES and n.rpartition(".")[0] not in LIBRARIES]
    assert strange == []


@every_listing
def test_equations_are_those_of_the_reference(path):
    """Letter by letter, so that both readings are of one equation, and the number has a place."""
    text = path.read_text(encoding="utf-8")
    comments = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
    tags = tags_of(text, relative(path))
    assert len(tags) == len(comments) >= 10
    known = homes()
    strange = [t for t in tags if (t.key.paper, t.key.label, t.formula) not in known]
    assert strange == []


@every_listing
def test_each_listing_has_a_page(path):
    page = (ROOT / "docs" / "onepage" / f"{path.stem}.md").read_text(encoding="utf-8")
    assert f".. one-page:: {relative(path)}\n" in page


LISTING = '''"""Title."""

import numpy as np


def f(x):
    """Say it."""
    # BiLLM (1):  a
    y = x
    # GPTQ (2):  b
    return y


def g(x):
    return x
'''


def test_a_listing_is_divided_without_a_loss():
    tags = tags_of(LISTING, "x.py")
    assert [(t.line, t.key.paper, t.key.label) for t in tags] == [
        (8, "BiLLM", "Eq. (1)"),
        (10, "GPTQ", "Eq. (2)"),
    ]
    assert strips(LISTING, tags) == [(3, 5), (6, 7), (8, 9), (10, 13), (14, 15)]
