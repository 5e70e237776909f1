"""Level 2: error propagation
==========================

The cross Gram matrix, and the weights corrected by it. Deviations and inputs of a case are
drawn apart, since nothing in the equations ties them.
"""

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import ACTIVATIONS, CONTINUOUS
from subbit.conformance.target import Port
from subbit.reference.bounds.propagation import accumulate_cross_bound, propagated_weights_bound

WEIGHTED = (*CONTINUOUS, "tied", "integer", "zero_columns", "zeros")


@operation(2, decides=False)
def _accumulate_cross(port: Port, judge: Judge, draw: Draw) -> None:
    """The cross Gram matrix of a whole calibration set."""
    X = draw.inputs(draw.number("width", 1, 40), tuple(ACTIVATIONS))
    D = draw.values("D", (*X.shape[:2], draw.number("outputs", 1, 12)), WEIGHTED)
    bound = accumulate_cross_bound(D, X, arithmetic=judge.arithmetic)
    judge.bound("C", port.accumulate_cross(D, X), bound)


@operation(2, decides=False)
def _propagated_weights(port: Port, judge: Judge, draw: Draw) -> None:
    """Corrected weights, with and without the residual stream, and with dead inputs."""
    W = draw.weights(WEIGHTED, columns=(1, 32))
    n, m = W.shape
    H = draw.hessian(m)
    # The stated deviations have the scale of the inputs.
    scale = float(np.mean(np.diag(H)))
    cross = scale * draw.values("cross", (m, m), CONTINUOUS)
    residual = None
    if draw.pick("stream", (False, True)):
        residual = scale * draw.values("residual", (n, m), CONTINUOUS)
    dead = np.zeros(m, dtype=bool)
    dead[1:] = draw.rng.random(m - 1) < draw.pick("dead", (0.0, 0.2))
    H[dead], H[:, dead], cross[:, dead] = 0.0, 0.0, 0.0
    config = reference.Propagation(
        alpha=draw.pick("alpha", (0.0, 0.5, 0.7, 1.0)),
        beta=draw.pick("beta", (0.0, 0.3, 1.0)),
        ridge=draw.pick("ridge", (0.01, 0.1, 1.0)),
    )
    bound = propagated_weights_bound(
        W, H, cross, config, residual=residual, arithmetic=judge.arithmetic
    )
    found = port.propagated_weights(W, H, cross, config, residual=residual)
    judge.bound("W*", found, bound)
