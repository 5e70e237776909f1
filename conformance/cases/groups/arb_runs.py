"""Level 2: loops of refinements
=============================

Every half step of a port is judged from the port's own state before it, which is known
exactly. The end of a loop is judged by the sum of all half steps' bounds where no decision
on the way was left to rounding; otherwise by two properties: signs that are the best for
its own levels, and an error that has not risen.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import BROAD, VAST, WIDE, Draw
from subbit.conformance.cases.groups.arb import (
    computed_levels,
    drawn_config,
    drawn_weights,
    flushed_in_rows,
    judge_levels,
    judge_start,
    kept_levels,
    levels_of,
    same_form,
    same_signs,
    signs_in,
)
from subbit.conformance.cases.groups.arb_rc import (
    judge_rc_signs,
    judge_rc_start,
    judge_scales,
    scales_of,
)
from subbit.conformance.cases.groups.arb_x import drawn_calibration, drawn_gram
from subbit.conformance.cases.groups.joint_signs import judge_signs
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup, Plane, Refinement
from subbit.reference.bounds import objective as objective_bounds
from subbit.reference.bounds.groups import arb_runs
from subbit.reference.bounds.groups.arb import refine_mean_bound, refine_scale_bound
from subbit.reference.bounds.groups.arb_rc_fits import (
    refine_column_scale_bound,
    refine_row_scale_bound,
)
from subbit.reference.bounds.groups.arb_x import (
    calibrate_levels_bound,
    calibrated_mean_bound,
    calibrated_scale_bound,
)
from subbit.reference.bounds.groups.joint_levels import solve_levels_bound
from subbit.reference.bounds.layer import decode_bound
from subbit.reference.bounds.objective import flushed_slack
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.groups.arb_rc import ColumnSigns

RISE = 1e-3
"""Share by which an error may exceed that of the start where rounding decided signs."""


def on_host(group: BinaryGroup) -> BinaryGroup:
    """Return a port's state in a form that the reference takes.

    Parameters
    ----------
    group : BinaryGroup
        The port's record.

    Returns
    -------
    BinaryGroup
        The same with NumPy arrays.
    """
    planes = []
    for plane in group.planes:
        columns = None if plane.column_scale is None else _number(plane.column_scale)
        planes.append(Plane(host(plane.sign), _number(plane.row_scale), columns))
    mean = None if group.mean is None else _number(group.mean)
    return replace(group, mask=np.asarray(host(group.mask)), planes=tuple(planes), mean=mean)


def _number(x: object) -> Array:
    return np.asarray(host(x), dtype=np.float64)


def states_of(
    judge: Judge, steps: Iterator[tuple[str, BinaryGroup]], names: list[str]
) -> list[BinaryGroup]:
    """Return a port's states, or an empty list if its steps are not the expected ones.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    steps : iterator of (str, BinaryGroup)
        Steps that the port yields.
    names : list of str
        Expected names of the steps.

    Returns
    -------
    list of BinaryGroup
        The states.
    """
    found = [(name, on_host(group)) for name, group in steps]
    judge.form("names of the steps", [name for name, _ in found], names)
    return [group for _, group in found] if judge.ratio < np.inf else []


@operation(2)
def _arb_steps(port: Port, judge: Judge, draw: Draw) -> None:
    """ARB, each half step from the state before it."""
    W, mask, order = drawn_weights(draw)
    config = drawn_config(draw, levels=draw.pick("levels", ("alternate", "alternate", "exact")))
    scales = ["scale"] * order
    once = ["levels", "signs"] if config.levels == "exact" else ["mean", *scales, "signs"]
    steps = port.arb_steps(W, mask, order=order, config=config, name="rest")
    states = states_of(judge, steps, ["start", *(once * config.iterations)])
    if not states:
        return
    judge.form("name", states[0].name, "rest")
    judge_start(judge, W, mask, states[0], (order, config))
    arithmetic = judge.arithmetic
    for at, (state, group) in enumerate(pairwise(states)):
        name, place = once[at % len(once)], at % len(once)
        if name == "mean":
            made = refine_mean_bound(W, state, arithmetic=arithmetic)
            judge_levels(judge, group, made.levels, 0, state)
        elif name == "scale":
            kind = config.eps_kind
            made = refine_scale_bound(
                W, state, place - 1, eps=config.eps, eps_kind=kind, arithmetic=arithmetic
            )
            judge_levels(judge, group, made.levels, place, state)
        elif name == "levels":
            made = solve_levels_bound(W, state, arithmetic=arithmetic)
            _judge_all_levels(judge, group, made.levels, state)
        else:
            judge_signs(judge, W, group, state, zero=config.sign_zero)


def _judge_all_levels(judge: Judge, group: BinaryGroup, bound: Rounded, state: BinaryGroup) -> None:
    if same_form(judge, group, state):
        same_signs(judge, group, state)
        judge.bound("levels", levels_of(group), bound)


@operation(2)
def _arb_x_steps(port: Port, judge: Judge, draw: Draw) -> None:
    """ARB-X as the equations read, each half step from the state before it."""
    W, mask, order = drawn_weights(draw)
    S, config = drawn_gram(draw, W.shape[1]), drawn_calibration(draw)
    once = ["mean", *["scale"] * order]
    rounds = ["levels"] if config.levels == "exact" else once * config.calibrated_iterations
    steps = port.arb_x_steps(W, mask, S, order=order, config=config, name="rest")
    states = states_of(judge, steps, ["start", *rounds])
    if not states:
        return
    judge.form("name", states[0].name, "rest")
    if config.calibrated_start == "refined":
        judge_end(judge, W, mask, states[0], (order, config))
    else:
        judge_start(judge, W, mask, states[0], (order, config))
    eps, kind, arithmetic = config.calibrated_eps, config.eps_kind, judge.arithmetic
    precision = config.mean_denominator if order == 1 else "float64"
    own = np.where(mask, W, 0.0)
    for at, (state, group) in enumerate(pairwise(states)):
        place = at % len(once)
        if config.levels == "exact":
            made = calibrate_levels_bound(own, state, S, config=config, arithmetic=arithmetic)
            _judge_all_levels(judge, group, made.levels, state)
        elif place == 0:
            made = calibrated_mean_bound(
                W, state, S, eps=eps, eps_kind=kind, precision=precision, arithmetic=arithmetic
            )
            judge_levels(judge, group, made.levels, 0, state)
        else:
            made = calibrated_scale_bound(
                W, state, S, place - 1, eps=eps, eps_kind=kind, arithmetic=arithmetic
            )
            judge_levels(judge, group, made.levels, place, state)


def _column_signs(draw: Draw) -> ColumnSigns:
    return draw.pick("column signs", get_args(ColumnSigns))


@operation(2)
def _arb_rc_steps(port: Port, judge: Judge, draw: Draw) -> None:
    """ARB-RC, each half step from the state before it."""
    W, mask, order = drawn_weights(draw)
    column_signs, config = _column_signs(draw), drawn_config(draw)
    signs = ["signs"] if order == 2 or column_signs == "refreshed" else []
    once = [*["rows", "columns"] * order, *signs]
    steps = port.arb_rc_steps(
        W, mask, order=order, config=config, column_signs=column_signs, name="rest"
    )
    states = states_of(judge, steps, ["start", *(once * config.iterations)])
    if not states:
        return
    judge.form("name", states[0].name, "rest")
    judge_rc_start(judge, W, mask, states[0], (order, config.sign_zero))
    for at, (state, group) in enumerate(pairwise(states)):
        name, plane = once[at % len(once)], at % len(once) // 2
        if name == "signs":
            judge_rc_signs(judge, W, group, state, zero=config.sign_zero)
            continue
        step = refine_row_scale_bound if name == "rows" else refine_column_scale_bound
        made = step(
            W,
            state,
            plane,
            eps=config.eps,
            eps_kind=config.eps_kind,
            arithmetic=judge.arithmetic,
        )
        judge_scales(judge, group, made, made.place(plane, columns=name == "columns"), state)


def _rows_of(W: Array, group: BinaryGroup) -> Array:
    return np.asarray(np.sum((np.where(group.mask, W, 0.0) - group.decode()) ** 2, axis=1))


def _judge_risen(
    judge: Judge, W: Array, group: BinaryGroup, start: BinaryGroup, form: tuple[Refinement, float]
) -> None:
    """Judge that the errors of rows have not risen, except for the pull of an eps."""
    (config, pull), own, first = form, _rows_of(W, group), _rows_of(W, start)
    energy = np.sum(np.where(group.mask, W, 0.0) ** 2, axis=1)
    noise = (64 * W.shape[1] * judge.arithmetic.unit_roundoff + pull**2) * energy
    if judge.arithmetic.narrows:
        # What storing moves, for each entry by as much as all levels of its row together.
        stored = computed_levels(judge.arithmetic.exactly(levels_of(group))).error.sum(axis=1)
        moved = np.sqrt(np.count_nonzero(group.mask, axis=1)) * stored
        noise = noise + 2.0 * np.sqrt(own) * moved + moved**2
    allowed = RISE * first + noise
    flushed = flushed_in_rows(first, group, config, judge.arithmetic)
    for row in np.flatnonzero(np.isfinite(first)):
        name = f"error of row {row}"
        judge.objective(name, own[row], first[row], allowed[row], flushed[row])


def _signs_where(judge: Judge, group: BinaryGroup, basis: Array, decided: Mask) -> None:
    for number, found in enumerate(signs_in(group)):
        what = f"signs of order {number + 1}"
        judge.exact(what, found[decided], basis[number][decided].astype(np.int8))


def judge_end(
    judge: Judge, W: Array, mask: Mask, group: BinaryGroup, form: tuple[int, Refinement]
) -> None:
    """Judge a group refined by ARB.

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
    start = reference.arb_start(W, mask, order=order, config=config, name=group.name)
    if not same_form(judge, group, start):
        return
    if config.iterations == 0:
        judge_start(judge, W, mask, group, form)
        return
    judge_signs(judge, W, group, group, zero=config.sign_zero)
    state, decided = arb_runs.arb_bound(
        W, mask, order=order, config=config, arithmetic=judge.arithmetic
    )
    _signs_where(judge, group, state.basis[1:], decided)
    judge.bound("levels", levels_of(group), kept_levels(state.levels))
    if config.sign_zero == 1:
        pull = config.iterations * config.eps * (W.shape[1] if config.eps_kind == "relative" else 1)
        _judge_risen(judge, W, group, start, (config, pull))


