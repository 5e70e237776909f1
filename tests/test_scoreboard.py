"""One table of several reports."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

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


def test_badges_are_written_and_shown(reports, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in reports.items():
        Path(f"{name}.json").write_text(json.dumps(content))
    result = command("ours=ours.json", "Their port=theirs.json", "--badges", "own/badges")
    assert result.exit_code == 0, result.output
    row = next(line for line in result.output.splitlines() if line.startswith("| badge |"))
    shown = re.findall(r"!\[([^]]+)\]\(([^)]+)\)", row)
    assert shown == [
        ("conforms, levels 0-3", "own/badges/ours.svg"),
        ("diverges, levels 0-3", "own/badges/their-port.svg"),
    ]
    for (words, file), label in zip(shown, ("ours", "Their port"), strict=True):
        assert label_of(Path(file)) == f"{label}: {words}"
    plain = command("ours=ours.json", "theirs=theirs.json").output
    assert "badge" not in plain
    refused = command("a:b=ours.json", "a b=theirs.json", "--badges", "other")
    assert (refused.exit_code, Path("other").exists()) == (2, False)
    assert "a-b.svg" in refused.stderr


def label_of(file):
    return ET.fromstring(file.read_text(encoding="utf-8")).get("aria-label")  # noqa: S314  (ours)


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
    cells = [cell.strip() for line in table[8:] for cell in line.strip("|").split("|")[2:]]
    assert all(re.fullmatch(r"–|\d+ of \d+, (\d[\d.e+-]*|∞)", cell) for cell in cells), cells


def test_the_page_shows_the_badge_of_each_port():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line[:1] == "|"
    ]
    by = {row[0]: row[2:] for row in rows}
    for name, result, shown in zip(rows[0][2:], by["result"], by["badge"], strict=True):
        words, file = re.fullmatch(r"!\[([^]]+)\]\(([^)]+)\)", shown).groups()
        assert words == f"{result}, levels 0-3"
        assert label_of(PAGE.parent / file) == f"{name}: {words}"
    files = {path.relative_to(PAGE.parent).as_posix() for path in PAGE.parent.rglob("badges/*.svg")}
    assert files == {re.search(r"\((.*)\)", shown)[1] for shown in by["badge"]}
