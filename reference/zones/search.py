"""Searches
========

The result of every search: its candidates, their objectives and the first minimum.
"""

from dataclasses import dataclass

import numpy as np

from subbit.reference.notation import AnyArray, Array


@dataclass(frozen=True, eq=False)
class Search:
    """All candidates of a one-dimensional search and their costs.

    Parameters
    ----------
    candidates : ndarray, shape (c,)
        Counts or thresholds, in the order in which they were tried.
    objectives : ndarray of float64, shape (c,)
        Squared error of each.

    Examples
    --------
    >>> import numpy as np
    >>> Search(np.array([3, 5, 7]), np.array([2.0, 1.0, 1.0])).choice
    5
    """

    candidates: AnyArray
    objectives: Array

    @property
    def best(self) -> int:
        """Position of the first minimum."""
        # Eq. (13), BiLLM:  p* = argmin_p θ²(p)
        # Eq. (42), subbit:  t* = argmin_t θ²(t), the first of equal ones
        return int(np.argmin(self.objectives))

    @property
    def choice(self) -> int | float:
        """The candidate at that position."""
        return self.candidates[self.best].item()
