"""Levels 1 and 2: the coarse-to-fine search
=========================================

Cosines, importance and scores are judged by their bounds. Budgets are whole numbers: a
rounded one may differ where it lies on the edge between two; a repaired one is judged by
its sum, its ends and its loss.
"""

from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import MODERATE, Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS, Array
from subbit.conformance.target import Port
from subbit.reference.bounds.pruning import cfs as cfs_bounds
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.pruning.cfs import BudgetRule, FineScore, Importance

KINDS: tuple[Importance, ...] = ("arccos", "one_minus", "reciprocal", "redundancy")
RULES: tuple[BudgetRule, ...] = ("proportional", "proportional", "interpolated")
SCORES: tuple[FineScore, ...] = ("obs", "squared", "trailing", "magnitude", "wanda")


@operation(2)
def _block_cosine(port: Port, judge: Judge, draw: Draw) -> None:
    """Mean cosine of inputs and outputs."""
    x = draw.values("x", draw.shape((1, 12), (1, 40)), (*CONTINUOUS, "zero_rows", "integer"))
    y = x * draw.pick("kept", (1.0, 1.0, 0.0)) + draw.rng.normal(
        scale=draw.pick("added", (0.0, 1e-3, 1.0)), size=x.shape
    )
    if draw.pick("axes", (2, 3)) == 3:
        x, y = x[None], y[None]
    expected = cfs_bounds.block_cosine_bound(
        x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1]), arithmetic=judge.arithmetic
    )
    found = np.asarray(host(port.block_cosine(x, y)))
    judge.bound("cosine", found, expected)
    judge.true("no cosine is beyond 1", np.abs(found) <= 1.0)


@operation(2)
def _layer_importance(port: Port, judge: Judge, draw: Draw) -> None:
    """Importance of mean 1, by each formula."""
    kind, count = draw.pick("kind", KINDS), draw.number("layers", 1, 40)
    low = 0.05 if kind in {"reciprocal", "redundancy"} else draw.pick("least", (0.9, 0.0, -1.0))
    cosines = draw.between(lambda rng: rng.uniform(low, 1.0, count))
    cosines[: draw.pick("ones", (0, 0, 1, count))] = 1.0
    expected = cfs_bounds.layer_importance_bound(cosines, kind=kind, arithmetic=judge.arithmetic)
    judge.bound("importance", port.layer_importance(cosines, kind=kind), expected)


@operation(1)
def _coarse_budget(port: Port, judge: Judge, draw: Draw) -> None:
    """Number of weights out of every M that each layer keeps."""
    keep, group = draw.pick("N:M", ((4, 8), (5, 8), (6, 8), (1, 4), (2, 2)))
    low = draw.pick("low", tuple(range(1, keep + 1)))
    high = draw.pick("high", tuple(range(keep, group + 1)))
    rule = draw.pick("rule", RULES)
    importance = _drawn_importance(draw)
    ends: dict[str, Any] = {"low": low, "high": high}
    if draw.pick("ends", ("given", "given", "default")) == "default":
        low, high, ends = max(keep - 1, 1), min(keep + 1, group), {}
    repair = draw.pick("repair", (True, False))
    found = host(port.coarse_budget(importance, keep, group, **ends, rule=rule, repair=repair))
    judge.form("shape", found.shape, importance.shape)
    judge.true(f"from {low} to {high}", bool(np.all((low <= found) & (found <= high))))
    if judge.ratio == np.inf:
        return
    wishes = cfs_bounds.coarse_wishes_bound(
        importance, keep, low=low, high=high, rule=rule, arithmetic=judge.arithmetic
    )
    if repair:
        judge.exact("sum", found.sum(), keep * len(importance))
        best = reference.coarse_budget(importance, keep, group, **ends, rule=rule)
        own, least = (np.sum((n - wishes.value) ** 2) for n in (found, best))
        slack = np.sum(2.0 * wishes.error * (np.abs(found - best)) + 1e-12 * wishes.reach)
        judge.objective("loss", float(own), float(least), float(slack), flushed=0.0)
        return
    wanted = np.clip(np.floor(wishes.value + 0.5), low, high)
    edge = wishes.value + 0.5 - np.round(wishes.value + 0.5)
    margin = Rounded(
        np.abs(edge), wishes.error + judge.arithmetic.gamma(1) * wishes.reach, (judge.arithmetic)
    )
    judge.decision("budget", found, wanted.astype(found.dtype), margin)


def _drawn_importance(draw: Draw) -> Array:
    count = draw.number("layers", 1, 40)
    few = () if draw.beside else ("halves", "equal")
    if draw.pick("importance", ("drawn", "drawn", *few)) == "equal":
        return np.ones(count)
    if draw.said["importance"] == "halves":
        return np.asarray(draw.rng.integers(0, 8, count) / 4.0)
    return draw.between(lambda rng: rng.gamma(2.0, size=count))


@operation(2)
def _fine_scores(port: Port, judge: Judge, draw: Draw) -> None:
    """Scores of the fine stage."""
    W = draw.weights(MODERATE, columns=(1, 32))
    H, score = draw.hessian(W.shape[1]), draw.pick("score", SCORES)
    H = reference.damp(H, 0.01) if score != "wanda" else H
    expected = cfs_bounds.fine_scores_bound(W, H, score=score, arithmetic=judge.arithmetic)
    judge.bound("scores", port.fine_scores(W, H, score=score), expected)
