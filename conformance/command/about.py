"""Where a report comes from
=========================

Versions, machine and commit, as far as they can be known.
"""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import scipy

from subbit import reference

UNKNOWN = "unknown"


def installed(package: str) -> str | None:
    """Return the version of an installed package, without importing it.

    Parameters
    ----------
    package : str
        Its name in the package index.

    Returns
    -------
    str or None
        The version; None if it is not installed.

    Examples
    --------
    >>> import numpy
    >>> installed("numpy") == numpy.__version__, installed("no-such-package")
    (True, None)
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions(port: Mapping[str, str]) -> dict[str, str]:
    """Return the versions that a result depends on.

    Parameters
    ----------
    port : mapping of str to str
        What the port says that it is built with.

    Returns
    -------
    dict of str to str
        Version by name.

    Examples
    --------
    >>> versions({"NVRTC": "13.5"})["NVRTC"]
    '13.5'
    """
    return {
        "subbit": reference.__version__,
        "specification": reference.SPEC_VERSION,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        **port,
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or UNKNOWN


def machine() -> dict[str, str | int]:
    """Describe the machine.

    Returns
    -------
    dict
        Processor, architecture, cores, and operating system.

    Examples
    --------
    >>> machine()["cores"] >= 1
    True
    """
    return {
        "processor": _processor(),
        "architecture": platform.machine() or UNKNOWN,
        "cores": os.cpu_count() or 1,
        "system": platform.platform(),
    }


def commit(file: str) -> str | None:
    """Return the commit of a source file.

    Parameters
    ----------
    file : str
        Path of the file; empty if it is not known.

    Returns
    -------
    str or None
        Its repository's commit, with ``+changes`` if files differ from it; None if there is no
        repository, or the file does not belong to it.
    """
    path = Path(file).resolve() if file else None
    if path is None or not path.is_file():
        return None

    def git(*words: str) -> str | None:
        call = ["git", "-C", str(path.parent), *words]
        try:
            done = subprocess.run(call, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if not git("ls-files", "--", path.name):
        return None
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{git('rev-parse', 'HEAD')}{'+changes' if changed else ''}"
