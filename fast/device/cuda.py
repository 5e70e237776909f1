"""A GPU, through CuPy
===================

The only module that imports CuPy, and only when a device is created: the rest of the
package works without it.
"""

import importlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import Extent, Kernel, extent3
from .errors import DeviceUnavailableError, LaunchError
from .nvrtc import OWN_OPTIONS, include_folders

_STATIC_SHARED = 48 * 1024


def _cupy() -> Any:  # noqa: ANN401
    """Return CuPy, or say what is missing."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        message = "cuda: CuPy is not installed: pip install cupy-cuda13x"
        raise DeviceUnavailableError(message) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        message = f"cuda: CuPy is installed, but no GPU can be used: {error}"
        raise DeviceUnavailableError(message) from error
    if not count:
        message = "cuda: CuPy is installed, but this machine has no GPU"
        raise DeviceUnavailableError(message)
    return cupy


def compile_options(kernel: Kernel) -> tuple[str, ...]:
    """Return the options for a `RawModule`; CuPy appends its own.

    Parameters
    ----------
    kernel : Kernel
        The kernel to compile.

    Returns
    -------
    tuple of str
        The kernel's options, ours, the include folders.
    """
    return (*kernel.options, *OWN_OPTIONS, *(f"-I{folder}" for folder in include_folders()))


class Cuda:
    """The present CUDA device.

    Raises
    ------
    DeviceUnavailableError
        If there is no CuPy, no driver or no GPU.
    """

    def __init__(self) -> None:
        self._cupy = _cupy()
        self._modules: dict[tuple[str, tuple[str, ...]], Any] = {}

    @property
    def xp(self) -> Any:  # noqa: ANN401
        """CuPy."""
        return self._cupy

    @property
    def linalg(self) -> Any:  # noqa: ANN401
        """CuPy's linear algebra under scipy's names."""
        solvers = importlib.import_module("cupyx.scipy.linalg")
        return SimpleNamespace(cholesky=self._cholesky, solve_triangular=solvers.solve_triangular)

    def _cholesky(self, a: Any, *, lower: bool) -> Any:  # noqa: ANN401
        # CuPy ignores a matrix that is not positive definite unless told to raise.
        with importlib.import_module("cupyx").errstate(linalg="raise"):
            factor = self._cupy.linalg.cholesky(a)
        return factor if lower else factor.T

    def synchronize(self) -> None:
        """Wait for all launches on the current stream."""
        self._cupy.cuda.get_current_stream().synchronize()

    def seconds(self, work: Callable[[], None]) -> float:
        """Return the time between two events around some launches.

        Parameters
        ----------
        work : callable
            Launches something.

        Returns
        -------
        float
            Seconds on the device.
        """
        start, stop = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        start.record()
        work()
        stop.record()
        stop.synchronize()
        return 1e-3 * float(self._cupy.cuda.get_elapsed_time(start, stop))

    def machine(self) -> dict[str, str]:
        """Return what measurements on this GPU have to be read with.

        Returns
        -------
        dict of str to str
            Names and versions.
        """
        runtime = self._cupy.cuda.runtime
        found = runtime.getDeviceProperties(runtime.getDevice())
        return {
            "gpu": found["name"].decode(),
            "architecture": f"sm_{found['major']}{found['minor']}",
            "memory": f"{found['totalGlobalMem'] / 2**30:.0f} GiB",
            "driver": str(runtime.driverGetVersion()),
            "cuda": str(runtime.runtimeGetVersion()),
            "nvrtc": ".".join(map(str, self._cupy.cuda.nvrtc.getVersion())),
            "cupy": str(self._cupy.__version__),
        }

    def launch(
        self, kernel: Kernel, grid: Extent, block: Extent, args: Sequence[object], shared: int = 0
    ) -> None:
        """Run a kernel on the current stream.

        Parameters
        ----------
        kernel : Kernel
            The kernel.
        grid, block : int or sequence of at most three int
            Blocks in the grid, threads in a block.
        args : sequence
            CuPy arrays for pointers, NumPy scalars for values.
        shared : int, default 0
            Dynamic shared memory in bytes; above 48 KB the kernel is first allowed to use it.

        Raises
        ------
        LaunchError
            If an argument is neither.
        """
        extents = extent3("grid", grid), extent3("block", block)
        values = tuple(self._argument(i, value) for i, value in enumerate(args))
        function = self._module(kernel).get_function(kernel.entry)
        if shared + function.shared_size_bytes > _STATIC_SHARED:
            function.max_dynamic_shared_size_bytes = shared
        function(*extents, values, shared_mem=shared)

    def _argument(self, i: int, value: object) -> object:
        if isinstance(value, np.generic):
            return value
        if not isinstance(value, self._cupy.ndarray):
            message = (
                f"argument {i}: expected a CuPy array or a NumPy scalar, got {type(value).__name__}"
            )
            raise LaunchError(message)
        if not value.flags.c_contiguous:
            message = f"argument {i}: expected a contiguous array"
            raise LaunchError(message)
        return value

    def _module(self, kernel: Kernel) -> Any:  # noqa: ANN401
        key = kernel.source, kernel.options
        if key not in self._modules:
            self._modules[key] = self._cupy.RawModule(
                code=kernel.source, options=compile_options(kernel), backend="nvrtc"
            )
        return self._modules[key]
