"""Modules become pages of equations and code: no line is lost, and each stands where it belongs."""

import ast
import logging

import pytest
from book import anchor_of, chapters, files, page_of, place_of
from evidence import evidence
from listing import kernels, title_and_text, units
from symbols import Notation, of_module, of_page
from written import typeset

import equations
from equations import Key, Tag
from project import ROOT

BEHIND = [file for inside in files().values() for file in inside]
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


@pytest.mark.parametrize("file", [file for file in BEHIND if file.endswith(".py")])
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
    assert len({page_of(file) for file in BEHIND}) == len(BEHIND)


@pytest.mark.parametrize("file", [file for file in BEHIND if file.endswith(".cu")])
def test_no_line_of_a_kernel_is_lost(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    found = kernels(text)
    shown = [number for _, first, last in found for number in range(first, last + 1)]
    lines = text.splitlines()
    assert len(shown) == len(set(shown))
    assert [n for n, line in enumerate(lines, 1) if line.strip() and n not in shown] == []
    assert len([name for name, _, _ in found if name]) == text.count("__global__")


def test_an_equation_that_is_not_in_the_notation_is_named(caplog):
    key = Key("BiLLM", "Eq. (2)", "sign", "reference/signs.py")
    with caplog.at_level(logging.WARNING):
        typeset(Tag(key, 51, "x ≡ y"))
    assert "reference/signs.py:51" in caplog.text
    assert "≡" in caplog.text


def test_what_stands_behind_a_function_is_found():
    index, file = evidence(), "reference/groups/arb.py"
    found = index.behind(file, "refine_mean")
    assert found.bounds == [("reference/bounds/groups/arb.py", "refine_mean_bound")]
    assert index.twin_of(file, "refine_mean") == ("fast/groups/arb.py", "refine_mean")
    assert ("fast/kernels/arb.cu", "arb_refine") in found.kernels
    assert index.twin_of(file, "_printed_start") is None
    assert any(test.startswith("test_A4") for _, test in found.tests)
    assert ("conformance/cases/groups/arb.py", "_refine_mean") in found.tests
    assert found.through == []


def test_a_private_function_is_tested_through_those_that_use_it():
    found = evidence().behind("reference/groups/arb_rc.py", "_fit_columns")
    assert ("reference/groups/arb_rc.py", "refine_column_scale") in found.through
    assert ("fast/kernels/arb_rc_columns.cu", "fit_columns") in found.kernels
    assert found.tests
    assert [name for _, name in found.bounds] == ["refine_column_scale_bound"]


def test_a_bound_names_what_it_bounds():
    found = evidence().behind("reference/bounds/groups/arb.py", "refine_mean_bound")
    assert found.judged == [("reference/groups/arb.py", "refine_mean")]


def test_each_equation_is_tested():
    """By a theorem or a case of the suite; two printed counts of bits no port is asked for."""
    index, without = evidence(), set()
    for tag in equations.tags():
        key = tag.key
        if "/bounds/" not in key.file and not index.behind(key.file, key.function).tests:
            without.add(key.function)
    assert without == {"billm_storing_bits"}


def test_what_stands_behind_has_a_place():
    index, places = evidence(), {(page_of(file), file) for file in BEHIND}
    for tag in equations.tags():
        found = index.behind(tag.key.file, tag.key.function)
        for file, name in [*found.bounds, *found.tests, *found.kernels, *found.judged]:
            assert (page_of(file), file) in places
            assert place_of(file, name)


def test_each_symbol_of_an_equation_is_explained():
    """Those of bounds are explained where they are worth it."""
    notation = Notation()
    tags = [tag for tag in equations.tags() if "(B" not in tag.key.label]
    assert {tag.formula: notation.unknown(tag) for tag in tags if notation.unknown(tag)} == {}


@pytest.mark.parametrize(
    ("paper", "formula", "file", "expected"),
    [
        ("ARB-LLM", "α_r,i = S", "reference/zones/search.py", [("α_r", "(n,)"), ("S", "(k, k)")]),
        (
            "BiLLM",
            "S_ij = H^c",
            "reference/zones/saliency.py",
            [("S", "(n, k)"), ("H^c", "(m, m)")],
        ),
        ("subbit", "nm words", "reference/storage/bits.py", [("n", ""), ("m", "")]),
        ("BiLLM", "μ B_ij", "reference/groups/arb.py", [("μ", "(n,)"), ("B", "(n, k)")]),
    ],
)
def test_the_nearest_meaning_of_a_symbol_is_taken(paper, formula, file, expected):
    tag = Tag(Key(paper, "Eq. (1)", "f", file), 1, formula)
    assert [(entry.symbol, entry.shape) for entry in Notation().of(tag)] == expected


def test_the_page_of_the_notation_says_what_the_module_says():
    """What the specification's own table says of a symbol is no different on the page."""
    shared = {(entry.symbol, entry.shape) for entry in of_page()}
    own = of_module("reference/notation.py")
    assert len(own) >= 10
    assert [e.symbol for e in own if e.shape and (e.symbol, e.shape) not in shared] == []
