"""What has been explored on all machines; ``python tests/tally.py`` adds the folder ``explored``.

Every exploration draws a stream of cases of its own, so that cases of different rows differ. A
row holds what one stream, or one round of the theorems, has come to under one commit. The sums
stand in docs/conformance.md.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from project import ROOT, write_rows

FOLDER = ROOT / "explored"
FILE = ROOT / "docs" / "measured" / "explored.json"
PAGE = ROOT / "docs" / "conformance.md"
PART = re.compile(r"(<!-- explored -->\n).*?(<!-- end -->)", re.DOTALL)
ROUND = re.compile(r"theorems-(?P<target>.+)-(?P<seed>\d+)\.txt")
COUNT = re.compile(r"(\d+) (passed|failed)")


@dataclass(frozen=True)
class Row:
    """Cases, or tests of properties, of one target."""

    kind: str
    target: str
    commit: str
    done: int
    failed: int
    seconds: float


def states(folder: Path, commit: str) -> Iterator[tuple[str, Row]]:
    """Rows of the explorations in a folder, by the names of their streams."""
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "stream" not in content:
            continue
        tallies = content["operations"].values()
        done = sum(tally["cases"] for tally in tallies)
        seconds = round(sum(tally["seconds"] for tally in tallies), 1)
        key = f"{content['target']} stream {content['stream']}"
        failed = len(content["failures"])
        yield key, Row("cases", content["target"], commit, done, failed, seconds)


def rounds(folder: Path, commit: str) -> Iterator[tuple[str, Row]]:
    """Rows of the rounds of the theorems in a folder, by their seeds."""
    for path in sorted(folder.glob("theorems-*.txt")):
        found = ROUND.fullmatch(path.name)
        last = path.read_text(encoding="utf-8").strip().rpartition("\n")[2]
        counts = {word: int(number) for number, word in COUNT.findall(last)}
        wall = re.search(r" in ([\d.]+)s", last)
        if found is None or not counts or wall is None:
            continue
        failed = counts.get("failed", 0)
        done = failed + counts.get("passed", 0)
        key = f"{found['target']} theorems, seed {found['seed']}"
        yield key, Row("theorems", found["target"], commit, done, failed, float(wall[1]))


def recorded() -> dict[str, Row]:
    return {key: Row(**row) for key, row in json.loads(FILE.read_text(encoding="utf-8")).items()}


def render(rows: Iterable[Row]) -> str:
    rows = list(rows)
    if not rows:
        return "None has been recorded yet.\n"
    lines = ["| port | cases | failed | CPU hours | rounds of the theorems | failed |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for target in sorted({row.target for row in rows}):
        cases, theorems = (
            [row for row in rows if (row.kind, row.target) == (kind, target)]
            for kind in ("cases", "theorems")
        )
        hours = sum(row.seconds for row in cases) / 3600
        lines.append(
            f"| {target} | {sum(row.done for row in cases):,} | {sum(r.failed for r in cases)} "
            f"| {hours:.1f} | {len(theorems)} | {sum(row.failed for row in theorems)} |"
        )
    return "\n".join(lines) + "\n"


def written(page: str, rows: Iterable[Row]) -> str:
    """The page with the part that the rows require."""
    part = render(rows)
    return PART.sub(lambda match: match[1] + part + match[2], page)


def add(folder: Path = FOLDER) -> None:
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    rows = recorded() | dict(states(folder, commit)) | dict(rounds(folder, commit))
    write_rows(FILE, {key: asdict(rows[key]) for key in sorted(rows)})
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), rows.values()), encoding="utf-8")


if __name__ == "__main__":
    add()
