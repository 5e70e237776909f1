"""Measure what docs/speed.md states.

Run ``python docs/measure/speed.py`` from the project's root, with the extras ``demo`` and
``models`` and the data wheels installed. It takes a few minutes and writes
``docs/measured/speed.json`` and the tables of the page.
"""

import json
from typing import Any

from measuring import HERE, fill, table
from rich.progress import track
from threadpoolctl import threadpool_limits

from subbit.conformance.command.about import installed, machine, versions
from subbit.conformance.command.bench_beside import (
    measure_beside,
    measure_columns,
    measure_loading,
    measure_steps,
)

RESULTS = HERE / "measured" / "speed.json"
COLUMN_METHODS = ("gptq", "sparsegpt", "pb-llm")
SHAPES = {
    (576, 576): (*COLUMN_METHODS, "billm", "arb-rc"),
    (1536, 576): COLUMN_METHODS,
    (576, 1536): COLUMN_METHODS,
}
"""Shapes of the embedded model's linears, and the methods to time on each."""
BLOCK, REPEATS = 128, 3


def measure() -> dict[str, Any]:
    """Time what ``subbit bench reference`` compares."""
    results: dict[str, Any] = {
        "machine": machine(),
        "versions": versions({"torch": installed("torch") or "not installed"}),
        "beside": [],
    }
    with threadpool_limits(1):
        for (n, m), methods in track(SHAPES.items(), "layers"):
            results["beside"] += measure_beside(n, m, BLOCK, REPEATS, methods)
        widths = sorted({m for _, m in SHAPES})
        results["steps"] = [row for m in widths for row in measure_steps(m, REPEATS)]
        results["columns"] = measure_columns(576, BLOCK, REPEATS)
    results["loading"] = measure_loading(REPEATS)
    return results


def beside_table(rows: list[dict[str, Any]]) -> str:
    """Return the times of layers beside those of the released loops."""
    cells = (
        (
            f"`{row['routine']}`, {row['torch_type']}",
            f"{row['n']} × {row['m']}",
            f"{row['cpu_seconds']:.3f} s",
            f"{row['torch_cpu_seconds']:.3f} s",
            f"{row['ratio']:.2f}",
            f"{row['loss_ratio']:.4f}",
        )
        for row in rows
    )
    return table(("preset, torch's type", "layer", "subbit", "torch", "ratio", "loss"), cells)


def steps_table(rows: list[dict[str, Any]]) -> str:
    """Return the times of damping and factoring beside torch's."""
    cells = (
        (
            f"`{row['routine']}`",
            f"{row['m']}",
            f"{1e3 * row['cpu_seconds']:.2f} ms",
            f"{1e3 * row['torch_cpu_seconds']:.2f} ms",
            f"{row['ratio']:.2f}",
        )
        for row in rows
    )
    return table(("step", "width", "subbit", "torch", "ratio"), cells)


def write(results: dict[str, Any]) -> None:
    """Keep the results and put them into the page."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    machine, versions = results["machine"], results["versions"]
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("NumPy", "SciPy", "torch"))
    parts = {
        "beside": f"\n\n{beside_table(results['beside'])}\n\n",
        "steps": f"\n\n{steps_table(results['steps'])}\n\n",
        "columns": f" {results['columns']['ratio']:.1f} ",
        "loading": f" {results['loading']['cpu_seconds']:.2f} ",
        "machine": f" {machine['processor']}, {libraries} ",
    }
    fill(HERE / "speed.md", parts)


if __name__ == "__main__":
    write(measure())
