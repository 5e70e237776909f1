"""Energies, scales and codes of columns
=====================================

Energies and scales are held to their bounds. What a choice of codes costs is counted here again;
it may leave no more error than the reference's, and where a better code goes is decided by the
energies, and by the order of the groups where these are equal.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import MODERATE, Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import ACTIVATIONS, Array, Mask, steady
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones import energy as energy_bounds
from subbit.reference.leveled import CODE_BITS, CODES, SPAN, Code

POWERS = (1.0, 0.5, 0.0, 0.7)
SETS: tuple[tuple[Code, ...], ...] = (
    tuple(CODES),
    ("1", "2", "3", "4"),
    ("0", "1", "2", "3", "4"),
    ("4", "3:16", "1"),
    ("0", "1", "1:16", "2:16", "3:16", "2", "3"),
    ("3",),
)
ROUNDINGS = 8.0
"""Roundings of an energy that a fall per bit passes through, and one for each comparison."""
TRIES = 16
"""Times that energies are moved by roundings before the reference's choice counts as decided."""


@operation(2)
def _column_energies(port: Port, judge: Judge, draw: Draw) -> None:
    """Diagonal times mean square."""
    W = draw.weights(MODERATE)
    H = draw.hessian(W.shape[1], tuple(ACTIVATIONS))
    bound = energy_bounds.column_energies_bound(W, H, arithmetic=judge.arithmetic)
    judge.bound("energies", port.column_energies(W, H), bound)


@operation(2)
def _column_scales(port: Port, judge: Judge, draw: Draw) -> None:
    """Relative root mean squares; one for columns of zeros, whatever the scale of the layer."""
    W = draw.weights() * 2.0 ** draw.pick("scale", (0, 0, 60, -60))
    power = draw.pick("power", POWERS)
    bound = energy_bounds.column_scales_bound(W, power, arithmetic=judge.arithmetic)
    judge.bound("scales", port.column_scales(W, power), bound)


