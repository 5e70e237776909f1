"""Places that a command writes to
===============================

A refusal leaves nothing behind: files are tried before the work begins, and a folder that the
command made for itself is removed if it is refused before there is a result.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from subbit.conformance.models.claim import claim
from subbit.reference.errors import ArgumentError, SubbitError

PLOTS = (".png", ".svg", ".pdf")
_RESULTS = ("layers/block-*", "runs/*/layers/block-*")
"""What is kept of an unfinished run or comparison: records of finished decoder blocks."""
_LONGEST_NAME = 240
"""Bytes of a name, which is a little longer while the file is written."""


def check_writable(files: Mapping[str, Path | None], made: Path | None = None) -> None:
    """Refuse files that cannot be written.

    Parameters
    ----------
    files : mapping of str to Path or None
        Files by option.
    made : Path, optional
        A folder that the command makes before it writes them.

    Raises
    ------
    ArgumentError
        If a folder does not exist or cannot be written to, or the file is a folder, a device or
        read-only.
    """
    for option, file in files.items():
        if file is None:
            continue
        if file.is_dir():
            raise ArgumentError(option, "a file", f"{file}, which is a folder")
        if file.exists() and not (file.is_file() and os.access(file, os.W_OK)):
            raise ArgumentError(option, "a file that can be written", file)
        if len(os.fsencode(file.name)) > _LONGEST_NAME:
            raise ArgumentError(option, f"a name of at most {_LONGEST_NAME} bytes", file.name[:60])
        try:
            # What is asked of the folder is what writing later needs.
            with tempfile.TemporaryFile(dir=_already_there(file.parent, made)):
                pass
        except OSError as error:
            reason = f"{file} ({error.strerror})"
            raise ArgumentError(option, "a file in a folder that can be written", reason) from error


def _already_there(folder: Path, made: Path | None) -> Path:
    """Return the folder, or what there is of it before the command makes the rest."""
    own = () if made is None else (made, *made.parents)
    while folder in own and not folder.exists():
        folder = folder.parent
    return folder


def check_plot(file: Path | None, option: str = "plot", made: Path | None = None) -> None:
    """Refuse a plot that cannot be drawn or written.

    Parameters
    ----------
    file : Path or None
        The file.
    option : str, default "plot"
        The option, for errors.
    made : Path, optional
        A folder that the command makes before it draws.

    Raises
    ------
    ArgumentError
        If its name has another ending, or it cannot be written.
    """
    if file is not None and file.suffix not in PLOTS:
        raise ArgumentError(option, "a file name that ends in .png, .svg or .pdf", file)
    check_writable({option: file}, made)


@contextlib.contextmanager
def made_for(folder: Path, results: Collection[str] = _RESULTS) -> Iterator[None]:
    """Remove what the body makes of a folder if it is refused before there is a result.

    Parameters
    ----------
    folder : Path
        A folder; one that holds something already is left alone.
    results : collection of str, optional
        Patterns of what is a result.

    Yields
    ------
    None
        To the body, whose errors are raised again.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    if folder not in missing and not (folder.is_dir() and not any(folder.iterdir())):
        yield
        return
    try:
        yield
    except (SubbitError, OSError, MemoryError) as error:
        if not folder.is_dir() or _removed(folder, results, missing):
            raise
        if not isinstance(error, SubbitError):
            raise
        stays = f"what is finished stays in {folder}, other settings need another folder"
        raise SubbitError(f"{error}; {stays}") from error


def _removed(folder: Path, results: Collection[str], missing: Collection[Path]) -> bool:
    """Remove a folder without results, and say so."""
    # Another process may have begun there; then the folder is its own.
    with contextlib.suppress(OSError, SubbitError), claim(folder):
        if any(True for pattern in results for _ in folder.glob(pattern)):
            return False
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for place in missing:
            place.rmdir()
    return True
