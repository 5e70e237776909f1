"""Integer arithmetic: add to dp4a."""

from collections.abc import Callable

import numpy as np

from subbit.fast.device.simulated.decode import (
    DTYPES,
    Decoder,
    Run,
    binary,
    opcode,
    ternary,
    unary,
    unsupported,
)
from subbit.fast.device.simulated.machine import Bits, Machine
from subbit.fast.device.simulated.syntax import Instruction, type_bits

from .floating import float_add, float_div, float_mad, float_minmax, float_mul, float_unary
from .half import PACKED

_FLOATS = {"f32", "f64", *PACKED}
_CARRY = "%cc.cf"


def integer_kind(ins: Instruction) -> str:
    """Return the instruction's type, refusing packed integers."""
    kind = ins.parts[-1]
    if kind not in DTYPES:
        raise unsupported(ins)
    return kind


@opcode("add", "sub")
def _add(ins: Instruction, d: Decoder) -> Run:
    if ins.parts[-1] in _FLOATS:
        return float_add(ins, d)
    kind = integer_kind(ins)
    if "cc" in ins.parts:
        return _carry(ins, d, kind, chain=False)
    if "sat" in ins.parts:
        return _saturating(ins, d, kind)
    return binary(d, ins, kind, np.add if ins.parts[0] == "add" else np.subtract)


def _saturating(ins: Instruction, d: Decoder, kind: str) -> Run:
    function = np.add if ins.parts[0] == "add" else np.subtract
    limit = np.iinfo(DTYPES[kind])

    def clamp(a: Bits, b: Bits) -> Bits:
        wide = function(a.astype(np.int64), b.astype(np.int64))
        return np.clip(wide, limit.min, limit.max).astype(DTYPES[kind])

    return binary(d, ins, kind, clamp)


@opcode("addc", "subc")
def _add_carry(ins: Instruction, d: Decoder) -> Run:
    return _carry(ins, d, integer_kind(ins), chain=True)


def _carry(ins: Instruction, d: Decoder, kind: str, *, chain: bool) -> Run:
    """Add or subtract with carry out and, in a chain, carry in."""
    subtract = ins.parts[0].startswith("sub")
    unsigned = "u" + kind[1:]
    put = d.target(ins.operands[0])
    a, b = d.source(ins.operands[1], unsigned), d.source(ins.operands[2], unsigned)
    out = "cc" in ins.parts

    def run(m: Machine) -> None:
        x, y = a(m), b(m)
        carry = carry_in(m) if chain else np.zeros(1, np.bool_)
        step = carry.astype(x.dtype)
        first = x - y if subtract else x + y
        result = first - step if subtract else first + step
        if out:
            over = (x < y) if subtract else (first < x)
            again = (first < step) if subtract else (result < first)
            set_carry(m, over | again)
        put(m, result)

    return run


def carry_in(m: Machine) -> Bits:
    """Return the carry flag in the present mode."""
    flag = m.special.get(_CARRY)
    if flag is None:
        return np.zeros(1, np.bool_)
    return flag if m.index is None or len(flag) == 1 else flag[m.index]


def set_carry(m: Machine, value: Bits) -> None:
    """Set the carry flag of the active lanes."""
    old = m.special.get(_CARRY, np.zeros(1, np.bool_))
    full = np.repeat(old, m.lanes) if len(old) == 1 else old.copy()
    full[m.active] = m.dense(value)
    m.special[_CARRY] = full


@opcode("mul", "mul24")
def _mul(ins: Instruction, d: Decoder) -> Run:
    kind = ins.parts[-1]
    if kind in _FLOATS:
        return float_mul(ins, d)
    if ins.parts[0] == "mul24":
        return binary(d, ins, kind, _mul24(kind))
    return binary(d, ins, kind, product(ins, kind))


def _mul24(kind: str) -> Callable[[Bits, Bits], Bits]:
    shift = np.array(8, DTYPES[kind])
    return lambda a, b: ((a << shift) >> shift) * ((b << shift) >> shift)


def product(ins: Instruction, kind: str) -> Callable[[Bits, Bits], Bits]:
    """Return the product that an instruction means: low, high or wide."""
    bits = type_bits(kind)
    if "wide" in ins.parts:
        wide = f"{DTYPES[kind][0]}{bits // 4}"
        return lambda a, b: a.astype(wide) * b.astype(wide)
    if "hi" in ins.parts:
        return high_product(kind)
    return np.multiply


def high_product(kind: str) -> Callable[[Bits, Bits], Bits]:
    """Return the function that computes the upper half of a product."""
    bits, dtype = type_bits(kind), DTYPES[kind]
    if bits < 64:
        wide = f"{dtype[0]}{bits // 4}"
        shift = np.array(bits, wide)
        return lambda a, b: ((a.astype(wide) * b.astype(wide)) >> shift).astype(dtype)
    if dtype == "u8":
        return _high64
    # The signed product differs from the unsigned one by the factors of negative numbers.
    return lambda a, b: (
        _high64(a.view(np.uint64), b.view(np.uint64)).view(np.int64)
        - np.where(a < 0, b, 0)
        - np.where(b < 0, a, 0)
    )


