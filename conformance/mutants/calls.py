"""Mutants that are wrong about calls, not about numbers
=====================================================

Each answers a first call with plain arrays correctly: what is wrong shows when arrays lie in
memory in another way, when they cannot be written to or are of a narrower type, when an
argument is left out, and when the function is called again.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.asked import snapshot_of
from subbit.conformance.mutants.changes import Function, Mutant
from subbit.conformance.protocol import PROTOCOL
from subbit.reference.notation import AnyArray

SUBJECTS = {
    "masked_mean": ("masked_mean", "W"),
    "trailing_saliency": ("trailing_saliency", "W"),
    "residual_binarize": ("residual_binarize", "W"),
    "nm_mask": ("nm_mask", "S"),
    "proxy_loss": ("proxy_loss", "W"),
    "arb": ("arb", "W"),
    "billm_layer_paper": ("billm_layer", "W"),
    "pbs2p_layer_canonical": ("pbs2p_layer", "W"),
}
"""Operations, the function that each is about, and one of its arguments."""


def _arguments(name: str, places: tuple[Any, ...], names: dict[str, Any]) -> dict[str, Any]:
    parameters = list(_signature(name).parameters)
    return dict(zip(parameters, places, strict=False)) | names


def _signature(name: str) -> inspect.Signature:
    return PROTOCOL[name].signature


def _reading(name: str, argument: str, read: Callable[[AnyArray], Any]) -> Function:
    """Return a function that reads one of its arrays in a way of its own."""
    function = getattr(reference, name)

    @functools.wraps(function)
    def changed(*places: Any, **names: Any) -> Any:  # noqa: ANN401
        given = _arguments(name, places, names)
        return function(**given | {argument: read(given[argument])})

    return changed


def _in_memory_order(x: AnyArray) -> AnyArray:
    return x.ravel(order="K").reshape(x.shape)


def _from_the_first_element(x: AnyArray) -> AnyArray:
    """Take the memory from the first element on as if rows lay one after another."""
    base = x if x.base is None else x.base
    flat = np.asarray(base).ravel(order="K")
    return flat[: x.size].reshape(x.shape) if flat.size >= x.size else x


def _in_place(x: AnyArray) -> AnyArray:
    x *= 1
    return x


def _as_doubles(x: AnyArray) -> AnyArray:
    return x if x.itemsize == 8 and x.dtype.kind == "f" else np.resize(x.view(np.uint8), x.shape)


def _spoils(name: str, argument: str) -> Function:
    """Use an argument as scratch memory."""
    function = getattr(reference, name)

    @functools.wraps(function)
    def changed(*places: Any, **names: Any) -> Any:  # noqa: ANN401
        made = function(*places, **names)
        array = _arguments(name, places, names)[argument]
        if array.flags.writeable:
            array.reshape(-1)[:1] = 0
        return made

    return changed


def _one_workspace(name: str) -> Function:
    """Answer in memory that the next call of the same shape writes to."""
    function = getattr(reference, name)
    kept: dict[Any, tuple[Any, list[AnyArray]]] = {}

    @functools.wraps(function)
    def changed(*places: Any, **names: Any) -> Any:  # noqa: ANN401
        made = function(*places, **names)
        arrays = list(_arrays(made))
        kept_now = kept.setdefault(tuple(x.shape for x in arrays), (made, arrays))
        for old, new in zip(kept_now[1], arrays, strict=True):
            old.flags.writeable = True
            old[...] = new
        return kept_now[0]

    return changed


def _arrays(made: Any) -> Iterator[AnyArray]:  # noqa: ANN401
    if isinstance(made, np.ndarray):
        yield made
    for value in vars(made).values() if hasattr(made, "__dict__") else ():
        for part in value if isinstance(value, tuple) else (value,):
            yield from _arrays(part)


def _remembered(name: str) -> Function:
    """Answer as before where all shapes are as before."""
    function = getattr(reference, name)
    kept: dict[Any, Any] = {}

    @functools.wraps(function)
    def changed(*places: Any, **names: Any) -> Any:  # noqa: ANN401
        given = _arguments(name, places, names)
        key = tuple(
            (n, x.shape) if isinstance(x, np.ndarray) else (n, snapshot_of(x))
            for n, x in sorted(given.items())
        )
        if key not in kept:
            kept[key] = function(**given)
        return kept[key]

    return changed


def _left_out(name: str, argument: str, value: Callable[[AnyArray], Any]) -> Function:
    """Take another value for an argument that is left out."""
    function = getattr(reference, name)

    @functools.wraps(function)
    def changed(*places: Any, **names: Any) -> Any:  # noqa: ANN401
        given = _arguments(name, places, names)
        first = next(iter(given.values()))
        return function(**{argument: value(first)} | given)

    return changed


_DEFAULTS: dict[str, tuple[str, Callable[[AnyArray], Any]]] = {
    "masked_mean": ("mask", lambda W: np.asarray(W) != 0),
    "residual_binarize": ("order", lambda _: 2),
    "arb": ("mask", lambda W: np.asarray(W) > 0),
    "billm_layer_paper": ("config", lambda _: reference.METHODS["billm"].presets["released"]),
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants that are wrong about calls.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, (name, argument) in SUBJECTS.items():
        named: dict[str, Function] = {
            "reads memory in its order": _reading(name, argument, _in_memory_order),
            "strides not looked at": _reading(name, argument, _from_the_first_element),
            "writes to what it is given": _reading(name, argument, _in_place),
            "an argument as scratch memory": _spoils(name, argument),
            "answers in one workspace": _one_workspace(name),
            "remembered by shapes": _remembered(name),
        }
        if operation != "pbs2p_layer_canonical":
            # It has three cases, none of them in a smaller type.
            named["bytes taken for doubles"] = _reading(name, argument, _as_doubles)
        if operation in _DEFAULTS:
            named["another default"] = _left_out(name, *_DEFAULTS[operation])
        for what, function in named.items():
            yield Mutant(operation, what, {name: function})
