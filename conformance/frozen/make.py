"""Making vectors
==============

The vectors of an operation are its first cases, and for each known wrong port of it a case that
rejects it: a *flag*. They follow from operation and size alone, so making them again gives the
same files.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.numpy import save

from subbit import reference
from subbit.conformance.cases.registry import Operation
from subbit.conformance.models.claim import PARTIAL, claim
from subbit.conformance.mutants import MUTANTS
from subbit.conformance.protocol import PROTOCOL
from subbit.reference.errors import ArgumentError

from .flags import Rejections, flag_of, small_cases, with_flags
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
        Known ways to be wrong, each with the cases that catch it, or why none does.
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
    seeds = list(small_cases(item))[: SIZES[size]]
    try:
        recorded = {seed: record(item, seed) for seed in seeds}
    except StatefulError as error:
        found.left_out = str(error)
        return found
    largest = max(len(data) for one in recorded.values() for data in _files(one, [], "").values())
    if largest > LARGEST:
        found.left_out = f"a case of {item.name} takes {largest / LARGEST:.0f} MiB"
        return found
    rejections = Rejections(item)
    rejections.recorded |= recorded
    seeds, reasons = with_flags(item, seeds, rejections)
    for mutant in MUTANTS.get(item.name, ()):
        said, flag = rejections.by(mutant, seeds), flag_of(mutant)
        found.flags[flag] = {
            "wrong": mutant.name,
            "functions": sorted(mutant.functions),
            "seen": next(iter(said.values()), ""),
            "cases": [path_of(item, seed) for seed in said],
        } | ({"reason": reasons[flag]} if flag in reasons else {})
    for seed in seeds:
        path = path_of(item, seed)
        flags = [flag for flag, one in found.flags.items() if path in one["cases"]]
        found.files |= _files(rejections.case(seed), flags, path)
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
        **({"dtype": case.dtype} if case.dtype else {}),
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
    folder.mkdir(parents=True, exist_ok=True)
    # A set appears whole: an unfinished one could not be told from one that was changed.
    staging = folder / f"{PARTIAL}{ROOT}"
    with claim(folder):
        try:
            content = _write(items, size, staging, heard)
            staging.replace(folder / ROOT)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return content


def _write(
    items: Iterable[Operation], size: str, folder: Path, heard: Callable[[str], None]
) -> dict[str, Any]:
    flags: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    number = 0
    for item in items:
        heard(item.name)
        found = vectors_of(item, size)
        for path, data in found.files.items():
            file = folder / Path(path).relative_to(ROOT)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
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
    folder.mkdir(exist_ok=True)
    (folder / Path(LIST).relative_to(ROOT)).write_bytes(dump(content))
    return content
