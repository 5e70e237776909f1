"""Judging one case
================

A judge collects the comparisons of one case by the rules of
:mod:`subbit.conformance.compare`, and keeps the worst of them with a sentence.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from subbit.conformance import compare
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.notation import AnyArray


def host(x: Any) -> AnyArray:  # noqa: ANN401  (whatever a port returns)
    """Return what a port answered as a NumPy array.

    Parameters
    ----------
    x : array_like or array of a device
        The answer.

    Returns
    -------
    ndarray
        The same values.

    Examples
    --------
    >>> host([1.0, 2.0])
    array([1., 2.])
    """
    return np.asarray(x.get() if hasattr(x, "get") else x)


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Parameters
    ----------
    operation : str
        The operation.
    seed : int
        The case; it can be replayed by both.
    status : {"passed", "failed", "missing"}
        Missing is an operation that the port doesn't implement.
    ratio : float
        Largest error ÷ bound.
    message : str
        What was drawn and, unless it passed, what was expected and found.
    compared, unbounded : int
        Numbers that were compared, and numbers that have no bound.
    """

    operation: str
    seed: int
    status: str
    ratio: float = 0.0
    message: str = ""
    compared: int = 0
    unbounded: int = 0

    @property
    def replay(self) -> str:
        """What ``subbit check --replay`` takes."""
        return f"{self.operation}:{self.seed}"


class Judge:
    """The comparisons of one case.

    Parameters
    ----------
    arithmetic : Arithmetic
        How the port computes.

    Examples
    --------
    >>> judge = Judge(Arithmetic())
    >>> judge.exact("codes", [1, 2], [1, 3])
    >>> judge.ratio, judge.sentence
    (inf, 'codes: expected 3, found 2 at (1,)')
    """

    def __init__(self, arithmetic: Arithmetic) -> None:
        self.arithmetic = arithmetic
        self.ratio = 0.0
        self.sentence = ""
        self.compared = 0
        self.unbounded = 0

    def _note(self, ratio: float, sentence: str, count: int = 1) -> None:
        self.compared += count
        if ratio > self.ratio or math.isnan(ratio):
            self.ratio = math.inf if math.isnan(ratio) else ratio
            self.sentence = sentence

    def take(self, other: "Judge") -> None:
        """Take over what another judge has found.

        Parameters
        ----------
        other : Judge
            Who collected.
        """
        self._note(other.ratio, other.sentence, other.compared)
        self.unbounded += other.unbounded

    def fail(self, sentence: str) -> None:
        """Note something that cannot be right.

        Parameters
        ----------
        sentence : str
            What.
        """
        self._note(math.inf, sentence)

    def true(self, what: str, fact: object) -> None:
        """Note whether something holds that has to.

        Parameters
        ----------
        what : str
            What has to hold.
        fact : object
            Whether it does.
        """
        self._note(0.0 if fact else math.inf, f"not so: {what}")

    def exact(self, what: str, actual: Any, expected: npt.ArrayLike) -> None:  # noqa: ANN401
        """Compare bit for bit.

        Parameters
        ----------
        what : str
            What is compared.
        actual, expected : array_like
            The port's answer and the right one.
        """
        found, wanted = host(actual), np.asarray(expected)
        ratio = compare.exact(found, wanted)
        differs = found != wanted if found.shape == wanted.shape else None
        self._note(ratio, _sentence(what, found, wanted, differs), wanted.size)

    def bound(self, what: str, actual: Any, expected: Rounded) -> None:  # noqa: ANN401
        """Compare continuous values with their bound.

        Parameters
        ----------
        what : str
            What is compared.
        actual : array_like
            The port's answer.
        expected : Rounded
            The reference's, with the bound.
        """
        found = host(actual)
        if found.shape != expected.shape:
            self._note(math.inf, _sentence(what, found, expected.value, None))
            return
        judged = self._judged(expected)
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs(found.astype(np.float64) - expected.value)
        ratio = compare.bound(found[judged], expected.value[judged], expected.error[judged])
        relative = _ratios(error, expected.error, judged)
        worst = relative == relative.max(initial=0.0)
        self._note(ratio, _sentence(what, found, expected.value, worst), int(judged.sum()))

    def _judged(self, expected: Rounded) -> npt.NDArray[np.bool_]:
        judged = np.asarray(np.isfinite(expected.error) & np.isfinite(expected.value))
        self.unbounded += int(judged.size - np.count_nonzero(judged))
        return judged

    def within(self, what: str, margin: Rounded) -> None:
        """Compare a residual, or the margin of a decision that was taken, with its bound.

        Parameters
        ----------
        what : str
            What is compared.
        margin : Rounded
            What was found, and what may be.
        """
        finite = np.isfinite(margin.error)
        self.unbounded += int(finite.size - np.count_nonzero(finite))
        ratios = _ratios(np.abs(margin.value), margin.error, finite)
        ratio = float(ratios.max(initial=0.0))
        self._note(ratio, f"{what}: {ratio:.3g} times what rounding explains", int(finite.sum()))

    def decision(
        self,
        what: str,
        actual: Any,  # noqa: ANN401
        expected: npt.ArrayLike,
        margin: Rounded,
    ) -> None:
        """Compare signs, masks or codes; they may differ within their margin only.

        Parameters
        ----------
        what : str
            What is compared.
        actual, expected : array_like
            The port's decisions and the right ones.
        margin : Rounded
            How far each lies from its tie, and how far rounding can carry it. Where that is
            not at all, the tie rule holds.
        """
        found, wanted = host(actual), np.asarray(expected)
        if found.shape != wanted.shape:
            self._note(math.inf, _sentence(what, found, wanted, None))
            return
        differs = found != wanted
        finite = np.isfinite(margin.error)
        self.unbounded += int(finite.size - np.count_nonzero(finite))
        ratios = _ratios(np.abs(margin.value), margin.error, finite)
        ratios = np.where((margin.error == 0.0) & finite, np.inf, ratios)
        ratios = np.where(differs, np.broadcast_to(ratios, differs.shape), 0.0)
        worst = ratios == ratios.max(initial=0.0)
        self._note(
            float(ratios.max(initial=0.0)), _sentence(what, found, wanted, worst), int(finite.sum())
        )

    def objective(self, what: str, reached: float, best: float, allowed: float) -> None:
        """Compare what a choice reaches with the best, within a slack.

        Parameters
        ----------
        what : str
            What is compared.
        reached, best : float
            The objective of the port's choice, and the reference's.
        allowed : float
            The slack.
        """
        ratio = compare.objective(reached, best, allowed)
        self._note(
            ratio, f"{what}: expected at most {best:.9g} + {allowed:.3g}, found {reached:.9g}"
        )


def _ratios(
    value: AnyArray, error: AnyArray, judged: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    ratios = np.where(value > 0.0, np.inf, 0.0)
    np.divide(value, error, out=ratios, where=judged & (error > 0.0))
    ratios[np.isnan(value)] = np.inf
    return np.where(judged, ratios, 0.0)


def _sentence(what: str, found: AnyArray, wanted: AnyArray, worst: AnyArray | None) -> str:
    if worst is None:
        return f"{what}: expected shape {wanted.shape}, found {found.shape}"
    if worst.size == 0:
        return f"{what}: nothing"
    place = np.unravel_index(int(np.argmax(worst)), worst.shape) if worst.ndim else ()
    where = tuple(int(i) for i in place)
    at = f" at {where}" if where else ""
    return f"{what}: expected {wanted[place]!s}, found {found[place]!s}{at}"
