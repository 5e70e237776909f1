"""What the scripts that measure the chapters' claims share: layers, effects, tables, pages."""

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from subbit import reference as ref
from subbit.conformance.models.base import DecoderModel, Float32
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.budgets import plan_kept
from subbit.conformance.texts.text import load_text
from subbit.reference.notation import Array

HERE = Path(__file__).parent.parent
MODEL, TEXT, SAMPLES, LENGTH = "smollm2-135m", "enwiki-excerpt:calibration", 16, 512
BLOCKS = (0, 10, 20)
HELD_OUT = 8
"""Sequences that errors are measured on beside those of the calibration."""
ATTENTION = ("q", "k", "v", "o")
ENTRIES = HERE / "measured" / "errata.json"
"""What ``errata.py`` measures of a model: perplexities and payload bits by configuration."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear of the model with its calibration."""

    name: str
    W: Array
    H: Array


def _run(
    model: DecoderModel, index: int, hidden: Float32, sums: dict[str, ref.HessianAccumulator]
) -> Float32:
    if index not in BLOCKS:
        return model.run_block(index, hidden)
    return model.run_block(index, hidden, lambda name, X: sums[name].add(X))


def real_layers(first: int = 0, samples: int = SAMPLES) -> list[Layer]:
    """Return every linear of some decoder blocks, with full-precision inputs."""
    model = load_model(MODEL)
    part = slice(first * LENGTH, (first + samples) * LENGTH)
    tokens = model.tokenize(load_text(TEXT))[part].reshape(samples, LENGTH)
    hidden = model.embed(tokens)
    layers = []
    for index in track(range(max(BLOCKS) + 1), "calibrating"):
        linears = model.linears(index)
        sums = {item.input_name: ref.HessianAccumulator(item.shape[1]) for item in linears}
        hidden = np.concatenate([_run(model, index, h[None], sums) for h in hidden])
        if index in BLOCKS:
            layers += [
                Layer(
                    f"{index}.{item.kind}",
                    model.weight(index, item.name),
                    sums[item.input_name].hessian(),
                )
                for item in linears
            ]
    return layers


def kept_layers(scratch: Path | None) -> list[Layer]:
    """Return the same layers, from the folder where an earlier run kept them."""
    kept = None if scratch is None else scratch / "layers.npz"
    if kept is None or not kept.exists():
        layers = real_layers()
        if kept is not None:
            np.savez(kept, **{f"{x.name}|{a}": getattr(x, a) for x in layers for a in "WH"})
        return layers
    with np.load(kept) as arrays:
        names = [key[:-2] for key in arrays if key.endswith("|W")]
        return [Layer(name, arrays[f"{name}|W"], arrays[f"{name}|H"]) for name in names]


def held_out(scratch: Path | None) -> dict[str, Any]:
    """Return Hessians of other sequences, by layer."""
    kept = None if scratch is None else scratch / "held_out.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as arrays:
            return dict(arrays)
    found = {layer.name: layer.H for layer in real_layers(SAMPLES, HELD_OUT)}
    if kept is not None:
        np.savez(kept, **found)
    return found


def measured(layers: list[Layer], others: dict[str, Any], entry: str, config: Any) -> list[float]:  # noqa: ANN401
    """Return payload bits and geometric means of the errors, here and held out."""
    bits, errors = [], []
    for layer in layers:
        made = getattr(ref, entry)(layer.W, layer.H, config)
        Q = made.decode()
        bits.append((ref.payload_bits(made).total, layer.W.size))
        errors.append([ref.relative_error(layer.W, Q, H) for H in (layer.H, others[layer.name])])
    total, size = np.sum(bits, axis=0)
    return [float(total / size), *map(float, np.exp(np.mean(np.log(errors), axis=0)))]


