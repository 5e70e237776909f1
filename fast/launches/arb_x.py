"""Kernels of ARB-X
================

Products with the Gram matrix by the device's linear algebra, then one launch of
``arb_x.cu``. The head of that file describes its kernels.
"""

from dataclasses import dataclass

import numpy as np

from subbit.fast.device import Device
from subbit.reference.groups.refinement import Refinement

from .arb import added_to, launch_arb
from .arrays import DeviceArray, exponent, scaled
from .kernels import held, kernel, over_rows
from .state import Groups

VANISHING = 2.0**-17
"""Share of ``Σ e² · Σ e² diag(S)`` below which a denominator without eps is rounding."""

DEPENDENT = 2.0**-16
"""Share of ``G_pp`` below which a variable of a joint fit depends on others."""

# Powers of two whose inverses float32 also holds.
_POWERS = 126


@dataclass(frozen=True)
class Gram:
    """A Gram matrix scaled so that sums of its entries stay within float32.

    Parameters
    ----------
    values : array of float32, shape (k, k)
        ``S · 2**-power``, whose magnitudes add up to at most 1.
    diagonal : array of float32, shape (k,)
        Its diagonal.
    power : array of int32, shape ()
        The power.
    """

    values: DeviceArray
    diagonal: DeviceArray
    power: DeviceArray


def gram(device: Device, S: DeviceArray) -> Gram:
    """Bring a Gram matrix into range; the levels of a group do not depend on its scale.

    Parameters
    ----------
    device : Device
        Device that holds it.
    S : array of float32, shape (k, k)
        Gram matrix.

    Returns
    -------
    Gram
        Input of :func:`launch_calibration`.
    """
    xp = device.xp
    power = exponent(device, S) + 2 * (len(S) - 1).bit_length()
    values = scaled(device, S, -power)
    return Gram(values, xp.ascontiguousarray(xp.diagonal(values)), power)


def averages_denominators(config: Refinement) -> bool:
    """Return whether the eps added to denominators depends on all rows.

    Parameters
    ----------
    config : Refinement
        The switches.

    Returns
    -------
    bool
        True for a relative `calibrated_eps` that is not zero.
    """
    return config.eps_kind == "relative" and config.calibrated_eps > 0.0


def basis_of(made: Groups, group: DeviceArray, number: int = 0) -> DeviceArray:
    """Return mask and signs of a group as numbers.

    Parameters
    ----------
    made : Groups
        The groups.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1.
    number : int, default 0
        The group, from 0.

    Returns
    -------
    array of float32, shape (1 + order, n, k)
        ``m, b_1, b_2``.
    """
    xp = made.device.xp
    order, _ = made.planes_of(number)
    own = group == number + 1
    planes = xp.where(own, made.signs[:order], xp.int8(0))
    return xp.concatenate([own[None], planes]).astype(xp.float32)


def products_of(basis: DeviceArray, S: DeviceArray) -> DeviceArray:
    """Multiply mask and signs by the Gram matrix: one product for any number of planes.

    Parameters
    ----------
    basis : array of float32, shape (p, n, k)
        Mask and signs.
    S : array of float32, shape (k, k)
        Gram matrix.

    Returns
    -------
    array of float32, shape (p, n, k)
        The products.
    """
    # (p, n, k) -> (p n, k) -> (p, n, k)
    return (basis.reshape(-1, len(S)) @ S).reshape(basis.shape)


def calibrated_eps(
    device: Device, basis: DeviceArray, products: DeviceArray, S: Gram, config: Refinement
) -> DeviceArray:
    """Return the eps added to the denominators of a fit.

    Parameters
    ----------
    device : Device
        Device to compute on.
    basis, products : array of float32, shape (p, n, k)
        Mask and signs, and their products with the Gram matrix.
    S : Gram
        Gram matrix of the inputs.
    config : Refinement
        The switches.

    Returns
    -------
    array of float32, shape (p,)
        For each variable, in units of the scaled Gram matrix.
    """
    if averages_denominators(config):
        mean = device.xp.sum(products * basis, axis=(1, 2)) / basis.shape[1]
        return added_to(device, config.calibrated_eps, mean=mean)
    return absolute_eps(device, len(basis), S, config)


def absolute_eps(device: Device, count: int, S: Gram, config: Refinement) -> DeviceArray:
    """Return an absolute eps in units of the scaled Gram matrix.

    Parameters
    ----------
    device : Device
        Device to compute on.
    count : int
        Number of variables.
    S : Gram
        Gram matrix of the inputs.
    config : Refinement
        The switches.

    Returns
    -------
    array of float32, shape (count,)
        The same for each variable.
    """
    xp = device.xp
    power = xp.clip(-S.power, -_POWERS, _POWERS)
    unit = xp.ldexp(xp.float32(1), power)
    return xp.repeat(added_to(device, config.calibrated_eps, unit), count)


