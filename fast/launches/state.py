"""Groups while they are made
==========================

One record of all groups of a block on the device. Kernels are launched on it by
functions elsewhere: ``rows`` binarizes, ``arb``, ``arb_x`` and ``arb_rc`` refine, ``spbo``
prunes.
"""

from dataclasses import dataclass

from subbit.fast.device import Device

from .arrays import DeviceArray


@dataclass(frozen=True, eq=False)
class Groups:
    """Means, scales, signs and image of the groups of a block.

    Parameters
    ----------
    device : Device
        Device that holds them.
    orders : tuple of int
        Orders of each group; 0 for one with a mean and no signs.
    mean : array of float32, shape (groups, n)
        Row means.
    scale : array of float32, shape (sum of orders, n)
        Row scales of each plane.
    columns : array of float32, shape (sum of orders, k)
        Column scales of each plane; zero where a method has none.
    signs : array of int8, shape (largest order, n, k)
        Sign planes, which groups share, as their entries are disjoint.
    image : array of float32, shape (n, k)
        Decoded values of all of them.

    Notes
    -----
    In functions that take groups, `group` holds the number of each entry's group, from 1,
    and `number` is the group's own, from 0. Weights are float32 and contiguous.
    """

    device: Device
    orders: tuple[int, ...]
    mean: DeviceArray
    scale: DeviceArray
    columns: DeviceArray
    signs: DeviceArray
    image: DeviceArray

    @classmethod
    def blank(cls, device: Device, shape: tuple[int, int], orders: tuple[int, ...]) -> "Groups":
        """Return groups that decode to zero.

        Parameters
        ----------
        device : Device
            Device to place them on.
        shape : tuple of int
            (n, k).
        orders : tuple of int
            Orders of each group.

        Returns
        -------
        Groups
            All zero.
        """
        xp, (n, k), planes = device.xp, shape, sum(orders)
        return cls(
            device,
            orders,
            mean=xp.zeros((len(orders), n), dtype=xp.float32),
            scale=xp.zeros((planes, n), dtype=xp.float32),
            columns=xp.zeros((planes, k), dtype=xp.float32),
            signs=xp.zeros((max(orders), n, k), dtype=xp.int8),
            image=xp.zeros((n, k), dtype=xp.float32),
        )

    def planes_of(self, number: int) -> tuple[int, slice]:
        """Return the order of a group and its rows of ``scale`` and ``columns``.

        Parameters
        ----------
        number : int
            The group, from 0.

        Returns
        -------
        order : int
            0, 1 or 2.
        planes : slice
            The rows.
        """
        first = sum(self.orders[:number])
        return self.orders[number], slice(first, first + self.orders[number])
