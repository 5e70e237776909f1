"""Devices
=======

A device has an array namespace, launches kernels and waits for them. The fast path is
written against this protocol: the same source runs on a GPU through CuPy and, without
one, on the simulated device, which executes the PTX that NVRTC builds from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Protocol

from .errors import (
    CompileError,
    DeviceError,
    DeviceUnavailableError,
    LaunchError,
    Place,
    SimulationError,
    UnsupportedInstructionError,
)

__all__ = [
    "CompileError",
    "Device",
    "DeviceError",
    "DeviceUnavailableError",
    "Kernel",
    "LaunchError",
    "Place",
    "SimulationError",
    "UnsupportedInstructionError",
]

Extent = int | Sequence[int]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One entry point of a CUDA source.

    Parameters
    ----------
    source : str
        CUDA C++; the entry is declared ``extern "C"``.
    entry : str
        Its name.
    options : tuple of str
        Options for NVRTC beyond the fixed ones, such as ``-DROWS=4``.
    file : str
        Name of the source in reports.

    Examples
    --------
    >>> Kernel('extern "C" __global__ void nothing() {}', "nothing").options
    ()
    """

    source: str
    entry: str
    options: tuple[str, ...] = ()
    file: str = "kernel.cu"


class Device(Protocol):
    """The interface that the fast path needs from a device."""

    @property
    def xp(self) -> Any:  # noqa: ANN401
        """The array namespace: numpy or cupy."""

    @property
    def linalg(self) -> Any:  # noqa: ANN401
        """``cholesky`` and ``solve_triangular`` with the signatures of scipy.linalg."""

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
            Arrays of `xp` for pointers, NumPy scalars for values: a Python number has
            no size and is refused.
        shared : int, default 0
            Dynamic shared memory in bytes.
        """

    def synchronize(self) -> None:
        """Wait for all launches to finish."""


def extent3(name: str, extent: Extent) -> tuple[int, int, int]:
    """Return a grid or block extent as three numbers.

    Parameters
    ----------
    name : str
        "grid" or "block", for the error.
    extent : int or sequence of at most three int
        The extent.

    Returns
    -------
    tuple of int
        The parts x, y and z; missing ones are 1.

    Raises
    ------
    LaunchError
        If it has more than three parts or one below 1.

    Examples
    --------
    >>> extent3("grid", (4, 2))
    (4, 2, 1)
    """
    parts = list(extent) if isinstance(extent, Sequence) else [index(extent)]
    if not 1 <= len(parts) <= 3 or any(int(p) < 1 for p in parts):
        message = f"{name}: expected one to three numbers of at least 1, got {extent}"
        raise LaunchError(message)
    x, y, z = [int(p) for p in parts] + [1] * (3 - len(parts))
    return x, y, z
