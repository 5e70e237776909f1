"""Level 2: the Hessian and the scores that use it
===============================================

A factor is judged by its residual, which needs no condition number; scores by the bounds
of ``bounds.zones.saliency``.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.asked import LAYOUTS, layout_of
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import ACTIVATIONS, CONTINUOUS, Array
from subbit.conformance.target import Port
from subbit.reference.bounds.hessian import (
    accumulate_hessian_bound,
    damp_bound,
    inverse_factor_residual,
)
from subbit.reference.bounds.rounding import Input
from subbit.reference.bounds.zones import saliency

SCORED = (*CONTINUOUS, "tied", "integer", "zero_columns", "zeros")


@operation(2)
def _accumulate_hessian(port: Port, judge: Judge, draw: Draw) -> None:
    """The proxy Hessian of a whole calibration set."""
    X = draw.inputs(draw.number("width", 1, 40), tuple(ACTIVATIONS))
    bound = accumulate_hessian_bound(X, arithmetic=judge.arithmetic)
    judge.bound("H", port.accumulate_hessian(X), bound)


@operation(2, "HessianAccumulator", name="hessian_in_batches", decides=False)
def _hessian_in_batches(port: Port, judge: Judge, draw: Draw) -> None:
    """The proxy Hessian of sequences of unequal lengths, read out on the way.

    Whatever happens to an array after it was handed over, or to an answer, must not matter;
    nor must another accumulator, or a batch that was refused.
    """
    X = draw.inputs(draw.number("width", 1, 40), tuple(ACTIVATIONS))
    accumulator, other = (port.HessianAccumulator(X.shape[-1]) for _ in range(2))
    _judge_refused(judge, "no sequence", accumulator.hessian)
    start, answers = 0, []
    while start < len(X):
        stop = start + int(draw.rng.integers(1, len(X) - start + 1))
        length = int(draw.rng.integers(1, X.shape[1] + 1))
        # Tokens of zeros add nothing, so that shorter sequences have a bound too.
        X[start:stop, length:] = 0.0
        single = stop == start + 1 and draw.rng.random() < 0.5
        batch = X[start, :length] if single else X[start:stop, :length]
        given = LAYOUTS[layout_of(draw.seed)](batch)
        accumulator.add(given)
        other.add(2.0 * batch + 1.0)
        _judge_refused(judge, "NaN", lambda: accumulator.add(np.full_like(X[0], np.nan)))
        judge.exact("the batch as it was given", given, batch)
        _spoil(given)
        start = stop
        if start == len(X) or draw.rng.random() < 0.5:
            judge.exact("count", accumulator.count, start)
            found = accumulator.hessian()
            _judge_sum(judge, X[:start], found)
            _spoil(found)
            answers.append((found, host(found).copy()))
    _judge_sum(judge, X, accumulator.hessian())
    for found, left in answers:
        judge.exact("an earlier answer, overwritten by its owner", found, left)


def _judge_sum(judge: Judge, X: Array, found: Any) -> None:  # noqa: ANN401  (a port's array)
    bound = accumulate_hessian_bound(X, arithmetic=judge.arithmetic)
    # Batches are added, so each entry may be rounded once more per addition.
    judge.bound("H", found, bound.widen(judge.arithmetic.gamma(len(X)) * bound.reach))


def _judge_refused(judge: Judge, what: str, call: Callable[[], object]) -> None:
    try:
        call()
    except ValueError:
        return
    judge.fail(f"expected a ValueError for {what}")


def _spoil(x: Any) -> None:  # noqa: ANN401  (a port's array)
    """Overwrite an array, if that is possible."""
    with suppress(TypeError, ValueError):
        x[...] = 0


@operation(2)
def _damp(port: Port, judge: Judge, draw: Draw) -> None:
    """Ones on dead diagonals, then a share of the mean diagonal."""
    H = draw.hessian(draw.number("width", 1, 40), tuple(ACTIVATIONS))
    percdamp = draw.pick("percdamp", (0.0, 0.01, 0.1, 1.0))
    bound = damp_bound(H, percdamp, arithmetic=judge.arithmetic)
    judge.bound("damped H", port.damp(H, percdamp), bound)


def _factor(judge: Judge, H: Input, U: Array) -> None:
    judge.exact("below the diagonal", np.tril(U, -1), np.zeros(U.shape))
    judge.true("the diagonal is positive", np.all(np.diag(U) > 0))
    residual = inverse_factor_residual(H, U, arithmetic=judge.arithmetic)
    judge.within("U H Uᵀ - I", residual)


def _damped(draw: Draw, width: int) -> Array:
    return reference.damp(draw.hessian(width), draw.pick("percdamp", (0.01, 0.1)))


@operation(2)
def _inverse_factor(port: Port, judge: Judge, draw: Draw) -> None:
    """The upper factor of the inverse, by its residual."""
    H = _damped(draw, draw.number("width", 1, 32))
    _factor(judge, H, host(port.inverse_factor(H)).astype(np.float64))


@operation(2)
def _prepare_hessian(port: Port, judge: Judge, draw: Draw) -> None:
    """Dead inputs, damping and factor together."""
    H = draw.hessian(draw.number("width", 1, 32), tuple(ACTIVATIONS))
    percdamp = draw.pick("percdamp", (0.01, 0.1))
    prepared = port.prepare_hessian(H, percdamp)
    bound = damp_bound(H, percdamp, arithmetic=judge.arithmetic)
    judge.exact("dead inputs", prepared.dead, np.diag(H) == 0)
    judge.bound("damped H", prepared.damped, bound)
    _factor(judge, bound, host(prepared.factor).astype(np.float64))


def _scores(port: Port, judge: Judge, draw: Draw, name: str) -> None:
    W = draw.weights(SCORED, columns=(1, 32))
    H = _damped(draw, W.shape[1])
    second = reference.inverse_factor(H) if name == "trailing_saliency" else H
    bound = getattr(saliency, f"{name}_bound")(W, second, arithmetic=judge.arithmetic)
    judge.bound("scores", getattr(port, name)(W, second), bound)


@operation(2)
def _inverse_hessian_saliency(port: Port, judge: Judge, draw: Draw) -> None:
    """Eq. (3)'s score."""
    _scores(port, judge, draw, "inverse_hessian_saliency")


@operation(2)
def _obs_saliency(port: Port, judge: Judge, draw: Draw) -> None:
    """The unordered score."""
    _scores(port, judge, draw, "obs_saliency")


@operation(2)
def _trailing_saliency(port: Port, judge: Judge, draw: Draw) -> None:
    """Algorithm 2's score."""
    _scores(port, judge, draw, "trailing_saliency")
