"""The table of all entries of ERRATA.md, from what the other scripts have measured."""

import json
import re
from collections.abc import Mapping
from typing import Any

from measuring import HERE, change, fill, fill_entries, measured_points, payload_change, table

MEASURED = ("billm", "stbllm", "arb")


def effects() -> dict[str, dict[str, Any]]:
    """Return what other scripts measured on layers, by entry and field."""
    found = {}
    for name in MEASURED:
        results = json.loads((HERE / "measured" / f"{name}.json").read_text())
        for key, effect in results["switches"].items():
            found[f"{key.split()[0]} {effect['field']}"] = effect["to_code"]
        if "low statistics" in results:
            found["L-1 statistics"] = results["low statistics"]
    return found


def entries(text: str) -> dict[str, tuple[str, str]]:
    """Return title and text of each entry."""
    parts = re.split(r"^### (.*)$|^## .*$", text, flags=re.MULTILINE)
    named = {title: body for title, body in zip(parts[1::2], parts[2::2], strict=True) if title}
    return {
        name: (words, body) for title, body in named.items() for name, words in [title.split(": ")]
    }


def _cells(name: str, field: str, effect: Mapping[str, float]) -> list[str]:
    payload = payload_change(name, field)
    found = (
        "" if side is None else f"{side['perplexity']:.2f}" for side in measured_points(name, field)
    )
    bits = "" if payload is None else change(payload)
    cells = [f"×{effect['ratio']:.3f}", change(effect["bits"]), bits, *found]
    return [cell or "not measured" for cell in cells]


def entry_table(text: str) -> str:
    """Return all entries as a Markdown table, those with several switches once for each."""
    measured = effects()
    rows = []
    for name, (title, body) in entries(text).items():
        slug = re.sub(r"[^\w -]", "", f"{name} {title}".lower()).replace(" ", "-")
        link = f"[{name}](#{slug}) {title}"
        fields = [key.split()[1] for key in measured if key.split()[0] == name]
        for field in fields:
            cells = _cells(name, field, measured[f"{name} {field}"])
            rows.append([link, f"`{field}`", *cells])
        if not fields:
            elsewhere = "see the entry" if "\nMeasured\n" in body else "-"
            rows.append([link, "none", *[elsewhere] * 5])
    heading = ("entry", "switch", "error", "nominal", "payload", "ppl before", "ppl after")
    return table(heading, rows, words=2)


def write_table() -> None:
    """Put the table of all entries into ERRATA.md, and payload bits into the entries."""
    for name in MEASURED:
        fill_entries(json.loads((HERE / "measured" / f"{name}.json").read_text()))
    page = HERE.parent / "ERRATA.md"
    fill(page, {"all entries": f"\n\n{entry_table(page.read_text())}\n\n"})
