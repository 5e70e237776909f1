"""Level 2: half steps on the calibrated error
============================================

As for the weight error, with Gram matrices of inputs of all kinds: where a denominator is
only rounding, there is no bound.
"""

from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import BROAD, WIDE, Draw
from subbit.conformance.cases.groups.arb import (
    EPS,
    drawn_config,
    drawn_state,
    drawn_weights,
    judge_levels,
    kept_levels,
    levels_of,
    same_form,
    same_signs,
)
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import ACTIVATIONS, Array
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup, Refinement
from subbit.reference.bounds.groups import arb_x as arb_x_bounds


def drawn_gram(draw: Draw, width: int) -> Array:
    """Draw a Gram matrix of a block's inputs.

    Parameters
    ----------
    draw : Draw
        The case.
    width : int
        Number of inputs.

    Returns
    -------
    ndarray of float64, shape (k, k)
        Symmetric and positive semidefinite.
    """
    return draw.hessian(width, tuple(ACTIVATIONS)) * draw.pick("factor of S", (1.0, 1e-3))


def drawn_calibration(draw: Draw) -> Refinement:
    """Draw the switches of a refinement on the calibrated error.

    Parameters
    ----------
    draw : Draw
        The case.

    Returns
    -------
    Refinement
        The switches.
    """
    return drawn_config(
        draw,
        calibrated_iterations=draw.pick("calibrated rounds", (0, 1, 2, 3, 15)),
        calibrated_eps=draw.pick("calibrated eps", EPS),
        calibrated_start=draw.pick("start", ("standard", "refined")),
        mean_denominator=draw.pick("mean denominator", ("float64", "float64", "float32")),
        levels=draw.pick("levels", ("alternate", "alternate", "exact")),
    )


def _state(draw: Draw) -> tuple[Array, BinaryGroup, Array]:
    W, mask, order = drawn_weights(draw)
    S = drawn_gram(draw, W.shape[1])
    config = drawn_config(draw, iterations=1, calibrated_iterations=3)
    steps = reference.arb_x_steps(W, mask, S, order=order, config=config)
    return W, drawn_state(draw, steps), S


def _eps(draw: Draw) -> dict[str, Any]:
    kind = draw.pick("step's kind", ("absolute", "relative"))
    return {"eps": draw.pick("step's eps", EPS), "eps_kind": kind}


def _target(draw: Draw, W: Array, state: BinaryGroup) -> Array:
    if draw.pick("target", ("own", "coupled")) == "own":
        return np.where(state.mask, W, 0.0)
    return draw.rng.standard_normal(W.shape)


@operation(2, large=(*LARGE, WIDE + 1, BROAD + 2))
def _calibrated_sums(port: Port, judge: Judge, draw: Draw) -> None:
    """The scalars that a row's calibrated error depends on."""
    W, state, S = _state(draw)
    target = _target(draw, W, state)
    found = port.calibrated_sums(target, state, S)
    bounds = arb_x_bounds.calibrated_sums_bound(target, state, S, arithmetic=judge.arithmetic)
    for name, own, bound in zip(("G", "g"), found, bounds, strict=True):
        judge.bound(name, own, bound)


@operation(2, decides=False, keeps=True, large=(*LARGE, WIDE + 1, BROAD + 2))
def _calibrated_mean(port: Port, judge: Judge, draw: Draw) -> None:
    """The mean for given scales and signs."""
    W, state, S = _state(draw)
    switches = _eps(draw) | {"precision": draw.pick("precision", ("float64", "float32"))}
    bound = arb_x_bounds.calibrated_mean_bound(W, state, S, **switches, arithmetic=judge.arithmetic)
    judge_levels(judge, port.calibrated_mean(W, state, S, **switches), bound.levels, 0, state)


@operation(2, decides=False, keeps=True)
def _calibrated_scale(port: Port, judge: Judge, draw: Draw) -> None:
    """A scale for a given mean, signs and other scale."""
    W, state, S = _state(draw)
    plane, switches = draw.pick("plane", tuple(range(len(state.planes)))), _eps(draw)
    bound = arb_x_bounds.calibrated_scale_bound(
        W, state, S, plane, **switches, arithmetic=judge.arithmetic
    )
    group = port.calibrated_scale(W, state, S, plane, **switches)
    judge_levels(judge, group, bound.levels, plane + 1, state)


@operation(2, keeps=True, large=(*LARGE, WIDE + 1, BROAD + 2))
def _calibrate_levels(port: Port, judge: Judge, draw: Draw) -> None:
    """All rounds, and their limit, for given signs."""
    W, state, S = _state(draw)
    target, config = _target(draw, W, state), drawn_calibration(draw)
    group = port.calibrate_levels(target, state, S, config=config)
    bound = arb_x_bounds.calibrate_levels_bound(
        target, state, S, config=config, arithmetic=judge.arithmetic
    )
    if same_form(judge, group, state):
        same_signs(judge, group, state)
        judge.bound("levels", levels_of(group), kept_levels(bound.levels))
