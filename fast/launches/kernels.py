"""Kernels and their launches
==========================

A kernel is the text of its file behind the files it shares, with compile-time numbers:
``HELD``, the columns that a lane keeps in registers, ``ORDERS``, how often a group is
binarized, and ``GROUP``, the scores of an N:M group. All kernels run with 256 threads a
block, most with a warp for each row.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from subbit.fast.device import Device, Kernel

BLOCK = 256
WARP = 32
ROWS = BLOCK // WARP

_REFINED = ("warp.cuh", "arb.cuh", "arb_row.cuh")
_CALIBRATED = (*_REFINED, "calibrated.cuh")
_COLUMNS = ("warp.cuh", "columns.cuh")
_SORTED = ("warp.cuh", "sorted_group.cuh")
_SHARED = {
    "arb.cu": _REFINED,
    "arb_rc.cu": _REFINED,
    "arb_rc_columns.cu": ("warp.cuh", "arb.cuh"),
    "arb_signs.cu": ("warp.cuh", "arb.cuh"),
    "arb_x.cu": _CALIBRATED,
    "calibrated_split.cu": ("warp.cuh", "sides.cuh", "by_magnitude.cuh"),
    "gptq.cu": _COLUMNS,
    "nm_mask.cu": _SORTED,
    "pb_llm.cu": _COLUMNS,
    "salient_search.cu": ("warp.cuh", "sides.cuh"),
    "sparsegpt.cu": _COLUMNS,
    "spbo.cu": _CALIBRATED,
    "split_search.cu": ("warp.cuh", "sides.cuh", "by_magnitude.cuh"),
    "step_masks.cu": _SORTED,
    "trisection.cu": ("warp.cuh", "sides.cuh"),
}
_ENTRIES = {
    "arb.cu": ("arb_refine",),
    "arb_rc.cu": ("rc_pass",),
    "arb_rc_columns.cu": ("fit_columns",),
    "arb_signs.cu": ("nearest_signs",),
    "arb_x.cu": ("calibrated_levels", "calibrated_sums", "calibrated_fit"),
    "binarize.cu": ("residual_binarize",),
    "calibrated_split.cu": ("calibrated_split_errors",),
    "cosine.cu": ("token_cosines",),
    "gptq.cu": ("gptq_codes",),
    "importance.cu": ("relative_importance",),
    "nm_mask.cu": ("nm_mask",),
    "nm_mask_any.cu": ("nm_mask_any",),
    "pack.cu": ("pack_block",),
    "pb_llm.cu": ("mixed_codes",),
    "rank.cu": ("rank_columns",),
    "reduce.cu": ("sum_rows", "first_minimum"),
    "rows.cu": ("masked_mean", "masked_scale"),
    "saliency.cu": ("saliency", "scaled_magnitude", "slab_sums", "add_slabs"),
    "salient_search.cu": ("salient_errors",),
    "sparsegpt.cu": ("prune_columns",),
    "spbo.cu": ("prune_stepwise",),
    "split.cu": ("mark_columns", "cut_zones"),
    "split_search.cu": ("split_errors",),
    "step_masks.cu": ("step_masks",),
    "trisection.cu": ("trisection_errors",),
}
_HELD = (0, 1, 2, 4)
SORTED = (4, 8, 16)
"""Widths of groups that a thread sorts in registers."""
_NUMBERS = {
    "arb.cu": [{"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2)],
    "arb_rc.cu": [
        {"HELD": h, "ORDERS": o, "PLANE": p} for h in _HELD for o in (1, 2) for p in range(o)
    ],
    "arb_x.cu": [{"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2)],
    "binarize.cu": [{"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2)],
    "calibrated_split.cu": [{"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2)],
    "gptq.cu": [{"HELD": h} for h in _HELD],
    "pb_llm.cu": [{"HELD": h} for h in _HELD],
    "sparsegpt.cu": [{"HELD": h} for h in _HELD],
    "importance.cu": [{"HELD": h} for h in _HELD],
    "nm_mask.cu": [{"GROUP": g} for g in SORTED],
    "pack.cu": [{"ORDERS": 2}],
    "salient_search.cu": [{"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2)],
    "spbo.cu": [{"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2)],
    "split_search.cu": [{"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2)],
    "step_masks.cu": [{"GROUP": g} for g in SORTED],
    "trisection.cu": [{"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2)],
}


@cache
def _source(file: str) -> str:
    folder = files("subbit.fast").joinpath("kernels")
    parts = (*_SHARED.get(file, ("warp.cuh",)), file)
    # Each part keeps its own file name and line numbers in the compiler's and the device's reports.
    return "".join(f'#line 1 "{p}"\n{(folder / p).read_text(encoding="utf-8")}' for p in parts)


@cache
def kernel(file: str, entry: str, **numbers: int) -> Kernel:
    """Return an entry of a kernel file.

    Parameters
    ----------
    file : str
        Name in the folder `kernels`.
    entry : str
        The function.
    **numbers : int
        What the file needs to know when it is compiled.

    Returns
    -------
    Kernel
        What a device launches.

    Examples
    --------
    >>> kernel("gptq.cu", "gptq_codes", HELD=4).options
    ('-DHELD=4',)
    """
    options = tuple(f"-D{name}={value}" for name, value in sorted(numbers.items()))
    return Kernel(_source(file), entry, options, file)


def kernels() -> tuple[Kernel, ...]:
    """Return every kernel in every form that the presets use.

    Returns
    -------
    tuple of Kernel
        What a static check has to look at.
    """
    return tuple(
        kernel(file, entry, **numbers)
        for file, entries in _ENTRIES.items()
        for numbers in _NUMBERS.get(file, [{}])
        for entry in entries
    )


def held(columns: int) -> int:
    """Return how many columns a lane keeps in registers.

    Parameters
    ----------
    columns : int
        Width of a row.

    Returns
    -------
    int
        1, 2 or 4; 0 for rows wider than 128, which are read from memory in each pass.

    Examples
    --------
    >>> [held(k) for k in (1, 33, 65, 128, 129)]
    [1, 2, 4, 4, 0]
    """
    return next((h for h in _HELD[1:] if columns <= h * WARP), 0)


def over_rows(
    device: Device, which: Kernel, n: int, args: Sequence[object], candidates: int = 0
) -> None:
    """Launch a warp for each row, and for each candidate where there are some.

    Parameters
    ----------
    device : Device
        Where to run.
    which : Kernel
        The kernel.
    n : int
        Rows.
    args : sequence
        Its arguments.
    candidates : int, default 0
        Blocks along the grid's first axis; rows then lie along the second.
    """
    blocks = -(-n // ROWS)
    device.launch(which, (candidates, blocks) if candidates else blocks, BLOCK, args)
