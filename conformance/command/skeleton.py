"""The init-port command
=====================

``subbit init-port FILE`` writes a port that has every function of the protocol and
implements none. As bodies are filled in, ``subbit check`` says which are correct. For another
language it writes a program, in C or to be translated, or a list of the functions in JSON, to
generate code from.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import typer

from subbit import reference
from subbit.conformance.command.console import make_console, refusals
from subbit.conformance.command.skeleton_programs import check_new, write_c, write_exec
from subbit.conformance.programs.forms import Codec
from subbit.conformance.protocol import CLASSES, PROTOCOL, Function
from subbit.reference.contracts.settings import Switches
from subbit.reference.errors import ArgumentError, check_choice

_HEAD = '''"""A port of subbit
================

Replace the bodies one by one. A function that you do not want can be removed: it then counts
as not implemented, as it does now. CAPABILITIES decides how large errors may be.

    subbit check {module} --level 2
"""

# ruff: noqa

# Configurations, and METHODS with their presets.
from subbit.reference import METHODS, {configurations}

CAPABILITIES = {{
    # The type that the port computes in: float16, float32 or float64.
    "dtype": "float64",
    # Partial sums that a row is split into before they are added; 1 is a straight sum.
    "lanes": 1,
    # Types that records are stored in, if not the one that is computed in.
    # "stored": {{"scales": "float16", "means": "float16"}},
    # What the port does not take, it need not take: cases outside are not compared.
    # "sizes": {{"columns": 4096}},
    # "settings": {{"*": {{"sign_zero": [1]}}, "billm_layer": {{"block_size": {{"most": 128}}}}}},
}}
'''


def _parameters(function: Function) -> list[inspect.Parameter]:
    bare = inspect.Parameter.empty
    return [p.replace(annotation=bare) for p in function.signature.parameters.values()]


def _signature(function: Function) -> str:
    return str(inspect.Signature(_parameters(function)))


def _configurations() -> str:
    """Return the names of the classes that signatures call."""
    defaults = [p.default for function in PROTOCOL.values() for p in _parameters(function)]
    return ", ".join(sorted({type(d).__name__ for d in defaults if isinstance(d, Switches)}))


def _body(name: str) -> str:
    return f'    raise NotImplementedError("{name}")\n'


def _documented(function: Function) -> str:
    """Return the summary, the arguments and the result of a function, as a docstring."""
    text = inspect.getdoc(getattr(reference, function.name)) or ""
    titles = "Returns|Yields|Raises|Notes|References|Examples"
    parts = re.split(rf"\n(?=(?:{titles})\n-+\n)", text)
    kept = [part for part in parts if not re.match("Raises|Notes|References|Examples", part)]
    return indent('"""' + "\n".join(kept).rstrip() + '\n"""', "    ")


def _definition(function: Function) -> str:
    if function.name in CLASSES:
        arguments = _signature(function).removeprefix("(").removesuffix(")")
        return (
            f"class {function.name}:\n{_documented(function)}\n\n"
            f"    def __init__(self, {arguments}):\n    {_body(function.name)}"
        )
    head = f"def {function.name}{_signature(function)}:\n"
    return f"{head}{_documented(function)}\n{_body(function.name)}"


def _family(name: str) -> str:
    return f"# {'-' * 77}\n# {name}\n"


def skeleton(module: str) -> str:
    """Return the source of a port that implements nothing.

    Parameters
    ----------
    module : str
        The name under which it will be imported.

    Returns
    -------
    str
        Python source.

    Examples
    --------
    >>> "def sign(x, zero=1):" in skeleton("my_port")
    True
    """
    head = _HEAD.format(module=module, configurations=_configurations())
    parts = [head]
    functions = sorted(PROTOCOL.values(), key=lambda function: function.family)
    for family, members in groupby(functions, key=lambda function: function.family):
        parts += [_family(family), *map(_definition, members)]
    return "\n\n".join(parts)


def _answered(name: str) -> str:
    """Return what a function's documentation says about its answer."""
    text = inspect.getdoc(getattr(reference, name)) or ""
    found = re.search(
        r"^(?:Returns|Yields)\n-+\n(.*?)(?=\n\n\w+\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL
    )
    return found[1] if found else ""


def listing() -> dict[str, dict[str, Any]]:
    """Return what a port in any language needs to know about each function.

    Returns
    -------
    dict of str to dict
        By name: level, family and summary; arguments with the values that they take, their
        meaning and the form of their default; the answer.

    Examples
    --------
    >>> listing()["sign"]["arguments"]["zero"]["default"]
    1
    """
    bare = inspect.Parameter.empty
    return {
        function.name: {
            "level": function.level,
            "family": function.family,
            "summary": function.summary,
            "arguments": {
                name: {"takes": kind.describe(), "means": kind.text}
                | ({} if default is bare else {"default": Codec().write(default)})
                for name, kind in function.contract.kinds.items()
                for default in [function.signature.parameters[name].default]
            },
            "answer": _answered(function.name),
        }
        for function in sorted(PROTOCOL.values(), key=lambda one: (one.family, one.name))
    }


def _write_python(file: Path) -> str:
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise ArgumentError("FILE", "a name that can be imported, such as my_port.py", file)
    file.write_text(skeleton(file.stem), encoding="utf-8")
    return (
        f"{file} has {len(PROTOCOL)} functions to fill in; from its folder:\n"
        f"PYTHONPATH=. subbit check {file.stem} --level 2"
    )


def _write_listing(file: Path) -> str:
    text = json.dumps(listing(), indent=1, ensure_ascii=False)
    file.write_text(f"{text}\n", encoding="utf-8")
    return f"{file} lists {len(PROTOCOL)} functions"


def _told(file: Path, before: str = "") -> str:
    command = f"subbit check --exec ./{file.name} --level 2 --depth quick"
    return (
        f"{file} has a table of {len(PROTOCOL)} functions, of which one is there; "
        f"from its folder:\n{before}{command}"
    )


def _write_exec(file: Path) -> str:
    write_exec(file, listing())
    return _told(file)


def _write_c(folder: Path) -> str:
    write_c(folder, listing())
    return _told(folder / "port.c", "make && ").replace("./port.c", "./port")


_LANGUAGES: Mapping[str, Callable[[Path], str]] = {
    "python": _write_python,
    "c": _write_c,
    "exec": _write_exec,
    "any": _write_listing,
}
"""What writes a port, and says what it wrote."""


def init_port_command(
    file: Annotated[
        Path, typer.Argument(help="what to write: a file .py or .json, a program, a folder for C")
    ],
    *,
    language: Annotated[
        str,
        typer.Option(
            help="python; c, or exec for a program to translate to another language; "
            "any, for a list of the functions in JSON"
        ),
    ] = "python",
) -> None:
    """Write a port that has every function of the protocol, to be filled in.

    Parameters
    ----------
    file : Path
        The file, or the folder for C; it must not exist yet.
    language : {"python", "c", "exec", "any"}
        What to write.

    Raises
    ------
    ArgumentError
        If it exists, cannot be written, or its name cannot be imported.
    """
    with refusals():
        check_choice("--language", language, tuple(_LANGUAGES))
        check_new(file)
        make_console().print(_LANGUAGES[language](file), highlight=False, markup=False)
