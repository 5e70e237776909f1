"""Levels 1 and 2: signs of refinements
=====================================

Signs are judged by their margin, two signs of an entry at once by the distances of their
levels; on numbers of few bits nothing is rounded, and ties are decided as in the reference.
"""

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import MODERATE, Draw
from subbit.conformance.cases.groups.arb import (
    ZEROS,
    arb_state,
    computed_levels,
    kept_levels,
    levels_of,
    same_form,
    signs_in,
)
from subbit.conformance.cases.groups.judged import signs_of
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import SUMMABLE, Array
from subbit.conformance.target import Port
from subbit.reference import BinaryGroup
from subbit.reference.bounds.groups import joint_signs as joint_signs_bounds
from subbit.reference.bounds.groups.refinement import RoundedLevels
from subbit.reference.bounds.rounding import Input, Rounded
from subbit.reference.notation import AnyArray, SignOfZero


def judge_signs(
    judge: Judge, W: Input, group: BinaryGroup, state: BinaryGroup, *, zero: SignOfZero
) -> None:
    """Judge the signs that a port gave a group.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group, state : BinaryGroup
        The port's group and the one that it was made from; the same if its signs have to be
        the best for its own levels.
    zero : {0, 1}
        Sign of zero at order 1.
    """
    if not same_form(judge, group, state):
        return
    arithmetic = judge.arithmetic
    levels = RoundedLevels.of(state, arithmetic)
    judge.bound("levels that stay", levels_of(group), kept_levels(levels.levels))
    if group is state:
        # They were decided before the levels were stored.
        levels = RoundedLevels.at(levels.basis, computed_levels(levels.levels))
    Z = arithmetic.checked("W", W).keep(levels.mask) - levels.mean[:, None]
    if len(state.planes) == 1:
        signs_of(judge, signs_in(group)[0], Z, levels.mask, zero)
    else:
        u, v = (scale[:, None] for scale in levels.scales)
        judge_joint(judge, Z, (u, v), signs_in(group), levels.mask)


def judge_joint(
    judge: Judge,
    Z: Rounded,
    scales: tuple[Rounded, Rounded],
    signs: tuple[AnyArray, ...],
    mask: AnyArray,
) -> None:
    """Judge two signs of each entry by the distances of their levels.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    Z : Rounded
        Values to represent.
    scales : tuple of Rounded
        Scales of the first and of the second sign.
    signs : tuple of ndarray of int8, shape (n, k)
        The port's signs.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    """
    for number, found in enumerate(signs):
        judge.exact(f"entries with a sign of order {number + 1}", np.abs(found), mask)
    if judge.ratio < np.inf:
        margin = joint_signs_bounds.joint_signs_margin(Z, *scales, *signs)
        judge.choice("the nearest level", margin.keep(mask))


@operation(2, keeps=True)
def _refine_signs(port: Port, judge: Judge, draw: Draw) -> None:
    """The signs for given levels."""
    W, state = arb_state(draw)
    zero = draw.pick("sign of zero", ZEROS)
    judge_signs(judge, W, port.refine_signs(W, state, sign_zero=zero), state, zero=zero)


@operation(2)
def _joint_signs(port: Port, judge: Judge, draw: Draw) -> None:
    """Two signs at once, for scales of rows and for scales of entries."""
    Z = draw.weights(MODERATE, columns=(1, 40))
    width = draw.pick("width of the scales", (1, Z.shape[1]))
    scales = [draw.rng.uniform(-0.5, 2.0, (len(Z), width)) for _ in "uv"]
    signs = tuple(host(s) for s in port.joint_signs(Z, *scales))
    values, u, v = (judge.arithmetic.read(x) for x in (Z, *scales))
    judge.form("shapes", [s.shape for s in signs], [Z.shape] * 2)
    if judge.ratio < np.inf:
        judge_joint(judge, values, (u, v), signs, np.ones(Z.shape, dtype=np.bool_))


@operation(1, "joint_signs", name="exact_joint_signs")
def _exact_joint_signs(port: Port, judge: Judge, draw: Draw) -> None:
    """On numbers of few bits nothing is rounded, and the first of equally near levels counts."""
    shape = draw.shape((1, 4), (1, 12))
    Z, u, v = (draw.rng.integers(-6, 7, s) / 2 for s in (shape, shape, (shape[0], 1)))
    judge.exact("signs", port.joint_signs(Z, u, v), reference.joint_signs(Z, u, v))


@operation(1, "refine_signs", "refine_rc_signs", name="exact_signs", keeps=True)
def _exact_signs(port: Port, judge: Judge, draw: Draw) -> None:
    """Signs of groups of few bits, ties and zeros included."""
    zero, order = draw.pick("sign of zero", ZEROS), draw.pick("order", (1, 2))
    W = draw.values("W", draw.shape((1, 4), (1, 12)), SUMMABLE)
    mask = draw.mask((W.shape[0], W.shape[1]))
    few = draw.rng.integers(0, 5, (2, 2, len(W))) / 2
    start = reference.residual_binarize(W, mask, order=order)
    planes = tuple(
        reference.Plane(plane.sign, scale)
        for plane, scale in zip(start.planes, few[0], strict=False)
    )
    group = BinaryGroup("all", mask, planes, few[1, 0])
    _same_signs_as(judge, "refine_signs", port, (W, group), zero)
    columns = np.asarray(draw.rng.integers(0, 3, W.shape[1]), dtype=np.float64)
    planes = tuple(reference.Plane(p.sign, p.row_scale, columns) for p in planes)
    _same_signs_as(judge, "refine_rc_signs", port, (W, BinaryGroup("all", mask, planes)), zero)


def _same_signs_as(
    judge: Judge, name: str, port: Port, given: tuple[Array, BinaryGroup], zero: SignOfZero
) -> None:
    found, wanted = (getattr(p, name)(*given, sign_zero=zero) for p in (port, reference))
    judge.exact(f"signs of {name}", signs_in(found), signs_in(wanted))
