"""Coverage of the kernels
=======================

Which lines of the kernels' sources ran on a simulated device, and which ways their branches
went. A *line* is one that an instruction of some compiled form stands for, either by itself
or because the instruction is inlined there. It is reached if such an instruction was
executed by at least one lane, in any form. A *branch* is the place, line and column, of a
conditional branch instruction; it is two-sided if one such instruction, in one form, went
both ways.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files

from .device import Kernel
from .device.simulated import Coverage, load
from .device.simulated.coverage import branches_of, places_of
from .launches.kernels import kernels

ARCH = "sm_80"
"""The architecture that coverage is counted on, which is the simulated device's default."""
Spot = tuple[int, int]


@dataclass
class Reached:
    """What was reached of one source file.

    Parameters
    ----------
    file : str
        Its name.
    lines : dict
        For each line that has code, whether it was reached.
    branches : dict
        For each branch, by line and column, whether it was taken, passed and, by one
        instruction, both.
    """

    file: str
    lines: dict[int, bool] = field(default_factory=dict)
    branches: dict[Spot, tuple[bool, bool, bool]] = field(default_factory=dict)

    @property
    def missed(self) -> list[int]:
        """Lines that were never reached."""
        return sorted(line for line, reached in self.lines.items() if not reached)

    @property
    def one_sided(self) -> list[Spot]:
        """Branches that were reached, but never went both ways."""
        return sorted(spot for spot, (a, b, both) in self.branches.items() if (a or b) and not both)

    def text(self, line: int) -> str:
        """Return a line of the file.

        Parameters
        ----------
        line : int
            Its number.

        Returns
        -------
        str
            The line, without indentation.
        """
        folder = files("subbit.fast").joinpath("kernels")
        return (folder / self.file).read_text(encoding="utf-8").splitlines()[line - 1].strip()


def reached(coverage: Coverage, forms: Iterable[Kernel] | None = None) -> list[Reached]:
    """Return what was reached of all kernels.

    Parameters
    ----------
    coverage : Coverage
        What ran.
    forms : iterable of Kernel, optional
        The compiled forms that count; all by default.

    Returns
    -------
    list of Reached
        One for each source file, by name.
    """
    found: dict[str, Reached] = {}
    for kernel in kernels() if forms is None else forms:
        blocks, ran = load(kernel, ARCH).blocks, coverage.ran.get(kernel)
        for at, block in enumerate(blocks):
            went = ran is not None and bool(ran.blocks[at])
            for file, line in places_of(block):
                lines = found.setdefault(file, Reached(file)).lines
                lines[line] = lines.get(line, False) or went
        for at, (file, line, column) in branches_of(blocks):
            taken, passed = (False, False) if ran is None else (ran.taken[at], ran.passed[at])
            new = bool(taken), bool(passed), bool(taken and passed)
            branches = found[file].branches
            old = branches.get((line, column), (False, False, False))
            branches[line, column] = (old[0] or new[0], old[1] or new[1], old[2] or new[2])
    return [found[file] for file in sorted(found)]


def never_launched(coverage: Coverage) -> dict[str, list[str]]:
    """Return the forms of kernels that no launch asked for.

    Parameters
    ----------
    coverage : Coverage
        What ran.

    Returns
    -------
    dict of str to list of str
        By entry, the options of each such form.
    """
    missing: dict[str, list[str]] = defaultdict(list)
    for kernel in kernels():
        if kernel not in coverage.ran:
            missing[kernel.entry].append(" ".join(o.removeprefix("-D") for o in kernel.options))
    return dict(missing)
