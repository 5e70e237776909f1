"""The init-port command
=====================

``subbit init-port FILE`` writes a port that has every function of the protocol and
implements none. Replacing one body after the other, ``subbit check`` says which are right.
"""

import inspect
import re
from pathlib import Path
from typing import Annotated

import typer

from subbit.conformance.console import make_console, refusals
from subbit.conformance.protocol import CLASSES, PROTOCOL, Function
from subbit.reference.errors import ArgumentError

_HEAD = '''"""A port of subbit
================

Replace the bodies one by one. A function that you do not want can be removed: it is then
not implemented, as it is now. What stands in CAPABILITIES decides how large errors may be.

    subbit check {module} --level 2
"""

# ruff: noqa

from subbit.reference import METHODS, GPTQ, RTN, BiLLM  # configurations of the layer routines

CAPABILITIES = {{
    # The type that the port computes in: float16, float32 or float64.
    "dtype": "float64",
    # Lanes that add a row before they are added themselves; 1 is a straight sum.
    "lanes": 1,
}}
'''


def _parameter(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(annotation=inspect.Parameter.empty)


def _signature(function: Function) -> str:
    bare = [_parameter(parameter) for parameter in function.signature.parameters.values()]
    text = str(inspect.Signature(bare))
    # Configurations print as calls of their class, with every switch; the default is enough.
    return re.sub(r"=(BiLLM|GPTQ|RTN)\([^()]*(?:\([^()]*\)[^()]*)*\)", r"=\1()", text)


def _body(name: str) -> str:
    return f'    raise NotImplementedError("{name}")\n'


def _definition(function: Function) -> str:
    if function.name in CLASSES:
        arguments = _signature(function).removeprefix("(").removesuffix(")")
        return (
            f'class {function.name}:\n    """{function.summary}"""\n\n'
            f"    def __init__(self, {arguments}):\n    {_body(function.name)}"
        )
    head = f"def {function.name}{_signature(function)}:\n"
    return f'{head}    """{function.summary}"""\n{_body(function.name)}'


def skeleton(module: str) -> str:
    """Return the source of a port that implements nothing.

    Parameters
    ----------
    module : str
        The name it will be imported by.

    Returns
    -------
    str
        Python source.

    Examples
    --------
    >>> "def sign(x, zero=1):" in skeleton("my_port")
    True
    """
    parts = [_HEAD.format(module=module), *map(_definition, PROTOCOL.values())]
    return "\n\n".join(parts)


def init_port_command(
    file: Annotated[Path, typer.Argument(help="the Python file to write")],
) -> None:
    """Write a port that has every function of the protocol and implements none.

    Parameters
    ----------
    file : Path
        The file; it must not exist yet.

    Raises
    ------
    ArgumentError
        If it exists, or its name cannot be imported.
    """
    with refusals():
        if file.suffix != ".py" or not file.stem.isidentifier():
            raise ArgumentError("FILE", "a name that can be imported, such as my_port.py", file)
        if file.exists():
            raise ArgumentError("FILE", "a file that does not exist yet", file)
        file.write_text(skeleton(file.stem), encoding="utf-8")
        make_console().print(
            f"{file} has {len(PROTOCOL)} functions to fill in; from its folder:\n"
            f"PYTHONPATH=. subbit check {file.stem} --level 2",
            highlight=False,
        )
