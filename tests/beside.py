"""Where the cases beside a decision find it; ``python tests/beside.py`` looks again.

``conformance/vectors/beside.json`` keeps the places for the cases of the depth ``ci``.
"""

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple

import numpy as np

from project import ROOT, write_rows
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.draw import is_near
from subbit.conformance.cases.near import find_place
from subbit.conformance.cases.places import KEPT, TYPES, Place, Places
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.target import arithmetic_of, resolve
from subbit.reference.bounds.rounding import Arithmetic

FILE = ROOT / "conformance" / KEPT
# The ports that these places are for; others look for their own where these do not serve.
ARITHMETIC: dict[str, Arithmetic] = {
    "float64": arithmetic_of(resolve("reference")),
    "float32": arithmetic_of(resolve("fast:simulated")),
}
DECIDING = [name for name, item in OPERATIONS.items() if item.decides and item.level]


def places_of(name: str, dtype: str) -> dict[int, Place | None]:
    """Search for the places of an operation's cases."""
    item = OPERATIONS[name]
    with np.errstate(all="ignore"):
        return {
            seed: find_place(item.examine, ARITHMETIC[dtype], seed)
            for seed in seeds_of(item, "ci")
            if is_near(seed)
        }


def look() -> Places:
    """Search for all of them."""
    wanted = [(name, dtype) for name in DECIDING for dtype in TYPES]
    found: Places = {name: {} for name in DECIDING}
    with ProcessPoolExecutor(2) as pool:
        for number, ((name, dtype), cases) in enumerate(
            zip(wanted, pool.map(places_of, *zip(*wanted, strict=True)), strict=True), 1
        ):
            found[name][dtype] = cases
            sys.stderr.write(f"\r{number} of {len(wanted)} operations and types")
            sys.stderr.flush()
    sys.stderr.write("\n")
    return found


def row(types: Mapping[str, Mapping[int, Place | None]]) -> dict[str, dict[int, object]]:
    """An operation's places, as the file holds them."""
    return {
        dtype: {seed: place and astuple(place) for seed, place in cases.items()}
        for dtype, cases in types.items()
    }


def none_found(places: Places) -> Iterator[str]:
    """Name the cases without a decision."""
    for name, types in places.items():
        for dtype, cases in types.items():
            yield from (f"{dtype} {name}:{seed}" for seed, place in cases.items() if not place)


if __name__ == "__main__":
    searched = look()
    write_rows(FILE, {name: row(types) for name, types in sorted(searched.items())})
    sys.stdout.write("\n".join(none_found(searched)) + "\n")
