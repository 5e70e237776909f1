"""Mutants of error propagation."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Function, Mutant, answers, given, single, tail
from subbit.reference import Propagation

CROSS, WEIGHTS = "accumulate_cross", "propagated_weights"


def _setting(**changed: Any) -> Function:  # noqa: ANN401
    return given(WEIGHTS, "config", lambda config: replace(config, **changed))


def _by(change: Callable[..., Any]) -> Function:
    """Return the function with its arguments by name, each changed by the others."""

    def changed(
        W: Any,  # noqa: ANN401
        H: Any,  # noqa: ANN401
        cross: Any,  # noqa: ANN401
        config: Propagation = Propagation(),
        *,
        residual: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        given_ = {"W": W, "H": H, "cross": cross, "config": config, "residual": residual}
        return change(reference.propagated_weights, given_)

    return changed


def _ridge(given_: Mapping[str, Any]) -> dict[str, Any]:
    """Put an absolute ridge in place of the relative one."""
    config, H = given_["config"], np.asarray(given_["H"])
    damped = reference.damp(H, 0.0) + config.ridge * np.eye(len(H))
    return {"H": damped, "config": replace(config, ridge=0.0)}


FUNCTIONS: dict[str, dict[str, Function]] = {
    CROSS: {
        "not doubled": answers(CROSS, lambda C: C / 2),
        "inputs for deviations": lambda D, X: reference.accumulate_cross(
            np.asarray(D) + np.asarray(X)[..., :1], X
        ),
        "per token": lambda D, X: reference.accumulate_cross(D, X) / np.shape(X)[1],
        "other sign": answers(CROSS, np.negative),
        "last sequence forgotten": given(CROSS, "D", lambda D: np.append(D[:-1], 0 * D[-1:], 0)),
        "lower precision than declared": given(CROSS, "X", single),
        "last column forgotten": given(CROSS, "X", tail),
    },
    WEIGHTS: {
        "cross transposed": given(WEIGHTS, "cross", np.transpose),
        "other sign": given(WEIGHTS, "cross", np.negative),
        "alpha ignored": _setting(alpha=1.0),
        "beta ignored": _setting(beta=1.0),
        "alpha for beta": given(WEIGHTS, "config", lambda c: replace(c, beta=c.alpha)),
        "no ridge": _setting(ridge=1e-9),
        "absolute ridge": _by(lambda f, given_: f(**{**given_, **_ridge(given_)})),
        "stream forgotten": given(WEIGHTS, "residual", lambda _: None),
        "correction alone": _by(lambda f, given_: f(**given_) - np.asarray(given_["W"])),
        "lower precision than declared": given(WEIGHTS, "cross", single),
        "last column forgotten": answers(WEIGHTS, tail),
    },
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of error propagation.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in FUNCTIONS.items():
        for what, function in named.items():
            yield Mutant(operation, what, {operation: function})
