"""Planted errors
==============

How small an error the cases of an operation still notice. A planted port answers as the
reference does, except that all numbers in one part of its answer, such as the scales of a group
or the objectives of a search, are too large by a share. What an operation does not reject can
hide under its bounds.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import Operation
from subbit.conformance.mutants.changes import Function, Mutant
from subbit.conformance.protocol import CLASSES
from subbit.reference.bounds.rounding import Arithmetic

Change = Callable[[str, Any], Any]
ANSWER = "answer"
"""Name of the only part of an answer that is one array or number."""


def _each(value: Any, change: Change, part: str = ANSWER) -> Any:  # noqa: ANN401
    """Change the numbers of an answer, each with the name of its field."""
    if isinstance(value, Iterator):
        return (_each(item, change) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        held = {f.name: getattr(value, f.name) for f in fields(value)}
        made = {name: _each(x, change, name) for name, x in held.items()}
        return replace(value, **{name: x for name, x in made.items() if x is not held[name]})
    if isinstance(value, tuple):
        named = part == ANSWER and not any(isinstance(x, str) for x in value)
        return tuple(
            _each(x, change, f"{part} {place + 1}" if named else part)
            for place, x in enumerate(value)
        )
    if isinstance(value, float) or getattr(value, "dtype", np.dtype(bool)).kind == "f":
        return change(part, value)
    return value


def _answering(name: str, change: Change) -> Function:
    function = getattr(reference, name)
    if name in CLASSES:
        own = {"hessian": lambda made: change(ANSWER, function.hessian(made))}
        return type(name, (function,), own)

    @functools.wraps(function)
    def changed(*arguments: Any, **switches: Any) -> Any:  # noqa: ANN401
        return _each(function(*arguments, **switches), change)

    return changed


def planted(operation: str, function: str, part: str, share: float) -> Mutant:
    """Return a port that answers with a relative error.

    Parameters
    ----------
    operation : str
        The operation whose cases should reject it.
    function : str
        The function that is wrong.
    part : str
        The part of its answer, one of :func:`parts_of`.
    share : float
        The error.

    Returns
    -------
    Mutant
        The port.

    Examples
    --------
    >>> port = planted("masked_mean", "masked_mean", "answer", 0.5).port
    >>> port.masked_mean(np.array([[2.0, 4.0]]))
    array([4.5])
    """

    def change(name: str, value: Any) -> Any:  # noqa: ANN401
        return value * (1.0 + share) if name == part else value

    return Mutant(operation, f"{part} of {function}", {function: _answering(function, change)})


def parts_of(item: Operation, seeds: list[int]) -> dict[str, set[str]]:
    """Return the parts of the answers to an operation's cases that hold numbers.

    Parameters
    ----------
    item : Operation
        The operation.
    seeds : list of int
        Its cases.

    Returns
    -------
    dict of str to set of str
        Parts by function: names of fields, or ``"answer"``, or ``"answer 2"`` for the second
        of several.

    Examples
    --------
    >>> from subbit.conformance.cases import OPERATIONS
    >>> sorted(parts_of(OPERATIONS["minmax_grid"], [0])["minmax_grid"])
    ['answer 1', 'answer 2']
    """
    found: dict[str, set[str]] = {name: set() for name in item.needs}

    def noted(name: str) -> Change:
        def note(part: str, value: Any) -> Any:  # noqa: ANN401
            if np.any(value):
                found[name].add(part)
            return value

        return note

    honest = {name: getattr(reference, name) for name in reference.__all__}
    own = {name: _answering(name, noted(name)) for name in item.needs}
    port = SimpleNamespace(**honest | own)
    for seed in seeds:
        with np.errstate(all="ignore"):
            item.examine(port, Judge(Arithmetic()), Draw(seed))
    return found
