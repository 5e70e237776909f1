"""Bounds of steps and exponents
=============================

How far a correct port's steps may deviate, and which exponents it may choose. Return values
are as in ``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``L``      (n, k)    levels that suit a step
``s``      (c, n)    steps refitted to them, for each of c candidates
``J``      (c, n)    errors that they leave
``x``      (n,)      ``16 log2(s / ρ)``, between -128 and 127
========== ========= ===============================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.pruning.sparsity import POWER, nm_mask_margin, power_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.groups.leveling import CANDIDATES
from subbit.reference.groups.nearest import large_entries, nearest_levels
from subbit.reference.leveled import (
    CODES,
    LARGEST_EXPONENT,
    LEAST_EXPONENT,
    SPAN,
    STEPS,
    Code,
    Coding,
    Levels,
)
from subbit.reference.notation import AnyArray, Array, Mask


@dataclass(frozen=True, eq=False)
class FittedSteps:
    """Steps among which a port chooses.

    Parameters
    ----------
    steps : Rounded
        For each candidate and row, shape (c, n); without a bound where rounding decides a level.
    errors : Rounded
        Errors that they leave, shape (c, n).
    """

    steps: Rounded
    errors: Rounded

    @property
    def least(self) -> Array:
        """Error that a port's choice leaves at most, shape (n,); infinite if not known."""
        return np.asarray(np.min(self.errors.value + self.errors.error, axis=0))

    @property
    def possible(self) -> Mask:
        """Candidates that may be the best, shape (c, n)."""
        # Eq. (B133), subbit:  candidate c  ⇒  J_c − e_c ≤ min(J + e)
        return np.asarray(~(self.errors.value - self.errors.error > self.least))

    @property
    def each(self) -> list[Rounded]:
        """Steps of each candidate, shape (n,)."""
        return [self.steps[c] for c in range(len(self.steps.value))]

    def _due(self, value: Array, error: Array) -> AnyArray:
        """Choose the candidate that explains a port's choice, by its margins (c, n)."""
        ratios = np.where(value > 0.0, np.inf, 0.0)
        np.divide(value, error, out=ratios, where=(error > 0.0) & (value > 0.0))
        # What lies within its bound comes first, what has none second.
        ratios = np.where(np.isfinite(error), ratios, 1.0)
        best = np.argmin(np.where(self.possible, ratios, np.inf), axis=0)
        return best[None]  # (n,) -> (1, n)

    def best_of(self, margins: Sequence[Rounded]) -> Rounded:
        """Return the margin of the candidate that a port's choice is due to.

        Parameters
        ----------
        margins : sequence of Rounded, each of shape (n,)
            For each candidate, how far the port's choice is from what is due, and how much of it
            rounding explains.

        Returns
        -------
        Rounded
            Shape (n,). Of the candidates that may be the best, the one that explains the choice;
            without a bound if only one of unknown levels does.
        """
        # c of (n,) -> (c, n)
        value, error = (np.array([getattr(m, x) for m in margins]) for x in ("value", "error"))
        due = self._due(value, error)
        # (c, n) -> (n,)
        value, error = (np.take_along_axis(x, due, 0)[0] for x in (value, error))
        return Rounded(value, error, self.steps.arithmetic)

    def nearest(self, found: npt.ArrayLike) -> Rounded:
        """Return the candidate that each of a port's steps is due to.

        Parameters
        ----------
        found : array_like of float64, shape (n,)
            The port's steps.

        Returns
        -------
        Rounded
            Shape (n,), as from :meth:`best_of`.
        """
        steps = self.steps
        due = self._due(np.abs(np.asarray(found, np.float64) - steps.value), steps.error)
        # (c, n) -> (n,)
        value, error = (np.take_along_axis(x, due, 0)[0] for x in (steps.value, steps.error))
        return Rounded(value, error, steps.arithmetic)


def level_distance(x: Rounded, coding: Coding) -> Rounded:
    """Return how far values are from the place where their level changes.

    Parameters
    ----------
    x : Rounded, any shape
        Values in units of their steps.
    coding : Coding
        The code, not ``"0"``.

    Returns
    -------
    Rounded
        Distances, and the errors of the values.

    Examples
    --------
    >>> x = Arithmetic("float32").read([0.5, -1.5, 7.0])
    >>> level_distance(x, CODES["2"]).value, level_distance(x, CODES["1"]).value
    (array([0.5, 0.5, 5. ]), array([0.5, 1.5, 7. ]))
    """
    end = 0.0 if coding.large else 2.0**coding.planes - 2.0
    # Eq. (B134), subbit:  ℓ(x̂) = ℓ(x)  if |x − 2 b| > e_x for each b,  |2 b| ≤ 2^p − 2
    distance = np.abs(x.value - np.clip(2.0 * np.round(x.value / 2.0), -end, end))
    return Rounded(distance, x.error, x.arithmetic)


def _undecided(x: Rounded, coding: Coding) -> Mask:
    distance = level_distance(x, coding)
    return np.asarray((distance.value <= distance.error) & (distance.error > 0.0))


