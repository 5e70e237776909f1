"""The tables of the command line
==============================

Every table that shows one count of bits shows all three, and names model, texts,
windows and seed in its notes.
"""

from collections.abc import Mapping
from dataclasses import fields

from subbit.conformance.command.console import Table, format_number
from subbit.conformance.runs.evaluate import Score, mean_error
from subbit.conformance.runs.inventory import Inventory, total
from subbit.conformance.runs.jobs import Comparison
from subbit.conformance.runs.manifest import Calibration, Manifest
from subbit.conformance.runs.study import ALL_PARTS, Point, Results, Windows
from subbit.reference import PayloadBits

BITS = ("nominal", "payload", "artifact")
PAYLOAD_PARTS = tuple(item.name for item in fields(PayloadBits) if item.name != "weights")


def _model_note(model: str, precision: str) -> str:
    return f"model: {model}, full precision is: {precision}"


def _calibration_note(used: Calibration) -> str:
    return (
        f"calibration: {used.text}, {used.samples} samples of {used.length} tokens, "
        f"seed {used.seed}{_first_note(used.first_token)}"
    )


def _first_note(token: int | None) -> str:
    return "" if token is None else f", each with the first token {token}"


def _windows_note(windows: Windows | None) -> str:
    if windows is None:
        return "evaluation: none"
    cut = f"{windows.windows} windows of {windows.length} tokens"
    return f"evaluation: {windows.text}, {cut}{_first_note(windows.first_token)}"


def _kept_note(manifest: Manifest, kept: tuple[int, ...]) -> str:
    group = 0 if manifest.settings.keep is None else manifest.settings.keep[1]
    counts = str(kept[0]) if len(set(kept)) == 1 else " ".join(map(str, kept))
    return (
        f"pattern: N:{group}, N by decoder block of the model: {counts}; "
        f"mean {sum(kept) / len(kept):.3f}, budget {manifest.settings.budget}"
    )


BITS_NOTE = "bits per quantized weight: nominal as in papers, payload to decode, artifact in files"


def manifest_notes(manifest: Manifest, windows: Windows | None = None) -> tuple[str, ...]:
    """Return the settings that a run's numbers depend on."""
    used = manifest.settings
    start, stop = used.blocks
    kept = () if manifest.kept is None else (_kept_note(manifest, manifest.kept),)
    count = len(manifest.blocks)
    return (
        _model_note(used.model, used.precision),
        f"method: {used.label} by {used.target}, scales {used.scales}, subbit {used.version}",
        *kept,
        f"selection: decoder blocks {start} to {stop - 1} ({count} done), {' '.join(used.parts)}",
        _calibration_note(used.calibration),
        _windows_note(windows),
        BITS_NOTE,
    )


def _bit_cells(held: Inventory) -> list[str]:
    bits = (held.nominal, held.payload.total, held.artifact)
    return [format_number(value / held.weights, 3) for value in bits]


def summary_table(manifest: Manifest, inventories: Mapping[str, Inventory]) -> Table:
    """Return errors, bits and seconds of a run, by kind of linear."""
    rows = []
    for kind, held in [*inventories.items(), ("all", total(inventories.values()))]:
        layers = [layer for layer in manifest.layers if kind in (layer.kind, "all")]
        share = sum(x.salient_share * x.weights for x in layers) / held.weights
        cells = [
            str(held.linears),
            format_number(mean_error(layer.relative_error for layer in layers), 4),
            f"{share:.1%}",
            *_bit_cells(held),
            format_number(sum(layer.cpu_seconds for layer in layers), 1),
        ]
        rows.append((kind, *cells))
    spent = sum(block.cpu_seconds for block in manifest.blocks)
    notes = (*manifest_notes(manifest), f"calibration and quantization: {spent:.1f} CPU-seconds")
    if lost := sum(layer.underflows for layer in manifest.layers):
        used = manifest.settings.scales
        notes += (f"underflow: {lost:,} scales lose digits in {used}; a wider --scales keeps them",)
    columns = ("part", "linears", "mean relative error", "salient", *BITS, "CPU-s")
    return Table("Quantized linears", columns, tuple(rows), notes)


