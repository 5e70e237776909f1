"""Which cases are drawn
=====================

A case is a seed of an operation. The seeds follow from the operation's name and the depth
alone, so every machine checks the same cases. Only exploration draws others; its findings
are pinned in ``vectors/pinned.json`` and checked from then on, at every depth.
"""

from collections.abc import Mapping

from subbit.conformance.cases.draw import BARE, NEAR
from subbit.conformance.cases.names import cases_of
from subbit.conformance.cases.pinned import pinned_cases
from subbit.conformance.cases.registry import LAYERS, Operation
from subbit.conformance.inputs.seeds import seed_of
from subbit.reference.errors import ArgumentError

CASES: Mapping[str, int] = {"quick": 6, "ci": 24, "long": 300}
"""Cases of each operation, by depth."""
BESIDE: Mapping[str, int] = {"quick": 1, "ci": 3, "long": 40}
"""Cases beside a decision, by depth."""
RARE: Mapping[str, int] = {"quick": 0, "ci": 3, "long": 9}
"""The same of an operation that has few."""
DEGENERATE: Mapping[str, int] = {"quick": 1, "ci": 6, "long": 30}
"""Degenerate cases, by depth: of tiny numbers first, then of each kind. Whole layers
have a few."""
OF_LAYERS = 1 / 6
"""Share of these that an operation of level 3 has."""
DEFAULT_DEPTH = "ci"
FEWEST = 3
"""Cases of an operation, however small its share."""
SMALL = 5
"""Cases that every operation starts with; their seeds draw small shapes."""


def seeds_of(item: Operation, depth: str) -> list[int]:
    """Return the cases that a depth checks.

    Parameters
    ----------
    item : Operation
        The operation.
    depth : {"quick", "ci", "long"}
        How many; a depth also checks all cases of the shallower ones.

    Returns
    -------
    list of int
        Small cases first, then some of any size, then those beside a decision, then
        degenerate ones, then large ones, but not at the depth "quick", then the pinned ones.

    Raises
    ------
    ArgumentError
        If there is no such depth.

    Examples
    --------
    >>> from subbit.conformance.cases import OPERATIONS
    >>> seeds_of(OPERATIONS["masked_mean"], "quick")[:6]
    [0, 1, 2, 3, 4, 2623704365]
    """
    if depth not in CASES:
        raise ArgumentError("depth", "one of " + ", ".join(CASES), depth)
    if item.level == 0:
        return list(range(cases_of(item)))
    number = max(FEWEST, round(CASES[depth] * item.share))
    drawn = [n if n < SMALL or item.numbered else seed_of(item.name, n) for n in range(number)]
    beside = _beside(item, depth) if item.decides else []
    few = OF_LAYERS if item.level >= LAYERS else 1.0
    bare = [] if item.numbered else _some(BARE, DEGENERATE[depth] * few, item)
    large = () if depth == "quick" else item.large
    pinned = (case.seed for case in pinned_cases() if case.operation == item.name)
    return list(dict.fromkeys([*drawn, *beside, *bare, *large, *pinned]))


def _beside(item: Operation, depth: str) -> list[int]:
    if item.rarely:
        return [NEAR + n for n in range(RARE[depth])]
    return _some(NEAR, BESIDE[depth], item)


def _some(first: int, number: float, item: Operation) -> list[int]:
    return [first + n for n in range(round(number * item.share))]
