"""What is known of registers from the text
========================================

Arithmetic that flushes subnormals does so with its arguments and with its result. A register
that only such results are written to never holds one, so there is nothing to look for in it.
And a register that one constant is written to, and nothing else, is that constant wherever it
was written; compilers read none before.
"""

from collections.abc import Iterator, Mapping, Sequence

from .syntax import Function, Immediate, Instruction, Operand, Pair, Register, Vector

_FLUSH = {
    *("abs", "add", "cos", "div", "ex2", "fma", "lg2", "mad", "max", "min", "mul", "neg"),
    *("rcp", "rsqrt", "sin", "sqrt", "sub", "tanh"),
}
_PASS_ON = {"mov": (1,), "selp": (1, 2), "shfl": (1,)}
"""Operands that these copy to their destination."""

Writers = Mapping[int, Sequence[Instruction]]


def writers_of(function: Function) -> Writers:
    """Return the instructions that write each register of a function.

    Parameters
    ----------
    function : Function
        The function.

    Returns
    -------
    dict of int to list of Instruction
        By the number of the register.
    """
    found: dict[int, list[Instruction]] = {}
    for ins in function.body:
        for register in _written(ins):
            found.setdefault(register.index, []).append(ins)
    return found


def constants(writers: Writers) -> dict[int, Immediate]:
    """Return the registers of a function that are constants.

    Parameters
    ----------
    writers : mapping
        What writes its registers, as from `writers_of`.

    Returns
    -------
    dict of int to Immediate
        Their values, by their numbers.
    """
    found: dict[int, Immediate] = {}
    for at, written in writers.items():
        ins = written[0]
        if len(written) == 1 and ins.parts[0] == "mov" and ins.guard is None:
            value = ins.operands[1]
            if isinstance(value, Immediate) and isinstance(ins.operands[0], Register):
                found[at] = value
    return found


def flushed_registers(writers: Writers) -> frozenset[int]:
    """Return the registers of a function that never hold a subnormal float32 number.

    Parameters
    ----------
    writers : mapping
        What writes its registers, as from `writers_of`.

    Returns
    -------
    frozenset of int
        Their numbers. What was never written is NaN there, which is not flushed.
    """
    found = set(writers)
    while True:
        kept = {at for at in found if all(_flushes(ins, at, found) for ins in writers[at])}
        if kept == found:
            return frozenset(found)
        found = kept


def is_flushed(operand: Operand, registers: frozenset[int] | set[int]) -> bool:
    """Tell whether an operand cannot be a subnormal float32 number.

    Parameters
    ----------
    operand : Operand
        A source.
    registers : set of int
        Registers that never hold one.

    Returns
    -------
    bool
        True for these registers, and for constants that are none.
    """
    if isinstance(operand, Immediate):
        return not 0 < operand.value & 0x7FFFFFFF < 0x00800000
    return isinstance(operand, Register) and operand.index in registers


def _written(ins: Instruction) -> Iterator[Register]:
    """Yield all registers in the place of a destination, whether it is one or not."""
    waiting = list(ins.operands[:1])
    while waiting:
        operand = waiting.pop()
        if isinstance(operand, Pair):
            waiting += [operand.first, operand.second]
        elif isinstance(operand, Vector):
            waiting += operand.parts
        elif isinstance(operand, Register):
            yield operand


def _flushes(ins: Instruction, register: int, registers: set[int]) -> bool:
    name, into = ins.parts[0], ins.operands[0]
    if name in _FLUSH:
        return ins.parts[-1] == "f32" and "ftz" in ins.parts
    first = into.first if isinstance(into, Pair) else into
    if name not in _PASS_ON or not (isinstance(first, Register) and first.index == register):
        return False
    return all(is_flushed(ins.operands[at], registers) for at in _PASS_ON[name])
