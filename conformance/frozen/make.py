"""Making vectors
==============

The vectors of an operation are its first cases, and for each known wrong port of it a case that
rejects it: a *flag*. They follow from operation and size alone, so making them again gives the
same files.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.numpy import save

from subbit import reference
from subbit.conformance.cases.asked import AGAIN
from subbit.conformance.cases.draw import WIDE
from subbit.conformance.cases.registry import LAYERS, Operation
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.mutants import MUTANTS, Mutant
from subbit.conformance.programs.arrays import Tensors
from subbit.conformance.programs.calls import read_call, write_call
from subbit.conformance.programs.forms import Codec
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Arithmetic
from subbit.reference.errors import ArgumentError

from .record import Recorded, StatefulError, record
from .tree import CASE, EXPECTED, FORMAT, INPUT, LIST, ROOT, VERSION, dump

SIZES: Mapping[str, int] = {"small": 2, "standard": 6}
"""Cases of each operation, by size; level 0 has as many, the first about types."""
LARGEST = 1 << 20
"""Bytes of a file beyond which an operation is left out; files have no strides of zero."""


@dataclass
class Vectors:
    """The vectors of an operation.

    Parameters
    ----------
    files : dict of str to bytes
        Files by their paths.
    flags : dict of str to dict
        Known ways to be wrong, each with the cases that catch it.
    left_out : str
        Why there are none; empty if there are.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    flags: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: str = ""


def path_of(item: Operation, seed: int) -> str:
    """Return the folder of a case.

    Parameters
    ----------
    item : Operation
        The operation.
    seed : int
        The case.

    Returns
    -------
    str
        The path, which is the identity of the case.

    Examples
    --------
    >>> from subbit.conformance.cases import OPERATIONS
    >>> path_of(OPERATIONS["masked_mean"], 3)
    'v1/2/groups.binarize/masked_mean/3'
    """
    return f"{ROOT}/{item.level}/{family_of(item)}/{item.name}/{seed}"


def family_of(item: Operation) -> str:
    """Return the module that specifies an operation.

    Parameters
    ----------
    item : Operation
        The operation.

    Returns
    -------
    str
        Its name.
    """
    return PROTOCOL[item.needs[0]].family


def flag_of(mutant: Mutant) -> str:
    """Return the name of a flag.

    Parameters
    ----------
    mutant : Mutant
        The wrong port.

    Returns
    -------
    str
        Operation and what is wrong, in letters, digits and hyphens.
    """
    wrong = re.sub(r"[^a-z0-9]+", "-", mutant.name.lower()).strip("-")
    return f"{mutant.operation}/{wrong}"


def _candidates(item: Operation) -> Iterator[int]:
    """Yield cases that do not depend on the type of a port, the small ones first."""
    # Layers take their time.
    for seed in seeds_of(item, "quick" if item.level == LAYERS else "ci"):
        # Calls that are repeated tell nothing about answers in files.
        if seed < WIDE and (seed != AGAIN or not item.level):
            yield seed


