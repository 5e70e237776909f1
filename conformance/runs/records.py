"""Layer records in files
======================

One safetensors file holds the quantized layers of one decoder block, as tensors named
``layer/part`` (see ``record_layout``). Its metadata holds the layout, the writer's
description, and a SHA-256 of everything, so a damaged file is refused.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from subbit.conformance.models.claim import PARTIAL
from subbit.reference.errors import ArgumentError, SubbitError
from subbit.reference.layer import QuantizedLayer
from subbit.reference.notation import AnyArray
from subbit.reference.storage.record_layout import put_layer, take_layer
from subbit.reference.storage.record_tensors import Layout, RecordError

FORMAT = "subbit layer records"
FORMAT_VERSION = 4
"""The version written. Version 1, without patterns and plain values, version 2, without levels,
and version 3, without products and Haar coefficients, can still be read."""

METADATA_KEY = "subbit"
SCALE_TYPES = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Records:
    """The content of one file.

    Parameters
    ----------
    layers : dict of str to QuantizedLayer
        The layers by name.
    about : dict
        The writer's description of them.
    layer_bytes : dict of str to int
        Bytes of each layer's tensors.
    file_bytes : int
        Bytes of the whole file, header included.
    """

    layers: dict[str, QuantizedLayer]
    about: dict[str, Any]
    layer_bytes: dict[str, int]
    file_bytes: int


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it appears complete or not at all.

    Parameters
    ----------
    path : Path
        The file; an older one is replaced.
    data : bytes
        Its content.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def is_unused(folder: Path) -> bool:
    """Tell whether a folder can be written to without touching anything of others.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    bool
        Whether it is missing, or holds only what a killed process has left.
    """
    if not folder.exists():
        return True
    return folder.is_dir() and all(path.name.startswith(PARTIAL) for path in folder.iterdir())


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))


def _digest(content: Mapping[str, Any], tensors: Mapping[str, AnyArray]) -> str:
    digest = hashlib.sha256(_dump(content).encode())
    for name in sorted(tensors):
        values = tensors[name]
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def pack_records(
    layers: Mapping[str, QuantizedLayer],
    *,
    scales: str = "float16",
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the content of a record file.

    Parameters
    ----------
    layers : mapping of str to QuantizedLayer
        The layers by name.
    scales : {"float16", "float32", "float64"}, default "float16"
        Type of the stored scales and means. The layers' values must already be of that
        type, as after ``layer.with_scales(scales)``: a file never changes a layer.
    about : mapping, optional
        Anything that JSON can hold, such as the method and its configuration.

    Returns
    -------
    bytes
        A safetensors file.

    Raises
    ------
    ArgumentError
        If a scale does not fit the type, or a record is invalid.
    """
    if scales not in SCALE_TYPES:
        raise ArgumentError("scales", "one of " + ", ".join(SCALE_TYPES), scales)
    packed = {name: put_layer(layer, scales) for name, layer in layers.items()}
    return join_packed(packed, scales=scales, about=about)


def join_packed(
    packed: Mapping[str, tuple[Layout, Mapping[str, AnyArray]]],
    *,
    scales: str = "float16",
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the content of a record file whose layers are packed already.

    Parameters
    ----------
    packed : mapping of str to tuple
        Layout and tensors of each layer, as from `put_layer`.
    scales, about
        As in `pack_records`.

    Returns
    -------
    bytes
        A safetensors file.
    """
    tensors = {
        f"{name}/{part}": values
        for name, (_, parts) in packed.items()
        for part, values in parts.items()
    }
    layouts = {name: layout for name, (layout, _) in packed.items()}
    content = {"scales": scales, "layers": layouts, "about": dict(about or {})}
    said = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "sha256": _digest(content, tensors),
        "content": content,
    }
    # A single entry: the library writes several in an order that changes from run to run.
    return save(tensors, metadata={METADATA_KEY: _dump(said)})


def save_records(
    path: Path,
    layers: Mapping[str, QuantizedLayer],
    *,
    scales: str = "float16",
    about: Mapping[str, Any] | None = None,
) -> int:
    """Write layers to one file atomically.

    Parameters
    ----------
    path : Path
        The safetensors file.
    layers, scales, about
        As in `pack_records`.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    ArgumentError
        If a scale does not fit the type, or a record is invalid.
    OSError
        If the file cannot be written; no part of it remains.
    """
    data = pack_records(layers, scales=scales, about=about)
    write_atomically(path, data)
    return len(data)


def _metadata(data: bytes) -> dict[str, str]:
    """Read the metadata of a safetensors file: an 8-byte length, then a JSON header."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return dict(header["__metadata__"])


def _parse(data: bytes) -> Records:
    tensors = load(data)
    said = json.loads(_metadata(data)[METADATA_KEY])
    if said["format"] != FORMAT or said["version"] not in range(1, FORMAT_VERSION + 1):
        message = f"not a file of {FORMAT}, version 1 to {FORMAT_VERSION}"
        raise RecordError(message)
    content = said["content"]
    if said["sha256"] != _digest(content, tensors):
        message = "the checksum does not match"
        raise RecordError(message)
    parts: dict[str, dict[str, AnyArray]] = {name: {} for name in content["layers"]}
    for full, values in tensors.items():
        name, _, part = full.rpartition("/")
        parts[name][part] = values
    layers = {
        name: take_layer(layout, parts[name], content["scales"])
        for name, layout in content["layers"].items()
    }
    sizes = {name: sum(v.nbytes for v in held.values()) for name, held in parts.items()}
    return Records(layers, content["about"], sizes, len(data))


def parse_records(data: bytes, path: Path) -> Records:
    """Read the layers in the content of a file.

    Parameters
    ----------
    data : bytes
        The content.
    path : Path
        The file, for the message.

    Returns
    -------
    Records
        Layers that equal the saved ones bit for bit.

    Raises
    ------
    RecordError
        If the content is damaged or none of a record file.
    """
    try:
        return _parse(data)
    except (
        SubbitError,
        SafetensorError,
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
    ) as error:
        message = f"{path}: no valid layer records ({error})"
        raise RecordError(message) from error


def load_records(path: Path) -> Records:
    """Read the layers of one file.

    Parameters
    ----------
    path : Path
        A file that `save_records` wrote.

    Returns
    -------
    Records
        Layers that equal the saved ones bit for bit.

    Raises
    ------
    RecordError
        If the file is damaged or not a record file.
    OSError
        If it cannot be read.
    """
    return parse_records(path.read_bytes(), path)
