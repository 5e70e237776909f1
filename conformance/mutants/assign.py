"""Mutants of entries assigned column by column, alone and inside whole layers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.settings import METHODS, takes_column_feedback
from subbit.conformance.mutants.changes import (
    Function,
    Mutant,
    always,
    given,
    inside,
    single,
    switched,
)

_ASSIGN = "assign"
_name = "assign_columns"


def _alone(U: Any) -> Any:  # noqa: ANN401
    """Leave out the feedback between columns."""
    return np.diag(np.diag(U))


def _undivided(U: Any) -> Any:  # noqa: ANN401
    diagonal = np.diag(U)
    return np.triu(U, 1) * diagonal[:, None] + np.diag(diagonal)


def _mirrored(assign: Function) -> Function:
    """Go from right to left, as if the factor were that of the columns in this order."""

    def turned(block: Any) -> Any:  # noqa: ANN401
        groups = []
        for group in block.groups:
            planes = []
            for plane in group.planes:
                columns = None if plane.column_scale is None else plane.column_scale[::-1]
                planes.append(replace(plane, sign=plane.sign[:, ::-1], column_scale=columns))
            groups.append(replace(group, mask=group.mask[:, ::-1], planes=tuple(planes)))
        return replace(block, groups=tuple(groups))

    def wrong(W: Any, U: Any, block: Any, *, free: Any = None) -> Any:  # noqa: ANN401
        movable = None if free is None else np.asarray(free)[:, ::-1]
        return turned(assign(np.asarray(W)[:, ::-1], U, turned(block), free=movable))

    return wrong


def _without(field: str) -> Function:
    """Assign as if the groups had no means, or no column scales."""

    def wrong(W: Any, U: Any, block: Any, *, free: Any = None) -> Any:  # noqa: ANN401
        groups = []
        for group in block.groups:
            if field == "mean":
                groups.append(replace(group, mean=None))
                continue
            planes = tuple(replace(plane, column_scale=None) for plane in group.planes)
            groups.append(replace(group, planes=planes))
        made = reference.assign_columns(W, U, replace(block, groups=tuple(groups)), free=free)
        return replace(block, groups=tuple(map(_resigned, block.groups, made.groups)))

    return wrong


def _resigned(group: Any, other: Any) -> Any:  # noqa: ANN401
    planes = zip(group.planes, other.planes, strict=True)
    return replace(group, planes=tuple(replace(p, sign=q.sign) for p, q in planes))


def _greedy(Z: Any, u: Any, _v: Any) -> Any:  # noqa: ANN401
    """Take the first sign alone, then the second of what it leaves."""
    first = reference.sign(np.asarray(Z))
    return first, reference.sign(Z - u * first)


def _last(nearest: Function) -> Function:
    """Take the last of several nearest values."""

    def wrong(Z: Any, u: Any, v: Any) -> Any:  # noqa: ANN401
        first, second = nearest(-np.asarray(Z), u, v)
        return (-first).astype(np.int8), (-second).astype(np.int8)

    return wrong


def _covered(loop: Function) -> Function:
    """Feed no error of entries that are in no group."""

    def wrong(W: Any, U: Any, quantize: Any, *, free: Any = None) -> Any:  # noqa: ANN401
        def kept(current: Any, j: int) -> Any:  # noqa: ANN401
            image = quantize(current, j)
            return np.where(image == 0.0, current[:, j], image)

        return loop(W, U, kept, free=free)

    return wrong


def _negative_zero(Z: Any) -> Any:  # noqa: ANN401
    return np.where(np.asarray(Z) > 0.0, 1, -1).astype(np.int8)


def _fitted(W: Any, U: Any, block: Any, *, free: Any = None) -> Any:  # noqa: ANN401, ARG001
    """Return the block with the signs that it came with."""
    return block


def _in(helper: str, change: Any) -> Function:  # noqa: ANN401
    return inside(_name, _ASSIGN, helper, change)


def _positive(nearest: Function) -> Function:
    return lambda Z, scales: nearest(Z, [np.abs(scale) for scale in scales])


FUNCTIONS: dict[str, Function] = {
    "no feedback": given(_name, "U", _alone),
    "from right to left": _mirrored(reference.assign_columns),
    "all weights free": given(_name, "free", lambda _: None),
    "the others free": given(_name, "free", lambda m: None if m is None else ~np.asarray(m)),
    "not divided by the diagonal": given(_name, "U", _undivided),
    "means ignored": _without("mean"),
    "column scales ignored": _without("column_scale"),
    "scales taken as positive": _in("_nearest", _positive),
    "one sign after the other": _in("joint_signs", always(_greedy)),
    "entries in no group keep their errors": _in("compensate_columns", _covered),
    "the signs of the fit": _fitted,
    "float32": given(_name, "W", single),
}
TIES: dict[str, Function] = {
    "the last of several nearest": _in("joint_signs", _last),
    "zero is negative": _in("sign", always(_negative_zero)),
    "no feedback": FUNCTIONS["no feedback"],
    "all weights free": FUNCTIONS["all weights free"],
    "scales taken as positive": FUNCTIONS["scales taken as positive"],
}


def _of_layers(entry: str) -> dict[str, Function]:
    def assigned(change: Any) -> Function:  # noqa: ANN401
        return inside(entry, "blocks", _name, change)

    def alone(assign: Function) -> Function:
        return lambda W, U, block, *, free=None: assign(W, _alone(U), block, free=free)

    def undivided(assign: Function) -> Function:
        return lambda W, U, block, *, free=None: assign(W, _undivided(U), block, free=free)

    return {
        "column_feedback ignored": switched(entry, column_feedback=False),
        "no feedback between columns": assigned(alone),
        "from right to left": assigned(_mirrored),
        "not divided by the diagonal": assigned(undivided),
        "nothing but feedback between columns": switched(entry, compensation="none"),
    }


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of assigned columns.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in ((_name, FUNCTIONS), (f"exact_{_name}", TIES)):
        for name, function in named.items():
            yield Mutant(operation, name, {_name: function})
    for method, kind in METHODS.items():
        if takes_column_feedback(kind):
            entry = f"{method}_layer"
            for name, function in _of_layers(entry).items():
                yield Mutant(f"{entry}_feedback_settings", name, {entry: function})
    for entry, preset in (
        ("billm_layer", "column_feedback"),
        ("arb_llm_layer", "arb_rc_column_feedback"),
    ):
        for name in (
            "column_feedback ignored",
            "no feedback between columns",
            "from right to left",
        ):
            yield Mutant(f"{entry}_{preset}", name, {entry: _of_layers(entry)[name]})
