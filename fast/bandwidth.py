"""Kernels against the speed of a copy
====================================

No kernel here can be faster than reading its arguments once and writing its results once,
at the speed of a plain copy on the same device. So each is measured in bytes of its
arguments per second, as a share of that.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .device import Device, Extent, Kernel
from .gate import launch_all, name_of
from .port import Port

COPIED = 2**28
"""Bytes of the array that is copied."""
REPEATS = 5


@dataclass
class Rate:
    """Speed of one form of a kernel.

    Parameters
    ----------
    launches : int
        Launches that were measured.
    bytes : int
        Bytes of their arguments, each array once.
    seconds : float
        Their time on the device.
    """

    launches: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Bytes per second."""
        return self.bytes / self.seconds if self.seconds else 0.0


class Timed:
    """A device that measures each launch.

    Parameters
    ----------
    device : Cuda or Simulated
        The device, which has a clock.
    """

    def __init__(self, device: Any) -> None:  # noqa: ANN401
        self.device = device
        self.rates: dict[str, Rate] = defaultdict(Rate)

    @property
    def xp(self) -> Any:  # noqa: ANN401
        """The device's array namespace."""
        return self.device.xp

    @property
    def linalg(self) -> Any:  # noqa: ANN401
        """The device's linear algebra."""
        return self.device.linalg

    def synchronize(self) -> None:
        """Wait for the device."""
        self.device.synchronize()

    def launch(
        self, kernel: Kernel, grid: Extent, block: Extent, args: Sequence[object], shared: int = 0
    ) -> None:
        """Run a kernel and note its time.

        Parameters
        ----------
        kernel : Kernel
            The kernel.
        grid, block : int or sequence of at most three int
            Blocks in the grid, threads in a block.
        args : sequence
            As for the device.
        shared : int, default 0
            Dynamic shared memory in bytes.
        """
        rate = self.rates[name_of(kernel)]
        rate.launches += 1
        rate.bytes += sum(int(a.nbytes) for a in args if isinstance(a, self.xp.ndarray))
        rate.seconds += self.device.seconds(
            lambda: self.device.launch(kernel, grid, block, args, shared)
        )


def copy_rate(device: Any, size: int = COPIED) -> float:  # noqa: ANN401
    """Return the bytes that a copy reads and writes per second.

    Parameters
    ----------
    device : Cuda or Simulated
        The device.
    size : int, default COPIED
        Bytes to copy.

    Returns
    -------
    float
        The best of a few.
    """
    source = device.xp.ones(size // 4, dtype=np.float32)
    target = device.xp.empty_like(source)

    def copy() -> None:
        target[...] = source

    copy()
    return max(2 * size / max(device.seconds(copy), 1e-9) for _ in range(REPEATS))


def kernel_rates(device: Device, rows: int) -> dict[str, Rate]:
    """Measure every kernel on blocks of 128 columns, once compiled.

    Parameters
    ----------
    device : Cuda or Simulated
        The device.
    rows : int
        Rows of the blocks.

    Returns
    -------
    dict of str to Rate
        By the form's name.
    """
    launch_all(Port(device, "bandwidth"), 8)
    timed = Timed(device)
    launch_all(Port(timed, "bandwidth"), rows)
    return dict(timed.rates)