@operation(2, large=(*LARGE, BROAD + 2, VAST, VAST + 1), keeps=True)
def _arb(port: Port, judge: Judge, draw: Draw) -> None:
    """ARB, by the combined bounds of the half steps."""
    W, mask, order = drawn_weights(draw)
    config = drawn_config(draw, levels=draw.pick("levels", ("alternate", "alternate", "exact")))
    group = on_host(port.arb(W, mask, order=order, config=config, name="rest"))
    judge.form("name", group.name, "rest")
    judge_end(judge, W, mask, group, (order, config))


@operation(2, large=(*LARGE, VAST), keeps=True)
def _arb_x(port: Port, judge: Judge, draw: Draw) -> None:
    """ARB-X, by the combined bounds of the half steps."""
    W, mask, order = drawn_weights(draw)
    S, config = drawn_gram(draw, W.shape[1]), drawn_calibration(draw)
    group = on_host(port.arb_x(W, mask, S, order=order, config=config, name="rest"))
    judge.form("name", group.name, "rest")
    arithmetic = judge.arithmetic
    start = reference.arb_start(W, mask, order=order, config=config, name=group.name)
    if not same_form(judge, group, start):
        return
    if config.calibrated_start == "refined":
        state, decided = arb_runs.arb_bound(
            W, mask, order=order, config=config, arithmetic=arithmetic
        )
    else:
        state, decided = arb_runs.arb_start_levels(
            arithmetic.read(W), mask, order=order, config=config
        )
    _signs_where(judge, group, state.basis[1:], decided)
    made = calibrate_levels_bound(
        arithmetic.read(W).keep(mask), state, S, config=config, arithmetic=arithmetic
    )
    known = arb_runs.decided_together(decided, config, config.calibrated_eps)
    unsure = np.where(known, 0.0, np.inf)[:, None] + np.zeros(made.levels.shape)
    judge.bound("levels", levels_of(group), kept_levels(made.levels.widen(unsure)))


