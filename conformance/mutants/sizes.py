"""Mutants that are correct up to a size
======================================

Each is the reference until an array is longer than a row that fits into registers, a block of
threads, a slab or a loop over candidates.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit.conformance.mutants.changes import Change, Function, Mutant, answers, everywhere, given
from subbit.reference.notation import AnyArray

ROW, BLOCK, TOKENS = 128, 256, 64


def _cut(limit: int, axis: int) -> Change:
    """Forget what lies beyond a limit along an axis."""

    def changed(x: Any) -> Any:  # noqa: ANN401
        if x is None or x.ndim < -axis or x.shape[axis] <= limit:
            return x
        part: list[Any] = [slice(None)] * x.ndim
        part[axis] = slice(limit, None)
        made = np.array(x)
        made[tuple(part)] = 0
        return made

    return changed


def _signs_cut(limit: int, axis: int) -> Change:
    def change(x: AnyArray) -> AnyArray:
        cut: AnyArray = _cut(limit, axis)(x) if x.dtype == np.int8 else x
        return cut

    return everywhere(change)


COLUMNS, ROWS = -1, -2


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants that are correct up to a size.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    wide, tall = f"columns past {ROW}", f"rows past {BLOCK}"
    functions: dict[str, dict[str, Function]] = {
        "masked_mean": {
            wide: given("masked_mean", "W", _cut(ROW, COLUMNS)),
            tall: answers("masked_mean", _cut(BLOCK, -1)),
        },
        "trailing_saliency": {
            wide: answers("trailing_saliency", _cut(ROW, COLUMNS)),
            tall: answers("trailing_saliency", _cut(BLOCK, ROWS)),
        },
        "column_saliency": {tall: given("column_saliency", "S", _cut(BLOCK, ROWS))},
        "rank_columns": {wide: answers("rank_columns", _cut(ROW, -1))},
        "nm_mask": {
            wide: answers("nm_mask", _cut(ROW, COLUMNS)),
            tall: answers("nm_mask", _cut(BLOCK, ROWS)),
        },
        "residual_binarize": {
            wide: answers("residual_binarize", _signs_cut(ROW, COLUMNS)),
            tall: answers("residual_binarize", _signs_cut(BLOCK, ROWS)),
        },
        "arb": {
            wide: answers("arb", _signs_cut(ROW, COLUMNS)),
            tall: answers("arb", _signs_cut(BLOCK, ROWS)),
        },
        "proxy_loss": {wide: given("proxy_loss", "Q", _cut(ROW, COLUMNS))},
        "accumulate_hessian": {
            f"tokens past {TOKENS}": given("accumulate_hessian", "X", _cut(TOKENS, ROWS)),
            wide: answers("accumulate_hessian", _cut(ROW, COLUMNS)),
        },
        "bell_split_search": {
            f"candidates past {BLOCK}": answers("bell_split_search", everywhere(_cut(BLOCK, -1)))
        },
        "billm_block": {
            wide: answers("billm_block", _signs_cut(ROW, COLUMNS)),
            tall: answers("billm_block", _signs_cut(BLOCK, ROWS)),
        },
        "billm_layer_paper": {
            "blocks past the first": answers(
                "billm_layer",
                lambda layer: replace(
                    layer, blocks=(layer.blocks[0], *map(_signs_cut(0, ROWS), layer.blocks[1:]))
                ),
            ),
            tall: answers("billm_layer", _signs_cut(BLOCK, ROWS)),
        },
    }
    for operation, named in functions.items():
        for what, function in named.items():
            name = operation.removesuffix("_paper")
            yield Mutant(operation, what, {name: function})
