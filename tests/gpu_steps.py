"""The steps of ``make gpu``. Each saves what it found so far, over and over, until it ends."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from covering import covering
from planted_kernels import BUGS, GOOD, kernel

from subbit.conformance.cases import OPERATIONS, of_level
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.target import arithmetic_of
from subbit.fast import bandwidth
from subbit.fast.device import DeviceError, DeviceUnavailableError, Extent, Kernel, SimulationError
from subbit.fast.device.cuda import Cuda
from subbit.fast.device.simulated import Simulated
from subbit.fast.gate import name_of
from subbit.fast.launches.kernels import kernels
from subbit.fast.port import Port

Found = dict[str, Any]
Save = Callable[[Found], None]
ROWS = {"cuda": 2**16, "simulated": 8}
FOUND = 9
"""Exit code by which compute-sanitizer says that it found something."""


def device_of(name: str) -> Any:
    return Cuda() if name == "cuda" else Simulated()


def host(array: Any) -> np.ndarray[Any, Any]:
    return np.asarray(array.get() if hasattr(array, "get") else array)


def machine(options: argparse.Namespace, _: Save) -> Found:
    """Name the GPU and the software around it."""
    try:
        device = device_of(options.device)
    except DeviceUnavailableError as error:
        return {"well": False, "lacking": str(error)}
    found = device.machine() | {"python": sys.version.split()[0], "numpy": np.__version__}
    return {"well": True, **found, "summary": found["gpu"]}


class Compared(Simulated):
    """A simulated device that repeats the first launches of each form on another device."""

    def __init__(self, other: Any, times: int = 3) -> None:
        super().__init__()
        self.other, self.times = other, times
        self.launched: Counter[str] = Counter()
        self.different: dict[str, str] = {}

    def launch(
        self, kernel: Kernel, grid: Extent, block: Extent, args: Sequence[object], shared: int = 0
    ) -> None:
        name = name_of(kernel)
        if self.launched[name] >= self.times:
            super().launch(kernel, grid, block, args, shared)
            return
        self.launched[name] += 1
        xp = self.other.xp
        theirs = [xp.array(a) if isinstance(a, np.ndarray) else a for a in args]
        super().launch(kernel, grid, block, args, shared)
        self.other.launch(kernel, grid, block, theirs, shared)
        for i, (own, their) in enumerate(zip(args, theirs, strict=True)):
            if isinstance(own, np.ndarray):
                self._compare(f"argument {i}", name, own, host(their))

    def _compare(self, what: str, name: str, own: Any, their: Any) -> None:
        bits = [np.frombuffer(x.tobytes(), np.uint8).reshape(x.size, -1) for x in (own, their)]
        differs = (bits[0] != bits[1]).any(axis=1)
        if differs.any():
            at = int(np.argmax(differs))
            self.different.setdefault(
                name,
                f"{what}: {int(differs.sum())} of {own.size} differ, the first at {at}: "
                f"simulated {own.ravel()[at]!r}, here {their.ravel()[at]!r}",
            )


def compare_kernels(options: argparse.Namespace, save: Save) -> Found:
    """Compare the outputs of kernels with the simulated device's, bit for bit."""
    device = Compared(device_of(options.device))
    # Twins would be compared under an order of their own, which is not at issue here.
    port = Port(device, "simulated")
    del port.STRICT_TWIN
    found: Found = {}
    for name, seed in covering()[:: options.every]:
        OPERATIONS[name].check(port, arithmetic_of(port), seed)
        missing = sorted({name_of(k) for k in kernels()} - set(device.launched))
        found = {
            "well": not device.different and (not missing or options.every > 1),
            "forms": len(device.launched),
            "launches": device.launched.total(),
            "different": device.different,
            "not_launched": missing,
            "summary": f"{device.launched.total()} launches of {len(device.launched)} forms, "
            f"{len(device.different)} forms differ",
        }
        save(found)
    return found


def conformance(options: argparse.Namespace, save: Save) -> Found:
    """Run the cases of `subbit check`, as many as the time allows, quick ones first."""
    port = Port(device_of(options.device), options.device)
    arithmetic, counts = arithmetic_of(port), Counter[str]()
    failed: dict[str, str] = {}
    everything = list(cases())
    for item, seed in everything[:: options.every]:
        outcome = item.check(port, arithmetic, seed)
        counts[outcome.status] += 1
        # Beside some decisions no input was found.
        if outcome.status not in {"passed", "empty"}:
            failed[outcome.replay] = outcome.message
        left = len(everything[:: options.every]) - counts.total()
        found = {
            "well": not failed and not left,
            "cases": dict(counts),
            "left_out": left,
            "failed": failed,
            "summary": f"{counts['passed']} cases passed, {len(failed)} did not, "
            f"{counts['empty']} compared nothing, {left} left out",
        }
        if failed or counts.total() % 50 == 0 or not left:
            save(found)
    return found


