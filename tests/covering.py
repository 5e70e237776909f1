"""Cases that together launch every form of every kernel and reach each of their lines.

They are some of those that ``subbit check fast:simulated`` runs, kept in ``covering.json`` so
that a test need not run them all. Where kernels or cases have changed, ``python tests/covering.py``
chooses others: it tries cases, large and small ones first, until nothing is left to reach.
That takes a quarter of an hour; with names of operations it tries the cases of these alone.
"""

import json
import sys
import time
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from subbit import fast
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.registry import Operation, of_level
from subbit.conformance.cases.seeds import SMALL, seeds_of
from subbit.conformance.target import arithmetic_of
from subbit.fast.coverage import ARCH
from subbit.fast.device import Kernel
from subbit.fast.device.simulated import Coverage, load
from subbit.fast.device.simulated.coverage import places_of
from subbit.fast.gate import name_of
from subbit.fast.launches.kernels import kernels

FILE = Path(__file__).with_name("covering.json")
Goal = tuple[str, int] | str


def covering() -> list[tuple[str, int]]:
    return [(name, seed) for name, seed in json.loads(FILE.read_text(encoding="utf-8"))]


@cache
def _lines(kernel: Kernel) -> list[set[tuple[str, int]]]:
    return [set(places_of(block)) for block in load(kernel, ARCH).blocks]


def goals() -> set[Goal]:
    forms = kernels()
    lines = (line for kernel in forms for block in _lines(kernel) for line in block)
    return {name_of(kernel) for kernel in forms} | set(lines)


def reached(item: Operation, seed: int) -> tuple[set[Goal], float]:
    """Lines and forms that a case reaches, and its CPU time."""
    recorder = Coverage()
    port = fast.on("simulated", coverage=recorder)
    began = time.process_time()
    outcome = item.check(port, arithmetic_of(port), seed)
    seconds = time.process_time() - began
    found: set[Goal] = set()
    if outcome.status != "passed":
        return found, seconds
    for kernel, ran in recorder.ran.items():
        found.add(name_of(kernel))
        for at, block in enumerate(_lines(kernel)):
            if ran.blocks[at]:
                found |= block
    return found, seconds


def _ordered(names: Collection[str]) -> Iterator[tuple[Operation, int]]:
    items = [item for item in of_level(3) if item.level and (not names or item.name in names)]
    cases = [(item, seed) for item in items for seed in seeds_of(item, "ci")]

    def late(case: tuple[Operation, int]) -> tuple[bool, bool, bool]:
        item, seed = case
        return "layer_" in item.name, seed not in item.large and seed >= SMALL, item.level > 2

    yield from sorted(cases, key=late)


def choose(names: Collection[str]) -> list[tuple[str, int]]:
    """Try cases until everything is reached, then take the cheapest that reach it all."""
    left, tried = goals(), {}
    for item, seed in _ordered(names):
        if not left:
            break
        tried[item.name, seed] = reached(item, seed)
        left -= tried[item.name, seed][0]
        sys.stdout.write(f"\r{len(left)} left after {len(tried)} cases")
        sys.stdout.flush()
    if left:
        sys.exit(f"never reached: {sorted(map(str, left))}")
    left, chosen = goals(), []
    while left:
        best = max(tried, key=lambda case: len(tried[case][0] & left) / (0.05 + tried[case][1]))
        chosen.append(best)
        left -= tried[best][0]
    return sorted(chosen, key=lambda case: (list(OPERATIONS).index(case[0]), case[1]))


if __name__ == "__main__":
    lines = ",\n".join(f" {json.dumps(case)}" for case in choose(sys.argv[1:]))
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
