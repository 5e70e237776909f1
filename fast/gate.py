"""The gate on kernels
===================

What every kernel costs on every architecture, held to a committed budget, and how it
uses memory, counted by the simulated device. Neither needs a GPU.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from subbit.fast.device.simulated import Simulated
from subbit.fast.device.static import ARCHITECTURES
from subbit.fast.launches.kernels import BLOCK, kernels
from subbit.reference import BiLLM, TypedGroups

from .device import Extent, Kernel, nvrtc, static
from .device.offsets import narrow_offsets
from .port import Port

BUDGET = Path(__file__).parent / "kernels" / "budget.json"
# Instructions whose counts show whether a kernel works as intended.
OF_INTEREST = ("LOP3", "POPC", "HMMA", "IMMA")


@dataclass(frozen=True)
class Cost:
    """Needs of one form of a kernel on one architecture.

    Parameters
    ----------
    kernel : str
        Entry and compile-time numbers.
    arch : str
        Such as "sm_90".
    registers, spills, stack, shared : int
        Registers per thread; bytes of spills and stack per thread, bytes of shared
        memory per block.
    occupancy : float
        Share of a multiprocessor's warps that can be resident.
    wide : int
        Loads and stores of 128 bits.
    mix : dict
        Counts of machine instructions of interest; empty without cuobjdump.
    """

    kernel: str
    arch: str
    registers: int
    spills: int
    stack: int
    shared: int
    occupancy: float
    wide: int
    mix: dict[str, int]


def name_of(kernel: Kernel) -> str:
    """Return the name of a kernel's form.

    Parameters
    ----------
    kernel : Kernel
        The kernel.

    Returns
    -------
    str
        Its entry and its numbers.

    Examples
    --------
    >>> name_of(Kernel("", "rank_columns", ("-DHELD=4",)))
    'rank_columns HELD=4'
    """
    return " ".join((kernel.entry, *(option.removeprefix("-D") for option in kernel.options)))


def costs(archs: Sequence[str] = ARCHITECTURES, *, machine_code: bool = True) -> Iterator[Cost]:
    """Compile every kernel in every form for every architecture.

    Parameters
    ----------
    archs : sequence of str
        The architectures.
    machine_code : bool, default True
        Also count instructions, where cuobjdump is installed.

    Yields
    ------
    Cost
        The cost of each.
    """
    for kernel in kernels():
        for arch in archs:
            usage = static.inspect(kernel, arch, machine_code=machine_code)
            yield Cost(
                name_of(kernel),
                arch,
                usage.registers,
                usage.spill_stores + usage.spill_loads,
                usage.stack,
                usage.shared,
                static.occupancy(usage, arch, BLOCK),
                usage.wide_accesses,
                {name: usage.count(name) for name in OF_INTEREST} if usage.mix else {},
            )


def compiler() -> str:
    """Return the compiler's version, by which budgets are kept.

    Returns
    -------
    str
        Such as "13.5".
    """
    return ".".join(map(str, nvrtc.version()))


def read_budget() -> dict[str, dict[str, dict[str, int]]]:
    """Return the committed registers by compiler version, kernel and architecture.

    Returns
    -------
    dict
        Registers per thread.
    """
    budget: dict[str, dict[str, dict[str, int]]] = json.loads(BUDGET.read_text(encoding="utf-8"))
    return budget


def write_budget(measured: Sequence[Cost]) -> None:
    """Make the measured costs the budget of this compiler.

    Parameters
    ----------
    measured : sequence of Cost
        Costs of all kernels.
    """
    budget = read_budget() if BUDGET.exists() else {}
    registers: dict[str, dict[str, int]] = defaultdict(dict)
    for cost in measured:
        registers[cost.kernel][cost.arch] = cost.registers
    budget[compiler()] = dict(registers)
    BUDGET.write_text(json.dumps(budget, indent=1) + "\n", encoding="utf-8")


def complaints(measured: Sequence[Cost]) -> list[str]:
    """Report which kernels spill, use a stack or exceed their budget.

    Parameters
    ----------
    measured : sequence of Cost
        Costs of kernels.

    Returns
    -------
    list of str
        One sentence each; empty if all is well.
    """
    budget = read_budget().get(compiler())
    if budget is None:
        return [f"no budget for NVRTC {compiler()}: make one with --write-budget"]
    found = []
    for cost in measured:
        where = f"{cost.kernel} on {cost.arch}"
        if cost.spills or cost.stack:
            found.append(f"{where}: {cost.spills} bytes of spills, {cost.stack} of stack")
        allowed = budget.get(cost.kernel, {}).get(cost.arch)
        if allowed is None:
            found.append(f"{where}: has no budget")
        elif cost.registers > allowed:
            found.append(f"{where}: {cost.registers} registers, budget {allowed}")
    return found


def offset_complaints() -> list[str]:
    """Report which kernels compute an offset in 32 bits, see `narrow_offsets`.

    Returns
    -------
    list of str
        One sentence for each form and source line; empty if all is well.
    """
    found = []
    for kernel in kernels():
        ptx = nvrtc.compile_source(kernel.source, ARCHITECTURES[0], kernel.options, kernel.file).ptx
        places = {(at.file, at.line): at for at in narrow_offsets(ptx, kernel.entry)}
        found += [
            f"{name_of(kernel)}: {file}:{line} uses an offset that wraps around at 2^31, "
            f"from the product in line {at.product}"
            for (file, line), at in places.items()
        ]
    return found


@dataclass
class Work:
    """Work of one kernel's launches on the simulated device.

    Parameters
    ----------
    launches, instructions : int
        Launches, and instructions executed by all threads.
    seconds : float
        CPU seconds.
    sectors, ideal_sectors : int
        32-byte sectors of global memory, and the fewest that hold the bytes.
    wavefronts, ideal_wavefronts : int
        Passes over shared memory, and the fewest.
    """

    launches: int = 0
    instructions: int = 0
    seconds: float = 0.0
    sectors: int = 0
    ideal_sectors: int = 0
    wavefronts: int = 0
    ideal_wavefronts: int = 0


class _Watched(Simulated):
    """A simulated device that keeps a record for each kernel."""

    def __init__(self, *, counters: bool) -> None:
        super().__init__(counters=counters)
        self.work: dict[str, Work] = defaultdict(Work)

    def launch(
        self, kernel: Kernel, grid: Extent, block: Extent, args: Sequence[object], shared: int = 0
    ) -> None:
        before, start = self.thread_instructions, time.process_time()
        super().launch(kernel, grid, block, args, shared)
        work = self.work[kernel.entry]
        work.launches += 1
        work.seconds += time.process_time() - start
        work.instructions += self.thread_instructions - before


def run_kernels(rows: int = 64, *, counters: bool = False) -> dict[str, Work]:
    """Run every kernel on the simulated device, on a block of 128 columns.

    Parameters
    ----------
    rows : int, default 64
        Rows of the block.
    counters : bool, default False
        Count sectors and wavefronts, which takes longer.

    Returns
    -------
    dict of str to Work
        By entry.

    Raises
    ------
    RuntimeError
        If a kernel is not among those that run.
    """
    device = _Watched(counters=counters)
    launch_all(Port(device, "simulated"), rows)
    if forgotten := {kernel.entry for kernel in kernels()} - set(device.work):
        message = f"kernels that nothing here launches: {', '.join(sorted(forgotten))}"
        raise RuntimeError(message)
    for entry, counted in device.counters.items():
        device.work[entry].sectors = counted.total("global").sectors
        device.work[entry].ideal_sectors = counted.total("global").ideal_sectors
        device.work[entry].wavefronts = counted.total("shared").wavefronts
        device.work[entry].ideal_wavefronts = counted.total("shared").ideal_wavefronts
    return dict(device.work)


def launch_all(port: Port, rows: int) -> None:
    """Call functions that launch every kernel, on a block of 128 columns.

    Parameters
    ----------
    port : Port
        The port.
    rows : int
        Rows of the block.
    """
    W = np.random.default_rng(0).standard_normal((rows, 128)).astype(np.float32)
    everything = np.ones(128, dtype=np.bool_)
    port.masked_mean(W)
    port.masked_scale(W)
    port.residual_binarize(W, order=2, center=True)
    port.trailing_saliency(W, np.eye(128))
    port.rank_columns(port.column_saliency(W))
    port.salient_search(W, np.arange(128), np.arange(1, 50), orders=(2, 2), center=True)
    port.bell_split_search(W, everything, np.linspace(0.1, 2.0, 81), center=True)
    port.calibrated_split_search(W, everything, np.linspace(0.1, 2.0, 9), np.eye(128))
    port.bell_split(np.abs(W), everything, 0.5)
    port.wanda_importance(W, W[0] ** 2)
    port.nm_mask(port.standardized_importance(W, W[0] ** 2), 4, 8)
    port.nm_mask(W, 5, 32)
    port.trisection_search(W, everything, np.linspace(0.1, 2.0, 20), center=True)
    port.joint_signs(W, W[:, :1], W)
    port.arb_x(W, None, np.eye(128), order=2)
    port.spbo(W, None, port.spbo_schedule(W, 6, 8), np.eye(128), order=2)
    port.block_cosine(W, W)
    port.arb_rc(W, order=2)
    refined = port.arb_start(W)
    port.calibrated_mean(W, refined, np.eye(128))
    port.calibrated_sums(W, refined, np.eye(128))
    port.billm_layer(W, np.eye(128))
    port.billm_layer(W, np.eye(128), BiLLM(column_feedback=True))
    port.gptq_layer(W, np.eye(128))
    port.sparsegpt_layer(W, np.eye(128))
    port.pb_llm_layer(W, np.eye(128))
    port.row_split(W)
    port.typed_groups_layer(W, np.eye(128), TypedGroups(payload=64.0, codes=("2:16",)))


def as_json(measured: Sequence[Cost], work: dict[str, Work]) -> str:
    """Return costs and memory traffic as JSON.

    Parameters
    ----------
    measured : sequence of Cost
        Costs of kernels.
    work : dict of str to Work
        Work of the kernels.

    Returns
    -------
    str
        An object with ``compiler``, ``costs`` and ``work``.
    """
    content = {
        "compiler": compiler(),
        "costs": [asdict(cost) for cost in measured],
        "work": {entry: asdict(done) for entry, done in work.items()},
    }
    return json.dumps(content, indent=1) + "\n"
