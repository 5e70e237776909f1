"""mov, cvta, selections and comparisons."""

from collections.abc import Callable

import numpy as np

from subbit.fast.device.simulated import floats
from subbit.fast.device.simulated.decode import (
    DTYPES,
    Decoder,
    Run,
    Source,
    Target,
    opcode,
    ternary,
    unary,
    unsupported,
)
from subbit.fast.device.simulated.machine import Bits, Machine
from subbit.fast.device.simulated.syntax import (
    Instruction,
    Operand,
    Pair,
    Register,
    Vector,
    type_bits,
)
from subbit.fast.device.simulated.windows import LOCAL_WINDOW, SHARED_WINDOW, window_of

_COMPARE: dict[str, Callable[[Bits, Bits], Bits]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "lo": np.less, "ls": np.less_equal, "hi": np.greater,
    "hs": np.greater_equal,
}  # fmt: skip
_COMBINE: dict[str, Callable[[Bits, Bits], Bits]] = {
    "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor,
}  # fmt: skip


@opcode("mov")
def _mov(ins: Instruction, d: Decoder) -> Run:
    into, value = ins.operands
    kind = ins.parts[-1]
    if isinstance(into, Vector):
        return _unpack(into, value, d, kind)
    if isinstance(value, Vector):
        return _pack(into, value, d, kind)
    put, source = d.target(into), d.source(value, kind)
    return lambda m: put(m, source(m))


def _part_kind(kind: str, count: int) -> str:
    return f"b{type_bits(kind) // count}"


def _unpack(into: Vector, value: Operand, d: Decoder, kind: str) -> Run:
    puts, whole = d.targets(into), d.source(value, f"b{type_bits(kind)}")
    count = len(puts)
    part = DTYPES[_part_kind(kind, count)]

    def run(m: Machine) -> None:
        parts = np.ascontiguousarray(whole(m)).view(part)
        for i, put in enumerate(puts):
            put(m, parts[i::count].copy())

    return run


def _pack(into: Operand, value: Vector, d: Decoder, kind: str) -> Run:
    put, count = d.target(into), len(value.parts)
    sources = d.sources(value, _part_kind(kind, count))
    part, whole = DTYPES[_part_kind(kind, count)], DTYPES[f"b{type_bits(kind)}"]

    def run(m: Machine) -> None:
        values = [s(m) for s in sources]
        length = max(len(v) for v in values)
        both = np.empty(length * count, part)
        for i, v in enumerate(values):
            both[i::count] = v
        put(m, both.view(whole))

    return run


@opcode("cvta")
def _cvta(ins: Instruction, d: Decoder) -> Run:
    """Convert between an address in a space and a generic one."""
    space = next((p.split("::")[0] for p in ins.parts[1:-1] if p != "to"), "")
    window = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW}.get(space, 0)
    if space == "param":
        raise unsupported(ins)
    step = np.array([-window if "to" in ins.parts else window], np.int64)
    kind = ins.parts[-1]
    return unary(d, ins, kind, lambda a: (a.astype(np.int64) + step).astype(DTYPES[kind]))


@opcode("isspacep")
def _isspacep(ins: Instruction, d: Decoder) -> Run:
    space = ins.parts[1].split("::")[0]

    def inside(a: Bits) -> Bits:
        return np.array([window_of(int(x)) == space for x in a])

    return unary(d, ins, "u64", inside)


@opcode("selp")
def _selp(ins: Instruction, d: Decoder) -> Run:
    kind = "b" + str(type_bits(ins.parts[-1]))
    return ternary(d, ins, kind, lambda a, b, p: np.where(p, a, b), "pred")


@opcode("slct")
def _slct(ins: Instruction, d: Decoder) -> Run:
    kind = "b" + str(type_bits(ins.parts[-2]))
    return ternary(d, ins, kind, lambda a, b, c: np.where(c >= 0, a, b), ins.parts[-1])


