"""Which code of a kernel ran
==========================

A launch records which basic blocks at least one lane went through, and which ways their
conditional branches went. All instructions of a block run together, so this says for every
instruction whether it ran; kernels built by NVRTC have no predicated instruction but
branches.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from subbit.fast.device import Kernel

from .program import Block, Program


class Ran:
    """What ran of a program.

    Parameters
    ----------
    size : int
        Number of its blocks.
    """

    def __init__(self, size: int) -> None:
        self.blocks = np.zeros(size, np.bool_)
        self.taken = np.zeros(size, np.bool_)
        self.passed = np.zeros(size, np.bool_)

    def went(self, at: int, *, some: bool, others: bool) -> None:
        """Note that `some` lanes took the branch of a block, and `others` did not."""
        self.taken[at] |= some
        self.passed[at] |= others


class Coverage:
    """What ran of each kernel, over all launches."""

    def __init__(self) -> None:
        self.ran: dict[Kernel, Ran] = {}

    def of(self, kernel: Kernel, program: Program) -> Ran:
        """Return the record of a kernel, a new one at its first launch."""
        return self.ran.setdefault(kernel, Ran(len(program.blocks)))

    def add(self, other: "Coverage") -> None:
        """Add what another record has."""
        for kernel, ran in other.ran.items():
            own = self.ran.setdefault(kernel, Ran(len(ran.blocks)))
            own.blocks |= ran.blocks
            own.taken |= ran.taken
            own.passed |= ran.passed


def places_of(block: Block) -> Iterator[tuple[str, int]]:
    """Yield file and line of all source lines that a block's instructions belong to."""
    for ins in block.instructions:
        for file, line, _ in ins.places:
            yield file, line


def branches_of(blocks: Iterable[Block]) -> Iterator[tuple[int, tuple[str, int, int]]]:
    """Yield the number and the place of each block that ends with a conditional branch."""
    for at, block in enumerate(blocks):
        if block.jump.kind == "branch" and block.instructions[-1].places:
            yield at, block.instructions[-1].places[0]
