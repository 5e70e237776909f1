"""Memory
======

Global memory is the arguments' own bytes, mapped at 64-bit addresses far apart, so
a stray pointer misses all of them. Shared memory is one row per block, with red zones
between the variables and a state for every byte: unset, set, or in flight from a
cp.async. Local memory is one row per lane. A generic address is a global one, or lies in
the window of the other two.

One function turns space, addresses and width into a buffer and offsets, or into a fault
with its lane; every load, store and atomic goes through it, so checks, the race shadow
and the counters are in one place.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from subbit.fast.device.errors import Fault

from .machine import Bits, Machine
from .races import Races, Shadow
from .unwritten import unwritten_bytes
from .windows import GLOBAL_START, GLOBAL_STEP, LOCAL_WINDOW, SHARED_WINDOW, WINDOW_SIZE

UNSET, SET, IN_FLIGHT = 0, 1, 2
_SET_PATTERN = 0x0101_0101_0101_0101


@dataclass(slots=True)
class Buffer:
    """Bytes at an address.

    Attributes
    ----------
    data : ndarray of uint8
        The bytes.
    base : int
        Address of the first.
    name : str
        Name in reports.
    shadow : Shadow or None
        The race record.
    """

    data: npt.NDArray[np.uint8]
    base: int
    name: str
    shadow: Shadow | None = None
    writable: bool = True
    views: dict[tuple[str, int], tuple[Bits, int]] = field(default_factory=dict)

    def elements(self, dtype: str, count: int) -> tuple[Bits, int]:
        """Return the aligned elements as rows of `count`, and the address of the first."""
        key = dtype, count
        if key not in self.views:
            total = np.dtype(dtype).itemsize * count
            skip = -self.base % total
            whole = max((len(self.data) - skip) // total, 0) * total
            view = self.data[skip : skip + whole].view(dtype)
            view = view.reshape(-1, count) if count > 1 else view
            self.views[key] = view, self.base + skip
        return self.views[key]


class Memory:
    """All memory that a chunk can address.

    Parameters
    ----------
    regions : list of Buffer
        Global memory, by rising address.
    races : Races or None
        The race check, None to leave it out.
    """

    def __init__(self, regions: list[Buffer], races: Races | None) -> None:
        self.regions = regions
        self.starts = np.array([r.base for r in regions], np.uint64)
        self.races = races
        self.version = 0
        self.row = self.frame = 0
        self.shared = Buffer(np.zeros(0, np.uint8), 0, "shared memory")
        self.state = self.shared
        self.local = self.shared
        self.allowed: Bits = np.zeros(0, np.bool_)
        self.rows: Bits = np.zeros(0, np.int64)
        self.in_flight = 0

    def begin_chunk(self, blocks: int, lanes: int, allowed: Bits, frame: int) -> None:
        """Lay out shared and local memory for a chunk.

        Parameters
        ----------
        blocks, lanes : int
            Sizes of the chunk.
        allowed : ndarray of bool
            Which bytes of a block's row belong to a variable.
        frame : int
            Bytes of local memory per lane.
        """
        self.allowed = allowed
        self.row, self.frame = len(allowed), frame
        poison = np.full(blocks * self.row, 0xA5, np.uint8)
        self.shared = Buffer(poison, 0, "shared memory")
        self.state = Buffer(np.zeros_like(poison), 0, "state")
        self.local = Buffer(unwritten_bytes(lanes, frame), 0, "local memory")
        self.in_flight = 0
        self.rows = np.repeat(np.arange(blocks) * self.row, lanes // blocks)
        if self.races is not None:
            self.shared.shadow = self.races.shadow(blocks * self.row, shared=True)

    def load(
        self, m: Machine, space: str, address: Bits, dtype: str, count: int, access: str = "plain"
    ) -> list[Bits]:
        """Return `count` values per active lane, or one of each where all lanes agree."""
        total = np.dtype(dtype).itemsize * count
        buffer, where, lanes = self.locate(m, space, address, total, access)
        if buffer is None:
            return self._mixed_load(m, where, dtype, count)
        if buffer.shadow is not None and self.races is not None:
            self.races.read(buffer, where, total, lanes, access)
        elements, first = buffer.elements(dtype, count)
        index = (where - np.int64(first)) // total
        if buffer is self.shared:
            self.check_state(index, total, lanes)
        if count == 1:
            return [elements.take(index)]
        rows = elements.take(index, axis=0)
        return [np.ascontiguousarray(rows[:, i]) for i in range(count)]

    def store(
        self, m: Machine, space: str, address: Bits, dtype: str, values: list[Bits],
        access: str = "plain",
    ) -> None:  # fmt: skip
        """Store the values of the active lanes; the last lane wins at one address."""
        count = len(values)
        total = np.dtype(dtype).itemsize * count
        if len(address) == 1 and any(len(v) > 1 for v in values):
            address = np.repeat(address, m.count)
        buffer, where, lanes = self.locate(m, space, address, total, access, write=True)
        if buffer is None:
            self._mixed_store(m, where, dtype, values)
            return
        if buffer.shadow is not None and self.races is not None:
            self.races.write(buffer, where, total, lanes, access)
        elements, first = buffer.elements(dtype, count)
        index = (where - np.int64(first)) // total
        self.version += 1
        if buffer is self.shared:
            values = [_repeat(v, m.count) for v in values]
            self._mark(index, total, lanes)
        if count == 1:
            elements[index] = values[0]
        else:
            for i, value in enumerate(values):
                elements[index, i] = value

    def locate(
        self, m: Machine, space: str, address: Bits, total: int, access: str, *, write: bool = False
    ) -> tuple[Buffer | None, Bits, Bits]:
        """Return buffer, addresses in it and lanes; no buffer where generic addresses mix."""
        address = address.astype(np.int64, copy=False)
        lanes = m.active
        if total > 1:
            bad = (address & (total - 1)) != 0
            if bad.any():
                self._misaligned(m, space, address, total, bad)
        if m.counters is not None and space != "local":
            m.counters.memory(m, space, address, total, write=write, access=access)
        if space == "generic":
            space = self._generic(address)
            if space == "mixed":
                return None, address, lanes
            if space != "global":
                address = address - (SHARED_WINDOW if space == "shared" else LOCAL_WINDOW)
        if space == "shared":
            return self.shared, self._shared_offsets(m, address, total), lanes
        if space == "local":
            return self.local, self._local_offsets(m, address, total), lanes
        return self._region(m, address, total, write=write), address, lanes

    def _generic(self, address: Bits) -> str:
        low, high = int(address.min()), int(address.max())
        if low >= GLOBAL_START:
            return "global"
        for name, start in (("shared", SHARED_WINDOW), ("local", LOCAL_WINDOW)):
            if start <= low and high < start + WINDOW_SIZE:
                return name
        kinds = (address >= GLOBAL_START) * 4 + (address >= LOCAL_WINDOW) * 2
        kinds += address >= SHARED_WINDOW
        return "mixed" if bool((kinds != kinds[0]).any()) else "global"

    def _region(self, m: Machine, address: Bits, total: int, *, write: bool) -> Buffer | None:
        """Return the region that holds all the addresses, None where they lie in several."""
        low, high = int(address.min()), int(address.max())
        k = int(np.searchsorted(self.starts, np.uint64(max(low, 0)), side="right")) - 1
        if k >= 0:
            region = self.regions[k]
            if high + total <= region.base + len(region.data) and low >= region.base:
                if write and not region.writable:
                    fault = "out of bounds"
                    raise Fault(fault, f"store to {region.name}, which is read-only", m.active[0])
                return region
        self._outside(m, address, total)
        return None

    def _outside(self, m: Machine, address: Bits, total: int) -> None:
        inside = np.zeros(len(address), np.bool_)
        for region in self.regions:
            inside |= (address >= region.base) & (address + total <= region.base + len(region.data))
        if inside.all():
            return
        position = int(np.flatnonzero(~inside)[0])
        at = int(address[position])
        near = min(self.regions, key=lambda r: _distance(r, at), default=None)
        place = f"address {at:#x}"
        if near is not None and _distance(near, at) < GLOBAL_STEP // 2:
            place = f"byte {at - near.base} of {near.name}, which has {len(near.data)} bytes"
        kind = "out of bounds"
        raise Fault(kind, f"{total}-byte global access at {place}", int(m.active[position]))

    def _shared_offsets(self, m: Machine, address: Bits, total: int) -> Bits:
        bad = (address < 0) | (address > self.row - total)
        if not bad.any():
            bad = ~(self.allowed.take(address) & self.allowed.take(address + (total - 1)))
        if bad.any():
            position = int(np.flatnonzero(bad)[0])
            kind = "out of bounds"
            raise Fault(
                kind,
                f"{total}-byte shared access at {int(address[position])}, outside every variable",
                int(m.active[position]),
            )
        return address + (self.rows if m.count == m.lanes else self.rows[m.active])

    def _local_offsets(self, m: Machine, address: Bits, total: int) -> Bits:
        bad = (address < 0) | (address > self.frame - total)
        if bad.any():
            position = int(np.flatnonzero(bad)[0])
            kind = "out of bounds"
            detail = f"{total}-byte local access at {int(address[position])} of {self.frame}"
            raise Fault(kind, detail, int(m.active[position]))
        return address + m.active * self.frame

    def _misaligned(self, m: Machine, space: str, address: Bits, total: int, bad: Bits) -> None:
        position = int(np.flatnonzero(bad)[0])
        kind = "misaligned"
        detail = f"{total}-byte {space} access at address {int(address[position]):#x}"
        raise Fault(kind, detail, int(m.active[position]))

    def check_state(self, index: Bits, total: int, lanes: Bits) -> None:
        """Refuse to read shared memory that is unset or in flight."""
        width = min(total, 8)
        states = self.state.elements(f"u{width}", total // width)[0].take(index, axis=0)
        bad = states != (_SET_PATTERN & (1 << 8 * width) - 1)
        if not bad.any():
            return
        bad = bad.any(axis=1) if bad.ndim > 1 else bad
        position = int(np.flatnonzero(bad)[0])
        row = states[position : position + 1].view(np.uint8)
        if (row == IN_FLIGHT).any():
            kind, detail = (
                "cp.async",
                "shared memory is read before the copy into it was waited for",
            )
        else:
            kind, detail = "uninitialized read", f"{total}-byte read of shared memory never written"
        raise Fault(kind, detail, int(lanes[position]))

    def _mark(self, index: Bits, total: int, lanes: Bits) -> None:
        width = min(total, 8)
        states = self.state.elements(f"u{width}", total // width)[0]
        if self.in_flight:
            busy = (states[index].reshape(len(index), -1).view(np.uint8) == IN_FLIGHT).any(axis=1)
            if busy.any():
                kind = "cp.async"
                detail = "shared memory is written while a copy into it is in flight"
                raise Fault(kind, detail, int(lanes[np.flatnonzero(busy)[0]]))
        states[index] = _SET_PATTERN & (1 << 8 * width) - 1

    def _mixed_load(self, m: Machine, address: Bits, dtype: str, count: int) -> list[Bits]:
        results = [np.zeros(m.count, dtype) for _ in range(count)]
        for part, inner in self.by_space(m, address):
            for result, value in zip(
                results, self.load(m, "generic", inner, dtype, count), strict=True
            ):
                result[part] = value
        return results

    def _mixed_store(self, m: Machine, address: Bits, dtype: str, values: list[Bits]) -> None:
        dense = [_repeat(v, m.count) for v in values]
        for part, inner in self.by_space(m, address):
            self.store(m, "generic", inner, dtype, [v[part] for v in dense])

    def by_space(self, m: Machine, address: Bits) -> Any:  # noqa: ANN401
        """Yield the parts of mixed generic addresses, with only their lanes active."""
        bounds = np.concatenate([[SHARED_WINDOW, LOCAL_WINDOW], self.starts.astype(np.int64)])
        kinds = np.searchsorted(bounds, address, "right")
        mask, count, lanes = m.mask, m.count, m.active
        for kind in np.unique(kinds):
            part = np.flatnonzero(kinds == kind)
            sub = np.zeros_like(mask)
            sub[lanes[part]] = True
            m.set_active(sub, len(part))
            m._active = lanes[part]  # noqa: SLF001
            yield part, address[part]
        m.set_active(mask, count)


def _distance(region: Buffer, address: int) -> int:
    if address < region.base:
        return region.base - address
    return max(0, address - region.base - len(region.data))


def _repeat(value: Bits, count: int) -> Bits:
    return np.repeat(value, count) if len(value) == 1 else value
