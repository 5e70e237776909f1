"""Pinned cases
============

Cases that exploration or a port once showed to matter, in ``vectors/pinned.json``. They are
checked at every depth, and draw what they drew when they were found.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


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


@cache
def pinned_seeds() -> frozenset[int]:
    """Return the seeds of all pinned cases.

    Returns
    -------
    frozenset of int
        Of all operations.

    Examples
    --------
    >>> pinned_seeds() == {case.seed for case in pinned_cases()}
    True
    """
    return frozenset(case.seed for case in pinned_cases())
