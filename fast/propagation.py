"""Error propagation
=================

:mod:`subbit.reference.propagation` on a device: dense products, and a Cholesky solver in place
of the inverse factor.
"""

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray
from subbit.reference.propagation import Propagation

from .device import Device
from .hessian import damp
from .launches import linalg
from .mirror import mirrors


@mirrors(reference.accumulate_cross)
def accumulate_cross(device: Device, D: DeviceArray, X: DeviceArray) -> DeviceArray:
    """Compute the cross Gram matrix of deviations and inputs."""
    deviations, inputs = (array.reshape(-1, array.shape[-1]) for array in (D, X))
    return device.xp.float32(2.0 / len(X)) * (deviations.T @ inputs)


@mirrors(reference.propagated_weights)
def propagated_weights(
    device: Device,
    W: DeviceArray,
    H: DeviceArray,
    cross: DeviceArray,
    config: Propagation = Propagation(),
    *,
    residual: DeviceArray | None = None,
) -> DeviceArray:
    """Correct weights for the error of the layers before them."""
    xp = device.xp
    L = linalg.cholesky(device, "H", damp(device, H, config.ridge))
    moved = xp.float32(config.alpha) * (W @ cross)
    if residual is not None:
        moved = moved + xp.float32(config.beta) * residual
    half = linalg.solve_triangular(device, L, xp.ascontiguousarray(moved.T), lower=True)
    return W + linalg.solve_triangular(device, L, half, lower=True, transposed=True).T
