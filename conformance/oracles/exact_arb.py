"""ARB once more, loop by loop
===========================

Algorithm 1 of ARB-LLM and its variants as a person would do them by hand: entry by entry,
without arrays, without masks (a row consists of its group's entries) and without any of a
port's functions. Over rational numbers, see :mod:`subbit.conformance.oracles.exact`, nothing
is rounded; over floats it is a second reading of the paper.

Where two levels are equally near, rounding decides. Every result therefore carries its
*margin*: how far the closest of all its decisions was from a tie.

References
----------
ARB-LLM, arXiv 2410.03129, Algorithm 1 and Eqs. (1)-(13).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

Number: TypeAlias = Any  # Fraction or float
Row: TypeAlias = Sequence[Number]
Matrix: TypeAlias = Sequence[Sequence[Number]]

LEVELS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Pairs of signs, in the order in which equally near levels are taken."""


@dataclass(frozen=True)
class Refined:
    """A row of a group after some rounds.

    Parameters
    ----------
    mean : Fraction or float
        ``μ``.
    scales : tuple of Fraction or float
        ``α`` of each order.
    signs : tuple of tuple of int
        ``B`` of each order.
    margin : Fraction or float
        Distance from a tie of the closest decision so far.
    """

    mean: Number
    scales: tuple[Number, ...]
    signs: tuple[tuple[int, ...], ...]
    margin: Number = float("inf")

    def value(self, j: int) -> Number:
        """Return the value of an entry.

        Parameters
        ----------
        j : int
            Position of the entry.

        Returns
        -------
        Fraction or float
            ``μ + Σ α B_j``.
        """
        terms = (a * B[j] for a, B in zip(self.scales, self.signs, strict=True))
        return self.mean + sum(terms)


def _positive(value: Number) -> int:
    return 1 if value >= 0 else -1


def start(row: Row, order: int) -> Refined:
    """Binarize plainly with a mean, `order` times.

    Parameters
    ----------
    row : sequence of Fraction or float
        At least one entry.
    order : int
        Number of times.

    Returns
    -------
    Refined
        Initial values, Eq. (1).
    """
    rest, total, margin = list(row), 0, float("inf")
    scales: list[Number] = []
    signs: list[tuple[int, ...]] = []
    for _ in range(order):
        mean = sum(rest) / len(rest)
        distances = [value - mean for value in rest]
        scale = sum(abs(distance) for distance in distances) / len(rest)
        margin = min(margin, *(abs(distance) for distance in distances))
        total += mean
        scales.append(scale)
        signs.append(tuple(_positive(distance) for distance in distances))
        rest = [distance - scale * b for distance, b in zip(distances, signs[-1], strict=True)]
    return Refined(total, tuple(scales), tuple(signs), margin)


def _scaled(row: Row, state: Refined, p: int) -> Refined:
    B = state.signs[p]
    rests = [value - state.value(j) + state.scales[p] * B[j] for j, value in enumerate(row)]
    scale = sum(b * rest for b, rest in zip(B, rests, strict=True)) / len(row)
    return replace(state, scales=(*state.scales[:p], scale, *state.scales[p + 1 :]))


def nearest(value: Number, u: Number, v: Number) -> tuple[tuple[int, int], Number]:
    """Choose the nearest of four levels, the first of those that are equally near.

    Parameters
    ----------
    value : Fraction or float
        Value to represent.
    u, v : Fraction or float
        The scales.

    Returns
    -------
    signs : tuple of int
        Signs of `u` and `v`.
    margin : Fraction or float
        How much farther away the second nearest level is.
    """
    distances = [abs(value - a * u - b * v) for a, b in LEVELS]
    first, second, *_ = sorted(distances)
    return LEVELS[distances.index(first)], second - first


def _signed(row: Row, state: Refined) -> Refined:
    rests = [value - state.mean for value in row]
    if len(state.scales) == 1:
        margin = min(abs(rest) for rest in rests)
        return replace(
            state,
            signs=(tuple(_positive(rest) for rest in rests),),
            margin=min(state.margin, margin),
        )
    chosen = [nearest(rest, *state.scales) for rest in rests]
    pairs = tuple(zip(*(pair for pair, _ in chosen), strict=True))
    return replace(state, signs=pairs, margin=min(state.margin, *(gap for _, gap in chosen)))


def arb(row: Row, order: int, rounds: int) -> Refined:
    """Refine the mean, then each scale, then the signs, round after round.

    Parameters
    ----------
    row : sequence of Fraction or float
        At least one entry.
    order : int
        Number of sign planes, 1 or 2.
    rounds : int
        Number of rounds.

    Returns
    -------
    Refined
        The last state.
    """
    state = start(row, order)
    for _ in range(rounds):
        rests = [value - state.value(j) for j, value in enumerate(row)]
        state = replace(state, mean=state.mean + sum(rests) / len(row))
        for p in range(order):
            state = _scaled(row, state, p)
        state = _signed(row, state)
    return state


def _form(x: Row, S: Matrix, y: Row) -> Number:
    return sum(a * S[i][j] * b for i, a in enumerate(x) for j, b in enumerate(y))


