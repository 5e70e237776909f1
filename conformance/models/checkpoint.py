"""Hugging Face checkpoints, written whole or not at all
=====================================================

All files are first written to a temporary folder inside the target folder, then renamed,
with ``config.json`` last: without it the folder is not a model. Weights are read one file
at a time, in float32.
"""

import json
import math
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from subbit.conformance.memory import check_memory
from subbit.reference.errors import ArgumentError

from .base import Float32
from .claim import PARTIAL, claim
from .reading import read_json, reading
from .tokenizer import TextCodec
from .typed import shown

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
WEIGHT_ENDINGS = (
    ".safetensors", ".index.json", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx",
    ".gguf",
)  # fmt: skip
# Each checkpoint has its own; the second is the state of a run.
OWN = (CONFIG, "manifest.json")
MOST_NAME = 255
READABLE = "a readable safetensors file"
FLOATS = ("F64", "F32", "F16", "BF16")


def companion_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a source that travel unchanged to a checkpoint made of it.

    Parameters
    ----------
    folder : Path
        A Hugging Face folder.

    Returns
    -------
    tuple of Path
        All but weights, ``config.json`` and hidden files, such as ``chat_template.jinja``.
    """
    return tuple(
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and not path.name.startswith(".")
        and not path.name.endswith(WEIGHT_ENDINGS)
        and path.name not in OWN
    )


def copy_companions(files: Iterable[Path], staging: Path) -> None:
    """Copy files to a checkpoint, before those of its own.

    Parameters
    ----------
    files : iterable of Path
        As from `companion_files`.
    staging : Path
        An existing folder.
    """
    for path in files:
        shutil.copyfile(path, staging / path.name)


def write_checkpoint(
    folder: Path,
    config: dict[str, Any],
    weights: dict[str, Float32],
    codec: TextCodec,
    companions: Iterable[Path] = (),
) -> tuple[str, ...]:
    """Write a folder that ``from_pretrained`` loads.

    Parameters
    ----------
    folder : Path
        The folder, created if missing; files of an earlier checkpoint are replaced.
    config : dict
        Contents of ``config.json``.
    weights : dict of str to ndarray of float32
        Contents of ``model.safetensors``.
    codec : TextCodec
        The tokenizer.
    companions : iterable of Path, optional
        Files of the source to copy, as from `companion_files`.

    Returns
    -------
    tuple of str
        Names of the files.

    Raises
    ------
    ArgumentError
        If the folder cannot be written, for lack of space or permission.
    """

    def write(staging: Path) -> None:
        copy_companions(companions, staging)
        codec.write(staging)
        save_file(weights, staging / WEIGHTS, metadata={"format": "pt"})
        (staging / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    return write_whole(folder, write)


def write_whole(folder: Path, write: Callable[[Path], None]) -> tuple[str, ...]:
    """Write files to a temporary folder, and rename them into place when all are complete.

    Parameters
    ----------
    folder : Path
        The folder, created if missing; files with the same names are replaced.
    write : callable
        Writes the files to the folder it receives, including ``config.json``.

    Returns
    -------
    tuple of str
        Names of the files.

    Raises
    ------
    ArgumentError
        If a file cannot be written; nothing in `folder` has changed then.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            claim(folder),
            tempfile.TemporaryDirectory(dir=folder, prefix=PARTIAL) as staging,
        ):
            write(Path(staging))
            # safetensors makes its files private; config.json has the user's default mode.
            mode = (Path(staging) / CONFIG).stat().st_mode
            paths = sorted(Path(staging).iterdir(), key=lambda path: (path.name == CONFIG, path))
            for path in paths:
                path.chmod(stat.S_IMODE(mode))
                path.replace(folder / path.name)
            return tuple(path.name for path in paths)
    except (OSError, SafetensorError) as error:
        if new and folder.is_dir():
            shutil.rmtree(folder)
        raise ArgumentError("folder", f"room and permission to write {folder}", error) from error


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder, from its index if it has one.

    Parameters
    ----------
    folder : Path
        A Hugging Face folder.

    Returns
    -------
    list of Path
        Empty if it has none.

    Raises
    ------
    ArgumentError
        If the index does not name the file of each weight, in the same folder.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        return []
    found = read_json(folder / INDEX).get("weight_map")
    if not isinstance(found, dict) or not found:
        expected = f"an object weight_map, a file for each weight, in {folder / INDEX}"
        raise ArgumentError("model", expected, shown(found))
    for key, name in found.items():
        known = isinstance(name, str) and name.endswith(".safetensors") and "\0" not in name
        if not known or Path(name).name != name or len(name) > MOST_NAME:
            expected = f"a name *.safetensors for {shown(key)} in {folder / INDEX}"
            raise ArgumentError("model", expected, shown(name))
    return [folder / name for name in sorted(set(found.values()))]


def read_weights(folder: Path) -> dict[str, Float32]:
    """Read all weights of a folder of safetensors files, in float32.

    Parameters
    ----------
    folder : Path
        A Hugging Face folder.

    Returns
    -------
    dict of str to ndarray of float32
        Weights by name.

    Raises
    ------
    ArgumentError
        If a file is missing, damaged, or holds anything but floating-point numbers.
    """
    weights: dict[str, Float32] = {}
    held = sum(map(math.prod, stored_shapes(folder)))
    check_memory("model", 4 * held, f"the weights of {folder}")
    for path in weight_files(folder):
        with reading(READABLE, path):
            weights.update(_read_file(path))
    return weights


def stored_shapes(folder: Path) -> list[tuple[int, ...]]:
    """Return the shapes of the weights that a folder's files say they hold.

    Parameters
    ----------
    folder : Path
        A Hugging Face folder.

    Returns
    -------
    list of tuple of int
        A shape for each weight; the library has compared them with the sizes of the files.

    Raises
    ------
    ArgumentError
        If a file is missing or damaged.
    """
    shapes: list[tuple[int, ...]] = []
    for path in weight_files(folder):
        with reading(READABLE, path), safe_open(path, framework="numpy") as file:
            shapes += [tuple(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118
    return shapes


def _read_file(path: Path) -> dict[str, Float32]:
    weights: dict[str, Float32] = {}
    with safe_open(path, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            dtype = file.get_slice(name).get_dtype()
            if dtype not in FLOATS:
                came = f"{dtype} in {name}"
                raise ArgumentError("model", "weights in " + ", ".join(FLOATS), came)
            if dtype == "BF16":
                weights[name] = _read_bfloat16(path, name)
            else:
                weights[name] = file.get_tensor(name).astype(np.float32, copy=False)
    return weights


def _read_bfloat16(path: Path, name: str) -> Float32:
    """Read bfloat16, which NumPy has no dtype for: the upper halves of float32 numbers."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(size))[name]
        file.seek(entry["data_offsets"][0], 1)
        halves = np.fromfile(file, dtype="<u2", count=int(np.prod(entry["shape"])))
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
