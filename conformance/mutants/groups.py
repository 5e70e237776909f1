"""Changes of groups
=================

Ways in which refinements of groups can be wrong.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Function,
    answers,
    epsilon,
    given,
    single,
    tail,
)
from subbit.reference import BinaryGroup, Refinement

Named = dict[str, Function]


def of_levels(change: Change) -> Change:
    """Change mean and scales of a group.

    Parameters
    ----------
    change : callable
        Change of each level.

    Returns
    -------
    callable
        The change of the group.
    """

    def changed(group: BinaryGroup) -> BinaryGroup:
        planes = []
        for plane in group.planes:
            columns = None if plane.column_scale is None else change(plane.column_scale)
            planes.append(replace(plane, row_scale=change(plane.row_scale), column_scale=columns))
        mean = None if group.mean is None else change(group.mean)
        return replace(group, planes=tuple(planes), mean=mean)

    return changed


def of_signs(change: Change, *places: int) -> Change:
    """Change signs of a group.

    Parameters
    ----------
    change : callable
        Change of the signs.
    *places : int
        Which orders; all by default.

    Returns
    -------
    callable
        The change of the group.
    """

    def changed(group: BinaryGroup) -> BinaryGroup:
        planes = tuple(
            replace(plane, sign=change(plane.sign)) if not places or p in places else plane
            for p, plane in enumerate(group.planes)
        )
        return replace(group, planes=planes)

    return changed


def signs_everywhere(group: BinaryGroup) -> BinaryGroup:
    """Give entries outside the mask a sign too.

    Parameters
    ----------
    group : BinaryGroup
        The group.

    Returns
    -------
    BinaryGroup
        The changed group.
    """
    return of_signs(lambda s: np.where(s == 0, 1, s).astype(np.int8))(group)


def other_gauge(group: BinaryGroup) -> BinaryGroup:
    """Double the row scales without halving the column scales.

    Parameters
    ----------
    group : BinaryGroup
        The group.

    Returns
    -------
    BinaryGroup
        The changed group.
    """
    planes = tuple(replace(plane, row_scale=plane.row_scale * 2) for plane in group.planes)
    return replace(group, planes=planes)


def without_mean(group: BinaryGroup) -> BinaryGroup:
    """Forget the mean.

    Parameters
    ----------
    group : BinaryGroup
        The group.

    Returns
    -------
    BinaryGroup
        The changed group.
    """
    return replace(group, mean=None if group.mean is None else np.zeros(len(group.mean)))


def unmasked(group: BinaryGroup) -> BinaryGroup:
    """Count masked-out entries: a mask of ones with the signs of the group.

    Parameters
    ----------
    group : BinaryGroup
        The group.

    Returns
    -------
    BinaryGroup
        The changed group.
    """
    return replace(group, mask=np.ones_like(group.mask))


def from_changed(name: str, change: Change) -> Function:
    """Return a half step from a changed group, with the group's own mask in its answer.

    Parameters
    ----------
    name : str
        The half step.
    change : callable
        Change of the group.

    Returns
    -------
    callable
        The changed half step.
    """
    function = getattr(reference, name)

    def changed(W: Any, group: BinaryGroup, *rest: Any, **switches: Any) -> BinaryGroup:  # noqa: ANN401
        made: BinaryGroup = function(W, change(group), *rest, **switches)
        return replace(made, mask=group.mask)

    return changed


def alone(group: BinaryGroup) -> BinaryGroup:
    """Forget all scales or, at order 1, the mean.

    Parameters
    ----------
    group : BinaryGroup
        The group.

    Returns
    -------
    BinaryGroup
        The changed group.
    """
    if len(group.planes) == 1:
        return without_mean(group)
    zero = [np.zeros_like(plane.row_scale) for plane in group.planes]
    planes = zip(group.planes, zero, strict=True)
    return replace(group, planes=tuple(replace(p, row_scale=s) for p, s in planes))


def _more(step: int) -> Change:
    def changed(config: Refinement) -> Refinement:
        return config.changed(
            iterations=max(config.iterations + step, 0),
            calibrated_iterations=max(config.calibrated_iterations + step, 0),
        )

    return changed


def identity(S: Any) -> Any:  # noqa: ANN401
    """Ignore a Gram matrix.

    Parameters
    ----------
    S : ndarray of float64, shape (k, k)
        The matrix.

    Returns
    -------
    ndarray of float64, shape (k, k)
        The identity.
    """
    return np.eye(len(S))


def rounds_off(name: str) -> Named:
    """Return functions with one round too many, and one too few.

    Parameters
    ----------
    name : str
        The function.

    Returns
    -------
    dict
        Changed functions by what is wrong.
    """
    return {
        "a round more": given(name, "config", _more(1)),
        "a round less": given(name, "config", _more(-1)),
    }


def imprecise(name: str, argument: str = "W") -> Named:
    """Return functions with lower precision than declared, or with things forgotten or added.

    Parameters
    ----------
    name : str
        The function.
    argument : str, default "W"
        Argument cut to a lower precision.

    Returns
    -------
    dict
        Changed functions by what is wrong.
    """
    return {
        "lower precision than declared": given(name, argument, single),
        "last column forgotten": given(name, argument, tail),
        "lower precision of the answer": answers(name, of_levels(single)),
        "eps in the answer": answers(name, of_levels(epsilon)),
    }


def other_eps(name: str) -> Named:
    """Return functions with an eps other than the one requested.

    Parameters
    ----------
    name : str
        The function.

    Returns
    -------
    dict
        Changed functions by what is wrong.
    """
    return {
        "eps ignored": given(name, "eps", lambda _: 0.0),
        "eps is always absolute": given(name, "eps_kind", lambda _: "absolute"),
        "eps of 1e-3": given(name, "eps", lambda eps: eps + 1e-3),
    }
