"""ARB with row and column scales
==============================

:mod:`subbit.reference.groups.arb_rc` on a device: a pass fits the row scales of a plane and
sums for its column scales with them, slab by slab; a second launch adds the slabs. A
half step is a pass with one of these steps, and gives the same bits. The kernels are
``arb_rc.cu`` and ``arb_rc_columns.cu``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arb_rc import launch_arb_rc, launch_rc_start, launch_rc_step
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.group import numbers, recorded, uploaded, with_scales, with_signs
from subbit.fast.launches.state import Groups
from subbit.fast.mirror import mirrors
from subbit.reference.contracts.door import ALL
from subbit.reference.groups.arb_rc import ColumnSigns
from subbit.reference.groups.refinement import REFINEMENT, Refinement, Steps
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import SignOfZero


@mirrors(reference.rc_start)
def rc_start(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Compute the initial row scales, column scales and signs."""
    made = Groups.blank(device, W.shape, (order,))
    launch_rc_start(made, W, mask.view(device.xp.uint8), config=config)
    return recorded(made, name, to_host(mask), mean=False, columns=True)


@mirrors(reference.refine_row_scale)
def refine_row_scale(
    device: Device,
    W: DeviceArray,
    group: BinaryGroup,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the row scales of one sign plane to the residual of the other."""
    config = Refinement(eps=eps, eps_kind=eps_kind)
    return _fitted(device, W, group, plane, step="rows", config=config)


@mirrors(reference.refine_column_scale)
def refine_column_scale(
    device: Device,
    W: DeviceArray,
    group: BinaryGroup,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the column scales of one sign plane to the residual of the other."""
    config = Refinement(eps=eps, eps_kind=eps_kind)
    return _fitted(device, W, group, plane, step="columns", config=config)


def _fitted(
    device: Device,
    W: DeviceArray,
    group: BinaryGroup,
    plane: int,
    *,
    step: str,
    config: Refinement,
) -> BinaryGroup:
    entries, made = uploaded(device, group)
    launch_rc_step(made, W, entries, step=step, plane=plane, config=config)
    return with_scales(group, numbers(made.scale), numbers(made.columns))


@mirrors(reference.refine_rc_signs)
def refine_rc_signs(
    device: Device, W: DeviceArray, group: BinaryGroup, *, sign_zero: SignOfZero = 1
) -> BinaryGroup:
    """Give every entry the signs of its nearest level, for row and column scales."""
    entries, made = uploaded(device, group)
    launch_rc_step(made, W, entries, step="signs", config=Refinement(sign_zero=sign_zero))
    return with_signs(group, to_host(made.signs))


@mirrors(reference.arb_rc_steps)
def arb_rc_steps(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    column_signs: ColumnSigns = "fixed",
    name: str = "all",
) -> Steps:
    """Yield every half step of ARB-RC, as host records."""
    group = rc_start(device, W, mask, order=order, config=config, name=name)
    yield "start", group
    eps, kind = config.eps, config.eps_kind
    for _ in range(config.iterations):
        for plane in range(order):
            group = refine_row_scale(device, W, group, plane, eps=eps, eps_kind=kind)
            yield "rows", group
            group = refine_column_scale(device, W, group, plane, eps=eps, eps_kind=kind)
            yield "columns", group
        if order == 2 or column_signs == "refreshed":
            group = refine_rc_signs(device, W, group, sign_zero=config.sign_zero)
            yield "signs", group


@mirrors(reference.arb_rc)
def arb_rc(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    column_signs: ColumnSigns = "fixed",
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group with row and column scales and refine them."""
    made = Groups.blank(device, W.shape, (order,))
    entries = mask.view(device.xp.uint8)
    launch_arb_rc(made, W, entries, config=config, column_signs=column_signs)
    return recorded(made, name, to_host(mask), mean=False, columns=True)
