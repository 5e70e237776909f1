"""Level 2: half steps of ARB
=========================

Each half step is taken from an exactly known state. Means and scales are judged by their
bounds, signs by their margin, and everything that a step does not move has to stay.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import VAST, Draw
from subbit.conformance.cases.groups.judged import signs_of
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import CONTINUOUS, Array
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup, Plane, Refinement
from subbit.reference.bounds.groups.arb import (
    arb_start_bound,
    refine_mean_bound,
    refine_scale_bound,
)
from subbit.reference.bounds.groups.joint_levels import (
    solve_levels_bound,
    two_means_bound,
    two_means_margin,
)
from subbit.reference.bounds.objective import flushed_slack
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.notation import AnyArray, Mask, SignOfZero

ZEROS: tuple[SignOfZero, ...] = (1, 0)
EPS = (0.0, 1e-8, 1e-3)
FAMILIES = (*CONTINUOUS, "tied", "integer", "zero_rows", "zero_columns", "spiky")


def drawn_config(draw: Draw, **settings: Any) -> Refinement:  # noqa: ANN401
    """Draw the switches of a refinement.

    Parameters
    ----------
    draw : Draw
        The case.
    **settings
        Switches not to draw.

    Returns
    -------
    Refinement
        The switches.
    """
    options: dict[str, tuple[Any, ...]] = {
        "iterations": (0, 1, 2, 3, 15),
        "divisor": ("entries", "entries", "width"),
        "initial_signs": ("centered", "centered", "plain"),
        "sign_zero": ZEROS,
        "eps": EPS,
        "eps_kind": ("absolute", "relative"),
    }
    drawn = {name: draw.pick(name, of) for name, of in options.items() if name not in settings}
    return Refinement(**drawn, **settings)


def drawn_state(draw: Draw, steps: Iterable[tuple[str, BinaryGroup]]) -> BinaryGroup:
    """Draw a state that a loop goes through.

    Parameters
    ----------
    draw : Draw
        The case.
    steps : iterable of (str, BinaryGroup)
        The loop.

    Returns
    -------
    BinaryGroup
        The state.
    """
    *_, (name, state) = islice(steps, draw.number("half steps", 1, 9))
    draw.said["after"] = name
    return _with_levels_to_keep(draw, state) if draw.bare else state


def _with_levels_to_keep(draw: Draw, state: BinaryGroup) -> BinaryGroup:
    """Give rows and columns without entries levels other than zero: no fit may change them."""
    rows, columns = (np.asarray(state.mask.any(axis=axis)) for axis in (1, 0))

    def kept(level: Array, used: Mask) -> Array:
        return np.where(used, level, draw.rng.uniform(0.5, 2.0, level.shape))

    def of_plane(plane: Plane) -> Plane:
        scale = plane.column_scale
        other = None if scale is None else kept(scale, columns)
        return replace(plane, row_scale=kept(plane.row_scale, rows), column_scale=other)

    mean = None if state.mean is None else kept(state.mean, rows)
    return replace(state, mean=mean, planes=tuple(map(of_plane, state.planes)))


def levels_of(group: BinaryGroup) -> AnyArray:
    """Return the mean and scales of a port's group side by side.

    Parameters
    ----------
    group : BinaryGroup
        The record.

    Returns
    -------
    ndarray of float64, shape (n, p)
        Its levels; a missing mean makes them incomparable.
    """
    mean = np.full(len(group.mask), np.nan) if group.mean is None else host(group.mean)
    scales = [host(plane.row_scale) for plane in group.planes]
    return np.column_stack([mean, *scales]).astype(np.float64)


def kept_levels(levels: Rounded) -> Rounded:
    """Return a mean and scales side by side, as a record keeps them.

    Parameters
    ----------
    levels : Rounded
        As computed, shape (n, p).

    Returns
    -------
    Rounded
        The same with the error of storing them.
    """
    parts = [levels[:, p].kept_as("scales" if p else "means") for p in range(levels.shape[1])]
    error = np.column_stack([part.error for part in parts])
    return Rounded(levels.value, error, levels.arithmetic)


def computed_levels(levels: Rounded) -> Rounded:
    """Return a mean and scales side by side as they were before a record kept them.

    Parameters
    ----------
    levels : Rounded
        As the record has them, shape (n, p).

    Returns
    -------
    Rounded
        The same with the error of storing them.
    """
    parts = [levels[:, p].as_computed("scales" if p else "means") for p in range(levels.shape[1])]
    error = np.column_stack([part.error for part in parts])
    return Rounded(levels.value, error, levels.arithmetic)


def signs_in(group: BinaryGroup) -> tuple[AnyArray, ...]:
    """Return the signs of a port's group.

    Parameters
    ----------
    group : BinaryGroup
        The record.

    Returns
    -------
    tuple of ndarray of int8, shape (n, k)
        One matrix per order.
    """
    return tuple(host(plane.sign) for plane in group.planes)


def same_form(judge: Judge, group: BinaryGroup, state: BinaryGroup) -> bool:
    """Judge name, mask and number of planes, and say whether anything else can be compared.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    group, state : BinaryGroup
        The port's group and the one that it was made from.

    Returns
    -------
    bool
        Whether the shapes agree.
    """
    judge.form("name", group.name, state.name)
    judge.form("mask", group.mask, state.mask)
    judge.form("number of planes", len(group.planes), len(state.planes))
    judge.form("mean is there", group.mean is not None, state.mean is not None)
    kept = [plane.column_scale is not None for plane in state.planes]
    judge.form("column scales", [p.column_scale is not None for p in group.planes], kept)
    return judge.ratio < np.inf


def same_signs(judge: Judge, group: BinaryGroup, state: BinaryGroup) -> None:
    """Judge that signs stayed the same.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    group, state : BinaryGroup
        The port's group and the one that it was made from.
    """
    judge.exact("signs that stay", signs_in(group), signs_in(state))


def judge_levels(
    judge: Judge, group: BinaryGroup, bound: Rounded, place: int, state: BinaryGroup
) -> None:
    """Judge a half step that moves one level.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    group : BinaryGroup
        The port's group.
    bound : Rounded
        The levels after the step, shape (n, p).
    place : int
        The level that it moves.
    state : BinaryGroup
        The group before.
    """
    if same_form(judge, group, state):
        same_signs(judge, group, state)
        levels, stay = levels_of(group), np.arange(bound.shape[1]) != place
        kept = kept_levels(bound)
        judge.bound("the refined level", levels[:, place], kept[:, place])
        judge.bound("levels that stay", levels[:, stay], kept[:, stay])


def judge_start(
    judge: Judge, W: Array, mask: AnyArray, group: BinaryGroup, form: tuple[int, Refinement]
) -> None:
    """Judge the initial values of ARB.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : ndarray of float64, shape (n, k)
        Weights.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    group : BinaryGroup
        The port's group.
    form : tuple
        Number of sign planes, and the switches.
    """
    order, config = form
    judge.form("mask", group.mask, mask)
    judge.form("shapes of signs", [s.shape for s in signs_in(group)], [mask.shape] * order)
    judge.true("there is a mean", group.mean is not None)
    if judge.ratio == np.inf:
        return
    signs = signs_in(group)
    bound = arb_start_bound(
        W, mask, order=order, config=config, signs=signs, arithmetic=judge.arithmetic
    )
    for number, found in enumerate(signs):
        what, distance = f"signs of order {number + 1}", bound.distances[number]
        signs_of(judge, found, distance, mask, config.sign_zero, what=what)
    parts = [bound.mean, *bound.scales]
    for place, part in enumerate(part for part in parts if part is not None):
        kind = "scales" if place else "means"
        judge.bound(kind, levels_of(group)[:, place], part.kept_as(kind))


def flushed_in_rows(
    errors: Array, group: BinaryGroup, config: Refinement, arithmetic: Arithmetic
) -> Array:
    """Return how far flushing to zero raises the errors of a group's rows.

    Parameters
    ----------
    errors : ndarray of float64, shape (n,)
        Errors at the start.
    group : BinaryGroup
        The group.
    config : Refinement
        The switches: each half step takes the errors down, but for what it flushes.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    ndarray of float64, shape (n,)
        Slack of the errors.
    """
    rounds = config.iterations + config.calibrated_iterations + 1
    # A level is a mean of differences, which are flushed before, while and after they are added.
    operations = 4 * (len(group.planes) + 1) * rounds
    count = np.count_nonzero(group.mask, axis=1)
    return flushed_slack(errors, count, operations, arithmetic=arithmetic)


def drawn_weights(draw: Draw) -> tuple[Array, AnyArray, int]:
    """Draw a group's weights.

    Parameters
    ----------
    draw : Draw
        The case.

    Returns
    -------
    W : ndarray of float64, shape (n, k)
        Weights.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : int
        Number of sign planes.
    """
    W = draw.weights(FAMILIES, columns=(1, 50))
    return W, draw.mask((W.shape[0], W.shape[1])), draw.pick("order", (1, 2))


def arb_state(draw: Draw) -> tuple[Array, BinaryGroup]:
    """Draw weights and a state that ARB goes through on them.

    Parameters
    ----------
    draw : Draw
        The case.

    Returns
    -------
    W : ndarray of float64, shape (n, k)
        Weights.
    state : BinaryGroup
        The state.
    """
    W, mask, order = drawn_weights(draw)
    config = drawn_config(draw, iterations=3)
    return W, drawn_state(draw, reference.arb_steps(W, mask, order=order, config=config))


@operation(2, keeps=True)
def _arb_start(port: Port, judge: Judge, draw: Draw) -> None:
    """Initial values, as in the code and as printed."""
    W, mask, order = drawn_weights(draw)
    config = drawn_config(draw, iterations=3)
    group = port.arb_start(W, mask, order=order, config=config, name="salient")
    judge.form("name", group.name, "salient")
    judge_start(judge, W, mask, group, (order, config))


@operation(2, decides=False, keeps=True)
def _refine_mean(port: Port, judge: Judge, draw: Draw) -> None:
    """The mean for given scales and signs."""
    W, state = arb_state(draw)
    bound = refine_mean_bound(W, state, arithmetic=judge.arithmetic)
    judge_levels(judge, port.refine_mean(W, state), bound.levels, 0, state)


@operation(2, decides=False, keeps=True)
def _refine_scale(port: Port, judge: Judge, draw: Draw) -> None:
    """A scale for a given mean, signs and other scale."""
    W, state = arb_state(draw)
    plane = draw.pick("plane", tuple(range(len(state.planes))))
    eps: dict[str, Any] = {"eps": draw.pick("step's eps", EPS)}
    eps["eps_kind"] = draw.pick("step's kind", ("absolute", "relative"))
    bound = refine_scale_bound(W, state, plane, **eps, arithmetic=judge.arithmetic)
    judge_levels(judge, port.refine_scale(W, state, plane, **eps), bound.levels, plane + 1, state)


@operation(2, decides=False, keeps=True, large=(*LARGE, VAST))
def _solve_levels(port: Port, judge: Judge, draw: Draw) -> None:
    """Mean and scales at once."""
    W, state = arb_state(draw)
    bound = solve_levels_bound(W, state, arithmetic=judge.arithmetic)
    group = port.solve_levels(W, state)
    if same_form(judge, group, state):
        same_signs(judge, group, state)
        judge.bound("levels", levels_of(group), kept_levels(bound.levels))


@operation(2, keeps=True)
def _two_means(port: Port, judge: Judge, draw: Draw) -> None:
    """The best two clusters of each row, judged by their error."""
    W, mask, _ = drawn_weights(draw)
    group, arithmetic = port.two_means(W, mask, name="rest"), judge.arithmetic
    judge.form("name", group.name, "rest")
    judge.form("shapes of signs", [s.shape for s in signs_in(group)], [W.shape])
    if judge.ratio == np.inf:
        return
    (signs,) = signs_in(group)
    judge.exact("entries with a sign", np.abs(signs), mask)
    bound = two_means_bound(W, mask, signs, arithmetic=arithmetic)
    judge.bound("levels", levels_of(group), kept_levels(bound.levels))
    margin = two_means_margin(W, mask, signs, arithmetic=arithmetic)
    judge.choice("the error of the clusters", margin)
    judge.true("the upper cluster has the sign +1", np.all(levels_of(group)[:, 1] >= 0.0))
