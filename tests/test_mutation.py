"""Small changes of the reference are noticed by what is recorded for them, or have a reason."""

import ast
import re
import subprocess
import sys
from collections import Counter

import mutated
import mutation
import proving
import pytest
from mutation import Found
from reaching import Reaching

from project import ROOT, some

SAMPLE, SEED = 200, 0
LEAST = 0.97
"""Share of the mutants that are not equivalent, by proof."""
RECORDED, SURVIVORS = mutation.recorded(), mutation.survivors()
BY_THEOREM = [one for one in mutated.mutations() if "::" in RECORDED[one.key].by]


def test_every_mutant_is_recorded():
    """`make mutation` tries what is missing: mutants of functions that have changed."""
    missing = [one.key for one in mutated.mutations() if one.key not in RECORDED]
    assert missing == []


def test_modules_that_were_not_tried_are_named():
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"^Not tried yet: (.*?)\.$", page, re.MULTILINE | re.DOTALL)
    assert re.findall(r"`(.*?)`", said) == list(mutated.UNTRIED)
    modules = {key.partition(":")[0] for key in RECORDED}
    assert not [name for name in modules if any(word in name for word in mutated.UNTRIED)]


def test_nearly_all_are_rejected():
    killed = Counter(found.killed for found in RECORDED.values())
    proven = sum(one.equivalent for one in SURVIVORS.values())
    assert killed[True] >= LEAST * (killed.total() - proven)


def test_every_survivor_has_a_reason_and_nothing_else_has():
    alive = {key for key, found in RECORDED.items() if not found.killed}
    assert set(SURVIVORS) == alive


def test_reasons_are_of_the_present_changes_and_say_which_kind_they_are():
    said = {one.key: one.said for one in mutated.mutations()}
    for key, survivor in SURVIVORS.items():
        assert survivor.said == said[key]
        kinds = (mutation.EQUIVALENT, mutation.DIFFERENT)
        (kind,) = (k for k in kinds if survivor.reason.startswith(k))
        assert len(survivor.reason.removeprefix(kind).split()) > 3


@pytest.mark.parametrize(
    "one",
    mutation.sample(SAMPLE, SEED, [m for m in mutated.mutations() if RECORDED[m.key].killed]),
    ids=lambda one: one.key,
)
def test_a_small_change_is_rejected_by_its_case_or_theorem(one):
    assert mutation.holds(RECORDED[one.key], one), one.said


def test_theorems_are_looked_for_where_the_module_is_asked_for():
    assert proving.files_for("subbit.reference.pruning.budgets")[0] == "test_budgets.py"
    assert "test_trisection.py" in proving.files_for("subbit.reference.zones.sorted_rows")
    for one in BY_THEOREM:
        assert RECORDED[one.key].by.partition("::")[0] in proving.files_for(one.module)


def test_a_theorem_that_a_mutant_satisfies_does_not_reject_it():
    one, test = BY_THEOREM[0], "test_patterns.py::test_large_groups_are_exact"
    assert mutation.prove(one, Found("sign:0"), 60.0) == Found("sign:0")
    assert proving.theorem_against(one, [test], 60.0) is None


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
    (found,) = mutated.changes(ast.parse(source, mode="eval").body)
    assert found[0] == said


def test_every_mutant_differs_from_the_reference_in_its_function_alone():
    for one in some(mutated.mutations()):
        target, code = mutated.target_of(one), mutated.code_of(one)
        own = target.__code__
        assert (code.co_qualname, code.co_freevars) == (own.co_qualname, own.co_freevars)
        assert (code.co_code, code.co_consts, code.co_names) != (
            own.co_code,
            own.co_consts,
            own.co_names,
        )


def test_a_change_is_in_the_lines_of_its_statement():
    source = "def f(a):\n    if (a\n        > 1):\n        a = -a\n    return (a +\n        1)\n"
    (function,) = ast.parse(source).body
    spans = mutated.spans(function)
    found = {ast.unparse(n): spans[id(n)] for n in ast.walk(function) if isinstance(n, ast.expr)}
    assert found["a > 1"] == (2, 3)
    assert found["-a"] == (4, 4)
    assert found["a + 1"] == (5, 6)


def test_only_cases_that_run_the_statement_are_tried_cheap_operations_first():
    one = mutated.Mutation("m", "f", 0, 3, 4, "")
    rows = [
        ("slow", 0, 5.0, [("m", 3)]),
        ("slow", 1, 5.0, [("m", 4)]),
        ("fast", 0, 1.0, [("m", 3)]),
        ("fast", 1, 1.0, [("m", 5), ("other", 3)]),
        ("fast", 2, 7.0, [("m", 4)]),
    ]
    assert Reaching(rows).cases(one) == [("fast", 0), ("slow", 0), ("fast", 2), ("slow", 1)]


def test_what_no_case_runs_and_what_is_left_over_are_told_apart():
    one = next(iter(mutated.mutations()))
    assert mutation.look_for(Reaching([]), 1.0, one).by == mutation.UNREACHED
    rows = [("sign", 0, 1.0, [(one.module, one.first)])]
    assert mutation.look_for(Reaching(rows), 1.0, one) == Found(mutation.ALIVE, 1, 1)
    assert mutation.look_for(Reaching(rows), -1.0, one) == Found(mutation.ALIVE, 0, 1)


def test_records_of_changed_functions_are_forgotten(tmp_path):
    file = tmp_path / "mutation.json"
    first = next(iter(mutated.mutations()))
    mutation.save({first.key: Found("sign:0")}, file)
    assert mutation.recorded(file) == {first.key: Found("sign:0")}
    digest = mutated.digest_of(first.module, first.function)
    file.write_text(file.read_text().replace(digest, "0" * len(digest)))
    assert mutation.recorded(file) == {}


def test_the_command_reports_what_is_recorded():
    words = [sys.executable, "mutation.py", "--only", "signs", "--jobs", "1"]
    done = subprocess.run(
        words, cwd=ROOT / "tests", capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert done[-1].split(" of ")[1].split()[0] == str(
        sum("signs" in one.key for one in mutated.mutations())
    )
