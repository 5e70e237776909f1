"""GPTQ in exact arithmetic
========================

The uniform grid and the column loop again, over the rational numbers; see
:mod:`subbit.conformance.oracles.exact`.

References
----------
GPTQ, arXiv 2210.17323v2, Algorithm 1.
"""

from dataclasses import dataclass
from fractions import Fraction

from subbit.conformance.oracles.exact import ZERO, Rationals


@dataclass(frozen=True, eq=False)
class Grid:
    """A uniform grid per row, with zero on it.

    Parameters
    ----------
    scale : list of Fraction
        Distance between levels.
    zero : list of int
        The code of zero.
    top : int
        The largest code.
    """

    scale: list[Fraction]
    zero: list[int]
    top: int

    @classmethod
    def fit(cls, W: Rationals, bits: int) -> "Grid":
        """Return the min/max grid of the rows of `W`.

        Parameters
        ----------
        W : ndarray of Fraction, shape (n, k)
            Values.
        bits : int
            Bits of a code.

        Returns
        -------
        Grid
            The grid; halfway cases of the zero point go to the even code.
        """
        top = 2**bits - 1
        scale, zero = [], []
        for row in W:
            low, high = min(*row, ZERO), max(*row, ZERO)
            if low == high:
                low, high = Fraction(-1), Fraction(1)
            scale.append((high - low) / top)
            zero.append(round(-low / scale[-1]))
        return cls(scale, zero, top)

    def code(self, row: int, value: Fraction) -> int:
        """Return the code nearest to `value`; halfway cases go to the even quotient.

        Parameters
        ----------
        row : int
            The row.
        value : Fraction
            The value.

        Returns
        -------
        int
            From 0 to the largest code.
        """
        return min(max(round(value / self.scale[row]) + self.zero[row], 0), self.top)

    def level(self, row: int, code: int) -> Fraction:
        """Return the value of a code.

        Parameters
        ----------
        row, code : int
            The row and the code.

        Returns
        -------
        Fraction
            ``scale · (code - zero)``.
        """
        return self.scale[row] * (code - self.zero[row])

    def margin(self, row: int, value: Fraction) -> Fraction:
        """Return how far `value` is from a change of its code.

        Parameters
        ----------
        row : int
            The row.
        value : Fraction
            The value.

        Returns
        -------
        Fraction
            Distance to the nearest halfway point between two levels.
        """
        quotient = value / self.scale[row]
        return abs(quotient - (quotient // 1) - Fraction(1, 2)) * self.scale[row]


@dataclass(frozen=True, eq=False)
class GptqTrace:
    """An exact run of GPTQ.

    Parameters
    ----------
    Q : ndarray of Fraction, shape (n, m)
        The quantized weights.
    errors : ndarray of Fraction, shape (n, m)
        ``(w - q) / U_ii`` per entry.
    margin : Fraction
        The least distance of any entry from another code, relative to its scale.
    """

    Q: Rationals
    errors: Rationals
    margin: Fraction


def gptq(W: Rationals, U: Rationals, bits: int) -> GptqTrace:
    """Quantize column by column and feed each error forward.

    Parameters
    ----------
    W : ndarray of Fraction, shape (n, m)
        Weights.
    U : ndarray of Fraction, shape (m, m)
        Upper triangular factor of the inverse Hessian.
    bits : int
        Bits of a code; one grid per row.

    Returns
    -------
    GptqTrace
        Result, errors and least margin.
    """
    grid = Grid.fit(W, bits)
    state, Q, errors = W.copy(), W.copy(), W.copy()
    margin = Fraction(1)
    for column in range(W.shape[1]):
        for row in range(W.shape[0]):
            value = state[row, column]
            margin = min(margin, grid.margin(row, value) / grid.scale[row])
            Q[row, column] = grid.level(row, grid.code(row, value))
            errors[row, column] = (value - Q[row, column]) / U[column, column]
            state[row, column:] = state[row, column:] - errors[row, column] * U[column, column:]
    return GptqTrace(Q, errors, margin)
