"""Reports in files
================

JSON, a page, JUnit's XML for build servers, and a badge. Where a file cannot be written, that
is said before a check runs, not after.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from subbit.conformance.runs.records import write_atomically

from .console import INTERRUPTED
from .page import page
from .report import replay_of
from .rows import EXCEPTED, FAILED, PASSED
from .tables import STATUS_WORDS
from .verdicts import CONFORMS, DIVERGES, OUTDATED

Report = Mapping[str, Any]
_GOOD, _SOME, _BAD = "#2e7d32", "#b26a00", "#b00020"
_CHARACTER = 6.6
"""Width of a character of the badge, in its pixels."""


def as_json(content: Report) -> str:
    """Return a report as JSON.

    Parameters
    ----------
    content : mapping
        The report.

    Returns
    -------
    str
        The text.
    """
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _plain(text: str) -> str:
    """Return a text without characters that XML cannot hold."""
    return re.sub(
        r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text
    )


def junit(report: Report) -> str:
    """Return a report in JUnit's XML: a suite for each level, a test for each operation.

    Parameters
    ----------
    report : mapping
        The report.

    Returns
    -------
    str
        The document.
    """
    top = ET.Element("testsuites", name=f"subbit check {_plain(report['target'])}")
    rows = report["operations"]
    for level in sorted({row["level"] for row in rows}):
        own = [row for row in rows if row["level"] == level]
        failed = sum(row["status"] == FAILED for row in own)
        skipped = sum(row["status"] not in {FAILED, PASSED} for row in own)
        suite = ET.SubElement(
            top,
            "testsuite",
            name=f"level {level}",
            tests=str(len(own)),
            failures=str(failed),
            errors="0",
            skipped=str(skipped),
            timestamp=report["date"][:19],
        )
        for row in own:
            _case(suite, report, row)
    counts = {key: sum(int(s.get(key, "0")) for s in top) for key in ("tests", "failures")}
    top.attrib |= {key: str(count) for key, count in counts.items()}
    top.set("time", str(report["seconds"]))
    ET.indent(top, " ")
    return ET.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, report: Report, row: Mapping[str, Any]) -> None:
    name = f"{row['operation']} ({row['part']})"
    case = ET.SubElement(suite, "testcase", classname=f"subbit.{row['family']}", name=name)
    if row["status"] == FAILED:
        said = ET.SubElement(case, "failure", message=_plain(row["message"]), type="divergence")
        said.text = "\n".join(
            _plain(f"{replay_of(report, one['replay'])}\n{one['message']}")
            for one in row["failures"]
        )
    elif row["status"] == EXCEPTED:
        ET.SubElement(case, "skipped", message=_plain(row["message"]))
    elif row["status"] != PASSED:
        words = row["message"] or STATUS_WORDS[row["status"]]
        ET.SubElement(case, "skipped", message=_plain(words))


_BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label="{label}: {words}">
<title>{label}: {words}</title>
<rect width="{width}" height="20" rx="3" fill="#444"/>
<rect x="{left}" width="{right}" height="20" rx="3" fill="{color}"/>
<rect x="{left}" width="4" height="20" fill="{color}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{middle_left}" y="14">{label}</text>
<text x="{middle_right}" y="14">{words}</text>
</g></svg>
"""


def words_of(report: Report) -> str:
    """Return the result of a report in a few words.

    Parameters
    ----------
    report : mapping
        The report.

    Returns
    -------
    str
        Result and levels.

    Examples
    --------
    >>> words_of({"result": "conforms", "level": 2})
    'conforms, levels 0-2'
    """
    return f"{report['result']}, levels 0-{report['level']}"


def badge(report: Report, label: str = "subbit") -> str:
    """Return the result of a report as a small picture.

    Parameters
    ----------
    report : mapping
        The report.
    label : str, default "subbit"
        What the picture says on its left.

    Returns
    -------
    str
        SVG.
    """
    code = report["exit_code"]
    bad = {DIVERGES, OUTDATED, INTERRUPTED}
    color = _GOOD if code == CONFORMS else _BAD if code in bad else _SOME
    words = words_of(report)
    left, right = (round(_CHARACTER * len(text) + 12) for text in (label, words))
    return _BADGE.format(
        label=escape(label),
        words=escape(words),
        color=color,
        left=left,
        right=right,
        width=left + right,
        middle_left=left / 2,
        middle_right=left + right / 2,
    )


WRITERS: Mapping[str, Callable[[Report], str]] = {
    "--json": as_json,
    "--html": page,
    "--junit": junit,
    "--badge": badge,
}
"""What each option writes."""


def write_files(report: Report, files: Mapping[str, Path | None]) -> None:
    """Write a report.

    Parameters
    ----------
    report : mapping
        The report.
    files : mapping of str to Path or None
        Files by option.
    """
    for option, file in files.items():
        if file is not None:
            write_atomically(file, WRITERS[option](report).encode("utf-8"))
