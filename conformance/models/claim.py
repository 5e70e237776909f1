"""One process at a time in a folder
=================================

A folder that a run or a checkpoint is written to is locked meanwhile, through the folder itself,
so that nothing is left behind and the lock ends with the process, however it ends. What an
earlier process has left unfinished is removed by the next one that holds the lock.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from subbit.reference.errors import SubbitError

PARTIAL = ".partial-"
"""How the names of unfinished files and folders begin."""


@contextlib.contextmanager
def claim(folder: Path, *inside: str) -> Iterator[None]:
    """Keep other processes out of a folder, and remove what others have left unfinished.

    Parameters
    ----------
    folder : Path
        An existing folder.
    *inside : str
        Folders in it that are written to as well.

    Yields
    ------
    None
        While the folder is locked.

    Raises
    ------
    SubbitError
        If another process holds it; the message names the process, where the system tells.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(os.fstat(descriptor))
            named = "" if holder is None else f" ({holder})"
            message = f"{folder}: another process is writing there{named}"
            raise SubbitError(message) from error
        places = (folder, *(folder / name for name in inside))
        for left in [path for place in places for path in place.glob(f"{PARTIAL}*")]:
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def _holder(status: os.stat_result) -> str | None:
    """Return which process holds the lock of a file, as Linux lists it."""
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if "FLOCK" in words and place in words:
                return f"process {words[words.index(place) - 1]}"
    return None