def _high64(a: Bits, b: Bits) -> Bits:
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a0, a1, b0, b1 = a & low, a >> half, b & low, b >> half
    middle = a1 * b0 + (a0 * b0 >> half)
    other = a0 * b1 + (middle & low)
    result: Bits = a1 * b1 + (middle >> half) + (other >> half)
    return result


@opcode("mad", "mad24", "fma", "madc")
def _mad(ins: Instruction, d: Decoder) -> Run:
    kind = ins.parts[-1]
    if kind in _FLOATS:
        return float_mad(ins, d)
    if ins.parts[0] == "mad24":
        low = _mul24(kind)
        return ternary(d, ins, kind, lambda a, b, c: low(a, b) + c)
    if "cc" in ins.parts or ins.parts[0] == "madc":
        return _mad_carry(ins, d, kind)
    multiply = product(ins, kind)
    third = f"{kind[0]}{type_bits(kind) * 2}" if "wide" in ins.parts else kind
    return ternary(d, ins, kind, lambda a, b, c: multiply(a, b) + c, third)


def _mad_carry(ins: Instruction, d: Decoder, kind: str) -> Run:
    multiply = product(ins, kind)
    put = d.target(ins.operands[0])
    a, b, c = (d.source(op, kind) for op in ins.operands[1:4])
    chain, out = ins.parts[0] == "madc", "cc" in ins.parts
    unsigned = f"u{type_bits(kind) // 8}"

    def run(m: Machine) -> None:
        x, y = multiply(a(m), b(m)).view(unsigned), c(m).view(unsigned)
        step = (carry_in(m) if chain else np.zeros(1, np.bool_)).astype(unsigned)
        first = x + y
        result = first + step
        if out:
            set_carry(m, (first < x) | (result < first))
        put(m, result)

    return run


@opcode("div", "rem")
def _div(ins: Instruction, d: Decoder) -> Run:
    kind = ins.parts[-1]
    if kind in _FLOATS:
        return float_div(ins, d)
    remainder = ins.parts[0] == "rem"

    def divide(a: Bits, b: Bits) -> Bits:
        a, b = np.broadcast_arrays(a, b)
        safe = np.where(b == 0, np.ones(1, b.dtype), b)
        quotient = a // safe
        if a.dtype.kind == "i":
            # NumPy rounds down, PTX toward zero.
            quotient = quotient + ((quotient * safe != a) & ((a < 0) != (safe < 0)))
        quotient = quotient.astype(a.dtype)
        if remainder:
            return np.where(b == 0, a, a - quotient * safe)
        return np.where(b == 0, ~np.zeros(1, a.dtype), quotient)

    return binary(d, ins, kind, divide)


@opcode("abs", "neg")
def _abs(ins: Instruction, d: Decoder) -> Run:
    kind = ins.parts[-1]
    if kind in _FLOATS:
        return float_unary(ins, d)
    return unary(d, ins, kind, np.abs if ins.parts[0] == "abs" else np.negative)


@opcode("min", "max")
def _minmax(ins: Instruction, d: Decoder) -> Run:
    kind = ins.parts[-1]
    if kind in _FLOATS:
        return float_minmax(ins, d)
    if kind not in DTYPES or "relu" in ins.parts:
        raise unsupported(ins)
    return binary(d, ins, kind, np.minimum if ins.parts[0] == "min" else np.maximum)


@opcode("sad")
def _sad(ins: Instruction, d: Decoder) -> Run:
    return ternary(d, ins, ins.parts[-1],
                   lambda a, b, c: c + np.where(a < b, b - a, a - b))  # fmt: skip


@opcode("dp4a", "dp2a")
def _dot(ins: Instruction, d: Decoder) -> Run:
    """Dot products of bytes (dp4a), or of two halves with two bytes (dp2a)."""
    first, second = (p for p in ins.parts if p in ("u32", "s32"))
    a, b = d.source(ins.operands[1], "u32"), d.source(ins.operands[2], "u32")
    c, put = d.source(ins.operands[3], "u32"), d.target(ins.operands[0])
    four = ins.parts[0] == "dp4a"
    high = "hi" in ins.parts

    def part(value: Bits, i: int, bits: int, kind: str) -> Bits:
        up = np.uint32(32 - bits - i * bits)
        shifted = value << up
        signed = shifted.view(np.int32) if kind == "s32" else shifted
        return (signed >> np.array(32 - bits, signed.dtype)).view(np.uint32)

    def run(m: Machine) -> None:
        x, y, total = a(m), b(m), c(m)
        for i in range(4 if four else 2):
            left = part(x, i, 8 if four else 16, first)
            right = part(y, i + (2 if high else 0), 8, second)
            total = total + left * right
        put(m, total)

    return run
