"""float32 and float64 arithmetic, comparison and the approximate functions."""

from collections.abc import Callable

import numpy as np

from subbit.fast.device.simulated import floats
from subbit.fast.device.simulated.decode import (
    Decoder,
    Run,
    binary,
    opcode,
    ternary,
    unary,
    unsupported,
)
from subbit.fast.device.simulated.machine import Bits
from subbit.fast.device.simulated.syntax import Instruction

from . import half


def rounding(ins: Instruction) -> str:
    """Return the instruction's rounding mode, to nearest where it names none."""
    return next((p for p in ins.parts if p in ("rn", "rz", "rm", "rp")), "rn")


def _finished(ins: Instruction) -> tuple[bool, Callable[[Bits], Bits]]:
    """Return whether arguments are flushed, and what to do with results: saturate, NaN, flush."""
    if ins.parts[-1] == "f64":
        return False, _finish64
    ftz, sat = "ftz" in ins.parts, "sat" in ins.parts

    def after(x: Bits) -> Bits:
        if sat:
            # A NaN saturates to zero.
            x = np.where(x > 0, np.minimum(x, np.float32(1)), np.float32(0))
        return floats.finish(x, ftz=ftz)

    return ftz, after


def _finish64(x: Bits) -> Bits:
    invalid = np.isnan(x)
    if not np.count_nonzero(invalid):
        return x
    return np.where(invalid, np.uint64(0x7FF8000000000000), x.view(np.uint64)).view(np.float64)


def float_add(ins: Instruction, d: Decoder) -> Run:
    """``add`` and ``sub``."""
    kind, mode = ins.parts[-1], rounding(ins)
    if kind in half.PACKED:
        return half.add(ins, d)
    ftz, after = _finished(ins)
    sign = 1 if ins.parts[0] == "add" else -1
    if mode == "rn":
        function = np.add if sign > 0 else np.subtract
        return binary(d, ins, kind, lambda a, b: after(function(a, b)), ftz=ftz)
    if kind == "f64":
        raise unsupported(ins)

    def directed(a: Bits, b: Bits) -> Bits:
        left, right = a.astype(np.float64), sign * b.astype(np.float64)
        return after(floats.sum32(left, right, mode))

    return binary(d, ins, kind, directed, ftz=ftz)


def float_mul(ins: Instruction, d: Decoder) -> Run:
    """``mul``."""
    kind, mode = ins.parts[-1], rounding(ins)
    if kind in half.PACKED:
        return half.mul(ins, d)
    ftz, after = _finished(ins)
    if mode == "rn":
        return binary(d, ins, kind, lambda a, b: after(a * b), ftz=ftz)
    if kind == "f64":
        raise unsupported(ins)
    return binary(d, ins, kind, lambda a, b: after(
        floats.directed32(a.astype(np.float64) * b, mode)), ftz=ftz)  # fmt: skip


def float_mad(ins: Instruction, d: Decoder) -> Run:
    """``fma`` and ``mad``."""
    kind, mode = ins.parts[-1], rounding(ins)
    if kind in half.PACKED:
        return half.fma(ins, d)
    ftz, after = _finished(ins)
    if kind == "f64":
        if mode != "rn":
            raise unsupported(ins)
        return ternary(d, ins, kind, lambda a, b, c: after(floats.fma64(a, b, c)))
    return ternary(d, ins, kind, lambda a, b, c: after(floats.fma32(a, b, c, mode)), ftz=ftz)


def float_div(ins: Instruction, d: Decoder) -> Run:
    """``div``: the approximate forms are computed exactly."""
    if rounding(ins) != "rn" or ins.parts[-1] in half.PACKED:
        raise unsupported(ins)
    ftz, after = _finished(ins)
    return binary(d, ins, ins.parts[-1], lambda a, b: after(a / b), ftz=ftz)


def float_unary(ins: Instruction, d: Decoder) -> Run:
    """``abs`` and ``neg``: bit operations, so that a NaN keeps its payload."""
    kind = ins.parts[-1]
    if kind in half.PACKED:
        return half.sign(ins, d)
    ftz, _ = _finished(ins)
    function = np.abs if ins.parts[0] == "abs" else np.negative
    return unary(d, ins, kind, function, ftz=ftz)


def float_minmax(ins: Instruction, d: Decoder) -> Run:
    """``min`` and ``max``: -0 is below +0; a NaN loses unless the opcode says NaN."""
    kind = ins.parts[-1]
    if kind in half.PACKED:
        return half.minmax(ins, d)
    if "abs" in ins.parts or "xorsign" in ins.parts or len(ins.operands) > 3:
        raise unsupported(ins)
    ftz, after = _finished(ins)
    choose = minmax(ins)
    return binary(d, ins, kind, lambda a, b: after(choose(a, b)), ftz=ftz)


def minmax(ins: Instruction) -> Callable[[Bits, Bits], Bits]:
    """Return the minimum or maximum of floats as PTX defines it."""
    smallest, nan = ins.parts[0] == "min", "NaN" in ins.parts

    def choose(a: Bits, b: Bits) -> Bits:
        left = np.signbit(a) > np.signbit(b) if smallest else np.signbit(a) < np.signbit(b)
        better = (a < b) if smallest else (a > b)
        result = np.where(better | ((a == b) & left), a, b)
        result = np.where(np.isnan(b), a, result)
        result = np.where(np.isnan(a), b, result)
        if nan:
            result = np.where(np.isnan(a) | np.isnan(b), np.array(np.nan, a.dtype), result)
        return result

    return choose


def _wide(function: Callable[[Bits], Bits]) -> Callable[[Bits], Bits]:
    """Return a float32 function computed in float64."""

    def compute(x: Bits) -> Bits:
        return function(x.astype(np.float64)).astype(np.float32)

    return compute


_FUNCTIONS: dict[str, Callable[[Bits], Bits]] = {
    "sqrt": np.sqrt,
    "rcp": lambda x: 1 / x,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "ex2": np.exp2,
    "lg2": np.log2,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
}


@opcode(*_FUNCTIONS)
def _function(ins: Instruction, d: Decoder) -> Run:
    """Functions of one number; approximate ones are rounded from float64."""
    kind, function = ins.parts[-1], _FUNCTIONS[ins.parts[0]]
    if kind in half.PACKED:
        return half.function(ins, d, function)
    if rounding(ins) != "rn":
        raise unsupported(ins)
    ftz, after = _finished(ins)
    if kind == "f64":
        return unary(d, ins, kind, lambda a: after(function(a)))
    compute = _wide(function) if "approx" in ins.parts else function
    return unary(d, ins, kind, lambda a: after(compute(a).astype(np.float32, copy=False)), ftz=ftz)


@opcode("copysign")
def _copysign(ins: Instruction, d: Decoder) -> Run:
    return binary(d, ins, ins.parts[-1], lambda a, b: np.copysign(b, a))


@opcode("testp")
def _testp(ins: Instruction, d: Decoder) -> Run:
    tiny = np.finfo(np.float32 if ins.parts[-1] == "f32" else np.float64).tiny
    tests: dict[str, Callable[[Bits], Bits]] = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda a: ~np.isnan(a),
        "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & (np.abs(a) >= tiny),
        "subnormal": lambda a: (np.abs(a) < tiny) & (a != 0),
    }
    return unary(d, ins, ins.parts[-1], tests[ins.parts[1]])
