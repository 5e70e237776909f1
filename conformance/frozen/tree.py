"""The tree of vectors
===================

``v1/<level>/<family>/<operation>/<case>/`` holds ``case.json``, ``input.safetensors`` and
``expected.safetensors``; a port's answers are ``answers.json`` and ``answers.safetensors`` beside
them. ``v1/vectors.json`` lists the flags, each a known way to be wrong with the cases that catch
it, and what vectors cannot hold. ``port.json`` next to ``v1`` is what the port declares.
"""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from subbit.conformance.programs.arrays import Tensors
from subbit.reference.errors import ArgumentError
from subbit.reference.notation import AnyArray

FORMAT, VERSION = "subbit vectors", 1
ROOT, LIST, PORT = "v1", "v1/vectors.json", "port.json"
CASE, INPUT, EXPECTED = "case.json", "input.safetensors", "expected.safetensors"
_LIST = re.compile(r"\[[-\d.,e+\s]*\]")
_OBJECT = re.compile(r'\{\s*"(?:dtype|slice|real)"[^{}"]*(?:"[^"]*"[^{}"]*)*\}')
ANSWERS, ANSWER_TENSORS = "answers.json", "answers.safetensors"


def dump(content: object) -> bytes:
    """Return content as a file of the tree has it.

    Parameters
    ----------
    content : object
        What JSON can hold.

    Returns
    -------
    bytes
        Text that does not depend on the machine.

    Examples
    --------
    >>> dump({"a": [1, 2]}).decode().split()
    ['{', '"a":', '[1,', '2]', '}']
    """
    text = json.dumps(content, indent=1, ensure_ascii=False)
    # What has no brackets inside stands on one line: first lists of numbers, then arrays.
    for inner in (_LIST, _OBJECT):
        text = inner.sub(_on_one_line, text)
    return f"{text}\n".encode()


def _on_one_line(match: re.Match[str]) -> str:
    line = " ".join(match[0].split())
    return f"{line[0]}{line[1:-1].strip()}{line[-1]}"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    ArgumentError
        If it is not there, or holds no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(str(path), "a file of JSON", error) from error
    if not isinstance(content, dict):
        raise ArgumentError(str(path), "a JSON object", type(content).__name__)
    return content


def read_tensors(path: Path) -> dict[str, AnyArray]:
    """Read the tensors of a file; none, if it is not there.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to ndarray
        The tensors.

    Raises
    ------
    ArgumentError
        If it is no safetensors file.
    """
    if not path.exists():
        return {}
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError) as error:
        raise ArgumentError(str(path), "a safetensors file", error) from error


class Case:
    """The folder of a case.

    Parameters
    ----------
    folder : Path
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def content(self) -> dict[str, Any]:
        """The content of ``case.json``."""
        return read_json(self.folder / CASE)

    @property
    def operation(self) -> str:
        """The operation."""
        return str(self.content["operation"])

    @property
    def seed(self) -> int:
        """The case."""
        return int(self.content["case"])

    @property
    def dtype(self) -> str:
        """The type of the ports that it is for; empty for all."""
        return str(self.content.get("dtype", ""))

    @cached_property
    def inputs(self) -> Tensors:
        """Arrays of arguments."""
        return Tensors(0, read_tensors(self.folder / INPUT))

    @cached_property
    def expected(self) -> Tensors:
        """Arrays of correct answers and of comparisons."""
        return Tensors(0, read_tensors(self.folder / EXPECTED))

    @cached_property
    def answered(self) -> Tensors:
        """Arrays of a port's answers."""
        return Tensors(0, read_tensors(self.folder / ANSWER_TENSORS))

    @cached_property
    def answers(self) -> list[dict[str, Any]]:
        """A port's answers, one for each call; none, if there are none."""
        path = self.folder / ANSWERS
        found = read_json(path).get("answers") if path.exists() else []
        if not isinstance(found, list) or (found and len(found) != len(self.content["calls"])):
            expected = f"answers to {len(self.content['calls'])} calls"
            raise ArgumentError(str(path), expected, len(found) if found else found)
        return found


def cases_in(folder: Path) -> Iterator[Case]:
    """Iterate over the cases of a tree.

    Parameters
    ----------
    folder : Path
        The folder that has ``v1``.

    Yields
    ------
    Case
        In the order of their paths.

    Raises
    ------
    ArgumentError
        If there is no tree.
    """
    if not (folder / LIST).is_file():
        raise ArgumentError("DIR", f"a folder with {LIST}", folder)
    for path in sorted((folder / ROOT).glob(f"*/*/*/*/{CASE}")):
        yield Case(path.parent)
