"""Bits: and to lop3, shifts, prmt, bit fields, popc."""

from collections.abc import Callable

import numpy as np

from subbit.fast.device.simulated.decode import (
    DTYPES,
    Decoder,
    Run,
    Source,
    binary,
    opcode,
    ternary,
    unary,
    unsupported,
)
from subbit.fast.device.simulated.machine import Bits, Machine
from subbit.fast.device.simulated.syntax import Immediate, Instruction, Pair, type_bits


@opcode("and", "or", "xor")
def _binary_logic(ins: Instruction, d: Decoder) -> Run:
    functions = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
    return binary(d, ins, ins.parts[-1], functions[ins.parts[0]])


@opcode("not")
def _not(ins: Instruction, d: Decoder) -> Run:
    return unary(d, ins, ins.parts[-1], np.invert)


@opcode("cnot")
def _cnot(ins: Instruction, d: Decoder) -> Run:
    dtype = DTYPES[ins.parts[-1]]
    return unary(d, ins, ins.parts[-1], lambda a: (a == 0).astype(dtype))


@opcode("shl", "shr")
def _shift(ins: Instruction, d: Decoder) -> Run:
    """Shift; amounts beyond the width shift everything out."""
    kind = ins.parts[-1]
    bits, dtype = type_bits(kind), DTYPES[kind]
    left = ins.parts[0] == "shl"
    signed = dtype[0] == "i"
    function = np.left_shift if left else np.right_shift
    amount = ins.operands[2]
    if isinstance(amount, Immediate) and amount.value < bits:
        fixed = np.array([amount.value], dtype)
        return unary(d, ins, kind, lambda a: function(a, fixed))

    def shift(a: Bits, b: Bits) -> Bits:
        if signed and not left:
            return function(a, np.minimum(b, np.uint32(bits - 1)).astype(dtype))
        inside = b < bits
        return np.where(inside, function(a, np.where(inside, b, 0).astype(dtype)), 0).astype(dtype)

    return binary(d, ins, kind, shift, "u32")


