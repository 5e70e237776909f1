"""What only a machine with an NVIDIA GPU can say, in one command: ``make gpu``.

Needs system packages only: NumPy, scipy, hypothesis, typer, rich, and CuPy with a CUDA
toolkit. Each step runs in a process of its own with a time limit, and the record is written
after each of them, so whatever ends the run early leaves what was found so far.

``--device simulated`` rehearses the run without a GPU, into a folder of its own.
"""

import argparse
import datetime as dt
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from project import ROOT

RECORDS = ROOT / "docs" / "gpu"
LIMITS = {"machine": 40, "kernels": 150, "conformance": 150, "sanitizer": 80, "bandwidth": 50}
"""Seconds of each step; less than eight minutes together."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "simulated"), default="cuda")
    parser.add_argument("--out", type=Path, help=f"folder of the record; {RECORDS} by default")
    parser.add_argument("--every", type=int, default=1, help="take one of so many cases")
    parser.add_argument("--limit", type=float, default=1.0, help="share of the time limits")
    parser.add_argument("--step", choices=tuple(LIMITS), help=argparse.SUPPRESS)
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--launch", help=argparse.SUPPRESS)
    return parser.parse_args()


def git(*words: str) -> str:
    """What git says, or that it says nothing: a checkout may be an unpacked archive."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class Record:
    """The record of a run, written again after each step."""

    def __init__(self, device: str, every: int) -> None:
        changed = git("status", "--porcelain", "--untracked-files=no")
        self.content: dict[str, Any] = {
            "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "commit": git("rev-parse", "HEAD") + (" with changes" if changed else ""),
            "device": device,
            "every": every,
            "steps": {},
        }

    def write(self, folder: Path) -> Path:
        steps = self.content["steps"]
        gpu = steps.get("machine", {}).get("gpu", self.content["device"])
        path = folder / f"{self.content['date'][:10]}-{slug(gpu)}.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        return path


def run_step(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run a step in its own process; return what it saved, and how it ended."""
    part = folder / f"{name}.json"
    words = ["--step", name, "--part", str(part), "--device", options.device]
    words += ["--every", str(options.every), "--limit", str(options.limit)]
    began, limit = time.monotonic(), LIMITS[name] * options.limit
    process = subprocess.Popen(
        [sys.executable, __file__, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=limit)
        status = "complete" if process.returncode == 0 else f"ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        said, status = end(process), f"stopped after {limit:.0f} s"
    except KeyboardInterrupt:
        said, status = end(process), "interrupted"
    saved = json.loads(part.read_text(encoding="utf-8")) if part.exists() else {}
    found = {"status": status, "seconds": round(time.monotonic() - began, 1), **saved}
    if status != "complete" and said.strip():
        found["said"] = said.strip()[-2000:]
    return found


def end(process: "subprocess.Popen[str]") -> str:
    """End a step and whatever it started."""
    os.killpg(process.pid, 9)
    said, _ = process.communicate()
    return said


def steps(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        for name in LIMITS:
            found = run_step(name, options, Path(folder))
            yield name, found
            if found["status"] == "interrupted" or (name == "machine" and not found.get("well")):
                return


def say(text: str, stream: TextIO = sys.stdout) -> None:
    stream.write(text + "\n")
    stream.flush()


def main() -> int:
    options = arguments()
    if options.step or options.launch:
        import gpu_steps

        return gpu_steps.main(options)
    if options.device != "cuda" and options.out is None:
        say("gpu: a rehearsal needs a folder of its own: --out FOLDER", sys.stderr)
        return 2
    record, out, well = Record(options.device, options.every), options.out or RECORDS, True
    for name, found in steps(options):
        if name == "machine" and not found.get("well"):
            say(found.get("lacking") or found.get("said", found["status"]), sys.stderr)
            return 2
        record.content["steps"][name] = found
        path = record.write(out)
        well = well and bool(found.get("well")) and found["status"] == "complete"
        say(f"{name}: {found['status']}, {found['seconds']} s: {found.get('summary', '')}")
    say(f"record: {path}")
    if out == RECORDS:
        import gpu_page

        gpu_page.write()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