def bits_of(code: Code, shape: tuple[int, int], row_bits: int, column_bits: int) -> int:
    """Count the bits of a group of columns.

    Parameters
    ----------
    code : str
        Its code.
    shape : tuple of int
        Rows and columns.
    row_bits, column_bits : int
        Bits beside the levels, of each row and of each column.

    Returns
    -------
    int
        The bits, with those that name the code.

    Examples
    --------
    >>> bits_of("2:16", (4, 32), 8, 16) == 3 + 4 * 8 + 32 * 16 + 4 * 32 + 4 * 2 * 7
    True
    """
    (rows, width), coding = shape, CODES[code]
    if code == "0":
        return CODE_BITS
    beside = CODE_BITS + rows * row_bits + width * column_bits
    if not coding.large:
        return beside + rows * width * coding.planes
    return beside + rows * (width + width // SPAN * {1: 4, 2: 7, 3: 10}[coding.large])


def error_left(energies: Array, codes: Sequence[Code]) -> float:
    """Return what codes leave of the energies of their groups.

    Parameters
    ----------
    energies : ndarray of float64, shape (g,)
        Energy of each group.
    codes : sequence of str
        Their codes.

    Returns
    -------
    float
        ``Σ E_g D_g``.

    Examples
    --------
    >>> error_left(np.array([2.0, 1.0]), ("1", "0"))
    1.7268
    """
    return float(energies @ np.array([CODES[code].distortion for code in codes]))


def misplaced(
    energies: Array, widths: Sequence[int], codes: Sequence[Code], *, apart: float = 0.0
) -> Mask:
    """Mark groups with a better code than an equally wide one that comes before them.

    Parameters
    ----------
    energies : ndarray of float64, shape (g,)
        Energy of each group, as the port's type holds it.
    widths : sequence of int
        Their columns.
    codes : sequence of str
        Their codes.
    apart : float, default 0.0
        Share by which an energy has to be larger, unless both are equal.

    Returns
    -------
    ndarray of bool, shape (g,)
        The groups. One of more energy comes first, and of equal ones the lower.

    Examples
    --------
    >>> misplaced(np.array([1.0, 1.0, 9.0]), [4, 4, 4], ("1", "2", "2"))
    array([False,  True, False])
    """
    distortion = np.array([CODES[code].distortion for code in codes])
    place, width = np.arange(len(codes)), np.asarray(widths)
    equal = (energies[:, None] == energies) & (place[:, None] < place)
    # (g,) -> (first, second)
    first = (energies[:, None] > energies * (1.0 + apart)) | equal
    wrong = first & (width[:, None] == width) & (distortion[:, None] > distortion)
    return np.asarray(wrong.any(axis=0))


def _energies(draw: Draw, groups: int) -> Array:
    kinds = ("spread", "spread", "some equal", "some zero", "all equal")
    # Between equal ones there is no decision.
    kind = draw.pick("energies", kinds[:1] if draw.beside else kinds)
    energies = draw.between(lambda rng: steady(np.exp(3.0 * rng.standard_normal(groups))))
    if kind == "some equal":
        return np.asarray(energies[draw.rng.integers(0, groups, groups)])
    if kind == "some zero":
        return np.where(draw.rng.random(groups) < 0.4, 0.0, energies)
    return np.full(groups, energies[0]) if kind == "all equal" else energies


def _least_left(
    judge: Judge, energies: Array, choose: Callable[[Array], Sequence[Code]], found: float
) -> float:
    """Return the most that the reference leaves when energies are moved by roundings."""
    slack, least = (
        ROUNDINGS * judge.arithmetic.unit_roundoff,
        error_left(energies, choose(energies)),
    )
    for seed in range(TRIES):
        if found <= least * (1.0 + slack):
            break
        noise = np.random.default_rng(seed).uniform(-slack, slack, len(energies))
        least = max(least, error_left(energies, choose(energies * (1.0 + noise))))
    return least


@operation(1)
def _allocate_codes(port: Port, judge: Judge, draw: Draw) -> None:
    """As good as greedy steps, within the bits, the better codes where the energy is."""
    rows, size = draw.number("rows", 1, 64), draw.pick("group size", (1, 7, 16, 40, 64))
    groups = draw.number("groups", 4 if draw.beside else 1, 9)
    fewer = 0 if draw.beside or groups == 1 else draw.number("fewer", 0, size - 1)
    width = size * groups - fewer
    widths = [part.stop - part.start for part in reference.block_slices(width, size)]
    codes = draw.pick("codes", SETS[:3] if draw.beside else SETS)
    side = (draw.pick("row bits", (8, 16, 0)), draw.pick("column bits", (16, 0, 5)))
    bits = [{code: bits_of(code, (rows, k), *side) for code in codes} for k in widths]
    least, most = (sum(part(own.values()) for own in bits) for part in (min, max))
    budget = least + draw.pick("share", (0.5, 0.2, 0.8, 0.0, 1.0)) * (most - least)
    energies = _energies(draw, groups)

    def choose(asked: Any, energies: Array) -> Sequence[Code]:  # noqa: ANN401
        found: Sequence[Code] = asked.allocate_codes(
            energies, rows, width, size, budget, codes=codes, row_bits=side[0], column_bits=side[1]
        )
        return found

    found = choose(port, energies)
    judge.true("a sequence of codes", isinstance(found, tuple | list))
    judge.form("number of codes", len(found), groups)
    judge.true("codes of those to choose from", set(found) <= set(codes))
    if judge.ratio > 0.0:
        return
    spent = sum(own[code] for own, code in zip(bits, found, strict=True))
    over = np.array([max(spent - budget, 0.0)])
    judge.within("bits over the budget", Rounded(over, np.zeros(1), judge.arithmetic))
    rounded = ROUNDINGS * judge.arithmetic.unit_roundoff
    wrong = misplaced(judge.arithmetic.held(energies), widths, found, apart=rounded)
    judge.exact("better codes than groups before", wrong, np.zeros(groups, dtype=np.bool_))
    reached = error_left(energies, found)
    best = _least_left(judge, energies, lambda energies: choose(reference, energies), reached)
    judge.objective("error left", reached, best, rounded * best, 0.0)
