"""Level 1: bits of records of Haar coefficients
=============================================

Records that the reference makes, with means that sides share or that are their own, salient
columns or none, dead columns, and sides without entries. Bits are whole and have no rounding.
"""

from dataclasses import asdict

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS
from subbit.conformance.target import Port
from subbit.reference import HBLLM, QuantizedLayer
from subbit.reference.bounds.rounding import Rounded


def _layer(draw: Draw) -> QuantizedLayer:
    W = draw.values("W", draw.shape((1, 4), (1, 20)), (*CONTINUOUS, "tied", "zero_rows"))
    alive = draw.columns(W.shape[1])
    config = HBLLM(
        pairs=draw.pick("pairs", ("columns", "rows")),
        share_mean=draw.pick("share mean", (False, True)),
        counts=draw.pick("counts", ((1, 4), (0, 0), (20, 20))),
        sign_zero=draw.pick("sign of zero", (0, 1)),
        quantiles=3,
        block_size=draw.pick("block size", (128, 7)),
    )
    blocks = [
        reference.hbllm_block(W[:, s], W[:, s] ** 2, alive[s], config, start=s.start)
        for s in reference.block_slices(W.shape[1], config.loop.block_size)
    ]
    return QuantizedLayer((W.shape[0], W.shape[1]), tuple(blocks))


@operation(1, "payload_bits", name="payload_of_transformed", decides=False)
def _payload_of_transformed(port: Port, judge: Judge, draw: Draw) -> None:
    """Sides and signs of coefficients, numbers of sides, shared means once, columns of terms."""
    layer, size = _layer(draw), draw.pick("float bits", (16, 32))
    found = asdict(port.payload_bits(layer, float_bits=size))
    for part, number in asdict(reference.payload_bits(layer, float_bits=size)).items():
        judge.exact(part, found.get(part), number)


@operation(1, "nominal_bits", name="nominal_of_transformed", decides=False)
def _nominal_of_transformed(port: Port, judge: Judge, draw: Draw) -> None:
    """A sign for each coefficient, so a salient column counts twice."""
    layer = _layer(draw)
    wanted = np.array(reference.nominal_bits(layer))
    allowed = 8 * judge.arithmetic.unit_roundoff * wanted
    judge.bound("bits", port.nominal_bits(layer), Rounded(wanted, allowed, judge.arithmetic))
