"""What the scripts that measure the chapters' claims share: layers, effects, tables, pages."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from subbit import reference as ref
from subbit.conformance.models.base import DecoderModel, Float32
from subbit.conformance.models.load import load_model, load_text
from subbit.reference.notation import Array

HERE = Path(__file__).parent
MODEL, TEXT, SAMPLES, LENGTH = "smollm2-135m", "enwiki-excerpt:calibration", 16, 512
BLOCKS = (0, 10, 20)


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


def real_layers() -> list[Layer]:
    """Return every linear of some decoder blocks, with full-precision inputs."""
    model = load_model(MODEL)
    tokens = model.tokenize(load_text(TEXT))[: SAMPLES * LENGTH].reshape(SAMPLES, LENGTH)
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


def conditions(layers: Iterable[Layer]) -> dict[str, Any]:
    """Say what was measured on, for the record."""
    return {
        "model": MODEL,
        "precision": "dequantized Q4_1 GGUF",
        "calibration": {"text": TEXT, "samples": SAMPLES, "length": LENGTH},
        "layers": [x.name for x in layers],
    }


def effect(before: Array, after: Array) -> dict[str, float]:
    """Compare rows of (relative error, nominal bits), one for each layer."""
    ratios = after[:, 0] / before[:, 0]
    return {
        "ratio": float(np.exp(np.mean(np.log(ratios)))),
        "least": float(ratios.min()),
        "most": float(ratios.max()),
        "bits": float(np.mean(after[:, 1] - before[:, 1])),
    }


def changes_line(effects: Mapping[str, Any]) -> str:
    """Say what a switch does from either side, as ERRATA.md does."""
    parts = []
    for key, start in (("to_code", "`PAPER`"), ("to_paper", "`RELEASED`")):
        e = effects[key]
        parts.append(
            f"×{e['ratio']:.3f} ({e['least']:.2f} to {e['most']:.2f}) from {start}, "
            f"{e['bits']:+.3f} nominal bits"
        )
    return "; ".join(parts) + "."


def measured_line(effects: Mapping[str, Any]) -> str:
    """Say the same, and in which method, where a family has several."""
    if "method" not in effects:
        return changes_line(effects)
    around = "".join(f", `{name}={value!r}`" for name, value in effects["around"].items())
    linears = "".join(f", {name}" for name in effects.get("linears", ()))
    only = f" (linears{linears.replace(',', '', 1)} only)" if linears else ""
    named = f"`{effects['field']}` in {effects['method'].upper()}{around}{only}: "
    return named + changes_line(effects)


def block_means(errors: Mapping[str, float]) -> dict[str, float]:
    """Average a table of layers over each decoder block; entries without a block count not."""
    blocks: dict[str, list[float]] = {}
    for layer, error in errors.items():
        if "." in layer:
            blocks.setdefault(layer.split(".")[0], []).append(error)
    return {block: float(np.mean(errors)) for block, errors in blocks.items()}


def table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table whose first column is text and the others numbers."""
    first, *others = heading
    lines = [f"| {' | '.join((first, *others))} |", "| --- |" + " ---: |" * len(others)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


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
