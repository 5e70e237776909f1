"""Loads and stores."""

import numpy as np

from subbit.fast.device.simulated.decode import DTYPES, Decoder, Run, opcode, unsupported
from subbit.fast.device.simulated.machine import Machine
from subbit.fast.device.simulated.syntax import Address, Instruction, Symbol

SPACES = {"global", "shared", "local", "const", "param"}


def space_of(ins: Instruction) -> str:
    """Return the state space of an access, "generic" where it names none."""
    names = [p.split("::")[0] for p in ins.parts[1:]]
    if "shared::cluster" in ins.parts:
        raise unsupported(ins)
    found = next((n for n in names if n in SPACES), "generic")
    return "global" if found == "const" else found


def access_of(ins: Instruction) -> str:
    """Return "nc", "strong" or "plain", as the race check tells accesses apart."""
    if "nc" in ins.parts:
        return "nc"
    strong = {"volatile", "relaxed", "acquire", "release", "mmio"}
    return "strong" if strong & set(ins.parts) else "plain"


def shape_of(ins: Instruction) -> tuple[str, int]:
    """Return the element type and how many of them an access moves."""
    kind = ins.parts[-1]
    if kind not in DTYPES:
        raise unsupported(ins)
    count = next((int(p[1:]) for p in ins.parts if p in ("v2", "v4", "v8")), 1)
    return kind, count


@opcode("ld", "ldu")
def _load(ins: Instruction, d: Decoder) -> Run:
    space, access = space_of(ins), access_of(ins)
    kind, count = shape_of(ins)
    dtype = DTYPES[kind]
    puts = d.targets(ins.operands[0])
    if space == "param":
        offset = _parameter(ins, d)
        if offset is not None:
            return _parameter_load(ins, d, offset, dtype, count)
        space = "local"
    address = d.address(ins.operands[1], space)

    def run(m: Machine) -> None:
        values = m.memory.load(m, space, m.compact(address(m)), dtype, count, access)
        for put, value in zip(puts, values, strict=True):
            put(m, m.spread(value))

    return run


def _parameter(ins: Instruction, d: Decoder) -> int | None:
    """Return the offset of a kernel parameter, None for that of a function."""
    operand = ins.operands[1]
    if isinstance(operand, Address) and isinstance(operand.base, Symbol):
        start = d.parameters.get(operand.base.name)
        return None if start is None else start + operand.offset
    raise unsupported(ins)


def _parameter_load(ins: Instruction, d: Decoder, offset: int, dtype: str, count: int) -> Run:
    puts = d.targets(ins.operands[0])

    def run(m: Machine) -> None:
        values = np.frombuffer(m.arguments, dtype, count, offset)
        for i, put in enumerate(puts):
            put(m, values[i : i + 1])

    return run


@opcode("st")
def _store(ins: Instruction, d: Decoder) -> Run:
    space, access = space_of(ins), access_of(ins)
    kind, _ = shape_of(ins)
    dtype = DTYPES[kind]
    space = "local" if space == "param" else space
    address, sources = d.address(ins.operands[0], space), d.sources(ins.operands[1], kind)

    def run(m: Machine) -> None:
        values = [m.compact(source(m)) for source in sources]
        m.memory.store(m, space, m.compact(address(m)), dtype, values, access)

    return run


@opcode("prefetch", "prefetchu", "discard", "applypriority")
def _prefetch(ins: Instruction, d: Decoder) -> Run:
    return lambda m: None