def calibrated(row: Row, S: Matrix, state: Refined, rounds: int) -> Refined:
    """Refine the mean, then each scale, on the calibrated error.

    Parameters
    ----------
    row : sequence of Fraction or float
        At least one entry.
    S : sequence of sequence of Fraction or float
        Gram matrix of the inputs of these entries, positive definite.
    state : Refined
        The state, with the signs that stay.
    rounds : int
        Number of rounds.

    Returns
    -------
    Refined
        The last state.
    """
    ones = [1] * len(row)
    for _ in range(rounds):
        rests = [value - state.value(j) + state.mean for j, value in enumerate(row)]
        state = replace(state, mean=_form(ones, S, rests) / _form(ones, S, ones))
        for p, B in enumerate(state.signs):
            rests = [value - state.value(j) + state.scales[p] * B[j] for j, value in enumerate(row)]
            scale = _form(B, S, rests) / _form(B, S, B)
            state = replace(state, scales=(*state.scales[:p], scale, *state.scales[p + 1 :]))
    return state


def best_two_levels(row: Row) -> Number:
    """Return the least error of a row with two levels, by trying every pair of clusters.

    Parameters
    ----------
    row : sequence of Fraction or float
        A few entries.

    Returns
    -------
    Fraction or float
        ``min over B of min over μ, α of Σ (w - αB - μ)²``.
    """
    errors = []
    for upper in itertools.product((False, True), repeat=len(row)):
        clusters = [[w for w, up in zip(row, upper, strict=True) if up is side] for side in upper]
        means = [sum(cluster) / len(cluster) for cluster in clusters]
        errors.append(sum((w - mean) ** 2 for w, mean in zip(row, means, strict=True)))
    return min(errors, default=Fraction(0))


@dataclass(frozen=True)
class Crossed:
    """A matrix with row and column scales after some rounds.

    Parameters
    ----------
    rows, columns : list of list of Fraction or float
        Scales of each order.
    signs : list of list of list of int
        Signs of each order.
    margin : Fraction or float
        Distance from a tie of the closest decision so far.
    """

    rows: list[list[Number]]
    columns: list[list[Number]]
    signs: list[list[list[int]]]
    margin: Number = float("inf")

    def term(self, p: int, i: int, j: int) -> Number:
        """Return the term that an order adds to an entry.

        Parameters
        ----------
        p, i, j : int
            Order, row and column.

        Returns
        -------
        Fraction or float
            ``r_i c_j B_ij``.
        """
        return self.rows[p][i] * self.columns[p][j] * self.signs[p][i][j]

    def value(self, i: int, j: int) -> Number:
        """Return the value of an entry.

        Parameters
        ----------
        i, j : int
            Row and column.

        Returns
        -------
        Fraction or float
            The sum over all orders.
        """
        return sum(self.term(p, i, j) for p in range(len(self.rows)))


def crossed_start(W: Matrix, order: int) -> Crossed:
    """Return initial row and column scales, Eq. (12), of a matrix without holes or zero rows.

    Parameters
    ----------
    W : sequence of sequence of Fraction or float
        The matrix.
    order : int
        Number of sign planes.

    Returns
    -------
    Crossed
        Initial values.
    """
    state = Crossed([], [], [])
    n, k = len(W), len(W[0])
    margin = float("inf")
    for _ in range(order):
        rest = [[W[i][j] - state.value(i, j) for j in range(k)] for i in range(n)]
        rows = [sum(abs(value) for value in row) / k for row in rest]
        columns = [sum(abs(rest[i][j]) / rows[i] for i in range(n)) / n for j in range(k)]
        signs = [[_positive(value) for value in row] for row in rest]
        margin = min(margin, *(abs(value) for row in rest for value in row))
        state = Crossed(
            [*state.rows, rows], [*state.columns, columns], [*state.signs, signs], margin
        )
    return state


def crossed(W: Matrix, order: int, rounds: int) -> Crossed:
    """Refine row scales, then column scales, then at order 2 the signs, Eq. (13).

    Parameters
    ----------
    W : sequence of sequence of Fraction or float
        The matrix, without holes or zero rows.
    order : int
        Number of sign planes, 1 or 2.
    rounds : int
        Number of rounds; over fractions the numbers double in length each time.

    Returns
    -------
    Crossed
        The last state.
    """
    state = crossed_start(W, order)
    n, k = len(W), len(W[0])
    for _ in range(rounds):
        for p in range(order):
            own = [
                [W[i][j] - state.value(i, j) + state.term(p, i, j) for j in range(k)]
                for i in range(n)
            ]
            B, rows, columns = state.signs[p], state.rows[p], state.columns[p]
            for i in range(n):
                square = sum(columns[j] ** 2 for j in range(k))
                rows[i] = sum(columns[j] * B[i][j] * own[i][j] for j in range(k)) / square
            for j in range(k):
                square = sum(rows[i] ** 2 for i in range(n))
                columns[j] = sum(rows[i] * B[i][j] * own[i][j] for i in range(n)) / square
        if order == 2:
            state = _crossed_signs(W, state)
    return state


def _crossed_signs(W: Matrix, state: Crossed) -> Crossed:
    margin = state.margin
    for i, row in enumerate(W):
        for j, value in enumerate(row):
            u, v = (state.rows[p][i] * state.columns[p][j] for p in range(2))
            pair, gap = nearest(value, u, v)
            state.signs[0][i][j], state.signs[1][i][j] = pair
            margin = min(margin, gap)
    return replace(state, margin=margin)
