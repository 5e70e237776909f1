"""The proxy Hessian
=================

:mod:`subbit.reference.hessian` on a device: dense linear algebra by its array library,
in float32.
"""

import numpy as np

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray, matrix
from subbit.reference.errors import ArgumentError, HessianError, check_count
from subbit.reference.hessian import PreparedHessian

from .device import Device
from .launches import linalg
from .mirror import mirrors


class HessianAccumulator:
    """Running sum of ``XᵀX`` over calibration sequences.

    Parameters
    ----------
    device : Device
        Device to compute on.
    width : int
        Number of inputs m.
    """

    def __init__(self, device: Device, width: int) -> None:
        shape = (check_count("width", width, 1, 2**17),) * 2
        self._device = device
        self._sum = device.xp.zeros(shape, dtype=device.xp.float32)
        self._count = 0

    @property
    def count(self) -> int:
        """Number of sequences added so far."""
        return self._count

    def add(self, X: DeviceArray) -> None:
        """Add one sequence or a batch of them.

        Parameters
        ----------
        X : array of float32, shape (L, m) or (N, L, m)
            Inputs of one sequence, or of N sequences.

        Raises
        ------
        ArgumentError
            If the last axis is not m, or a number is not finite.
        """
        width = len(self._sum)
        axes = X.ndim if hasattr(X, "ndim") else np.ndim(X)
        batched = axes > self._sum.ndim
        shape = (None, None, width) if batched else (None, width)
        inputs = matrix(self._device, "X", X, shape=shape)
        flat = inputs.reshape(-1, width)
        self._sum += flat.T @ flat
        self._count += len(inputs) if batched else 1

    def hessian(self) -> DeviceArray:
        """Return ``2/N Σ XᵀX``.

        Returns
        -------
        array of float32, shape (m, m)
            The proxy Hessian, symmetric, not damped.

        Raises
        ------
        ArgumentError
            If nothing has been added yet, or the sum leaves the range of float32.
        """
        if self._count == 0:
            raise ArgumentError("X", "at least one calibration sequence", "none")
        result = self._device.xp.float32(2.0 / self._count) * self._sum
        if not bool(self._device.xp.isfinite(result).all()):
            raise ArgumentError("X", "squares within the range of float32", "larger inputs")
        return result


@mirrors(reference.accumulate_hessian)
def accumulate_hessian(device: Device, X: DeviceArray) -> DeviceArray:
    """Compute the proxy Hessian of a whole calibration set."""
    accumulator = HessianAccumulator(device, X.shape[-1])
    accumulator.add(X)
    return accumulator.hessian()


@mirrors(reference.dead_inputs)
def dead_inputs(device: Device, H: DeviceArray) -> DeviceArray:
    """Find the inputs that were zero in every calibration token."""
    return device.xp.diagonal(H) == 0.0


@mirrors(reference.damp)
def damp(device: Device, H: DeviceArray, percdamp: float = 0.01) -> DeviceArray:
    """Put ones on dead diagonals, then add a share of the mean diagonal."""
    xp = device.xp
    damped = H.copy()
    diagonal = xp.diagonal(damped)
    diagonal = xp.where(diagonal == 0.0, xp.float32(1.0), diagonal)
    each = xp.arange(len(damped))
    damped[each, each] = diagonal + xp.float32(percdamp) * xp.mean(diagonal)
    return damped


@mirrors(reference.inverse_factor)
def inverse_factor(device: Device, H: DeviceArray) -> DeviceArray:
    """Compute the upper triangular factor of the inverse Hessian."""
    xp = device.xp
    # With the index order reversed, H = LLᵀ becomes H = VVᵀ with V upper triangular.
    V = linalg.cholesky(device, "H", xp.ascontiguousarray(H[::-1, ::-1]))[::-1, ::-1]
    eye = xp.eye(len(V), dtype=xp.float32)
    U = xp.triu(linalg.solve_triangular(device, xp.ascontiguousarray(V), eye))
    if not bool(xp.isfinite(U).all()):
        raise HessianError("H", "a positive definite matrix", "one that is singular to rounding")
    return U


@mirrors(reference.prepare_hessian)
def prepare_hessian(device: Device, H: DeviceArray, percdamp: float = 0.01) -> PreparedHessian:
    """Find dead inputs, damp and factor a Hessian."""
    damped = damp(device, H, percdamp)
    return PreparedHessian(damped, inverse_factor(device, damped), dead_inputs(device, H))
