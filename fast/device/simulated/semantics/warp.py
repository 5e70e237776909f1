"""Shuffles, votes, match and redux: gathers over (warp, lane)."""

import numpy as np

from subbit.fast.device.errors import Fault
from subbit.fast.device.simulated.decode import DTYPES, Decoder, Run, opcode, unsupported
from subbit.fast.device.simulated.machine import FULL, WARP, Bits, Machine, words
from subbit.fast.device.simulated.syntax import Instruction, Pair


@opcode("shfl")
def _shuffle(ins: Instruction, d: Decoder) -> Run:
    if "sync" not in ins.parts:
        raise unsupported(ins)
    into, mode = ins.operands[0], ins.parts[2]
    put = d.target(into)
    valid = d.target(into.second) if isinstance(into, Pair) else None
    a, b, c, mask = (d.source(op, "b32") for op in ins.operands[1:5])
    plans: dict[tuple[int, int, int], tuple[Bits, Bits]] = {}

    def of_whole(m: Machine) -> bool:
        """Do it for whole warps whose lanes all read alike, the usual case; else return False."""
        steps, clamps = b(m), c(m)
        alike = len(steps) == len(clamps) == 1 and m.all_equal(mask(m), FULL)
        if not alike or not m.in_warps:
            return False
        key = (m.lanes if m.index is None else m.count), int(steps[0]), int(clamps[0])
        if key not in plans:
            plans[key] = _plan(mode, *key)
        where, inside = plans[key]
        value = a(m)
        put(m, value if len(value) == 1 else value[where])
        if valid:
            valid(m, inside)
        return True

    def run(m: Machine) -> None:
        if of_whole(m):
            return
        lanes = m.active
        own = lanes % WARP
        step = m.compact(b(m)).astype(np.int64) & 31
        clamp = m.compact(c(m)).astype(np.int64)
        source, inside = _source_lane(mode, own, step, clamp)
        source = np.where(inside, source, own)
        where = lanes - own + source
        _check(m, where, source, m.compact(mask(m)))
        value = a(m)
        put(m, m.spread(value if len(value) == 1 else m.full(value)[where]))
        if valid:
            valid(m, m.spread(inside))

    return run


def _plan(mode: str, lanes: int, step: int, clamp: int) -> tuple[Bits, Bits]:
    """Return which lane each lane of whole warps reads, and whether that is in its segment."""
    every = np.arange(lanes)
    own = every % WARP
    source, inside = _source_lane(mode, own, np.array(step & 31), np.array(clamp))
    return every - own + np.where(inside, source, own), inside


def _source_lane(mode: str, lane: Bits, step: Bits, clamp: Bits) -> tuple[Bits, Bits]:
    """Return the lane to read from, and whether it lies in the segment."""
    segment, bound = clamp >> 8 & 31, clamp & 31
    most, least = (lane & segment) | (bound & ~segment), lane & segment
    if mode == "up":
        source = lane - step
        return source, source >= most
    if mode == "down":
        source = lane + step
    elif mode == "bfly":
        source = lane ^ step
    else:
        source = least | (step & ~segment)
    return source, source <= most


def _check(m: Machine, where: Bits, source: Bits, members: Bits) -> None:
    """Refuse to read from a lane that is not taking part."""
    bad = ~m.mask[where] | ((members >> source.astype(np.uint32) & np.uint32(1)) == 0)
    if bad.any():
        kind = "shuffle"
        lane = int(source[np.flatnonzero(bad)[0]])
        raise Fault(kind, f"reads lane {lane}, which takes no part", m.first_lane(bad))


