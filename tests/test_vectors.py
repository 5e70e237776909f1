"""Cases in files: the set in the package, the commands, and ports that answer from files."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
from safetensors.numpy import load, load_file, save_file
from typer.testing import CliRunner

from project import DEEP, ROOT
from subbit import reference
from subbit.conformance import mutants
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.command import report
from subbit.conformance.command.cli_vectors import vectors_app
from subbit.conformance.frozen.answered import Answered
from subbit.conformance.frozen.flags import GOES_ON, TOO_LARGE, Rejections, flag_of, reason_of
from subbit.conformance.frozen.lint import lint, schema_of
from subbit.conformance.frozen.make import path_of, vectors_of
from subbit.conformance.frozen.outputs import answer as port_answers
from subbit.conformance.frozen.outputs import answer_case
from subbit.conformance.frozen.record import StatefulError, record
from subbit.conformance.frozen.tree import cases_in, read_json
from subbit.conformance.protocol import PROTOCOL
from subbit.reference.bounds.rounding import Arithmetic

SET = ROOT / "conformance" / "vectors"
LIST = read_json(SET / "v1" / "vectors.json")
# All of them take minutes.
MADE = [name for name in OPERATIONS if name not in LIST["left_out"]]
REMADE = MADE if DEEP else [n for n in MADE if OPERATIONS[n].level < 3][::29]
MISSED = {flag: one["reason"] for flag, one in LIST["flags"].items() if "reason" in one}
# Layers take their time.
_QUICK = [flag for flag in MISSED if OPERATIONS[flag.partition("/")[0]].level < 3]
ONE_OF_EACH = list({MISSED[flag]: flag for flag in reversed(_QUICK)}.values())
NOWHERE = next(one["reason"] for one in LIST["flags"].values() if not one["cases"])
FEW = "masked_mean", "nm_mask", "rank_columns", "bell_split_search", "arb_steps", "interface_sign"


def command(*words):
    return CliRunner().invoke(vectors_app, list(map(str, words)))


def test_the_set_is_what_it_says():
    assert list(lint(SET)) == []


def test_every_operation_is_there_or_left_out_by_name():
    there = {case.operation for case in cases_in(SET)}
    assert there | LIST["left_out"].keys() == OPERATIONS.keys()
    assert not there & LIST["left_out"].keys()
    assert all(
        re.search("state|function of the caller's|MiB", why) for why in LIST["left_out"].values()
    )
    functions = {call["function"] for case in cases_in(SET) for call in case.content["calls"]}
    assert {"compensate", "compensate_step", "HessianAccumulator"} == PROTOCOL.keys() - functions


def test_every_known_way_to_be_wrong_is_a_flag():
    known = {flag_of(mutant) for own in mutants.MUTANTS.values() for mutant in own}
    left_out = {flag for flag in known if flag.partition("/")[0] in LIST["left_out"]}
    assert LIST["flags"].keys() == known - left_out
    caught = [flag for flag in LIST["flags"].values() if flag["cases"]]
    assert all(flag["seen"] for flag in caught)
    assert len(LIST["flags"]) - len(MISSED) > 0.96 * len(LIST["flags"])


@pytest.mark.parametrize("flag", MISSED if DEEP else ONE_OF_EACH)
def test_a_flag_that_no_file_shows_has_its_reason(flag):
    name, said = flag.partition("/")[0], MISSED[flag]
    item = OPERATIONS[name]
    mutant = next(one for one in mutants.MUTANTS[name] if flag_of(one) == flag)
    seeds, rejections = seeds_of(item, "ci"), Rejections(item)
    assert any(item.check(mutant.port, Arithmetic(), seed).status == "failed" for seed in seeds)
    own = [int(path.name) for path in (SET / path_of(item, 0)).parent.iterdir()]
    assert not any(rejections.in_files(mutant, seed) for seed in own)
    if said == GOES_ON:
        assert rejections.by(mutant, own)
    elif said == TOO_LARGE:
        showing = [seed for seed in seeds if rejections.in_files(mutant, seed)]
        assert showing
        assert not any(map(rejections.is_small, showing))
    else:
        assert reason_of(item, mutant) == said


def test_the_flags_that_no_file_shows_are_listed():
    result = command("flags", SET)
    assert result.exit_code == 0, result.output
    shown = len(LIST["flags"]) - len(MISSED)
    first, *lines = result.output.splitlines()
    assert first == f"{shown} of {len(LIST['flags'])} flags are shown by a case"
    by, reason = {}, ""
    for line in lines:
        if line.startswith("  "):
            by[line.strip()] = reason
        else:
            reason = re.fullmatch(r"\d+ are not: (.*)", line)[1]
    assert by == MISSED


def test_what_a_port_does_to_its_arguments_is_not_seen():
    item = OPERATIONS["masked_mean"]
    spoils = next(m for m in mutants.MUTANTS[item.name] if "scratch" in m.name)
    case = record(item, 1)
    before = {name: array.copy() for name, array in case.inputs.outside.items()}
    Answered(spoils.port, case)
    assert all(np.array_equal(case.inputs.outside[name], x) for name, x in before.items())


def test_whatever_a_port_raises_is_its_answer(tree):
    def broken(*_, **__):
        raise IndexError("beyond the end")

    port = SimpleNamespace(**vars(reference) | {"masked_mean": broken})
    assert port_answers(port, tree) == len(list(cases_in(tree)))
    rows = {row["operation"]: row for row in checked(tree)["operations"]}
    assert rows["masked_mean"]["status"] == "failed"
    assert "ProgramError: IndexError: beyond the end" in rows["masked_mean"]["message"]


def test_cases_of_one_type_are_asked_of_no_other(tree):
    answer(tree, reference)
    own = [case for case in cases_in(tree) if case.dtype]
    assert {case.dtype for case in own} == {"float64"}
    assert "other types" not in checked(tree)["not_asked"]
    (tree / "port.json").write_text('{"dtype": "float32"}')
    found = checked(tree)
    told = f"{len(own)} cases are for ports of another type"
    assert found["not_asked"]["other types"] == told
    for case in own:
        row = next(r for r in found["operations"] if r["operation"] == case.operation)
        assert row["declared"] == 0


def same_file(path, made):
    """Equal but for last bits, which processors compute differently; keys follow from them."""
    kept = (SET / path).read_bytes()
    if path.endswith(".json"):
        return [re.sub(rb'"key": "\w+"', b"", one) for one in (made, kept)]
    one, other = load(made), load(kept)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        if one[name].dtype.kind == "f":
            np.testing.assert_allclose(one[name], other[name], rtol=1e-6, atol=1e-18, err_msg=path)
        else:
            assert np.array_equal(one[name], other[name]), path
    return [b"", b""]


@pytest.mark.parametrize("name", REMADE)
def test_making_it_again_changes_nothing(name):
    item = OPERATIONS[name]
    made = vectors_of(item, LIST["size"])
    folder = (SET / path_of(item, 0)).parent
    own = {p.relative_to(SET).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert made.files.keys() == own
    for path, data in made.files.items():
        one, other = same_file(path, data)
        assert one == other, path
    kept = {flag: LIST["flags"][flag] for flag in made.flags}
    for key in ("cases", "reason"):
        wanted = {flag: one.get(key) for flag, one in kept.items()}
        assert {flag: one.get(key) for flag, one in made.flags.items()} == wanted


@pytest.fixture(scope="module")
def few_vectors(tmp_path_factory):
    """A few operations of the set."""
    folder = tmp_path_factory.mktemp("vectors")
    for name in FEW:
        own = (SET / path_of(OPERATIONS[name], 0)).parent
        shutil.copytree(own, folder / own.relative_to(SET))
    shutil.copy(SET / "v1" / "vectors.json", folder / "v1")
    return folder


@pytest.fixture
def tree(few_vectors, tmp_path):
    return Path(shutil.copytree(few_vectors, tmp_path / "vectors"))


def checked(tree):
    return report.run(report.Request(f"outputs:{tree}", 3, "quick"))


def answer(tree, port):
    for case in cases_in(tree):
        answer_case(port, case)


def test_answers_of_the_reference_conform(tree, run):
    answer(tree, reference)
    validator = jsonschema.Draft202012Validator(schema_of("answers"))
    for case in cases_in(tree):
        validator.validate({"answers": case.answers})
    result = run("--outputs", tree, "--json", tree / "out.json")
    assert result.exit_code == 0, result.output
    content = json.loads((tree / "out.json").read_text())
    assert content["target"] == f"outputs:{tree}"
    seeds = {}
    for case in cases_in(tree):
        seeds[case.operation] = seeds.get(case.operation, 0) + 1
    compared = {}
    for row in content["operations"]:
        compared[row["operation"]] = compared.get(row["operation"], 0) + row["passed"]
    assert compared == seeds
    assert content["not_asked"].keys() >= LIST["left_out"].keys()
    assert run("--outputs", tree, "--replay", "masked_mean:0").exit_code == 0


def test_wrong_answers_are_noticed_by_the_flags_of_their_cases(tree):
    cases_of = {flag: one["cases"] for flag, one in LIST["flags"].items()}
    caught = [
        (mutant, cases_of[flag_of(mutant)])
        for name in ("masked_mean", "nm_mask", "rank_columns")
        for mutant in [one for one in mutants.MUTANTS[name] if cases_of[flag_of(one)]][:2]
    ]
    assert len(caught) == 6
    for mutant, cases in caught:
        answer(tree, mutant.port)
        rows = {row["operation"]: row for row in checked(tree)["operations"]}
        failed = rows[mutant.operation]["failed"]
        assert failed == len(cases), mutant.name


def test_what_has_no_answer_is_not_implemented(tree):
    found = checked(tree)
    assert found["result"] == "incomplete"
    assert {row["status"] for row in found["operations"]} == {"missing"}


def test_last_bits_of_another_processor_find_their_answers(tree):
    """As if this processor had drawn other ones."""
    answer(tree, reference)
    for case in list(cases_in(tree)):
        if case.operation != "masked_mean":
            continue
        inputs = load_file(case.folder / "input.safetensors")
        moved = {n: x * (1 + 2**-50) if x.dtype.kind == "f" else x for n, x in inputs.items()}
        save_file(moved, case.folder / "input.safetensors")
        content = case.content
        for call in content["calls"]:
            call["key"] = "0" * 64
        (case.folder / "case.json").write_text(json.dumps(content))
    rows = {row["operation"]: row for row in checked(tree)["operations"]}
    assert rows["masked_mean"]["status"] == "passed"
    assert rows["masked_mean"]["passed"] > 1


def test_a_port_declares_in_a_file(tree):
    answer(tree, reference)
    (tree / "port.json").write_text(json.dumps({"dtype": "float32", "sizes": {"rows": 1}}))
    found = checked(tree)
    assert found["dtype"] == "float32"
    assert found["counts"]["cases_declared"] > 0


FAULTS = {
    "the correct answer does not conform": ("expected.safetensors", None),
    "the key is that of another call": ("case.json", ('"key": "', '"key": "0000')),
    "its own identity is 2/groups.binarize/masked_mean/7": (
        "case.json",
        ('"case": 0', '"case": 7'),
    ),
    "is too long|does not match": ("case.json", ('"key": "', '"key": "0')),
    "'more' was unexpected": ("case.json", ('"case": 0', '"case": 0, "more": 1')),
    "has neither cases nor a reason": (
        "../../../../vectors.json",
        (f'"reason": "{NOWHERE}"', '"reason": ""'),
    ),
    "has other cases than those that carry it": ("case.json", ('"flags": [', '"flags": ["odd"')),
    "a0 is not used": ("input.safetensors", "a9"),
    "not a file of vectors": ("notes.txt", None),
}


@pytest.mark.parametrize("said", FAULTS)
def test_lint_notices(tree, said):
    file, change = FAULTS[said]
    path = tree / "v1" / "2" / "groups.binarize" / "masked_mean" / "0" / file
    if path.suffix == ".json":
        before, after = change
        text = path.read_text()
        if before == '"key": "' and after.endswith("0000"):
            after, text = '"key": "0000', re.sub(r'"key": "....', before, text)
        if before == '"flags": [':
            text = re.sub(r'"flags": \[[^]]*\]', '"flags": []', text)
        assert before in text
        path.write_text(text.replace(before, after, 1))
    elif path.suffix == ".safetensors":
        tensors = load_file(path)
        if change:
            tensors = tensors | {change: np.zeros(1)}
            said = f"{change} is not used"
        else:
            tensors = {
                n: x + 1.0 if x.dtype.kind == "f" and n == "a0" else x for n, x in tensors.items()
            }
        save_file(tensors, path)
    else:
        path.write_text("")
    found = list(lint(tree))
    assert any(re.search(said, fault) for fault in found), found


def test_the_commands(tmp_path):
    folder = tmp_path / "made"
    made = command("make", folder, "--family", "signs")
    assert made.exit_code == 0, made.output
    assert re.search(r"made: \d+ cases, \d+ of \d+ flags", made.output)
    assert command("lint", folder).output.endswith("cases, 0 faults\n")
    assert "cases answered by reference" in command("answer", folder, "reference").output
    assert command("make", folder).exit_code == 2
    (folder / "v1" / "odd").write_text("")
    assert command("lint", folder).exit_code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lint", "nowhere"), "DIR: expected a folder with v1/vectors.json|a file of JSON"),
        (("make", "x", "--size", "huge"), "--size: expected one of small, standard"),
        (("make", "x", "--level", "7"), "--level: expected a level from 0 to 3"),
        (("make", "x", "--family", "odd"), "--family: expected one of arb_llm"),
        (("answer", "nowhere", "reference"), "DIR: expected a folder with v1/vectors.json"),
    ],
)
def test_bad_input_is_one_sentence(words, said):
    result = command(*words)
    assert result.exit_code == 2
    assert re.search(said, result.output + result.stderr)


def test_what_files_cannot_hold():
    for name, why in LIST["left_out"].items():
        if "MiB" in why:
            assert vectors_of(OPERATIONS[name], "small").left_out == why
            continue
        with pytest.raises(StatefulError):
            record(OPERATIONS[name], 0)


def test_shared_forms_are_those_of_messages():
    own = json.loads((files("subbit.conformance") / "schemas/vectors.json").read_text())["$defs"]
    text = (files("subbit.conformance") / "schemas/messages.json").read_text()
    messages = json.loads(text.replace("#/$defs/list", "#/$defs/sequence"))["$defs"]
    messages["sequence"] = messages.pop("list")
    shared = own.keys() & messages.keys() - {"call", "answer"}
    assert {"value", "array", "record", "config", "refusal", "sequence"} <= shared
    assert {name: own[name] for name in shared} == {name: messages[name] for name in shared}


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here")
@pytest.mark.parametrize("wrong", [False, True])
def test_the_port_in_javascript(tree, wrong):
    """It conforms in what it has, and its wrong twin is noticed."""
    for name in ("weight_error", "column_saliency", "masked_scale", "sign"):
        own = (SET / path_of(OPERATIONS[name], 0)).parent
        shutil.copytree(own, tree / own.relative_to(SET))
    port = ROOT / "docs" / "ports" / "js" / "port.mjs"
    words = ["node", port, tree, *(["wrong"] if wrong else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = checked(tree)["operations"]
    by = {
        status: {r["operation"] for r in rows if r["status"] == status}
        for status in ("passed", "failed")
    }
    assert by["failed"] == ({"rank_columns"} if wrong else set()), [r["message"] for r in rows]
    own = {"masked_mean", "weight_error", "column_saliency", "masked_scale", "sign"}
    assert by["passed"] == own | {"interface_sign"} | (set() if wrong else {"rank_columns"})


def test_refusals_in_files_are_refusals():
    found = [
        call["error"]
        for case in cases_in(SET)
        if case.operation == "interface_sign"
        for call in case.content["calls"]
        if "error" in call
    ]
    assert found
    assert all(
        error["kind"] == "argument" and error["argument"] in {"x", "zero"} for error in found
    )
