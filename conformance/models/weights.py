"""Weights that are decoded when they are used
===========================================

A model file may store weights in fewer bits than a float32 has, and most commands look at
some of them only. Such a weight stays in its stored form until somebody asks for it; what
has to be known of all weights at once, shape and finiteness, is known before.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field

import numpy as np

from .base import Float32


@dataclass(frozen=True, eq=False)
class Stored:
    """A weight in its stored form.

    Parameters
    ----------
    shape : tuple of int
        Shape of the decoded weight.
    finite : bool
        Whether all of its numbers are finite.
    decode : callable
        Returns the weight, in float32.

    Examples
    --------
    >>> Stored((2,), finite=True, decode=lambda: np.ones(2, dtype=np.float32)).decode()
    array([1., 1.], dtype=float32)
    """

    shape: tuple[int, ...]
    finite: bool
    decode: Callable[[], Float32] = field(repr=False)


class Weights(MutableMapping[str, Float32]):
    """Weights by name, each decoded at its first use and kept.

    Parameters
    ----------
    found : mapping of str to ndarray of float32 or Stored
        The weights.

    Examples
    --------
    >>> one = Stored((2,), finite=True, decode=lambda: np.ones(2, dtype=np.float32))
    >>> weights = Weights({"a": one})
    >>> weights.shape("a"), weights["a"]
    ((2,), array([1., 1.], dtype=float32))
    """

    def __init__(self, found: Mapping[str, Float32 | Stored]) -> None:
        self._found: dict[str, Float32 | Stored] = dict(found)

    def __getitem__(self, name: str) -> Float32:
        """Return a weight."""
        weight = self._found[name]
        if isinstance(weight, Stored):
            weight = self._found[name] = weight.decode()
        return weight

    def __setitem__(self, name: str, weight: Float32) -> None:
        """Set a weight."""
        self._found[name] = weight

    def __delitem__(self, name: str) -> None:
        """Remove a weight."""
        del self._found[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a weight of this name."""
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._found)

    def __len__(self) -> int:
        """Return the number of weights."""
        return len(self._found)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a weight, without decoding it.

        Parameters
        ----------
        name : str
            The weight's name.

        Returns
        -------
        tuple of int
            Its shape.
        """
        return self._found[name].shape

    def is_finite(self, name: str) -> bool:
        """Tell whether all numbers of a weight are finite, without decoding it.

        Parameters
        ----------
        name : str
            The weight's name.

        Returns
        -------
        bool
            False if one is NaN or infinite.
        """
        weight = self._found[name]
        return weight.finite if isinstance(weight, Stored) else bool(np.isfinite(weight).all())
