"""NVRTC without a driver
======================

Compiles CUDA C++ through ctypes with exactly the options that CuPy passes, plus two of
ours: ``-fmad=false``, so that the PTX fixes every float32 bit, and ``-lineinfo``, so
that reports can name the source line. With ``-arch=sm_XX`` one compile gives the
machine code and the PTX it was built from.
"""

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from .errors import CompileError, DeviceUnavailableError
from .kept import keep, stamp

OWN_OPTIONS = ("-fmad=false", "-lineinfo")


@dataclass(frozen=True, slots=True)
class Compiled:
    """Results of one compilation.

    Parameters
    ----------
    ptx : str
        The assembly text.
    cubin : bytes
        The machine code, an ELF file.
    log : str
        The compiler's messages.
    """

    ptx: str
    cubin: bytes
    log: str


def cupy_options(options: Sequence[str], arch: str) -> tuple[str, ...]:
    """Return the options as CuPy's `RawModule` passes them to NVRTC.

    Parameters
    ----------
    options : sequence of str
        The user's.
    arch : str
        Such as "sm_80".

    Returns
    -------
    tuple of str
        The user's options, then CuPy's, in its order.

    Examples
    --------
    >>> cupy_options(("-DN=1",), "sm_80")
    ('-DN=1', '-ftz=true', '-arch=sm_80', '--device-as-default-execution-space')
    """
    return (*options, "-ftz=true", f"-arch={arch}", "--device-as-default-execution-space")


def _roots() -> Iterator[Path]:
    """Yield the folders that may hold a toolkit, pip wheels first."""
    for entry in map(Path, sys.path):
        packages = entry / "nvidia"
        yield from sorted(packages.glob("cu[0-9]*"), reverse=True)
        yield packages / "cuda_nvrtc"
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            yield Path(os.environ[variable])
    yield from sorted(Path("/usr/local").glob("cuda*"), reverse=True)
    # Where conda puts a toolkit.
    yield Path(sys.prefix)


@cache
def find_library() -> Path:
    """Return the NVRTC library's path.

    Returns
    -------
    Path
        From a pip wheel, else from a system toolkit.

    Raises
    ------
    DeviceUnavailableError
        If there is none.
    """
    patterns = ("libnvrtc.so.[0-9]*", "libnvrtc.so", "nvrtc64_*[0-9].dll")
    for root in _roots():
        for folder in ("lib", "lib64", "bin", "bin/x86_64"):
            for pattern in patterns:
                found = [p for p in sorted((root / folder).glob(pattern)) if ".alt." not in p.name]
                if found:
                    return found[0]
    name = ctypes.util.find_library("nvrtc")
    if name:
        return Path(name)
    message = "NVRTC was not found: pip install nvidia-cuda-nvrtc nvidia-cuda-runtime"
    raise DeviceUnavailableError(message)


@cache
def include_folders() -> tuple[Path, ...]:
    """Return the folders that hold cuda_fp16.h, the first found."""
    for root in (*_roots(), *(r.parent / "cuda_runtime" for r in _roots())):
        if (root / "include" / "cuda_fp16.h").exists():
            return (root / "include",)
    return ()


@cache
def _library() -> ctypes.CDLL:
    path = find_library()
    for builtins in sorted(path.parent.glob("libnvrtc-builtins.so.*")):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(path))


@cache
def version() -> tuple[int, int]:
    """Return NVRTC's version.

    Returns
    -------
    tuple of int
        Major and minor number.
    """
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def _check(code: int) -> None:
    if code:
        text = _library().nvrtcGetErrorString
        text.restype = ctypes.c_char_p
        message = f"NVRTC: {text(code).decode()}"
        raise CompileError(message)


def _fetch(program: ctypes.c_void_p, what: str) -> bytes:
    """Return the program's log, PTX or CUBIN."""
    library = _library()
    size = ctypes.c_size_t()
    _check(getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


@lru_cache(maxsize=512)
def compile_source(
    source: str, arch: str = "sm_80", options: tuple[str, ...] = (), file: str = "kernel.cu"
) -> Compiled:
    """Compile CUDA C++.

    Parameters
    ----------
    source : str
        CUDA C++.
    arch : str, default "sm_80"
        Real architecture.
    options : tuple of str
        Options beyond the fixed ones.
    file : str
        Name of the source in messages and line tables.

    Returns
    -------
    Compiled
        PTX, machine code and log. The log holds ptxas' report if the options ask
        for it with ``--ptxas-options=-v``.

    Raises
    ------
    CompileError
        With NVRTC's log.
    """
    headers = [stamp(folder / "cuda_fp16.h") for folder in include_folders()]
    flags = all_options(options, arch)
    made_of = [source, file, flags, stamp(find_library()), headers]
    made = keep(made_of, lambda: compile_now(source, file, flags))
    return Compiled(made["ptx"].decode(), made["cubin"], made["log"].decode())


def compile_now(source: str, file: str, flags: Sequence[str]) -> dict[str, bytes]:
    """Compile without looking for what is kept.

    Parameters
    ----------
    source, file : str
        As for :func:`compile_source`.
    flags : sequence of str
        All options.

    Returns
    -------
    dict of str to bytes
        PTX, machine code and log.

    Raises
    ------
    CompileError
        With NVRTC's log.
    """
    library = _library()
    program = ctypes.c_void_p()
    _check(
        library.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), file.encode(), 0, None, None
        )
    )
    try:
        array = (ctypes.c_char_p * len(flags))(*[flag.encode() for flag in flags])
        code = library.nvrtcCompileProgram(program, len(flags), array)
        log = _fetch(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if code:
            raise CompileError(log.strip() or f"NVRTC error {code}")
        ptx = _fetch(program, "PTX").rstrip(b"\0")
        return {"ptx": ptx, "cubin": _fetch(program, "CUBIN"), "log": log.encode()}
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def all_options(options: Sequence[str], arch: str) -> tuple[str, ...]:
    """Return every option of a compilation: the caller's, ours, CuPy's, the include folders.

    Parameters
    ----------
    options : sequence of str
        The caller's.
    arch : str
        Real architecture.

    Returns
    -------
    tuple of str
        In the order in which NVRTC gets them.
    """
    includes = tuple(f"-I{folder}" for folder in include_folders())
    return cupy_options((*options, *OWN_OPTIONS, *includes), arch)
