"""Stepwise pruning with binarization optimization
===============================================

:mod:`subbit.reference.pruning.spbo` on a device: masks of all steps as bit words, and one launch
for all steps of a group, which holds its row, its signs and its levels from the first
mask to the last. A single step is a launch of the same kernel. The kernels are
``step_masks.cu``, ``spbo.cu`` and ``arb.cu``.
"""

from dataclasses import replace

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.groups.arb import refine_signs
from subbit.fast.groups.start import calibrated_start
from subbit.fast.launches import masks as pruning
from subbit.fast.launches.arb_x import gram, launch_start
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.group import recorded, uploaded
from subbit.fast.launches.pruning_steps import scheduled, with_start
from subbit.fast.launches.spbo import launch_pruning
from subbit.fast.launches.state import Groups
from subbit.fast.mirror import mirrors
from subbit.reference.groups.refinement import Steps
from subbit.reference.layer import BinaryGroup
from subbit.reference.notation import Mask
from subbit.reference.pruning.sparsity import Tail
from subbit.reference.pruning.spbo import SPBO, STEPWISE, Schedule


@mirrors(reference.spbo_schedule)
def spbo_schedule(
    device: Device,
    scores: DeviceArray,
    keep: int,
    group: int,
    *,
    schedule: Schedule = "element",
    parts: int = 4,
    tail: Tail = "error",
) -> DeviceArray:
    """Choose the entries kept after each step."""
    pattern = pruning.check_pattern(scores.shape[1], keep, group, tail)
    config = SPBO(keep=pattern, schedule=schedule, parts=parts, tail=tail)
    return pruning.masks_of(device, scheduled(device, scores, config), scores.shape[1])


@mirrors(reference.spbo_step)
def spbo_step(
    device: Device,
    W: DeviceArray,
    group: BinaryGroup,
    keep: DeviceArray,
    S: DeviceArray,
    *,
    config: SPBO = STEPWISE,
) -> BinaryGroup:
    """Prune a group and refit its mean and scales, in one launch."""
    (entries, made), of = uploaded(device, group), gram(device, S)
    words = pruning.words_of(device, keep[None])
    launch_pruning(made, W, entries, words=words, S=of, config=config, whole=True)
    return recorded(
        made, group.name, _decoded(group.mask, to_host(keep), config), mean=True, columns=False
    )


def _decoded(cell: Mask, kept: Mask, config: SPBO) -> Mask:
    return cell & kept if config.mean == "masked" else cell


@mirrors(reference.spbo_steps)
def spbo_steps(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray,
    masks: DeviceArray,
    S: DeviceArray,
    *,
    order: int = 1,
    config: SPBO = STEPWISE,
    name: str = "all",
) -> Steps:
    """Yield every state of stepwise pruning, as host records."""
    own = device.xp.where(mask, W, device.xp.float32(0))
    how = config.refinement
    group = calibrated_start(device, own, mask, order=order, config=how, name=name)
    yield "start", group
    for number, keep in enumerate([mask, *masks]):
        if number:
            group = _pruned(group, to_host(keep), config)
            yield "prune", group
        group = spbo_step(device, own, group, keep, S, config=config.changed(signs="frozen"))
        yield "levels", group
        if config.signs == "resigned":
            among = replace(group, mask=to_host(mask & keep))
            signed = refine_signs(device, own, among, sign_zero=how.sign_zero)
            group = replace(signed, mask=group.mask)
            yield "signs", group


def _pruned(group: BinaryGroup, keep: Mask, config: SPBO) -> BinaryGroup:
    planes = tuple(
        replace(plane, sign=np.where(keep, plane.sign, np.int8(0))) for plane in group.planes
    )
    return replace(group, mask=_decoded(group.mask, keep, config), planes=planes)


@mirrors(reference.spbo)
def spbo(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray,
    masks: DeviceArray,
    S: DeviceArray,
    *,
    order: int = 1,
    config: SPBO = STEPWISE,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group, prune it step by step and fit its levels after each step."""
    own, of = device.xp.where(mask, W, device.xp.float32(0)), gram(device, S)
    made, codes = Groups.blank(device, own.shape, (order,)), mask.view(device.xp.uint8)
    launch_start(made, own, codes, config=config.refinement)
    words = with_start(device, pruning.words_of(device, masks))
    launch_pruning(made, own, codes, words=words, S=of, config=config)
    kept = masks[-1] if len(masks) else mask
    entries = _decoded(to_host(mask), to_host(kept), config)
    return recorded(made, name, entries, mean=True, columns=False)
