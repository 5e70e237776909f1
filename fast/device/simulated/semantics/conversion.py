"""cvt: between integers and floats of all widths."""

from collections.abc import Callable

import numpy as np

from subbit.fast.device.simulated import floats
from subbit.fast.device.simulated.decode import DTYPES, Decoder, Run, opcode, unary, unsupported
from subbit.fast.device.simulated.machine import Bits, Machine
from subbit.fast.device.simulated.syntax import Instruction, type_bits

_FLOATS = {"f16", "bf16", "f32", "f64"}
_PAIRS = {"f16x2": "f16", "bf16x2": "bf16"}
_WHOLE = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


@opcode("cvt")
def _cvt(ins: Instruction, d: Decoder) -> Run:
    parts = ins.parts
    if parts[1] == "pack":
        return _pack(ins, d)
    into, kind = parts[-2], parts[-1]
    if into in _PAIRS and kind == "f32":
        return _pair(ins, d, _PAIRS[into])
    if into == "tf32" and "rna" in parts:
        return unary(d, ins, "f32", _tf32)
    if into not in DTYPES or kind not in DTYPES or "x2" in into + kind:
        raise unsupported(ins)
    if kind in _FLOATS:
        inner = (
            _float_to_float(ins, into, kind) if into in _FLOATS else _float_to_int(ins, into, kind)
        )
    elif into in _FLOATS:
        inner = _int_to_float(ins, into, kind)
    else:
        inner = _int_to_int(ins, into)
    return unary(d, ins, kind, inner)


def _mode(ins: Instruction) -> str:
    return next((p for p in ins.parts if p in ("rn", "rz", "rm", "rp")), "rn")


def _narrow(ins: Instruction, into: str, mode: str) -> Callable[[Bits], Bits]:
    """Return the conversion from float64 to a float type."""
    if into == "f64":
        return _same
    if into == "f32":
        ftz = "ftz" in ins.parts
        return lambda x: floats.finish(floats.directed32(x, mode), ftz=ftz)
    if mode not in ("rn", "rz"):
        raise unsupported(ins)
    function = floats.double_to_half if into == "f16" else floats.double_to_bfloat
    return lambda x: function(x, mode)


def _same(x: Bits) -> Bits:
    return x


def _float_to_float(ins: Instruction, into: str, kind: str) -> Callable[[Bits], Bits]:
    whole = next((_WHOLE[p] for p in ins.parts if p in _WHOLE), None)
    narrow, widen = _narrow(ins, into, _mode(ins)), floats.WIDEN[kind]
    ftz, sat, relu = "ftz" in ins.parts and kind == "f32", "sat" in ins.parts, "relu" in ins.parts
    if "satfinite" in ins.parts:
        raise unsupported(ins)

    def convert(x: Bits) -> Bits:
        wide = widen(floats.flush(x) if ftz else x)
        if whole is not None:
            wide = whole(wide)
        if sat:
            wide = np.where(wide > 0, np.minimum(wide, 1.0), 0.0)
        if relu:
            wide = np.where(wide < 0, 0.0, wide)
        return narrow(wide)

    return convert


def _float_to_int(ins: Instruction, into: str, kind: str) -> Callable[[Bits], Bits]:
    """Round as instructed, clamp, and give a NaN its value."""
    whole = next((_WHOLE[p] for p in ins.parts if p in _WHOLE), np.trunc)
    widen, dtype = floats.WIDEN[kind], np.dtype(DTYPES[into])
    limit = np.iinfo(dtype)
    bits = type_bits(into)
    ftz = "ftz" in ins.parts and kind == "f32"
    nan = 0 if kind != "f64" and bits < 64 else 1 << (bits - 1)

    def convert(x: Bits) -> Bits:
        value = whole(widen(floats.flush(x) if ftz else x))
        above, below = value >= 2.0 ** (bits - (limit.min < 0)), value <= float(limit.min)
        invalid = np.isnan(value)
        safe = np.where(above | below | invalid, 0.0, value).astype(dtype)
        safe = np.where(above, dtype.type(limit.max), np.where(below, dtype.type(limit.min), safe))
        return np.where(invalid, np.array(nan, f"u{dtype.itemsize}").view(dtype), safe)

    return convert


def _int_to_float(ins: Instruction, into: str, kind: str) -> Callable[[Bits], Bits]:
    mode = _mode(ins)
    if into == "f64" or (into == "f32" and mode == "rn"):
        if mode != "rn" and type_bits(kind) == 64:
            raise unsupported(ins)
        return lambda x: x.astype(DTYPES[into])
    if type_bits(kind) == 64:
        # float64 can't hold all of them: round to odd on the way.
        narrow = _narrow(ins, into, mode)
        return lambda x: narrow(_odd_double(x))
    narrow = _narrow(ins, into, mode)
    return lambda x: narrow(x.astype(np.float64))


def _odd_double(x: Bits) -> Bits:
    high = (x >> np.array(11, x.dtype)).astype(np.float64) * 2048.0
    return floats.odd_sum(high, (x & np.array(2047, x.dtype)).astype(np.float64))


def _int_to_int(ins: Instruction, into: str) -> Callable[[Bits], Bits]:
    dtype = np.dtype(DTYPES[into])
    if "sat" not in ins.parts:
        return lambda x: x.astype(dtype)
    return lambda x: saturate(x, dtype)


def saturate(x: Bits, dtype: np.dtype[np.generic]) -> Bits:
    """Return integers clamped to the range of another type."""
    limit, own = np.iinfo(str(dtype)), np.iinfo(x.dtype)
    low, high = max(limit.min, own.min), min(limit.max, own.max)
    return np.clip(x, np.array(low, x.dtype), np.array(high, x.dtype)).astype(dtype)


def _pair(ins: Instruction, d: Decoder, into: str) -> Run:
    """Convert two float32 to a pair: the first argument is the upper half."""
    if len(ins.operands) != 3 or "satfinite" in ins.parts:
        raise unsupported(ins)
    put, narrow = d.target(ins.operands[0]), _narrow(ins, into, _mode(ins))
    high, low = d.source(ins.operands[1], "f32"), d.source(ins.operands[2], "f32")
    relu = "relu" in ins.parts

    def half(x: Bits) -> Bits:
        wide = x.astype(np.float64)
        return narrow(np.where(wide < 0, 0.0, wide) if relu else wide).astype(np.uint32)

    def run(m: Machine) -> None:
        put(m, half(high(m)) << np.uint32(16) | half(low(m)))

    return run


def _tf32(x: Bits) -> Bits:
    """Round to ten bits of mantissa, ties away from zero."""
    bits = x.view(np.uint32)
    rounded = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where((bits & 0x7FFFFFFF) >= 0x7F800000, bits, rounded)


def _pack(ins: Instruction, d: Decoder) -> Run:
    """cvt.pack.sat: two saturated integers side by side."""
    into, kind = ins.parts[3], ins.parts[4]
    dtype, bits = np.dtype(DTYPES.get(into, "u4")), type_bits(into)
    if bits not in (8, 16) or kind != "s32":
        raise unsupported(ins)
    put = d.target(ins.operands[0])
    a, b = d.source(ins.operands[1], kind), d.source(ins.operands[2], kind)
    c = d.source(ins.operands[3], "b32") if len(ins.operands) > 3 else None
    unsigned = f"u{bits // 8}"

    def run(m: Machine) -> None:
        first, second = (saturate(x(m), dtype).view(unsigned).astype(np.uint32) for x in (a, b))
        result = first << np.uint32(bits) | second
        if c is not None:
            result = c(m) << np.uint32(2 * bits) | result
        put(m, result)

    return run
