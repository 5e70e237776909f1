"""The scoreboard command
======================

``subbit scoreboard NAME=REPORT.json ...`` makes one table of several reports, in Markdown:
families and levels against ports. With ``--badges DIR`` it writes a badge of each, and shows them.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from subbit.conformance.command.console import refusals
from subbit.conformance.command.files import badge, words_of
from subbit.conformance.command.rows import NUMBERS, REFUSALS, SIGNATURES
from subbit.conformance.schema import check_schema
from subbit.conformance.target import OUTPUTS
from subbit.reference.errors import ArgumentError

_NOTHING = "–"
_ABOUT = ("computes in", "cases", "result", SIGNATURES, REFUSALS)


def read_reports(named: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read reports.

    Parameters
    ----------
    named : iterable of str
        NAME=FILE for each.

    Returns
    -------
    dict of str to dict
        Reports by name.

    Raises
    ------
    ArgumentError
        If one has no name, or is no report of ``subbit check``.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in named:
        name, equals, file = text.partition("=")
        if not (name and equals and file) or name in found:
            raise ArgumentError("REPORT", "NAME=FILE, each name once", text)
        try:
            report = json.loads(Path(file).read_text(encoding="utf-8"))
            check_schema(report, "check")
        except (OSError, ValueError, RecursionError) as error:
            raise ArgumentError("REPORT", "a report of subbit check --json", error) from error
        found[name] = report
    return found


def _about(report: Mapping[str, Any]) -> dict[str, str]:
    """Return what the first rows say about a report."""
    # Answers in files are judged by their own cases, whatever the depth.
    depth = "vectors" if report["target"].startswith(OUTPUTS) else report["depth"]
    verdicts = report["verdicts"]
    said = (report["dtype"], depth, report["result"], verdicts[SIGNATURES], verdicts[REFUSALS])
    return dict(zip(_ABOUT, said, strict=True))


def _cell(line: Mapping[str, Any] | None) -> str:
    """Return how many operations passed, and the largest error ÷ bound of all."""
    if line is None or not line["passed"] + line["failed"]:
        return _NOTHING
    worst = math.inf if line["worst"] is None else line["worst"]
    ratio = "∞" if math.isinf(worst) else f"{worst:.2g}"
    return f"{line['passed']} of {line['operations']}, {ratio}"


def write_badges(reports: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, Path]:
    """Write a badge of each report.

    Parameters
    ----------
    reports : mapping of str to mapping
        Reports by name.
    folder : Path
        The folder for them, which is made.

    Returns
    -------
    dict of str to Path
        The files by name, which are SVG.

    Raises
    ------
    ArgumentError
        If two names are the same in letters and digits, and so have the same file.
    """
    files: dict[str, Path] = {}
    for name in reports:
        file = folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.svg"
        if file in files.values():
            raise ArgumentError("REPORT", f"names that differ in more than signs, for {file}", name)
        files[name] = file
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        file.write_text(badge(reports[name], name), encoding="utf-8")
    return files


def scoreboard(
    reports: Mapping[str, Mapping[str, Any]], badges: Mapping[str, Path] | None = None
) -> str:
    """Return a table of reports.

    Parameters
    ----------
    reports : mapping of str to mapping
        Reports by the names that the table has for them.
    badges : mapping of str to Path, optional
        Files of their badges.

    Returns
    -------
    str
        Markdown: a row for each family and level, a column for each report.
    """
    lines = {
        name: {
            (one["family"], one["level"]): one
            for one in report["summary"]
            if one["part"] == NUMBERS
        }
        for name, report in reports.items()
    }
    keys = sorted({key for own in lines.values() for key in own}, key=lambda key: (key[1], key[0]))
    rows = [["", "level", *reports], ["---"] * (2 + len(reports))]
    if badges is not None:
        shown = [f"![{words_of(reports[n])}]({file.as_posix()})" for n, file in badges.items()]
        rows.append(["badge", "", *shown])
    about = {name: _about(report) for name, report in reports.items()}
    rows += [[what, "", *(own[what] for own in about.values())] for what in _ABOUT]
    rows += [
        [f"`{family}`", str(level), *(_cell(own.get((family, level))) for own in lines.values())]
        for family, level in keys
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def scoreboard_command(
    reports: Annotated[list[str], typer.Argument(metavar="NAME=REPORT...", help="reports in JSON")],
    *,
    badges: Annotated[
        Path | None, typer.Option(help="write a badge of each, in SVG, to this folder")
    ] = None,
) -> None:
    """Make one table, in Markdown, of several reports.

    Parameters
    ----------
    reports : list of str
        NAME=FILE for each.
    badges : Path, optional
        A folder for badges, which the table then shows.
    """
    with refusals():
        read = read_reports(reports)
        typer.echo(scoreboard(read, None if badges is None else write_badges(read, badges)))
