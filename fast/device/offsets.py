"""Offsets that would not fit
==========================

A product of two 32-bit numbers, such as row times width, wraps around at 2³¹. Arrays of
that size fit on a GPU and into no test, so this is found by reading: an address that
depends on such a product is reported with its source line. Products with a constant are
left out, and so is ``a / b * b``, which is at most ``a``. A product that the compiler turns
into a running sum, in a loop, is not seen.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from .simulated.parse import parse
from .simulated.syntax import Address, Function, Instruction, Operand, Register, Vector

_PRODUCTS = {"mul", "mad"}
_ACCESSES = {"ld", "st", "atom", "red", "cp"}
# What a load returns says nothing of the address that it came from.
_FRESH = {"ld", "shfl", "vote", "ballot", "setp", "atom", "popc", "bfind"}


@dataclass(frozen=True)
class NarrowOffset:
    """An access whose address depends on a 32-bit product.

    Parameters
    ----------
    file, line : str and int
        Source line of the access.
    product : int
        Source line of the product.
    text : str
        The access, as PTX.
    """

    file: str
    line: int
    product: int
    text: str


def _registers(operand: Operand) -> Iterator[Register]:
    if isinstance(operand, Register):
        yield operand
    elif isinstance(operand, Vector):
        for part in operand.parts:
            yield from _registers(part)
    elif isinstance(operand, Address) and isinstance(operand.base, Register):
        yield operand.base


def _is_narrow_product(ins: Instruction, defined: dict[Register, list[Instruction]]) -> bool:
    if (
        ins.parts[0] not in _PRODUCTS
        or "lo" not in ins.parts
        or ins.parts[-1] not in ("s32", "u32")
    ):
        return False
    first, second = ins.operands[1:3]
    if not (isinstance(first, Register) and isinstance(second, Register)):
        return False
    return not any(
        _is_quotient(one, other, defined) for one, other in ((first, second), (second, first))
    )


def _is_quotient(one: Register, by: Register, defined: dict[Register, list[Instruction]]) -> bool:
    return bool(defined[one]) and all(
        ins.parts[0] == "div" and ins.operands[2] == by for ins in defined[one]
    )


def _depends(function: Function) -> dict[Register, int]:
    """Return the registers that depend on a narrow product, and its line."""
    defined: dict[Register, list[Instruction]] = defaultdict(list)
    for ins in function.body:
        for register in _registers(ins.operands[0]) if ins.operands else ():
            defined[register].append(ins)
    found = {
        register: instructions[0].line
        for register, instructions in defined.items()
        if any(_is_narrow_product(ins, defined) for ins in instructions)
    }
    while True:
        more = {
            register: found[source]
            for register, instructions in defined.items()
            if register not in found
            for ins in instructions
            if ins.parts[0] not in _FRESH
            for operand in ins.operands[1:]
            for source in _registers(operand)
            if source in found
        }
        if not more:
            return found
        found |= more


def narrow_offsets(ptx: str, entry: str) -> list[NarrowOffset]:
    """Return the accesses of a kernel whose addresses may wrap around.

    Parameters
    ----------
    ptx : str
        Assembly text from NVRTC.
    entry : str
        The kernel.

    Returns
    -------
    list of NarrowOffset
        In the order of the text; empty if all is well.
    """
    function = parse(ptx).functions[entry]
    suspects = _depends(function)
    return [
        NarrowOffset(ins.file, ins.line, suspects[operand.base], ins.text)
        for ins in function.body
        if ins.parts[0] in _ACCESSES and "shared" not in ins.parts
        for operand in ins.operands
        if isinstance(operand, Address)
        and isinstance(operand.base, Register)
        and operand.base in suspects
    ]
