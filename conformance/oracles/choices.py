"""Choices of a second reading
===========================

A second reading chooses among candidates by their errors. Two candidates can be equally good
for a reason that no move of the weights changes: a second order represents any two entries
exactly, however they were separated. Rounding then decides, in each reading differently.
:func:`last_of_ties` shows such choices: within it, the last of the best candidates is taken
instead of the first.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

TIE = 2.0**-44
"""Share of the energy by which the errors of equally good candidates may differ."""

_SLACK = [0.0]


def least(errors: Sequence[float], energy: float) -> int:
    """Return which candidate is the best.

    Parameters
    ----------
    errors : sequence of float
        Error of each candidate.
    energy : float
        Error of representing everything by zero, in the same units.

    Returns
    -------
    int
        Position of the first candidate with the least error; within :func:`last_of_ties`, of
        the last candidate that rounding cannot tell from it.

    Examples
    --------
    >>> errors = [1.0, 0.0, 1e-16]
    >>> least(errors, 1.0)
    1
    >>> with last_of_ties():
    ...     least(errors, 1.0)
    2
    """
    limit = min(errors) + _SLACK[-1] * energy
    best = [number for number, error in enumerate(errors) if error <= limit]
    return best[-1] if _SLACK[-1] else best[0]


@contextmanager
def last_of_ties() -> Iterator[None]:
    """Take the last of the best candidates.

    Yields
    ------
    None
        Nothing.

    Examples
    --------
    >>> with last_of_ties():
    ...     least([0.0, 0.0], 1.0)
    1
    """
    _SLACK.append(TIE)
    try:
        yield
    finally:
        _SLACK.pop()
