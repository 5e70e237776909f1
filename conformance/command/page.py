"""Reports as a page
=================

One HTML file that needs neither the network nor scripts.
"""

import html
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .report import replay_of
from .tables import (
    HEADINGS,
    SUMMARY_HEADINGS,
    TEXT_HEADINGS,
    cells,
    exception_lines,
    not_asked_lines,
    sorted_rows,
    summary_cells,
    verdict_lines,
)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd }}
.text {{ text-align: left }}
.failed {{ color: #b00020; font-weight: 600 }} .missing {{ color: #777 }}
.unjudged {{ color: #b00020 }} .partial, .excepted, .empty {{ color: #8a6d00 }}
code {{ overflow-wrap: anywhere; white-space: pre-wrap }}
dt {{ font-weight: 600; float: left; clear: left; margin-right: .5rem }} dd {{ margin-left: 0 }}
</style></head><body>
<h1>{title}</h1>
{verdicts}
<h2>Summary</h2>
<p>Worst is the largest error ÷ bound; 1 is the limit.</p>
{summary}
{exceptions}{failures}<h2>Operations</h2>
<p>Worst and median are error ÷ bound. No bound is the share of the numbers, or of the decisions,
that nothing was said about.</p>
{operations}
<h2>This run</h2>
<dl>
{about}
</dl>
</body></html>
"""


def _rows(
    headings: tuple[str, ...], lines: Iterable[tuple[Mapping[str, Any], tuple[str, ...]]]
) -> str:
    classes = [' class="text"' if heading in TEXT_HEADINGS else "" for heading in headings]
    head = "".join(f"<th{c}>{h}</th>" for c, h in zip(classes, headings, strict=True))
    body = "\n".join(
        f'<tr class="{row["status"]}">'
        + "".join(f"<td{c}>{html.escape(v)}</td>" for c, v in zip(classes, values, strict=True))
        + "</tr>"
        for row, values in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _failures(report: Mapping[str, Any]) -> Iterator[str]:
    for row in sorted_rows(report):
        if not row["failures"]:
            continue
        shown = len(row["failures"])
        yield f"<h3>{html.escape(row['operation'])}, {row['part']}: {row['failed']} failed</h3><ul>"
        for failure in row["failures"]:
            call = html.escape(replay_of(report, failure["replay"]))
            yield f"<li><code>{call}</code><br><code>{html.escape(failure['message'])}</code></li>"
        yield (
            f"<li>and {row['failed'] - shown} more</li></ul>" if row["failed"] > shown else "</ul>"
        )


def _list(title: str, lines: Iterable[str]) -> str:
    said = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{said}</ul>\n" if said else ""


def _about(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    stored = "".join(f", {kind} stored in {dtype}" for kind, dtype in report["stored"].items())
    limits = report["limits"]
    yield "target", f"{report['target']}, {report['dtype']}{stored}, {report['device'] or 'host'}"
    yield "cases", f"levels 0 to {report['level']}, depth {report['depth']}"
    yield "date", f"{report['date']}, {report['seconds']:.0f} s in {report['jobs']} processes"
    yield "limits", f"{limits['seconds']:g} s and {limits['memory_gib']:g} GiB for each case"
    for key in ("versions", "machine", "commits"):
        found = {name: value for name, value in report[key].items() if value is not None}
        yield key, ", ".join(f"{name} {value}" for name, value in found.items()) or "unknown"


def page(report: Mapping[str, Any]) -> str:
    """Return the report as one HTML page that needs no other file.

    Parameters
    ----------
    report : mapping
        The report, or JSON built from it.

    Returns
    -------
    str
        The page.
    """
    failures = "\n".join(_failures(report))
    operations = [(row, cells(row)) for row in sorted_rows(report)]
    return _PAGE.format(
        title=html.escape(f"{report['target']} {report['result']}"),
        verdicts="".join(f"<p>{html.escape(line)}</p>" for line in verdict_lines(report)),
        summary=_rows(SUMMARY_HEADINGS, [(r, summary_cells(r)) for r in report["summary"]]),
        exceptions=_list("Known exceptions", exception_lines(report))
        + _list("Not asked", not_asked_lines(report)),
        failures=f"<h2>Failures</h2>\n{failures}\n" if failures else "",
        operations=_rows(HEADINGS, operations),
        about="\n".join(
            f"<dt>{key}</dt><dd>{html.escape(value)}</dd>" for key, value in _about(report)
        ),
    )
