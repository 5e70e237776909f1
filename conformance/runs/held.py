"""What a run's folder holds, held to its manifest
================================================

A manifest has the digest of every record file that its run has written, and of the weights that
went into it. So a file of another decoder block, run or method is refused wherever it is read,
and a run is not continued with another model under the same name.

Manifests of versions 1 and 2 have no digests; their files are held to what they say of
themselves.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from subbit.conformance.models.base import DecoderModel
from subbit.reference.errors import SubbitError
from subbit.reference.storage.record_tensors import RecordError

from .manifest import BlockResult, Manifest, record_path
from .records import Records, parse_records


@dataclass(frozen=True)
class Part:
    """One decoder block of a run.

    Parameters
    ----------
    block : int
        Its index.
    fault : str
        What is wrong with its record file; empty if nothing is.
    """

    block: int
    fault: str = ""


def digest_of(data: bytes) -> str:
    """Return the digest of a file's content.

    Parameters
    ----------
    data : bytes
        The content.

    Returns
    -------
    str
        Hexadecimal SHA-256.
    """
    return hashlib.sha256(data).hexdigest()


def weights_digest(model: DecoderModel, index: int, names: Iterable[str]) -> str:
    """Return the digest of some weights of a decoder block.

    Parameters
    ----------
    model : DecoderModel
        The model at full precision.
    index : int
        The decoder block.
    names : iterable of str
        Linears; their order does not matter.

    Returns
    -------
    str
        Hexadecimal SHA-256 of names, shapes and values in float32.
    """
    digest = hashlib.sha256()
    for name in sorted(names):
        weight = model.weight(index, name)
        digest.update(f"{name} {weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight, dtype="<f4").tobytes())
    return digest.hexdigest()


def read_block(folder: Path, manifest: Manifest, result: BlockResult) -> Records:
    """Read the records of a finished decoder block.

    Parameters
    ----------
    folder : Path
        The run's folder.
    manifest : Manifest
        Its manifest.
    result : BlockResult
        The block.

    Returns
    -------
    Records
        The records.

    Raises
    ------
    RecordError
        If the file is missing or damaged, or is not the one that the run has written.
    """
    path = record_path(folder, result.block)
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror})"
        raise RecordError(message) from error
    if result.sha256 is not None and digest_of(data) != result.sha256:
        message = f"{path}: not the file that this run has written for decoder block {result.block}"
        raise RecordError(message)
    records = parse_records(data, path)
    names = {layer.name for layer in result.layers}
    if names != set(records.layers):
        message = f"{path}: expected records of {', '.join(sorted(names))}"
        raise RecordError(message)
    if result.sha256 is None:
        _check_origin(records, manifest, result, path)
    return records


def _check_origin(records: Records, manifest: Manifest, result: BlockResult, path: Path) -> None:
    settings = manifest.settings
    wanted = {"block": result.block, "method": settings.method, "preset": settings.preset}
    for name, value in wanted.items():
        if (came := records.about.get(name)) != value:
            message = f"{path}: expected records of {name} {value}, got {came}"
            raise RecordError(message)


def verify(folder: Path, manifest: Manifest) -> Iterator[Part]:
    """Go through the decoder blocks that a run says it has finished.

    Parameters
    ----------
    folder : Path
        The run's folder.
    manifest : Manifest
        Its manifest.

    Yields
    ------
    Part
        The blocks, in the manifest's order.
    """
    for result in manifest.blocks:
        try:
            read_block(folder, manifest, result)
        except SubbitError as error:
            yield Part(result.block, str(error))
        else:
            yield Part(result.block)
