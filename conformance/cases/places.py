"""Where decisions were found
==========================

The search for an input beside a decision asks the reference about fifty times. It is the same
search on every machine, so ``vectors/beside.json`` keeps what it finds for the cases of the depth
``ci``, and says where it finds nothing. A place is looked at before it is used: where the
reference or a draw has changed since, or a port's arithmetic needs more room, the search is made
again.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeAlias

KEPT = "vectors/beside.json"
TYPES = ("float32", "float64")
"""Types of ports whose places are kept."""
Places: TypeAlias = dict[str, dict[str, dict[int, "Place | None"]]]


@dataclass(frozen=True)
class Place:
    """A place on the way from one input to another, beside a decision.

    Parameters
    ----------
    attempt : int
        Which pair of inputs.
    before, after : float
        Shares of the second input, on both sides of the decision.
    calls : int
        Calls of the reference up to the decision.
    """

    attempt: int
    before: float
    after: float
    calls: int


@cache
def kept_places() -> Places:
    """Return all places that are kept.

    Returns
    -------
    dict
        By operation, type and seed; None for a case where the search found no decision.

    Examples
    --------
    >>> sorted(kept_places()["sign"]) == sorted(TYPES)
    True
    """
    file = files("subbit.conformance").joinpath(KEPT)
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {
        name: {
            dtype: {int(seed): place and Place(*place) for seed, place in cases.items()}
            for dtype, cases in types.items()
        }
        for name, types in content.items()
    }
