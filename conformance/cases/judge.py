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
    """Return a port's answer as a NumPy array.

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
    """Result of one case.

    Parameters
    ----------
    operation : str
        The operation.
    seed : int
        The case; operation and seed together replay it.
    status : {"passed", "failed", "missing"}
        "missing" means that the port does not implement the operation.
    ratio : float
        Largest error ÷ bound.
    message : str
        Drawn values and, unless the case passed, the expected and found ones.
    compared, unbounded : int
        Numbers compared, and numbers without a bound.
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
        """Argument for ``subbit check --replay``."""
        return f"{self.operation}:{self.seed}"


class Judge:
    """Comparisons of one case.

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
        """Add the findings of another judge.

        Parameters
        ----------
        other : Judge
            The other judge.
        """
        self._note(other.ratio, other.sentence, other.compared)
        self.unbounded += other.unbounded

    def fail(self, sentence: str) -> None:
        """Note something that cannot be correct.

        Parameters
        ----------
        sentence : str
            What is wrong.
        """
        self._note(math.inf, sentence)

    def true(self, what: str, fact: object) -> None:
        """Note whether a required condition holds.

        Parameters
        ----------
        what : str
            The condition.
        fact : object
            Whether it holds.
        """
        self._note(0.0 if fact else math.inf, f"expected: {what}")

    def exact(self, what: str, actual: Any, expected: npt.ArrayLike) -> None:  # noqa: ANN401
        """Compare bit for bit.

        Parameters
        ----------
        what : str
            Name of the comparison.
        actual, expected : array_like
            The port's answer and the correct one.
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
            Name of the comparison.
        actual : array_like
            The port's answer.
        expected : Rounded
            The reference's answer, with its bound.
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
        """Compare a residual, or the margin of a decision, with its bound.

        Parameters
        ----------
        what : str
            Name of the comparison.
        margin : Rounded
            The value found, and the largest allowed.
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
        """Compare signs, masks or codes, which may differ only within their margin.

        Parameters
        ----------
        what : str
            Name of the comparison.
        actual, expected : array_like
            The port's decisions and the correct ones.
        margin : Rounded
            How far each lies from its tie, and how far rounding can carry it. Where rounding
            cannot carry it at all, the tie rule holds.
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
        """Compare the objective of a choice with the best, within a slack.

        Parameters
        ----------
        what : str
            Name of the comparison.
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
        return f"{what}: empty"
    place = np.unravel_index(int(np.argmax(worst)), worst.shape) if worst.ndim else ()
    where = tuple(int(i) for i in place)
    at = f" at {where}" if where else ""
    return f"{what}: expected {wanted[place]!s}, found {found[place]!s}{at}"
