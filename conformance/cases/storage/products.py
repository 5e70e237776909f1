"""Level 1: bits of products of sign matrices
==========================================

Signs of both matrices and a scale for each row and column. Bits are whole and have no rounding.
"""

from dataclasses import asdict

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.groups.product_sweeps import draw_product
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import operation
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Rounded


@operation(1, "payload_bits", "nominal_bits", name="bits_of_products", decides=False)
def _bits_of_products(port: Port, judge: Judge, draw: Draw) -> None:
    """Payload bits, part by part, and nominal ones."""
    layer = draw_product(draw.rng, draw.shape((1, 6), (1, 60)), draw.number("rank", 1, 9))
    size = draw.pick("float bits", (16, 32))
    found = asdict(port.payload_bits(layer, float_bits=size))
    for part, number in asdict(reference.payload_bits(layer, float_bits=size)).items():
        judge.exact(part, found.get(part), number)
    wanted = np.array(reference.nominal_bits(layer))
    allowed = 8 * judge.arithmetic.unit_roundoff * wanted
    judge.bound("nominal", port.nominal_bits(layer), Rounded(wanted, allowed, judge.arithmetic))