def cases() -> Iterator[tuple[Any, int]]:
    quick = [(item, seed) for item in of_level(3) for seed in seeds_of(item, "quick")]
    yield from quick
    known = {(item.name, seed) for item, seed in quick}
    for item in of_level(3):
        for seed in seeds_of(item, "ci"):
            if (item.name, seed) not in known:
                yield item, seed


def sanitizer_path() -> str | None:
    folders = (*Path("/usr/local").glob("cuda*/bin"), *Path("/opt").glob("cuda*/bin"))
    return shutil.which("compute-sanitizer") or next(
        (str(f / "compute-sanitizer") for f in folders if (f / "compute-sanitizer").exists()), None
    )


def tool_for(kind: str, detail: str) -> str:
    """The tool that reports a kind of fault, or "" for those that none does on a GPU."""
    if kind == "race":
        return "racecheck" if "shared memory" in detail else ""
    return {
        "out of bounds": "memcheck",
        "misaligned": "memcheck",
        "barrier divergence": "synccheck",
    }.get(kind, "")


def sanitizer(options: argparse.Namespace, save: Save) -> Found:
    """Run the kernels with one bug each, and their twins, under compute-sanitizer."""
    path = sanitizer_path()
    if path is None:
        return {"well": True, "lacking": "compute-sanitizer", "summary": "it is not here"}
    asked = {bug[0]: tool_for(bug[4], bug[5]) for bug in BUGS}
    unseen = sorted(name for name, tool in asked.items() if not tool)
    found: Found = {"noticed": {}, "clean": {}, "no_tool_for": unseen}
    twins = [("good", tool) for tool in ("memcheck", "racecheck", "synccheck")]
    bugs = [(name, tool) for name, tool in asked.items() if tool]
    for name, tool in [*twins, *islice(bugs, 0, None, options.every)]:
        words = [path, "--tool", tool, "--error-exitcode", str(FOUND), sys.executable]
        words += [str(Path(__file__).with_name("gpu.py"))]
        done = subprocess.run(
            [*words, "--launch", name, "--device", options.device],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if name == "good":
            found["clean"][tool] = done.returncode == 0
        else:
            found["noticed"][name] = done.returncode == FOUND
        good = [*found["clean"].values(), *found["noticed"].values()]
        found["well"] = all(good)
        found["summary"] = (
            f"{sum(found['noticed'].values())} of {len(found['noticed'])} bugs noticed, "
            f"twins clean under {sum(found['clean'].values())} of {len(found['clean'])} tools"
        )
        save(found)
    return found


def launch_planted(name: str, device: Any) -> int:
    """Launch a planted kernel, or all correct ones; what a simulated device finds is an exit."""
    chosen = [g[:4] for g in GOOD] if name == "good" else [b[:4] for b in BUGS if b[0] == name][:1]
    try:
        for entry, args, grid, block in chosen:
            # The same array written through the path that is read only is no valid launch.
            if entry == "read_only_written":
                continue
            values = [device.xp.array(a) if isinstance(a, np.ndarray) else a for a in args()]
            device.launch(kernel(entry), grid, block, values)
            device.synchronize()
    except SimulationError:
        return FOUND
    return 0


def measure_bandwidth(options: argparse.Namespace, save: Save) -> Found:
    """Measure kernels against the speed of a copy."""
    device = device_of(options.device)
    rows = ROWS[options.device]
    copied = bandwidth.copy_rate(device)
    save({"well": False, "copy": copied})
    rates = bandwidth.kernel_rates(device, rows)
    shares = {name: rate.per_second / copied for name, rate in sorted(rates.items())}
    return {
        "well": True,
        "rows": rows,
        "copy": copied,
        "shares": {name: round(share, 4) for name, share in shares.items()},
        "summary": f"a copy moves {copied / 1e9:.0f} GB/s, kernels "
        f"{min(shares.values()):.2%} to {max(shares.values()):.0%} of that",
    }


STEPS = {
    "machine": machine,
    "kernels": compare_kernels,
    "conformance": conformance,
    "sanitizer": sanitizer,
    "bandwidth": measure_bandwidth,
}


def main(options: argparse.Namespace) -> int:
    if options.launch:
        device = Cuda() if options.device == "cuda" else Simulated(races=True)
        return launch_planted(options.launch, device)

    def save(found: Found) -> None:
        part = options.part.with_suffix(".new")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(options.part)

    began = time.monotonic()
    try:
        found = STEPS[options.step](options, save)
    except DeviceError as error:
        found = {"well": False, "summary": f"{type(error).__name__}: {error}"}
    save(found | {"busy": round(time.monotonic() - began, 1)})
    return 0
