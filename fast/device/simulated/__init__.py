"""The simulated device
====================

Executes the PTX that NVRTC builds from a kernel, one NumPy lane per CUDA thread, and reports
what a GPU would do silently: accesses out of bounds or misaligned, reads of shared memory
that was never written, races, divergent barriers, deadlocks, shuffles with absent lanes,
copies not waited for. It needs NVRTC's wheel and nothing else: no driver, no GPU.

It says nothing about time, the machine code built from the PTX, or a driver's limits
beyond those it checks. Sums of tensor cores and the ``.approx`` functions are not
bit-exact; everything else is.
"""

import time
from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import scipy.linalg

from subbit.fast.device import Extent, Kernel, extent3, nvrtc
from subbit.fast.device.errors import LaunchError, UnsupportedInstructionError

from .arguments import marshal
from .counters import Counters, Site, Traffic
from .coverage import Coverage, Ran
from .machine import Geometry, Machine
from .memory import Memory
from .parse import parse
from .program import Program
from .races import Races
from .schedule import Schedule
from .unwritten import NUMPY

__all__ = ["Counters", "Coverage", "Simulated", "Site", "Traffic"]

CHUNK = 16384
SHARED_LIMIT = {
    "sm_75": 64, "sm_80": 163, "sm_86": 99, "sm_87": 163, "sm_89": 99, "sm_90": 227,
    "sm_100": 227, "sm_103": 227, "sm_110": 227, "sm_120": 99, "sm_121": 99,
}  # fmt: skip
_GRID_LIMIT = (2**31 - 1, 65535, 65535)
_BLOCK_LIMIT = (1024, 1024, 64)


