"""Write the tables of docs/frontier.md from what ``subbit frontier`` has measured.

Run ``python docs/measure/frontier.py [FOLDER]`` from the project's root. FOLDER is that of the
command; its file becomes ``docs/measured/frontier.json``. Without one, only tables are written.
"""

import argparse
from pathlib import Path

from measuring import HERE, fill, table

from subbit.conformance.command.console import format_number
from subbit.conformance.runs.frontier import FRONTIER, Calibrated, read_frontier

DATA = HERE / "measured" / "frontier.json"
PAGE = HERE / "frontier.md"


def whole_table(found: Calibrated) -> str:
    """Return perplexity, divergence and errors of whole models, by payload bits."""
    texts = range(len(found.studies))
    rows = [("full precision", "-", "-", *(f"{x.full:,.2f}" for x in found.studies), *["-"] * 5)]
    for label in found.labels():
        points = [found.point(place, label) for place in texts]
        some = next(point for point in points if point is not None)
        errors = found.errors_of(some)
        kept = [errors.get(name) for name in ("calibration", "held out")]
        rows.append(
            (
                f"`{label}`",
                f"{some.payload:.3f}",
                f"{some.artifact:.3f}",
                *(format_number(point and point.perplexity) for point in points),
                format_number(some.divergence, 3),
                *(format_number(one and one.layers, 4) for one in kept),
                *(format_number(one and one.stream, 4) for one in kept),
            )
        )
    columns = ("method", "payload", "artifact", *(f"ppl {_short(found, i)}" for i in texts), "KL")
    return table((*columns, "layers", "layers, held out", "stream", "stream, held out"), rows)


def _short(found: Calibrated, place: int) -> str:
    return found.studies[place].study.evaluation.text.partition(".")[0]


def prefix_table(found: Calibrated) -> str:
    """Return perplexities by number of quantized blocks, by payload bits."""
    stops = sorted({point.stop for point in found.prefix.points})
    rows = [("full precision", *[f"{found.prefix.full:.2f}"] * len(stops))]
    for label in found.labels():
        points = [found.prefix.find(label, "all", 0, stop) for stop in stops]
        rows.append((f"`{label}`", *(format_number(p and p.perplexity) for p in points)))
    return table(("method", *(f"k={stop}" for stop in stops)), rows)


def taken_over(doc: str | None, data: Path) -> Calibrated:
    """Take over what the command has measured, if its folder is named, and read it."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("folder", type=Path, nargs="?")
    folder = parser.parse_args().folder
    if folder is not None:
        data.write_bytes((folder / FRONTIER).read_bytes())
    return read_frontier(data)[0]


def main() -> None:
    """Write the page's tables."""
    found = taken_over(__doc__, DATA)
    parts = {"whole": whole_table(found), "prefix": prefix_table(found)}
    fill(PAGE, {name: f"\n\n{part}\n\n" for name, part in parts.items()})


if __name__ == "__main__":
    main()
