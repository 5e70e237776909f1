"""Level 2: objectives
===================

Errors on weights and on outputs.
"""

import numpy as np

from subbit import reference
from subbit.conformance.inputs.families import ACTIVATIONS, Array
from subbit.conformance.target import Port
from subbit.reference.bounds import objective as objective_bounds
from subbit.reference.bounds.rounding import Rounded

from .draw import MODERATE, Draw
from .judge import Judge
from .registry import operation


def _images(draw: Draw, *, rows: tuple[int, int] = (1, 6)) -> tuple[Array, Array]:
    W = draw.weights(MODERATE, rows=rows, columns=(1, 50))
    if draw.pick("Q", ("binarized", "other")) == "binarized":
        return W, reference.residual_binarize(W).decode()
    return W, draw.rng.standard_normal(W.shape)


@operation(2)
def _weight_error(port: Port, judge: Judge, draw: Draw) -> None:
    """L1."""
    W, Q = _images(draw)
    judge.bound(
        "error",
        port.weight_error(W, Q),
        objective_bounds.weight_error_bound(W, Q, arithmetic=judge.arithmetic),
    )


@operation(2)
def _calibrated_error(port: Port, judge: Judge, draw: Draw) -> None:
    """L2 from the inputs."""
    W, Q = _images(draw)
    X = draw.inputs(W.shape[1], tuple(ACTIVATIONS)).reshape(-1, W.shape[1])
    judge.bound(
        "error",
        port.calibrated_error(W, Q, X),
        objective_bounds.calibrated_error_bound(W, Q, X, arithmetic=judge.arithmetic),
    )


def _quadratic(port: Port, judge: Judge, draw: Draw, name: str) -> None:
    W, Q = _images(draw)
    S = draw.hessian(W.shape[1], tuple(ACTIVATIONS))
    if name == "relative_error" and np.sum((W @ S) * W) <= 0.0:
        W = W + 1.0
        S = S + np.eye(len(S))
    bound = getattr(objective_bounds, f"{name}_bound")(W, Q, S, arithmetic=judge.arithmetic)
    judge.bound("error", getattr(port, name)(W, Q, S), bound)


@operation(2)
def _calibrated_error_trace(port: Port, judge: Judge, draw: Draw) -> None:
    """L2 from their second moments."""
    _quadratic(port, judge, draw, "calibrated_error_trace")


@operation(2)
def _gram_cost_ratio(port: Port, judge: Judge, draw: Draw) -> None:
    """How much cheaper the Gram matrix makes the calibrated error."""
    n, k = draw.number("rows", 1, 4096), draw.number("columns", 1, 512)
    sizes = (draw.number("rounds", 1, 30), draw.number("batch", 1, 128))
    length = draw.number("length", 1, 2048)
    wanted = np.array(reference.gram_cost_ratio(n, k, *sizes, length))
    allowed = judge.arithmetic.gamma(8) * wanted
    found = port.gram_cost_ratio(n, k, *sizes, length)
    judge.bound("ratio", found, Rounded(wanted, allowed, judge.arithmetic))


@operation(2)
def _relative_error(port: Port, judge: Judge, draw: Draw) -> None:
    """L2 relative to the outputs' energy."""
    _quadratic(port, judge, draw, "relative_error")


@operation(2)
def _proxy_loss(port: Port, judge: Judge, draw: Draw) -> None:
    """Half of the quadratic form in H."""
    _quadratic(port, judge, draw, "proxy_loss")
