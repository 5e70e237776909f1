"""cp.async: copies whose data arrives only when they are waited for."""

from dataclasses import dataclass

import numpy as np

from subbit.fast.device.errors import Fault
from subbit.fast.device.simulated.decode import Decoder, Run, Source, opcode, unsupported
from subbit.fast.device.simulated.machine import Bits, Machine
from subbit.fast.device.simulated.memory import IN_FLIGHT
from subbit.fast.device.simulated.syntax import Immediate, Instruction


@dataclass(slots=True)
class Copy:
    """Copies issued by one instruction.

    Attributes
    ----------
    lanes, group : ndarray
        Lanes that issued them, and the number of each lane's group.
    where : ndarray
        Offsets in the chunk's shared memory.
    data : ndarray of uint32, shape (copies, words)
        Words that were read.
    """

    lanes: Bits
    group: Bits
    where: Bits
    data: Bits


@opcode("cp")
def _copy(ins: Instruction, d: Decoder) -> Run:
    if ins.parts[1] != "async" or {"bulk", "mbarrier", "reduce", "tensor"} & set(ins.parts):
        raise unsupported(ins)
    if "commit_group" in ins.parts:
        return _commit
    if "wait_all" in ins.parts:
        return lambda m: _land(m, None)
    if "wait_group" in ins.parts:
        pending = ins.operands[0]
        if not isinstance(pending, Immediate):
            raise unsupported(ins)
        return lambda m: _land(m, pending.value)
    return _issue(ins, d)


def _issue(ins: Instruction, d: Decoder) -> Run:
    into, source = d.address(ins.operands[0], "shared"), d.address(ins.operands[1], "global")
    size = ins.operands[2]
    if not isinstance(size, Immediate):
        raise unsupported(ins)
    total = size.value
    given = d.source(ins.operands[3], "u32") if len(ins.operands) > 3 else None

    def run(m: Machine) -> None:
        data = _read(m, m.dense(source(m)), total, given)
        memory = m.memory
        buffer, where, lanes = memory.locate(
            m, "shared", m.dense(into(m)), total, "plain", write=True
        )
        if buffer is None:
            raise unsupported(ins)
        if memory.races is not None:
            memory.races.write(buffer, where, total, lanes, "plain")
        _mark(m, where, total, IN_FLIGHT)
        memory.in_flight += 1
        m.copies.append(Copy(lanes, m.commits[lanes], where, data))

    return run


def _read(m: Machine, address: Bits, total: int, given: Source | None) -> Bits:
    """Return the words to copy; lanes that were given a size of zero read nothing."""
    words = total // 4
    wanted = m.dense(given(m)) if given is not None else np.full(m.count, total, np.uint32)
    if ((wanted != 0) & (wanted != total)).any():
        kind = "unsupported"
        raise Fault(kind, "cp.async with a source size neither 0 nor whole", int(m.active[0]))
    chosen = wanted == total
    data = np.zeros((m.count, words), np.uint32)
    if chosen.all():
        data[:] = np.stack(_broadcast(m, m.memory.load(m, "global", address, "u4", words)), axis=1)
    elif chosen.any():
        mask, count = m.mask, m.count
        part = np.zeros_like(mask)
        part[m.active[chosen]] = True
        m.set_active(part, int(chosen.sum()))
        values = m.memory.load(m, "global", address[chosen], "u4", words)
        m.set_active(mask, count)
        data[chosen] = np.stack(values, axis=1)
    return data


def _broadcast(m: Machine, values: list[Bits]) -> list[Bits]:
    return [np.repeat(v, m.count) if len(v) == 1 else v for v in values]


def _mark(m: Machine, where: Bits, total: int, state: int) -> None:
    states = m.memory.state.data
    for i in range(total):
        states[where + i] = state


def _commit(m: Machine) -> None:
    m.commits[m.active] += 1


def _land(m: Machine, pending: int | None) -> None:
    """Let the data of all but the last `pending` groups arrive."""
    memory, kept = m.memory, []
    for copy in m.copies:
        mine = m.mask[copy.lanes]
        done = mine if pending is None else mine & (copy.group < m.commits[copy.lanes] - pending)
        if done.any():
            where, data = copy.where[done], copy.data[done]
            memory.version += 1
            for i in range(data.shape[1]):
                memory.shared.data.view(np.uint32)[where // 4 + i] = data[:, i]
            _mark(m, where, data.shape[1] * 4, 1)
            if memory.races is not None:
                memory.races.write(
                    memory.shared, where, data.shape[1] * 4, copy.lanes[done], "plain"
                )
        rest = ~done
        if rest.any():
            kept.append(Copy(copy.lanes[rest], copy.group[rest], copy.where[rest], copy.data[rest]))
    m.copies = kept
    memory.in_flight = len(kept)
