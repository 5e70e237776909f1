"""Tables of kernels
=================

The work of ``subbit kernels`` and ``subbit bench simulator``. The fast path is one port among
others, so its gate is found by name.
"""

import importlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import track

from subbit.conformance.command.console import Table, make_console


def _gate() -> Any:  # noqa: ANN401
    return importlib.import_module("subbit.fast.gate")


def _ratio(count: int, ideal: int) -> str:
    return f"{count / ideal:.2f}" if ideal else "-"


def _cost_table(measured: list[Any]) -> Table:
    gate = _gate()
    names = ("kernel", "arch", "regs", "spills", "stack", "smem", "occup.", "128-bit")
    rows = []
    for cost in measured:
        numbers = (cost.registers, cost.spills, cost.stack, cost.shared)
        mix = (str(cost.mix.get(name, "-")) for name in gate.OF_INTEREST)
        wide = str(cost.wide) if cost.mix else "-"
        rows.append(
            (cost.kernel, cost.arch, *map(str, numbers), f"{cost.occupancy:.0%}", wide, *mix)
        )
    title = f"Machine code, NVRTC {gate.compiler()}"
    return Table(title, (*names, *gate.OF_INTEREST), tuple(rows), ())


def _traffic_table(work: dict[str, Any]) -> Table:
    rows = tuple(
        (
            entry,
            str(done.launches),
            _ratio(done.sectors, done.ideal_sectors),
            _ratio(done.wavefronts, done.ideal_wavefronts),
        )
        for entry, done in sorted(work.items())
    )
    names = ("kernel", "launches", "sectors / ideal", "shared wavefronts / ideal")
    return Table("Memory, counted on the simulated device (1.00 is ideal)", names, rows, ())


def check_kernels(json_file: Path | None, *, write_budget: bool) -> bool:
    """Compile all kernels, print their resources and hold them to their budget.

    Parameters
    ----------
    json_file : Path or None
        File for the numbers.
    write_budget : bool
        Save these numbers as the budget.

    Returns
    -------
    bool
        Whether every form stays within its budget and none spills.
    """
    console, gate = make_console(), _gate()
    total = len(gate.kernels()) * len(gate.ARCHITECTURES)
    measured = list(track(gate.costs(), "compiling", total, console=make_console(stderr=True)))
    work = gate.run_kernels(counters=True)
    _cost_table(measured).show(console)
    _traffic_table(work).show(console)
    if json_file is not None:
        json_file.write_text(gate.as_json(measured, work), encoding="utf-8")
    if write_budget:
        gate.write_budget(measured)
    found = gate.complaints(measured) + gate.offset_complaints()
    for complaint in found:
        console.print(complaint, style="red", markup=False)
    if not found:
        console.print(
            f"{len(measured)} forms within their budget, none spills; no offset in 32 bits"
        )
    return not found


def time_kernels(rows: int, json_file: Path | None) -> None:
    """Time every kernel on the simulated device, in CPU seconds, and print a table.

    Parameters
    ----------
    rows : int
        Rows of the block of 128 columns.
    json_file : Path or None
        File for the numbers.
    """
    gate = _gate()
    gate.run_kernels(1)  # compiles and decodes
    work = gate.run_kernels(rows)
    rows_shown = tuple(
        (
            entry,
            str(done.launches),
            f"{done.instructions:,}",
            f"{1e3 * done.seconds:.1f}",
            f"{done.instructions / done.seconds / 1e6:.0f}" if done.seconds else "-",
        )
        for entry, done in sorted(work.items())
    )
    names = ("kernel", "launches", "thread instructions", "CPU-ms", "million / s")
    Table(f"Simulated device, blocks of {rows} x 128", names, rows_shown, ()).show(make_console())
    if json_file is not None:
        content = {entry: asdict(done) for entry, done in work.items()}
        json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def compare_with_copy(rows: int, device: str, json_file: Path | None) -> None:
    """Measure kernels in bytes of their arguments per second, and print a table.

    Parameters
    ----------
    rows : int
        Rows of the block of 128 columns.
    device : {"cuda", "simulated"}
        The device.
    json_file : Path or None
        File for the numbers.
    """
    bandwidth = importlib.import_module("subbit.fast.bandwidth")
    target = importlib.import_module("subbit.fast").on(device).device
    copied = bandwidth.copy_rate(target)
    rates = dict(sorted(bandwidth.kernel_rates(target, rows).items()))
    shown = tuple(
        (
            name,
            str(rate.launches),
            f"{rate.per_second / 1e9:.2f}",
            f"{rate.per_second / copied:.1%}",
        )
        for name, rate in rates.items()
    )
    title = f"Blocks of {rows} x 128 on {device}; a copy moves {copied / 1e9:.1f} GB/s"
    names = ("kernel", "launches", "GB/s", "of a copy")
    Table(title, names, shown, ()).show(make_console())
    if json_file is not None:
        content = {
            "rows": rows,
            "copy": copied,
            "kernels": {n: asdict(r) for n, r in rates.items()},
        }
        json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
