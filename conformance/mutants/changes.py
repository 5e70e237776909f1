"""Ways to be wrong
================

Functions of the reference, changed in their arguments or in their answer. A changed
function keeps its signature, so level 0 alone does not find it.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from subbit import reference
from subbit.conformance.inputs.families import Array
from subbit.reference.contracts.settings import domains

Function: TypeAlias = Callable[..., Any]
Change: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True)
class Mutant:
    """A port that is the reference with one function replaced.

    Parameters
    ----------
    operation : str
        The operation whose cases have to reject it.
    name : str
        What is wrong.
    functions : mapping of str to callable
        The replaced functions.
    """

    operation: str
    name: str
    functions: Mapping[str, Function]

    @property
    def port(self) -> SimpleNamespace:
        """The port; it declares nothing, so it computes in float64."""
        honest = {name: getattr(reference, name) for name in reference.__all__}
        return SimpleNamespace(**(honest | dict(self.functions)))


def given(name: str, argument: str, change: Change) -> Function:
    """Return a function of the reference that changes an argument first.

    Parameters
    ----------
    name : str
        The function.
    argument : str
        The argument.
    change : callable
        Change of the argument.

    Returns
    -------
    callable
        The changed function.
    """
    function = getattr(reference, name)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def changed(*arguments: Any, **switches: Any) -> Any:  # noqa: ANN401
        bound = signature.bind(*arguments, **switches)
        bound.apply_defaults()
        bound.arguments[argument] = change(bound.arguments[argument])
        return function(*bound.args, **bound.kwargs)

    return changed


def answers(name: str, change: Change) -> Function:
    """Return a function of the reference that changes its answer.

    Parameters
    ----------
    name : str
        The function.
    change : callable
        Change of the answer.

    Returns
    -------
    callable
        The changed function.
    """
    function = getattr(reference, name)

    @functools.wraps(function)
    def changed(*arguments: Any, **switches: Any) -> Any:  # noqa: ANN401
        return change(function(*arguments, **switches))

    return changed


def inside(name: str, module: str, helper: str, change: Callable[[Function], Function]) -> Function:
    """Return a function of the reference that calls a different helper.

    Parameters
    ----------
    name : str
        The function.
    module : str
        The module of the reference in which the helper is called, such as ``"pbs2p"``.
    helper : str
        The helper's name there.
    change : callable
        ``change(helper)`` is the different helper.

    Returns
    -------
    callable
        The changed function; outside its calls, the reference keeps the original helper.
    """
    function = getattr(reference, name)
    home = importlib.import_module(f"subbit.reference.{module}")

    @functools.wraps(function)
    def changed(*arguments: Any, **switches: Any) -> Any:  # noqa: ANN401
        right = getattr(home, helper)
        setattr(home, helper, change(right))
        try:
            return function(*arguments, **switches)
        finally:
            setattr(home, helper, right)

    return changed


def always(function: Function) -> Callable[[Function], Function]:
    """Return a change of a helper to another function, for :func:`inside`.

    Parameters
    ----------
    function : callable
        The other function.

    Returns
    -------
    callable
        The change.
    """
    return lambda _: function


def eps_of_each_row(ratio: Function) -> Function:
    """Make a relative eps a share of each row's own divisor, not of the mean.

    Parameters
    ----------
    ratio : callable
        :func:`~subbit.reference.least_squares.ratio`.

    Returns
    -------
    callable
        The wrong function.
    """

    def wrong(numerator: Array, denominator: Array, current: Array, eps: float, kind: str) -> Any:  # noqa: ANN401
        own = eps * denominator if kind == "relative" else eps
        return ratio(numerator, denominator, current, own, "absolute")

    return wrong


def switched(name: str, **settings: Any) -> Function:  # noqa: ANN401
    """Return a layer routine that overrides switches of its configuration.

    Parameters
    ----------
    name : str
        The function.
    **settings
        The switches.

    Returns
    -------
    callable
        The changed function.
    """
    return given(name, "config", lambda config: config.changed(**settings))


def other(
    name: str, switch: str, values: Mapping[Any, Any] | Sequence[Any] | None = None
) -> Function:
    """Return a function that takes a setting other than the one requested.

    Parameters
    ----------
    name : str
        The function.
    switch : str
        A switch of its configuration.
    values : mapping or sequence, optional
        Replacement of each setting, or settings of which the first other one is taken; all
        of the switch's domain by default.

    Returns
    -------
    callable
        The changed function.
    """

    def change(config: Any) -> Any:  # noqa: ANN401
        now = config.switches()[switch]
        if isinstance(values, Mapping):
            return config.changed(**{switch: values[now]})
        domain: Any = domains(type(config))[switch]
        options = domain.options if values is None else values
        return config.changed(**{switch: next(x for x in options if x != now)})

    return given(name, "config", change)


def single(x: Any) -> Any:  # noqa: ANN401
    """Cut numbers to float32: lower precision than declared.

    Parameters
    ----------
    x : array_like
        Numbers.

    Returns
    -------
    ndarray of float64
        The numbers in float32 precision.
    """
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def tail(x: Any) -> Any:  # noqa: ANN401
    """Forget the last column: an off-by-one at the end of a row.

    Parameters
    ----------
    x : array_like, shape (..., k)
        Numbers.

    Returns
    -------
    ndarray
        The numbers with zeros in the last column.
    """
    values = np.array(x, dtype=np.float64)
    values[..., -1] = 0.0
    return values


def epsilon(x: Any) -> Any:  # noqa: ANN401
    """Add a small constant, as if to avoid division by zero.

    Parameters
    ----------
    x : float or array_like
        Numbers.

    Returns
    -------
    ndarray
        The numbers plus 1e-6.
    """
    return np.asarray(x) + 1e-6


def everywhere(change: Change) -> Change:
    """Change all arrays of an answer, also in records.

    Parameters
    ----------
    change : callable
        Change of an array.

    Returns
    -------
    callable
        The change of an answer.
    """

    def changed(made: Any) -> Any:  # noqa: ANN401
        if isinstance(made, np.ndarray):
            return change(made)
        if isinstance(made, tuple | list):
            return type(made)(changed(part) for part in made)
        if is_dataclass(made) and not isinstance(made, type):
            parts = {f.name: changed(getattr(made, f.name)) for f in fields(made) if f.init}
            return replace(made, **parts)
        return made

    return changed


def each(change: Change, *places: int) -> Change:
    """Change some members of a tuple.

    Parameters
    ----------
    change : callable
        Change of each member.
    *places : int
        Positions of the members.

    Returns
    -------
    callable
        The change of the tuple.
    """
    return lambda items: tuple(
        change(item) if place in places else item for place, item in enumerate(items)
    )