def bits_table(manifest: Manifest, inventories: Mapping[str, Inventory]) -> Table:
    """Return the bits of a run's files, by kind of linear and by content."""
    whole = total(inventories.values())
    parts = [name for name in PAYLOAD_PARTS if getattr(whole.payload, name)]
    rows = []
    for kind, held in [*inventories.items(), ("all", whole)]:
        cells = [str(held.linears), f"{held.weights:,}", *_bit_cells(held)]
        cells += [format_number(getattr(held.payload, name) / held.weights, 3) for name in parts]
        rows.append((kind, *cells, f"{held.zero_signs:,}"))
    words = tuple(name.replace("_", " ") for name in parts)
    columns = ("part", "linears", "weights", *BITS, *words, "signs that are 0")
    return Table("Bits per weight", columns, tuple(rows), manifest_notes(manifest))


def score_table(
    names: tuple[str, str], manifest: Manifest | None, measured: Score, windows: Windows,
    inventories: Mapping[str, Inventory],
) -> Table:  # fmt: skip
    """Return the perplexity and divergence of one model."""
    notes: tuple[str, ...] = (_model_note(*names), "calibration: none", _windows_note(windows))
    bits = ["-"] * len(BITS)
    if manifest is not None:
        notes = manifest_notes(manifest, windows)
        bits = _bit_cells(total(inventories.values()))
    label = "full precision" if manifest is None else manifest.settings.label
    row = (label, format_number(measured.perplexity), format_number(measured.divergence, 4))
    columns = ("method", "perplexity", "KL per token", *BITS)
    return Table("Evaluation", columns, ((*row, *bits),), notes)


def study_notes(results: Results) -> tuple[str, ...]:
    """Return the settings that a study's numbers depend on, and what they lost."""
    study = results.study
    lost = {point.label: point.underflows for point in results.points if point.underflows}
    counts = ", ".join(f"{label} {count:,}" for label, count in lost.items())
    said = f"underflow: scales that lose digits in {study.scales}: {counts}"
    return (
        _model_note(study.model, study.precision),
        f"layer work by {study.target}, scales {study.scales}, subbit {study.version}",
        _calibration_note(study.calibration),
        _windows_note(study.evaluation),
        f"{BITS_NOTE}; KL in nats per token",
        *([said] if lost else []),
    )


def _point_cells(point: Point) -> list[str]:
    return [
        format_number(point.divergence, 3),
        format_number(point.mean_error, 4),
        *(format_number(getattr(point, name), 3) for name in BITS),
        format_number(point.seconds, 1),
        format_number(point.cpu_seconds, 1),
        f"{point.peak_bytes / 2**20:,.0f}",
    ]


def prefix_table(results: Results, shown: Comparison) -> Table:
    """Return perplexities by number of quantized blocks; other columns are at the largest k."""
    labels, stops = shown.labels, shown.stops
    rows = [("full precision", *[format_number(results.full)] * len(stops), *["-"] * 8)]
    for label in labels:
        points = [results.find(label, ALL_PARTS, 0, stop) for stop in stops]
        cells = [format_number(None if point is None else point.perplexity) for point in points]
        last = points[-1]
        rows.append((label, *cells, *(["-"] * 8 if last is None else _point_cells(last))))
    at = f"KL (k={stops[-1]})"
    columns = (
        "method", *(f"ppl k={stop}" for stop in stops), at, "layer error", *BITS,
        "seconds", "CPU-s", "peak MiB",
    )  # fmt: skip
    title = "Perplexity with the first k decoder blocks quantized"
    return Table(title, columns, tuple(rows), study_notes(results))


def part_table(results: Results, shown: Comparison) -> Table:
    """Return perplexities with one kind of projection quantized, methods side by side."""
    labels, span = shown.labels, shown.span
    rows = []
    bits = []
    for part in shown.parts:
        points = [results.find(label, part, *span) for label in labels]
        cells = [format_number(None if point is None else point.perplexity) for point in points]
        rows.append((part, *cells))
        bits += [f"{p.label} {part} {_three(p)}" for p in points if p is not None]
    title = f"Perplexity with one kind of projection quantized, blocks {span[0]} to {span[1] - 1}"
    full = f"perplexity at full precision: {format_number(results.full)}"
    notes = (*study_notes(results), full, "bits: " + "; ".join(bits))
    return Table(title, ("part", *labels), tuple(rows), notes)


def _three(point: Point) -> str:
    return "/".join(f"{getattr(point, name):.2f}" for name in BITS)
