"""What a case compared
====================

A ratio says how close the largest error came to its bound, but not how much was looked at. The
counts of a case do: so many numbers by equality, so many within a bound, so many not at all.

============== ==========================================================================
counted        means
============== ==========================================================================
``facts``      conditions and forms: names, shapes, lengths, which columns a block covers
``equal``      numbers that had to be equal to the last bit
``copied``     numbers that had to be the input's, or the input's in the port's type
``bounded``    numbers within a bound that is neither zero nor infinite
``decided``    decisions that had to be the reference's
``open``       decisions that rounding may make either way
``objectives`` values that could not be worse than another one by more than a slack
``unbounded``  numbers whose bound is infinite, by the name of the comparison
``skipped``    entries and decisions that nothing was said about, by reason
============== ==========================================================================
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

WORDS: Mapping[str, str] = {
    "bounded": "within bounds",
    "equal": "equal",
    "decided": "decisions",
    "copied": "copied",
    "objectives": "objectives",
}
"""Words for the numbers that were compared."""


def _together(own: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    return dict(Counter(own) + Counter(more)) if own and more else own or more


@dataclass(frozen=True)
class Counts:
    """Numbers of comparisons, by kind.

    Parameters
    ----------
    facts, equal, copied, bounded, decided, open, objectives : int
        As in the table above.
    largest : float
        Largest error ÷ bound of the numbers in `bounded`.
    unbounded, skipped : mapping of str to int
        What was not compared, by name and by reason.

    Examples
    --------
    >>> counts = Counts(equal=2, bounded=6, unbounded={"levels": 2})
    >>> counts.compared, counts.share, counts.words
    (8, 0.25, '6 within bounds, 2 equal')
    """

    facts: int = 0
    equal: int = 0
    copied: int = 0
    bounded: int = 0
    decided: int = 0
    open: int = 0
    objectives: int = 0
    largest: float = 0.0
    unbounded: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.facts + other.facts,
            self.equal + other.equal,
            self.copied + other.copied,
            self.bounded + other.bounded,
            self.decided + other.decided,
            self.open + other.open,
            self.objectives + other.objectives,
            max(self.largest, other.largest),
            _together(self.unbounded, other.unbounded),
            _together(self.skipped, other.skipped),
        )

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the counts that a report holds.

        Parameters
        ----------
        content : mapping
            The result of :meth:`to_json`.

        Returns
        -------
        Counts
            The counts.
        """
        largest = content["largest"]
        return cls(**dict(content) | {"largest": math.inf if largest is None else largest})

    def to_json(self) -> dict[str, Any]:
        """Return the counts as ``schemas/check.json`` describes them.

        Returns
        -------
        dict
            The counts, by name.
        """
        largest = self.largest if math.isfinite(self.largest) else None
        return asdict(self) | {"largest": largest}

    @property
    def compared(self) -> int:
        """Numbers and decisions that were compared."""
        return sum(getattr(self, name) for name in WORDS)

    @property
    def lost(self) -> int:
        """Numbers, entries and decisions that were not compared."""
        return sum(self.unbounded.values()) + sum(self.skipped.values())

    @property
    def share(self) -> float:
        """Share that was not compared: of numbers, or of decisions if theirs is larger."""
        numbers, others = sum(self.unbounded.values()), sum(self.skipped.values())
        return max(
            numbers / max(self.bounded + self.copied + numbers, 1),
            others / max(self.equal + self.decided + self.open + others, 1),
        )

    @property
    def words(self) -> str:
        """What was compared, the most frequent kind first."""
        found = {name: getattr(self, name) for name in WORDS if getattr(self, name)}
        if not found:
            return f"{self.facts:,} facts" if self.facts else "nothing"
        ordered = sorted(found, key=lambda name: -found[name])
        return ", ".join(f"{found[name]:,} {WORDS[name]}" for name in ordered)
