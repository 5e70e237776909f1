"""Words that a reader stumbles on stay out of sources, documents and messages."""

import re

import pytest

from project import ROOT, pages, relative

# What a native writer would not say, and what to say instead.
INSTEAD = {
    r"\bshall\b": "say what it does",
    r"\banew\b": "again, recomputed",
    r"\bnobody\b": "name who or what",
    r"\bon the average\b": "on average",
    r"\bright (port|answer)s?\b": "correct",
    r"\bcounts? not\b": "is ignored",
    r"\bthe other thing\b": "say what it does",
    r"\bbytes of a weight\b": "bytes per weight",
    r"\bcan be put to\b": "can be tested against",
}
SOURCES = [
    path
    for room in ("reference", "fast", "conformance", "tests")
    for ending in ("*.py", "*.cu", "*.cuh")
    for path in sorted((ROOT / room).rglob(ending))
    if path.name != "test_words.py"
]


def found_in(text):
    return [
        (text.count("\n", 0, match.start()) + 1, match.group(), better)
        for word, better in INSTEAD.items()
        for match in re.finditer(word, text, re.IGNORECASE)
    ]


@pytest.mark.parametrize("path", [*SOURCES, *pages()], ids=relative)
def test_words(path):
    assert found_in(path.read_text(encoding="utf-8")) == []


def test_the_list_finds_what_it_lists():
    text = "It shall be\ntaken anew; a right port keeps N on the average."
    assert [(line, word) for line, word, _ in found_in(text)] == [
        (1, "shall"),
        (2, "anew"),
        (2, "on the average"),
        (2, "right port"),
    ]
