"""Where calibrated fits start
===========================

:mod:`subbit.reference.groups.start` on a device.
"""

from subbit.fast.device import Device
from subbit.fast.launches.arrays import DeviceArray
from subbit.reference.groups.refinement import Refinement
from subbit.reference.layer import BinaryGroup

from .arb import arb, arb_start


def calibrated_start(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray,
    *,
    order: int,
    config: Refinement,
    name: str,
) -> BinaryGroup:
    """Binarize a group to the state that calibrated fits start from.

    Parameters
    ----------
    device : Device
        Device to compute on.
    W : array of float32, shape (n, k)
        Weights.
    mask : array of bool, shape (n, k)
        The group's entries.
    order : int
        Sign planes, 1 or 2.
    config : Refinement
        The configuration.
    name : str
        Name of the group.

    Returns
    -------
    BinaryGroup
        The initial values, or the refined ones.
    """
    begin = arb if config.calibrated_start == "refined" else arb_start
    return begin(device, W, mask, order=order, config=config, name=name)
