"""Kernel of ARB
=============

The launches of ``arb.cu``. What the kernel computes stands at the head of its file.
"""

import numpy as np

from subbit.fast.device import Device
from subbit.reference.groups.refinement import Refinement

from .arrays import DeviceArray
from .kernels import ARB_STEPS, held, kernel, over_rows
from .state import Groups

START, MEAN, LEVELS, SIGNS = (ARB_STEPS[name] for name in ("START", "MEAN", "LEVELS", "SIGNS"))
"""Steps of ``arb_refine``; see :func:`scale_step` for the scales."""

_TINY = np.finfo(np.float32).tiny


def scale_step(plane: int) -> int:
    """Return the step of ``arb_refine`` that fits the scale of a plane.

    Parameters
    ----------
    plane : int
        Which sign plane.

    Returns
    -------
    int
        4 or 8.

    Examples
    --------
    >>> scale_step(1)
    8
    """
    return ARB_STEPS["SCALE"] << plane


def added_to(
    device: Device, eps: float, unit: DeviceArray | float = 1.0, *, mean: DeviceArray | None = None
) -> DeviceArray:
    """Return what is added to denominators.

    Parameters
    ----------
    device : Device
        Where to compute.
    eps : float
        As in a configuration.
    unit : float or array of the device, default 1.0
        What an absolute `eps` is multiplied by. The product is more than 0 where
        `eps` is.
    mean : array of the device, optional
        Mean denominators; then `eps` is relative to them.

    Returns
    -------
    array of float32, shape (m,)
        One number, or one for each of `mean`.
    """
    xp = device.xp
    factor = xp.asarray(unit if mean is None else mean, dtype=xp.float32).reshape(-1)
    share = factor * xp.float32(eps)
    return share if mean is not None or not eps else xp.maximum(share, xp.float32(_TINY))


def launch_arb_steps(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    steps: int,
    rounds: int = 1,
    config: Refinement,
) -> None:
    """Launch ``arb_refine``: the start, or rounds of the given steps, or both.

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
    steps : int
        Sum of `START`, `MEAN`, `LEVELS`, `SIGNS` and :func:`scale_step`.
    rounds : int, default 1
        How often the steps are taken; the start is taken once.
    config : Refinement
        The switches.
    """
    n, k = W.shape
    order, planes = made.planes_of(number)
    which = kernel("arb.cu", "arb_refine", HELD=held(k), ORDERS=order)
    width, plain = config.divisor == "width", config.initial_signs == "plain"
    switches = (number + 1, n, k, steps, rounds, width, plain)
    args = (
        *(W, group, *map(np.int32, switches), np.float32(config.sign_zero)),
        *(_scale_eps(made, group, number, steps, config), made.mean[number]),
        *(made.scale[planes], made.signs, made.image),
    )
    over_rows(made.device, which, n, args)


def _scale_eps(
    made: Groups, group: DeviceArray, number: int, steps: int, config: Refinement
) -> DeviceArray:
    # Σ B² counts the signs that are not zero: those there are, or all that there will be.
    xp = made.device.xp
    if config.eps_kind == "absolute" or config.eps == 0.0:
        return added_to(made.device, config.eps)
    entries = group == number + 1
    if not steps & START:
        plane = 1 if steps & scale_step(1) else 0
        entries = entries & (made.signs[plane] != 0)
    return added_to(made.device, config.eps, mean=xp.sum(entries) / len(group))


def launch_arb(
    made: Groups, W: DeviceArray, group: DeviceArray, number: int = 0, *, config: Refinement
) -> None:
    """Refine a group on the weight error, from its start values: one launch.

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
        The switches. Only if a relative `eps` meets signs that may be zero, its
        denominators have to be averaged over rows before each step, and each is a
        launch.
    """
    scales = [scale_step(p) for p in range(made.orders[number])]
    steps = [LEVELS, SIGNS] if config.levels == "exact" else [MEAN, *scales, SIGNS]
    averaged = config.eps_kind == "relative" and config.eps > 0.0 and config.sign_zero == 0
    if averaged and config.levels == "alternate":
        launch_arb_steps(made, W, group, number, steps=START, rounds=0, config=config)
        for step in config.iterations * steps:
            launch_arb_steps(made, W, group, number, steps=step, config=config)
    else:
        every = START | sum(steps)
        rounds = config.iterations
        launch_arb_steps(made, W, group, number, steps=every, rounds=rounds, config=config)
