"""Kernels of ARB-RC
=================

The launches of ``arb_rc.cu``, which fits row scales and sums over slabs for column
scales in one pass, and of ``arb_rc_columns.cu``, which adds the slabs. The heads of the
files describe the kernels.
"""

import numpy as np

from subbit.fast.device import Device
from subbit.reference.groups.arb_rc import ColumnSigns
from subbit.reference.groups.refinement import Refinement

from .arb import added_to
from .arrays import DeviceArray, exponent
from .kernels import BLOCK, RC_STEPS, WARP, held, kernel
from .state import Groups

SIGNS, START, ROWS, COLUMNS, IMAGE = RC_STEPS.values()
"""Steps of ``rc_pass``."""

SLAB = WARP
"""Rows that one block sums for column scales."""

_TINY = np.finfo(np.float32).tiny
# Powers of two whose inverses float32 also holds.
_POWERS = 126


def unit_of(device: Device, W: DeviceArray, group: DeviceArray, number: int = 0) -> DeviceArray:
    """Return the power of two near a group's largest weight, as a factor and its inverse.

    Parameters
    ----------
    device : Device
        Device to compute on.
    W : array of float32, shape (n, k)
        Weights.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1.
    number : int, default 0
        The group, from 0.

    Returns
    -------
    array of float32, shape (2,)
        ``2**-e, 2**e``: squares of weights times the first stay within float32.
    """
    xp = device.xp
    own = xp.where(group == number + 1, W, xp.float32(0))
    power = xp.clip(exponent(device, own), -_POWERS, _POWERS)
    return xp.ldexp(xp.ones(2, dtype=xp.float32), xp.stack([-power, power]))