def comparison(ins: Instruction, kind: str) -> Callable[[Bits, Bits], Bits]:
    """Return the comparison of two arguments."""
    name = ins.parts[1]
    if kind in ("f16", "bf16", "f16x2", "bf16x2"):
        widen = floats.WIDEN[kind.removesuffix("x2")]
        return lambda a, b: _compare_floats(name, widen(a), widen(b))
    if kind in ("f32", "f64"):
        return lambda a, b: _compare_floats(name, a, b)
    return _COMPARE[name]


def _compared_sources(ins: Instruction, d: Decoder, kind: str) -> tuple[Source, Source]:
    source = d.flushed_source if kind == "f32" and "ftz" in ins.parts else d.source
    return source(ins.operands[1], kind), source(ins.operands[2], kind)


def _compare_floats(name: str, a: Bits, b: Bits) -> Bits:
    if name in ("num", "nan"):
        unordered = np.isnan(a) | np.isnan(b)
        return unordered if name == "nan" else ~unordered
    if name in ("equ", "neu", "ltu", "leu", "gtu", "geu"):
        return _COMPARE[name[:2]](a, b) | np.isnan(a) | np.isnan(b)
    if name == "ne":
        return (a != b) & ~(np.isnan(a) | np.isnan(b))
    return _COMPARE[name](a, b)


def _compared(ins: Instruction, kind: str) -> str:
    """Return the type in which integers are compared: ``lo`` to ``hs`` are unsigned."""
    return "u" + kind[1:] if ins.parts[1] in ("lo", "ls", "hi", "hs") else kind


@opcode("setp")
def _setp(ins: Instruction, d: Decoder) -> Run:
    kind = _compared(ins, ins.parts[-1])
    compare = comparison(ins, kind)
    a, b = _compared_sources(ins, d, kind)
    into = ins.operands[0]
    if kind.endswith("x2"):
        return _setp_pair(ins, d, compare, a, b)
    combine = _COMBINE[ins.parts[2]] if len(ins.operands) > 3 else None
    other = d.source(ins.operands[3], "pred") if combine else None
    put = d.target(into)
    second = d.target(into.second) if isinstance(into, Pair) else None

    def run(m: Machine) -> None:
        result = compare(a(m), b(m))
        inverse = ~result if second else result
        if combine is not None and other is not None:
            p = other(m)
            result, inverse = combine(result, p), combine(inverse, p)
        put(m, result)
        if second:
            second(m, inverse)

    return run


def _setp_pair(
    ins: Instruction, d: Decoder, compare: Callable[[Bits, Bits], Bits], a: Source, b: Source
) -> Run:
    into = ins.operands[0]
    if not isinstance(into, Pair) or len(ins.operands) > 3:
        raise unsupported(ins)
    puts: tuple[Target, Target] = d.target(into.first), d.target(into.second)

    def run(m: Machine) -> None:
        result = compare(*_halves(a(m), b(m)))
        puts[0](m, result[0::2].copy())
        puts[1](m, result[1::2].copy())

    return run


def _halves(a: Bits, b: Bits) -> tuple[Bits, Bits]:
    a, b = np.broadcast_arrays(a, b)
    return np.ascontiguousarray(a).view(np.uint16), np.ascontiguousarray(b).view(np.uint16)


@opcode("set")
def _set(ins: Instruction, d: Decoder) -> Run:
    """Compare to a number: all ones or, for float types, one."""
    into, kind = ins.parts[-2], _compared(ins, ins.parts[-1])
    if len(ins.operands) > 3 or into not in DTYPES or not isinstance(ins.operands[0], Register):
        raise unsupported(ins)
    ones = {"f32": 0x3F800000, "f16": 0x3C00, "bf16": 0x3F80, "f16x2": 0x3C00, "bf16x2": 0x3F80}
    pair = kind.endswith("x2")
    bits = 16 if pair else type_bits(into)
    yes = np.array(ones.get(into, (1 << bits) - 1), f"u{bits // 8}")
    compare, put = comparison(ins, kind), d.target(ins.operands[0])
    a, b = _compared_sources(ins, d, kind)

    def run(m: Machine) -> None:
        x, y = _halves(a(m), b(m)) if pair else (a(m), b(m))
        result = compare(x, y) * yes
        put(m, result.astype(yes.dtype).view(np.uint32) if pair else result.astype(yes.dtype))

    return run
