"""Compilations kept on disk
===========================

NVRTC takes a quarter of a minute for all kernels, in each process of a check. So what it made
is kept, under a digest of all that it depends on: the source, the options, the library and the
toolkit's headers. What is damaged is made again; a folder that cannot be written keeps nothing.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

VARIABLE = "SUBBIT_CACHE_DIR"
"""Names the folder, in place of ``~/.cache/subbit``; nothing is kept if it is empty."""
MOST = 4096
"""Compilations that are kept; then the older half goes."""
_DAMAGED = (OSError, ValueError, KeyError, EOFError, BadZipFile)


def folder() -> Path | None:
    """Return where compilations are kept.

    Returns
    -------
    Path or None
        None if nothing is to be kept, or if there is no home.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return Path(chosen) / "nvrtc" if chosen else None
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(home) / "subbit" / "nvrtc"


def stamp(path: Path) -> list[object]:
    """Return what changes when a file is replaced.

    Parameters
    ----------
    path : Path
        A file.

    Returns
    -------
    list of object
        Its path, size and time of change; the path alone if it cannot be read.
    """
    with suppress(OSError):
        found = path.stat()
        return [str(path), found.st_size, found.st_mtime_ns]
    return [str(path)]


def keep(made_of: object, make: Callable[[], Mapping[str, bytes]]) -> Mapping[str, bytes]:
    """Return what was made of something before, or make and keep it.

    Parameters
    ----------
    made_of : object
        All that the result depends on, as JSON writes it.
    make : callable
        ``make() -> {name: bytes}``; what it raises is not kept.

    Returns
    -------
    mapping of str to bytes
        The result.
    """
    place = folder()
    if place is None:
        return make()
    path = place / f"{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()}.npz"
    with suppress(*_DAMAGED), np.load(path, allow_pickle=False) as held:
        return {name: held[name].tobytes() for name in held.files}
    made = make()
    with suppress(OSError):
        _write(path, made)
    return made


def _write(path: Path, made: Mapping[str, bytes]) -> None:
    """Write a whole file or none, and make room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.frombuffer(content, np.uint8) for name, content in made.items()}
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    Path(file.name).replace(path)
    held = list(path.parent.iterdir())
    if len(held) > MOST:
        for old in sorted(held, key=lambda file: file.stat().st_mtime_ns)[: len(held) // 2]:
            old.unlink(missing_ok=True)
