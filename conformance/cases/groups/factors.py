"""Levels 1 and 2: factors of a product
=====================================

The signs that factors start from, the projection, and one step of the alternating direction
method of multipliers. Where a sign of a projected factor is left to rounding, its entry is, too.
"""

from functools import partial
from typing import Any

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS
from subbit.conformance.target import Port
from subbit.reference.bounds.groups.factors import admm_step_bound, project_rank_one_bound

PROJECTED = (*CONTINUOUS, "tied", "integer", "zero_rows", "zero_columns", "zeros")


@operation(1, decides=False)
def _start_signs(port: Port, judge: Judge, draw: Draw) -> None:
    """Signs from a hash of their places; seeds to the last one."""
    shape = draw.shape((1, 12), (1, 70))
    seed = draw.pick("seed", (0, 1, 2**31, 2**32 - 1, 12345))
    judge.exact("signs", port.start_signs(*shape, seed), reference.start_signs(*shape, seed))


@operation(2, decides=False)
def _project_rank_one(port: Port, judge: Judge, draw: Draw) -> None:
    """Signs times magnitudes of rank one, after few steps and many."""
    M = draw.values("M", draw.shape((1, 12), (1, 70)), PROJECTED)
    steps = draw.pick("steps", (5, 1, 2, 20))
    bound = project_rank_one_bound(M, steps, arithmetic=judge.arithmetic)
    judge.bound("P(M)", port.project_rank_one(M, steps), bound)


@operation(2, decides=False)
def _admm_step(port: Port, judge: Judge, draw: Draw) -> None:
    """One step from any state, with both factors at once or one after the other."""
    (n, m), r = draw.shape((1, 8), (1, 24)), draw.number("rank", 1, 6)
    sized = partial(draw.values, families=CONTINUOUS)
    W, left, right = sized("W", (n, m)), sized("left", (n, r)), sized("right", (r, m))
    share = draw.pick("duals", (0.25, 0.0, 1.0))
    how: dict[str, Any] = {
        "left_dual": share * sized("left dual", (n, r)),
        "right_dual": share * sized("right dual", (r, m)),
        "penalty": draw.pick("penalty", (0.5, 0.0, 1.0, 2.0)),
        "ridge": draw.pick("ridge", (0.03, 1.0)),
        "steps": draw.pick("steps", (5, 1)),
        "solves": draw.pick("solves", ("jacobi", "gauss-seidel")),
    }
    found = port.admm_step(W, left, right, **how)
    bounds = admm_step_bound(W, left, right, **how, arithmetic=judge.arithmetic)
    names = ("left factor", "right factor", "left dual", "right dual")
    judge.form("parts of the answer", len(found), len(names))
    for name, own, bound in zip(names, found, bounds, strict=False):
        judge.bound(name, own, bound)
