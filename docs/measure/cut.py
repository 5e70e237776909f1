"""Cut the small layer of the worked examples out of a real one.

Run ``python docs/measure/cut.py`` from the project's root, with the ``demo`` extra and the data
wheels installed. It writes ``docs/measured/cut.json``: four rows and 32 columns of a query
projection of the embedded model, and the Hessian of these 32 inputs. All numbers are rounded to
what the pages show of them, so that the examples are of exactly these numbers.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from measuring import HERE, conditions, kept_layers

LAYER, ROW, COLUMN, ROWS, COLUMNS = "10.q", 96, 144, 4, 32
RESULTS = HERE / "measured" / "cut.json"


def main() -> None:
    """Cut and write."""
    parser = argparse.ArgumentParser(description="Cut the layer of the worked examples.")
    parser.add_argument("--scratch", type=Path, help="folder to keep layers in")
    layers = kept_layers(parser.parse_args().scratch)
    layer = next(x for x in layers if x.name == LAYER)
    columns = slice(COLUMN, COLUMN + COLUMNS)
    W, H = layer.W[ROW : ROW + ROWS, columns], layer.H[columns, columns]
    cut = {
        **conditions([layer]),
        "row": ROW,
        "column": COLUMN,
        "W": np.round(W, 2).tolist(),
        # Half of a symmetric matrix, row by row.
        "H": [float(f"{h:.5g}") for h in H[np.triu_indices(COLUMNS)]],
    }
    RESULTS.write_text(json.dumps(cut) + "\n")


if __name__ == "__main__":
    main()
