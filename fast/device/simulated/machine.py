"""The state of one chunk
======================

A chunk is some blocks of a launch, at most about 16,384 lanes, run to their end before
the next chunk starts. A register is one array over the lanes, or one element where all
lanes agree; it is never changed in place, so copies of a register can share memory.

An instruction runs in one of two modes. In the wide mode it computes all lanes and the
result is kept for the active ones; with few active lanes it gathers them first.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from subbit.fast.device.errors import Fault, Place, SimulationError

from .unwritten import unwritten

if TYPE_CHECKING:
    from subbit.fast.device.simulated.semantics.asynchronous import Copy

    from .counters import Counters
    from .coverage import Ran
    from .memory import Memory
    from .program import Block, Program
    from .syntax import Instruction

Bits = npt.NDArray[Any]
WARP = 32
FULL = np.uint32(0xFFFFFFFF)
"""All lanes of a warp."""
_GATHER_BELOW = 4


def words(mask: Bits) -> Bits:
    """Return the lanes of a mask as one 32-bit word per warp."""
    return np.packbits(mask.reshape(-1, WARP), axis=1, bitorder="little").view(np.uint32).ravel()


class Geometry:
    """How the lanes of a chunk map to blocks and threads.

    Parameters
    ----------
    grid, block : tuple of int
        The launch.
    first, count : int
        First block of the chunk and number of blocks.
    order : ndarray of int
        Order of the blocks in the launch.
    """

    def __init__(
        self,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        blocks: npt.NDArray[np.int64],
    ) -> None:
        self.grid = grid
        self.block = block
        self.blocks = blocks
        self.threads = block[0] * block[1] * block[2]
        self.padded = -(-self.threads // WARP) * WARP
        self.lanes = len(blocks) * self.padded
        lane = np.arange(self.lanes)
        self.thread = lane % self.padded
        self.row = lane // self.padded
        self.block_id = blocks[self.row]
        self.exists = self.thread < self.threads
        self.unique = self.block_id * self.padded + self.thread

    def block_index(self, lane: int) -> tuple[int, int, int]:
        """Return a lane's blockIdx."""
        return _split(int(self.block_id[lane]), self.grid)

    def thread_index(self, lane: int) -> tuple[int, int, int]:
        """Return a lane's threadIdx."""
        return _split(int(self.thread[lane]), self.block)

    def special(self) -> dict[str, Bits]:
        """Return the special registers, one element each where all lanes agree."""
        values: dict[str, Any] = {}
        gx, gy, _ = self.grid
        bx, by, _ = self.block
        values["%tid.x"], values["%tid.y"] = self.thread % bx, self.thread // bx % by
        values["%tid.z"] = self.thread // (bx * by)
        values["%ctaid.x"], values["%ctaid.y"] = self.block_id % gx, self.block_id // gx % gy
        values["%ctaid.z"] = self.block_id // (gx * gy)
        for axis, n, g in zip("xyz", self.block, self.grid, strict=True):
            values[f"%ntid.{axis}"], values[f"%nctaid.{axis}"] = [n], [g]
        lane = self.thread % WARP
        values["%laneid"], values["%warpid"] = lane, self.thread // WARP
        values["%nwarpid"] = [self.padded // WARP]
        one = np.int64(1)
        values["%lanemask_eq"], values["%lanemask_lt"] = one << lane, (one << lane) - 1
        values["%lanemask_le"] = (one << lane + 1) - 1
        values["%lanemask_gt"] = 0xFFFFFFFF ^ values["%lanemask_le"]
        values["%lanemask_ge"] = 0xFFFFFFFF ^ values["%lanemask_lt"]
        result = {name: np.asarray(value).astype(np.uint32) for name, value in values.items()}
        return {name: _collapse(value) for name, value in result.items()}


def _split(index: int, extent: tuple[int, int, int]) -> tuple[int, int, int]:
    x, y, _ = extent
    return index % x, index // x % y, index // (x * y)


def _collapse(value: Bits) -> Bits:
    return value[:1] if bool((value == value[0]).all()) else value


class Machine:
    """Registers and active lanes of a chunk.

    Parameters
    ----------
    program : Program
        The decoded kernel.
    geometry : Geometry
        The chunk's lanes.
    memory : Memory
        Memory that loads and stores access.
    counters : Counters or None
        Counters of the traffic.
    rng : numpy.random.Generator or None
        Source of the random schedule; None for lock-step.
    """

    def __init__(
        self,
        program: "Program",
        geometry: Geometry,
        memory: "Memory",
        counters: "Counters | None",
        rng: np.random.Generator | None,
    ) -> None:
        self.geometry = geometry
        self.lanes = geometry.lanes
        self.memory = memory
        self.counters = counters
        self.rng = rng
        self.registers: list[Bits | None] = [None] * len(program.widths)
        self.special = geometry.special()
        self.arguments = b""
        self.ran: Ran | None = None
        self.copies: list[Copy] = []
        self.commits = np.zeros(self.lanes, np.int64)
        self.live = geometry.exists.copy()
        self.live_count = int(np.count_nonzero(self.live))
        self.every = np.arange(self.lanes)
        self.at = 0
        self.block: Block | None = None
        self.kernel, self.file = program.function.name, "kernel.cu"
        self.thread_instructions = 0
        self.set_active(self.live, self.live_count)

    def set_active(self, mask: Bits, count: int) -> None:
        """Make the lanes of `mask` the active ones."""
        self.mask = mask
        self.count = count
        self.whole = count == self.live_count
        self._in_warps: bool | None = None
        self._active: Bits | None = self.every if count == self.lanes else None
        self.index: Bits | None = None
        if not self.whole and count * _GATHER_BELOW < self.lanes:
            self.index = self._active = np.flatnonzero(mask)

    @property
    def in_warps(self) -> bool:
        """Whether the active lanes are all lanes of some warps."""
        if self._in_warps is None:
            here = words(self.mask)
            self._in_warps = not np.count_nonzero((here + np.uint32(1)) > 1)
        return self._in_warps

    @property
    def active(self) -> Bits:
        """The numbers of the active lanes."""
        if self._active is None:
            self._active = np.flatnonzero(self.mask)
        return self._active

    def read(self, register: int, dtype: npt.DTypeLike) -> Bits:
        """Return a register in the present mode: all lanes, the gathered ones, or one."""
        value = self.registers[register]
        if value is None:
            return unwritten(dtype)
        if self.index is None or len(value) == 1:
            return value
        return value[self.index]

    def put(self, register: int, value: Bits) -> None:
        """Set a register of the active lanes to what the present mode computed."""
        if self.whole:
            self.registers[register] = value
            return
        old = self.registers[register]
        if old is None:
            old = unwritten(value.dtype)
        if self.index is None:
            self.registers[register] = np.where(self.mask, value, old)
            return
        new = old.copy() if len(old) == self.lanes else np.repeat(old, self.lanes)
        new[self.index] = value
        self.registers[register] = new

    def compact(self, value: Bits) -> Bits:
        """Return what the present mode computed for the active lanes alone (or one element)."""
        if self.index is not None or len(value) == 1 or self.count == self.lanes:
            return value
        return value[self.active]

    def all_equal(self, value: Bits, number: object) -> bool:
        """Tell whether every active lane has this number."""
        return not np.count_nonzero(self.compact(value) != number)

    def dense(self, value: Bits) -> Bits:
        """Return one element per active lane."""
        value = self.compact(value)
        return np.repeat(value, self.count) if len(value) == 1 else value

    def full(self, value: Bits) -> Bits:
        """Return one element per lane of the chunk; those of inactive lanes are zero."""
        return self.spread(self.dense(value), always=True)

    def spread(self, value: Bits, *, always: bool = False) -> Bits:
        """Undo `compact`: from one element per active lane to the present mode."""
        gathered = self.index is not None and not always
        if gathered or (len(value) == 1 and not always) or self.count == self.lanes:
            return value
        wide = np.zeros(self.lanes, value.dtype)
        wide[self.active] = value
        return wide

    @property
    def instruction(self) -> "Instruction":
        """The present instruction."""
        if self.block is None:
            message = "nothing runs"
            raise RuntimeError(message)
        return self.block.instructions[self.at]

    def located(self, fault: Fault) -> SimulationError:
        """Return the error of a fault at the present instruction."""
        ins = self.instruction
        place = Place(
            kernel=self.kernel,
            file=ins.file or self.file,
            line=ins.line,
            instruction=ins.text,
            block=self.geometry.block_index(fault.lane),
            thread=self.geometry.thread_index(fault.lane),
        )
        return SimulationError(fault.kind, fault.detail, place)

    def first_lane(self, which: Bits) -> int:
        """Return the lane of the first true element over the active lanes."""
        return int(self.active[int(np.flatnonzero(which)[0])])

    def select(self, chosen: Bits) -> Bits:
        """Return the mask of the active lanes for which `chosen`, of the present mode, holds."""
        if self.index is None:
            return self.mask & chosen
        part = np.zeros(self.lanes, np.bool_)
        part[self.index] = chosen
        return part
