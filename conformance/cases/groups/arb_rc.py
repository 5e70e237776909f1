"""Level 2: half steps of ARB-RC
=============================

Row and column scales from exactly known states. A half step determines its scales for given
others, so factors are compared here; whole loops are compared by their products.
"""

from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import BROAD, VAST, WIDE, Draw
from subbit.conformance.cases.groups.arb import (
    EPS,
    ZEROS,
    drawn_config,
    drawn_state,
    drawn_weights,
    same_form,
    same_signs,
    signs_in,
)
from subbit.conformance.cases.groups.joint_signs import judge_joint
from subbit.conformance.cases.groups.judged import signs_of
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import Array
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup
from subbit.reference.bounds.groups import arb_rc as arb_rc_bounds
from subbit.reference.bounds.groups import arb_rc_fits
from subbit.reference.bounds.groups.arb_rc import RoundedScales
from subbit.reference.notation import AnyArray, SignOfZero


def scales_of(group: BinaryGroup) -> AnyArray:
    """Return all scales of a port's group, one order after the other.

    Parameters
    ----------
    group : BinaryGroup
        The record.

    Returns
    -------
    ndarray of float64, shape (p (n + k),)
        Row and column scales of each order; missing ones make them incomparable.
    """
    parts = []
    for plane in group.planes:
        columns = np.full(group.mask.shape[1], np.nan)
        columns = columns if plane.column_scale is None else host(plane.column_scale)
        parts += [host(plane.row_scale), columns]
    return np.concatenate(parts).astype(np.float64)


def judge_scales(
    judge: Judge, group: BinaryGroup, bound: RoundedScales, place: slice, state: BinaryGroup
) -> None:
    """Judge a half step that moves the scales of one side and order.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    group : BinaryGroup
        The port's group.
    bound : RoundedScales
        The scales after the step.
    place : slice
        The scales that it moves.
    state : BinaryGroup
        The group before.
    """
    if same_form(judge, group, state):
        same_signs(judge, group, state)
        found, stay = scales_of(group), np.ones(bound.scales.shape, dtype=np.bool_)
        stay[place] = False
        kept = bound.scales.kept_as("scales")
        judge.bound("the refined scales", found[place], kept[place])
        judge.bound("scales that stay", found[stay], kept[stay])


def judge_rc_start(
    judge: Judge, W: Array, mask: AnyArray, group: BinaryGroup, form: tuple[int, SignOfZero]
) -> None:
    """Judge the initial values of ARB-RC.

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
        Number of sign planes, and the sign of zero.
    """
    order, zero = form
    judge.form("mask", group.mask, mask)
    judge.form("shapes of signs", [s.shape for s in signs_in(group)], [mask.shape] * order)
    judge.true("there is no mean", group.mean is None)
    if judge.ratio == np.inf:
        return
    signs = signs_in(group)
    bound, distances = arb_rc_bounds.rc_start_bound(
        W, mask, order=order, sign_zero=zero, signs=signs, arithmetic=judge.arithmetic
    )
    for number, found in enumerate(signs):
        what = f"signs of order {number + 1}"
        signs_of(judge, found, distances[number], mask, zero, what=what)
    judge.bound("scales", scales_of(group), bound.scales.kept_as("scales"))


def judge_rc_signs(
    judge: Judge, W: Array, group: BinaryGroup, state: BinaryGroup, *, zero: SignOfZero
) -> None:
    """Judge the signs that a port gave a group with column scales.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : ndarray of float64, shape (n, k)
        Weights.
    group, state : BinaryGroup
        The port's group and the one that it was made from.
    zero : {0, 1}
        Sign of zero at order 1.
    """
    if not same_form(judge, group, state):
        return
    scales = RoundedScales.of(state, judge.arithmetic)
    judge.bound("scales that stay", scales_of(group), scales.scales.kept_as("scales"))
    own = judge.arithmetic.read(W).keep(scales.mask)
    if len(state.planes) == 1:
        signs_of(judge, signs_in(group)[0], own, scales.mask, zero)
    else:
        products = (scales.product(0), scales.product(1))
        judge_joint(judge, own, products, signs_in(group), scales.mask)


def _state(draw: Draw) -> tuple[Array, BinaryGroup]:
    W, mask, order = drawn_weights(draw)
    config = drawn_config(draw, iterations=3)
    return W, drawn_state(draw, reference.arb_rc_steps(W, mask, order=order, config=config))


@operation(2, keeps=True)
def _rc_start(port: Port, judge: Judge, draw: Draw) -> None:
    """Initial row scales, column scales and signs."""
    W, mask, order = drawn_weights(draw)
    config = drawn_config(draw)
    group = port.rc_start(W, mask, order=order, config=config, name="rest")
    judge.form("name", group.name, "rest")
    judge_rc_start(judge, W, mask, group, (order, config.sign_zero))


def _fit(port: Port, judge: Judge, draw: Draw, side: str) -> None:
    W, state = _state(draw)
    plane = draw.pick("plane", tuple(range(len(state.planes))))
    switches: dict[str, Any] = {"eps": draw.pick("step's eps", EPS)}
    switches["eps_kind"] = draw.pick("step's kind", ("absolute", "relative"))
    name = f"refine_{side}_scale"
    bound = getattr(arb_rc_fits, f"{name}_bound")(
        W, state, plane, **switches, arithmetic=judge.arithmetic
    )
    place = bound.place(plane, columns=side == "column")
    judge_scales(judge, getattr(port, name)(W, state, plane, **switches), bound, place, state)


@operation(2, decides=False, keeps=True, large=(*LARGE, VAST))
def _refine_row_scale(port: Port, judge: Judge, draw: Draw) -> None:
    """Row scales for given column scales and signs."""
    _fit(port, judge, draw, "row")


@operation(2, decides=False, keeps=True, large=(*LARGE, WIDE + 1, BROAD + 2, VAST))
def _refine_column_scale(port: Port, judge: Judge, draw: Draw) -> None:
    """Column scales for given row scales and signs."""
    _fit(port, judge, draw, "column")


@operation(2, keeps=True)
def _refine_rc_signs(port: Port, judge: Judge, draw: Draw) -> None:
    """The signs for given scales."""
    W, state = _state(draw)
    zero = draw.pick("sign of zero", ZEROS)
    judge_rc_signs(judge, W, port.refine_rc_signs(W, state, sign_zero=zero), state, zero=zero)
