"""Level 2: steps of groups of levels
==================================

A step has to be one of those that the search refits, and a best one; where rounding decides
which level an entry gets on the way, the step is judged by the error that its own levels leave.
Exponents have to be the nearest ones.
"""

import numpy as np

from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS, Array, steady
from subbit.conformance.target import Port
from subbit.reference.bounds.groups import leveling as leveling_bounds
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.groups.nearest import large_entries, nearest_levels
from subbit.reference.leveled import CODES, Code
from subbit.reference.notation import AnyArray

LEVELED: tuple[Code, ...] = ("2", "1", "2:16", "3", "1:16", "4", "3:16")


def errors_of(X: Array, weights: Array, code: Code, steps: AnyArray) -> Array:
    """Return the errors that steps leave with the levels nearest to them.

    Parameters
    ----------
    X : ndarray of float64, shape (n, k)
        Values.
    weights : ndarray of float64, shape (k,)
        Weight of each column's squared error.
    code : str
        The code.
    steps : ndarray of float64, shape (n,)
        Steps.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``Σ_j w_j (x_ij − s_i ℓ_ij)²``.

    Examples
    --------
    >>> errors_of(np.array([[1.0, -2.0]]), np.ones(2), "1", np.array([1.5]))
    array([0.5])
    """
    coding = CODES[code]
    scale = np.where(steps > 0.0, steps, 1.0)[:, None]
    levels = nearest_levels(X / scale, coding, large_entries(X, coding.large))
    return np.asarray((X - np.asarray(steps)[:, None] * levels) ** 2 @ weights)


def _weights(draw: Draw, width: int) -> Array:
    weights = steady(np.exp(1.5 * draw.rng.standard_normal(width)))
    kind = draw.pick("weights", ("spread", "spread", "equal", "some zero"))
    if kind == "equal":
        return np.ones(width)
    return np.where(draw.rng.random(width) < 0.3, 0.0, weights) if kind == "some zero" else weights


@operation(2)
def _fit_steps(port: Port, judge: Judge, draw: Draw) -> None:
    """The best of the refitted steps, by the weighted error."""
    code = draw.pick("code", LEVELED)
    X = draw.weights((*CONTINUOUS, "zero_rows", "constant_magnitude"), columns=(1, 40))
    weights = _weights(draw, X.shape[1])
    found = host(port.fit_steps(X, weights, code))
    judge.form("shape", found.shape, (len(X),))
    if found.shape != (len(X),):
        return
    bound = leveling_bounds.fit_steps_bound(X, weights, code, arithmetic=judge.arithmetic)
    judge.bound("steps", found, bound.nearest(found))
    reached = errors_of(X, weights, code, found.astype(np.float64))
    energy = X**2 @ weights
    # The error is that of levels and steps in float64; a step's own rounding moves it.
    slack = 8.0 * judge.arithmetic.gamma(X.shape[1] + 8) * energy
    excess = np.maximum(reached - bound.least, 0.0)
    lost = np.where(np.isfinite(bound.least), slack + judge.arithmetic.tiny, np.inf)
    judge.choice("step, by its error", Rounded(np.nan_to_num(excess), lost, judge.arithmetic))


@operation(2, "fit_steps", name="no_steps", decides=False)
def _no_steps(port: Port, judge: Judge, draw: Draw) -> None:
    """Zeros without planes, without weight, and for rows of zeros."""
    X = draw.weights(CONTINUOUS, columns=(1, 40))
    kind = draw.pick("without", ("planes", "weight", "entries"))
    code: Code = "0" if kind == "planes" else draw.pick("code", LEVELED)
    weights = np.zeros(X.shape[1]) if kind == "weight" else np.ones(X.shape[1])
    X = np.zeros(X.shape) if kind == "entries" else X
    judge.exact("steps", port.fit_steps(X, weights, code), np.zeros(len(X)))


@operation(2)
def _code_exponents(port: Port, judge: Judge, draw: Draw) -> None:
    """The nearest powers, at most 127 and at least -128; zeros as they are said to be coded."""
    n = draw.number("rows", 1, 40)
    spread = draw.pick("spread", (2.0, 0.1, 12.0))
    steps, reference = (
        draw.between(lambda rng: steady(np.exp2(spread * rng.standard_normal(n)))) for _ in "ab"
    )
    if draw.pick("zeros", ("none", "none", "some")) == "some":
        steps = np.where(draw.rng.random(n) < 0.3, 0.0, steps)
        reference = np.where(draw.rng.random(n) < 0.3, 0.0, reference)
    found = host(port.code_exponents(steps, reference))
    judge.form("shape", found.shape, (n,))
    if found.shape == (n,):
        margin = leveling_bounds.code_exponents_margin(
            steps, reference, found, arithmetic=judge.arithmetic
        )
        judge.choice("exponents", margin)
