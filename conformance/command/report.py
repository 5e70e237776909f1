"""Reports of a check
==================

The cases of all operations, judged, and the report that is made of them. JSON comes first, as
``schemas/check.json`` describes it; tables, pages and badges are made from that.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

from subbit import reference
from subbit.conformance.cases import Outcome
from subbit.conformance.cases.registry import Operation, of_level
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.exceptions import STALE, Exceptions
from subbit.conformance.programs.worker import About, Allowance

from . import about
from .console import INTERRUPTED
from .rows import FAILED, PASSED, STATUSES, Row, rows_of
from .verdicts import WORDS, code_of, verdicts_of
from .workers import Judged, Workers

_KINDS = ("missing", "declared", "skipped", "expected", "left_out")


@dataclass(frozen=True)
class Request:
    """What to check.

    Parameters
    ----------
    target : str
        The port's name.
    level : int
        The highest level.
    depth : {"quick", "ci", "long"}
        Number of cases per operation.
    jobs : int, default 1
        Number of processes. Each imports the port, and compiles what the port compiles.
    allowance : Allowance
        What each case may take.
    exceptions : Exceptions
        Known exceptions.
    """

    target: str
    level: int
    depth: str
    jobs: int = 1
    allowance: Allowance = field(default_factory=Allowance)
    exceptions: Exceptions = field(default_factory=Exceptions)


class Listener:
    """Hears of the progress of a check; this one ignores it."""

    def planned(self, operations: int, cases: int, jobs: int) -> None:
        """Hear of the plan, once.

        Parameters
        ----------
        operations, cases, jobs : int
            Numbers of operations, of cases and of processes.
        """

    def heard(self, outcome: Outcome) -> None:
        """Hear of a case.

        Parameters
        ----------
        outcome : Outcome
            Its outcome.
        """


def _cases(item: Operation, depth: str, port: About) -> list[int]:
    if port.cases is not None:
        return sorted(port.cases.get(item.name, []))
    seeds = seeds_of(item, depth)
    if port.lacking.isdisjoint(item.needs):
        return seeds
    # It is said once that a function is missing, for each part.
    return seeds[:1] if item.level else seeds[:2]


def run(request: Request, listener: Listener | None = None) -> dict[str, Any]:
    """Check all operations up to a level.

    Parameters
    ----------
    request : Request
        What to check.
    listener : Listener, optional
        Callbacks for the progress.

    Returns
    -------
    dict
        The report, as ``schemas/check.json`` describes it. Ctrl-C ends a check at once; the
        report is then about the operations that are finished.

    Raises
    ------
    SubbitError
        If the port cannot be imported.
    """
    listener, began, date = listener or Listener(), time.monotonic(), datetime.now(UTC)
    with Workers(request.target, request.jobs, request.allowance, listener.heard) as workers:
        port = workers.about
        items = list(of_level(request.level))
        planned = {item.name: _cases(item, request.depth, port) for item in items}
        items = [item for item in items if planned[item.name]]
        kept = {name: request.exceptions.kept(name, seeds) for name, seeds in planned.items()}
        listener.planned(len(items), sum(map(len, kept.values())), request.jobs)
        judged: dict[str, Judged] = {}
        interrupted = False
        try:
            # The slow ones first, so that all processes end at about the same time.
            for item in reversed(items):
                workers.submit((item.name, kept[item.name]))
            while workers.pending:
                judged |= {one.operation: one for one in workers.results()}
        except KeyboardInterrupt:
            interrupted = True
    finished = [item for item in items if item.name in judged]
    rows = [
        row
        for item in finished
        for row in rows_of(item, planned[item.name], judged[item.name], request.exceptions)
    ]
    entries = _entries(request.exceptions, planned, judged.values())
    known = {"file": request.exceptions.file, "entries": entries}
    outdated = any(entry["state"] in STALE for entry in entries)
    code = INTERRUPTED if interrupted else code_of(rows, outdated=outdated)
    return {
        **_head(request, port, date),
        "seconds": round(time.monotonic() - began, 3),
        "jobs": request.jobs,
        "result": WORDS[code],
        "exit_code": code,
        "verdicts": verdicts_of(rows),
        "planned": len(items),
        "finished": len(finished),
        "counts": counts_of(rows),
        "exceptions": known if request.exceptions.file else None,
        "summary": summary_of(rows),
        "operations": [asdict(row) | {"counts": row.counts.to_json()} for row in rows],
    }


def _head(request: Request, port: About, date: datetime) -> dict[str, Any]:
    return {
        "target": request.target,
        "dtype": port.dtype,
        "stored": dict(port.stored),
        "device": port.device,
        "not_asked": dict(port.not_asked),
        "specification": reference.SPEC_VERSION,
        "level": request.level,
        "depth": request.depth,
        "limits": {"seconds": request.allowance.seconds, "memory_gib": request.allowance.memory},
        "date": date.isoformat(timespec="seconds"),
        "versions": about.versions(port.versions),
        "machine": about.machine(),
        "commits": {
            "subbit": about.commit(str(Path(reference.__file__).resolve())),
            "port": about.commit(port.file),
        },
    }


def _entries(
    exceptions: Exceptions, planned: Mapping[str, list[int]], judged: Iterable[Judged]
) -> list[dict[str, Any]]:
    outcomes = {one.operation: one.outcomes for one in judged}
    return [
        {"kind": e.kind, "cases": e.cases, "reason": e.reason, "state": state, "number": number}
        for e, state, number in exceptions.states(planned, outcomes)
    ]


def counts_of(rows: Iterable[Row]) -> dict[str, int]:
    """Count rows by status, and cases by what became of them.

    Parameters
    ----------
    rows : iterable of Row
        All rows.

    Returns
    -------
    dict of str to int
        Numbers of rows by status, and with ``cases_`` in front numbers of cases.
    """
    found = list(rows)
    by_status = {status: sum(row.status == status for row in found) for status in STATUSES}
    cases = {
        f"cases_{kind}": sum(getattr(row, kind) for row in found)
        for kind in ("passed", "failed", *_KINDS)
    }
    return by_status | cases


def summary_of(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Summarize rows by family and level.

    Parameters
    ----------
    rows : iterable of Row
        All rows.

    Returns
    -------
    list of dict
        Family, level, part, the worst status, numbers of operations and of those that passed,
        and the largest error ÷ bound; the worst first.
    """
    by: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows:
        by.setdefault((row.family.partition(".")[0], row.level, row.part), []).append(row)
    lines = [
        {
            "family": family,
            "level": level,
            "part": part,
            "status": min((row.status for row in own), key=STATUSES.index),
            "operations": len(own),
            "passed": sum(row.status == PASSED for row in own),
            "failed": sum(row.status == FAILED for row in own),
            "worst": _largest(row.worst for row in own),
        }
        for (family, level, part), own in by.items()
    ]
    return sorted(lines, key=badness)


def _largest(ratios: Iterable[float | None]) -> float | None:
    found = list(ratios)
    return None if None in found else max((r for r in found if r is not None), default=0.0)


def badness(row: Mapping[str, Any]) -> tuple[int, float]:
    """Return a key that sorts rows, the worst first.

    Parameters
    ----------
    row : mapping
        A row, or a line of the summary.

    Returns
    -------
    tuple
        Place of the status, and the largest error ÷ bound, negative.
    """
    worst = float("inf") if row["worst"] is None else row["worst"]
    return STATUSES.index(row["status"]), -worst


def replay_of(report: Mapping[str, Any], case: str) -> str:
    """Return the command that repeats a case.

    Parameters
    ----------
    report : mapping
        The report.
    case : str
        OPERATION:SEED.

    Returns
    -------
    str
        The command.
    """
    return f"subbit check {quote(report['target'])} --replay {case}"
