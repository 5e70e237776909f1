"""Atomics.

The lanes of one instruction take effect one after the other: in their order, or shuffled
by a random schedule. Where many lanes meet at few addresses the sequence is a running
sum; where they are spread, one round serves the first of every address, the next the second.
"""

from collections.abc import Callable

import numpy as np

from subbit.fast.device.simulated import floats
from subbit.fast.device.simulated.decode import DTYPES, Decoder, Run, opcode, unsupported
from subbit.fast.device.simulated.machine import Bits, Machine
from subbit.fast.device.simulated.syntax import Instruction

from .transfer import space_of

_Update = Callable[..., Bits]
_PLAIN: dict[str, _Update] = {
    "add": np.add, "min": np.minimum, "max": np.maximum,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip


def _update(name: str, kind: str, *, flush: bool) -> _Update:
    """Return new = update(old, operands...)."""
    if name == "add" and kind in ("f16x2", "bf16x2", "f16", "bf16"):
        return _packed_add(kind)
    if name == "add" and kind == "f32" and flush:
        return lambda old, b: floats.finish(floats.flush(old) + floats.flush(b), ftz=True)
    if name in _PLAIN:
        return _PLAIN[name]
    others: dict[str, _Update] = {
        "exch": lambda old, b: b,
        "cas": _swap,
        "inc": lambda old, b: np.where(old >= b, 0, old + np.uint32(1)).astype(old.dtype),
        "dec": lambda old, b: np.where((old == 0) | (old > b), b, old - np.uint32(1)),
    }
    return others[name]


def _swap(old: Bits, b: Bits, c: Bits) -> Bits:
    return np.where(old == b, c, old)


def _packed_add(kind: str) -> _Update:
    brain = kind.startswith("bf16")
    widen = floats.bfloat_to_double if brain else floats.half_to_double
    narrow = floats.double_to_bfloat if brain else floats.double_to_half

    def add(old: Bits, b: Bits) -> Bits:
        x, y = (np.ascontiguousarray(v).view(np.uint16) for v in (old, b))
        return narrow(floats.odd_sum(widen(x), widen(y))).view(old.dtype)

    return add


@opcode("atom", "red")
def _atomic(ins: Instruction, d: Decoder) -> Run:
    names = [*_PLAIN, "exch", "cas", "inc", "dec"]
    name = next((p for p in ins.parts[1:] if p in names), "")
    kind, space = ins.parts[-1], space_of(ins)
    returns = ins.parts[0] == "atom"
    operands = ins.operands[1:] if returns else ins.operands
    if not name or kind not in DTYPES or any(p in ("v2", "v4", "v8") for p in ins.parts):
        raise unsupported(ins)
    put = d.target(ins.operands[0]) if returns else None
    address = d.address(operands[0], space)
    sources = [d.source(op, kind) for op in operands[1:]]
    # In global memory float32 sums are flushed, in shared memory they are not.
    update = _update(name, kind, flush=space != "shared")
    fast = _PLAIN.get(name) if kind not in ("f16x2", "bf16x2", "f16", "bf16") else None

    def run(m: Machine) -> None:
        values = [m.dense(source(m)) for source in sources]
        where = m.dense(address(m))
        old = apply(m, space, where, DTYPES[kind], values, update, fast)
        if put is not None:
            put(m, m.spread(old))

    return run


def apply(
    m: Machine, space: str, address: Bits, dtype: str, values: list[Bits], update: _Update,
    running: np.ufunc | _Update | None,
) -> Bits:  # fmt: skip
    """Apply an update at the addresses of the active lanes; return what was there before."""
    memory = m.memory
    total = np.dtype(dtype).itemsize
    buffer, where, lanes = memory.locate(m, space, address, total, "atomic", write=True)
    if buffer is None:
        old = np.zeros(m.count, dtype)
        for part, inner in memory.by_space(m, where):
            chosen = [v[part] for v in values]
            old[part] = apply(m, "generic", inner, dtype, chosen, update, running)
        return old
    if buffer.shadow is not None and memory.races is not None:
        memory.races.write(buffer, where, total, lanes, "atomic")
    elements, first = buffer.elements(dtype, 1)
    index = (where - np.int64(first)) // total
    if buffer is memory.shared:
        memory.check_state(index, total, lanes)
    order = np.arange(len(index)) if m.rng is None else m.rng.permutation(len(index))
    result, changed = _sequence(elements, index[order], [v[order] for v in values], update, running)
    memory.version += changed
    old = np.empty_like(result)
    old[order] = result
    return old


def _sequence(
    elements: Bits, index: Bits, values: list[Bits], update: _Update,
    running: np.ufunc | _Update | None,
) -> tuple[Bits, bool]:  # fmt: skip
    """Apply the updates one after the other; return the old values and whether any changed."""
    by_place = np.argsort(index, kind="stable")
    sorted_index = index[by_place]
    starts = np.flatnonzero(np.r_[True, sorted_index[1:] != sorted_index[:-1]])
    counts = np.diff(np.r_[starts, len(index)])
    old = np.empty(len(index), elements.dtype)
    before = elements[sorted_index[starts]].copy()
    if isinstance(running, np.ufunc) and len(starts) * 4 < counts.max():
        for start, count in zip(starts, counts, strict=True):
            part = by_place[start : start + count]
            at = index[part[0]]
            chain = running.accumulate(np.r_[elements[at : at + 1], values[0][part]])
            old[part], elements[at] = chain[:-1], chain[-1]
    else:
        for k in range(int(counts.max())):
            part = by_place[starts[counts > k] + k]
            at = index[part]
            old[part] = elements[at]
            elements[at] = update(old[part], *[v[part] for v in values])
    return old, bool((elements[sorted_index[starts]] != before).any())
