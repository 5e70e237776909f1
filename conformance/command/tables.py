"""Reports on a terminal
=====================

A report as tables: a summary by family and level first, then the operations, in both the
worst first.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from subbit.conformance.cases.counts import Counts

from .report import badness, replay_of
from .rows import ASIDE, EMPTY, EXCEPTED, FAILED, MISSING, PARTIAL, PASSED, UNJUDGED

STYLES: Mapping[str, str | None] = {
    FAILED: "bold red",
    UNJUDGED: "red",
    EMPTY: "yellow",
    MISSING: "dim",
    PARTIAL: "yellow",
    EXCEPTED: "yellow",
    PASSED: None,
}
STATUS_WORDS: Mapping[str, str] = {
    FAILED: "failed",
    UNJUDGED: "not run, since the process ended",
    EMPTY: "compared nothing",
    MISSING: "not implemented",
    PARTIAL: "implemented in part",
    EXCEPTED: "passed but for exceptions",
    PASSED: "passed",
}
SUMMARY_HEADINGS = ("family", "level", "judged", "status", "passed", "failed", "of", "worst")
HEADINGS = (
    "operation",
    "level",
    "judged",
    "cases",
    "passed",
    "compares",
    "worst",
    "median",
    "no bound",
    "replay",
)
TEXT_HEADINGS = {"family", "operation", "judged", "status", "compares", "replay"}
_SET_ASIDE = ("missing", "declared", "skipped", "left_out")


def ratio_words(value: float | None) -> str:
    """Write error ÷ bound.

    Parameters
    ----------
    value : float or None
        The quotient; None is infinity.

    Returns
    -------
    str
        Two digits.
    """
    return "∞" if value is None else f"{value:.2g}"


def summary_cells(line: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of a line of the summary, in the order of its headings.

    Parameters
    ----------
    line : mapping
        One line of the report's summary.

    Returns
    -------
    tuple of str
        The cells.
    """
    return (
        line["family"],
        str(line["level"]),
        line["part"],
        STATUS_WORDS[line["status"]],
        str(line["passed"]),
        str(line["failed"] or ""),
        str(line["operations"]),
        "" if line["status"] == MISSING else ratio_words(line["worst"]),
    )


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of an operation, in the order of the headings.

    Parameters
    ----------
    row : mapping
        One of the report's operations.

    Returns
    -------
    tuple of str
        The cells.
    """
    head = (row["operation"], str(row["level"]), row["part"])
    if row["status"] in {MISSING, UNJUDGED}:
        return (*head, "-", STATUS_WORDS[row["status"]], *[""] * 5)
    counts = Counts.of_json(row["counts"])
    # Equality has no ratio.
    equal = row["worst"] is not None and not (counts.bounded or counts.objectives)
    total = row["cases"] + sum(row[kind] for kind in _SET_ASIDE)
    return (
        *head,
        str(total) if total == row["cases"] else f"{row['cases']} of {total}",
        str(row["passed"]),
        counts.words,
        *("–" if equal and not row[key] else ratio_words(row[key]) for key in ("worst", "median")),
        f"{counts.share:.2%}" if counts.lost else "",
        row["replay"],
    )


def sorted_rows(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a report's operations, the worst first.

    Parameters
    ----------
    report : mapping
        The report.

    Returns
    -------
    list of mapping
        Its rows.
    """
    return sorted(report["operations"], key=badness)


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        text = heading in TEXT_HEADINGS
        table.add_column(heading, justify="left" if text else "right", overflow="fold")
    return table


