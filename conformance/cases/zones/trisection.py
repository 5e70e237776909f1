"""The trisection: masks, candidates and both searches
====================================================

Judged like the bell split, with two magnitudes at which an entry may change groups.
"""

from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import BROAD, MODERATE, PAIRED, WIDE, Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.cases.zones.search import draw_cuts, draw_part, judge_search
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones import trisection as trisection_bounds
from subbit.reference.notation import AnyArray

ORDERS = ((1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 2, 1), (1, 2, 2), (1, 2, 1))
FACTORS = (2.0, 2.0, 1.0, 1.5, 4.0, 1e6)
REGIONS = ("dense", "intermediate", "sparse")


@operation(1)
def _trisection(port: Port, judge: Judge, draw: Draw) -> None:
    """Masks of a given threshold."""
    key = np.abs(draw.weights())
    part = draw_part(draw, key.shape)
    switches: dict[str, Any] = {"factor": draw.pick("factor", FACTORS)}
    # Entries lie on the lower or on the upper magnitude, or on neither.
    share = draw.pick("times", (1.0, 1.0 / switches["factor"], 0.7))
    threshold = float(draw.rng.choice(key.ravel())) * share
    margins = trisection_bounds.trisection_margin(
        key, threshold, **switches, arithmetic=judge.arithmetic
    )
    switches["closed"] = draw.pick("closed", (True, False))
    masks = [host(mask) for mask in port.trisection(key, part, threshold, **switches)]
    wanted = reference.trisection(key, part, threshold, **switches)
    lower, upper = (_among(margin, part) for margin in margins)
    judge.decision(REGIONS[0], masks[0], wanted[0], lower)
    judge.decision(REGIONS[2], masks[2], wanted[2], upper)
    cover = np.sum(np.asarray(masks, dtype=np.intp), axis=0)
    judge.exact("groups at each entry", cover, np.broadcast_to(part, key.shape).astype(np.intp))


def _among(margin: Rounded, part: AnyArray) -> Rounded:
    # Entries that take no part are not cut, and masks are exactly empty there.
    value, error = np.where(part, margin.value, 1.0), np.where(part, margin.error, 0.0)
    return Rounded(value, error, margin.arithmetic)


@operation(2)
def _trisection_thresholds(port: Port, judge: Judge, draw: Draw) -> None:
    """Candidates whose upper magnitude lies within the grid."""
    cuts = np.sort(np.unique(np.abs(draw.weights(columns=(1, 20)))))
    factor = draw.pick("factor", (2.0, 1.0, 1.5, 4.0))
    found = host(port.trisection_thresholds(cuts, factor=factor))
    wanted = reference.trisection_thresholds(cuts, factor=factor)
    margin = trisection_bounds.trisection_thresholds_margin(
        cuts, factor=factor, arithmetic=judge.arithmetic
    )
    judge.true("there are candidates", 1 <= len(found) <= len(cuts))
    judge.bound("candidates", found, judge.arithmetic.read(cuts)[: len(found)])
    within, every = factor * cuts <= cuts[-1], len(wanted) == len(cuts)
    own = np.arange(len(cuts)) < len(found)
    if len(found) == len(cuts) and not (every and within.all()):
        # All candidates are tried if none is within the grid.
        own = np.zeros(len(cuts), dtype=np.bool_)
    judge.decision("within the grid", own, within, margin)


def _search(port: Port, judge: Judge, draw: Draw, *, direct: bool) -> None:
    T = draw.weights(MODERATE, columns=(1, 50))
    part, key = draw_part(draw, T.shape), np.abs(T)
    switches: dict[str, Any] = {"factor": draw.pick("factor", FACTORS)}
    if direct and draw.pick("key", ("target", "other")) == "other":
        key = draw.rng.integers(0, 8, T.shape).astype(np.float64)
        switches["key"] = key
    cuts = draw_cuts(draw, key)
    # Half of the entries that are tried lie on the upper magnitude.
    cuts[::2] /= switches["factor"]
    switches["closed"] = draw.pick("closed", (True, False))
    switches |= {"orders": draw.pick("orders", ORDERS), **draw.mode()}
    search = port.trisection_search_direct if direct else port.trisection_search
    found = search(T, part, cuts, **switches)
    bound = trisection_bounds.trisection_search_bound(
        T, part, cuts, **switches, running=not direct, arithmetic=judge.arithmetic
    )
    judge_search(judge, found, cuts, bound)


@operation(2, share=0.5, large=(*LARGE, WIDE + 4, PAIRED + 12, BROAD + 2))
def _trisection_search(port: Port, judge: Judge, draw: Draw) -> None:
    """The cut of the rest in three."""
    _search(port, judge, draw, direct=False)


@operation(2, share=0.5)
def _trisection_search_direct(port: Port, judge: Judge, draw: Draw) -> None:
    """The cut of the rest in three, as the equation reads, by any key."""
    _search(port, judge, draw, direct=True)
