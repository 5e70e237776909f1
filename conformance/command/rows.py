"""Rows of a report
================

The outcomes of an operation in one row. Level 0 has two: the signature, and the refusals of
bad input, which are verdicts of their own: whether the numbers of a port are right does not
depend on what it refuses.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from subbit.conformance.cases import Outcome
from subbit.conformance.cases.counts import Counts
from subbit.conformance.cases.registry import Operation
from subbit.conformance.exceptions import EXPECT, SKIP, Exceptions
from subbit.conformance.protocol import PROTOCOL

from .workers import Judged, said_of

SIGNATURES, REFUSALS, NUMBERS = "signatures", "refusals", "numbers"
PARTS = (SIGNATURES, REFUSALS, NUMBERS)
MOST_FAILURES = 5
"""Failing cases that a row shows."""
FAILED, UNJUDGED, EMPTY, MISSING, PARTIAL, EXCEPTED, PASSED = STATUSES = (
    "failed",
    "unjudged",
    "empty",
    "missing",
    "partial",
    "excepted",
    "passed",
)
"""From worst to best."""

ASIDE: Mapping[str, str] = {
    "declared": "not compared (declared)",
    "skipped": "skipped",
    "expected": "failed as expected",
    "left_out": "left out, since the process ended before",
}
"""Cases that were set aside, in words."""


@dataclass(frozen=True)
class Row:
    """One part of one operation.

    Parameters
    ----------
    operation, family, part : str
        Its name, the module that specifies it, and what is judged.
    level : int
        0 to 3.
    status : str
        One of :data:`STATUSES`: a case failed; none was run, since the process ended before;
        no number was compared in any; the port implements none of the cases, or only some; some
        were set aside by its declaration or by known exceptions; all passed.
    cases, passed, failed : int
        Numbers of cases that were run, passed, and failed unexpectedly; a case in which no
        number was compared has not passed.
    missing, declared, skipped, expected, left_out : int
        Numbers of cases that are not implemented, are outside of the port's declaration, were
        skipped, failed as expected, and were not run since the process ended before.
    worst, median : float or None
        Error ÷ bound of the cases that were compared; None is infinity.
    counts : Counts
        What all cases compared.
    replay, message : str
        The worst case, for ``--replay``; what is wrong, empty if all passed.
    failures : list of dict
        The first failing cases, each with ``replay``, ``ratio`` and ``message``.
    """

    operation: str
    family: str
    part: str
    level: int
    status: str
    cases: int
    passed: int
    failed: int
    missing: int
    declared: int
    skipped: int
    expected: int
    left_out: int
    worst: float | None
    median: float | None
    counts: Counts
    replay: str
    message: str
    failures: list[dict[str, Any]] = field(default_factory=list)


def _number(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None


def _parts(item: Operation, seeds: Iterable[int]) -> dict[str, list[int]]:
    """Return the cases of each part of an operation."""
    if item.level:
        return {NUMBERS: list(seeds)}
    parts: dict[str, list[int]] = {SIGNATURES: [], REFUSALS: []}
    for seed in seeds:
        # The first case of an interface is its signature, see cases/names.py.
        parts[REFUSALS if seed else SIGNATURES].append(seed)
    return {part: own for part, own in parts.items() if own}


def rows_of(
    item: Operation, planned: Sequence[int], judged: Judged, exceptions: Exceptions
) -> list[Row]:
    """Summarize the cases of an operation.

    Parameters
    ----------
    item : Operation
        The operation.
    planned : sequence of int
        Its cases, skipped ones included.
    judged : Judged
        Outcomes of those that were run.
    exceptions : Exceptions
        Known exceptions.

    Returns
    -------
    list of Row
        One for each part.
    """
    parts = _parts(item, planned)
    return [_row(item, part, set(seeds), judged, exceptions) for part, seeds in parts.items()]


def _row(
    item: Operation, part: str, seeds: set[int], judged: Judged, exceptions: Exceptions
) -> Row:
    outcomes = [one for one in judged.outcomes if one.seed in seeds]
    by = {
        status: [one for one in outcomes if one.status == status]
        for status in ("passed", "failed", "empty", "missing", "declared")
    }
    known = [one for one in by["failed"] if exceptions.find(EXPECT, item.name, one.seed)]
    failed = [one for one in by["failed"] if one not in known]
    skipped = seeds.difference(judged.seeds)
    compared = [one for one in outcomes if one.status in {"passed", "failed", "empty"}]
    counts = {
        "missing": len(by["missing"]),
        "declared": len(by["declared"]),
        "skipped": len(skipped),
        "expected": len(known),
        "left_out": len(seeds.intersection(judged.left_out)),
    }
    reasons = {
        "skipped": exceptions.reasons(SKIP, item.name, skipped),
        "expected": exceptions.reasons(EXPECT, item.name, [one.seed for one in known]),
    }
    # What ended the process explains why others are left out, so it comes first.
    last = judged.outcomes[-1:] if judged.ended else []
    failed.sort(key=lambda one: one not in last)
    # Of cases that are equally far from their bounds, one that compared something.
    worst = max(
        failed or compared or outcomes,
        key=lambda one: (one.ratio, one in last, one.status != "empty"),
        default=None,
    )
    status = _status(by["passed"] + known, compared, failed, counts)
    return Row(
        item.name,
        PROTOCOL[item.needs[0]].family,
        part,
        item.level,
        status,
        len(compared),
        len(by["passed"]),
        len(failed),
        **counts,
        worst=_number(max((one.ratio for one in compared), default=0.0)),
        median=_number(statistics.median([one.ratio for one in compared] or [0.0])),
        counts=sum((one.counts for one in outcomes), Counts()),
        replay=worst.replay if worst else f"{item.name}:{min(seeds)}",
        message=said_of(judged, worst)
        if status == FAILED and worst
        else _message(status, by["missing"], counts, reasons, len(compared)),
        failures=[_failure(one, judged) for one in failed[:MOST_FAILURES]],
    )


def _status(
    judged: list[Outcome], compared: list[Outcome], failed: list[Outcome], counts: dict[str, int]
) -> str:
    if failed:
        return FAILED
    if counts["left_out"] and not compared:
        return UNJUDGED
    if counts["missing"]:
        return PARTIAL if judged else MISSING
    if compared and not judged:
        return EMPTY
    set_aside = counts["declared"] + counts["skipped"] + counts["expected"] + counts["left_out"]
    return EXCEPTED if set_aside else PASSED


def _failure(one: Outcome, judged: Judged) -> dict[str, Any]:
    return {
        "replay": one.replay,
        "ratio": _number(one.ratio),
        "message": said_of(judged, one),
    }


def _message(
    status: str,
    lacking: list[Outcome],
    counts: dict[str, int],
    reasons: Mapping[str, str],
    compared: int,
) -> str:
    if status == PASSED:
        return ""
    if status == MISSING:
        return lacking[0].message
    if status == EMPTY:
        return f"no number was compared in {compared} cases"
    said = [lacking[0].message] if lacking else []
    said += [
        f"{counts[key]} {words}{reasons.get(key, '')}"
        for key, words in ASIDE.items()
        if counts[key]
    ]
    total = compared + sum(counts.values()) - counts["expected"]
    return f"{compared} of {total} cases compared, " + ", ".join(said)
