"""Barriers, fences and instructions without effect on results."""

import numpy as np

from subbit.fast.device.errors import Fault
from subbit.fast.device.simulated.decode import Decoder, Run, opcode, unsupported
from subbit.fast.device.simulated.machine import Bits, Machine
from subbit.fast.device.simulated.syntax import Immediate, Instruction


@opcode("bar", "barrier")
def _barrier(ins: Instruction, d: Decoder) -> Run:
    if "warp" in ins.parts:
        return _warp_barrier(ins, d)
    if "red" in ins.parts:
        return _reducing_barrier(ins, d)
    if "sync" not in ins.parts or "cluster" in ins.parts or len(ins.operands) > 1:
        raise unsupported(ins)
    return _block_barrier


def _block_barrier(m: Machine) -> None:
    if m.memory.races is not None:
        m.memory.races.barrier(m.mask)


def _warp_barrier(ins: Instruction, d: Decoder) -> Run:
    """``__syncwarp``: order the lanes that name the same members."""
    mask = d.source(ins.operands[0], "b32")

    def run(m: Machine) -> None:
        if m.memory.races is None:
            return
        members = mask(m)
        for value in np.unique(m.dense(members)):
            together = m.mask if len(members) == 1 else m.select(members == value)
            m.memory.races.warp_sync(together, m.live)

    return run


def _reducing_barrier(ins: Instruction, d: Decoder) -> Run:
    """``__syncthreads_or`` and its kin: a barrier that counts a predicate over the block."""
    if len(ins.operands) != 3 or not isinstance(ins.operands[1], Immediate):
        raise unsupported(ins)
    put, source = d.target(ins.operands[0]), d.source(ins.operands[2], "pred")
    how = next(p for p in ins.parts if p in ("popc", "and", "or"))

    def run(m: Machine) -> None:
        _block_barrier(m)
        geometry = m.geometry
        yes = (m.full(source(m)) & m.mask).reshape(-1, geometry.padded).sum(axis=1)
        result: Bits = yes.astype(np.uint32)
        if how != "popc":
            result = yes == geometry.threads if how == "and" else yes > 0
        put(m, m.spread(result[geometry.row[m.active]]))

    return run


@opcode("membar", "fence", "nanosleep", "brkpt", "griddepcontrol")
def _no_effect(ins: Instruction, d: Decoder) -> Run:
    if "proxy" in "".join(ins.parts) or "cluster" in ins.parts or ins.parts[0] == "griddepcontrol":
        raise unsupported(ins)
    return lambda m: None


@opcode("trap")
def _trap(ins: Instruction, d: Decoder) -> Run:
    def run(m: Machine) -> None:
        kind = "trap"
        raise Fault(kind, "the kernel executed a trap", int(m.active[0]))

    return run
