"""Measurements of the specification
==================================

``subbit bench reference`` times whole layer routines, also beside the released loops in torch;
operations that exist in two forms, in the form of the equation and in a faster one; and the
loading of the embedded model. Times are CPU seconds of one thread,
medians of several runs; compared routines run in turn, so a slow moment of the machine
affects both.

A *row-block* is one row of one block, the unit in which the cost of a layer is linear.
"""

import json
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import typer
from rich.console import Console
from threadpoolctl import threadpool_limits

from subbit import reference as ref
from subbit.conformance.command.about import installed, machine, versions
from subbit.conformance.command.bench_beside import (
    measure_beside,
    measure_columns,
    measure_loading,
    measure_steps,
)
from subbit.conformance.command.bench_model import model_command
from subbit.conformance.command.clock import Work, cpu_seconds, peak_bytes, synthetic_layer
from subbit.conformance.command.console import Table, make_console, refusals
from subbit.conformance.command.kernel_tables import compare_with_copy, time_kernels
from subbit.conformance.command.outputs import check_writable
from subbit.conformance.memory import check_memory
from subbit.reference.contracts.door import ALL
from subbit.reference.errors import check_choice
from subbit.reference.notation import Array

Row: TypeAlias = dict[str, Any]
Routine: TypeAlias = tuple[str, Callable[..., Any], Any]

MOST_SIZE = 2**20
"""Rows or columns; a weight of the largest models has a few times 2¹⁶."""
HELD = 200
"""Bytes for each weight, of arrays of its size in float64."""
YARDSTICK = "billm"
"""The method that other times are compared with."""

TITLES = {
    "layers": "Layer routines",
    "beside": "Beside the released loops in torch",
    "steps": "Steps of the Hessian beside torch",
    "searches": "In the form of the equation, and in a faster one",
    "loading": "Loading",
}
WITHOUT_TORCH = (
    "torch is not installed, so nothing is beside the released loops; "
    "install it by: pip install 'subbit[models]'"
)

bench_app = typer.Typer(help="Measure speed and memory.", no_args_is_help=True)


@bench_app.callback()
def _group_command() -> None:
    """Measure speed and memory."""


def _routines(block_size: int, methods: Collection[str]) -> dict[str, list[Routine]]:
    """Return layer routines by preset name, those of BiLLM first."""
    by_preset: dict[str, list[Routine]] = {}
    ordered = sorted(ref.METHODS, key=lambda name: name != YARDSTICK)
    for name in ordered:
        for preset, config in ref.METHODS[name].presets.items():
            known = config.switches()
            widths = {key: block_size for key in ("block_size", "group_size") if key in known}
            changed = config.changed(**widths)
            if "payload" in known:
                # In a small layer scales alone take more than the preset allows.
                changed = changed.changed(payload=64.0)
            routine = getattr(ref, ref.METHODS[name].entry), changed
            if name in methods or name == YARDSTICK:
                shared = preset.removesuffix("-nocgb")
                by_preset.setdefault(shared, []).append((f"{name}:{preset}", *routine))
    return by_preset


def measure_layers(
    n: int, m: int, block_size: int, repeats: int, methods: Collection[str] = tuple(ref.METHODS)
) -> Iterator[Row]:
    """Time the presets of methods on one synthetic layer.

    Parameters
    ----------
    n, m : int
        Rows and columns.
    block_size : int
        Columns per block.
    repeats : int
        Runs of each; presets of the same name run in turn.
    methods : collection of str, optional
        Names of methods; all by default, BiLLM always.

    Yields
    ------
    dict
        Routine, sizes, CPU seconds, milliseconds per row-block, the ratio to the time of
        BiLLM's preset of the same name, and peak memory.
    """
    W, H = synthetic_layer(n, m)
    row_blocks = n * len(ref.block_slices(m, block_size))
    for routines in _routines(block_size, methods).values():
        works = [partial(layer, W, H, config) for _, layer, config in routines]
        times = cpu_seconds(*works, repeats=repeats)
        yardstick = times[0] if routines[0][0].startswith(f"{YARDSTICK}:") else None
        for (name, _, _), work, seconds in zip(routines, works, times, strict=True):
            yield {
                "routine": name,
                "n": n,
                "m": m,
                "block_size": block_size,
                "cpu_seconds": seconds,
                "ms_per_row_block": 1e3 * seconds / row_blocks,
                "times_billm": "" if yardstick is None else seconds / yardstick,
                "peak_mib": peak_bytes(work) / 2**20,
            }


def _searches(n: int, block_size: int) -> Iterator[tuple[str, Work, Work, float]]:
    # Name, the two forms, and the energy that differences are relative to.
    W = 0.02 * np.random.default_rng(1).standard_t(5, size=(n, block_size))
    ranking = ref.rank_columns(ref.column_saliency(W**2))
    columns = np.ones(block_size, dtype=np.bool_)
    counts = np.arange(min(50, block_size))
    released: Row = {"center": True, "sign_zero": 0}
    twice: Row = {"orders": (2, 2), **released}
    opened: Row = {"closed": False, **released}
    S = W**2
    cuts, score_cuts = ref.quantile_grid(abs(W)), ref.quantile_grid(S)
    regions, score_regions = (
        ref.trisection_thresholds(ref.quantile_grid(key, 160)) for key in (abs(W), S)
    )
    for name, function, arguments, switches in (
        ("salient, paper", "salient_search", (W, ranking, counts[3:31]), {}),
        ("salient, released", "salient_search", (S, ranking, counts[1:]), twice),
        ("bell split, paper", "bell_split_search", (W, columns, ref.maximum_grid(abs(W))), {}),
        ("bell split, released", "bell_split_search", (S, columns, score_cuts), opened),
        ("column groups", "bell_split_search", (W, columns, cuts), opened | twice),
        ("trisection, paper", "trisection_search", (W, columns, regions), {}),
        ("trisection, released", "trisection_search", (S, columns, score_regions), opened),
    ):
        direct, running = (
            partial(_objectives, getattr(ref, form), arguments, switches)
            for form in (f"{function}_direct", function)
        )
        yield name, direct, running, float(np.sum(arguments[0] ** 2))


