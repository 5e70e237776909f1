"""Kernels and their launches
==========================

A kernel is the text of its file after the files it shares, with compile-time numbers:
``HELD``, the columns that a lane keeps in registers, ``ORDERS``, how many times a group is
binarized, and ``GROUP``, the scores of an N:M group. All kernels run with 256 threads
per block, most with one warp per row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from subbit.fast.device import Device, Kernel

Forms = tuple[Mapping[str, int], ...]

BLOCK = 256
WARP = 32
ROWS = BLOCK // WARP

_WARP = ("warp.cuh",)
_LEVELS = (*_WARP, "arb.cuh")
_REFINED = (*_LEVELS, "arb_row.cuh")
_CALIBRATED = (*_REFINED, "calibrated.cuh")
_COLUMNS = (*_WARP, "columns.cuh")
_LARGEST = (*_COLUMNS, "largest.cuh")
_ASSIGNED = (*_COLUMNS, "arb.cuh")
_SORTED_GROUP = (*_WARP, "sorted_group.cuh")
_SIDES = (*_WARP, "sides.cuh")
_CUTS = (*_SIDES, "by_magnitude.cuh")

_HELD = (0, 1, 2, 4)
SORTED = (4, 8, 16)
"""Widths of groups that a thread sorts in registers."""
_BY_HELD: Forms = tuple({"HELD": h} for h in _HELD)
_BY_HELD_AND_ORDERS: Forms = tuple({"HELD": h, "ORDERS": o} for h in _HELD for o in (1, 2))
_BY_PLANE: Forms = tuple(
    {"HELD": h, "ORDERS": o, "PLANE": p} for h in _HELD for o in (1, 2) for p in range(o)
)
_BY_GROUP: Forms = tuple({"GROUP": g} for g in SORTED)


ARB_STEPS = {"START": 1, "MEAN": 2, "SCALE": 4, "LEVELS": 16, "SIGNS": 32}
"""Steps of ``arb_refine``; the scales of the second plane are twice `SCALE`."""
RC_STEPS = {"SIGNS": 1, "START": 2, "ROWS": 4, "COLUMNS": 8, "IMAGE": 16}
"""Steps of ``rc_pass``."""


@dataclass(frozen=True)
class KernelFile:
    """A file of kernels.

    Parameters
    ----------
    entries : tuple of str
        Its functions.
    shared : tuple of str
        Files whose text precedes it.
    forms : tuple of mapping
        The numbers with which it is compiled, one mapping per form.
    words : tuple of pairs
        Names that its text uses in every form, and their numbers.
    """

    entries: tuple[str, ...]
    shared: tuple[str, ...]
    forms: Forms = ({},)
    words: tuple[tuple[str, int], ...] = ()


FILES: Mapping[str, KernelFile] = {
    "arb.cu": KernelFile(("arb_refine",), _REFINED, _BY_HELD_AND_ORDERS, tuple(ARB_STEPS.items())),
    "arb_rc.cu": KernelFile(("rc_pass",), _REFINED, _BY_PLANE, tuple(RC_STEPS.items())),
    "arb_rc_columns.cu": KernelFile(("fit_columns",), _LEVELS),
    "arb_signs.cu": KernelFile(("nearest_signs",), _LEVELS),
    "arb_x.cu": KernelFile(
        ("calibrated_levels", "calibrated_sums", "calibrated_fit"), _CALIBRATED, _BY_HELD_AND_ORDERS
    ),
    "assign.cu": KernelFile(("assign_columns",), _ASSIGNED, _BY_HELD),
    "binarize.cu": KernelFile(("residual_binarize",), _WARP, _BY_HELD_AND_ORDERS),
    "calibrated_split.cu": KernelFile(("calibrated_split_errors",), _CUTS, _BY_HELD_AND_ORDERS),
    "cosine.cu": KernelFile(("token_cosines",), _WARP),
    "gptq.cu": KernelFile(("gptq_codes",), _COLUMNS, _BY_HELD),
    "importance.cu": KernelFile(("relative_importance",), _WARP, _BY_HELD),
    "levels.cu": KernelFile(("level_codes", "sweep_levels"), _LARGEST, _BY_HELD),
    "nm_mask.cu": KernelFile(("nm_mask",), _SORTED_GROUP, _BY_GROUP),
    "nm_mask_any.cu": KernelFile(("nm_mask_any",), _WARP),
    "pack.cu": KernelFile(("pack_block",), _WARP, ({"ORDERS": 2},)),
    "pb_llm.cu": KernelFile(("mixed_codes",), _COLUMNS, _BY_HELD),
    "rank.cu": KernelFile(("rank_columns",), _WARP),
    "reduce.cu": KernelFile(("sum_rows", "first_minimum"), _WARP),
    "row_split.cu": KernelFile(("row_split",), _WARP, _BY_HELD),
    "rows.cu": KernelFile(("masked_mean", "masked_scale"), _WARP),
    "saliency.cu": KernelFile(("saliency", "scaled_magnitude", "slab_sums", "add_slabs"), _WARP),
    "salient_search.cu": KernelFile(("salient_errors",), _SIDES, _BY_HELD_AND_ORDERS),
    "sparsegpt.cu": KernelFile(("prune_columns",), _LARGEST, _BY_HELD),
    "spbo.cu": KernelFile(("prune_stepwise",), _CALIBRATED, _BY_HELD_AND_ORDERS),
    "split.cu": KernelFile(("mark_columns", "cut_zones"), _WARP),
    "split_search.cu": KernelFile(("split_errors",), _CUTS, _BY_HELD_AND_ORDERS),
    "step_masks.cu": KernelFile(("step_masks",), _SORTED_GROUP, _BY_GROUP),
    "trisection.cu": KernelFile(("trisection_errors",), _SIDES, _BY_HELD_AND_ORDERS),
}
"""All files in the folder `kernels`."""


@cache
def _source(file: str) -> str:
    folder = files("subbit.fast").joinpath("kernels")
    parts = (*FILES[file].shared, file)
    words = "".join(f"#define {name} {value}\n" for name, value in FILES[file].words)
    # Each part keeps its own file name and line numbers in the compiler's and the device's reports.
    return words + "".join(
        f'#line 1 "{p}"\n{(folder / p).read_text(encoding="utf-8")}' for p in parts
    )


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
        Compile-time numbers of the file.

    Returns
    -------
    Kernel
        The entry, as a device launches it.

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
        The kernels that a static check has to cover.
    """
    return tuple(
        kernel(file, entry, **numbers)
        for file, row in FILES.items()
        for numbers in row.forms
        for entry in row.entries
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
        1, 2 or 4; 0 for rows wider than 128, which are read from memory in every pass.

    Examples
    --------
    >>> [held(k) for k in (1, 33, 65, 128, 129)]
    [1, 2, 4, 4, 0]
    """
    return next((h for h in _HELD[1:] if columns <= h * WARP), 0)


def over_rows(
    device: Device, which: Kernel, n: int, args: Sequence[object], candidates: int = 0
) -> None:
    """Launch one warp per row and, if there are candidates, per candidate.

    Parameters
    ----------
    device : Device
        Device to run on.
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
