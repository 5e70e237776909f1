"""Texts by name, mark-up, and the draw of calibration sequences."""

import bz2
import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import memory
from subbit.conformance.texts import text, wikipedia
from subbit.conformance.texts.text import load_documents, load_text, sample_sequences
from subbit.conformance.texts.wikipedia import excerpt, strip_markup
from subbit.reference.errors import ArgumentError


def test_the_excerpt_is_cut_between_articles_into_two_equal_halves() -> None:
    first, second = (
        load_documents(f"enwiki-excerpt:{half}").documents for half in ("calibration", "evaluation")
    )
    assert list(first + second) == excerpt()
    assert (len(first), len(second)) == (48, 50)
    sizes = [sum(map(len, half)) for half in (first, second)]
    assert abs(sizes[0] - sizes[1]) < 0.02 * sum(sizes)
    assert first[0].startswith("Anarchism\n\nAnarchism is a political philosophy")


def test_the_excerpt_has_no_markup_left() -> None:
    text = "\n".join(excerpt())
    for mark in ("[[", "]]", "{|", "|}", "<ref", "</", "<!--", "''", "&nbsp;", "#REDIRECT", "__"):
        assert mark not in text, mark


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("a [[File:x.jpg|thumb|of [[b|c]] and [http://d e]]] f", "a f"),
        ("{{x|{{y}}\n|z}}a {| t\n| {{u}} |} b", "a b"),
        ("<!-- two\nlines -->a<ref name=x/><ref>b</ref>&nbsp;c", "a c"),
        ("== Heading ==\n* ''item'' [http://a]\n# two", "Heading\nitem\ntwo"),
        ("a\n\n\n\nb\n== References ==\nc", "a\n\nb"),
        ("[[de:Anders]][[Category:Here]][[Category talk]]", "Category talk"),
        ("a < b and c<d", "a < b and c<d"),
    ],
)
def test_markup_is_stripped(markup: str, plain: str) -> None:
    assert strip_markup(markup) == plain


def test_redirects_lists_of_meanings_and_other_pages_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [
        ("A", "0", "text"),
        ("B", "0", "#REDIRECT [[A]]"),
        ("C", "4", "talk"),
        ("D", "0", "{{Disambiguation}} D may be"),
        ("E", "0", "{{about|e|x (disambiguation)}}e"),
    ]
    body = "".join(
        f"<page><title>{t}</title><ns>{n}</ns><text>{x}</text></page>" for t, n, x in pages
    )
    dump = tmp_path / "dump.bz2"
    dump.write_bytes(bz2.compress(f'<mediawiki xmlns="http://x">{body}</mediawiki>'.encode()))
    monkeypatch.setattr(wikipedia, "wheel_file", lambda *_, **__: dump)
    assert excerpt() == ["A\n\ntext", "E\n\ne"]
    dump.write_bytes(dump.read_bytes()[:-30])
    with pytest.raises(ArgumentError, match="text: expected a readable dump"):
        excerpt()


def test_a_text_file_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\n\n één \r\n\n b ".encode())
    assert load_text(str(path)) == "\n\n één \r\n\n b "


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, name: str) -> None:
    content = "a\ufeffb" if name == "a.txt" else '{"text": "a\ufeffb"}\n'
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert (tmp_path / name).read_bytes().startswith(b"\xef\xbb\xbf")
    # Inside a text it is a character, without width, and stays.
    assert load_text(str(tmp_path / name)) == "a\ufeffb"


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.gz", "c4.00000-of-00001.json.gz"])
def test_lines_of_json_are_documents(tmp_path: Path, name: str) -> None:
    lines = [{"text": "a\u2028b"}, {"text": ""}, {"url": 1, "text": "c"}]
    raw = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)
    assert load_documents(str(path)).documents == ("a\u2028b", "c")
    assert load_text(str(path)) == "a\u2028b\n\nc"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.txt", b"", "not empty"),
        ("a.jsonl", b'{"body": "x"}', 'field "text"'),
        ("a.jsonl", b'{"text": 3}', 'field "text"'),
        ("a.jsonl", b"[1]", 'field "text"'),
        ("a.jsonl", b"{", 'field "text"'),
        ("a.jsonl.gz", b"plain", "readable"),
        ("a.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], "readable"),
        ("a.pdf", b"x", r"a .txt, .jsonl, .json, .jsonl.gz or .json.gz file"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": "\\ud800"}', r"a\.jsonl, line 3 .*surrogate"),
        ("a.json", b'[{"text": "a"}]', r"a\.json, line 1 "),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArgumentError, match=f"calibration: .*{reason}"):
        load_documents(str(tmp_path / name), "calibration")


@pytest.mark.parametrize("spec", ["", "none.txt", "enwiki-excerpt", "enwiki-excerpt:test"])
def test_unknown_texts_are_refused(spec: str) -> None:
    with pytest.raises(ArgumentError, match=r"text: expected enwiki-excerpt:calibration, "):
        load_text(spec)


def test_a_hub_data_set_is_joined_by_blank_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, config: str | None, split: str) -> dict[str, list[str]]:
        if name == "none/such":
            message = "no such thing\nand more"
            raise RuntimeError(message)
        return {"text": [name, str(config), split]}

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert load_text("hub:a/b:c:test") == "a/b\n\nc\n\ntest"
    assert load_text("hub:a/b::test") == "a/b\n\nNone\n\ntest"
    with pytest.raises(ArgumentError, match="hub:NAME:CONFIG:SPLIT, got hub:a/b"):
        load_text("hub:a/b")
    with pytest.raises(ArgumentError, match=r"got none/such .no such thing.$"):
        load_text("hub:none/such::test")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ArgumentError, match=r"text: .*pip install 'subbit\[models\]'"):
        load_text("hub:a/b::test")


