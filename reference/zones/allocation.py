"""Codes of column groups
======================

A layer's bits, shared out among groups of columns. From code to code a group's error falls by
its energy times what the code leaves of a Gaussian, and its bits rise; each step buys the
largest fall per bit that is still affordable.

========== ========= ===================================================
symbol     shape     meaning
========== ========= ===================================================
``E_g``    (G,)      energy of a group of columns
``k_g``    (G,)      its columns
``D_t``              distortion of code t, see ``leveled``
``b_t``              bits of a group with code t
========== ========= ===================================================
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Numbers
from subbit.reference.contracts.scalars import Choices, Real, Whole
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import block_slices
from subbit.reference.leveled import CODE_BITS, CODES, EXPONENT_BITS, FLOAT_BITS, SPAN, Code
from subbit.reference.notation import Array
from subbit.reference.storage.patterns import pattern_bits

CODE_LIST = Choices(tuple(CODES), text="Codes to choose from.")


@dataclass(frozen=True)
class _Side:
    """Bits beside the levels: of a row's step in a group, and of a column's scale."""

    row: int = EXPONENT_BITS
    column: int = FLOAT_BITS


_SIDE = _Side()


def _code_bits(code: Code, rows: int, width: int, side: _Side = _SIDE) -> int:
    """Count the bits of a group of columns in a code, without references that groups share."""
    coding = CODES[code]
    if not coding.planes:
        return CODE_BITS
    beside = CODE_BITS + side.row * rows + side.column * width
    if not coding.large:
        return beside + rows * width * coding.planes
    return beside + rows * width + rows * (width // SPAN) * pattern_bits(coding.large, SPAN)


def _steps(
    energy: float, bits: Mapping[Code, int], current: Code
) -> Iterator[tuple[float, int, Code]]:
    """Yield fall of the error per bit, further bits and code of what a group may turn to."""
    distortion = CODES[current].distortion
    for code, own in bits.items():
        more = own - bits[current]
        if more > 0 and CODES[code].distortion < distortion:
            # Eq. (76), subbit:  fall per bit = E_g (D_t − D_u) / (b_u − b_t)
            yield energy * (distortion - CODES[code].distortion) / more, more, code


@contract(
    1,
    energies=Numbers(("g",), positive=True, few=True, text="Energy of each group."),
    rows=Whole(text="Rows of the layer."),
    width=Whole(text="Columns of the layer."),
    group_size=Whole(text="Columns of each group but the last."),
    budget=Real(0.0, text="Bits of all groups together."),
    codes=CODE_LIST,
    row_bits=Whole(0, 1024, text="Bits of a row's step in a group."),
    column_bits=Whole(0, 1024, text="Bits of a column's scale."),
)
def allocate_codes(
    energies: Array,
    rows: int,
    width: int,
    group_size: int,
    budget: float,
    *,
    codes: tuple[Code, ...] = tuple(CODES),
    row_bits: int = _SIDE.row,
    column_bits: int = _SIDE.column,
) -> tuple[Code, ...]:
    """Choose a code for each group of columns.

    Returns
    -------
    tuple of str
        The codes.

    Raises
    ------
    ArgumentError
        If there are more or fewer energies than groups, or the code of the fewest bits in all
        groups exceeds the budget.

    Notes
    -----
    Greedy: all groups begin with the code of the fewest bits. Of the steps to a code with less
    distortion that the budget still holds, the one with the largest fall of ``E_g D`` per bit
    comes next; of equal ones, that of the lower group. Where falls per bit decrease from code
    to code and groups are equally wide, no choice of as many bits has a lower sum.

    References
    ----------
    Eq. (76), subbit.

    Examples
    --------
    >>> allocate_codes([8.0, 1.0], 64, 32, 16, 64 * 32 * 3)
    ('3', '2:16')
    """
    widths = [part.stop - part.start for part in block_slices(width, group_size)]
    if len(widths) != len(energies):
        raise ArgumentError("energies", f"{len(widths)} groups of columns", len(energies))
    side = _Side(row_bits, column_bits)
    bits = [{code: _code_bits(code, rows, k, side) for code in codes} for k in widths]
    chosen = [min(own, key=own.__getitem__) for own in bits]
    left = budget - sum(own[code] for own, code in zip(bits, chosen, strict=True))
    if left < 0:
        raise ArgumentError("budget", f"at least {budget - left:g} bits", f"{budget:g}")
    while True:
        steps = [
            (fall, -group, more, code)
            for group, own in enumerate(bits)
            for fall, more, code in _steps(float(energies[group]), own, chosen[group])
            if more <= left
        ]
        if not steps:
            return tuple(chosen)
        _, group, more, code = max(steps, key=lambda step: step[:3])
        chosen[-group] = code
        left -= more