def _objectives(function: Callable[..., Any], arguments: tuple[Any, ...], switches: Row) -> Array:
    return np.asarray(function(*arguments, **switches).objectives)


def _calibrated(n: int, block_size: int) -> tuple[str, Work, Work, float]:
    W, H = synthetic_layer(n, block_size)
    config = ref.METHODS["arb-x"].presets["paper"].refinement

    def direct() -> Array:
        *_, (_, group) = ref.arb_x_steps(W, ALL, H, config=config)
        return np.asarray(group.decode())

    def scalars() -> Array:
        return np.asarray(ref.arb_x(W, ALL, H, config=config).decode())

    return "ARB-X, 15 rounds", direct, scalars, float(np.max(np.abs(W)))


def measure_searches(n: int, block_size: int, repeats: int) -> Iterator[Row]:
    """Time operations in both forms: the form of the equation, and from sums.

    Parameters
    ----------
    n, block_size : int
        Rows and columns of the block.
    repeats : int
        Runs of each.

    Yields
    ------
    dict
        Name, sizes, both times in milliseconds per row-block, their ratio, and the largest
        difference of the results: for objectives relative to the energy of the searched
        values, for levels relative to the largest weight.
    """
    for name, reads, sums, unit in (*_searches(n, block_size), _calibrated(n, block_size)):
        direct, running = cpu_seconds(reads, sums, repeats=repeats)
        yield {
            "search": name,
            "n": n,
            "block_size": block_size,
            "direct_ms_per_row_block": 1e3 * direct / n,
            "running_ms_per_row_block": 1e3 * running / n,
            "ratio": direct / running,
            "difference": float(np.max(np.abs(reads() - sums())) / unit),
        }


def _table(title: str, rows: list[Row]) -> Table:
    cells = tuple(
        tuple(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()) for row in rows
    )
    return Table(title, tuple(name.replace("_", " ") for name in rows[0]), cells, ())


@bench_app.command("simulator")
def simulator_command(
    rows: Annotated[
        int, typer.Option(min=1, max=MOST_SIZE, help="rows of the block of 128 columns")
    ] = 256,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Time every kernel of the fast path on the simulated device."""
    with refusals():
        check_writable({"--json": json_file})
        time_kernels(rows, json_file)


@bench_app.command("kernels")
def kernels_command(
    rows: Annotated[
        int, typer.Option(min=1, max=MOST_SIZE, help="rows of the block of 128 columns")
    ] = 65536,
    device: Annotated[str, typer.Option(help="cuda or simulated")] = "cuda",
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Measure every kernel of the fast path against the speed of a plain copy."""
    with refusals():
        check_writable({"--json": json_file})
        check_choice("--device", device, ("cuda", "simulated"))
        compare_with_copy(rows, device, json_file)


@bench_app.command("reference")
def reference_command(  # noqa: PLR0917  (each has its name on the command line)
    rows: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MOST_SIZE, help="number of rows, n; may be repeated"),
    ] = None,
    columns: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MOST_SIZE, help="number of columns, m; may be repeated"),
    ] = None,
    block_size: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MOST_SIZE, help="columns per block; may be repeated"),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="methods to time alongside BiLLM; all by default")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="runs of each measurement")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the rows here")] = None,
) -> None:
    """Time layer routines and searches of the specification, in CPU seconds of one thread."""
    methods = method or list(ref.METHODS)
    with refusals():
        check_writable({"--json": json_file})
        for name in methods:
            check_choice("method", name, ref.METHODS)
        sizes = rows or [576], columns or [512], block_size or [128]
        largest = max(sizes[0]) * max(*sizes[1], *sizes[2])
        check_memory("--rows", HELD * largest, f"{largest:,} weights and what methods make of them")
        console, torch = make_console(), installed("torch")
        tables = _measured(sizes, methods, repeats, console, with_torch=bool(torch))
        for name, title in TITLES.items():
            if tables[name]:
                _table(title, tables[name]).show(console)
        if not torch:
            console.print(WITHOUT_TORCH)
        if json_file is not None:
            built = versions({"torch": torch or "not installed"})
            content = {"machine": machine(), "versions": built, **tables}
            json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _measured(
    sizes: tuple[list[int], list[int], list[int]],
    methods: Collection[str],
    repeats: int,
    console: Console,
    *,
    with_torch: bool,
) -> dict[str, list[Row]]:
    """Measure everything, by the title of its table."""
    tables: dict[str, list[Row]] = {title: [] for title in TITLES}
    rows, columns, block_sizes = sizes
    with threadpool_limits(1), console.status("measuring") as status:
        for n, k in product(rows, block_sizes):
            tables["searches"] += [*measure_searches(n, k, repeats), measure_columns(n, k, repeats)]
            for m in columns:
                status.update(f"measuring {n} x {m}, block {k}")
                tables["layers"] += measure_layers(n, m, k, repeats, methods)
                if with_torch:
                    tables["beside"] += measure_beside(n, m, k, repeats, methods)
        for m in columns if with_torch else ():
            tables["steps"] += measure_steps(m, repeats)
        status.update("loading")
        tables["loading"].append(measure_loading(repeats))
    return tables


bench_app.command("model")(model_command)