@given(seed=st.integers(0, 2**32), length=st.integers(1, 12), samples=st.integers(1, 5))
def test_sequences_lie_inside_one_document(seed: int, length: int, samples: int) -> None:
    documents = [np.arange(100, 112), np.arange(200, 205), np.arange(300, 312)]
    drawn = sample_sequences(documents, samples, length, seed)
    assert drawn.shape == (samples, length)
    assert drawn.dtype == np.int64
    assert (np.diff(drawn, axis=1) == 1).all()
    assert set(np.unique(drawn)) <= set(np.concatenate(documents))
    np.testing.assert_array_equal(drawn, sample_sequences(documents, samples, length, seed))


def test_every_start_and_every_long_document_is_drawn() -> None:
    documents = [np.arange(0, 4), np.arange(10, 12), np.arange(20, 23)]
    starts = sample_sequences(documents, 300, 3, seed=0)[:, 0]
    values, counts = np.unique(starts, return_counts=True)
    assert values.tolist() == [0, 1, 20]
    # Half of 300 draws from each long document; five standard deviations are 43.
    assert abs(counts[2] - 150) < 43


def test_different_seeds_draw_different_sequences() -> None:
    stream = [np.arange(10_000)]
    assert not np.array_equal(*(sample_sequences(stream, 4, 10, seed) for seed in (0, 1)))


def test_a_short_text_is_refused_with_the_argument() -> None:
    with pytest.raises(ArgumentError, match=r"calibration: .*at least 5 tokens, got at most 4"):
        sample_sequences([np.arange(4), np.arange(2)], 1, 5, seed=0)
    with pytest.raises(ArgumentError, match="samples: "):
        sample_sequences([np.arange(4)], 0, 2, seed=0)


def packed(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(gzip.compress(b"\n".join(lines), mtime=0))
    return path


def test_a_line_is_no_longer_than_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = b'{"text": "abc"}', b'{"text": "abcd"}'
    monkeypatch.setattr(text, "MOST_LINE", len(long))
    path = packed(tmp_path / "a.jsonl.gz", [short, short])
    assert load_documents(str(path)).documents == ("abc", "abc")
    packed(path, [short, long])
    assert load_documents(str(path)).documents == ("abc", "abcd")
    packed(path, [short, long + b" "])
    with pytest.raises(ArgumentError, match=r"at most 16 bytes, got .*a\.jsonl\.gz, line 2"):
        load_documents(str(path))


@pytest.mark.parametrize("limit", ["size", "memory"])
def test_a_text_is_measured_before_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    path = packed(tmp_path / "a.jsonl.gz", [b'{"text": "abc"}'] * 3)
    size = 3 * 15 + 2
    most = {"size": ("MOST_TEXT", size), "memory": ("HELD", 1)}[limit]
    monkeypatch.setattr(text, *most)
    monkeypatch.setattr(memory, "free_memory", lambda: size if limit == "memory" else 2**60)
    assert len(load_documents(str(path)).documents) == 3
    packed(path, [b'{"text": "abc"}'] * 3 + [b""])
    monkeypatch.setattr(text, "_lines", lambda *_: pytest.fail("it is read"))
    with pytest.raises(ArgumentError, match=r"text: expected (a text of at most 47|what fits)"):
        load_documents(str(path))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json.gz"])
def test_no_more_of_a_text_is_read_than_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.txt":
        path.write_text("é" * 50, encoding="utf-8")
    else:
        raw = b'{"text": "ab"}\n' * 3 + b"no JSON"
        path.write_bytes(gzip.compress(raw, mtime=0) if name.endswith("gz") else raw)
    assert load_text(str(path), most=7) == ("é" * 7 if name == "a.txt" else "ab\n\nab\n")
    if name != "a.txt":
        with pytest.raises(ArgumentError, match="line 4"):
            load_text(str(path), most=20)


def test_lines_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"a\.jsonl, line 1 "):
        load_documents(str(tmp_path / "a.jsonl"))


def test_more_sequences_than_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 8 * 3 * 5)
    assert sample_sequences([np.arange(9)], 3, 5, seed=0).shape == (3, 5)
    with pytest.raises(ArgumentError, match="samples: expected what fits into"):
        sample_sequences([np.arange(9)], 4, 5, seed=0)
    with pytest.raises(ArgumentError, match="samples: expected what fits into"):
        sample_sequences([np.arange(9)], 10**20, 5, seed=0)
