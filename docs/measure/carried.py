r"""Measure what docs/models.md states of the budget ``carried``, and write its table.

Run ``python docs/measure/carried.py [FOLDER]`` from the project's root. FOLDER is one in which

    subbit frontier smollm2-135m --ks 4 --samples 16 --length 1024 --window 512 --windows 6 \
        --method typed:1.5bit+half --method typed:1.5bit/carried+half \
        --method typed:2.25bit+half --method typed:2.25bit/carried+half --out FOLDER

has measured; its file becomes ``docs/measured/carried.json``.
"""

from frontier import taken_over
from measuring import HERE, fill, table

DATA = HERE / "measured" / "carried.json"


def main() -> None:
    """Write the table."""
    found = taken_over(__doc__, DATA)
    rows = []
    for label in found.labels():
        point = found.point(0, label)
        errors = found.errors_of(point)
        cells = [f"{errors['held out'].layers:.4f}", f"{errors['held out'].stream:.4f}"]
        rows.append((f"`{label}`", f"{point.payload:.3f}", *cells, f"{point.perplexity:.2f}"))
    head = ("method", "payload", "layers, held out", "stream, held out", "ppl k=4")
    fill(HERE / "models.md", {"carried": f"\n\n{table(head, rows)}\n\n"})


if __name__ == "__main__":
    main()
