"""The specification beside other forms
====================================

Rows of ``subbit bench reference`` that compare: layer routines with the released loops in
torch, the column loop with the block loop that defines it, and a model's loading.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from subbit import reference as ref
from subbit.conformance.command import torch_loops
from subbit.conformance.command.clock import Work, cpu_seconds, synthetic_layer
from subbit.conformance.models.needs import require
from subbit.reference.columns import compensate_columns
from subbit.reference.layer import QuantizedBlock, ValueGroup
from subbit.reference.notation import Array

Row: TypeAlias = dict[str, Any]

BESIDE: dict[str, tuple[Callable[..., Any], str]] = {
    "gptq:2bit": (torch_loops.gptq, "float64"),
    "sparsegpt:nm": (torch_loops.sparsegpt, "float64"),
    "pb-llm:released": (torch_loops.pb_llm, "float64"),
    "billm:released": (torch_loops.billm, "float32"),
    "arb-rc:released": (torch_loops.arb_rc, "float32"),
}
"""A preset, the released loop of its method, and the type in which that computes."""
MODEL = "smollm2-135m"
LOAD = """
import json, time
from subbit.conformance.models.load import load_model
start = time.process_time()
load_model({model!r})
print(json.dumps(time.process_time() - start))
"""


@contextmanager
def _one_thread() -> Iterator[Any]:
    torch = require("torch", "bench", "models")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield torch
    finally:
        torch.set_num_threads(threads)


def measure_beside(
    n: int, m: int, block_size: int, repeats: int, methods: Collection[str] = tuple(ref.METHODS)
) -> Iterator[Row]:
    """Time layer routines and the released loops in torch, in turn.

    Parameters
    ----------
    n, m : int
        Rows and columns.
    block_size : int
        Columns per block.
    repeats : int
        Runs of each.
    methods : collection of str, optional
        Names of methods; all by default.

    Yields
    ------
    dict
        Routine, torch's type, sizes, CPU seconds of both, their ratio, and the ratio of the
        proxy losses that they reach.
    """
    W, H = synthetic_layer(n, m)
    damped = ref.damp(H)
    with _one_thread() as torch:
        for name, (loop, dtype) in BESIDE.items():
            if name.partition(":")[0] not in methods:
                continue
            given = (torch.tensor(x, dtype=getattr(torch, dtype)) for x in (W, H))
            works = (_layer(name, W, H, block_size), partial(loop, *given, block_size))
            sizes = {"n": n, "m": m, "block_size": block_size}
            row = _timed(name, dtype, sizes, works, repeats)
            images = works[0]().decode(), works[1]().numpy().astype(np.float64)
            ours, theirs = (ref.proxy_loss(W, Q, damped) for Q in images)
            yield {**row, "loss_ratio": ours / theirs}


def _layer(name: str, W: Array, H: Array, block_size: int) -> Work:
    method, _, preset = name.partition(":")
    config = ref.METHODS[method].presets[preset]
    sizes = {"block_size": block_size, "group_size": block_size}
    own = {key: size for key, size in sizes.items() if key in config.switches()}
    return partial(getattr(ref, ref.METHODS[method].entry), W, H, config.changed(**own))


def measure_steps(m: int, repeats: int) -> Iterator[Row]:
    """Time damping and factoring beside the same steps in torch, in turn.

    Parameters
    ----------
    m : int
        Width of the layer.
    repeats : int
        Runs of each.

    Yields
    ------
    dict
        Step, torch's type, width, CPU seconds of both, their ratio, and the largest
        difference relative to the largest number.
    """
    _, H = synthetic_layer(1, m)
    damped = ref.damp(H)
    with _one_thread() as torch:
        for name, given, step in (
            ("damp", H, torch_loops.damp),
            ("inverse_factor", damped, torch_loops.inverse_factor),
        ):
            works = (partial(getattr(ref, name), given), partial(step, torch.tensor(given)))
            row = _timed(name, "float64", {"m": m}, works, repeats)
            ours, theirs = works[0](), works[1]().numpy()
            yield {**row, "difference": float(np.abs(ours - theirs).max() / np.abs(ours).max())}


def _timed(
    name: str, dtype: str, sizes: dict[str, int], works: tuple[Work, Work], repeats: int
) -> Row:
    ours, theirs = cpu_seconds(*works, repeats=repeats)
    return {
        "routine": name,
        "torch_type": dtype,
        **sizes,
        "cpu_seconds": ours,
        "torch_cpu_seconds": theirs,
        "ratio": ours / theirs,
    }


def measure_columns(n: int, block_size: int, repeats: int) -> Row:
    """Time the loop over the columns of a block in both forms.

    Parameters
    ----------
    n, block_size : int
        Rows and columns of the block.
    repeats : int
        Runs of each.

    Returns
    -------
    dict
        As from `measure_searches`; the difference is relative to the largest weight.
    """
    W, H = synthetic_layer(n, block_size)
    U, step = ref.inverse_factor(ref.damp(H)), float(np.abs(W).max()) / 2
    everything = np.ones((n, 1), dtype=np.bool_)

    def round_block(current: Array, columns: slice) -> QuantizedBlock:
        values = step * np.round(current[:, columns] / step)
        group = ValueGroup("all", everything, values)
        return QuantizedBlock(columns.start, columns.stop, (group,))

    def blocks() -> Array:
        made = ref.compensate(W, U, round_block, block_size=1, mode="exact")
        return made.layer.decode()

    def columns() -> Array:
        return compensate_columns(W, U, lambda w, j: step * np.round(w[:, j] / step))

    direct, running = cpu_seconds(blocks, columns, repeats=repeats)
    return {
        "search": "columns of a block",
        "n": n,
        "block_size": block_size,
        "direct_ms_per_row_block": 1e3 * direct / n,
        "running_ms_per_row_block": 1e3 * running / n,
        "ratio": direct / running,
        "difference": float(np.abs(blocks() - columns()).max() / np.abs(W).max()),
    }


def measure_loading(repeats: int) -> Row:
    """Time the loading of the embedded model, each time in a new process.

    Parameters
    ----------
    repeats : int
        Number of processes.

    Returns
    -------
    dict
        Model, and the median CPU seconds of `load_model`, imports of libraries included.
    """
    words = [sys.executable, "-c", LOAD.format(model=MODEL)]
    times = [
        json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)  # noqa: S603
        for _ in range(repeats)
    ]
    return {"model": MODEL, "cpu_seconds": float(np.median(times))}
