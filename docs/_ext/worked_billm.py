"""The worked example of BiLLM."""

from collections.abc import Iterator

import numpy as np
from worked_cuts import NAMES, bell, recorded
from worked_steps import Step, Walk, binarized, salient_columns, scored, walk

from subbit import reference as ref
from subbit.reference.billm import BiLLM
from subbit.reference.blocks import Block, prepare_layer
from subbit.reference.groups.together import binarize_zones
from subbit.reference.layer import QuantizedBlock, Zone
from subbit.reference.notation import Array


def billm_steps(W: Array, H: Array, config: BiLLM) -> Iterator[Step]:
    """Yield the steps of BiLLM."""
    state, how = prepare_layer(W, H, config.loop), config.zones

    def block_steps(block: Block) -> tuple[list[Step], QuantizedBlock]:
        step, salient = salient_columns(block, how)
        cut, masks = bell(block, block.alive & ~salient, how)
        zones = [Zone(name, mask, 1) for name, mask in zip(NAMES[2], masks, strict=True)]
        zones.append(Zone("salient", np.broadcast_to(salient, block.weights.shape), 2))
        groups = binarize_zones(block.weights, zones, **how.binarizer)
        steps = [scored(block, config.loop.score), step, cut(zones, salient)]
        return [*steps, *binarized(groups, salient)], recorded(block, groups, salient)

    yield from walk(Walk(state, state.weights, ref.billm_layer(W, H, config), block_steps))
