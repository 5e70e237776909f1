"""Verdicts and exit codes
=======================

A report has three verdicts, for signatures, for refusals of bad input and for numbers, and
one result with its exit code. If several apply, the first in this table does.

==== =========================== ========================================================
code result                      meaning
==== =========================== ========================================================
1    ``diverges``                a number, decision or signature is wrong, or a process ended
3    ``refusals missing``        signatures and numbers conform as far as they were compared;
                                 bad input is not refused, or not by naming the argument
5    ``exceptions outdated``     an expected failure passes, or an entry names no case
2    ``incomplete``              something is not implemented, or nothing was compared
4    ``conforms with exceptions`` all else conforms, and something was set aside: outside of
                                 the port's declaration, skipped, or failed as expected
0    ``conforms``                everything was compared and conforms
==== =========================== ========================================================

A run that was stopped with Ctrl-C is ``interrupted``, code 130.
"""

from collections.abc import Iterable, Mapping

from .console import INTERRUPTED
from .rows import EMPTY, EXCEPTED, FAILED, MISSING, PARTIAL, PARTS, PASSED, REFUSALS, UNJUDGED, Row

CONFORMS, DIVERGES, INCOMPLETE, REFUSES_LITTLE, WITH_EXCEPTIONS, OUTDATED = range(6)
WORDS: Mapping[int, str] = {
    CONFORMS: "conforms",
    DIVERGES: "diverges",
    INCOMPLETE: "incomplete",
    REFUSES_LITTLE: "refusals missing",
    WITH_EXCEPTIONS: "conforms with exceptions",
    OUTDATED: "exceptions outdated",
    INTERRUPTED: "interrupted",
}
NOT_COMPARED, NO_REFUSALS = "not compared", "missing"
_CODES: Mapping[str, int] = {
    PASSED: CONFORMS,
    EXCEPTED: WITH_EXCEPTIONS,
    PARTIAL: INCOMPLETE,
    MISSING: INCOMPLETE,
    EMPTY: INCOMPLETE,
    UNJUDGED: INCOMPLETE,
    FAILED: DIVERGES,
}
_WORST_FIRST = (DIVERGES, REFUSES_LITTLE, OUTDATED, INCOMPLETE, WITH_EXCEPTIONS, CONFORMS)


def _worst(codes: Iterable[int]) -> int:
    return min(codes, key=_WORST_FIRST.index)


def code_of(rows: Iterable[Row], *, outdated: bool = False) -> int:
    """Return the exit code.

    Parameters
    ----------
    rows : iterable of Row
        All rows.
    outdated : bool, default False
        Whether known exceptions are out of date.

    Returns
    -------
    int
        0 to 5, as in the table above.
    """
    found = {
        REFUSES_LITTLE if (row.status, row.part) == (FAILED, REFUSALS) else _CODES[row.status]
        for row in rows
    }
    # Nothing that could be compared is nothing that conforms.
    return _worst((found or {INCOMPLETE}) | ({OUTDATED} if outdated else set()))


def verdicts_of(rows: Iterable[Row]) -> dict[str, str]:
    """Return the verdict of each part.

    Parameters
    ----------
    rows : iterable of Row
        All rows.

    Returns
    -------
    dict of str to str
        For signatures, refusals and numbers: conforms, diverges (refusals: missing),
        incomplete, conforms with exceptions, or not compared.
    """
    found: dict[str, set[int]] = {part: set() for part in PARTS}
    for row in rows:
        found[row.part].add(_CODES[row.status])
    words = {part: WORDS[_worst(own)] if own else NOT_COMPARED for part, own in found.items()}
    if DIVERGES in found[REFUSALS]:
        words[REFUSALS] = NO_REFUSALS
    return words