@operation(2, large=(*LARGE, WIDE + 1, BROAD + 2))
def _arb_rc(port: Port, judge: Judge, draw: Draw) -> None:
    """ARB-RC, by the combined bounds of the half steps; products of scales, not factors."""
    W, mask, order = drawn_weights(draw)
    # In a column of a single entry the second order has nothing but rounding to represent.
    mask = mask if draw.pick("entries", ("masked", "all")) == "masked" else np.ones_like(mask)
    column_signs, config = _column_signs(draw), drawn_config(draw)
    group = on_host(
        port.arb_rc(W, mask, order=order, config=config, column_signs=column_signs, name="rest")
    )
    judge.form("name", group.name, "rest")
    start = reference.rc_start(W, mask, order=order, config=config, name=group.name)
    if not same_form(judge, group, start):
        return
    if config.iterations == 0:
        judge_rc_start(judge, W, mask, group, (order, config.sign_zero))
        return
    if order == 2 or column_signs == "refreshed":
        judge_rc_signs(judge, W, group, group, zero=config.sign_zero)
    state, decided = arb_runs.arb_rc_bound(
        W,
        mask,
        order=order,
        config=config,
        column_signs=column_signs,
        arithmetic=judge.arithmetic,
    )
    judge.true("all scales are numbers", np.isfinite(scales_of(group)).all())
    if decided:
        rows = np.ones(len(W), dtype=np.bool_)
        _signs_where(judge, group, state.signs, rows)
        for number, plane in enumerate(group.planes):
            if plane.column_scale is not None:
                product = plane.row_scale[:, None] * plane.column_scale
                what = f"products of order {number + 1}"
                judge.bound(what, product, _read_again(state.product(number)))
        return
    judge.skip(scales_of(group).size, "products of scales whose signs rounding decides")
    if config.sign_zero == 1:
        together = np.sum(_rows_of(W, group)), np.sum(_rows_of(W, start))
        energy = np.sum(np.where(mask, W, 0.0) ** 2)
        steps = reference.arb_rc_steps(
            W, mask, order=order, config=config, column_signs=column_signs
        )
        # Scales are quotients of products: what is below √t may be lost to them.
        operations = 4 * order * (config.iterations + 1)
        flushed = flushed_slack(
            together[1], mask.sum(), operations, squares=True, arithmetic=judge.arithmetic
        )
        allowed = RISE * energy + _ridge(steps, config)
        judge.objective("error", *together, allowed, float(flushed))


