"""The doctor command
==================

``subbit doctor`` tells what can run here and what is missing: each part with what it is
needed for and the command that installs it. The exit code is 0 if ``subbit check reference``
can run, and 2 if not.
"""

import importlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from subbit.conformance.models.needs import WHEELS_COMMAND, wheel_file
from subbit.reference.errors import SubbitError

from .about import installed
from .console import REFUSED, make_console

LEAST_PYTHON = (3, 11)
_BASICS = ("numpy", "scipy", "typer", "rich", "threadpoolctl", "jsonschema", "safetensors")
_INSTALL = "pip install 'subbit[{}]'"
_GPU_SECONDS = 20.0


@dataclass(frozen=True)
class Part:
    """Something that subbit can use.

    Parameters
    ----------
    name : str
        Its name.
    found : str or None
        Version or place; None if it is missing.
    purpose : str
        What it is needed for.
    remedy : str
        The command that installs it, or where it is from.
    basic : bool
        Whether nothing works without it.
    """

    name: str
    found: str | None
    purpose: str
    remedy: str
    basic: bool = False


def _package(name: str, purpose: str, extra: str, *, basic: bool = False) -> Part:
    return Part(name, installed(name), purpose, _INSTALL.format(extra), basic=basic)


def _found(look: Callable[[], object]) -> str | None:
    """Return what a search finds; whatever is missing, somebody's library says in its own way."""
    try:
        found = look()
    except Exception:  # noqa: BLE001
        return None
    return None if found is None else str(found)


def _nvrtc() -> str | None:
    # By name: the only port this package knows is the reference.
    compiler = importlib.import_module("subbit.fast.device.nvrtc")
    path = compiler.find_library()
    if not compiler.include_folders():
        return None
    return installed("nvidia-cuda-nvrtc") or installed("nvidia-cuda-nvrtc-cu12") or str(path)


def _cupy() -> str | None:
    for package in ("cupy-cuda13x", "cupy-cuda12x", "cupy"):
        if found := installed(package):
            return f"{package} {found}"
    return None


def _gpu() -> str | None:
    # The driver's own program: a library could hang or crash this process.
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    call = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=_GPU_SECONDS, check=True)  # noqa: S603
    return "; ".join(done.stdout.strip().splitlines()) or None


def _embedded(module: str, attribute: str) -> str | None:
    package, file = getattr(importlib.import_module(f"subbit.conformance.{module}"), attribute)
    with suppress(SubbitError):
        return wheel_file(package, file, "model").name
    return None


def _python() -> str | None:
    return platform.python_version() if sys.version_info >= LEAST_PYTHON else None


def parts() -> list[Part]:
    """Look for everything that subbit can use.

    Returns
    -------
    list of Part
        What is there and what is missing.
    """
    cuda = "pip install 'subbit[cuda13]', with CUDA 12 'subbit[cuda12]'"
    basics = [_package(name, "subbit check", "conformance", basic=True) for name in _BASICS]
    quantize = "subbit quantize and evaluate"
    return [
        Part("Python", _python(), "everything", "Python 3.11 or newer", basic=True),
        *basics,
        _package("pytest", "pytest conformance", "conformance"),
        _package("hypothesis", "pytest conformance", "conformance"),
        Part("NVRTC", _found(_nvrtc), "fast:simulated", _INSTALL.format("simulated")),
        Part("CuPy", _cupy(), "fast:cuda", cuda),
        Part("GPU", _found(_gpu), "fast:cuda", "a GPU and its driver"),
        _package("gguf", f"{quantize} of GGUF files", "demo"),
        _package("tokenizers", quantize, "demo"),
        _package("matplotlib", "plots", "demo"),
        Part(
            "embedded model",
            _found(lambda: _embedded("models.gguf_file", "SMOLLM2")),
            "subbit demo; smollm2-135m",
            WHEELS_COMMAND,
        ),
        Part(
            "embedded text",
            _found(lambda: _embedded("texts.wikipedia", "DUMP")),
            "subbit demo; enwiki-excerpt",
            WHEELS_COMMAND,
        ),
        _package("torch", f"{quantize} of other models", "models"),
        _package("transformers", f"{quantize} of other models", "models"),
        _package("distributed", "subbit quantize --scheduler", "cluster"),
        Part(
            "compute-sanitizer",
            shutil.which("compute-sanitizer"),
            "races and bad addresses on a GPU; fast:simulated+race needs none",
            "NVIDIA's CUDA toolkit",
        ),
    ]


def doctor_command(
    *,
    missing: Annotated[bool, typer.Option("--missing", help="show only what is missing")] = False,
) -> None:
    """Tell what can run here, what is missing, and what installs it."""
    console, found = make_console(), parts()
    table = Table("part", "found", "needed for", "install")
    for part in found:
        if missing and part.found is not None:
            continue
        style = None if part.found else "bold red" if part.basic else "yellow"
        remedy = "" if part.found else part.remedy
        cells = (part.name, part.found or "missing", part.purpose, remedy)
        table.add_row(*map(escape, cells), style=style)
    console.print(table)
    lacking = [part.name for part in found if part.basic and part.found is None]
    if lacking:
        console.print(f"subbit check cannot run without {', '.join(lacking)}", markup=False)
        raise typer.Exit(REFUSED)
    targets = {
        "reference": (),
        "fast:simulated": ("NVRTC",),
        "fast:cuda": ("CuPy", "GPU"),
    }
    there = {part.name for part in found if part.found}
    can = [name for name, needs in targets.items() if there.issuperset(needs)]
    console.print(f"subbit check can run: {', '.join(can)}", markup=False)