def launch_start(
    made: Groups, W: DeviceArray, group: DeviceArray, number: int = 0, *, config: Refinement
) -> None:
    """Binarize a group to the state that calibrated fits start from: one launch.

    Parameters
    ----------
    made : Groups
        The groups.
    W : array of float32, shape (n, k)
        Weights.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1.
    number : int, default 0
        The group, from 0.
    config : Refinement
        The switches.
    """
    refined = config.calibrated_start == "refined"
    start = config if refined else config.changed(iterations=0)
    launch_arb(made, W, group, number, config=start)


def launch_sweeps(
    made: Groups,
    target: DeviceArray,
    group: DeviceArray,
    *,
    sweeps: int,
    S: Gram,
    config: Refinement,
) -> None:
    """Fit the levels of each group to the residual of the others.

    Parameters
    ----------
    made : Groups
        The groups.
    target : array of float32, shape (n, k)
        Values that the groups together have to match.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1.
    sweeps : int
        Rounds over all groups that have signs.
    S : Gram
        Gram matrix of the inputs.
    config : Refinement
        The switches.
    """
    signed = [number for number, order in enumerate(made.orders) if order]
    for number in sweeps * signed:
        # The residual of the others is W − Σ_{h≠g} Ŵ_h: all of W inside the group.
        rest = made.device.xp.where(group == number + 1, target, target - made.image)
        launch_calibration(made, rest, group, number, S=S, config=config, whole=True)


def launch_calibration(
    made: Groups,
    target: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    S: Gram,
    config: Refinement,
    whole: bool = False,
) -> None:
    """Refine mean and scales on the calibrated error: a product and one launch.

    Parameters
    ----------
    made : Groups
        The groups.
    target : array of float32, shape (n, k)
        Values that the group has to match.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1.
    number : int, default 0
        The group, from 0; it has a mean, scales and signs already.
    S : Gram
        Gram matrix of the inputs.
    config : Refinement
        The switches.
    whole : bool, default False
        Whether `target` counts outside the group too, for groups that are coupled.
    """
    n, k = target.shape
    order, planes = made.planes_of(number)
    basis = basis_of(made, group, number)
    products = products_of(basis, S.values)
    which = kernel("arb_x.cu", "calibrated_levels", HELD=held(k), ORDERS=order)
    exact = config.levels == "exact"
    vanishing = VANISHING if exact or config.calibrated_eps == 0.0 else 0.0
    args = (
        *(target, products, group, *map(np.int32, (number + 1, n, k)), S.diagonal, made.signs),
        *map(np.int32, (whole, exact, config.calibrated_iterations)),
        *map(np.float32, (vanishing, DEPENDENT)),
        *(calibrated_eps(made.device, basis, products, S, config), made.mean[number]),
        *(made.scale[planes], made.image),
    )
    over_rows(made.device, which, n, args)


def launch_calibrated_sums(
    made: Groups,
    target: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    S: Gram,
    whole: bool = False,
) -> tuple[DeviceArray, DeviceArray]:
    """Launch ``calibrated_sums``.

    Parameters
    ----------
    made : Groups
        The groups.
    target, group, number, S, whole
        As for :func:`launch_calibration`.

    Returns
    -------
    gram : array of float32, shape (n, p, p)
        Gram matrices of mask and signs, in units of ``2**S.power``.
    right : array of float32, shape (n, p)
        Their products with the target, likewise.
    """
    xp, (n, k) = made.device.xp, target.shape
    order, _ = made.planes_of(number)
    products = products_of(basis_of(made, group, number), S.values)
    which = kernel("arb_x.cu", "calibrated_sums", HELD=held(k), ORDERS=order)
    G = xp.empty((n, order + 1, order + 1), dtype=xp.float32)
    g = xp.empty((n, order + 1), dtype=xp.float32)
    numbers = map(np.int32, (number + 1, n, k))
    args = (target, products, group, *numbers, S.diagonal, made.signs, np.int32(whole), G, g)
    over_rows(made.device, which, n, args)
    return G, g


def launch_calibrated_step(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    S: Gram,
    config: Refinement,
    level: int,
) -> None:
    """Launch ``calibrated_fit``: one level, from the residual of the others.

    Parameters
    ----------
    made : Groups
        The groups.
    W, group, number, S, config
        As for :func:`launch_calibration`.
    level : int
        0 for the mean, p for the scale of plane p - 1.
    """
    n, k = W.shape
    order, planes = made.planes_of(number)
    basis = basis_of(made, group, number)[level : level + 1]
    product = products_of(basis, S.values)
    which = kernel("arb_x.cu", "calibrated_fit", HELD=held(k), ORDERS=order)
    vanishing = np.float32(VANISHING if config.calibrated_eps == 0.0 else 0.0)
    args = (
        *(W, product, group, *map(np.int32, (number + 1, n, k)), S.diagonal, made.signs),
        *(np.int32(level), vanishing, calibrated_eps(made.device, basis, product, S, config)),
        *(made.mean[number], made.scale[planes]),
    )
    over_rows(made.device, which, n, args)
