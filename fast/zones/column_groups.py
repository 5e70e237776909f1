"""Column-group bitmap
===================

:mod:`subbit.reference.zones.column_groups` on a device. All thresholds of both zones are tried
in one launch. The kernels are ``split_search.cu``, ``calibrated_split.cu``, ``reduce.cu``
and ``split.cu``.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arb_x import gram as in_range
from subbit.fast.launches.arrays import DeviceArray, needed, to_host
from subbit.fast.launches.column_groups import (
    ZoneSearch,
    groups_of,
    searches_outputs,
    split_zones,
    zone_numbers,
)
from subbit.fast.mirror import mirrors
from subbit.reference.layer import Zone
from subbit.reference.zones.column_groups import COLUMN_GROUPS, ColumnGroups


@mirrors(reference.choose_column_groups)
def choose_column_groups(  # noqa: PLR0917  (the reference's five behind the device)
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: DeviceArray,
    salient: DeviceArray,
    config: ColumnGroups = COLUMN_GROUPS,
    *,
    gram: DeviceArray | None = None,
    image: DeviceArray | None = None,
) -> tuple[Zone, ...]:
    """Split a block into its groups."""
    outputs = None
    if searches_outputs(config):
        outputs = in_range(device, needed("gram", gram, W.shape[1]))
    search = ZoneSearch.of(device, W, S, config, gram=outputs, image=image)
    zone = zone_numbers(device, alive, salient, config)
    group, groups = to_host(split_zones(search, zone)), groups_of(config)
    return tuple(
        Zone(name, group == number + 1, order)
        for number, (name, order) in enumerate(zip(groups.names, groups.orders, strict=True))
    )
