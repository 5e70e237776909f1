"""Factors of a product
====================

:mod:`subbit.reference.groups.factors` on a device: dense products, and a Cholesky solver in place
of the inverse factor. The start is the reference's, computed on the host.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import linalg
from subbit.fast.launches.arrays import DeviceArray, exponent, scaled
from subbit.fast.mirror import mirrors


def _unit_rows(device: Device, X: DeviceArray) -> DeviceArray:
    xp = device.xp
    X = scaled(device, X, -exponent(device, X))
    lengths = xp.sqrt(xp.sum(X * X, axis=1, keepdims=True))
    usable = lengths > 0
    return xp.where(usable, X / xp.where(usable, lengths, xp.float32(1)), xp.float32(0))


@mirrors(reference.project_rank_one)
def project_rank_one(device: Device, M: DeviceArray, steps: int = 5) -> DeviceArray:
    """Project a matrix on signs times a rank-one matrix of magnitudes."""
    xp, power = device.xp, exponent(device, M)
    size = scaled(device, xp.abs(M), -power)
    v = xp.ones((1, M.shape[1]), dtype=xp.float32)
    for _ in range(steps):
        u = _unit_rows(device, v @ size.T)
        product = u @ size
        v = _unit_rows(device, product)
    signs = xp.where(M >= 0, xp.float32(1), xp.float32(-1))
    return scaled(device, signs * (u.T * product), power)


def _solved(device: Device, right: DeviceArray, factor: DeviceArray, shift: float) -> DeviceArray:
    xp = device.xp
    gram = factor @ factor.T + xp.float32(shift) * xp.eye(len(factor), dtype=xp.float32)
    L = linalg.cholesky(device, "W", gram)
    half = linalg.solve_triangular(device, L, xp.ascontiguousarray(right.T), lower=True)
    return linalg.solve_triangular(device, L, half, lower=True, transposed=True).T


@mirrors(reference.admm_step)
def admm_step(
    device: Device,
    W: DeviceArray,
    left: DeviceArray,
    right: DeviceArray,
    *,
    left_dual: DeviceArray,
    right_dual: DeviceArray,
    penalty: float,
    ridge: float = 0.03,
    steps: int = 5,
    solves: str = "jacobi",
) -> tuple[DeviceArray, DeviceArray, DeviceArray, DeviceArray]:
    """Take one step of the alternating direction method of multipliers."""
    rho = device.xp.float32(penalty)
    X = _unit_rows(device, right)
    A = _solved(device, W @ X.T + rho * (left - left_dual), X, penalty + ridge)
    new = project_rank_one(device, A + left_dual, steps)
    left_dual = left_dual + A - new
    X = _unit_rows(device, (new if solves == "gauss-seidel" else left).T)
    B = _solved(device, W.T @ X.T + rho * (right - right_dual).T, X, penalty + ridge).T
    newer = project_rank_one(device, B + right_dual, steps)
    return new, newer, left_dual, right_dual + B - newer