class Simulated:
    """A device that needs no GPU.

    Parameters
    ----------
    arch : str, default "sm_80"
        Architecture to compile for.
    schedule : {"lockstep", "random"}
        Order of lanes, blocks and atomics.
    seed : int, default 0
        Seed of the random schedule.
    races : bool, default False
        Check for data races: two to three times slower.
    counters : bool, default False
        Count memory traffic by source line.
    coverage : Coverage or None
        Record of which code of each kernel runs.

    Examples
    --------
    >>> source = 'extern "C" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }'
    >>> x = np.arange(4, dtype=np.float32)
    >>> Simulated().launch(Kernel(source, "twice"), 1, 4, (x,))
    >>> x
    array([0., 2., 4., 6.], dtype=float32)
    """

    def __init__(
        self,
        arch: str = "sm_80",
        *,
        schedule: Literal["lockstep", "random"] = "lockstep",
        seed: int = 0,
        races: bool = False,
        counters: bool = False,
        coverage: Coverage | None = None,
    ) -> None:
        if arch not in SHARED_LIMIT:
            message = f"arch: expected one of {', '.join(SHARED_LIMIT)}, got {arch}"
            raise LaunchError(message)
        if schedule not in ("lockstep", "random"):
            message = f"schedule: expected lockstep or random, got {schedule}"
            raise LaunchError(message)
        self.arch = arch
        self.schedule: Literal["lockstep", "random"] = schedule
        self.seed = seed
        self.races = races
        self.counting = counters
        self.counters: dict[str, Counters] = {}
        self.coverage = coverage
        self.launches = 0
        self.thread_instructions = 0

    @property
    def xp(self) -> Any:  # noqa: ANN401
        """NumPy, where `empty` returns what stands out."""
        return NUMPY

    @property
    def linalg(self) -> Any:  # noqa: ANN401
        """The linear algebra of scipy."""
        return scipy.linalg

    def synchronize(self) -> None:
        """Do nothing: a launch returns when it has run."""

    def seconds(self, work: Callable[[], None]) -> float:
        """Return the CPU time of some launches.

        Parameters
        ----------
        work : callable
            Launches something.

        Returns
        -------
        float
            CPU seconds.
        """
        start = time.process_time()
        work()
        return time.process_time() - start

    def machine(self) -> dict[str, str]:
        """Return what measurements on this device have to be read with."""
        return {
            "gpu": "none: the simulated device",
            "architecture": self.arch,
            "nvrtc": ".".join(map(str, nvrtc.version())),
        }

    def strict(self, seed: int) -> "tuple[Simulated, str]":
        """Return a twin of this device that notices more, and how.

        Parameters
        ----------
        seed : int
            Seed of the twin's schedule.

        Returns
        -------
        device : Simulated
            Checks for races, in a random schedule that depends on nothing but the seed.
        how : str
            The same in words.
        """
        twin = copy(self)
        twin.races, twin.schedule, twin.seed, twin.launches = True, "random", seed, 0
        return twin, f"with race checks, in the random order {seed}"

    def launch(
        self, kernel: Kernel, grid: Extent, block: Extent, args: Sequence[object], shared: int = 0
    ) -> None:
        """Run a kernel.

        Parameters
        ----------
        kernel : Kernel
            The kernel.
        grid, block : int or sequence of at most three int
            Blocks in the grid, threads in a block.
        args : sequence
            NumPy arrays for pointers, NumPy scalars for values.
        shared : int, default 0
            Dynamic shared memory in bytes.

        Raises
        ------
        CompileError
            If NVRTC refuses the source.
        LaunchError
            If limits are exceeded or the arguments don't fit.
        SimulationError
            If the kernel does something forbidden.
        UnsupportedInstructionError
            If it uses an instruction that isn't simulated.
        """
        program = load(kernel, self.arch)
        ran = None if self.coverage is None else self.coverage.of(kernel, program)
        self.launch_program(program, grid, block, args, shared, kernel.file, ran)

    def launch_program(
        self, program: Program, grid: Extent, block: Extent, args: Sequence[object],
        shared: int = 0, file: str = "kernel.ptx", ran: Ran | None = None,
    ) -> None:  # fmt: skip
        """Run a decoded program, as `launch` does.

        Parameters
        ----------
        program : Program
            From `load` or from PTX text, by ``Program(parse(text), entry)``.
        grid, block, args, shared
            As for `launch`.
        file : str
            Name of the source in reports.
        ran : Ran or None
            Record of what runs.
        """
        extents = extent3("grid", grid), extent3("block", block)
        self._check_limits(program, *extents, shared)
        arguments, regions = marshal(program.signature, args, len(program.regions))
        self.launches += 1
        races = Races(program.granule) if self.races else None
        memory = Memory([*program.regions, *regions], races)
        if races is not None:
            for region in memory.regions:
                region.shadow = races.shadow(len(region.data), shared=False)
        with np.errstate(all="ignore"):
            self._run(file, program, *extents, arguments, memory, shared, ran)

    def _run(
        self, file: str, program: Program, grid: tuple[int, int, int],
        block: tuple[int, int, int], arguments: bytes, memory: Memory, shared: int,
        ran: Ran | None,
    ) -> None:  # fmt: skip
        """Run the blocks of a launch, chunk by chunk."""
        rng = np.random.default_rng((self.seed, self.launches))
        random = rng if self.schedule == "random" else None
        count = grid[0] * grid[1] * grid[2]
        order = np.arange(count) if random is None else random.permutation(count)
        padded = -(-(block[0] * block[1] * block[2]) // 32) * 32
        step = max(CHUNK // padded, 1)
        allowed = program.shared_map(shared)
        counters = None
        if self.counting:
            counters = self.counters.setdefault(program.function.name, Counters())
        for start in range(0, count, step):
            geometry = Geometry(grid, block, order[start : start + step])
            if memory.races is not None:
                memory.races.begin_chunk(geometry)
            memory.begin_chunk(len(geometry.blocks), geometry.lanes, allowed, program.frame)
            machine = Machine(program, geometry, memory, counters, random)
            machine.arguments, machine.file, machine.ran = arguments, file, ran
            machine.special["%dynamic_smem_size"] = np.array([shared], np.uint32)
            total = np.array([program.shared_static + shared], np.uint32)
            machine.special["%total_smem_size"] = total
            Schedule(program, machine).run()
            self.thread_instructions += machine.thread_instructions

    def _check_limits(
        self, program: Program, grid: tuple[int, int, int], block: tuple[int, int, int], shared: int
    ) -> None:
        """Check the launch as a driver would."""
        threads = block[0] * block[1] * block[2]
        most = min(1024, program.function.max_threads)
        for name, extent, limits in (("grid", grid, _GRID_LIMIT), ("block", block, _BLOCK_LIMIT)):
            if any(e > limit for e, limit in zip(extent, limits, strict=True)):
                message = f"{name} {extent} exceeds {limits}"
                raise LaunchError(message)
        if threads > most:
            message = f"{threads} threads in a block, the kernel allows {most}"
            raise LaunchError(message)
        total, limit = program.shared_static + shared, SHARED_LIMIT[self.arch] * 1024
        if shared < 0 or total > limit or program.shared_static > 48 * 1024:
            message = (
                f"{total} bytes of shared memory ({program.shared_static} static), "
                f"{self.arch} allows {limit} (48 KB static)"
            )
            raise LaunchError(message)


@lru_cache(maxsize=256)
def load(kernel: Kernel, arch: str) -> Program:
    """Compile and decode a kernel; the result is cached.

    Parameters
    ----------
    kernel : Kernel
        The kernel to load.
    arch : str
        Architecture to compile for.

    Returns
    -------
    Program
        The decoded kernel.

    Raises
    ------
    LaunchError
        If the source has no such entry.
    """
    compiled = nvrtc.compile_source(kernel.source, arch, kernel.options, kernel.file)
    module = parse(compiled.ptx)
    function = module.functions.get(kernel.entry)
    if function is None or not function.entry:
        names = ", ".join(f.name for f in module.functions.values() if f.entry)
        message = f"the source has no kernel {kernel.entry}, it has: {names}"
        raise LaunchError(message)
    try:
        return Program(module, kernel.entry)
    except UnsupportedInstructionError as error:
        message = f"kernel {kernel.entry}: {error}"
        raise UnsupportedInstructionError(message) from error
