"""Level 1: bits of records of levels
==================================

Groups of all codes, with exponents and column scales or without, whose references are those of
another group or their own. Bits are whole and have no rounding.
"""

from dataclasses import asdict

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import Array
from subbit.conformance.target import Port
from subbit.reference import LevelGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.leveled import CODES, LARGE, SPAN, Code, Levels


def draw_levels(rng: np.random.Generator, code: Code, shape: tuple[int, int]) -> Levels:
    """Draw the levels of a group.

    Parameters
    ----------
    rng : Generator
        Draws them.
    code : str
        The group's code.
    shape : tuple of int
        Its rows and columns.

    Returns
    -------
    ndarray of int8, shape `shape`
        Levels that the code has, with the large entries that it requires.

    Examples
    --------
    >>> sorted(np.abs(draw_levels(np.random.default_rng(0), "1:16", (1, 16)))[0])[-2:]
    [np.int8(1), np.int8(3)]
    """
    (n, k), coding = shape, CODES[code]
    if not coding.planes:
        return np.zeros(shape, dtype=np.int8)
    top = 1 if coding.large else 2**coding.planes - 1
    levels = (2 * rng.integers(0, top + 1, shape) - top).astype(np.int8)
    whole = k - k % SPAN
    if coding.large:
        # (n, k) -> (n, k/16, 16)
        places = rng.random((n, whole // SPAN, SPAN)).argsort(axis=2).reshape(n, whole)
        levels[:, :whole] *= np.where(places < coding.large, LARGE, 1).astype(np.int8)
    return levels


def draw_group(
    draw: Draw, shape: tuple[int, int], references: list[Array], *, codes: tuple[Code, ...]
) -> LevelGroup:
    """Draw a group of levels.

    Parameters
    ----------
    draw : Draw
        The case.
    shape : tuple of int
        Rows and columns.
    references : list of ndarray of float64, shape (n,)
        References of other groups, of which it may take one; a new one is added.
    codes : tuple of str
        Codes to choose from.

    Returns
    -------
    LevelGroup
        The group.
    """
    rng, (n, k) = draw.rng, shape
    code = codes[int(rng.integers(len(codes)))]
    place = int(rng.integers(len(references) + 1))
    if place == len(references):
        references.append(rng.uniform(0.5, 2.0, n))
    coded, scaled = rng.random() < 0.6, rng.random() < 0.5
    return LevelGroup(
        "all",
        np.ones(shape, dtype=np.bool_),
        code,
        draw_levels(rng, code, shape),
        # An equal array is as good as the same.
        references[place].copy(),
        rng.integers(-20, 20, n).astype(np.int8) if coded else None,
        rng.uniform(0.5, 2.0, k) if scaled else None,
    )


def _layer(draw: Draw) -> QuantizedLayer:
    n, m = draw.shape((1, 5), (1, 60))
    slices = reference.block_slices(m, draw.pick("group size", (16, 40, 7, 33)))
    codes: tuple[Code, ...] = tuple(CODES)
    if draw.pick("codes", ("any", "any", "one")) == "one":
        codes = (draw.pick("code", codes),)
    references: list[Array] = []
    blocks = [
        QuantizedBlock(
            s.start,
            s.stop,
            (draw_group(draw, (n, s.stop - s.start), references, codes=codes),),
        )
        for s in slices
    ]
    order = draw.rng.permutation(m) if draw.pick("order", (False, True)) else None
    return QuantizedLayer((n, m), tuple(blocks), order)


@operation(1, "payload_bits", name="payload_of_levels", decides=False)
def _payload_of_levels(port: Port, judge: Judge, draw: Draw) -> None:
    """Levels, patterns, exponents and column scales of each group; equal references once."""
    layer, size = _layer(draw), draw.pick("float bits", (16, 32))
    found = asdict(port.payload_bits(layer, float_bits=size))
    for part, number in asdict(reference.payload_bits(layer, float_bits=size)).items():
        judge.exact(part, found.get(part), number)


@operation(1, "nominal_bits", name="nominal_of_levels", decides=False)
def _nominal_of_levels(port: Port, judge: Judge, draw: Draw) -> None:
    """A sign where some levels are large, else the planes."""
    layer = _layer(draw)
    wanted = np.array(reference.nominal_bits(layer))
    allowed = 8 * judge.arithmetic.unit_roundoff * wanted
    judge.bound("bits", port.nominal_bits(layer), Rounded(wanted, allowed, judge.arithmetic))
