"""Which cases are drawn
=====================

A case is a seed of an operation. The seeds follow from the operation's name and the depth
alone, so every machine checks the same cases. Only exploration draws others; its findings
are pinned in ``vectors/pinned.json`` and checked from then on, at every depth.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from subbit.conformance.cases.names import cases_of
from subbit.conformance.cases.registry import Operation
from subbit.reference.errors import ArgumentError

CASES: Mapping[str, int] = {"quick": 6, "ci": 24, "long": 300}
"""Cases of each operation, by depth."""
DEFAULT_DEPTH = "ci"
FEWEST = 3
"""Cases of an operation, however small its share."""
SMALL = 5
"""Cases that every operation starts with; their seeds draw small shapes."""


@dataclass(frozen=True)
class Pinned:
    """A case that was once judged wrongly, or that a port once got wrong.

    Parameters
    ----------
    operation : str
        The operation.
    seed : int
        The seed that drew it.
    drawn : str
        The drawn values, in the words of the report; a pin that no longer draws them
        pins nothing.
    found : str
        What was wrong, and what is correct.
    """

    operation: str
    seed: int
    drawn: str
    found: str

    @property
    def replay(self) -> str:
        """Argument for ``subbit check --replay``."""
        return f"{self.operation}:{self.seed}"


@cache
def pinned_cases() -> tuple[Pinned, ...]:
    """Return all pinned cases.

    Returns
    -------
    tuple of Pinned
        In the order of the file.

    Examples
    --------
    >>> from subbit.conformance.cases import OPERATIONS
    >>> all(case.operation in OPERATIONS for case in pinned_cases())
    True
    """
    text = files("subbit.conformance").joinpath("vectors/pinned.json").read_text(encoding="utf-8")
    content: list[dict[str, Any]] = json.loads(text)["cases"]
    return tuple(Pinned(**case) for case in content)


def seed_of(*words: object) -> int:
    """Return the seed for some words, the same one everywhere.

    Parameters
    ----------
    *words : object
        Names and numbers.

    Returns
    -------
    int
        From 0 to 2³² - 1.

    Examples
    --------
    >>> seed_of("masked_mean", 5), seed_of("masked_mean", 6)
    (2623704365, 1710588856)
    """
    text = "/".join(map(str, words)).encode()
    return int.from_bytes(blake2b(text, digest_size=4).digest(), "big")


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
        Small cases first, then some of any size, then the pinned ones.

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
    drawn = [n if n < SMALL else seed_of(item.name, n) for n in range(number)]
    pinned = (case.seed for case in pinned_cases() if case.operation == item.name)
    return list(dict.fromkeys([*drawn, *pinned]))
