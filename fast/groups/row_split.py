"""Split of each row
=================

:mod:`subbit.reference.groups.row_split` on a device. The kernel is ``row_split.cu``; quantiles
are those of the array library's sorted rows.
"""

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.group import numbers
from subbit.fast.launches.row_splits import row_halves
from subbit.fast.mirror import mirrors
from subbit.reference.groups.row_split import SplitScale
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.notation import SignOfZero


@mirrors(reference.row_split)
def row_split(
    device: Device,
    X: DeviceArray,
    *,
    levels: int = 41,
    scale: SplitScale = "mean_abs",
    share_mean: bool = False,
    sign_zero: SignOfZero = 1,
) -> tuple[BinaryGroup, BinaryGroup]:
    """Cut each row at the magnitude that leaves the least error, and binarize both sides."""
    made = row_halves(
        device, X, levels=levels, scale=scale, share_mean=share_mean, sign_zero=sign_zero
    )
    group, signs = to_host(made.group), to_host(made.signs)
    means, scales = numbers(made.mean), numbers(made.scale)

    def side(name: str, number: int) -> BinaryGroup:
        mask = group == number + 1
        plane = Plane(np.where(mask, signs, np.int8(0)), scales[number])
        return BinaryGroup(name, mask, (plane,), means[number])

    return side("small", 0), side("large", 1)