def tables(report: Mapping[str, Any]) -> tuple[Table, Table]:
    """Return a report as tables for a terminal.

    Parameters
    ----------
    report : mapping
        The report.

    Returns
    -------
    tuple of Table
        The summary, and the operations that are implemented.
    """
    name = f"{report['target']} ({report['dtype']})"
    summary = _table(f"{name}: summary", SUMMARY_HEADINGS)
    for line in report["summary"]:
        summary.add_row(*summary_cells(line), style=STYLES[line["status"]])
    details = _table(f"{name}: error ÷ bound, at most 1", HEADINGS)
    for row in sorted_rows(report):
        # A port that has begun lacks hundreds; the summary counts them, and JSON and page have all.
        if row["status"] != MISSING:
            details.add_row(*cells(row), style=STYLES[row["status"]])
    return summary, details


def counted(report: Mapping[str, Any]) -> str:
    """Count in words what became of operations and cases.

    Parameters
    ----------
    report : mapping
        The report.

    Returns
    -------
    str
        A sentence without a full stop.
    """
    counts = report["counts"]
    said = [f"{counts[PASSED]} checks passed, {counts[FAILED]} failed"]
    said += [
        f"{counts[status]} {STATUS_WORDS[status]}"
        for status in (EMPTY, EXCEPTED, PARTIAL, UNJUDGED)
        if counts[status]
    ]
    said.append(f"{counts[MISSING]} not implemented")
    aside = [
        f"{counts[f'cases_{key}']:,} {words}"
        for key, words in ASIDE.items()
        if counts[f"cases_{key}"]
    ]
    return ", ".join(said) + (f"; cases: {', '.join(aside)}" if aside else "")


def verdict_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the verdicts in words.

    Parameters
    ----------
    report : mapping
        The report.

    Yields
    ------
    str
        Result, counts, and the verdict of each part.
    """
    yield f"{report['target']} {report['result']}: {counted(report)}"
    yield ", ".join(f"{part}: {word}" for part, word in report["verdicts"].items())
    if report["finished"] < report["planned"]:
        yield f"stopped after {report['finished']} of {report['planned']} operations"


_STATES = {
    "used": "is used",
    "passes": "passes now: remove it",
    "unreached": "is about another level or depth",
    "nothing": "matches nothing: remove it",
}


def exception_line(kind: str, cases: str, reason: str, state: str, number: int) -> str:
    """Say what became of a known exception.

    Parameters
    ----------
    kind, cases, reason : str
        The entry.
    state : str
        What became of it.
    number : int
        Number of its cases.

    Returns
    -------
    str
        A line.
    """
    counted = f", {number} case{'s' * (number != 1)}" if number else ""
    return f"[[{kind}]] {cases} {_STATES[state]}{counted} ({reason})"


def exception_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what became of known exceptions.

    Parameters
    ----------
    report : mapping
        The report.

    Yields
    ------
    str
        A line for each entry of the list.
    """
    for entry in (report["exceptions"] or {}).get("entries", ()):
        yield exception_line(**entry)


def not_asked_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the port could not be asked.

    Parameters
    ----------
    report : mapping
        The report.

    Yields
    ------
    str
        A line for each thing.
    """
    for what, why in report["not_asked"].items():
        yield f"not asked: {what} ({why})"


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print a report.

    Parameters
    ----------
    report : mapping
        The report.
    console : Console
        Console to print to.
    """
    for table in tables(report):
        if table.row_count:
            console.print(table)
    for row in sorted_rows(report):
        if row["status"] in {EMPTY, PARTIAL, EXCEPTED}:
            said = f"{row['operation']} ({row['part']}): {row['message']}"
            console.print(said, style="yellow", markup=False, soft_wrap=True)
        for failure in row["failures"]:
            call = f"\n{replay_of(report, failure['replay'])}"
            console.print(call, style="bold red", markup=False, soft_wrap=True)
            console.print(failure["message"], markup=False, soft_wrap=True)
        if row["failed"] > len(row["failures"]):
            console.print(f"and {row['failed'] - len(row['failures'])} more of {row['operation']}")
    for line in (*exception_lines(report), *not_asked_lines(report), *verdict_lines(report)):
        console.print(line, markup=False, soft_wrap=True)
