"""What an operation computes
==========================

The equations of the functions behind an operation, and those of their bounds, as comments in the
specification have them; a function that only combines others cites its equation in its docstring.
"""

import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.reference import bounds

TAG = re.compile(r"^ *# ((?:Eq\. \([^()]+\)|Alg\. \w+), [\w.-]+):  (\S.*)$", re.MULTILINE)
CITED = re.compile(r"^References\n-+\n(.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
JUDGES = ("bound", "margin", "residual")


def _said(function: Callable[..., Any]) -> Iterator[str]:
    plain = inspect.unwrap(function)
    tags = TAG.findall(inspect.getsource(plain))
    yield from (f"{number}: {formula}" for number, formula in tags)
    cited = CITED.search(inspect.cleandoc(plain.__doc__ or ""))
    if cited and not tags:
        yield " ".join(cited[1].split())


@cache
def equations_of(operation: str) -> tuple[str, ...]:
    """Return the equations that an operation's functions compute.

    Parameters
    ----------
    operation : str
        Its name; one that is unknown has none.

    Returns
    -------
    tuple of str
        Each with its number and its paper.
    """
    item = OPERATIONS.get(operation)
    names = item.needs if item else ()
    functions = (getattr(reference, name, None) for name in names)
    return tuple(line for function in functions if callable(function) for line in _said(function))


@cache
def bounds_of(operation: str) -> tuple[str, ...]:
    """Return the bounds that an operation's functions are held to.

    Parameters
    ----------
    operation : str
        Its name; one that is unknown has none.

    Returns
    -------
    tuple of str
        Names, each with its equation if it computes one itself.
    """
    item = OPERATIONS.get(operation)
    names = [f"{name}_{kind}" for name in (item.needs if item else ()) for kind in JUDGES]
    found = {name: function for name in names if (function := _all_bounds().get(name))}
    return tuple(", ".join([name, *_said(function)]) for name, function in found.items())


@cache
def _all_bounds() -> dict[str, Callable[..., Any]]:
    modules = pkgutil.walk_packages(bounds.__path__, f"{bounds.__name__}.")
    names = [vars(import_module(module.name)) for module in modules]
    return {
        name: value
        for inside in names
        for name, value in inside.items()
        if inspect.isfunction(value) and name.endswith(JUDGES)
    }
