"""What a run's folder holds, held to its manifest
================================================

A manifest has the digest of every record file that its run has written, and of the weights that
went into it. So a file of another decoder block, run or method is refused wherever it is read,
and a run is not continued with another model under the same name.

So it has those of the checkpoint's files, in a manifest that is written before the checkpoint,
without them, and once more after it: a checkpoint that was not finished is not read.

Manifests of versions 1 and 2 have no digests; their files are held to what they say of
themselves.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from subbit.conformance.models.base import DecoderModel
from subbit.conformance.models.claim import claim
from subbit.reference.errors import SubbitError
from subbit.reference.storage.record_tensors import RecordError

from .manifest import BlockResult, Manifest, record_path
from .records import Records, parse_records


@dataclass(frozen=True)
class Part:
    """One decoder block of a run, or one file of its checkpoint.

    Parameters
    ----------
    what : str
        The block, or the file's name.
    fault : str
        What is wrong with its file; empty if nothing is.
    """

    what: str
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


def save_checkpoint(model: DecoderModel, folder: Path, manifest: Manifest) -> Manifest:
    """Write a checkpoint beside a run's records, and its digests into the manifest.

    Parameters
    ----------
    model : DecoderModel
        The quantized model.
    folder : Path
        The run's folder.
    manifest : Manifest
        Its manifest.

    Returns
    -------
    Manifest
        The manifest with the digests.

    Raises
    ------
    ArgumentError
        If a file cannot be written.
    """
    with claim(folder):
        replace(manifest, checkpoint={}).save(folder)
    names = model.save(folder)
    manifest = replace(manifest, checkpoint={name: _file_digest(folder / name) for name in names})
    with claim(folder):
        manifest.save(folder)
    return manifest


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checkpoint_file(folder: Path, name: str, digest: str) -> Part:
    path = folder / name
    try:
        same = _file_digest(path) == digest
    except OSError as error:
        return Part(name, f"{path}: cannot be read ({error.strerror})")
    return Part(name, "" if same else f"{path}: not the file that this run has written")


def check_checkpoint(folder: Path, manifest: Manifest) -> None:
    """Refuse a checkpoint that is not the one that a run has written.

    Parameters
    ----------
    folder : Path
        The run's folder.
    manifest : Manifest
        Its manifest; one without digests is of an older version, and refuses nothing.

    Raises
    ------
    SubbitError
        If it is not finished, or a file is missing or another one.
    """
    if manifest.checkpoint is None:
        return
    if not manifest.checkpoint:
        message = f"{folder}: the checkpoint there is not finished; quantize --resume makes it"
        raise SubbitError(message)
    for name, digest in manifest.checkpoint.items():
        if fault := _checkpoint_file(folder, name, digest).fault:
            raise SubbitError(fault)


def verify(folder: Path, manifest: Manifest) -> Iterator[Part]:
    """Go through the decoder blocks that a run says it has finished, and its checkpoint.

    Parameters
    ----------
    folder : Path
        The run's folder.
    manifest : Manifest
        Its manifest.

    Yields
    ------
    Part
        The blocks, in the manifest's order, then the files of the checkpoint.
    """
    for result in manifest.blocks:
        what = f"decoder block {result.block}"
        try:
            read_block(folder, manifest, result)
        except SubbitError as error:
            yield Part(what, str(error))
        else:
            yield Part(what)
    for name, digest in (manifest.checkpoint or {}).items():
        yield _checkpoint_file(folder, name, digest)
