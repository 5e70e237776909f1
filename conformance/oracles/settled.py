"""Whole layers against a second reading
=====================================

Where a port and a second reading of a method differ, the reading itself shows whether its
answer was decided: weights and Hessian are moved by a few roundings, several times, and
another of equally good candidates is chosen. Where the answer jumps, it was not decided, and
hypothesis counts the example as :data:`UNDECIDED`; everywhere else the port is wrong.
"""

from collections.abc import Callable

import numpy as np
from hypothesis import event, reject

from subbit.conformance import compare
from subbit.conformance.cases.judge import host
from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.inputs.moved import TRIES, answer_moved
from subbit.conformance.oracles.choices import last_of_ties

UNDECIDED = "left to rounding"

Reading = Callable[[Array, Array], Array]


def same_layer(
    actual: Array,
    expected: Array,
    W: Array,
    H: Array,
    agreement: float,
    *,
    reading: Reading,
    rows: Mask | None = None,
) -> bool:
    """Tell whether a layer is correct.

    Parameters
    ----------
    actual, expected : ndarray of float64, shape (n, m)
        Decoded values of the port's answer, and the expected ones.
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    agreement : float
        Share of the largest weight that the two may differ by.
    reading : callable
        ``reading(W, H)`` is the decoded layer of a reading other than the port's: a port's own
        answer may jump for reasons of its own.
    rows : ndarray of bool, shape (n,), optional
        The rows to compare; all by default.

    Returns
    -------
    bool
        False if they differ and the reading decides everything. If it does not, hypothesis
        leaves the example out, under the event :data:`UNDECIDED`.

    Examples
    --------
    >>> W, H = np.ones((1, 2)), np.eye(2)
    >>> same_layer(W, W, W, H, 1e-9, reading=lambda W, _: W)
    True
    >>> same_layer(0 * W, W, W, H, 1e-9, reading=lambda W, _: W)
    False
    """
    some = np.ones(len(W), dtype=np.bool_) if rows is None else rows
    allowed = agreement * np.abs(W).max()
    if compare.bound(host(actual)[some], host(expected)[some], allowed) <= 1:
        return True
    first = reading(W, H)[some]
    for seed in range(TRIES):
        if compare.bound(answer_moved(reading, W, H, seed)[some], first, allowed) > 1:
            _undecided()
    with last_of_ties():
        if compare.bound(reading(W, H)[some], first, allowed) > 1:
            _undecided()
    return False


def _undecided() -> None:
    event(UNDECIDED)
    reject()
