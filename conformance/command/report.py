"""Reports of a check
==================

The results of all cases of a port, by operation; JSON first, then a table and a page from it.
"""

import html
import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from subbit import reference
from subbit.conformance.cases import Outcome
from subbit.conformance.cases.counts import Counts
from subbit.conformance.cases.registry import Operation, of_level
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.protocol import missing
from subbit.conformance.target import Port, arithmetic_of

CONFORMS, DIVERGES, INCOMPLETE = 0, 1, 2
_WORDS = {CONFORMS: "conforms", DIVERGES: "diverges", INCOMPLETE: "incomplete"}


@dataclass(frozen=True)
class Row:
    """One operation of a report.

    Parameters
    ----------
    operation : str
        Its name.
    level : int
        0 to 3.
    status : {"passed", "failed", "empty", "partial", "missing"}
        Failed if one case did; empty if none compared a number; partial if the port does not
        implement some of the cases, and missing if it implements none.
    cases, passed, missing : int
        Numbers of cases that were run, passed, and are not implemented; a case in which no number
        was compared has not passed.
    worst, median : float or None
        Error ÷ bound of the cases; None is infinity.
    counts : Counts
        What all cases compared.
    replay : str
        The worst case, for ``--replay``.
    message : str
        Findings of that case; empty unless it failed.
    """

    operation: str
    level: int
    status: str
    cases: int
    passed: int
    missing: int
    worst: float | None
    median: float | None
    counts: Counts
    replay: str
    message: str