def _members(m: Machine, mask: Bits) -> Bits:
    """Return every active lane's member mask without the lanes that have left."""
    return m.dense(mask) & words(m.mask)[m.active // WARP]


@opcode("vote")
def _vote(ins: Instruction, d: Decoder) -> Run:
    if "sync" not in ins.parts:
        raise unsupported(ins)
    put = d.target(ins.operands[0])
    p, mask = d.source(ins.operands[1], "pred"), d.source(ins.operands[2], "b32")
    mode = ins.parts[2]

    def run(m: Machine) -> None:
        members = _members(m, mask(m))
        yes = words(m.full(p(m)) & m.mask)[m.active // WARP] & members
        results = {
            "ballot": lambda: yes,
            "any": lambda: yes != 0,
            "all": lambda: yes == members,
            "uni": lambda: (yes == members) | (yes == 0),
        }
        put(m, m.spread(results[mode]()))

    return run


@opcode("activemask")
def _activemask(ins: Instruction, d: Decoder) -> Run:
    put = d.target(ins.operands[0])
    return lambda m: put(m, m.spread(words(m.mask)[m.active // WARP]))


@opcode("elect")
def _elect(ins: Instruction, d: Decoder) -> Run:
    into = ins.operands[0]
    if not isinstance(into, Pair):
        raise unsupported(ins)
    leader, chosen = d.target(into.first), d.target(into.second)
    mask = d.source(ins.operands[1], "b32")

    def run(m: Machine) -> None:
        members = _members(m, mask(m))
        lowest = np.bitwise_count((members & -members) - np.uint32(1)).astype(np.uint32)
        leader(m, m.spread(lowest))
        chosen(m, m.spread(lowest == m.active % WARP))

    return run


def _matrix(m: Machine, members: Bits) -> Bits:
    """Return (active lane, lane of its warp): do both take part in one operation?"""
    result: Bits = (members[:, None] >> np.arange(WARP, dtype=np.uint32) & np.uint32(1)) != 0
    return result


def _neighbors(m: Machine, value: Bits) -> Bits:
    """Return (active lane, lane of its warp): the values of the whole warp."""
    return m.full(value).reshape(-1, WARP)[m.active // WARP]


@opcode("match")
def _match(ins: Instruction, d: Decoder) -> Run:
    into, kind = ins.operands[0], ins.parts[-1]
    put = d.target(into)
    same = d.target(into.second) if isinstance(into, Pair) else None
    a, mask = d.source(ins.operands[1], kind), d.source(ins.operands[2], "b32")
    every = "all" in ins.parts

    def run(m: Machine) -> None:
        members, value = _members(m, mask(m)), a(m)
        equal = (_neighbors(m, value) == m.dense(value)[:, None]) & _matrix(m, members)
        found = np.packbits(equal, axis=1, bitorder="little").view(np.uint32).ravel()
        agree = found == members
        put(m, m.spread(np.where(agree, found, 0).astype(np.uint32) if every else found))
        if same:
            same(m, m.spread(agree))

    return run


@opcode("redux")
def _redux(ins: Instruction, d: Decoder) -> Run:
    name, kind = ins.parts[2], ins.parts[-1]
    if kind not in ("u32", "s32", "b32"):
        raise unsupported(ins)
    limit = np.iinfo(DTYPES[kind])
    functions: dict[str, tuple[np.ufunc, int]] = {
        "add": (np.add, 0), "min": (np.minimum, limit.max), "max": (np.maximum, limit.min),
        "and": (np.bitwise_and, (1 << 32) - 1), "or": (np.bitwise_or, 0),
        "xor": (np.bitwise_xor, 0),
    }  # fmt: skip
    function, neutral = functions[name]
    put, a = d.target(ins.operands[0]), d.source(ins.operands[1], kind)
    mask = d.source(ins.operands[2], "b32")

    def run(m: Machine) -> None:
        value = a(m)
        inside = _matrix(m, _members(m, mask(m)))
        empty = np.array(neutral & 0xFFFFFFFF, np.uint32).view(DTYPES[kind])
        table = np.where(inside, _neighbors(m, value), empty)
        put(m, m.spread(function.reduce(table, axis=1, dtype=table.dtype)))

    return run
