"""The part of docs/gpu.md that shows the newest record; ``python tests/gpu_page.py`` writes it."""

import json
import re
from pathlib import Path
from typing import Any

from project import ROOT

PAGE = ROOT / "docs" / "gpu.md"
RECORDS = ROOT / "docs" / "gpu"
PART = re.compile(r"(<!-- newest record -->\n).*?(<!-- end -->)", re.DOTALL)
NOTHING = "**No GPU has been used yet.** There is no record.\n"
VERSIONS = ("architecture", "memory", "driver", "cuda", "nvrtc", "cupy", "python", "numpy")


def newest(folder: Path = RECORDS) -> dict[str, Any] | None:
    """The record with the latest date; None if there is none."""
    found = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))]
    return max(found, key=lambda record: record["date"], default=None)


def render(record: dict[str, Any] | None) -> str:
    if record is None:
        return NOTHING
    machine = record["steps"]["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in VERSIONS if name in machine)
    lines = [
        f"{machine['gpu']}: {versions}. Commit {record['commit'][:12]}, {record['date'][:10]}.",
        "",
        "| step | result | ended | seconds |",
        "| --- | --- | --- | ---: |",
    ]
    for name, step in record["steps"].items():
        said = step.get("summary", "nothing")
        lines.append(f"| {name} | {said} | {step['status']} | {step['seconds']} |")
    return "\n".join(lines) + "\n"


def written(page: str, folder: Path = RECORDS) -> str:
    """The page with the part that its records require."""
    part = render(newest(folder))
    return PART.sub(lambda match: match[1] + part + match[2], page)


def write() -> None:
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
