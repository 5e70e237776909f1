"""Kernel of ARB
=============

The launches of ``arb.cu``. The head of that file describes the kernel.
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
        The sign plane, from 0.

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
    """Return the eps added to denominators.

    Parameters
    ----------
    device : Device
        Device to compute on.
    eps : float
        The eps of a configuration.
    unit : float or array of the device, default 1.0
        Factor of an absolute `eps`. The product is positive where `eps` is.
    mean : array of the device, optional
        Mean denominators; then `eps` is relative to them.

    Returns
    -------
    array of float32, shape (m,)
        One number, or one per element of `mean`.
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
        How many times the steps are taken; the start is taken once.
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
    # Σ B² counts the nonzero signs: the present ones, or every entry before the start.
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
    """Refine a group on the weight error, from its start values, as a rule in one launch.

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
        The switches. Only if alternating levels have a relative `eps` and signs may be zero
        are denominators averaged over rows before each step; each step is then a launch.
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
