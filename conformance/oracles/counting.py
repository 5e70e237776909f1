"""Counting multiplications
========================

The cost of a form of the calibrated error, counted while it is computed: arrays of the
class :class:`Counted` record how many multiplications and additions their matrix products
took. Sums of squares at the end of an objective are smaller by a whole dimension and are
not counted.

References
----------
ARB-LLM, arXiv 2410.03129, Theorem 2.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.conformance.inputs.families import Array

Operand: TypeAlias = Any  # whatever NumPy's operators take


class Counted(np.ndarray[Any, np.dtype[np.float64]]):
    """An array whose matrix products are counted.

    Examples
    --------
    >>> X = counted(np.ones((5, 3)))
    >>> (X.T @ X).tally
    [45]
    """

    tally: list[int]

    def __array_finalize__(self, other: object) -> None:
        self.tally = getattr(other, "tally", [0])

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Operand, **switches: Operand
    ) -> Operand:
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        result = getattr(ufunc, method)(*plain, **switches)
        if ufunc is np.matmul:
            self.tally[0] += plain[0].shape[0] * plain[0].shape[1] * plain[1].shape[1]
        return counted(result, self.tally) if isinstance(result, np.ndarray) else result


def counted(values: npt.ArrayLike, tally: list[int] | None = None) -> Counted:
    """Return an array whose matrix products are counted.

    Parameters
    ----------
    values : array_like of float64
        The numbers.
    tally : list of int, optional
        List whose one entry counts; a new one at zero by default.

    Returns
    -------
    Counted
        The array.
    """
    array = np.asarray(values, dtype=np.float64).view(Counted)
    array.tally = [0] if tally is None else tally
    return array


def from_inputs(W: Array, images: Iterable[Array], X: Counted) -> list[float]:
    """Return the calibrated errors of a block's images, each from the inputs.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    images : iterable of ndarray of float64, shape (n, k)
        One per round.
    X : Counted, shape (T, k)
        Inputs, one token per row.

    Returns
    -------
    list of float
        ``‖(W - Q) Xᵀ‖²`` in each round.
    """
    return [float(np.sum(((W - Q) @ X.T) ** 2)) for Q in images]


def from_gram(W: Array, images: Iterable[Array], X: Counted) -> list[float]:
    """Return the calibrated errors of a block's images, all from one Gram matrix.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    images : iterable of ndarray of float64, shape (n, k)
        One per round.
    X : Counted, shape (T, k)
        Inputs, one token per row.

    Returns
    -------
    list of float
        ``⟨S, RᵀR⟩`` with ``S = XᵀX`` in each round.
    """
    S = X.T @ X
    remainders = (counted(W - Q, X.tally) for Q in images)
    return [float(np.sum(S * (R.T @ R))) for R in remainders]