@opcode("shf")
def _funnel(ins: Instruction, d: Decoder) -> Run:
    left, clamp = "l" in ins.parts, "clamp" in ins.parts

    def shift(low: Bits, high: Bits, amount: Bits) -> Bits:
        n = np.minimum(amount, np.uint32(32)) if clamp else amount & np.uint32(31)
        both = high.astype(np.uint64) << np.uint64(32) | low
        if left:
            return ((both << n.astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)
        return (both >> n.astype(np.uint64)).astype(np.uint32)

    return ternary(d, ins, "b32", shift)


@opcode("lop3")
def _lop3(ins: Instruction, d: Decoder) -> Run:
    """Evaluate any function of three bits, by its truth table."""
    if isinstance(ins.operands[0], Pair) or not isinstance(ins.operands[4], Immediate):
        raise unsupported(ins)
    table = ins.operands[4].value
    return ternary(d, ins, "b32", lambda a, b, c: truth(table, a, b, c))


def truth(table: int, a: Bits, b: Bits, c: Bits) -> Bits:
    """Return the bitwise function of a, b, c whose truth table is `table`.

    Parameters
    ----------
    table : int
        Bit 4a + 2b + c is the answer for these three bits.
    a, b, c : ndarray of unsigned
        Arguments.

    Returns
    -------
    ndarray of unsigned
        The answer for every bit.
    """
    if table == 0x96:
        return a ^ b ^ c
    if table.bit_count() > 4:
        return ~truth(table ^ 0xFF, a, b, c)
    result = np.zeros(1, a.dtype)
    for row in range(8):
        if table >> row & 1:
            term = a if row & 4 else ~a
            term = term & (b if row & 2 else ~b)
            result = result | (term & (c if row & 1 else ~c))
    return result


@opcode("prmt")
def _prmt(ins: Instruction, d: Decoder) -> Run:
    """Pick four of eight bytes by the nibbles of a selector."""
    mode = ins.parts[-1] if ins.parts[-1] != "b32" else ""
    put = d.target(ins.operands[0])
    a, b, selector = (d.source(op, "b32") for op in ins.operands[1:4])

    def run(m: Machine) -> None:
        both = b(m).astype(np.uint64) << np.uint64(32) | a(m)
        put(m, permute(both, selector(m), mode))

    return run


_MODES: dict[str, Callable[[int, int], int]] = {
    "f4e": lambda n, i: (n + i) & 7,
    "b4e": lambda n, i: (n - i) & 7,
    "rc8": lambda n, i: n,
    "ecl": max,
    "ecr": min,
    "rc16": lambda n, i: (n & 1) * 2 + (i & 1),
}


def permute(both: Bits, selector: Bits, mode: str) -> Bits:
    """Return the bytes of a 64-bit number that the selector names."""
    if mode:
        mask = 7 if mode in ("f4e", "b4e") else 3
        table = np.array(
            [sum(_MODES[mode](n, i) << 4 * i for i in range(4)) for n in range(mask + 1)], np.uint32
        )
        selector = table[selector & np.uint32(mask)]
    result = np.zeros(1, np.uint32)
    for i in range(4):
        nibble = selector >> np.uint32(4 * i) & np.uint32(15)
        byte = (both >> ((nibble & np.uint32(7)) * np.uint32(8)).astype(np.uint64)).astype(
            np.uint32
        )
        byte = byte & np.uint32(0xFF)
        if not mode:
            sign = (byte >> np.uint32(7)) * np.uint32(0xFF)
            byte = np.where(nibble & np.uint32(8), sign, byte)
        result = result | byte << np.uint32(8 * i)
    return result


@opcode("popc")
def _popc(ins: Instruction, d: Decoder) -> Run:
    return unary(d, ins, ins.parts[-1], lambda a: np.bitwise_count(a).astype(np.uint32))


def leading_zeros(a: Bits) -> Bits:
    """Return the number of leading zeros as uint32."""
    bits = a.dtype.itemsize * 8
    for shift in (1, 2, 4, 8, 16, 32):
        if shift < bits:
            a = a | a >> np.array(shift, a.dtype)
    return np.uint32(bits) - np.bitwise_count(a).astype(np.uint32)


@opcode("clz")
def _clz(ins: Instruction, d: Decoder) -> Run:
    return unary(d, ins, ins.parts[-1], leading_zeros)


@opcode("brev")
def _brev(ins: Instruction, d: Decoder) -> Run:
    return unary(d, ins, ins.parts[-1], reverse)


def reverse(a: Bits) -> Bits:
    """Return the bits in reverse order."""
    bits = a.dtype.itemsize * 8
    everything = (1 << bits) - 1
    for shift in (1, 2, 4, 8, 16, 32):
        if shift < bits:
            low = np.array(everything // ((1 << shift) + 1), a.dtype)
            step = np.array(shift, a.dtype)
            a = (a >> step & low) | (a & low) << step
    return a


@opcode("bfind")
def _bfind(ins: Instruction, d: Decoder) -> Run:
    kind = ins.parts[-1]
    bits, amount = type_bits(kind), "shiftamt" in ins.parts
    unsigned = f"u{bits // 8}"

    def find(a: Bits) -> Bits:
        value = np.where(a < 0, ~a, a).view(unsigned) if kind[0] == "s" else a
        zeros = leading_zeros(value)
        result = zeros if amount else np.uint32(bits - 1) - zeros
        return np.where(zeros == bits, np.uint32(0xFFFFFFFF), result)

    return unary(d, ins, kind, find)


@opcode("bfe")
def _extract(ins: Instruction, d: Decoder) -> Run:
    kind = ins.parts[-1]
    bits, dtype = type_bits(kind), DTYPES[kind]
    put, a = d.target(ins.operands[0]), d.source(ins.operands[1], kind)
    position, length = _field(ins, d, 2)

    def run(m: Machine) -> None:
        pos, size = position(m), length(m)
        value = a(m)
        unsigned = value.view(f"u{bits // 8}").astype(np.uint64)
        field = (unsigned >> np.minimum(pos, 63).astype(np.uint64)) & _ones(size)
        field = np.where(pos > 63, 0, field)
        if dtype[0] == "i":
            at = np.minimum(pos + size - 1, bits - 1).clip(0)
            sign = np.where(size > 0, unsigned >> at.astype(np.uint64) & np.uint64(1), 0)
            # Beyond the number's end the field is also filled with the sign.
            inside = np.minimum(size, np.maximum(bits - pos, 0))
            field = np.where(sign, (field & _ones(inside)) | ~_ones(inside), field)
        put(m, field.astype(f"u{bits // 8}").view(dtype))

    return run


def _field(ins: Instruction, d: Decoder, first: int) -> tuple[Source, Source]:
    """Return the sources of position and length, 8 bits each, as int64."""
    position, length = (d.source(ins.operands[k], "u32") for k in (first, first + 1))
    return (
        lambda m: (position(m) & np.uint32(255)).astype(np.int64),
        lambda m: (length(m) & np.uint32(255)).astype(np.int64),
    )


def _ones(count: Bits) -> Bits:
    """Return numbers with that many low bits set, at most 64."""
    shift = np.minimum(count, 63).astype(np.uint64)
    ones = (np.uint64(1) << shift) - np.uint64(1)
    return np.where(count > 63, ~np.uint64(0), ones)


@opcode("bfi")
def _insert(ins: Instruction, d: Decoder) -> Run:
    kind = ins.parts[-1]
    dtype, bits = DTYPES[kind], type_bits(kind)
    put = d.target(ins.operands[0])
    a, b = d.source(ins.operands[1], kind), d.source(ins.operands[2], kind)
    position, length = _field(ins, d, 3)

    def run(m: Machine) -> None:
        pos, size = position(m), length(m)
        at = np.minimum(pos, 63).astype(np.uint64)
        mask = np.where(pos >= bits, np.uint64(0), _ones(size) << at)
        value = a(m).astype(np.uint64) << at
        put(m, ((b(m) & ~mask) | (value & mask)).astype(dtype))

    return run


@opcode("bmsk")
def _mask(ins: Instruction, d: Decoder) -> Run:
    if "clamp" not in ins.parts:
        raise unsupported(ins)

    def mask(a: Bits, b: Bits) -> Bits:
        at = np.minimum(a, np.uint32(32)).astype(np.uint64)
        return (_ones(np.minimum(b, np.uint32(32)).astype(np.int64)) << at).astype(np.uint32)

    return binary(d, ins, "b32", mask)


@opcode("szext")
def _extend(ins: Instruction, d: Decoder) -> Run:
    if "clamp" not in ins.parts:
        raise unsupported(ins)
    dtype = DTYPES[ins.parts[-1]]

    def extend(a: Bits, n: Bits) -> Bits:
        drop = (np.uint64(64) - np.minimum(n, np.uint32(32))).astype(np.uint64)
        up = a.view(np.uint32).astype(np.uint64) << np.minimum(drop, np.uint64(63))
        wide = (
            up.view(np.int64) >> np.minimum(drop, 63).astype(np.int64)
            if dtype == "i4"
            else up >> drop
        )
        return np.where(n == 0, 0, wide).astype(np.int64).astype(dtype)

    return binary(d, ins, ins.parts[-1], extend, "u32")
