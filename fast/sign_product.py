"""Products of sign matrices
=========================

:mod:`subbit.reference.sign_product` on a device.
"""

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.groups.factors import admm_step
from subbit.fast.groups.product_sweeps import refit_column_scales, refit_row_scales, sweep_signs
from subbit.fast.launches.arrays import DeviceArray, exponent, scaled, to_host
from subbit.fast.launches.group import numbers
from subbit.fast.mirror import mirrors
from subbit.reference.factored import ProductGroup
from subbit.reference.groups.factors import start_signs
from subbit.reference.layer import QuantizedBlock, QuantizedLayer
from subbit.reference.presets.sign_product import SignProduct

from .hessian import prepare_hessian
from .signs import sign


def _factors(
    device: Device, W: DeviceArray, config: SignProduct
) -> tuple[DeviceArray, DeviceArray]:
    xp, (n, m), r = device.xp, W.shape, config.rank(W.shape)
    left = xp.asarray(start_signs(n, r, 2 * config.seed), dtype=xp.float32)
    right = xp.asarray(start_signs(r, m, 2 * config.seed + 1), dtype=xp.float32)
    left_dual, right_dual = xp.zeros_like(left), xp.zeros_like(right)
    for t in range(config.iterations):
        left, right, left_dual, right_dual = admm_step(
            device,
            W,
            left,
            right,
            left_dual=left_dual,
            right_dual=right_dual,
            penalty=config.penalty(t),
            ridge=config.ridge,
            steps=config.power_steps,
            solves=config.solves,
        )
    return left, right


def _magnitudes(device: Device, A: DeviceArray, B: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    xp = device.xp
    lengths = xp.sqrt(xp.sum(A * A, axis=0))
    usable = lengths > 0
    unit = xp.where(usable, xp.abs(A) / xp.where(usable, lengths, xp.float32(1)), xp.float32(0))
    s, c = xp.mean(unit, axis=1), xp.mean(xp.abs(B), axis=0)
    longer = xp.sqrt(xp.sqrt(xp.sum(c * c))), xp.sqrt(xp.sqrt(xp.sum(s * s)))
    if not all(float(length) for length in longer):
        return s, c
    return s * (longer[0] / longer[1]), c * (longer[1] / longer[0])


def _started(
    device: Device, W: DeviceArray, metric: DeviceArray, config: SignProduct
) -> ProductGroup:
    xp, power = device.xp, exponent(device, W)
    A, B = _factors(device, scaled(device, W, -power) * xp.sqrt(metric), config)
    s, c = _magnitudes(device, A, scaled(device, B / xp.sqrt(metric), power))
    return ProductGroup(
        "all",
        np.ones(W.shape, dtype=np.bool_),
        *(to_host(sign(device, X)) for X in (A, B)),
        *(numbers(scale) for scale in (s, c)),
    )


@mirrors(reference.sign_product_layer)
def sign_product_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: SignProduct = SignProduct()
) -> QuantizedLayer:
    """Quantize a layer as one product of two sign matrices."""
    xp = device.xp
    prepared = prepare_hessian(device, H, config.percdamp)
    weights, damped = xp.where(prepared.dead, xp.float32(0), W), prepared.damped
    diagonal, share = xp.diagonal(damped), xp.float32(config.shrinkage)
    metric = (xp.float32(1) - share) * diagonal + share * xp.mean(diagonal)
    group = _started(device, weights, metric, config)
    layer = QuantizedLayer(group.mask.shape, (QuantizedBlock(0, W.shape[1], (group,)),))
    for number in range(config.sweeps + 1):
        if number:
            layer = sweep_signs(device, weights, damped, layer)
        if config.refit:
            layer = refit_row_scales(device, weights, damped, layer)
            layer = refit_column_scales(device, weights, damped, layer)
    return layer
