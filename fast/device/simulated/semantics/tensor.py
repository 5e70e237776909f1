"""ldmatrix and mma: fragments as gathers over (warp, lane).

With g = lane / 4, t = lane mod 4 and v elements in a register, register r of A holds row
g + 8 (r mod 2), columns v t + 4 v (r / 2) + i; register r of B holds rows v t + 4 v r + i of
column g; the accumulators hold rows g and g + 8, columns 2 t and 2 t + 1. Sums are computed in
float64 and rounded once, which a tensor core does not: they are bit-equal only where
the sum is exact.
"""

import re
from collections.abc import Callable

import numpy as np

from subbit.fast.device.errors import Fault
from subbit.fast.device.simulated import floats
from subbit.fast.device.simulated.decode import Decoder, Run, opcode, unsupported
from subbit.fast.device.simulated.machine import WARP, Bits, Machine
from subbit.fast.device.simulated.syntax import Immediate, Instruction

from .transfer import space_of

_LANE = np.arange(WARP)
_G, _T = _LANE // 4, _LANE % 4
_PER_REGISTER = {"f16": 2, "bf16": 2, "s8": 4, "u8": 4, "s4": 8, "u4": 8, "b1": 32, "tf32": 1}


def require_whole_warps(m: Machine) -> None:
    """Refuse to run where a warp lacks lanes."""
    warps = m.mask.reshape(-1, WARP)
    partial = warps.any(axis=1) & ~warps.all(axis=1)
    if partial.any():
        kind = "shuffle"
        lane = int(np.flatnonzero(warps[np.flatnonzero(partial)[0]])[0])
        warp = int(np.flatnonzero(partial)[0])
        raise Fault(kind, "the instruction needs all 32 threads of the warp", warp * WARP + lane)


@opcode("ldmatrix")
def _ldmatrix(ins: Instruction, d: Decoder) -> Run:
    """Load 8x8 matrices of 16-bit elements; lanes 8i to 8i+7 give the rows of matrix i."""
    if "m8n8" not in ins.parts or ins.parts[-1] != "b16":
        raise unsupported(ins)
    count = next(int(p[1:]) for p in ins.parts if p in ("x1", "x2", "x4"))
    space, trans = space_of(ins), "trans" in ins.parts
    puts, address = d.targets(ins.operands[0]), d.address(ins.operands[1], space)

    def run(m: Machine) -> None:
        require_whole_warps(m)
        where = m.dense(address(m))
        mask, number = m.mask, m.count
        giving = m.active % WARP < 8 * count
        part = np.zeros_like(mask)
        part[m.active[giving]] = True
        m.set_active(part, int(giving.sum()))
        words = m.memory.load(m, space, where[giving], "u4", 4)
        m.set_active(mask, number)
        rows = np.stack(words, axis=1).reshape(-1, count, 8, 4)
        if trans:
            halves = rows.view(np.uint16).swapaxes(2, 3)
            rows = np.ascontiguousarray(halves).view(np.uint32)
        for i, put in enumerate(puts):
            put(m, m.spread(rows[:, i, _G, _T].ravel()))

    return run


def elements(words: Bits, kind: str) -> Bits:
    """Return registers as numbers, the elements of each along a new last axis.

    Parameters
    ----------
    words : ndarray of uint32
        Registers.
    kind : str
        Element type.

    Returns
    -------
    ndarray of float64
        One axis more.
    """
    per = _PER_REGISTER[kind]
    words = np.ascontiguousarray(words)[..., None]
    if kind == "tf32":
        return (words & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)
    if kind in ("f16", "bf16"):
        return floats.WIDEN[kind](words.view(np.uint16))
    bits = 32 // per
    parts = words >> (np.arange(per, dtype=np.uint32) * np.uint32(bits))
    parts = (parts & np.uint32((1 << bits) - 1)).astype(np.int64)
    if kind[0] == "s":
        parts -= (parts >> (bits - 1)) << bits
    return parts.astype(np.float64)