def launch_rc_rows(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    plane: int,
    steps: int,
    unit: DeviceArray,
    config: Refinement,
) -> DeviceArray:
    """Launch ``rc_pass``.

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
    plane : int
        The plane whose scales are fitted.
    steps : int
        Sum of the steps that the pass takes.
    unit : array of float32, shape (2,)
        From :func:`unit_of`.
    config : Refinement
        The switches.

    Returns
    -------
    array of float32, shape (2, slabs, k)
        Numerators and denominators of column scales, where the steps include them.
    """
    xp, (n, k) = made.device.xp, W.shape
    order, planes = made.planes_of(number)
    slabs = -(-n // SLAB)
    sums = xp.empty((2, slabs, k), dtype=xp.float32)
    which = kernel("arb_rc.cu", "rc_pass", HELD=held(k), ORDERS=order, PLANE=plane)
    args = (
        *(W, group, *map(np.int32, (number + 1, n, k, steps)), np.float32(config.sign_zero)),
        *(_row_eps(made, group, number, plane, config), unit, made.scale[planes]),
        *(made.columns[planes], made.signs, sums, made.image),
    )
    made.device.launch(which, slabs, BLOCK, args)
    return sums


def _row_eps(
    made: Groups, group: DeviceArray, number: int, plane: int, config: Refinement
) -> DeviceArray:
    xp = made.device.xp
    if config.eps_kind == "absolute" or config.eps == 0.0:
        return added_to(made.device, config.eps)
    signs = xp.where(group == number + 1, made.signs[plane], xp.int8(0))
    columns = made.columns[made.planes_of(number)[1]][plane]
    return added_to(made.device, config.eps, mean=xp.sum((signs * columns) ** 2) / len(group))


def launch_rc_columns(
    made: Groups,
    sums: DeviceArray,
    number: int = 0,
    *,
    plane: int,
    unit: DeviceArray,
    config: Refinement,
    start: bool = False,
) -> None:
    """Launch ``fit_columns``.

    Parameters
    ----------
    made : Groups
        The groups.
    sums : array of float32, shape (2, slabs, k)
        From :func:`launch_rc_rows`.
    number : int, default 0
        The group, from 0.
    plane : int
        The plane whose column scales are fitted.
    unit : array of float32, shape (2,)
        From :func:`unit_of`.
    config : Refinement
        The switches.
    start : bool, default False
        Whether these are start values: no eps, and 0 for a column without entries.
    """
    _, slabs, k = sums.shape
    if start or config.eps == 0.0:
        added = added_to(made.device, 0.0)
    elif config.eps_kind == "relative":
        added = added_to(made.device, config.eps, mean=made.device.xp.sum(sums[1]) / k)
    else:
        added = _absolute_column_eps(made.device, unit, config.eps)
    columns = made.columns[made.planes_of(number)[1]][plane]
    args = (sums, *map(np.int32, (slabs, k, start)), added, columns)
    made.device.launch(kernel("arb_rc_columns.cu", "fit_columns"), -(-k // BLOCK), BLOCK, args)


def _absolute_column_eps(device: Device, unit: DeviceArray, eps: float) -> DeviceArray:
    # Denominators are in units of 4**e; a factor beyond float32 would count as infinite.
    xp = device.xp
    root = unit[:1] * xp.float32(np.sqrt(eps))
    return xp.maximum(xp.minimum(root, xp.float32(2.0**63)) ** 2, xp.float32(_TINY))


def launch_rc_start(
    made: Groups, W: DeviceArray, group: DeviceArray, number: int = 0, *, config: Refinement
) -> None:
    """Compute start values of row scales, column scales and signs: two launches per plane.

    Parameters
    ----------
    made : Groups
        The groups.
    W, group, number, config
        As for :func:`launch_arb`.
    """
    unit = unit_of(made.device, W, group, number)
    _rc_start(made, W, group, number, unit=unit, config=config)


def _rc_start(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int,
    *,
    unit: DeviceArray,
    config: Refinement,
) -> None:
    steps = START | COLUMNS
    for plane in range(made.orders[number]):
        sums = launch_rc_rows(
            made, W, group, number, plane=plane, steps=steps, unit=unit, config=config
        )
        launch_rc_columns(made, sums, number, plane=plane, unit=unit, config=config, start=True)


def launch_rc_step(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    config: Refinement,
    step: str,
    plane: int = 0,
) -> None:
    """Take a single half step.

    Parameters
    ----------
    made : Groups
        The groups.
    W, group, number, config
        As for :func:`launch_arb`.
    step : {"rows", "columns", "signs"}
        The half step.
    plane : int, default 0
        The plane whose scales are fitted.
    """
    unit = unit_of(made.device, W, group, number)
    steps = {"rows": ROWS, "columns": COLUMNS, "signs": SIGNS}[step]
    sums = launch_rc_rows(
        made, W, group, number, plane=plane, steps=steps, unit=unit, config=config
    )
    if step == "columns":
        launch_rc_columns(made, sums, number, plane=plane, unit=unit, config=config)


def launch_arb_rc(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    config: Refinement,
    column_signs: ColumnSigns = "fixed",
) -> None:
    """Fit row and column scales in turn: two launches per plane and round.

    Parameters
    ----------
    made : Groups
        The groups.
    W, group, number, config
        As for :func:`launch_arb`. New signs are chosen in the pass that fits row scales
        next; a relative `eps`, which needs them earlier, has its own pass.
    column_signs : {"fixed", "refreshed"}
        Whether signs are recomputed at order 1.
    """
    unit = unit_of(made.device, W, group, number)
    _rc_start(made, W, group, number, unit=unit, config=config)
    again = made.orders[number] == 2 or column_signs == "refreshed"
    apart = config.eps_kind == "relative" and config.eps > 0.0
    before = 0
    for _ in range(config.iterations):
        for plane in range(made.orders[number]):
            steps = before | ROWS | COLUMNS
            sums = launch_rc_rows(
                made, W, group, number, plane=plane, steps=steps, unit=unit, config=config
            )
            launch_rc_columns(made, sums, number, plane=plane, unit=unit, config=config)
            before = 0
        if again and apart:
            launch_rc_rows(made, W, group, number, plane=0, steps=SIGNS, unit=unit, config=config)
        elif again:
            before = SIGNS
    steps = before | IMAGE
    launch_rc_rows(made, W, group, number, plane=0, steps=steps, unit=unit, config=config)