class Bench:
    """Measured numbers by layer and configuration, kept in a file where one is named.

    Parameters
    ----------
    layers : list of Layer
        What is measured on.
    kept : Path, optional
        One JSON list for each number.
    """

    def __init__(self, layers: list[Layer], kept: Path | None) -> None:
        self.layers = layers
        self._kept = kept
        self._known: dict[str, list[float]] = {}
        if kept is not None and kept.exists():
            self._known = dict(json.loads(line) for line in kept.read_text().splitlines())

    def measure(self, layer: Layer, method: str, config: object) -> list[float]:
        """Return relative calibrated error, nominal and payload bits of a layer."""
        key = f"{layer.name} {method} {config!r}"
        if key not in self._known:
            routine = getattr(ref, ref.METHODS[method].entry)
            made = routine(layer.W, layer.H, config)
            self._known[key] = [
                ref.relative_error(layer.W, made.decode(), layer.H),
                ref.nominal_bits(made),
                ref.payload_bits(made).per_weight,
            ]
            if self._kept is not None:
                with self._kept.open("a") as file:
                    file.write(json.dumps([key, self._known[key]]) + "\n")
        return self._known[key]

    def all(self, method: str, config: object, *, attention: bool = False) -> Array:
        """Return one row for each layer, or for each linear of the attention."""
        chosen = [x for x in self.layers if not attention or x.name.split(".")[1] in ATTENTION]
        return np.array([self.measure(x, method, config) for x in chosen])


def conditions(layers: Iterable[Layer]) -> dict[str, Any]:
    """Say what was measured on, for the record."""
    return {
        "model": MODEL,
        "precision": "dequantized Q4_1 GGUF",
        "calibration": {"text": TEXT, "samples": SAMPLES, "length": LENGTH},
        "layers": [x.name for x in layers],
    }


@dataclass(frozen=True)
class Switch:
    """The settings to which a field is turned, and the method that it is turned in."""

    method: str
    from_paper: Any
    from_released: Any
    around: dict[str, Any] = field(default_factory=dict)
    attention: bool = False
    """Whether only linears of the attention are measured, since a search takes long."""


def effect(before: Array, after: Array) -> dict[str, float]:
    """Compare rows of (relative error, nominal bits), one for each layer."""
    ratios = after[:, 0] / before[:, 0]
    return {
        "ratio": float(np.exp(np.mean(np.log(ratios)))),
        "least": float(ratios.min()),
        "most": float(ratios.max()),
        "bits": float(np.mean(after[:, 1] - before[:, 1])),
    }


def _sides(switch: Switch) -> Iterable[tuple[str, Any, Any]]:
    presets = ref.METHODS[switch.method].presets
    yield "to_code", presets["paper"].changed(**switch.around), switch.from_paper
    yield "to_paper", presets["released"].changed(**switch.around), switch.from_released


def switch_effects(
    bench: Bench, switches: Mapping[str, Switch], only: str | None = None
) -> dict[str, Any]:
    """Turn one switch at a time, from the paper's side and from the code's."""
    effects = {}
    chosen = {n: switch for n, switch in switches.items() if only in {None, n.split()[0]}}
    for name, switch in track(chosen.items(), "errata"):
        turned = name.split()[1]
        effects[name] = {"field": turned, "method": switch.method, "around": switch.around}
        if switch.attention:
            effects[name]["linears"] = list(ATTENTION)
        for side, base, setting in _sides(switch):
            configs = (base, base.changed(**{turned: setting}))
            rows = (bench.all(switch.method, c, attention=switch.attention) for c in configs)
            made = effect(*rows)
            before = str(getattr(base, turned))
            effects[name][side] = {"before": before, "after": str(setting)} | made
    return effects


def measured_points(entry: str, field: str) -> tuple[dict[str, float] | None, ...]:
    """Return what ``errata.py`` has measured before and after a switch is turned."""
    known = json.loads(ENTRIES.read_text())
    return tuple(map(known["points"].get, known["switches"][f"{entry} {field}"]))


def payload_change(entry: str, field: str) -> float | None:
    """Return what a switch adds to the payload bits of a weight, where that was measured."""
    before, after = measured_points(entry, field)
    return None if before is None or after is None else after["payload"] - before["payload"]


def change(bits: float) -> str:
    """Write what is added to the bits of a weight; what rounds to nothing has no sign."""
    return f"{bits:+z.3f}"


