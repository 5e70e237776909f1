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

import numpy as np

from subbit.conformance.inputs.families import Array

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


def residual(values: Array, scale: float) -> Array:
    """Return what a first approximation has left.

    Parameters
    ----------
    values : ndarray of float64
        What is left.
    scale : float
        The largest of the numbers that were approximated.

    Returns
    -------
    ndarray of float64, shape of `values`
        The same; within :func:`last_of_ties`, zeros in place of what is left by rounding alone,
        which is ordered differently by each reading.

    Examples
    --------
    >>> import numpy as np
    >>> with last_of_ties():
    ...     residual(np.array([0.5, 1e-17]), 1.0)
    array([0.5, 0. ])
    """
    return np.where(np.abs(values) <= _SLACK[-1] * scale, 0.0, values)


def apart(sizes: Array) -> Array:
    """Return numbers that are about to be divided by their size.

    Parameters
    ----------
    sizes : ndarray of float64, shape (k,)
        The numbers, none of them negative.

    Returns
    -------
    ndarray of float64, shape (k,)
        The same; within :func:`last_of_ties`, later ones are larger by less than rounding can
        tell, so that equal ones may go to different sides.

    Examples
    --------
    >>> import numpy as np
    >>> with last_of_ties():
    ...     np.diff(apart(np.ones(2))) > 0.0
    array([ True])
    """
    return sizes * (1.0 + _SLACK[-1] * np.arange(len(sizes)) / len(sizes))


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
