"""Level 3: products of sign matrices
==================================

The record's form and its rank are exact. Its values are compared with the reference's where
neither rounding nor a tie decides a sign, and its objective always is.
"""

from functools import partial
from math import ceil

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.product_sweeps import product_form
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.layers import INPUTS, judge_objective
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.cases.settings import judge_decoded
from subbit.conformance.inputs.families import CONTINUOUS
from subbit.conformance.target import Port
from subbit.reference import SignProduct

FINEST = 1024
"""Payloads are drawn in steps of so many to a bit."""


def draw_config(draw: Draw, shape: tuple[int, int]) -> SignProduct:
    """Draw a configuration whose payload a small layer can keep to.

    Parameters
    ----------
    draw : Draw
        The case.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    SignProduct
        The configuration; its rank is small.
    """
    (n, m), rank = shape, draw.number("rank", 1, 6)
    return SignProduct(
        payload=ceil((rank + 16) * (n + m) * FINEST / (n * m)) / FINEST,
        rank_step=draw.pick("rank step", (1, 1, 2)) if rank > 1 else 1,
        iterations=draw.pick("iterations", (0, 1, 4) if not draw.least else (1,)),
        schedule=draw.pick("schedule", ("linear", "cubic")),
        solves=draw.pick("solves", ("jacobi", "gauss-seidel")),
        ridge=draw.pick("ridge", (0.03, 0.3)),
        power_steps=draw.pick("power steps", (5, 2)),
        shrinkage=draw.pick("shrinkage", (0.0, 0.4)),
        refit=draw.pick("refit", (True, False)),
        sweeps=draw.pick("sweeps", (0, 1, 2) if not draw.least else (1,)),
        seed=draw.pick("seed", (0, 7)),
    )


@operation(3, large=LARGE, decides=False, rarely=True)
def _sign_product_layer(port: Port, judge: Judge, draw: Draw) -> None:
    """Form, rank, values and objective of a layer."""
    W = draw.weights(CONTINUOUS, columns=(1, 32))
    H = draw.hessian(W.shape[1], INPUTS)
    config = draw_config(draw, W.shape)
    layer = port.sign_product_layer(W, H, config)
    if not product_form(judge, layer, W.shape, config.rank(W.shape)):
        return
    reading = partial(reference.sign_product_layer, config=config)
    judge_decoded(judge, layer, W, H, reading, coupled=True)
    judge_objective(judge, W, H, layer, reading)
