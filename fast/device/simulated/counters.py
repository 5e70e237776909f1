"""Traffic counters
================

The numbers a profiler gives per source line, from the addresses alone: requests of warps,
32-byte sectors of global memory, and wavefronts of shared memory against the fewest that
could carry the bytes. Shared memory has 32 banks of 4 bytes; accesses of 8 and 16 bytes go
by half and quarter warps.
"""

from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np

from .machine import WARP, Bits, Machine
from .windows import SHARED_WINDOW, window_of

_SECTOR, _BANK, _LINE = 32, 4, 128


class Site(NamedTuple):
    """A site whose traffic is counted.

    Attributes
    ----------
    file, line : str and int
        Source line.
    space : str
        "global" or "shared".
    direction : str
        "load", "store" or "atomic".
    """

    file: str
    line: int
    space: str
    direction: str


@dataclass(slots=True)
class Traffic:
    """Counts of one source line, space and direction.

    Attributes
    ----------
    requests : int
        Warp instructions.
    sectors, ideal_sectors : int
        32-byte sectors touched, and the fewest that hold the distinct bytes.
    wavefronts, ideal_wavefronts : int
        Passes of shared memory, and the fewest.
    """

    requests: int = 0
    sectors: int = 0
    ideal_sectors: int = 0
    wavefronts: int = 0
    ideal_wavefronts: int = 0


class Counters:
    """Traffic of one kernel by source line, space and direction."""

    def __init__(self) -> None:
        self.lines: dict[Site, Traffic] = {}

    def total(self, space: str) -> Traffic:
        """Return the sum over all lines of a space.

        Parameters
        ----------
        space : {"global", "shared"}
            The memory.

        Returns
        -------
        Traffic
            The sum.
        """
        parts = [astuple(t) for site, t in self.lines.items() if site.space == space]
        return Traffic(*(sum(column) for column in zip(*parts, strict=True)))

    def memory(
        self, m: Machine, space: str, address: Bits, total: int, *, write: bool, access: str
    ) -> None:
        """Count one instruction of the active lanes."""
        lanes = m.active
        address = np.repeat(address, len(lanes)) if len(address) == 1 else address
        if space == "generic":
            space = window_of(int(address[0]))
            address = address - (SHARED_WINDOW if space == "shared" else 0)
        if space == "local" or not len(lanes):
            return
        direction = "atomic" if access == "atomic" else "store" if write else "load"
        ins = m.instruction
        key = Site(ins.file or m.file, ins.line, space, direction)
        traffic = self.lines.setdefault(key, Traffic())
        warps = lanes // WARP
        traffic.requests += len(np.unique(warps))
        if space == "shared":
            self._shared(traffic, warps, lanes, address, total)
        else:
            self._global(traffic, warps, address, total)

    @staticmethod
    def _global(traffic: Traffic, warps: Bits, address: Bits, total: int) -> None:
        key = warps << 52
        traffic.sectors += len(np.unique(key | address // _SECTOR))
        distinct = np.unique(key | address // total)
        bytes_of_warp = np.unique(distinct >> 52, return_counts=True)[1] * total
        traffic.ideal_sectors += int((-(-bytes_of_warp // _SECTOR)).sum())

    @staticmethod
    def _shared(traffic: Traffic, warps: Bits, lanes: Bits, address: Bits, total: int) -> None:
        parts = max(total // _BANK, 1)
        phase = warps * parts + lanes % WARP * parts // WARP
        words = address // _BANK
        if parts > 1:
            words = (words[:, None] + np.arange(parts)).ravel()
            phase = np.repeat(phase, parts)
        distinct = np.unique(phase << 40 | words)
        phase, bank = distinct >> 40, distinct % (_LINE // _BANK)
        groups, at = np.unique(phase, return_inverse=True)
        table = np.bincount(at * 32 + bank, minlength=len(groups) * 32).reshape(-1, 32)
        traffic.wavefronts += int(table.max(axis=1).sum())
        traffic.ideal_wavefronts += int((-(-table.sum(axis=1) // 32)).sum())
