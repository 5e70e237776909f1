"""Lists of known exceptions: read, applied, and told when they are out of date."""

import json

import pytest

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.exceptions import Entry, read_exceptions
from subbit.reference.errors import ArgumentError

MEANS = len(seeds_of(OPERATIONS["masked_mean"], "quick"))
WRONG_MEAN = "def masked_mean(W, mask=None): return 2 + reference.masked_mean(W, mask)"


@pytest.fixture
def listed(tmp_path):
    """A list with some entries."""

    def write(*entries):
        text = "\n".join(
            f"[[{kind}]]\ncases = {json.dumps(cases)}\nreason = {json.dumps(reason)}\n"
            for kind, cases, reason in entries
        )
        file = tmp_path / "known.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture
def checked(run, tmp_path):
    def check(target, file, *words):
        out = tmp_path / "out.json"
        result = run(target, "--depth", "quick", "--exceptions", file, "--json", out, *words)
        content = json.loads(out.read_text())
        assert content["exit_code"] == result.exit_code
        states = {entry["cases"]: entry["state"] for entry in content["exceptions"]["entries"]}
        rows = {row["operation"]: row for row in content["operations"]}
        return result.exit_code, rows, states, result.output

    return check


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "a TOML file"),
        ("[skip]\ncases = 'a'\nreason = 'b'", r"entries \[\[skip\]\] and \[\[expect\]\]"),
        ("[[skips]]\ncases = 'a'\nreason = 'b'", "got skips in"),
        ("[[skip]]\ncases = 'a'", r"the keys cases, reason in each \[\[skip\]\]"),
        ("[[skip]]\ncases = 'a'\nreason = 'b'\nwhy = 'c'", "the keys cases, reason"),
        ("[[expect]]\ncases = 'a'\nreason = ' '", "text for reason"),
        ("[[expect]]\ncases = 3\nreason = 'b'", "text for cases"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, text, said):
    file = tmp_path / "known.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentError, match=said):
        read_exceptions(file)


def test_a_list_that_is_not_there_is_one_sentence(run, tmp_path):
    result = run("reference", "--depth", "quick", "--exceptions", tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "none.toml" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("cases", "operation", "seed", "held"),
    [
        ("masked_mean", "masked_mean", 5, True),
        ("masked_mean", "masked_means", 5, False),
        ("masked_mean:5", "masked_mean", 5, True),
        ("masked_mean:5", "masked_mean", 55, False),
        ("masked_*:5*", "masked_scale", 55, True),
        ("*:?", "anything", 12, False),
    ],
)
def test_patterns(cases, operation, seed, held):
    assert Entry("skip", cases, "because").holds(operation, seed) is held


def test_skipped_cases_are_not_run_and_counted(checked, few, make_port, listed):
    few("masked_mean", "weight_error")
    name = make_port("def masked_mean(W, mask=None): os._exit(1)")
    code, rows, states, output = checked(name, listed(("skip", "masked_mean", "crashes")))
    assert code == 4
    assert states == {"masked_mean": "used"}
    row = rows["masked_mean"]
    assert (row["status"], row["cases"], row["skipped"]) == ("excepted", 0, MEANS)
    assert row["message"] == f"0 of {MEANS} cases compared, {MEANS} skipped (crashes)"
    assert f"cases: {MEANS} skipped" in output
    assert f"[[skip]] masked_mean is used, {MEANS} cases (crashes)" in output


def test_expected_failures_are_run_and_counted(checked, few, make_port, listed):
    few("masked_mean", "weight_error")
    file = listed(("expect", "masked_mean", "adds two"))
    code, rows, states, output = checked(make_port(WRONG_MEAN), file)
    assert code == 4
    assert states == {"masked_mean": "used"}
    row = rows["masked_mean"]
    assert (row["status"], row["failed"]) == ("excepted", 0)
    assert 0 < row["expected"] == row["cases"] - row["passed"]
    assert f"{row['expected']} failed as expected (adds two)" in row["message"]
    assert f"cases: {row['expected']} failed as expected" in output


