"""Linear algebra on a device
==========================

The parts of ``device.linalg`` that the fast path needs, with the errors of the reference.
"""

import numpy as np

from subbit.fast.device import Device
from subbit.reference.errors import HessianError

from .arrays import DeviceArray


def cholesky(device: Device, argument: str, A: DeviceArray) -> DeviceArray:
    """Return the lower triangular factor of a positive definite matrix.

    Parameters
    ----------
    device : Device
        Device to compute on.
    argument : str
        Name to put in the error.
    A : array of float32, shape (m, m)
        The matrix.

    Returns
    -------
    array of float32, shape (m, m)
        ``L`` with ``A = LLᵀ``.

    Raises
    ------
    HessianError
        If the matrix is not positive definite.
    """
    try:
        factor = device.linalg.cholesky(A, lower=True)
    except np.linalg.LinAlgError as error:
        raise HessianError(argument, "a positive definite matrix", str(error)) from error
    if not bool(device.xp.isfinite(factor).all()):
        raise HessianError(argument, "a positive definite matrix", "one that is not")
    return factor


def solve_triangular(
    device: Device,
    A: DeviceArray,
    b: DeviceArray,
    *,
    lower: bool = False,
    transposed: bool = False,
    unit_diagonal: bool = False,
) -> DeviceArray:
    """Solve ``A x = b`` for a triangular matrix.

    Parameters
    ----------
    device : Device
        Device to compute on.
    A : array of float32, shape (m, m)
        Triangular matrix.
    b : array of float32, shape (m, r)
        Right-hand sides.
    lower, transposed, unit_diagonal : bool, default False
        Whether `A` is lower triangular; whether ``Aᵀ x = b`` is meant; whether the
        diagonal counts as ones.

    Returns
    -------
    array of float32, shape (m, r)
        ``x``.
    """
    return device.linalg.solve_triangular(
        A, b, trans=int(transposed), lower=lower, unit_diagonal=unit_diagonal
    )


def inverse_diagonal(device: Device, argument: str, A: DeviceArray) -> DeviceArray:
    """Return the diagonal of an inverse.

    Parameters
    ----------
    device : Device
        Device to compute on.
    argument : str
        Name to put in the error.
    A : array of float32, shape (m, m)
        Positive definite matrix.

    Returns
    -------
    array of float32, shape (m,)
        ``[A⁻¹]_jj``, from ``A = LLᵀ`` as the squared columns of ``L⁻¹``.

    Raises
    ------
    HessianError
        If `A` is not positive definite.
    """
    xp = device.xp
    L = cholesky(device, argument, A)
    inverse = solve_triangular(device, L, xp.eye(len(L), dtype=xp.float32), lower=True)
    return xp.sum(inverse**2, axis=0)