def bits_words(nominal: float, payload: float | None) -> str:
    """Say what a switch adds to the bits of a weight."""
    rest = "payload bits not measured" if payload is None else f"{change(payload)} payload bits"
    return f"{change(nominal)} nominal bits, {rest}"


def changes_line(effects: Mapping[str, Any], payload: float | None) -> str:
    """Say what a switch does from either side, as ERRATA.md does."""
    parts = []
    for key, start in (("to_code", "`PAPER`"), ("to_paper", "`RELEASED`")):
        e = effects[key]
        nominal = f"{change(e['bits'])} nominal bits"
        bits = bits_words(e["bits"], payload) if key == "to_code" else nominal
        parts.append(
            f"×{e['ratio']:.3f} ({e['least']:.2f} to {e['most']:.2f}) from {start}, {bits}"
        )
    return "; ".join(parts) + "."


def measured_line(name: str, effects: Mapping[str, Any]) -> str:
    """Say the same of an entry, and in which method, where a family has several."""
    payload = payload_change(name.partition(" ")[0], effects["field"])
    if "method" not in effects:
        return changes_line(effects, payload)
    around = "".join(f", `{name}={value!r}`" for name, value in effects["around"].items())
    linears = "".join(f", {name}" for name in effects.get("linears", ()))
    only = f" (linears{linears.replace(',', '', 1)} only)" if linears else ""
    named = f"`{effects['field']}` in {effects['method'].upper()}{around}{only}: "
    return named + changes_line(effects, payload)


def preset_errors(bench: Bench, presets: Iterable[tuple[str, str, Any]]) -> dict[str, Any]:
    """Compare labeled methods and configurations, layer by layer."""
    made = {}
    for label, method, config in track(list(presets), "presets"):
        rows = bench.all(method, config)
        means = dict(zip(("error", "nominal", "payload"), rows.mean(axis=0), strict=True))
        errors = {x.name: e for x, e in zip(bench.layers, rows[:, 0], strict=True)}
        made[label] = {"layers": errors, **means}
    return made


