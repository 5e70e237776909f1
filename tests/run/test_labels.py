"""Labels: omitted parts are filled in, and equal choices print the same."""

import pytest

from subbit.conformance.command.cli_run import check_label, join_label
from subbit.conformance.runs.budgets import BUDGETS
from subbit.conformance.runs.labels import Label, parse_label, parse_pattern
from subbit.reference import METHODS
from subbit.reference.errors import ArgumentError

FIRST = next(iter(METHODS["wanda"].presets))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("billm", "billm:paper"),
        ("billm:released", "billm:released"),
        ("billm:", "billm:paper"),
        ("wanda", f"wanda:{FIRST}@4:8"),
        ("wanda/uniform", f"wanda:{FIRST}@4:8"),
        ("wanda@2:4", f"wanda:{FIRST}@2:4"),
        (f"wanda:{FIRST}@02:4", f"wanda:{FIRST}@2:4"),
        ("wanda/norm", f"wanda:{FIRST}@4:8/norm"),
        (f"wanda:{FIRST}@8:8/outlier-exact", f"wanda:{FIRST}@8:8/outlier-exact"),
        ("rtn/uniform", "rtn:sign"),
    ],
)
def test_what_is_left_out_is_filled_in(text, printed):
    label = parse_label(text)
    assert str(label) == printed
    assert parse_label(printed) == label
    assert check_label(text) == printed


def test_each_budget_and_each_preset_has_a_label():
    for method, presets in ((name, method.presets) for name, method in METHODS.items()):
        for preset in presets:
            label = parse_label(f"{method}:{preset}")
            assert (label.method, label.preset) == (method, preset)
            assert label.config() == presets[preset]
            assert label.entry == METHODS[method].entry
    for budget in BUDGETS:
        assert parse_label(f"wanda@5:8/{budget}") == Label("wanda", FIRST, (5, 8), budget)


def test_the_pattern_is_put_into_the_preset():
    label = parse_label("wanda@2:4/norm")
    assert label.config().keep == (2, 4)
    assert label.config(3).keep == (3, 4)


PATTERN = "keep: expected N:M, N kept of every M weights, 1 <= N <= M, got "


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("bilm", "method: expected one of rtn, gptq,"),
        ("", "method: expected one of rtn, gptq,"),
        ("billm:papre@4:8", "preset: expected one of paper, released"),
        ("wanda@8:4", f"{PATTERN}8:4"),
        ("wanda@0:4", f"{PATTERN}0:4"),
        ("wanda@4", f"{PATTERN}4"),
        ("wanda@-4:8", f"{PATTERN}-4:8"),
        ("wanda@4:8:16", f"{PATTERN}4:8:16"),
        ("wanda@four:eight", f"{PATTERN}four:eight"),
        ("wanda@", PATTERN),
        ("billm@4:8", "keep: expected a method and preset that prune to N:M, got 4:8 for billm"),
        ("sparsegpt:unstructured@4:8", "keep: expected a method and preset that prune to N:M"),
        ("rtn/norm", "budget: expected a method and preset that prune to N:M, got norm for rtn"),
        ("wanda@4:8/none", "budget: expected one of uniform, norm, norm-exact, outlier"),
        ("wanda@4:8/", "budget: expected one of uniform, norm, norm-exact, outlier"),
        ("wanda/norm@4:8", "method: expected METHOD"),
        ("wanda@2:4@4:8", "method: expected METHOD"),
        ("wanda:a:b", "method: expected METHOD"),
        ("wanda/norm/norm", "method: expected METHOD"),
    ],
)
def test_what_is_no_label_is_refused(text, complaint):
    with pytest.raises(ArgumentError) as caught:
        parse_label(text)
    assert str(caught.value).startswith(complaint)


def test_a_pattern_that_the_method_cannot_take_is_refused():
    with pytest.raises(ArgumentError, match="block_size: expected a multiple of the group 7"):
        parse_label("wanda@3:7")


@pytest.mark.parametrize("text", ["4:8\n", " 4:8", "4.0:8", "٤:٨", "1:9999999"])
def test_only_plain_digits_are_numbers(text):
    with pytest.raises(ArgumentError, match="keep: expected N:M"):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("parts", "label"),
    [
        (("billm", "", None, None), "billm"),
        (("billm", "paper", None, None), "billm:paper"),
        (("wanda", "", "2:4", None), "wanda@2:4"),
        (("wanda", FIRST, "2:4", "norm"), f"wanda:{FIRST}@2:4/norm"),
        (("wanda", "", None, "norm"), "wanda/norm"),
        (("wanda", "", "", ""), "wanda@/"),
    ],
)
def test_options_are_the_parts_of_a_label(parts, label):
    assert join_label(*parts) == label
