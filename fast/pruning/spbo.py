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
from subbit.fast.groups.arb import arb, arb_start, refine_signs
from subbit.fast.launches import masks as pruning
from subbit.fast.launches.arrays import DeviceArray, mask, matrix, to_host
from subbit.fast.launches.group import Refined, gram, uploaded
from subbit.fast.launches.pruning_steps import nested_masks, scheduled, with_start
from subbit.fast.mirror import mirrors
from subbit.reference.checks import checked_order
from subbit.reference.errors import check_config
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
    """Entries kept after each step."""
    values = matrix(device, "scores", scores)
    pattern = pruning.check_pattern(values.shape[1], keep, group, tail)
    config = SPBO(keep=pattern, schedule=schedule, parts=parts, tail=tail)
    return pruning.masks_of(device, scheduled(device, values, config), values.shape[1])


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
    """Prune a group and refit its mean and scales: one launch."""
    check_config(config, SPBO)
    weights, entries, made = uploaded(device, W, group)
    left = mask(device, "keep", keep, weights.shape)
    of = gram(device, matrix(device, "S", S, shape=(weights.shape[1],) * 2))
    words = pruning.words_of(device, left[None])
    made.prune(weights, entries, words=words, S=of, config=config, whole=True)
    return made.record(
        group.name, _decoded(group.mask, to_host(left), config), mean=True, columns=False
    )


def _decoded(cell: Mask, kept: Mask, config: SPBO) -> Mask:
    return cell & kept if config.mean == "masked" else cell


@mirrors(reference.spbo_steps)
def spbo_steps(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray | None,
    masks: DeviceArray,
    S: DeviceArray,
    *,
    order: int = 1,
    config: SPBO = STEPWISE,
    name: str = "all",
) -> Steps:
    """Yield every state of stepwise pruning, each as a record of the host."""
    own, cell, nested = _checked(device, W, mask, masks, order=order, config=config)
    begin = arb if config.calibrated_start == "refined" else arb_start
    group = begin(device, own, cell, order=order, config=config, name=name)
    yield "start", group
    inside = to_host(cell)
    for number, keep in enumerate([inside, *to_host(nested)]):
        if number:
            group = _pruned(group, keep, config)
            yield "prune", group
        group = spbo_step(device, own, group, keep, S, config=replace(config, signs="frozen"))
        yield "levels", group
        if config.signs == "resigned":
            among = replace(group, mask=inside & keep)
            signed = refine_signs(device, own, among, sign_zero=config.sign_zero)
            group = replace(signed, mask=group.mask)
            yield "signs", group


def _pruned(group: BinaryGroup, keep: Mask, config: SPBO) -> BinaryGroup:
    planes = tuple(
        replace(plane, sign=np.where(keep, plane.sign, np.int8(0))) for plane in group.planes
    )
    return replace(group, mask=_decoded(group.mask, keep, config), planes=planes)


def _checked(
    device: Device,
    W: DeviceArray,
    entries: DeviceArray | None,
    masks: DeviceArray,
    *,
    order: int,
    config: SPBO,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    checked_order(order)
    check_config(config, SPBO)
    weights = matrix(device, "W", W)
    cell = mask(device, "mask", entries, weights.shape)
    own = device.xp.where(cell, weights, device.xp.float32(0))
    return own, cell, nested_masks(device, masks, weights.shape)


@mirrors(reference.spbo)
def spbo(
    device: Device,
    W: DeviceArray,
    mask: DeviceArray | None,
    masks: DeviceArray,
    S: DeviceArray,
    *,
    order: int = 1,
    config: SPBO = STEPWISE,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group, prune it step by step and fit its levels after each step."""
    own, cell, nested = _checked(device, W, mask, masks, order=order, config=config)
    of = gram(device, matrix(device, "S", S, shape=(own.shape[1],) * 2))
    made, codes = Refined(device, own.shape, (order,)), cell.view(device.xp.uint8)
    made.begin(own, codes, config=config)
    words = with_start(device, pruning.words_of(device, nested))
    made.prune(own, codes, words=words, S=of, config=config)
    kept = nested[-1] if len(nested) else cell
    entries = _decoded(to_host(cell), to_host(kept), config)
    return made.record(name, entries, mean=True, columns=False)
