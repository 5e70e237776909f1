"""What can go wrong on a device
=============================

One family of errors for both devices. `SimulationError` carries the place of the fault
in fields, so a test can check which fault was reported and not only that one was.
"""

from dataclasses import dataclass

from subbit.reference.errors import SubbitError


class DeviceError(SubbitError):
    """Base class of everything a device refuses or reports."""


class DeviceUnavailableError(DeviceError):
    """The device, or the compiler it needs, isn't on this machine."""


class CompileError(DeviceError):
    """NVRTC did not accept the source; the message is its log."""


class LaunchError(DeviceError, ValueError):
    """A launch that a driver would refuse, or that passes the wrong arguments."""


class UnsupportedInstructionError(DeviceError, NotImplementedError):
    """PTX that the simulated device does not execute; the message names it."""


class Fault(Exception):  # noqa: N818
    """A fault seen by an instruction, before its place is known.

    Parameters
    ----------
    kind : str
        Short name of the fault, such as "out of bounds".
    detail : str
        What happened.
    lane : int
        Lane of the chunk at fault, or the first of several.
    """

    def __init__(self, kind: str, detail: str, lane: int) -> None:
        super().__init__(kind, detail, lane)
        self.kind = kind
        self.detail = detail
        self.lane = lane


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault was seen.

    Parameters
    ----------
    kernel : str
        Entry name.
    file : str
        Name of the CUDA source.
    line : int
        Line of the CUDA source, 0 where the compiler gave none.
    instruction : str
        The PTX instruction.
    block, thread : tuple of int
        Indices x, y, z.
    """

    kernel: str
    file: str
    line: int
    instruction: str
    block: tuple[int, int, int]
    thread: tuple[int, int, int]


class SimulationError(DeviceError):
    """A fault of the kernel, found by the simulated device.

    Parameters
    ----------
    kind : str
        Short name of the fault: "out of bounds", "misaligned", "uninitialized read",
        "race", "barrier divergence", "deadlock", "shuffle", "cp.async", "assertion", "trap"
        or "unsupported".
    detail : str
        What happened.
    place : Place
        Place of the fault.
    """

    def __init__(self, kind: str, detail: str, place: Place) -> None:
        self.kind = kind
        self.detail = detail
        self.place = place
        super().__init__(
            f"{kind}: {detail}\n"
            f"  kernel {place.kernel}, {place.file}:{place.line}, "
            f"block {place.block}, thread {place.thread}\n"
            f"  PTX: {place.instruction}"
        )
