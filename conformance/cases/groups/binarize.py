"""Level 2: binarization
=====================

Means, scales and signs of one order and of several.
"""

from subbit.conformance.cases.draw import BROAD, VAST, Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.target import Port
from subbit.reference.bounds.groups.binarize import (
    masked_mean_bound,
    masked_scale_bound,
)

from .judged import binary_group, once


@operation(2)
def _masked_mean(port: Port, judge: Judge, draw: Draw) -> None:
    """Row means under a mask."""
    W = draw.weights()
    mask = draw.mask((W.shape[0], W.shape[1]))
    judge.bound(
        "means",
        port.masked_mean(W, mask),
        masked_mean_bound(W, mask, arithmetic=judge.arithmetic),
    )


@operation(2)
def _masked_scale(port: Port, judge: Judge, draw: Draw) -> None:
    """Row scales under a mask, about a given mean or about zero."""
    W = draw.weights()
    mask = draw.mask((W.shape[0], W.shape[1]))
    mean = W[:, 0] if draw.pick("mean", ("given", "none")) == "given" else None
    judge.bound(
        "scales",
        port.masked_scale(W, mask, mean),
        masked_scale_bound(W, mask, mean, arithmetic=judge.arithmetic),
    )


@operation(2)
def _binarize_once(port: Port, judge: Judge, draw: Draw) -> None:
    """One order: mean, scale and signs."""
    W, mode = draw.weights(), draw.mode()
    mask = draw.mask((W.shape[0], W.shape[1]))
    mean, scale, signs = (host(x) for x in port.binarize_once(W, mask, **mode))
    once(judge, W, mask, (mean, scale, signs), mode)


@operation(2, keeps=True, large=(*LARGE, BROAD + 1, VAST, VAST + 1))
def _residual_binarize(port: Port, judge: Judge, draw: Draw) -> None:
    """All orders of a group, each from the port's own signs before it."""
    W, mode, order = draw.weights(), draw.mode(), draw.pick("order", (1, 2, 3))
    mask = draw.mask((W.shape[0], W.shape[1]))
    group = port.residual_binarize(W, mask, order=order, name="salient", **mode)
    judge.form("name", group.name, "salient")
    binary_group(judge, judge.arithmetic.read(W), mask, group, order=order, mode=mode)
