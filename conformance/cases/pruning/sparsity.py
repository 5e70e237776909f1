"""Importance scores and sparsity masks
====================================

Masks of given scores are exact on values that a port's type holds, ties included, and judged
by their margin on others; scores are held to their bounds, and a mask of a port's own scores
to the margin that those bounds leave. The number of kept entries is exact.
"""

import inspect
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import VAST, Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import ALL, SUMMABLE, Array, Mask, steady
from subbit.conformance.target import Port
from subbit.reference.bounds.pruning import sparsity as sparsity_bounds
from subbit.reference.bounds.rounding import Rounded

GROUPS = (1, 2, 3, 4, 4, 5, 8, 8, 16, 16, 32)
SPARSITIES = (0.0, 0.25, 0.29, 0.5, 0.75, 0.99)
EXPONENTS = (0.5, 1.0, 0.0, 0.3)
SCORES = ("magnitude", "wanda", "ria", "standardized")


def _pattern(draw: Draw) -> tuple[dict[str, Any], int]:
    """Draw N, M and the treatment of the last columns, and a width that suits them."""
    group = draw.pick("group", GROUPS)
    keep = draw.number("keep", 1, group)
    tail = draw.pick("tail", ("error", "dense"))
    rest = draw.number("rest", 0, group - 1) if tail == "dense" and group > 1 else 0
    # As many groups as any width needs that is asked for.
    fewest = -(-draw.least.get("columns", 0) // group)
    width = group * draw.number("groups", max(fewest, 0 if rest else 1), max(fewest, 5)) + rest
    return {"keep": keep, "group": group, "tail": tail}, width


def _norms(draw: Draw, width: int) -> Array:
    norms = steady(np.exp(1.5 * draw.rng.standard_normal(width)))
    kind = draw.pick("norms", ("spread", "spread", "equal", "some zero"))
    if kind == "equal":
        return np.full(width, norms[0])
    return np.where(draw.rng.random(width) < 0.3, 0.0, norms) if kind == "some zero" else norms


def _weights(draw: Draw) -> tuple[Array, Array]:
    W = draw.weights()
    return W, _norms(draw, W.shape[1])


def judge_pattern(judge: Judge, mask: Mask, keep: int, group: int) -> None:
    """Judge that a mask keeps N of every M, and the last columns that make no group.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    mask : ndarray of bool, shape (n, m)
        The port's mask.
    keep, group : int
        N and M.
    """
    whole = mask.shape[1] // group * group
    count = mask[:, :whole].reshape(len(mask), -1, group).sum(axis=-1)
    judge.exact("kept of each group", count, np.full(count.shape, keep))
    judge.true("last columns are kept", mask[:, whole:].all())


def _judge_mask(judge: Judge, mask: Any, scores: Rounded, pattern: dict[str, Any]) -> None:  # noqa: ANN401
    found, keep, group = host(mask), pattern["keep"], pattern["group"]
    margin = sparsity_bounds.nm_mask_margin(scores, keep, group, arithmetic=judge.arithmetic)
    judge.decision("mask", found, reference.nm_mask(scores.value, **pattern), margin)
    if found.shape == scores.shape:
        judge_pattern(judge, found, keep, group)


@operation(1)
def _nm_mask(port: Port, judge: Judge, draw: Draw) -> None:
    """The N largest of every M given scores."""
    pattern, width = _pattern(draw)
    shape = (draw.number("rows", 1, 6), width)
    if draw.pick("apart", ("as drawn", "as drawn", "hardly")) == "hardly":
        apart = 2.0**-40 * draw.rng.integers(-9, 10, shape)
        scores = draw.values("scores", shape, SUMMABLE) + apart
    else:
        scores = draw.values("scores", shape, ALL)
    _judge_mask(judge, port.nm_mask(scores, **pattern), judge.arithmetic.read(scores), pattern)


@operation(1)
def _row_mask(port: Port, judge: Judge, draw: Draw) -> None:
    """A share of each row's scores."""
    scores, sparsity = draw.weights(), draw.pick("sparsity", SPARSITIES)
    found = host(port.row_mask(scores, sparsity))
    wanted = reference.row_mask(scores, sparsity)
    margin = sparsity_bounds.row_mask_margin(scores, sparsity, arithmetic=judge.arithmetic)
    judge.decision("mask", found, wanted, margin)
    judge.exact("kept of each row", np.sum(found, axis=-1), np.sum(wanted, axis=-1))


@operation(1)
def _threshold_mask(port: Port, judge: Judge, draw: Draw) -> None:
    """A share of all scores."""
    scores, sparsity = draw.weights(), draw.pick("sparsity", SPARSITIES)
    margin = sparsity_bounds.threshold_mask_margin(scores, sparsity, arithmetic=judge.arithmetic)
    wanted = reference.threshold_mask(scores, sparsity)
    judge.decision("mask", port.threshold_mask(scores, sparsity), wanted, margin)


@operation(1)
def _magnitude_importance(port: Port, judge: Judge, draw: Draw) -> None:
    """Magnitudes."""
    W = draw.weights()
    judge.bound("scores", port.magnitude_importance(W), judge.arithmetic.read(W).absolute())


@operation(2)
def _input_norms(port: Port, judge: Judge, draw: Draw) -> None:
    """Roots of half of the Hessian's diagonal."""
    H = draw.hessian(draw.number("width", 1, 40), ("iid", "dead", "integer"))
    bound = sparsity_bounds.input_norms_bound(H, arithmetic=judge.arithmetic)
    judge.bound("norms", port.input_norms(H), bound)


@operation(2)
def _wanda_importance(port: Port, judge: Judge, draw: Draw) -> None:
    """Magnitudes times norms."""
    W, norms = _weights(draw)
    bound = sparsity_bounds.wanda_importance_bound(W, norms, arithmetic=judge.arithmetic)
    judge.bound("scores", port.wanda_importance(W, norms), bound)


@operation(2)
def _ria_importance(port: Port, judge: Judge, draw: Draw) -> None:
    """Shares of column and row times powers of norms."""
    W, norms = _weights(draw)
    power = draw.pick("exponent", EXPONENTS)
    bound = sparsity_bounds.ria_importance_bound(
        W, norms, exponent=power, arithmetic=judge.arithmetic
    )
    judge.bound("scores", port.ria_importance(W, norms, exponent=power), bound)


@operation(2, large=(*LARGE, VAST + 2))
def _standardized_importance(port: Port, judge: Judge, draw: Draw) -> None:
    """STBLLM's Eq. (2), with either order and either axis."""
    W, norms = _weights(draw)
    switches = _switches(draw)
    bound = sparsity_bounds.standardized_importance_bound(
        W, norms, **switches, arithmetic=judge.arithmetic
    )
    judge.bound("scores", port.standardized_importance(W, norms, **switches), bound)


def _switches(draw: Draw) -> dict[str, Any]:
    return {
        "exponent": draw.pick("exponent", EXPONENTS),
        "standardize": draw.pick("standardize", ("before", "after", "none")),
        "axis": draw.pick("axis", ("row", "matrix")),
    }


@operation(2, "nm_mask", *(f"{score}_importance" for score in SCORES), name="nm_mask_of_importance")
def _nm_mask_of_importance(port: Port, judge: Judge, draw: Draw) -> None:
    """The mask of scores that the port computed itself."""
    pattern, width = _pattern(draw)
    W = draw.values("W", (draw.number("rows", 1, 6), width), ALL)
    name = f"{draw.pick('score', SCORES)}_importance"
    given = {"W": W} if name.startswith("magnitude") else {"W": W, "norms": _norms(draw, width)}
    taken = inspect.signature(getattr(reference, name)).parameters
    switches = {key: value for key, value in _switches(draw).items() if key in taken}
    bound = judge.arithmetic.read(W).absolute()
    if "norms" in given:
        bounded = getattr(sparsity_bounds, f"{name}_bound")
        bound = bounded(**given, **switches, arithmetic=judge.arithmetic)
    mask = port.nm_mask(getattr(port, name)(**given, **switches), **pattern)
    _judge_mask(judge, mask, bound, pattern)
