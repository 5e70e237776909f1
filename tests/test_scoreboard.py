"""One table of several reports."""

import json
import re

import pytest
import typer
from typer.testing import CliRunner

from project import ROOT
from subbit.conformance.command import report
from subbit.conformance.command.scoreboard import scoreboard, scoreboard_command

PAGE = ROOT / "docs" / "scoreboard.md"


def command(*words):
    app = typer.Typer()
    app.command()(scoreboard_command)
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def reports(few, make_port):
    few("masked_mean", "weight_error", "nm_mask", "interface_sign")
    wrong = make_port("def weight_error(W, Q):\n    return 1.0", drop=["nm_mask"])
    targets = {"ours": "reference", "theirs": wrong}
    return {n: report.run(report.Request(t, 3, "quick")) for n, t in targets.items()}


def test_families_and_levels_against_ports(reports, tmp_path):
    for name, content in reports.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    result = command(*(f"{name}={tmp_path / name}.json" for name in reports))
    assert result.exit_code == 0
    assert result.output.strip() == scoreboard(reports)
    rows = [line.strip("| ").split(" | ") for line in result.output.splitlines()]
    assert rows[0] == ["level", "ours", "theirs"]
    by = {row[0]: row[1:] for row in rows[2:]}
    assert by["result"] == ["", "conforms", "diverges"]
    assert re.fullmatch(r"1 of 1, 0(\.\d+)?", by["`groups`"][1])
    assert by["`objective`"][1:] == ["1 of 1, 0", "0 of 1, ∞"]
    assert by["`pruning`"] == ["1", "1 of 1, 0", "–"]


@pytest.mark.parametrize("word", ["report.json", "=report.json", "a=nowhere.json", "a=here.json"])
def test_what_is_no_report_is_one_sentence(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.json").write_text("[]")
    result = command(word)
    assert result.exit_code == 2
    assert "REPORT: expected" in result.output + result.stderr


def test_the_page_is_such_a_table():
    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    columns = table[0].count("|")
    assert all(line.count("|") == columns for line in table)
    cells = [cell.strip() for line in table[7:] for cell in line.strip("|").split("|")[2:]]
    assert all(re.fullmatch(r"–|\d+ of \d+, (\d[\d.e+-]*|∞)", cell) for cell in cells), cells
