"""The race check
==============

Every granule of memory remembers its last writer and its readers. Two accesses by
different threads, at least one of them a plain write, must be ordered: within a block by
a barrier between them, within a warp also by a ``__syncwarp`` of both threads, between
blocks by nothing. Each thread has a clock that moves at the syncs it takes part in; an
access is ordered before me if its time is below the last sync that I share with its thread.

A record is one 64-bit number: thread + 1, its time, and flags. Several concurrent readers
are kept as one of them with a flag that says how far apart they were.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from subbit.fast.device.errors import Fault

from .machine import WARP, Bits, Geometry

if TYPE_CHECKING:
    from .memory import Buffer

_TIME_SHIFT = 31
_THREAD = (1 << _TIME_SHIFT) - 1
_TIME = (1 << 27) - 1
_ATOMIC, _MANY_WARP, _MANY_BLOCK, _MANY_GRID = (1 << b for b in (58, 59, 60, 61))
_MANY = _MANY_WARP | _MANY_BLOCK | _MANY_GRID


@dataclass(slots=True)
class Shadow:
    """Records of a buffer: last write, last reads, reads through the read-only path."""

    writes: npt.NDArray[np.int64]
    reads: npt.NDArray[np.int64]
    constant: npt.NDArray[np.bool_]
    shared: bool


class Races:
    """Clocks of the threads of a chunk, and the rules.

    Parameters
    ----------
    granule : int
        Bytes per record, the narrowest access of the kernel.
    """

    def __init__(self, granule: int) -> None:
        self.granule = granule

    def shadow(self, size: int, *, shared: bool) -> Shadow:
        """Return empty records for a buffer of `size` bytes."""
        count = size // self.granule + 1
        return Shadow(
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            np.zeros(0 if shared else count, np.bool_),
            shared,
        )

    def begin_chunk(self, geometry: Geometry) -> None:
        """Start the clocks of a chunk."""
        self.geometry = geometry
        self.me = geometry.unique + 1
        self.time = np.ones(geometry.lanes, np.int64)
        self.barrier_time = np.zeros(geometry.lanes, np.int64)
        self.warp_time = np.zeros(geometry.lanes, np.int64)
        self.pair_time: npt.NDArray[np.int64] | None = None

    def barrier(self, mask: Bits) -> None:
        """Order everything in the blocks whose lanes are in `mask`."""
        rows = mask.reshape(-1, self.geometry.padded).any(axis=1)
        lanes = np.repeat(rows, self.geometry.padded)
        latest = self.time.reshape(-1, self.geometry.padded).max(axis=1) + 1
        moment = np.repeat(latest, self.geometry.padded)
        for clock in (self.time, self.barrier_time):
            np.copyto(clock, moment, where=lanes)

    def warp_sync(self, mask: Bits, live: Bits) -> None:
        """Order the lanes of `mask`, warp by warp, where they synchronized together."""
        part = mask.reshape(-1, WARP)
        time = self.time.reshape(-1, WARP)
        moment = np.where(part, time, 0).max(axis=1, keepdims=True) + 1
        np.copyto(time, moment, where=part)
        complete = part.any(axis=1) & (part == live.reshape(-1, WARP)).all(axis=1)
        np.copyto(self.warp_time.reshape(-1, WARP), moment, where=part & complete[:, None])
        for warp in np.flatnonzero(part.any(axis=1) & ~complete).tolist():
            self._partial_sync(warp, np.flatnonzero(part[warp]), int(moment[warp, 0]))

    def _partial_sync(self, warp: int, members: Bits, moment: int) -> None:
        if self.pair_time is None:
            self.pair_time = np.zeros((self.geometry.lanes // WARP, WARP, WARP), np.int64)
        known = self.pair_time[warp]
        known[members] = known[members].max(axis=0)
        known[np.ix_(members, members)] = moment

    def _expand(self, base: int, where: Bits, total: int, lanes: Bits) -> tuple[Bits, Bits]:
        """Return the granules of an access and the lane of each."""
        if len(where) == 1 and len(lanes) > 1:
            where = np.repeat(where, len(lanes))
        index = (where - base) // self.granule
        ratio = total // self.granule
        if ratio <= 1:
            return index, lanes
        return (index[:, None] + np.arange(ratio)).ravel(), np.repeat(lanes, ratio)

    def _unordered(self, record: Bits, lanes: Bits, *, shared: bool) -> Bits:
        """Tell which records are neither mine nor ordered before me."""
        result = (record & _THREAD) != self.me[lanes]
        result |= (record & _MANY) != 0
        result &= record != 0
        if shared:
            result &= (record >> _TIME_SHIFT & _TIME) >= self.barrier_time[lanes]
        chosen = np.flatnonzero(result)
        if len(chosen):
            result[chosen] = self._truly_unordered(record[chosen], lanes[chosen])
        return result

    def _truly_unordered(self, record: Bits, lanes: Bits) -> Bits:
        """Apply all the rules to records of other threads."""
        me, other = self.me[lanes] - 1, (record & _THREAD) - 1
        padded, time = self.geometry.padded, record >> _TIME_SHIFT & _TIME
        same_block = (other // padded == me // padded) & ((record & _MANY_GRID) == 0)
        result = ~(same_block & (time < self.barrier_time[lanes]))
        in_warp = other // WARP == me // WARP
        in_warp &= (record & (_MANY_GRID | _MANY_BLOCK)) == 0
        result &= ~(in_warp & (time < self.warp_time[lanes]))
        if self.pair_time is not None and (result & in_warp).any():
            result &= ~(in_warp & (time < self._pairwise(record, lanes)))
        return result

    def _pairwise(self, record: Bits, lanes: Bits) -> Bits:
        """Return the last moment that each lane shares with the record's thread(s)."""
        if self.pair_time is None:
            return np.zeros(len(lanes), np.int64)
        known = self.pair_time[lanes // WARP, lanes % WARP]
        one = known[np.arange(len(lanes)), ((record & _THREAD) - 1) % WARP]
        return np.where(record & _MANY_WARP, known.min(axis=1), one)

    def read(self, buffer: "Buffer", where: Bits, total: int, lanes: Bits, access: str) -> None:
        """Check a load against the writes so far and remember it."""
        shadow = _shadow(buffer)
        index, lanes = self._expand(buffer.base, where, total, lanes)
        writes = shadow.writes[index]
        if writes.any():
            bad = self._unordered(writes, lanes, shared=shadow.shared)
            if access == "strong":
                bad &= (writes & _ATOMIC) == 0
            self._report(buffer, "read", "written", bad, writes, index, lanes)
        if access == "nc":
            shadow.constant[index] = True
            return
        key = self.me[lanes] | self.time[lanes] << _TIME_SHIFT
        key |= _ATOMIC if access == "strong" else 0
        old = shadow.reads[index]
        if old.any():
            key = self._merge(old, key, lanes, shared=shadow.shared)
        shadow.reads[index] = key
        self._flag_others(shadow, index, lanes)

    def _merge(self, old: Bits, key: Bits, lanes: Bits, *, shared: bool) -> Bits:
        """Keep the trace of concurrent earlier readers in the new record."""
        keep = self._unordered(old, lanes, shared=shared)
        if not keep.any():
            return key
        flag = self._apart(old, lanes, shared=shared) | (old & _MANY)
        time = np.maximum(old & _TIME << _TIME_SHIFT, key & _TIME << _TIME_SHIFT)
        merged = (key & (_THREAD | _ATOMIC & old)) | time | flag
        return np.where(keep, merged, key)

    def _apart(self, record: Bits, lanes: Bits, *, shared: bool) -> Bits:
        """Return the flag that says how far the record's thread is from the lane's."""
        other, me, padded = (record & _THREAD) - 1, self.me[lanes] - 1, self.geometry.padded
        wider: Bits = np.array([_MANY_BLOCK])
        if not shared:
            wider = np.where(other // padded == me // padded, _MANY_BLOCK, _MANY_GRID)
        return np.where((other ^ me) < WARP, _MANY_WARP, wider)

    def _flag_others(self, shadow: Shadow, index: Bits, lanes: Bits) -> None:
        """Flag what several lanes of this very instruction read."""
        kept = shadow.reads[index]
        lost = np.flatnonzero((kept & _THREAD) != self.me[lanes])
        if not len(lost):
            return
        flags = self._apart(kept[lost], lanes[lost], shared=shadow.shared)
        for flag in (_MANY_WARP, _MANY_BLOCK, _MANY_GRID):
            places = index[lost[flags == flag]]
            if len(places):
                shadow.reads[places] |= flag

    def write(self, buffer: "Buffer", where: Bits, total: int, lanes: Bits, access: str) -> None:
        """Check a store or an atomic against reads and writes so far and remember it."""
        shadow = _shadow(buffer)
        index, lanes = self._expand(buffer.base, where, total, lanes)
        strong = access in ("strong", "atomic")
        for records, done in ((shadow.writes, "written"), (shadow.reads, "read")):
            old = records[index]
            if old.any():
                bad = self._unordered(old, lanes, shared=shadow.shared)
                if strong:
                    bad &= (old & _ATOMIC) == 0
                self._report(buffer, "write", done, bad, old, index, lanes)
        if len(shadow.constant):
            bad = shadow.constant[index]
            self._report(
                buffer, "write", "read through the read-only path", bad, None, index, lanes
            )
        key = self.me[lanes] | self.time[lanes] << _TIME_SHIFT
        shadow.writes[index] = key | (_ATOMIC if strong else 0)
        if not strong:
            kept = shadow.writes[index]
            bad = (kept & _THREAD) != self.me[lanes]
            self._report(buffer, "write", "written", bad, kept, index, lanes)

    def _report(
        self, buffer: "Buffer", doing: str, done: str, bad: Bits, records: Bits | None,
        index: Bits, lanes: Bits,
    ) -> None:  # fmt: skip
        if not bad.any():
            return
        position = int(np.flatnonzero(bad)[0])
        byte = int(index[position]) * self.granule
        other = ""
        if records is not None:
            thread = int(records[position] & _THREAD) - 1
            padded = self.geometry.padded
            other = f" by thread {thread % padded} of block {thread // padded}"
        kind = "race"
        detail = f"{doing} of byte {byte} of {buffer.name}, {done}{other} with nothing between"
        raise Fault(kind, detail, int(lanes[position]))


def _shadow(buffer: "Buffer") -> Shadow:
    if buffer.shadow is None:
        message = f"{buffer.name} has no race record"
        raise RuntimeError(message)
    return buffer.shadow
