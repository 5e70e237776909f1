"""What every opcode does
======================

One module per family; each registers factories, which turn an instruction into a
closure. An opcode that no family registers is refused by name when a kernel is decoded.
"""

from subbit.fast.device.simulated.decode import DTYPES, Decoder, Source
from subbit.fast.device.simulated.syntax import Instruction, type_bits

from . import (
    asynchronous,
    atomic,
    control,
    conversion,
    floating,
    half,
    integer,
    logic,
    move,
    tensor,
    transfer,
    warp,
)

__all__ = [
    "ACCESSES", "access_bytes", "asynchronous", "atomic", "control", "conversion", "floating",
    "half", "integer", "logic", "members", "move", "tensor", "transfer", "warp",
]  # fmt: skip

ACCESSES = {"ld", "ldu", "st", "atom", "red", "cp"}


def members(ins: Instruction, d: Decoder) -> Source | None:
    """Return the source of a warp sync's member mask, None for the whole warp."""
    name = ins.parts[0]
    if name in ("mma", "ldmatrix") or "block" in ins.parts or name in ("bar", "barrier"):
        return d.source(ins.operands[0], "u32") if "warp" in ins.parts else None
    return d.source(ins.operands[-1], "u32")


def access_bytes(ins: Instruction) -> int:
    """Return the bytes that one thread touches, 0 where it can't race."""
    if "param" in ins.parts or "local" in ins.parts:
        return 0
    if ins.parts[0] == "cp":
        return 4
    kind = ins.parts[-1]
    if kind not in DTYPES:
        return 0
    width = max(type_bits(kind) // 8, 1)
    return width * transfer.shape_of(ins)[1]
