"""What fits into memory
=====================

A request that needs more memory than there is would end the process, or the machine's others,
after minutes of work. Its size is known before anything is allocated, and is compared here.
"""

import contextlib
import sys
from pathlib import Path

from subbit.reference.errors import ArgumentError

_MEMINFO = Path("/proc/meminfo")
GIB = 2**30


def free_memory() -> int:
    """Return how many bytes programs can still take.

    Returns
    -------
    int
        What Linux tells as available; unlimited where the system does not tell.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return sys.maxsize


def check_memory(argument: str, needed: int, what: str) -> None:
    """Refuse what does not fit into the memory that is free.

    Parameters
    ----------
    argument : str
        The argument that made it so large, for the error.
    needed : int
        Bytes.
    what : str
        What they hold.

    Raises
    ------
    ArgumentError
        If it does not fit.

    Examples
    --------
    >>> check_memory("samples", 2**80, "the hidden states")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: samples: expected what fits into ... GiB of free \
memory, got 1,125,899,906,842,624 GiB for the hidden states
    """
    free = free_memory()
    if needed > free:
        expected = f"what fits into {free / GIB:,.1f} GiB of free memory"
        # In whole numbers: a float may not hold it.
        raise ArgumentError(argument, expected, f"{-(-needed // GIB):,} GiB for {what}")
