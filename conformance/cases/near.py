"""Inputs beside a decision
========================

A random input leaves every decision far from its tie, where even a port that compares in
ten bits decides correctly. So some cases draw their numbers twice and go from the one to the
other: wherever the reference decides differently on the way, the input is taken a little
before and a little after. How little follows from the arithmetic that the port declares, so
that it can decide both inputs, and a port that computes in fewer bits sees no difference
between them.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance import protocol
from subbit.conformance.cases.asked import numbers_in, taken
from subbit.conformance.cases.draw import Blend, Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.places import Place
from subbit.conformance.target import Port
from subbit.reference import Search
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.notation import AnyArray

Examine = Callable[[Port, Judge, Draw], None]
Decisions = tuple[bytes, ...]

GAPS = (5, 7, 9, 11, 13)
"""Distances between the two inputs, as powers of two of roundings. The first at which the
case tells a wrong decision is taken."""
WIDEST = 2.0**-4
ATTEMPTS = 6
"""Times that both ends are drawn before a case counts as one without a decision."""
FINER = 4.0
"""How much more closely than the least gap the place of a decision is found."""
CLOSE = 2.0**-8
"""Share of the largest number by which the two inputs may differ."""


class _EnoughError(Exception):
    """The last call of a case has been recorded."""


@dataclass
class _Call:
    """What a case asked the reference, and what it decided."""

    given: list[AnyArray]
    answer: Any
    decided: Decisions


class _Recorder:
    """The reference, which keeps what it is asked and what it decides."""

    def __init__(self, most: float = math.inf) -> None:
        self.calls: list[_Call] = []
        self._most = most

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the reference has)
        value = getattr(reference, name)
        if name not in protocol.PROTOCOL or name in protocol.CLASSES:
            return value

        def record(*places: Any, **names: Any) -> Any:  # noqa: ANN401
            answer = taken(value(*places, **names))
            given = list(numbers_in([*places, *names.values()]))
            self.calls.append(_Call(given, answer, tuple(_decided(answer))))
            if len(self.calls) >= self._most:
                raise _EnoughError
            return _handed(answer)

        return record


class _Replayed:
    """A port that gives the answers it was asked for elsewhere."""

    def __init__(self, calls: list[_Call]) -> None:
        self._left = iter(calls)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name not in protocol.PROTOCOL or name in protocol.CLASSES:
            return getattr(reference, name)
        return lambda *_places, **_names: _handed(next(self._left).answer)


class _Deciding(Judge):
    """A judge of decisions alone: other numbers differ between two inputs."""

    def bound(self, what: str, actual: Any, expected: Rounded) -> None:  # noqa: ANN401
        """Leave numbers out."""

    def within(self, what: str, residual: Rounded) -> None:
        """Leave residuals out."""


def _handed(answer: Any) -> Any:  # noqa: ANN401
    return iter(answer) if isinstance(answer, list) else answer


def _decided(answer: Any) -> Iterator[bytes]:  # noqa: ANN401
    if isinstance(answer, Search):
        yield bytes(str(answer.best), "ascii")
    if isinstance(answer, tuple) and all(isinstance(x, str) for x in answer):
        yield bytes(" ".join(answer), "ascii")
    for x in numbers_in(answer):
        # A single number may be a count, such as a share in percent.
        if x.dtype.kind in "iub" or x.ndim == 0:
            yield x.tobytes()


def _close(x: AnyArray, y: AnyArray) -> bool:
    if x.dtype == np.int8:
        # Signs that a group brings follow from its weights.
        return x.shape == y.shape
    if x.shape != y.shape or x.dtype.kind != "f":
        return np.array_equal(x, y)
    return bool(np.all(np.abs(x - y) <= CLOSE * np.abs(x).max(initial=0.0)))


@dataclass(frozen=True)
class _Way:
    """The way between both ends of a case."""

    examine: Examine
    arithmetic: Arithmetic
    seed: int
    attempt: int

    def draw(self, share: float) -> Draw:
        """Return the draws of a place on the way."""
        return Draw(self.seed, Blend(share, self.attempt, self.arithmetic.dtype))

    def calls(self, share: float, most: float = math.inf) -> list[_Call]:
        """Return what a case asks at a place; nothing where it cannot be computed."""
        recorder = _Recorder(most)
        try:
            self.examine(recorder, Judge(self.arithmetic), self.draw(share))
        except _EnoughError:
            pass
        except Exception:  # noqa: BLE001  (the case says so where it is judged)
            return []
        return recorder.calls

    def place(self) -> Place | None:
        """Return a place beside a decision that the case tells; None if there is none."""
        least = self._gap(GAPS[0])
        low, high = self._gap(GAPS[-1]), 1.0 - self._gap(GAPS[-1])
        start = self.calls(low)
        first, most = _decisions(start), len(start)
        if not start or _decisions(self.calls(high, most)) == first:
            return None
        while high - low > least / FINER:
            middle = (low + high) / 2
            if _decisions(self.calls(middle, most)) == first:
                low = middle
            else:
                high = middle
        for power in GAPS:
            aside = self._gap(power) / 2
            place = Place(self.attempt, low - aside, high + aside, most)
            if self.tells(place):
                return place
        return None

    def _gap(self, power: int) -> float:
        return min(WIDEST, self.arithmetic.unit_roundoff * 2.0**power)

    def tells(self, place: Place) -> bool:
        """Tell whether the case rejects the decisions of each side of a place at the other."""
        before, after = place.before, place.after
        one, other = self.calls(before, place.calls), self.calls(after, place.calls)
        given = [[x for call in calls for x in call.given] for calls in (one, other)]
        if len(one) != len(other) or len(given[0]) != len(given[1]):
            return False
        if _decisions(one) == _decisions(other) or not all(map(_close, *given)):
            return False
        return self._rejects(before, other) and self._rejects(after, one)

    def _rejects(self, share: float, calls: list[_Call]) -> bool:
        judge = _Deciding(self.arithmetic)
        try:
            self.examine(_Replayed(calls), judge, self.draw(share))
        except Exception:  # noqa: BLE001  (whatever a wrong answer leads to)
            return False
        return judge.ratio > 1.0


def _decisions(calls: list[_Call]) -> Decisions:
    return tuple(part for call in calls for part in call.decided)


def find_place(examine: Examine, arithmetic: Arithmetic, seed: int) -> Place | None:
    """Search for an input beside a decision.

    Parameters
    ----------
    examine : callable
        ``examine(port, judge, draw)`` judges a case.
    arithmetic : Arithmetic
        How the port computes.
    seed : int
        The case, from :data:`~subbit.conformance.cases.draw.NEAR` on.

    Returns
    -------
    Place or None
        Where the decision is; None if none is found.

    Examples
    --------
    >>> from subbit.conformance.cases.draw import NEAR
    >>> def examine(port, judge, draw):
    ...     x = draw.weights()
    ...     judge.exact("signs", port.sign(x), np.where(x < 0, -1, 1))
    >>> find_place(examine, Arithmetic(), NEAR).calls
    1
    """
    ways = (_Way(examine, arithmetic, seed, attempt) for attempt in range(ATTEMPTS))
    return next((place for way in ways if (place := way.place())), None)


def draws_beside(
    examine: Examine, arithmetic: Arithmetic, seed: int, known: Place | None = None
) -> list[Draw]:
    """Return the draws on both sides of a decision, or one if none is found.

    Parameters
    ----------
    examine : callable
        ``examine(port, judge, draw)`` judges a case.
    arithmetic : Arithmetic
        How the port computes.
    seed : int
        The case, from :data:`~subbit.conformance.cases.draw.NEAR` on.
    known : Place, optional
        Where the decision was when it was last searched for.

    Returns
    -------
    list of Draw
        Fresh draws.

    Examples
    --------
    >>> from subbit.conformance.cases.draw import NEAR
    >>> def examine(port, judge, draw):
    ...     x = draw.weights()
    ...     judge.exact("signs", port.sign(x), np.where(x < 0, -1, 1))
    >>> len(draws_beside(examine, Arithmetic(), NEAR))
    2
    """
    holds = known and _Way(examine, arithmetic, seed, known.attempt).tells(known)
    place = known if holds else find_place(examine, arithmetic, seed)
    if place is not None:
        way = _Way(examine, arithmetic, seed, place.attempt)
        return [way.draw(place.before), way.draw(place.after)]
    return undecided(seed)


def undecided(seed: int) -> list[Draw]:
    """Return the draws of a case without a decision.

    Parameters
    ----------
    seed : int
        The case.

    Returns
    -------
    list of Draw
        One, which says so.

    Examples
    --------
    >>> undecided(3)[0].label
    'between no decision found'
    """
    draw = Draw(seed)
    draw.said["between"] = "no decision found"
    return [draw]
