"""A seeded sample of small changes of the reference: the suite notices each of them."""

import ast
import json
import subprocess
import sys

import mutation
import pytest

from project import ROOT

SAMPLE, SEED = 12, 0


@pytest.mark.parametrize("one", mutation.chosen(SAMPLE, SEED), ids=lambda one: one.key)
def test_a_small_change_is_noticed(one):
    assert mutation.killer(one), one.said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a < b", "a < b -> a <= b"),
        ("a + b", "a + b -> a - b"),
        ("a and b", "a and b -> a or b"),
        ("-a", "-a -> a"),
        ("True", "True -> False"),
        ("0.5", "0.5 -> 1.5"),
        ("f(a, b)", "f(a, b): arguments swapped"),
        ("a if b else c", "branches of b swapped"),
    ],
)
def test_changes_are_what_they_say(source, said):
    (found,) = mutation.changes(ast.parse(source, mode="eval").body)
    assert found[0] == said


def test_every_mutant_differs_from_the_reference_in_its_function_alone():
    for one in mutation.mutations():
        target, code = mutation.target_of(one), mutation.code_of(one)
        own = target.__code__
        assert (code.co_qualname, code.co_freevars) == (own.co_qualname, own.co_freevars)
        assert (code.co_code, code.co_consts, code.co_names) != (
            own.co_code,
            own.co_consts,
            own.co_names,
        )


def test_the_command_continues_where_it_was(tmp_path):
    out = tmp_path / "kept.jsonl"
    words = [sys.executable, "mutation.py", "--only", "signs", "--jobs", "1", "--out", str(out)]

    def run():
        return subprocess.run(
            words, cwd=ROOT / "tests", capture_output=True, text=True, check=True
        ).stdout

    first = run()
    rows = out.read_text().splitlines()
    assert first.splitlines()[-1].endswith("mutants killed")
    assert len({json.loads(row)["key"] for row in rows}) == len(rows) > 0
    assert run() == first
    assert out.read_text().splitlines() == rows
