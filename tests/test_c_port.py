"""The port in C: it conforms in what it has, and its wrong twins are noticed."""

import json
import re
import shutil
import subprocess

import pytest

from project import ROOT
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.command import report
from subbit.conformance.frozen.make import path_of
from subbit.conformance.frozen.outputs import answer
from subbit.conformance.frozen.tree import cases_in
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import resolve

SOURCE = ROOT / "docs" / "ports" / "c"
SHARED = ROOT / "conformance" / "skeletons" / "c"
SET = ROOT / "conformance" / "vectors"
CONFORMING = """
sign bell_split rank_columns breakpoint_grid grid_codes exact_binarization first_minimum nm_mask
pattern_bits rank_patterns unrank_patterns arb_start refine_mean refine_scale refine_signs
choose_salient choose_split masked_mean masked_scale binarize_once residual_binarize
column_saliency maximum_grid quantile_grid minmax_grid salient_search salient_search_direct
bell_split_search bell_split_search_direct billm_block rtn_layer arb
exact_minmax_grid far_billm_block patterns_past_32_bits
"""
LACKING = [tool for tool in ("cc", "make") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"no {' and no '.join(LACKING)} here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As the documentation says, in a copy."""
    copy = tmp_path_factory.mktemp("c") / "c"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("port", "wrong?"))
    words = ["make", "-C", copy, f"SHARED={SHARED}"]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    return copy


@pytest.fixture(scope="module")
def rows(folder):
    found = report.run(report.Request(f"exec:{folder / 'port'}", 3, "quick"))
    assert found["result"] == "incomplete"
    return found["operations"]


def test_it_conforms_in_what_it_has(rows):
    by_status = {}
    for row in rows:
        by_status.setdefault(row["status"], []).append(row)
    failed = [failure["message"] for row in rows for failure in row["failures"]]
    assert by_status.keys() == {"passed", "missing", "excepted"}, failed
    compared = {row["operation"] for row in rows if row["status"] != "missing" and row["level"]}
    assert compared == set(CONFORMING.split())


def test_it_declares_what_it_leaves_out(rows):
    excepted = {row["operation"] for row in rows if row["status"] == "excepted"}
    # ARB's exact levels, and patterns with more numbers than 63 bits count.
    assert excepted <= {"arb", "pattern_bits", "patterns_past_32_bits"}
    assert "arb" in excepted


def test_it_refuses_all_that_a_port_has_to(rows):
    asked = {row["operation"]: row for row in rows if row["part"] == "refusals"}
    own = {name for name, row in asked.items() if row["status"] == "passed"}
    assert len(own) == 30
    assert sum(asked[name]["cases"] for name in own) > 600


@pytest.mark.parametrize(
    ("program", "caught", "honest"),
    [
        ("wrong1", "masked_mean column_saliency binarize_once", "sign nm_mask"),
        ("wrong2", "first_minimum", "masked_mean billm_block"),
    ],
)
def test_a_wrong_twin_is_noticed(few, folder, program, caught, honest):
    few(*caught.split(), *honest.split())
    found = report.run(report.Request(f"exec:{folder / program}", 3, "quick"))
    by = {row["operation"]: row["status"] for row in found["operations"]}
    assert {name for name, status in by.items() if status == "failed"} == set(caught.split())
    assert found["exit_code"] == 1
    said = [failure["message"] for row in found["operations"] for failure in row["failures"]]
    assert not [message for message in said if "(arrays: " in message]


def test_a_crash_is_the_result_of_its_function(few, folder, run, tmp_path):
    few("interface_minmax_grid", "minmax_grid", "grid_codes", "masked_mean")
    file = tmp_path / "out.json"
    command = str(folder / "wrong3")
    result = run("--exec", command, "--depth", "quick", "--json", file)
    assert result.exit_code == 1
    rows = {
        (row["operation"], row["part"]): row for row in json.loads(file.read_text())["operations"]
    }
    crashed = rows["minmax_grid", "numbers"]
    assert re.search(r"ended by SIGSEGV \(Segmentation fault\), in minmax_grid", crashed["message"])
    assert rows["interface_minmax_grid", "refusals"]["status"] == "unjudged"
    assert {rows[name, "numbers"]["status"] for name in ("grid_codes", "masked_mean")} == {"passed"}


@pytest.mark.parametrize(
    ("program", "failed"),
    [("port", set()), ("wrong1", {"masked_mean"}), ("wrong2", {"first_minimum"})],
)
def test_it_answers_files_as_well(folder, tmp_path, program, failed):
    for name in ("masked_mean", "first_minimum", "arb", "interface_nm_mask"):
        own = (SET / path_of(OPERATIONS[name], 0)).parent
        shutil.copytree(own, tmp_path / own.relative_to(SET))
    shutil.copy(SET / "v1" / "vectors.json", tmp_path / "v1")
    port = resolve(f"exec:{folder / program}")
    assert answer(port, tmp_path) == len(list(cases_in(tmp_path)))
    port.PROCESS.close()
    found = report.run(report.Request(f"outputs:{tmp_path}", 3, "quick"))
    by = {row["operation"]: row for row in found["operations"]}
    noticed = {name for name, row in by.items() if row["status"] == "failed"}
    assert noticed - {"arb"} == failed, [row["message"] for row in by.values()]
    assert by["arb"]["declared"] > 0


def test_it_is_documented():
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    for path in SOURCE.iterdir():
        if path.suffix in {".c", ".h"}:
            assert f"`{path.name}`" in page
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
    names = re.findall(r'F\((\w+)\)|\{"(\w+)", \w+\}', (SOURCE / "port.c").read_text())
    assert {a or b for a, b in names} - {"name"} <= PROTOCOL.keys()
