"""Modules become pages of equations and code: no line is lost, and each stands where it belongs."""

import ast
import logging

import pytest
from book import anchor_of, chapters, page_of, typeset
from evidence import Evidence
from listing import title_and_text, units

import equations
from equations import Key, Tag
from project import ROOT

FILES = [file for files in chapters().values() for file in files]
MODULE = '''"""Title
=====

Text.
"""

import numpy as np

LIMIT = 1
"""A name."""


# About f.
@decorated
def f(x):
    """Say it.

    More.
    """
    y = x
    # Eq. (1), BiLLM:  a
    # Eq. (2), GPTQ:  b
    y = y + 1

    # Eq. (3), BiLLM:  c
    return y


class Record:
    """A record."""

    field: int

    def decode(self):
        # Eq. (4), BiLLM:  d
        return self.field


LAST = 2
'''


@pytest.fixture(scope="module")
def divided():
    return units(MODULE, "reference/x.py")


def test_a_module_is_divided_into_functions(divided):
    assert [(unit.name, unit.doc) for unit in divided] == [
        ("", ""),
        ("f", "Say it.\n\nMore."),
        ("Record", "A record."),
        ("Record.decode", ""),
        ("", ""),
    ]
    assert title_and_text(MODULE) == ("Title", "Text.")


def test_each_equation_has_the_lines_below_it(divided):
    rows = [([tag.key.label for tag in row.tags], row.code) for row in divided[1].rows]
    assert rows == [
        ([], ((13, 15), (20, 20))),
        (["Eq. (1)", "Eq. (2)"], ((21, 23),)),
        (["Eq. (3)"], ((25, 26),)),
    ]


def test_a_method_has_its_own_lines(divided):
    (head, tagged) = divided[3].rows
    assert (head.code, tagged.code) == (((34, 34),), ((35, 36),))


@pytest.mark.parametrize("file", FILES)
def test_no_line_of_a_module_is_lost(file):
    """Each is shown once: as code, or as the text of a docstring."""
    text = (ROOT / file).read_text(encoding="utf-8")
    lines = text.splitlines()
    shown = [
        number
        for unit in units(text, file)
        for row in unit.rows
        for first, last in row.code
        for number in range(first, last + 1)
    ]
    said = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node)
        for number in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    assert len(shown) == len(set(shown))
    left_out = set(range(1, len(lines) + 1)) - set(shown)
    assert [lines[n - 1] for n in left_out - said if lines[n - 1].strip()] == []


def test_each_equation_has_a_page_and_a_place():
    places = {}
    for tag in equations.tags():
        assert tag.key.file in FILES, tag
        places.setdefault((page_of(tag.key.file), anchor_of(tag.key)), set()).add(tag.key)
    assert {place: keys for place, keys in places.items() if len(keys) > 1} == {}


def test_pages_are_named_apart():
    assert len({page_of(file) for file in FILES}) == len(FILES)


def test_an_equation_that_is_not_in_the_notation_is_named(caplog):
    key = Key("BiLLM", "Eq. (2)", "sign", "reference/signs.py")
    with caplog.at_level(logging.WARNING):
        typeset(Tag(key, 51, "x ≡ y"))
    assert "reference/signs.py:51" in caplog.text
    assert "≡" in caplog.text


def test_what_stands_behind_a_function_is_found():
    index, file = Evidence(ROOT), "reference/groups/arb.py"
    bound = ("reference/bounds/groups/arb.py", "refine_mean_bound")
    assert index.bounds_of("refine_mean") == [bound]
    twin = index.twin_of(file, "refine_mean")
    assert twin == ("fast/groups/arb.py", "refine_mean")
    assert ("arb.cu", "arb_refine") in index.kernels_of(twin)
    assert index.twin_of(file, "_printed_start") is None
    assert any(test.startswith("test_A4") for _, test in index.theorems["refine_mean"])
