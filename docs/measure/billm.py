"""Measure what ERRATA.md and docs/billm.md state.

Run ``python docs/measure/billm.py`` from the project's root, with the ``demo`` extra and
the data wheels installed. It takes a few minutes, writes ``docs/measured/billm.json`` and
fills the tables that the chapters show. Everything is measured on weights of the embedded
model, with Hessians from its calibration text. ``draw.py`` draws the figures.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from measuring import (
    HERE,
    Layer,
    bits_table,
    block_means,
    conditions,
    effect,
    fill,
    fill_entries,
    real_layers,
    table,
)
from rich.progress import track

from subbit import reference as ref
from subbit.reference.billm import CORRECTED, PAPER, RELEASED, BiLLM

SIZES = (32, 64, 128, 256, 512)
# One entry of ERRATA: the fields of BiLLM, the paper's setting first, the code's second.
SWITCHES: dict[str, tuple[str, Any, Any]] = {
    "B-1": ("center", False, True),
    "B-2": ("sign_zero", 1, 0),
    "B-3": ("score", "inverse_hessian", "trailing"),
    "B-4": ("scope", "matrix", "block"),
    "B-5": ("search_on", "weights", "scores"),
    "B-6": ("split_by", "weights", "scores"),
    "B-7": ("grid", "maximum", "quantiles_with_zeros"),
    "B-8": ("search_orders", (1, 1), (2, 2)),
    "B-9": ("counts", (3, 30), (1, 49)),
    "B-10": ("compensation", "exact", "released"),
    "B-11": ("closed", True, False),
    "B-13": ("dead_inputs", "zero", "binarize"),
}


@cache
def error(layer: Layer, config: BiLLM) -> tuple[float, float]:
    """Return the relative calibrated error and the nominal bits of a layer."""
    answer = ref.billm_layer(layer.W, layer.H, config)
    return ref.relative_error(layer.W, answer.decode(), layer.H), ref.nominal_bits(answer)


def _effect(layers: list[Layer], base: BiLLM, changed: BiLLM) -> dict[str, float]:
    before, after = (np.array([error(x, c) for x in layers]) for c in (base, changed))
    return effect(before, after)


def switch_effects(layers: list[Layer]) -> dict[str, Any]:
    """Change one switch at a time, from the paper's side and from the code's."""
    effects = {}
    for entry, (field, paper, code) in track(SWITCHES.items(), "errata"):
        effects[entry] = {
            "field": field,
            "paper": str(paper),
            "code": str(code),
            "to_code": _effect(
                layers, PAPER.changed(**{field: paper}), PAPER.changed(**{field: code})
            ),
            "to_paper": _effect(
                layers, RELEASED.changed(**{field: code}), RELEASED.changed(**{field: paper})
            ),
        }
    return effects


def preset_errors(layers: list[Layer]) -> dict[str, dict[str, float]]:
    """Compare the presets, and the corrected one with means, layer by layer."""
    presets = {**ref.METHODS["billm"].presets, "corrected, center": CORRECTED.changed(center=True)}
    table: dict[str, dict[str, float]] = {}
    for name, config in track(presets.items(), "presets"):
        measured = {x.name: error(x, config) for x in layers}
        table[name] = {x: e for x, (e, _) in measured.items()}
        table[name]["mean"] = float(np.mean([e for e, _ in measured.values()]))
        table[name]["nominal bits"] = float(np.mean([b for _, b in measured.values()]))
    return table


def bit_curves(layers: list[Layer]) -> dict[str, list[tuple[float, float]]]:
    """Return (payload bits, mean relative error) for several block sizes and grids."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, routine, config in track(list(_curve_points()), "bits"):
        answers = [(x, routine(x.W, x.H, config)) for x in layers]
        bits = np.mean([ref.payload_bits(a).per_weight for _, a in answers])
        errors = np.mean([ref.relative_error(x.W, a.decode(), x.H) for x, a in answers])
        curves.setdefault(name, []).append((float(bits), float(errors)))
    return curves


def _curve_points() -> Iterator[tuple[str, Any, Any]]:
    for k in SIZES:
        for name, config in (("paper", PAPER), ("released", RELEASED), ("corrected", CORRECTED)):
            yield f"BiLLM, {name}", ref.billm_layer, config.changed(block_size=k)
        yield "RTN, sign", ref.rtn_layer, ref.RTN(group_size=k)
        for bits in (2, 3):
            yield f"GPTQ, {bits} bits", ref.gptq_layer, ref.GPTQ(bits=bits, group_size=k)


def preset_table(presets: dict[str, Any]) -> str:
    """Return the presets' errors as a Markdown table."""
    rows = []
    for name, errors in presets.items():
        means = (errors["mean"], *block_means(errors).values())
        rows.append((name, *(f"{x:.4f}" for x in means), f"{errors['nominal bits']:.3f}"))
    return table(("preset", "mean error", "blocks 0", "10", "20", "nominal bits"), rows)


def write_pages(results: dict[str, Any]) -> None:
    """Put what was measured into ERRATA.md and docs/billm.md."""
    fill_entries(results)
    tables = {
        "presets": preset_table(results["presets"]),
        "bits": bits_table(results["curves"], SIZES),
    }
    fill(HERE / "billm.md", {name: f"\n\n{table}\n\n" for name, table in tables.items()})


def main() -> None:
    """Measure and write."""
    layers = real_layers()
    curves = bit_curves(layers)
    results: dict[str, Any] = {
        **conditions(layers),
        "presets": preset_errors(layers),
        "switches": switch_effects(layers),
        "curves": curves,
        "corrected": {k: str(v) for k, v in CORRECTED.switches().items()},
    }
    (HERE / "measured" / "billm.json").write_text(json.dumps(results, indent=1) + "\n")
    write_pages(results)


if __name__ == "__main__":
    main()
