"""Sum up docs/scoreboard.md on the first pages.

Run ``python docs/measure/ports.py`` from the project's root, after the scoreboard has changed. It
fills the tables between ``<!-- ports -->`` and ``<!-- end -->`` in README.md and docs/index.md.
"""

import re
from collections.abc import Iterator

from draw import DOCS
from measuring import fill, table

LEVELS = {"1": "1: signs, masks, codes", "2": "2: equations", "3": "3: layers"}
CELL = re.compile(r"(\d+) of (\d+), ([\d.]+)")


def scoreboard() -> tuple[list[str], dict[str, list[str]], list[tuple[str, list[str]]]]:
    """Return the ports, what is said of each, and their cells with the levels."""
    text = (DOCS / "scoreboard.md").read_text(encoding="utf-8")
    lines = [
        [c.strip() for c in x.strip("|").split("|")] for x in text.splitlines() if x[:1] == "|"
    ]
    (_, _, *ports), _rule, *rest = lines
    said = {name: cells for name, level, *cells in rest if not level}
    return ports, said, [(level, cells) for _, level, *cells in rest if level]


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a row for each port: what it computes in, operations passed by level, the result."""
    ports, said, families = scoreboard()
    for place, port in enumerate(ports):
        passed = dict.fromkeys(LEVELS, 0)
        of = dict.fromkeys(LEVELS, 0)
        largest = 0.0
        for level, cells in families:
            of[level] += int(CELL.fullmatch(cells[0])[2])
            if own := CELL.fullmatch(cells[place]):
                passed[level] += int(own[1])
                largest = max(largest, float(own[3]))
        counts = (f"{passed[level]} of {of[level]}" for level in LEVELS)
        yield (
            f"`{port}`",
            said["computes in"][place],
            *counts,
            f"{largest:g}",
            said["result"][place],
        )


def ports_table() -> str:
    """Return the table."""
    heads = ("port", "computes in", *LEVELS.values(), "largest error ÷ bound", "result")
    return table(heads, rows())


def main() -> None:
    """Fill the tables."""
    for page in (DOCS.parent / "README.md", DOCS / "index.md"):
        fill(page, {"ports": f"\n\n{ports_table()}\n\n"})


if __name__ == "__main__":
    main()
