"""Mutants of refinements: loops with half steps of their own."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Function,
    Mutant,
    answers,
    eps_of_each_row,
    given,
    inside,
    single,
    switched,
)
from subbit.conformance.mutants.groups import (
    Named,
    from_changed,
    identity,
    imprecise,
    of_levels,
    other_gauge,
    rounds_off,
    without_mean,
)
from subbit.reference import BinaryGroup, Refinement
from subbit.reference.groups.arb_rc import ColumnSigns
from subbit.reference.groups.refinement import REFINEMENT


def _stale_scales() -> Function:
    """Return a fit of the second scale to the remainder of the first before its own fit."""
    before: list[BinaryGroup] = []

    def changed(W: Any, group: BinaryGroup, plane: int = 0, **eps: Any) -> BinaryGroup:  # noqa: ANN401
        if plane == 0:
            before[:] = [group]
            return reference.refine_scale(W, group, plane, **eps)
        made = reference.refine_scale(W, before[0], plane, **eps)
        return replace(group, planes=(group.planes[0], made.planes[1]))

    return changed


def first_only(name: str) -> Function:
    """Return a choice of signs that keeps those of the second order.

    Parameters
    ----------
    name : str
        The function.

    Returns
    -------
    callable
        The changed function.
    """

    def changed(W: Any, group: BinaryGroup, **switches: Any) -> BinaryGroup:  # noqa: ANN401
        made: BinaryGroup = getattr(reference, name)(W, group, **switches)
        return replace(made, planes=(made.planes[0], *group.planes[1:]))

    return changed


def _stays(W: Any, group: BinaryGroup, *_: Any, **_switches: Any) -> BinaryGroup:  # noqa: ANN401, ARG001
    return group


def _arb_loop(**halves: Function) -> Function:
    steps = {name: getattr(reference, name) for name in _ARB_HALVES} | halves

    def loop(
        W: Any,  # noqa: ANN401
        mask: Any = None,  # noqa: ANN401
        *,
        order: int = 1,
        config: Refinement = REFINEMENT,
        name: str = "all",
    ) -> Iterator[tuple[str, BinaryGroup]]:
        group = reference.arb_start(W, mask, order=order, config=config, name=name)
        yield "start", group
        for _ in range(config.iterations):
            if config.levels == "exact":
                group = steps["solve_levels"](W, group)
                yield "levels", group
            else:
                group = steps["refine_mean"](W, group)
                yield "mean", group
                for plane in range(order):
                    group = steps["refine_scale"](
                        W, group, plane, eps=config.eps, eps_kind=config.eps_kind
                    )
                    yield "scale", group
            group = steps["refine_signs"](W, group, sign_zero=config.sign_zero)
            yield "signs", group

    return loop


_ARB_HALVES = ("refine_mean", "refine_scale", "refine_signs", "solve_levels")
_RC_HALVES = ("refine_row_scale", "refine_column_scale", "refine_rc_signs")


def _rc_loop(**halves: Function) -> Function:
    steps = {name: getattr(reference, name) for name in _RC_HALVES} | halves

    def loop(
        W: Any,  # noqa: ANN401
        mask: Any = None,  # noqa: ANN401
        *,
        order: int = 1,
        config: Refinement = REFINEMENT,
        column_signs: ColumnSigns = "fixed",
        name: str = "all",
    ) -> Iterator[tuple[str, BinaryGroup]]:
        group = reference.rc_start(W, mask, order=order, config=config, name=name)
        yield "start", group
        eps: dict[str, Any] = {"eps": config.eps, "eps_kind": config.eps_kind}
        for _ in range(config.iterations):
            for plane in range(order):
                group = steps["refine_row_scale"](W, group, plane, **eps)
                yield "rows", group
                group = steps["refine_column_scale"](W, group, plane, **eps)
                yield "columns", group
            if order == 2 or column_signs == "refreshed":
                group = steps["refine_rc_signs"](W, group, sign_zero=config.sign_zero)
                yield "signs", group

    return loop


def _last(loop: Function) -> Function:
    """Return the function whose answer is the last state of a loop."""

    def changed(*arguments: Any, **switches: Any) -> BinaryGroup:  # noqa: ANN401
        *_, (_, group) = loop(*arguments, **switches)
        return group

    return changed


def columns_first(W: Any, group: BinaryGroup, plane: int = 0, **eps: Any) -> BinaryGroup:  # noqa: ANN401
    """Fit columns to the row scales of the start.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    group : BinaryGroup
        The state.
    plane : int, default 0
        Sign plane to fit.
    **eps
        As in the reference.

    Returns
    -------
    BinaryGroup
        The state with wrong column scales.
    """
    old = reference.rc_start(W, group.mask, order=len(group.planes)).planes[plane]
    planes = list(group.planes)
    planes[plane] = replace(planes[plane], row_scale=old.row_scale)
    made = reference.refine_column_scale(W, replace(group, planes=tuple(planes)), plane, **eps)
    planes[plane] = replace(made.planes[plane], row_scale=group.planes[plane].row_scale)
    return replace(group, planes=tuple(planes))


def width_mean(W: Any, group: BinaryGroup) -> BinaryGroup:  # noqa: ANN401
    """Divide the mean of the remainder by the width of the block.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    group : BinaryGroup
        The state.

    Returns
    -------
    BinaryGroup
        The state with a wrong mean.
    """
    share = np.count_nonzero(group.mask, axis=1) / group.mask.shape[1]
    new = reference.refine_mean(W, group).mean
    old = np.zeros(len(share)) if group.mean is None else group.mean
    return replace(group, mean=old + ((0.0 if new is None else new) - old) * share)


ARB_LOOPS: Mapping[str, Mapping[str, Function]] = {
    "mean not refreshed": {"refine_mean": _stays},
    "mean divided by the width": {"refine_mean": width_mean},
    "only the first sign": {"refine_signs": first_only("refine_signs")},
    "mean forgotten in the signs": {"refine_signs": from_changed("refine_signs", without_mean)},
    "old scale of the other order": {"refine_scale": _stale_scales()},
}
RC_LOOPS: Mapping[str, Mapping[str, Function]] = {
    "columns from old row scales": {"refine_column_scale": columns_first},
    "signs never refreshed": {"refine_rc_signs": _stays},
    "only the first sign": {"refine_rc_signs": first_only("refine_rc_signs")},
    "row scales never refined": {"refine_row_scale": _stays},
}


def resigned(name: str) -> Function:
    """Return a calibrated refinement that recomputes its signs at the end.

    Parameters
    ----------
    name : str
        The function.

    Returns
    -------
    callable
        The changed function.
    """
    function = getattr(reference, name)

    def changed(W: Any, group: Any, *rest: Any, **switches: Any) -> BinaryGroup:  # noqa: ANN401
        return reference.refine_signs(W, function(W, group, *rest, **switches))

    return changed


def _resigned_steps(*arguments: Any, **switches: Any) -> Iterator[tuple[str, BinaryGroup]]:  # noqa: ANN401
    for name, group in reference.arb_x_steps(*arguments, **switches):
        yield name, group if name == "start" else reference.refine_signs(arguments[0], group)


def _drop_last(steps: Any) -> Any:  # noqa: ANN401
    return iter(list(steps)[:-1])


def _in_steps(change: Change, *names: str) -> Change:
    """Change the states after steps with the given names."""
    return lambda steps: ((n, change(g) if n in names else g) for n, g in steps)


LOOPS: dict[str, Named] = {
    "arb_steps": {
        **rounds_off("arb_steps"),
        **{name: _arb_loop(**halves) for name, halves in ARB_LOOPS.items()},
        "last signs not taken": answers("arb_steps", _drop_last),
        "eps of 1e-3": switched("arb_steps", eps=1e-3),
        "lower precision of the scales": answers(
            "arb_steps", _in_steps(of_levels(single), "scale", "levels")
        ),
    },
    "arb_x_steps": {
        **rounds_off("arb_x_steps"),
        "S ignored": given("arb_x_steps", "S", identity),
        "signs refreshed": _resigned_steps,
        "always from the standard start": switched("arb_x_steps", calibrated_start="standard"),
        "always from the refined start": switched("arb_x_steps", calibrated_start="refined"),
        "eps of 1e-3": switched("arb_x_steps", calibrated_eps=1e-3),
        "lower precision of the means": answers(
            "arb_x_steps", _in_steps(of_levels(single), "mean", "levels")
        ),
    },
    "arb_rc_steps": {
        **rounds_off("arb_rc_steps"),
        **{name: _rc_loop(**halves) for name, halves in RC_LOOPS.items()},
        "other gauge": answers("arb_rc_steps", _in_steps(other_gauge, "columns")),
        "eps of 1e-3": switched("arb_rc_steps", eps=1e-3),
        "lower precision of the columns": answers(
            "arb_rc_steps", _in_steps(of_levels(single), "columns")
        ),
    },
    "arb": {
        **rounds_off("arb"),
        **{name: _last(_arb_loop(**halves)) for name, halves in ARB_LOOPS.items()},
        "divided by the width": switched("arb", divisor="width"),
        "eps of 1e-3": switched("arb", eps=1e-3),
        **imprecise("arb"),
    },
    "arb_x": {
        **rounds_off("arb_x"),
        "eps of each row": inside("arb_x", "groups.arb_x", "ratio", eps_of_each_row),
        "S ignored": given("arb_x", "S", identity),
        "signs refreshed": resigned("arb_x"),
        "always from the standard start": switched("arb_x", calibrated_start="standard"),
        "always from the refined start": switched("arb_x", calibrated_start="refined"),
        "eps of 1e-3": switched("arb_x", calibrated_eps=1e-3),
        **imprecise("arb_x"),
    },
    "arb_rc": {
        **rounds_off("arb_rc"),
        **{name: _last(_rc_loop(**halves)) for name, halves in RC_LOOPS.items()},
        "other gauge of the rows alone": answers("arb_rc", other_gauge),
        "eps of 1e-3": switched("arb_rc", eps=1e-3),
        **imprecise("arb_rc"),
    },
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of loops.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in LOOPS.items():
        for name, function in named.items():
            yield Mutant(operation, name, {operation: function})