def test_other_failures_stay_failures(checked, few, make_port, listed):
    few("masked_mean")
    code, rows, _, _ = checked(make_port(WRONG_MEAN), listed(("expect", "masked_mean:0", "why")))
    assert code == 1
    assert rows["masked_mean"]["expected"] == 1
    assert rows["masked_mean"]["failed"] > 0


def test_an_expected_crash_is_expected(checked, few, make_port, listed):
    few("masked_mean")
    name = make_port("def masked_mean(W, mask=None): ctypes.string_at(0)")
    code, rows, _, _ = checked(name, listed(("expect", "masked_mean", "crashes")))
    assert code == 4
    assert (rows["masked_mean"]["expected"], rows["masked_mean"]["left_out"]) == (1, MEANS - 1)


def test_a_list_out_of_date_is_told(checked, few, listed):
    few("masked_mean", "weight_error")
    file = listed(
        ("expect", "masked_mean", "was wrong once"),
        ("skip", "masked_meen", "a spelling mistake"),
        ("expect", "weight_error:77", "there is no such case"),
    )
    code, _, states, output = checked("reference", file)
    assert code == 5
    assert states == {
        "masked_mean": "passes",
        "masked_meen": "nothing",
        "weight_error:77": "nothing",
    }
    assert "exceptions outdated" in output
    assert f"[[expect]] masked_mean passes now: remove it, {MEANS} cases (was wrong once)" in output
    assert "[[skip]] masked_meen matches nothing: remove it (a spelling mistake)" in output


def test_an_entry_for_another_depth_or_level_is_not_out_of_date(checked, few, listed):
    few("masked_mean")
    deep = seeds_of(OPERATIONS["masked_mean"], "long")[-1]
    assert deep not in seeds_of(OPERATIONS["masked_mean"], "quick")
    file = listed(("skip", f"masked_mean:{deep}", "slow"), ("skip", "billm_layer*", "later"))
    code, _, states, output = checked("reference", file, "--level", 2)
    assert code == 0
    assert set(states.values()) == {"unreached"}
    assert "is about another level or depth" in output


def test_a_list_hides_no_divergence_and_nothing_missing(checked, few, make_port, listed):
    few("masked_mean", "proxy_loss")
    file = listed(("skip", "masked_mean", "why"))
    wrong = make_port("def proxy_loss(W, Q, H): return 7.0")
    assert checked(wrong, file)[0] == 1
    assert checked(make_port(drop=["proxy_loss"]), file)[0] == 2


def test_pytest_takes_the_same_list(pytester_run, make_port, listed):
    name = make_port(f"{WRONG_MEAN}\ndef sign(x, zero=1): os._exit(1)")
    file = listed(
        ("expect", "masked_mean", "adds two"), ("skip", "sign", "crashes"), ("skip", "sing", "typo")
    )
    words = ("--exceptions", file, "-rsx", "-p", "xdist", "-n", 2)
    done = pytester_run(
        name, "-k", "test_operation and (masked_mean or sign] or weight_error])", *words
    )
    assert done.returncode == 1
    assert "[[skip]] sing matches nothing: remove it (typo)" in done.stdout
    assert f"[[expect]] masked_mean is used, {MEANS} cases (adds two)" in done.stdout
    assert "skipped (crashes)" in done.stdout
    assert "failed as expected (adds two)" in done.stdout


def test_pytest_tells_of_an_expected_failure_that_passes(pytester_run, listed):
    file = listed(("expect", "masked_mean", "was wrong once"))
    words = ("-k", "test_operation and masked_mean", "--exceptions", file)
    done = pytester_run("reference", *words)
    assert done.returncode == 1
    assert "masked_mean passes now: remove it" in done.stdout
    file.write_text("[[skip]]", encoding="utf-8")
    refused = pytester_run("reference", *words)
    assert refused.returncode == 4
    assert "the keys cases, reason" in refused.stderr + refused.stdout
