"""float16 and bfloat16, single and in pairs.

A pair is a 32-bit register seen as twice as many 16-bit numbers, so one function serves
both. Arithmetic is done in float64. Products are exact there; a sum of two numbers is, or one of
them is too small to decide anything; the sum in an fma is rounded to odd on the way.
"""

from collections.abc import Callable

import numpy as np

from subbit.fast.device.simulated import floats
from subbit.fast.device.simulated.decode import Decoder, Run, unsupported
from subbit.fast.device.simulated.machine import Bits, Machine
from subbit.fast.device.simulated.syntax import Instruction

PACKED = {"f16", "bf16", "f16x2", "bf16x2"}


def lift(ins: Instruction, d: Decoder, count: int, function: Callable[..., Bits]) -> Run:
    """Return the run of a function of `count` arguments on 16-bit numbers."""
    kind = ins.parts[-1]
    put = d.target(ins.operands[0])
    arguments = [d.source(op, kind) for op in ins.operands[1 : 1 + count]]
    whole = np.uint32 if kind.endswith("x2") else np.uint16

    def run(m: Machine) -> None:
        values = [a(m) for a in arguments]
        length = max(len(v) for v in values)
        values = [np.repeat(v, length) if len(v) < length else v for v in values]
        result = function(*[np.ascontiguousarray(v).view(np.uint16) for v in values])
        put(m, result.astype(np.uint16, copy=False).view(whole))

    return run


def _codec(ins: Instruction) -> tuple[Callable[[Bits], Bits], Callable[[Bits], Bits]]:
    """Return how to widen arguments to float64 and how to narrow the result."""
    brain = ins.parts[-1].startswith("bf16")
    ftz, sat, relu = "ftz" in ins.parts, "sat" in ins.parts, "relu" in ins.parts
    widen = floats.bfloat_to_double if brain else floats.half_to_double
    narrow = floats.double_to_bfloat if brain else floats.double_to_half

    def before(x: Bits) -> Bits:
        return widen(_flush16(x)) if ftz else widen(x)

    def after(x: Bits) -> Bits:
        if sat:
            x = np.where(x > 0, np.minimum(x, 1.0), 0.0)
        if relu:
            x = np.where(x < 0, 0.0, x)
        bits = narrow(x)
        return _flush16(bits) if ftz else bits

    return before, after


def _flush16(x: Bits) -> Bits:
    return np.where((x & np.uint16(0x7C00)) == 0, x & np.uint16(0x8000), x)


def add(ins: Instruction, d: Decoder) -> Run:
    """``add`` and ``sub``."""
    before, after = _codec(ins)
    sign = 1.0 if ins.parts[0] == "add" else -1.0
    return lift(ins, d, 2, lambda a, b: after(before(a) + sign * before(b)))


def mul(ins: Instruction, d: Decoder) -> Run:
    """``mul``."""
    before, after = _codec(ins)
    return lift(ins, d, 2, lambda a, b: after(before(a) * before(b)))


def fma(ins: Instruction, d: Decoder) -> Run:
    """``fma``."""
    before, after = _codec(ins)
    return lift(ins, d, 3, lambda a, b, c: after(floats.odd_sum(before(a) * before(b), before(c))))


def sign(ins: Instruction, d: Decoder) -> Run:
    """``abs`` and ``neg``."""
    if ins.parts[0] == "abs":
        return lift(ins, d, 1, lambda a: a & np.uint16(0x7FFF))
    return lift(ins, d, 1, lambda a: a ^ np.uint16(0x8000))


def minmax(ins: Instruction, d: Decoder) -> Run:
    """``min`` and ``max``."""
    from .floating import minmax as choose

    before, after = _codec(ins)
    function = choose(ins)
    return lift(ins, d, 2, lambda a, b: after(function(before(a), before(b))))


def function(ins: Instruction, d: Decoder, of: Callable[[Bits], Bits]) -> Run:
    """Approximate functions of one number."""
    if ins.parts[0] not in ("ex2", "tanh"):
        raise unsupported(ins)
    before, after = _codec(ins)
    return lift(ins, d, 1, lambda a: after(of(before(a))))
