"""Rooms
=====

Functions that call each other without checks, and how they take arrays.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import numpy as np
import scipy.linalg

from subbit.reference.errors import as_array, check_mask, check_matrix
from subbit.reference.notation import AnyArray

Shape = tuple[int | None, ...]


class Room:
    """Functions that call each other without checks.

    Parameters
    ----------
    name : str
        The room's name.

    Examples
    --------
    >>> room = Room("reference")
    >>> with room.inside():
    ...     room.entered
    True
    """

    def __init__(self, name: str) -> None:
        self._entered: ContextVar[bool] = ContextVar(name, default=False)

    @property
    def entered(self) -> bool:
        """Whether a call into this room has already been checked."""
        return self._entered.get()

    @contextmanager
    def inside(self, entered: bool = True) -> Iterator[None]:  # noqa: FBT001, FBT002
        """Run code with the checks off, or on again.

        With the checks off, NumPy does not warn either: an answer that is not finite is refused.

        Parameters
        ----------
        entered : bool, default True
            False for a caller's own code, such as a callback.

        Yields
        ------
        None
            While the code runs.
        """
        token = self._entered.set(entered)
        quiet: Literal["ignore"] | None = "ignore" if entered else None
        try:
            with np.errstate(over=quiet, divide=quiet, invalid=quiet):
                yield
        finally:
            self._entered.reset(token)

    def iterate(self, items: Iterator[Any], *, entered: bool) -> Iterator[Any]:
        """Yield from an iterator whose code runs with the checks off, or on again.

        Parameters
        ----------
        items : iterator
            The iterator.
        entered : bool
            Whether checks are off while it computes an item.

        Yields
        ------
        object
            Its items.
        """
        while True:
            with self.inside(entered):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


REFERENCE = Room("reference")


class Arrays:
    """How a room takes arrays: here, as float64 and boolean NumPy arrays."""

    def numbers(self, name: str, value: Any, shape: Shape) -> AnyArray:  # noqa: ANN401
        """Check and return finite numbers of the expected shape.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            The argument.
        shape : tuple of int or None
            Expected lengths.

        Returns
        -------
        array
            The numbers.
        """
        return check_matrix(name, value, shape=shape)

    def few(self, name: str, value: Any, shape: Shape) -> AnyArray:  # noqa: ANN401
        """Check and return a few finite numbers of the expected shape, on the host.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            The argument.
        shape : tuple of int or None
            Expected lengths.

        Returns
        -------
        ndarray of float64
            The numbers.
        """
        return check_matrix(name, self.host(name, value), shape=shape)

    def host(self, name: str, value: Any) -> AnyArray:  # noqa: ANN401
        """Return an array of small numbers, such as column numbers, on the host.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            The argument.

        Returns
        -------
        ndarray
            The numbers.
        """
        return as_array(name, value)

    def asymmetry(self, array: Any) -> float:  # noqa: ANN401
        """Return how far mirrored entries of a square matrix differ at most.

        Parameters
        ----------
        array : array, shape (m, m)
            The matrix.

        Returns
        -------
        float
            The largest difference; 0 for nearly every Hessian.
        """
        if isinstance(array, np.ndarray) and scipy.linalg.issymmetric(array):
            return 0.0
        return float(abs(array - array.T).max())

    def flags(self, name: str, value: Any, shape: tuple[int, ...]) -> AnyArray:  # noqa: ANN401
        """Check and return a boolean array of the expected shape; None means all True.

        Parameters
        ----------
        name : str
            Name of the argument.
        value : object
            The argument.
        shape : tuple of int
            Expected lengths.

        Returns
        -------
        array of bool
            The mask.
        """
        return check_mask(name, value, shape)
