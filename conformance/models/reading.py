"""Reading the files of a model
============================

Whatever a library makes of a damaged file, the user gets one sentence with the file's name.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from subbit.reference.errors import ArgumentError, SubbitError

MOST_JSON = 2**26
"""Bytes of a JSON file; the largest index of a released model has about 10 MB."""
_CAUSE = 300


@contextlib.contextmanager
def reading(what: str, file: object, argument: str = "model") -> Iterator[None]:
    """Turn whatever a library raises while it reads a file into one sentence.

    Parameters
    ----------
    what : str
        What the file should be, such as ``"a readable GGUF file"``.
    file : object
        Its name.
    argument : str, default "model"
        The argument that it came from.

    Yields
    ------
    None
        To the reading.

    Raises
    ------
    ArgumentError
        For every error but the project's own, with its cause.

    Examples
    --------
    >>> with reading("a readable file", "x.json"):
    ...     [][1]
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: model: expected a readable file, got x.json \
(IndexError: list index out of range)
    """
    try:
        yield
    except SubbitError:
        raise
    except BaseException as error:
        if not is_fault(error):
            raise
        raise ArgumentError(argument, what, f"{file} ({_cause(error)})") from error


def is_fault(error: BaseException) -> bool:
    """Tell whether an error is a library's word on what it was given, not a wish to end.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    bool
        Libraries in Rust panic with an exception that is no `Exception`.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _cause(error: BaseException) -> str:
    """Return an error in one line; the class tells more than some messages do."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = " ".join(str(error).split())[:_CAUSE]
    if isinstance(error, ValueError | OSError) and said:
        return said
    return f"{type(error).__name__}: {said}".removesuffix(": ")


def read_json(path: Path, argument: str = "model") -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    path : Path
        The file.
    argument : str, default "model"
        The argument that it came from.

    Returns
    -------
    dict
        Its contents.

    Raises
    ------
    ArgumentError
        If it is missing, larger than `MOST_JSON`, nested too deeply, or no JSON object.
    """
    with reading("a readable file in JSON", path, argument):
        if path.exists() and not path.is_file():
            raise ArgumentError(argument, "a file", path)
        with path.open("rb") as file:
            data = file.read(MOST_JSON + 1)
        if len(data) > MOST_JSON:
            raise ArgumentError(argument, f"at most {MOST_JSON} bytes of JSON", path)
        content = json.loads(data.decode("utf-8"))
    if not isinstance(content, dict):
        raise ArgumentError(argument, f"a JSON object in {path}", type(content).__name__)
    return content