def variant_effects(
    bench: Bench, method: str, preset: str, variants: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Change a preset's switches by name, and say what that does."""
    base = ref.METHODS[method].presets[preset]
    before = bench.all(method, base)
    return {
        name: effect(before, bench.all(method, base.changed(**changes)))
        for name, changes in track(variants.items(), "variants")
    }


def budget_plans(names: Iterable[str], scratch: Path | None) -> dict[str, list[int]]:
    """Plan what each decoder block keeps of 4:8, by some rules."""
    kept = None if scratch is None else scratch / "budgets.json"
    found: dict[str, list[int]] = {}
    if kept is not None and kept.exists():
        found = json.loads(kept.read_text())
    missing = [name for name in names if name not in found]
    if missing:
        model = load_model(MODEL)
        tokens = model.tokenize(load_text(TEXT))[: SAMPLES * LENGTH].reshape(SAMPLES, LENGTH)
        for name in track(missing, "budgets"):
            found[name] = list(plan_kept(model, name, (4, 8), tokens))
    if kept is not None:
        kept.write_text(json.dumps(found))
    return {name: found[name] for name in names}


def block_means(errors: Mapping[str, float]) -> dict[str, float]:
    """Average a table of layers over each decoder block; entries without a block are ignored."""
    blocks: dict[str, list[float]] = {}
    for layer, error in errors.items():
        if "." in layer:
            blocks.setdefault(layer.split(".")[0], []).append(error)
    return {block: float(np.mean(errors)) for block, errors in blocks.items()}


def table(heading: Iterable[str], rows: Iterable[Iterable[str]], words: int = 1) -> str:
    """Return a Markdown table whose first columns are text and the others numbers."""
    names = list(heading)
    rule = "|" + " --- |" * words + " ---: |" * (len(names) - words)
    lines = [f"| {' | '.join(names)} |", rule]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def preset_table(presets: Mapping[str, Any]) -> str:
    """Return the presets' errors and bits as a Markdown table."""
    rows, blocks = [], dict[str, float]()
    for name, e in presets.items():
        blocks = block_means(e["layers"])
        means = (f"{x:.4f}" for x in (e["error"], *blocks.values()))
        rows.append((name, *means, f"{e['nominal']:.3f}", f"{e['payload']:.2f}"))
    heading = (f"block {block}" for block in blocks)
    return table(("method:preset", "mean error", *heading, "nominal", "payload"), rows)


def variant_table(variants: Mapping[str, Any], preset: str) -> str:
    """Return what the variants of a preset do as a Markdown table."""
    rows = [
        (name, f"×{e['ratio']:.3f}", f"{e['least']:.2f} to {e['most']:.2f}")
        for name, e in variants.items()
    ]
    return table((f"preset `{preset}`, but", "error", "least to most"), rows)


def budget_table(plans: Mapping[str, list[int]]) -> str:
    """Return how many blocks keep how much as a Markdown table."""
    rows = []
    for name, kept in plans.items():
        counts = (f"{kept.count(n)}" if n in kept else "-" for n in range(1, 9))
        rows.append((f"`{name}`", f"{np.mean(kept):.3f}", *counts))
    return table(("budget", "mean", *(f"{n} of 8" for n in range(1, 9))), rows)


def bits_table(curves: Mapping[str, Iterable[tuple[float, float]]], sizes: Iterable[int]) -> str:
    """Return payload bits and error of each method and block size as a Markdown table."""
    rows = [
        (name, *(f"{bits:.2f}: {error:.4f}" for bits, error in points))
        for name, points in curves.items()
    ]
    return table(("method", *map(str, sizes)), rows)


def fill(path: Path, parts: Mapping[str, str]) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end -->`` in a page."""
    text = path.read_text()
    for name, part in parts.items():
        pattern = f"<!-- {re.escape(name)} -->.*?<!-- end -->"
        text = re.sub(
            pattern, lambda _, n=name, p=part: f"<!-- {n} -->{p}<!-- end -->", text, flags=re.DOTALL
        )
    path.write_text(text)


def fill_entries(results: Mapping[str, Any]) -> None:
    """Put a method's switches into ERRATA.md, each below its marker.

    A marker on a line of its own leaves the text Markdown: what follows an HTML comment on the
    same line is HTML too.
    """
    lines = {
        f"measured: {name}": measured_line(name, made) for name, made in results["switches"].items()
    }
    if "low statistics" in results:
        e, payload = results["low statistics"], payload_change("L-1", "statistics")
        lines["measured: L-1 statistics"] = (
            f"×{e['ratio']:.3f} ({e['least']:.2f} to {e['most']:.2f}) from the code's setting to "
            f"the corrected one, {bits_words(e['bits'], payload)}, on the seven linear layers of "
            "decoder block 10."
        )
    fill(HERE.parent / "ERRATA.md", {name: f"\n  {line}\n  " for name, line in lines.items()})


def curve_table(points: list[dict[str, Any]]) -> str:
    """Return what `subbit curve` measured as a Markdown table."""
    stops = sorted({point["stop"] for point in points})
    header = ["method", *(f"ppl k={k}" for k in stops), "KL", "layer error", "nominal", "payload"]
    rows = []
    for label in dict.fromkeys(point["label"] for point in points):
        own = {point["stop"]: point for point in points if point["label"] == label}
        last = own[max(own)]
        found = (f"{own[k]['perplexity']:,.2f}" if k in own else "-" for k in stops)
        rest = ("divergence", ".3f"), ("mean_error", ".4f"), ("nominal", ".3f"), ("payload", ".3f")
        rows.append([label, *found, *(format(last[key], form) for key, form in rest)])
    return table(header, rows)


def run_script(
    doc: str | None,
    measure: Callable[[Path | None], dict[str, Any]],
    write: Callable[[dict[str, Any]], None],
    data: Path,
) -> None:
    """Measure, unless the data are there and only the page is to be written."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--write", action="store_true", help="only write the tables again")
    arguments = parser.parse_args()
    if not arguments.write:
        content = measure(arguments.scratch)
        data.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write(json.loads(data.read_text(encoding="utf-8")))
