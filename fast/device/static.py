"""The static gate
===============

The compiler's account of a kernel's machine code, without a GPU: registers, spills,
stack and shared memory from ptxas' own report, the occupancy that follows from them, and
the mix of instructions where cuobjdump is installed.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import Kernel, nvrtc

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")
_REPORT = "--ptxas-options=-v"
_WARP, _REGISTER_FILE, _REGISTER_UNIT = 32, 65536, 256
# Threads and blocks of a multiprocessor, its shared memory in KB, and each block's reserve of it.
_RESIDENT = {
    "sm_75": (1024, 16, 64, 0), "sm_80": (2048, 32, 164, 1), "sm_86": (1536, 16, 100, 1),
    "sm_87": (1536, 16, 164, 1), "sm_89": (1536, 24, 100, 1), "sm_90": (2048, 32, 228, 1),
    "sm_100": (2048, 32, 228, 1), "sm_103": (2048, 32, 228, 1), "sm_110": (1536, 24, 228, 1),
    "sm_120": (1536, 24, 100, 1), "sm_121": (1536, 24, 100, 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Usage:
    """Needs of one kernel on one architecture.

    Parameters
    ----------
    registers : int
        Per thread.
    spill_stores, spill_loads, stack : int
        Bytes per thread.
    shared : int
        Static shared memory per block in bytes.
    mix : dict
        Count of machine instructions by opcode, such as "LDG.E.128"; empty without cuobjdump.
    """

    registers: int
    spill_stores: int
    spill_loads: int
    stack: int
    shared: int
    mix: dict[str, int] = field(default_factory=dict)

    def count(self, *prefixes: str) -> int:
        """Return how many instructions begin with one of the prefixes.

        Parameters
        ----------
        *prefixes : str
            Such as "LOP3" or "LDG.E.128".

        Returns
        -------
        int
            Their number.
        """
        return sum(n for name, n in self.mix.items() if name.startswith(prefixes))

    @property
    def wide_accesses(self) -> int:
        """Number of 128-bit loads and stores."""
        memory = ("LDG", "STG", "LDS", "STS", "LD.", "ST.", "LDGSTS")
        return sum(n for name, n in self.mix.items() if name.startswith(memory) and ".128" in name)


def inspect(kernel: Kernel, arch: str, *, machine_code: bool = True) -> Usage:
    """Return the needs of a kernel on an architecture.

    Parameters
    ----------
    kernel : Kernel
        The kernel to compile.
    arch : str
        Such as "sm_90".
    machine_code : bool, default True
        Also disassemble it, where cuobjdump is installed.

    Returns
    -------
    Usage
        The compiler's report.

    Raises
    ------
    CompileError
        If NVRTC refuses the source.
    KeyError
        If it has no such entry.
    """
    options = (*kernel.options, _REPORT)
    compiled = nvrtc.compile_source(kernel.source, arch, options, kernel.file)
    usage = parse_report(compiled.log)[kernel.entry]
    if machine_code and disassembler() is not None:
        usage.mix.update(_mix(compiled.cubin).get(kernel.entry, {}))
    return usage


def parse_report(log: str) -> dict[str, Usage]:
    """Return the usage of every kernel in ptxas' report.

    Parameters
    ----------
    log : str
        NVRTC's log with ``--ptxas-options=-v``.

    Returns
    -------
    dict
        By entry name.
    """
    result = {}
    for part in re.split(r"Compiling entry function ", log)[1:]:
        name = re.match(r"'([^']+)'", part)
        properties = re.search(
            r"Function properties for (\S+)\s.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
            r"(\d+) bytes spill loads",
            part,
            re.DOTALL,
        )
        used = re.search(r"Used (\d+) registers([^\n]*)", part)
        if name is None or properties is None or used is None:
            continue
        shared = re.search(r"(\d+) bytes smem", used[2])
        stack, stores, loads = (int(properties[k]) for k in (2, 3, 4))
        result[name[1]] = Usage(int(used[1]), stores, loads, stack, int(shared[1]) if shared else 0)
    return result


def occupancy(usage: Usage, arch: str, threads: int, shared: int = 0) -> float:
    """Return the share of a multiprocessor's warps that can be resident.

    Parameters
    ----------
    usage : Usage
        Registers and static shared memory.
    arch : str
        Such as "sm_90".
    threads : int
        Threads per block.
    shared : int, default 0
        Dynamic shared memory per block in bytes.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> occupancy(Usage(128, 0, 0, 0, 0), "sm_90", 128)
    0.25
    """
    most_threads, most_blocks, shared_kb, reserved_kb = _RESIDENT[arch]
    warps = -(-threads // _WARP)
    per_warp = -(-usage.registers * _WARP // _REGISTER_UNIT) * _REGISTER_UNIT
    # Each of the four schedulers has its own quarter of the register file.
    by_registers = (_REGISTER_FILE // 4 // max(per_warp, 1)) * 4 // warps
    limits = [most_blocks, most_threads // (warps * _WARP), by_registers]
    need = usage.shared + shared + reserved_kb * 1024
    if need:
        limits.append(shared_kb * 1024 // need)
    return min(limits) * warps * _WARP / most_threads


def disassembler() -> Path | None:
    """Return cuobjdump, from a wheel or the path; None if not found.

    Returns
    -------
    Path or None
        The program.
    """
    for root in map(Path, sys.path):
        for found in sorted(root.glob("nvidia/*/bin/cuobjdump")):
            return found
    system = shutil.which("cuobjdump")
    return Path(system) if system else None


def disassemble(cubin: bytes) -> str:
    """Return the machine code of a cubin as text.

    Parameters
    ----------
    cubin : bytes
        Output of NVRTC.

    Returns
    -------
    str
        Output of ``cuobjdump -sass``; empty where it is not installed.
    """
    program = disassembler()
    if program is None:
        return ""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run(  # noqa: S603
            [program, "-sass", file.name], capture_output=True, text=True, check=True
        )
    return done.stdout


def _mix(cubin: bytes) -> dict[str, dict[str, int]]:
    """Return the count of opcodes of every function."""
    text = disassemble(cubin)
    return {name: dict(Counter(_opcodes(body))) for name, body in _functions(text)}


def _functions(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"\n\s*Function : ", text)[1:]:
        name, _, body = part.partition("\n")
        yield name.strip(), body


def _opcodes(body: str) -> Iterator[str]:
    for match in re.finditer(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", body):
        if match[1] != "NOP":
            yield match[1]
