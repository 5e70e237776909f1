"""Level 2: searches
=================

Objectives of all candidates are judged by their bounds, the choice by its objective. The
forms called "direct" have no allowance for running sums.
"""

from typing import Any

import numpy as np

from subbit.conformance.cases.draw import BROAD, CONTINUOUS, MODERATE, PAIRED, WIDE, Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones import calibrated_split
from subbit.reference.bounds.zones.salient import salient_search_bound
from subbit.reference.bounds.zones.split import (
    bell_split_search_bound,
    choice_margin,
)
from subbit.reference.notation import AnyArray

ORDERS = ((1, 1), (2, 2), (2, 1), (1, 2))
TAME = (*CONTINUOUS, "tied", "zero_rows", "constant_magnitude")


def judge_search(judge: Judge, found: Any, candidates: AnyArray, bound: Rounded) -> None:  # noqa: ANN401
    """Judge a search: all objectives, and the choice by its objective.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    found : Search
        The port's answer.
    candidates : ndarray, shape (c,)
        Expected candidates.
    bound : Rounded
        Objectives of all candidates, shape (c,).
    """
    judge.bound("candidates", found.candidates, judge.arithmetic.read(candidates))
    judge.bound("objectives", found.objectives, bound)
    least = int(np.argmin(host(found.objectives)))
    judge.exact("the first least objective", int(found.best), least)
    judge.bound("choice", found.choice, judge.arithmetic.read(candidates[least]))
    if least < len(candidates):
        judge.choice("the chosen objective", choice_margin(bound, least))


def _salient(port: Port, judge: Judge, draw: Draw, name: str) -> None:
    T = draw.weights(MODERATE, columns=(1, 50))
    order = draw.rng.permutation(T.shape[1])
    ranking = order[: draw.number("ranked", 1, T.shape[1])]
    counts = draw.rng.permutation(len(ranking) + 1)[: draw.number("tried", 1, 9)]
    switches = {"orders": draw.pick("orders", ((1, 1), (2, 2), (2, 1))), **draw.mode()}
    if draw.pick("entries", ("all", "some")) == "some":
        switches["entries"] = draw.mask(T.shape)
    found = getattr(port, name)(T, ranking, counts, **switches)
    running = name == "salient_search"
    bound = salient_search_bound(
        T, ranking, counts, **switches, running=running, arithmetic=judge.arithmetic
    )
    judge_search(judge, found, counts, bound)


@operation(2, large=(*LARGE, BROAD + 1))
def _salient_search(port: Port, judge: Judge, draw: Draw) -> None:
    """The number of salient columns."""
    _salient(port, judge, draw, "salient_search")


@operation(2)
def _salient_search_direct(port: Port, judge: Judge, draw: Draw) -> None:
    """The number of salient columns, as the equation reads."""
    _salient(port, judge, draw, "salient_search_direct")


def draw_cuts(draw: Draw, key: Array, *, many: bool = True) -> Array:
    """Draw thresholds on entries and between them.

    Parameters
    ----------
    draw : Draw
        The case.
    key : ndarray of float64, shape (n, k)
        Values to cut.
    many : bool, default True
        Whether a large case has more thresholds than a block has threads.

    Returns
    -------
    ndarray of float64, shape (c,)
        Thresholds in any order.
    """
    few = draw.number("thresholds" if many or not draw.least else "cuts", 1, 6)
    entries = draw.rng.choice(key.ravel(), few)
    return draw.rng.permutation([*entries, *(draw.rng.uniform(0, 1.2, few) * key.max())])


def draw_part(draw: Draw, shape: tuple[int, int]) -> Mask:
    """Draw columns or entries that take part.

    Parameters
    ----------
    draw : Draw
        The case.
    shape : tuple of int
        (n, k).

    Returns
    -------
    ndarray of bool, shape (k,) or (n, k)
        The columns or entries.
    """
    if draw.pick("part", ("columns", "entries")) == "columns":
        return draw.columns(shape[1])
    return draw.mask(shape)