def _ridge(steps: Iterable[tuple[str, BinaryGroup]], config: Refinement) -> float:
    """How far the eps of ARB-RC may raise the error above that of the start.

    ``α = num / (den + ε)`` minimizes ``‖W - Ŵ‖² + ε ‖α‖²``. So with an absolute ε, the error
    rises by at most the fall of the penalty, which is at most the start's; a relative one has
    a different penalty in each step.
    """
    penalties = [_penalty(group, config) for _, group in steps]
    return penalties[0] if config.eps_kind == "absolute" else sum(penalties)


def _penalty(group: BinaryGroup, config: Refinement) -> float:
    total = 0.0
    for plane in group.planes:
        taken, r, c = plane.sign != 0, plane.row_scale, np.asarray(plane.column_scale)
        shares = (1.0, 1.0)
        if config.eps_kind == "relative":
            shares = np.mean(taken @ c**2), np.mean(r**2 @ taken)
        total += config.eps * (shares[0] * np.sum(r**2) + shares[1] * np.sum(c**2))
    return float(total)


def _read_again(product: Rounded) -> Rounded:
    # The port's factors are multiplied here, in float64.
    return product.widen(product.arithmetic.gamma(1) * product.reach)


def _loop(draw: Draw) -> tuple[Array, list[tuple[str, BinaryGroup]], Array | None]:
    W, mask, order = drawn_weights(draw)
    config = drawn_config(draw, iterations=draw.pick("rounds", (0, 1, 3)))
    kind = draw.pick("loop", ("arb", "arb_rc"))
    loop = reference.arb_steps if kind == "arb" else reference.arb_rc_steps
    steps = list(loop(W, mask, order=order, config=config))
    error = draw.pick("error", ("weights", "calibrated"))
    return W, steps, None if error == "weights" else draw.hessian(W.shape[1])


def _objective_bound(own: Rounded, group: BinaryGroup, S: Array | None) -> Rounded:
    W, arithmetic = own.value, own.arithmetic
    block = reference.QuantizedBlock(0, W.shape[1], (group,))
    image = decode_bound(block, arithmetic=arithmetic)
    if S is None:
        return objective_bounds.weight_error_bound(own, image, arithmetic=arithmetic)
    return objective_bounds.calibrated_error_trace_bound(own, image, S, arithmetic=arithmetic)


@operation(2, decides=False)
def _trace_objective(port: Port, judge: Judge, draw: Draw) -> None:
    """The objective after every half step, on weights and on outputs."""
    W, steps, S = _loop(draw)
    entries = draw.rng.random(W.shape) < 0.7
    given = {"entries": entries} if draw.pick("entries", ("own", "own", "given")) == "given" else {}
    trace = port.trace_objective(W, iter(steps), S, **given)
    judge.form("names", trace.names, [name for name, _ in steps])
    found = host(trace.objectives)
    judge.form("number of objectives", found.shape, (len(steps),))
    if judge.ratio < np.inf:
        for value, (name, group) in zip(found, steps, strict=True):
            own = judge.arithmetic.read(W).keep(entries if given else group.mask)
            bound = _objective_bound(own, group, S)
            judge.bound(f"objective after {name}", value, bound)
    last = steps[-1][1]
    judge.exact("the last state", trace.group.decode(), last.decode())
