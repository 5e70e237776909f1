"""A share of the fuzzed command lines, those that were findings once, and that findings show."""

import json
from types import SimpleNamespace

import pytest
from fuzz import lines

from subbit.conformance.command import cli, cli_run
from subbit.conformance.models import load
from subbit.reference.errors import ArgumentError, SubbitError

FOUND = json.loads(lines.CORPUS.read_text(encoding="utf-8"))
GOOD = [
    "--method=rtn", "--out=new", "--calibration=text.txt", "--samples=2", "--length=16",
]  # fmt: skip


def fail(error):
    def failing(*_, **__):
        raise error

    return failing


def test_lines_are_done_or_refused_in_a_sentence(monkeypatch):
    # Its import takes longer than all lines.
    refusal = ArgumentError("model", "one without transformers", "another")
    monkeypatch.setattr(load, "_load_transformers", fail(refusal))
    found, codes = [], set()
    for seed in range(120):
        words = lines.drawn(seed)
        finding, code = lines.ending_of(words)
        codes.add(code)
        if finding:
            found.append((seed, words, finding))
    assert found == []
    assert {0, 2} <= codes


@pytest.mark.parametrize("words", FOUND, ids=lambda words: " ".join(words)[:60])
def test_lines_that_were_found_once_are_refused(words):
    finding, code = lines.ending_of(words)
    assert finding == ""
    assert code == 2


def test_every_command_and_option_is_drawn():
    drawn = [lines.drawn(seed) for seed in range(len(lines.commands()) * 100)]
    for path, parameters in lines.commands().items():
        own = [words for words in drawn if tuple(words[: len(path)]) == path]
        assert own, path
        options = {word.partition("=")[0] for words in own for word in words}
        for parameter in parameters:
            if parameter.opts[0].startswith("--"):
                assert parameter.opts[0] in options, (path, parameter.opts)


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyError("x"), "KeyError: 'x'"), (UnicodeError("y"), "UnicodeError: y")],
)
def test_errors_that_are_no_refusal_are_findings(monkeypatch, error, said):
    monkeypatch.setattr(cli_run, "draw_calibration", fail(error))
    assert lines.ending_of(["quantize", "small", *GOOD])[0] == said


def test_what_a_refusal_leaves_is_a_finding(monkeypatch):
    def leaving(*_, **__):
        (lines.Path("full") / "left").touch()
        raise SubbitError("x")

    monkeypatch.setattr(cli_run, "draw_calibration", leaving)
    finding, code = lines.ending_of(["quantize", "small", *GOOD])
    assert (finding, code) == ("a refusal that leaves ['full/left']: subbit: x", 2)


@pytest.mark.parametrize(
    ("code", "stderr", "said"),
    [
        (2, "", "exit code 2 without a word"),
        (0, "subbit: x: expected y, got z\n", "exit code 0 after subbit: x: expected"),
        (7, "", "exit code 7"),
        (1, "Traceback (most recent call last)", "exit code 1: Traceback"),
        (2, "subbit: x", ""),
        (0, "subbit: a notice", ""),
    ],
)
def test_codes_and_words_belong_together(code, stderr, said):
    result = SimpleNamespace(exception=None, exit_code=code, stderr=stderr, output=stderr)
    found = lines._judged(result, {}, {})  # noqa: SLF001
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_time_and_memory_are_findings(monkeypatch):
    monkeypatch.setattr(lines, "SECONDS", -1)
    assert lines.ending_of(["bits", "run"])[0].endswith(" CPU-s")
    monkeypatch.setattr(lines, "SECONDS", 10)

    def hungry(*_):
        assert b"x" * 3 * 2**24

    monkeypatch.setattr(lines, "MEMORY", 2**25)
    monkeypatch.setattr(cli_run, "run_bits", hungry)
    assert lines.ending_of(["bits", "run"])[0].endswith(" bytes")


def test_all_commands_are_in_the_tree():
    assert {path[0] for path in lines.commands()} == {*cli._HERE, *cli._ELSEWHERE}  # noqa: SLF001