def fit_steps_bound(X: Input, weights: Input, code: Code, *, arithmetic: Arithmetic) -> FittedSteps:
    """Bounds of :func:`~subbit.reference.groups.leveling.fit_steps`.

    Parameters
    ----------
    X : array_like of float64 or Rounded, shape (n, k)
        Values of the group.
    weights : array_like of float64 or Rounded, shape (k,)
        Weight of each column's squared error.
    code : {"1", "1:16", "2:16", "3:16", "2", "3", "4"}
        The code.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    FittedSteps
        The candidates; a single one where levels do not depend on the step, and otherwise zero
        first, which is due where squares are flushed to zero.

    Examples
    --------
    >>> bound = fit_steps_bound([[1.5, -0.5]], [1.0, 1.0], "1", arithmetic=Arithmetic("float32"))
    >>> bound.steps.value, bool((bound.steps.error < 1e-6).all())
    (array([[1.]]), True)
    """
    values, coding = arithmetic.checked("X", X), CODES[code]
    given = arithmetic.checked("weights", weights, shape=(values.shape[1],))
    is_large = large_entries(values.value, coding.large)
    if coding.planes == 1 or coding.large:
        margin = nm_mask_margin(
            values.absolute(), max(coding.large, 1), SPAN, arithmetic=arithmetic
        )
        open_size = (margin.value <= margin.error) & (coding.large > 0)
        open_sign = _undecided(values, coding)
        levels = nearest_levels(values.value, coding, is_large)
        return _stacked([_refitted(values, given, levels, open_size | open_sign)])
    energy = (values * values) @ given
    # Eq. (B135), subbit:  |ŝ_0 − s_0| ≤ γ (B70) with a = 1/2 and x = Σ w x² / Σ w
    mean = energy / given.sum("any")
    typical = power_bound(mean, 0.5) * arithmetic.read(np.full(energy.shape, coding.step))
    starts = [arithmetic.read(np.full(energy.shape, f)) * typical for f in CANDIDATES]
    nothing = arithmetic.exactly(np.zeros(energy.shape))
    found = [(nothing, energy)]
    for start in starts:
        empty = ~(start.value > 0.0)
        with np.errstate(invalid="ignore"):
            ratio = values / start[:, None]
        value = np.where(empty[:, None], values.value, ratio.value)
        error = np.where(empty[:, None], values.error, ratio.error)
        x = Rounded(value, error, arithmetic)
        levels = nearest_levels(x.value, coding, is_large)
        found.append(_refitted(values, given, levels, _undecided(x, coding)))
    return _stacked(found)


def _refitted(X: Rounded, w: Rounded, levels: Levels, open_: Mask) -> tuple[Rounded, Rounded]:
    """Bound the least-squares steps of some levels, and their errors, if no level is open."""
    of, L = X.arithmetic, X.arithmetic.exactly(levels.astype(np.float64))
    with np.errstate(invalid="ignore"):
        steps = ((X * L) @ w) / ((L * L) @ w)
        rest = X - steps[:, None] * L
        errors = (rest * rest) @ w
    # Rows without weight have no step.
    empty = (L.value**2 @ w.value) == 0.0
    lost = np.any(open_ & (w.value > 0.0), axis=1)
    found = []
    for x in (steps, errors):
        error = np.where(empty, 0.0, np.where(lost, np.inf, x.error))
        found.append(Rounded(np.where(empty, 0.0, x.value), error, of))
    return found[0], found[1]


def _stacked(found: list[tuple[Rounded, Rounded]]) -> FittedSteps:
    of = found[0][0].arithmetic
    # c of (n,) -> (c, n)
    steps, errors = (
        Rounded(np.array([x.value for x in part]), np.array([x.error for x in part]), of)
        for part in zip(*found, strict=True)
    )
    return FittedSteps(steps, errors)


def code_exponents_margin(
    steps: Input, reference: Input, found: npt.ArrayLike, *, arithmetic: Arithmetic
) -> Rounded:
    """Margin of a port's exponents.

    Parameters
    ----------
    steps, reference : array_like of float64 or Rounded, shape (n,)
        Steps and references.
    found : array_like of int, shape (n,)
        The port's exponents.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        How much nearer another exponent is, and how much of it rounding explains, shape (n,).
        Where the reference or the step is zero, infinity, unless the exponent is as it has to be.

    Notes
    -----
    The port may divide first, or take the logarithms' difference.

    Examples
    --------
    >>> margin = code_exponents_margin([2.0], [1.0], [17], arithmetic=Arithmetic("float32"))
    >>> float(margin.value[0]), bool(margin.error[0] < 1e-3)
    (1.0, True)
    """
    s, r = (
        arithmetic.checked(name, x, shape=(None,))
        for name, x in (("steps", steps), ("reference", reference))
    )
    usable = (s.value > 0.0) & (r.value > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log2(np.where(usable, x.value, 1.0)) for x in (s, r)]
        carried = sum(x.error / np.maximum(x.value - x.error, 0.0) for x in (s, r))
    difference, sizes = logs[0] - logs[1], np.abs(logs[0]) + np.abs(logs[1])
    gamma = arithmetic.gamma
    # Eq. (B136), subbit:  |x̂ − x| ≤ 16 ((e_s/s + e_ρ/ρ + γ_2) / ln 2 + 2 γ_8 (|log2 s| + |log2 ρ|))
    error = STEPS * ((carried + gamma(2)) / np.log(2.0) + 2.0 * gamma(POWER) * sizes)
    x = np.clip(STEPS * difference, LEAST_EXPONENT, LARGEST_EXPONENT)
    own, wanted = (np.asarray(e, dtype=np.float64) for e in (found, np.rint(x)))
    excess = np.abs(own - x) - np.abs(wanted - x)
    due = np.where(r.value > 0.0, float(LEAST_EXPONENT), 0.0)
    excess = np.where(usable, excess, np.where(own == due, 0.0, np.inf))
    return Rounded(excess, np.where(usable, 2.0 * error, _of_zeros(s, r)), arithmetic)


def _of_zeros(s: Rounded, r: Rounded) -> AnyArray:
    """Allow any exponent where a number that may be zero is not known to be."""
    known = np.all([(x.value > x.error) | (x.error == 0.0) for x in (s, r)], axis=0)
    return np.where(known, 0.0, np.inf)
