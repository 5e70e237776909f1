"""Judging one case
================

A judge collects the comparisons of one case by the rules of
:mod:`subbit.conformance.compare`, and keeps the worst of them with a sentence.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from subbit.conformance import compare
from subbit.conformance.cases.counts import Counts
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
    return compare.on_host(x)


@dataclass(frozen=True)
class Outcome:
    """Result of one case.

    Parameters
    ----------
    operation : str
        The operation.
    seed : int
        The case; operation and seed together replay it.
    status : {"passed", "failed", "empty", "missing", "declared"}
        "missing" means that the port does not implement the operation, "declared" that the case
        is outside of what it declares, and "empty" that nothing was wrong, but no number was
        compared either.
    ratio : float
        Largest error ÷ bound, also of decisions and objectives.
    message : str
        Drawn values and, unless the case passed, the expected and found ones.
    counts : Counts
        What was compared.
    ended : bool
        Whether the case ended the program that is the port.
    """

    operation: str
    seed: int
    status: str
    ratio: float = 0.0
    message: str = ""
    counts: Counts = field(default_factory=Counts)
    ended: bool = False

    @property
    def compared(self) -> int:
        """Numbers and decisions that were compared."""
        return self.counts.compared

    @property
    def unbounded(self) -> int:
        """Numbers and decisions without a bound."""
        return self.counts.lost

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
        self.counts = Counts()
        self._where = ""

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Say of a part of a layer where it stands, if something in it is wrong.

        Parameters
        ----------
        where : str
            The place, such as ``"columns 0 to 15"``.

        Yields
        ------
        None
            To the comparisons of that part.

        Examples
        --------
        >>> judge = Judge(Arithmetic())
        >>> with judge.at("column 5"):
        ...     judge.exact("codes", [1, 2], [1, 3])
        >>> judge.sentence
        'codes: expected 3, found 2 at (1,), in column 5'
        """
        before, self._where = self._where, where
        try:
            yield
        finally:
            self._where = before

    def at_columns(self, columns: slice) -> AbstractContextManager[None]:
        """Say of a block, or of a column, which it is, if something in it is wrong.

        Parameters
        ----------
        columns : slice
            Its columns in the layer.

        Returns
        -------
        context manager
            For the comparisons of that part.

        Examples
        --------
        >>> judge = Judge(Arithmetic())
        >>> with judge.at_columns(slice(0, 16)):
        ...     judge.true("the mask is nested", False)
        >>> judge.sentence
        'expected: the mask is nested, in columns 0 to 15'
        """
        first, last = columns.start, columns.stop - 1
        return self.at(f"column {first}" if first == last else f"columns {first} to {last}")

    def _note(self, ratio: float, sentence: str, counts: Counts) -> None:
        self.counts += counts
        if ratio > self.ratio or math.isnan(ratio):
            self.ratio = math.inf if math.isnan(ratio) else ratio
            self.sentence = f"{sentence}, in {self._where}" if self._where else sentence

    def take(self, other: "Judge") -> None:
        """Add the findings of another judge.

        Parameters
        ----------
        other : Judge
            The other judge.
        """
        self._note(other.ratio, other.sentence, other.counts)

    def fail(self, sentence: str) -> None:
        """Note something that cannot be correct.

        Parameters
        ----------
        sentence : str
            What is wrong.
        """
        self._note(math.inf, sentence, Counts(facts=1))

    def skip(self, count: int, reason: str) -> None:
        """Note entries or decisions that nothing can be said about.

        Parameters
        ----------
        count : int
            How many.
        reason : str
            What they are, and why.
        """
        self.counts += Counts(skipped={reason: int(count)} if count else {})

    def true(self, what: str, fact: object) -> None:
        """Note whether a required condition holds.

        Parameters
        ----------
        what : str
            The condition.
        fact : object
            Whether it holds.
        """
        self._note(0.0 if fact else math.inf, f"expected: {what}", Counts(facts=1))

    def form(self, what: str, actual: Any, expected: npt.ArrayLike) -> None:  # noqa: ANN401
        """Compare the form of an answer: names, shapes, lengths, what the call passed itself.

        Parameters
        ----------
        what : str
            Name of the comparison.
        actual, expected : array_like
            The form of the port's answer and the correct one.
        """
        self._equal(what, actual, expected, Counts(facts=1))

    def exact(self, what: str, actual: Any, expected: npt.ArrayLike) -> None:  # noqa: ANN401
        """Compare numbers bit for bit.

        Parameters
        ----------
        what : str
            Name of the comparison.
        actual, expected : array_like
            The port's answer and the correct one.
        """
        self._equal(what, actual, expected, Counts(equal=np.size(expected)))

    def _equal(self, what: str, actual: Any, expected: npt.ArrayLike, counts: Counts) -> None:  # noqa: ANN401
        found, wanted = host(actual), np.asarray(expected)
        ratio = compare.exact(found, wanted)
        differs = found != wanted if found.shape == wanted.shape else None
        self._note(ratio, _sentence(what, found, wanted, differs), counts)

    def bound(self, what: str, actual: Any, expected: Rounded) -> None:  # noqa: ANN401
        """Compare continuous values with their bound.

        A number whose only allowance is its conversion to the port's type was copied, and has
        to be the given number or the converted one.

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
            self._note(math.inf, _sentence(what, found, expected.value, None), Counts(facts=1))
            return
        judged, copied = self._judged(what, expected), expected.copied
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs(found.astype(np.float64) - expected.value)
        ratios = _ratios(error, expected.error, judged)
        same = self.arithmetic.copies(expected.value, found)
        ratios[copied] = np.where(same, 0.0, np.inf)[copied]
        bounded = judged & (expected.error > 0.0) & ~copied
        counts = Counts(
            equal=int(np.count_nonzero(judged & (expected.error == 0.0))),
            copied=int(np.count_nonzero(copied)),
            bounded=int(np.count_nonzero(bounded)),
            largest=float(ratios[bounded].max(initial=0.0)),
        )
        ratio = ratios.max(initial=0.0)
        self._note(float(ratio), _sentence(what, found, expected.value, ratios == ratio), counts)

    def _judged(self, what: str, expected: Rounded) -> npt.NDArray[np.bool_]:
        judged = np.asarray(np.isfinite(expected.error) & np.isfinite(expected.value))
        self._lose(what, judged)
        return judged

    def _lose(self, what: str, judged: npt.NDArray[np.bool_]) -> None:
        lost = int(judged.size - np.count_nonzero(judged))
        self.counts += Counts(unbounded={what: lost} if lost else {})

    def within(self, what: str, residual: Rounded) -> None:
        """Compare a residual with its bound.

        Parameters
        ----------
        what : str
            Name of the comparison.
        residual : Rounded
            The value found, and the largest allowed.
        """
        finite, ratios = _margins(residual)
        ratio = float(ratios.max(initial=0.0))
        self._lose(what, finite)
        zero = finite & (residual.error == 0.0)
        bounded = int(np.count_nonzero(finite & ~zero))
        counts = Counts(equal=int(np.count_nonzero(zero)), bounded=bounded, largest=ratio)
        apart, at = _at_worst(residual, ratios)
        said = f"{what}: {apart:.9g}{at}, {ratio:.3g} times what rounding explains"
        self._note(ratio, said, counts)

    def choice(self, what: str, margin: Rounded) -> None:
        """Compare choices of the port by how much better another one would have been.

        Parameters
        ----------
        what : str
            Name of the comparison.
        margin : Rounded
            How far another choice is better, and how much of it rounding explains; a choice
            that is not the best, but within rounding, is open.
        """
        finite, ratios = _margins(margin)
        self.skip(int(finite.size - np.count_nonzero(finite)), f"{what} without a margin")
        ratio = float(ratios.max(initial=0.0))
        ratio = ratio if ratio > 1.0 else 0.0
        worse = np.count_nonzero(finite & (margin.value > 0.0))
        counts = Counts(decided=int(np.count_nonzero(finite) - worse), open=int(worse))
        better, at = _at_worst(margin, ratios)
        if math.isinf(better):
            said = f"of equal ones another is due{at}"
        else:
            said = f"another is better by {better:.9g}{at}, "
            said += f"{ratio:.3g} times what rounding explains"
        self._note(ratio, f"{what}: {said}", counts)

    def decision(
        self,
        what: str,
        actual: Any,  # noqa: ANN401
        expected: npt.ArrayLike,
        margin: Rounded,
        *,
        ordered: bool = True,
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
        ordered : bool, default True
            Whether there is a tie rule; otherwise an exact tie may go either way.
        """
        found, wanted = host(actual), np.asarray(expected)
        if found.shape != wanted.shape:
            self._note(math.inf, _sentence(what, found, wanted, None), Counts(facts=1))
            return
        value, error = (np.broadcast_to(x, found.shape) for x in (margin.value, margin.error))
        finite = np.isfinite(error)
        self.skip(int(finite.size - np.count_nonzero(finite)), f"{what} without a margin")
        ratios = _ratios(np.abs(value), error, finite)
        free = (value == 0.0) & ~np.asarray(ordered)
        ratios = np.where((error == 0.0) & finite & ~free, np.inf, ratios)
        # Within its margin a decision is left to rounding, and no measure of errors.
        ratios = np.where((found != wanted) & (ratios > 1.0), ratios, 0.0)
        ratio = float(ratios.max(initial=0.0))
        undecided = np.count_nonzero(finite & ((error > 0.0) | free) & (np.abs(value) <= error))
        counts = Counts(decided=int(np.count_nonzero(finite) - undecided), open=int(undecided))
        self._note(ratio, _sentence(what, found, wanted, ratios == ratio), counts)

    def objective(
        self, what: str, reached: float, best: float, allowed: float, flushed: float
    ) -> None:
        """Compare the objective of a choice with the best, within a slack.

        Parameters
        ----------
        what : str
            Name of the comparison.
        reached, best : float
            The objective of the port's choice, and the reference's.
        allowed : float
            The slack of rounding and of equally good choices.
        flushed : float
            What is lost to numbers that are flushed to zero, which no share of the objective
            holds: :func:`~subbit.reference.bounds.objective.flushed_slack`, or 0 if it is
            computed from whole numbers.
        """
        slack = allowed + flushed
        ratio = compare.objective(reached, best, slack)
        said = f"{what}: expected at most {best:.9g} + {slack:.3g}, found {reached:.9g}"
        self._note(ratio, said, Counts(objectives=1))


def _margins(margin: Rounded) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    finite = np.asarray(np.isfinite(margin.error))
    return finite, _ratios(np.abs(margin.value), margin.error, finite)


def _worst_place(worst: AnyArray) -> tuple[tuple[int, ...], str]:
    """Return the place of the largest number, and words for it."""
    place = np.unravel_index(int(np.argmax(worst)), worst.shape) if worst.ndim else ()
    where = tuple(int(i) for i in place)
    return where, f" at {where}" if where else ""


def _at_worst(margin: Rounded, ratios: npt.NDArray[np.float64]) -> tuple[float, str]:
    """Return the number farthest beyond what rounding explains, and words for its place."""
    if not ratios.size:
        return 0.0, ""
    place, at = _worst_place(ratios)
    return float(np.abs(margin.value[place])), at


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
    place, at = _worst_place(worst)
    return f"{what}: expected {wanted[place]!s}, found {found[place]!s}{at}"