def _split(port: Port, judge: Judge, draw: Draw, *, direct: bool) -> None:
    T = draw.weights(MODERATE, columns=(1, 50))
    part = draw_part(draw, T.shape)
    switches: dict[str, Any] = {"closed": draw.pick("closed", (True, False))}
    key = np.abs(T)
    if direct and draw.pick("key", ("target", "other")) == "other":
        key = draw.rng.integers(0, 4, T.shape).astype(np.float64)
        switches["key"] = key
    cuts = draw_cuts(draw, key)
    switches |= {"orders": draw.pick("orders", ORDERS), **draw.mode()}
    search = port.bell_split_search_direct if direct else port.bell_split_search
    found = search(T, part, cuts, **switches)
    bound = bell_split_search_bound(
        T, part, cuts, **switches, running=not direct, arithmetic=judge.arithmetic
    )
    judge_search(judge, found, cuts, bound)


@operation(2)
def _bell_split_search(port: Port, judge: Judge, draw: Draw) -> None:
    """The cut of the bell."""
    _split(port, judge, draw, direct=False)


@operation(2)
def _bell_split_search_direct(port: Port, judge: Judge, draw: Draw) -> None:
    """The cut of the bell, as the equation reads, by any key."""
    _split(port, judge, draw, direct=True)


@operation(2, large=(*LARGE, WIDE + 3, PAIRED + 5, BROAD + 2))
def _calibrated_split_search(port: Port, judge: Judge, draw: Draw) -> None:
    """The cut of the bell, measured on outputs."""
    T = draw.weights(TAME, columns=(1, 32))
    n, k = T.shape
    S, part = draw.hessian(k) / 2, draw_part(draw, (n, k))
    switches: dict[str, Any] = {"closed": draw.pick("closed", (True, False))}
    key = np.abs(T)
    if draw.pick("key", ("target", "other")) == "other":
        key = draw.rng.integers(0, 4, T.shape).astype(np.float64)
        switches["key"] = key
    if draw.pick("image", ("none", "given")) == "given":
        switches["image"] = np.round(T)
    # The square of the columns for each of them.
    cuts = draw_cuts(draw, key, many=False)
    switches |= {"orders": draw.pick("orders", ORDERS), **draw.mode()}
    found = port.calibrated_split_search(T, part, cuts, S, **switches)
    bound = calibrated_split.calibrated_split_search_bound(
        T, part, cuts, S, **switches, arithmetic=judge.arithmetic
    )
    judge_search(judge, found, cuts, bound)


@operation(2)
def _interval_errors(port: Port, judge: Judge, draw: Draw) -> None:
    """Errors of cutting rows at magnitudes."""
    T = draw.weights(MODERATE, columns=(1, 50))
    cuts = draw_cuts(draw, np.abs(T))
    switches = {"closed": draw.pick("closed", (True, False)), **draw.mode()}
    switches["orders"] = draw.pick("orders", ORDERS)
    part = draw_part(draw, T.shape)
    bound = bell_split_search_bound(
        T, part, cuts, **switches, running=True, arithmetic=judge.arithmetic
    )
    judge.bound("errors", port.interval_errors(T, cuts, **switches, part=part), bound)


@operation(2)
def _prefix_errors(port: Port, judge: Judge, draw: Draw) -> None:
    """Errors of binarizing the first columns."""
    T = draw.weights(MODERATE, columns=(1, 50))
    counts = draw.rng.permutation(T.shape[1])[: draw.number("tried", 1, 9)] + 1
    order, mode = draw.pick("order", (1, 2)), draw.mode()
    part = draw.mask(T.shape) if draw.pick("part", ("all", "some")) == "some" else None
    found = host(port.prefix_errors(T, counts, order=order, part=part, **mode))
    judge.form("number of errors", found.shape, counts.shape)
    for place, count in enumerate(counts):
        # Only the first columns: both groups of a search, the second of them empty.
        bound = salient_search_bound(
            T,
            np.arange(count),
            [count],
            orders=(order, 1),
            **mode,
            entries=part,
            running=True,
            arithmetic=judge.arithmetic,
        )
        judge.bound(f"error of {count} columns", found[place : place + 1], bound)