class _Filed:
    """A port as files know it: each call has arguments of its own, all of them, by rows."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the port has)
        value = getattr(self._port, name)
        if name not in PROTOCOL:
            return value

        def filed(*places: Any, **names: Any) -> Any:  # noqa: ANN401
            codec = Codec(Tensors(1 << 62))
            return value(**read_call(name, write_call(name, places, names, codec), codec))

        return filed


def _caught(item: Operation, mutant: Mutant, seed: int) -> str:
    """Return how the answers of a wrong port show it in a case; empty if they do not."""
    outcome = item.check(_Filed(mutant.port), Arithmetic(), seed)
    return outcome.message.partition("): ")[2] if outcome.status == "failed" else ""


class _Rejections:
    """How cases reject the wrong ports of an operation."""

    def __init__(self, item: Operation) -> None:
        self._item = item
        self._found: dict[tuple[str, int], str] = {}

    def by(self, mutant: Mutant, seeds: Iterable[int]) -> dict[int, str]:
        """Return the cases that reject a wrong port, and how."""
        said = {}
        for seed in seeds:
            key = (mutant.name, seed)
            if key not in self._found:
                self._found[key] = _caught(self._item, mutant, seed)
            if self._found[key]:
                said[seed] = self._found[key]
        return said


def _with_flags(item: Operation, seeds: list[int], rejections: _Rejections) -> list[int]:
    """Return the cases, with one more for each wrong port that none of them rejects."""
    chosen = list(seeds)
    for mutant in MUTANTS.get(item.name, ()):
        if rejections.by(mutant, chosen):
            continue
        others = (seed for seed in _candidates(item) if seed not in chosen)
        chosen += [next((s for s in others if rejections.by(mutant, [s])), chosen[0])]
    return sorted(set(chosen))


def vectors_of(item: Operation, size: str) -> Vectors:
    """Make the vectors of an operation.

    Parameters
    ----------
    item : Operation
        The operation.
    size : {"small", "standard"}
        How many.

    Returns
    -------
    Vectors
        Files and flags.
    """
    found = Vectors()
    seeds = list(_candidates(item))[: SIZES[size]]
    try:
        recorded = {seed: record(item, seed) for seed in seeds}
    except StatefulError as error:
        found.left_out = str(error)
        return found
    largest = max(len(data) for one in recorded.values() for data in _files(one, [], "").values())
    if largest > LARGEST:
        found.left_out = f"a case of {item.name} takes {largest / LARGEST:.0f} MiB"
        return found
    rejections = _Rejections(item)
    seeds = _with_flags(item, seeds, rejections)
    for mutant in MUTANTS.get(item.name, ()):
        said = rejections.by(mutant, seeds)
        found.flags[flag_of(mutant)] = {
            "wrong": mutant.name,
            "functions": sorted(mutant.functions),
            "seen": next(iter(said.values()), ""),
            "cases": [path_of(item, seed) for seed in said],
        }
    for seed in seeds:
        path = path_of(item, seed)
        flags = [flag for flag, one in found.flags.items() if path in one["cases"]]
        found.files |= _files(recorded.get(seed) or record(item, seed), flags, path)
    return found


def _files(case: Recorded, flags: list[str], path: str) -> dict[str, bytes]:
    item = case.operation
    content = {
        "format": FORMAT,
        "version": VERSION,
        "specification": reference.SPEC_VERSION,
        "level": item.level,
        "family": family_of(item),
        "operation": item.name,
        "case": case.seed,
        "drawn": case.label,
        "flags": flags,
        "calls": [
            {"function": call.function, "key": call.key, "arguments": call.arguments} | call.answer
            for call in case.calls
        ],
        "comparisons": case.comparisons,
    }
    files = {f"{path}/{CASE}": dump(content)}
    for name, tensors in ((INPUT, case.inputs), (EXPECTED, case.expected)):
        if tensors.outside:
            files[f"{path}/{name}"] = save(tensors.outside)
    return files


def make(
    items: Iterable[Operation],
    size: str,
    folder: Path,
    heard: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write vectors.

    Parameters
    ----------
    items : iterable of Operation
        The operations.
    size : {"small", "standard"}
        How many cases.
    folder : Path
        The folder for ``v1``, which must not exist yet.
    heard : callable, optional
        Called with each operation's name before its vectors are made.

    Returns
    -------
    dict
        The content of ``v1/vectors.json``.

    Raises
    ------
    ArgumentError
        If there is no such size, or there are vectors already: sets are never changed.
    """
    if size not in SIZES:
        raise ArgumentError("--size", "one of " + ", ".join(SIZES), size)
    if (folder / ROOT).exists():
        raise ArgumentError("DIR", f"a folder without {ROOT}", folder)
    flags: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    number = 0
    for item in items:
        heard(item.name)
        found = vectors_of(item, size)
        for path, data in found.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        number += sum(path.endswith(CASE) for path in found.files)
        flags |= found.flags
        left_out |= {item.name: found.left_out} if found.left_out else {}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "specification": reference.SPEC_VERSION,
        "suite": reference.__version__,
        "size": size,
        "cases": number,
        "left_out": left_out,
        "flags": flags,
    }
    (folder / LIST).parent.mkdir(parents=True, exist_ok=True)
    (folder / LIST).write_bytes(dump(content))
    return content
