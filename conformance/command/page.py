"""Reports as a page
=================

One HTML file that needs neither the network nor scripts, in the look of the documentation: light
or dark as the reader prefers, and on a phone each row of a table as a list.
"""

import html
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .cited import bounds_of, equations_of
from .report import replay_of
from .tables import (
    HEADINGS,
    SUMMARY_HEADINGS,
    TEXT_HEADINGS,
    cells,
    exception_lines,
    not_asked_lines,
    ratio_words,
    sorted_rows,
    summary_cells,
    verdict_lines,
)

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --raised: #f8f9fb; --ink: #000; --faint: #5a5c63;
  --line: #e5e3e6; --brand: #2757dd; --bad: #b00020; --warn: #7a5c00; --good: #1a7a36 }
@media (prefers-color-scheme: dark) { :root { --paper: #131416; --raised: #1a1c1e; --ink: #cfd0d0;
  --faint: #9ca0a5; --line: #303335; --brand: #5ca5ff; --bad: #ff8f8f; --warn: #e0bd55;
  --good: #6fd08c } }
body { font: 16px/1.5 -apple-system, BlinkMacSystemFont, Segoe UI, Helvetica, Arial, sans-serif,
  Apple Color Emoji, Segoe UI Emoji; color: var(--ink); background: var(--paper);
  margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem }
code { font: .8125em SFMono-Regular, Menlo, Consolas, Monaco, Liberation Mono, monospace;
  overflow-wrap: anywhere; white-space: pre-wrap }
h1 { font-size: 2.25rem; line-height: 1.2; margin: 1rem 0 .5rem; overflow-wrap: anywhere }
h2 { font-size: 1.5rem; margin: 2.5rem 0 .5rem } h3 { font-size: 1.1rem; margin: 1.5rem 0 .5rem }
p { margin: .4rem 0; overflow-wrap: anywhere } .note { color: var(--faint); font-size: .875rem }
.conforms { color: var(--good) } .bad, .failed, .unjudged { color: var(--bad) }
.failed { font-weight: 600 } .missing { color: var(--faint) }
.partial, .excepted, .empty { color: var(--warn) }
.failure { border-left: 2px solid var(--bad); padding: .4rem 0 .4rem .9rem; margin: .8rem 0 }
.failure .ratio { color: var(--bad); font-weight: 600 }
.failure code.replay { display: block; background: var(--raised); padding: .4rem .6rem;
  border-radius: .2rem; margin: .3rem 0; user-select: all }
table { border-collapse: collapse; width: 100%; font-size: .875rem }
td, th { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere }
th { background: var(--raised); overflow-wrap: normal } .text { text-align: left }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem 1rem }
dt { font-weight: 600 } dd { margin: 0; overflow-wrap: anywhere } ul { padding-left: 1.2rem }
@media (max-width: 48rem) {
  thead { display: none }
  tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line) }
  td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0;
    text-align: right }
  td:empty { display: none } td::before { content: attr(data-label); color: var(--faint);
    font-weight: 400; flex: none }
  td:first-child { font-weight: 600 }
  dl { grid-template-columns: minmax(0, 1fr) } dd { margin-bottom: .4rem }
}
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body>
<h1 class="{kind}">{title}</h1>
{verdicts}
{failures}<h2>Summary</h2>
<p class="note">Worst is the largest error ÷ bound; 1 is the limit.</p>
{summary}
{exceptions}<h2>Operations</h2>
<p class="note">Worst and median are error ÷ bound. No bound is the share of the numbers, or of the
decisions, that nothing was said about.</p>
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
        + "".join(
            f'<td{c} data-label="{h}">{html.escape(v)}</td>'
            for c, h, v in zip(classes, headings, values, strict=True)
        )
        + "</tr>"
        for row, values in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _failures(report: Mapping[str, Any]) -> Iterator[str]:
    for row in sorted_rows(report):
        if not row["failures"]:
            continue
        name = row["operation"]
        yield f"<h3><code>{html.escape(name)}</code>, {row['part']}: {row['failed']} failed</h3>"
        for kind, lines in (("computes", equations_of(name)), ("bound", bounds_of(name))):
            yield from (f'<p class="note">{kind} {html.escape(line)}</p>' for line in lines)
        yield from (_failure(report, failure) for failure in row["failures"])
        if row["failed"] > len(row["failures"]):
            yield f'<p class="note">and {row["failed"] - len(row["failures"])} more</p>'


def _failure(report: Mapping[str, Any], failure: Mapping[str, Any]) -> str:
    call = html.escape(replay_of(report, failure["replay"]))
    return (
        f'<div class="failure"><p class="ratio">error ÷ bound {ratio_words(failure["ratio"])}</p>'
        f'<code class="replay">{call}</code><code>{html.escape(failure["message"])}</code></div>'
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
        style=_STYLE,
        title=html.escape(f"{report['target']} {report['result']}"),
        kind="conforms" if report["exit_code"] == 0 else "bad",
        verdicts="".join(f"<p>{html.escape(line)}</p>" for line in verdict_lines(report)),
        failures=f"<h2>Failures</h2>\n{failures}\n" if failures else "",
        summary=_rows(SUMMARY_HEADINGS, [(r, summary_cells(r)) for r in report["summary"]]),
        exceptions=_list("Known exceptions", exception_lines(report))
        + _list("Not asked", not_asked_lines(report)),
        operations=_rows(HEADINGS, operations),
        about="\n".join(
            f"<dt>{key}</dt><dd>{html.escape(value)}</dd>" for key, value in _about(report)
        ),
    )
