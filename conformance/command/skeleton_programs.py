"""Skeletons of programs
=====================

What ``subbit init-port`` writes for ports that are programs: sources that speak the protocol and
have one function, with a table of all functions. The sources are data of the package, in
``skeletons``; the table is made from the contracts.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from subbit.conformance.command.outputs import check_writable
from subbit.conformance.programs.calls import METHODS
from subbit.reference.errors import ArgumentError

_WRITTEN = "sign"
"""The function that the sources have."""
_WIDTH = 96
_SECTION = re.compile(r"\n(?=[A-Z]\w+\n-+\n)")


def _lines(text: str, indent: str) -> Iterator[str]:
    for paragraph in text.splitlines():
        yield from textwrap.wrap(paragraph, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _of_function(name: str, about: Mapping[str, Any]) -> Iterator[str]:
    """Say what a function of the protocol takes and answers."""
    yield from _lines(f"{name}: {about['summary']}", "")
    yield f"level {about['level']}, family {about['family']}"
    for argument, own in about["arguments"].items():
        may = "; null if there is none" if own.get("default", ...) is None else ""
        yield from _lines(f"{argument} : {own['takes']}{may}", "  ")
        yield from _lines(own["means"], "    ")
    yield "answers"
    if not about["answer"]:
        yield '  an object that stays with the program: {"object": NAME}'
    for line in about["answer"].splitlines():
        yield f"  {line}"


def _of_method(name: str, method: object) -> Iterator[str]:
    """Say the same of a method of an object, from its documentation."""
    summary, *sections = _SECTION.split(inspect.getdoc(method) or "")
    yield from _lines(f"{name}: {summary.strip()}", "")
    yield '  self : the object, {"object": NAME}'
    for section in sections:
        title, _, *rest = section.rstrip().splitlines()
        if title in {"Parameters", "Returns"}:
            yield from () if title == "Parameters" else ("answers",)
            yield from (f"  {line}" for line in rest)


def entries(functions: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Iterate over what a program may be asked.

    Parameters
    ----------
    functions : mapping of str to mapping
        What is known about each function, as :func:`~subbit.conformance.command.skeleton.listing`
        has it.

    Yields
    ------
    name : str
        The function, or ``Class.method``.
    said : list of str
        What it takes and answers, in lines.

    Examples
    --------
    >>> from subbit.conformance.command.skeleton import listing
    >>> name, said = next(entries({"sign": listing()["sign"]}))
    >>> name, said[1]
    ('sign', 'level 1, family signs')
    """
    for name, about in functions.items():
        yield name, list(_of_function(name, about))
        for method, found in METHODS.items():
            if method.startswith(f"{name}."):
                yield method, list(_of_method(method, found))


def _table(
    functions: Mapping[str, Mapping[str, Any]], comment: str, entry: Callable[[str, bool], str]
) -> str:
    """Return all entries, each with its comment above, by families."""
    lines = []
    for family, members in groupby(entries(functions), key=lambda one: _family(one[0], functions)):
        lines += ["", f"    {comment} ---- {family} ----"]
        for name, said in members:
            lines += ["", *(f"    {comment} {line}".rstrip() for line in said)]
            lines.append(f"    {entry(name, name == _WRITTEN)}")
    return "\n".join(lines[1:])


def _family(name: str, functions: Mapping[str, Mapping[str, Any]]) -> str:
    return str(functions[name.partition(".")[0]]["family"])


def _source(name: str, table: str, port: str) -> str:
    text = files("subbit.conformance").joinpath("skeletons", name).read_text(encoding="utf-8")
    return text.replace("@FUNCTIONS@", table).replace("@NAME@", port)


def write_c(folder: Path, functions: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the skeleton of a port in C99.

    Parameters
    ----------
    folder : Path
        The folder, which is made.
    functions : mapping of str to mapping
        What is known about each function.
    """
    table = _table(functions, "//", lambda name, own: f'{{"{name}", {name if own else "NULL"}}},')
    folder.mkdir()
    for file in ("Makefile", "port.c", "serve.h", "message.h"):
        (folder / file).write_text(_source(f"c/{file}", table, "port"), encoding="utf-8")


def write_exec(file: Path, functions: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the skeleton of a program, to be translated to any language.

    Parameters
    ----------
    file : Path
        The file, which can be executed.
    functions : mapping of str to mapping
        What is known about each function.
    """
    table = _table(functions, "#", lambda name, own: f'"{name}": {name if own else None},')
    file.write_text(_source("exec/port", table, file.name), encoding="utf-8")
    file.chmod(0o755)


def check_new(file: Path) -> None:
    """Refuse a place that is taken, or where nothing can be written.

    Parameters
    ----------
    file : Path
        The file or folder to be written.

    Raises
    ------
    ArgumentError
        If it exists, or its folder does not.

    Examples
    --------
    >>> check_new(Path("no/c"))
    Traceback (most recent call last):
    ...
    subbit.reference.errors.ArgumentError: FILE: expected a place in a folder that exists, got no/c
    """
    if file.exists() or file.is_symlink():
        raise ArgumentError("FILE", "a place where there is nothing yet", file)
    if not file.parent.is_dir():
        raise ArgumentError("FILE", "a place in a folder that exists", file)
    check_writable({"FILE": file})
