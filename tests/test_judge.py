"""What a case compared is counted by kind, and what it did not, by name."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.cases import OPERATIONS, Outcome
from subbit.conformance.cases.counts import Counts
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import Operation
from subbit.conformance.command import tables
from subbit.conformance.command.rows import rows_of
from subbit.conformance.command.verdicts import INCOMPLETE, code_of
from subbit.conformance.command.workers import Judged
from subbit.conformance.exceptions import Exceptions
from subbit.reference.bounds.rounding import Arithmetic, Rounded

SINGLE = Arithmetic("float32")


def _one_code_wrong(W, H, config):
    """The reference, with the first code of its second column turned around."""
    layer = reference.gptq_layer(W, H, config)
    number = next(n for n, block in enumerate(layer.blocks) if block.stop > 1)
    block = layer.blocks[number]
    (group,) = block.groups
    codes = group.codes.copy()
    codes[0, 1 - block.start] = 2**group.bits - 1 - codes[0, 1 - block.start]
    other = replace(block, groups=(replace(group, codes=codes),))
    blocks = (*layer.blocks[:number], other, *layer.blocks[number + 1 :])
    return replace(layer, blocks=blocks)


ONE_CODE_WRONG = SimpleNamespace(**vars(reference) | {"gptq_layer": _one_code_wrong})
THIRD = 1.0 / 3.0
HELD = float(np.float32(THIRD))


@pytest.fixture
def judge():
    return Judge(SINGLE)


@pytest.mark.parametrize("found", [THIRD, HELD, np.float32(THIRD)])
def test_a_copy_is_the_number_or_the_one_that_the_type_holds(judge, found):
    judge.bound("kept", [found], SINGLE.read([THIRD]))
    assert judge.ratio == 0.0
    assert judge.counts == Counts(copied=1)


def test_what_lies_between_the_two_is_no_copy(judge):
    between = (THIRD + HELD) / 2.0
    expected = SINGLE.read([THIRD])
    assert abs(between - THIRD) < expected.error[0]
    judge.bound("kept", [between], expected)
    assert judge.ratio == np.inf


def test_a_zero_stands_for_what_the_type_flushes_or_holds_as_subnormal(judge):
    small = 1e-40
    for found in (small, np.float32(small), 0.0):
        judge.bound("kept", [found], SINGLE.read([small]))
    assert judge.ratio == 0.0
    judge.bound("kept", [2 * small], SINGLE.read([small]))
    assert judge.ratio == np.inf


def test_a_choice_says_where_another_was_better(judge):
    error = np.array([0.1, 0.1])
    judge.choice("order", Rounded(np.array([0.05, 0.5]), error, SINGLE))
    assert judge.sentence == (
        "order: another is better by 0.5 at (1,), 5 times what rounding explains"
    )
    judge.choice("order", Rounded(np.array([np.inf, 0.0]), 0.0 * error, SINGLE))
    assert judge.sentence == "order: of equal ones another is due at (0,)"


def test_a_residual_says_where_it_is_largest(judge):
    with judge.at_columns(slice(8, 16)):
        judge.within("the fit", Rounded(np.array([1.0, 3.0]), np.ones(2), SINGLE))
    assert judge.sentence == (
        "the fit: 3 at (1,), 3 times what rounding explains, in columns 8 to 15"
    )


def test_a_finding_in_a_layer_says_in_which_column():
    """Each column has a record of its own, so the place in it says nothing."""
    wrong = OPERATIONS["gptq_layer"].check(ONE_CODE_WRONG, Arithmetic(), 0)
    assert wrong.status == "failed"
    assert re.search(r"codes: expected .* at \(0, 0\), in column 1\b", wrong.message), wrong.message


def test_numbers_are_counted_by_their_bounds(judge):
    value = np.array([1.0, 2.0, THIRD, 4.0, 5.0])
    error = np.array([0.0, 0.5, abs(THIRD - HELD), np.inf, 1.0])
    judge.bound("levels", [1.0, 2.25, HELD, 9.0, 5.0], Rounded(value, error, SINGLE))
    wanted = Counts(equal=1, copied=1, bounded=2, largest=0.5, unbounded={"levels": 1})
    assert judge.counts == wanted
    assert judge.ratio == 0.5
    assert judge.counts.share == 1 / 4


def test_decisions_within_their_margin_are_open_and_have_no_ratio(judge):
    margin = Rounded(np.array([1.0, 1e-9, 0.0, 1.0]), np.array([0.5, 1.0, 0.0, np.inf]), SINGLE)
    judge.decision("signs", [1, -1, 1, 1], [1, 1, 1, -1], margin)
    wanted = Counts(decided=2, open=1, skipped={"signs without a margin": 1})
    assert (judge.counts, judge.ratio) == (wanted, 0.0)
    judge.decision("signs", [-1], [1], margin[:1])
    assert judge.ratio == 2.0


def test_choices_that_are_not_the_best_are_open(judge):
    judge.choice("threshold", Rounded(np.array([0.0, 0.5]), np.array([1.0, 1.0]), SINGLE))
    assert (judge.counts, judge.ratio) == (Counts(decided=1, open=1), 0.0)
    judge.choice("threshold", Rounded(np.array(3.0), np.array(1.0), SINGLE))
    assert judge.ratio == 3.0


def test_forms_are_facts_not_numbers(judge):
    judge.form("shape", (2, 3), (2, 3))
    judge.true("it holds", fact=True)
    assert judge.counts == Counts(facts=2)
    assert judge.counts.compared == 0
    judge.form("shape", (2, 3), (3, 2))
    assert judge.ratio == np.inf


def test_sums_keep_the_largest_ratio_and_all_reasons():
    one = Counts(bounded=2, largest=0.5, unbounded={"levels": 3}, skipped={"ties": 1})
    both = one + Counts(bounded=1, largest=0.25, unbounded={"levels": 1, "means": 2})
    assert both.largest == 0.5
    assert both.unbounded == {"levels": 4, "means": 2}
    assert both.lost == 7
    assert both.share == max(6 / 9, 1 / 1)
    assert Counts.of_json(both.to_json()) == both
    assert Counts(largest=np.inf).to_json()["largest"] is None
    assert Counts().words == "nothing"
    assert Counts(facts=3).words == "3 facts"


def row_of(item, *outcomes):
    seeds = [outcome.seed for outcome in outcomes]
    (row,) = rows_of(item, seeds, Judged(item.name, seeds, list(outcomes)), Exceptions())
    return row


def test_a_case_that_compares_nothing_has_not_passed():
    def examine(_port, judge, _draw):
        judge.form("shape", (1,), (1,))
        judge.skip(4, "ties")

    item = Operation("masked_mean", 2, ("masked_mean",), examine)
    outcome = item.check(reference, SINGLE, 0)
    assert outcome.status == "empty"
    row = row_of(item, outcome)
    assert (row.status, row.cases, row.passed) == ("empty", 1, 0)
    assert code_of([row]) == INCOMPLETE
    passed = Outcome("masked_mean", 1, "passed", 0.0, "", Counts(bounded=1))
    row = row_of(item, outcome, passed)
    assert (row.status, row.cases, row.passed) == ("passed", 2, 1)
    assert row.counts == Counts(facts=1, bounded=1, skipped={"ties": 4})


def test_equality_has_no_ratio_in_a_table():
    item = OPERATIONS["masked_mean"]
    passed = Outcome("masked_mean", 1, "passed", 0.0, "", Counts(equal=7, decided=12))
    row = row_of(item, passed)
    cells = tables.cells(row.__dict__ | {"counts": row.counts.to_json()})
    shown = dict(zip(tables.HEADINGS, cells, strict=True))
    assert (shown["compares"], shown["worst"], shown["no bound"]) == (
        "12 decisions, 7 equal",
        "–",
        "",
    )