def a_matrix(registers: list[Bits], kind: str, rows: int) -> Bits:
    """Return A, shape (warps, rows, k), from registers of shape (warps, 32)."""
    per, tall = _PER_REGISTER[kind], rows // 8
    columns = 4 * per * (len(registers) // tall)
    result = np.zeros((len(registers[0]), rows, columns))
    for r, words in enumerate(registers):
        row = _G + 8 * (r % tall)
        column = per * _T + 4 * per * (r // tall)
        result[:, row[:, None], column[:, None] + np.arange(per)] = elements(words, kind)
    return result


def b_matrix(registers: list[Bits], kind: str) -> Bits:
    """Return B, shape (warps, k, 8), from registers of shape (warps, 32)."""
    per = _PER_REGISTER[kind]
    result = np.zeros((len(registers[0]), 4 * per * len(registers), 8))
    for r, words in enumerate(registers):
        row = per * _T + 4 * per * r
        result[:, row[:, None] + np.arange(per), _G[:, None]] = elements(words, kind)
    return result


def expand_sparse(a: Bits, metadata: Bits, selector: int) -> Bits:
    """Return A with its zeros: two of every four columns are kept.

    Parameters
    ----------
    a : ndarray, shape (warps, 16, k / 2)
        The kept elements.
    metadata : ndarray of uint32, shape (warps, 32)
        Two-bit column numbers. One thread of a quad (k = 16) or two (k = 32) give them, as
        the selector says; the low half belongs to row g, the high half to row g + 8.
    selector : int
        Which threads.

    Returns
    -------
    ndarray, shape (warps, 16, k)
        The full matrix.
    """
    warps, rows, kept = a.shape
    threads = kept // 8
    dense = np.zeros((warps, rows, 2 * kept))
    w = np.arange(warps)[:, None]
    for column in range(kept):
        group, place = divmod(column, 2)
        thread, chunk = divmod(group, 4)
        lane = 4 * (np.arange(rows) % 8) + selector * threads + thread
        shift = (16 * (np.arange(rows) // 8) + 4 * chunk + 2 * place).astype(np.uint32)
        index = metadata[:, lane] >> shift & np.uint32(3)
        dense[w, np.arange(rows), 4 * group + index] = a[:, :, column]
    return dense


@opcode("mma")
def _mma(ins: Instruction, d: Decoder) -> Run:
    """One product per warp: d = a b + c."""
    shape = re.search(r"\.m(\d+)n8k(\d+)\.row\.col\.", ins.name)
    kinds = ins.name.split(".row.col.")[-1].split(".") if shape else []
    sparse = "sp" in ins.name.split(".")[1]
    kinds = [
        k for k in kinds if k in ("f16", "bf16", "s8", "u8", "f32", "s32", "tf32", "b1", "s4", "u4")
    ]
    if shape is None or len(kinds) != 4 or kinds[1] not in _PER_REGISTER:
        raise unsupported(ins)
    rows = int(shape[1])
    if sparse and ("sp::ordered_metadata" not in ins.parts or kinds[1] not in ("f16", "bf16")):
        raise unsupported(ins)
    into, first, second, third = ins.operands[:4]
    puts = d.targets(into)
    a, b = d.sources(first, "b32"), d.sources(second, "b32")
    c = d.sources(third, "b32")
    product = _product(ins, kinds)
    metadata = d.source(ins.operands[4], "b32") if sparse else None
    selector = ins.operands[5].value if sparse and isinstance(ins.operands[5], Immediate) else 0

    def run(m: Machine) -> None:
        require_whole_warps(m)
        left = a_matrix([_by_warp(m, x(m)) for x in a], kinds[1], rows)
        right = b_matrix([_by_warp(m, x(m)) for x in b], kinds[2])
        if metadata is not None:
            left = expand_sparse(left, _by_warp(m, metadata(m)), selector)
        total = _accumulator([_by_warp(m, x(m)) for x in c], kinds[3], rows)
        result = product(left, right, total)
        for put, words in zip(puts, _fragments(result, kinds[0], rows), strict=True):
            put(m, m.spread(words.ravel()))

    return run


def _by_warp(m: Machine, value: Bits) -> Bits:
    return m.dense(value).reshape(-1, WARP)


def _product(ins: Instruction, kinds: list[str]) -> Callable[[Bits, Bits, Bits], Bits]:
    if kinds[1] == "b1":
        if "xor" in ins.parts:
            return lambda a, b, c: c + a @ (1 - b) + (1 - a) @ b
        return lambda a, b, c: c + a @ b
    if "satfinite" in ins.parts:
        return lambda a, b, c: np.clip(c + a @ b, -(2.0**31), 2.0**31 - 1)
    return lambda a, b, c: c + a @ b


def _place(r: int) -> tuple[Bits, Bits]:
    """Return rows and columns of accumulator r."""
    return _G + 8 * (r // 2), 2 * _T + r % 2


def _accumulator(registers: list[Bits], kind: str, rows: int) -> Bits:
    result = np.zeros((len(registers[0]), rows, 8))
    for r, words in enumerate(registers):
        if kind == "f16":
            pair = floats.half_to_double(np.ascontiguousarray(words)[..., None].view(np.uint16))
            result[:, _G + 8 * r, 2 * _T], result[:, _G + 8 * r, 2 * _T + 1] = (
                pair[..., 0],
                pair[..., 1],
            )
        else:
            row, column = _place(r)
            typed = words.view(np.float32 if kind == "f32" else np.int32)
            result[:, row, column] = typed
    return result


def _fragments(result: Bits, kind: str, rows: int) -> list[Bits]:
    """Return the accumulator registers, shape (warps, 32) each."""
    if kind == "f16":
        bits = floats.double_to_half(result).astype(np.uint32)
        return [
            bits[:, _G + 8 * r, 2 * _T] | bits[:, _G + 8 * r, 2 * _T + 1] << np.uint32(16)
            for r in range(rows // 8)
        ]
    if kind == "f32":
        words = floats.finish(result.astype(np.float32), ftz=False).view(np.uint32)
    else:
        words = result.astype(np.int64).astype(np.int32).view(np.uint32)
    return [words[:, row, column] for row, column in map(_place, range(rows // 4))]