def _number(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None


def row_of(item: Operation, outcomes: Iterable[Outcome]) -> Row:
    """Summarize the cases of an operation.

    Parameters
    ----------
    item : Operation
        The operation.
    outcomes : iterable of Outcome
        Its cases, at least one.

    Returns
    -------
    Row
        The summary.
    """
    found = list(outcomes)
    lacking = [outcome for outcome in found if outcome.status == "missing"]
    compared = [outcome for outcome in found if outcome.status != "missing"]
    # Of cases that are equally far from their bounds, one that compared something.
    worst = max(compared or found, key=lambda x: (x.ratio, x.status != "empty"))
    shown = lacking[0] if lacking and worst.status != "failed" else worst
    status, message = worst.status, "" if worst.status == "passed" else worst.message
    if lacking and not item.level and status == "passed":
        # A signature alone implements nothing.
        status, message = "missing", lacking[0].message
    elif lacking and status == "passed":
        status = "partial"
        message = f"{len(compared)} of {len(found)} cases compared, {lacking[0].message}"
    return Row(
        item.name,
        item.level,
        status,
        len(compared),
        sum(outcome.status == "passed" for outcome in found),
        len(lacking),
        _number(worst.ratio),
        _number(statistics.median(outcome.ratio for outcome in compared or found)),
        sum((outcome.counts for outcome in found), Counts()),
        shown.replay,
        message,
    )


def run(
    target: str,
    port: Port,
    *,
    level: int,
    depth: str,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Check all operations up to a level.

    Parameters
    ----------
    target : str
        The port's name.
    port : object
        The port.
    level : int
        The highest level.
    depth : {"quick", "ci", "long"}
        Number of cases per operation.
    progress : callable, optional
        Called with the name of each operation before it is checked.

    Returns
    -------
    dict
        The report, as ``schemas/check.json`` describes it.
    """
    arithmetic, rows = arithmetic_of(port), []
    for item in of_level(level):
        progress(item.name)
        seeds = seeds_of(item, depth)
        if missing(port, item.needs):
            seeds = seeds[:1]
        rows.append(row_of(item, [item.check(port, arithmetic, seed) for seed in seeds]))
    code = code_of(rows)
    return {
        "target": target,
        "dtype": arithmetic.dtype,
        "specification": reference.SPEC_VERSION,
        "level": level,
        "depth": depth,
        "result": _WORDS[code],
        "operations": [asdict(row) | {"counts": row.counts.to_json()} for row in rows],
    }


def code_of(rows: Iterable[Row]) -> int:
    """Return the exit code.

    Parameters
    ----------
    rows : iterable of Row
        All operations.

    Returns
    -------
    int
        1 if one failed, else 2 if one is missing, in whole or in part, or compared nothing, else 0.
    """
    statuses = {row.status for row in rows}
    if "failed" in statuses:
        return DIVERGES
    return CONFORMS if statuses == {"passed"} else INCOMPLETE


def exit_code(report: Mapping[str, Any]) -> int:
    """Return the exit code of a report.

    Parameters
    ----------
    report : mapping
        The result of :func:`run`.

    Returns
    -------
    int
        0, 1 or 2.
    """
    return {word: code for code, word in _WORDS.items()}[report["result"]]


HEADINGS = (
    "operation",
    "level",
    "cases",
    "passed",
    "compares",
    "worst",
    "median",
    "no bound",
    "replay",
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
    if row["status"] == "missing":
        return row["operation"], str(row["level"]), "-", "not implemented", *[""] * 5
    counts = Counts.of_json(row["counts"])
    ratios = [_ratio(row[key], counts) for key in ("worst", "median")]
    return (
        row["operation"],
        str(row["level"]),
        f"{row['cases']} of {row['cases'] + row['missing']}"
        if row["missing"]
        else str(row["cases"]),
        str(row["passed"]),
        counts.words,
        *ratios,
        f"{counts.share:.2%}" if counts.lost else "",
        row["replay"],
    )


def _ratio(ratio: float | None, counts: Counts) -> str:
    if ratio is None:
        return "∞"
    # Equality has no ratio.
    return f"{ratio:.2g}" if ratio or counts.bounded or counts.objectives else "–"


def table(report: Mapping[str, Any]) -> Table:
    """Return the report as a table for a terminal.

    Parameters
    ----------
    report : mapping
        The result of :func:`run`.

    Returns
    -------
    Table
        One line per operation.
    """
    title = f"{report['target']} ({report['dtype']}): error ÷ bound, at most 1"
    result = Table(title=title, title_justify="left")
    for heading in HEADINGS:
        number = heading not in ("operation", "compares", "replay")
        result.add_column(heading, justify="right" if number else "left", overflow="fold")
    styles = {"failed": "bold red", "partial": "yellow", "missing": "dim", "passed": None}
    styles["empty"] = "yellow"
    for row in report["operations"]:
        result.add_row(*cells(row), style=styles[row["status"]])
    return result


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd }}
td:first-child, th:first-child, td:last-child, th:last-child {{ text-align: left }}
.failed {{ color: #b00020; font-weight: 600 }} .missing {{ color: #777 }}
.partial, .empty {{ color: #8a6d00 }}
code {{ overflow-wrap: anywhere }}
</style></head><body>
<h1>{title}</h1>
<p>Levels 0 to {level}, depth {depth}, specification {specification}, {dtype}.
Worst and median are error ÷ bound; 1 is the limit. No bound is the share of the numbers, or
of the decisions, that nothing was said about.</p>
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table>
{failures}
</body></html>
"""


def page(report: Mapping[str, Any]) -> str:
    """Return the report as one HTML page that needs no other file.

    Parameters
    ----------
    report : mapping
        The result of :func:`run`, or JSON built from it.

    Returns
    -------
    str
        The page.
    """
    lines = []
    for row in report["operations"]:
        inner = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(row))
        lines.append(f'<tr class="{row["status"]}">{inner}</tr>')
    failed = [row for row in report["operations"] if row["status"] == "failed"]
    said = "".join(f"<li><code>{html.escape(row['message'])}</code></li>" for row in failed)
    plain = {k: html.escape(str(v)) for k, v in report.items() if k != "operations"}
    return _PAGE.format(
        title=html.escape(f"{report['target']} {report['result']}"),
        head="".join(f"<th>{heading}</th>" for heading in HEADINGS),
        body="\n".join(lines),
        failures=f"<h2>Failures</h2><ul>{said}</ul>" if said else "",
        **{key: plain[key] for key in ("level", "depth", "specification", "dtype")},
    )
