"""Measure what docs/models.md states of error propagation.

Run ``python docs/measure/propagation.py`` from the project's root, with the ``demo`` extra and the
data wheels installed. It takes half an hour of CPU time, writes ``docs/measured/propagation.json``
after every run, goes on from there, and fills the page's tables. ``--only WORD`` leaves out labels
without that word, ``--fill`` measures nothing.

Calibration and evaluation are those of ``subbit demo``. Strengths are compared on other tokens of
the calibration text, which no calibration sequence has: there are no evaluation tokens among them.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from measuring import HERE, fill, table

from subbit import reference
from subbit.conformance.command.cli_curve import DEMO
from subbit.conformance.command.cli_run import cut_windows, draw_calibration
from subbit.conformance.models.base import DecoderModel, Float32, Tokens
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.evaluate import PrefixEvaluator, last_hidden
from subbit.conformance.runs.exams import OutputErrors
from subbit.conformance.runs.frontier import held_out
from subbit.conformance.runs.kernels import on_one_thread
from subbit.conformance.runs.plan import plan
from subbit.conformance.runs.quantize import Hooks, quantize_model

RESULTS = HERE / "measured" / "propagation.json"
STOPS = (2, 4)
METHODS = ("billm:paper", "arb-rc:paper", "pbs2p:best@4:8")
SETTINGS: Mapping[str, str] = {
    "none": "",
    "QEP": "+qep",
    "LoaQ": "+loaq",
    "LoaQ, half": "+half",
    "GPTAQ": "+gptaq",
    "order alone": "+gptaq:alpha=0.0",
}
"""What is added to a label. With a strength of zero only the inputs of the Hessians differ."""
HALF = SETTINGS["LoaQ, half"]
ALL_SETTINGS, FEW = "billm:paper", 4
"""The method that is measured in all settings, and in how many of them the others are."""
HELD_OUT, LENGTH = 8, 512
"""Sequences held out, and their tokens."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Sequences for calibration, for comparing strengths, and for evaluation."""

    calibration: Tokens
    held_out: Tokens
    windows: Tokens


def texts(model: DecoderModel) -> tuple[Texts, Any]:
    """Draw the sequences; those held out share no run of tokens with those for calibration."""
    sequences, described = draw_calibration(model, DEMO.calibration)
    windows, _ = cut_windows(model, DEMO.text, DEMO.window, DEMO.windows)
    more = replace(DEMO.calibration, samples=8 * HELD_OUT, length=LENGTH, seed=1)
    apart = held_out(sequences, draw_calibration(model, more)[0], HELD_OUT)
    return Texts(sequences, apart, windows), described


def errors(full: DecoderModel, made: DecoderModel, tokens: Tokens) -> dict[str, float]:
    """Return the errors of the linears' outputs and of the stream after the last block."""
    watch = OutputErrors(full, made, tokens)
    for index in range(STOPS[-1]):
        watch.follow(index)
    return {"layers": watch.read().layers, "stream": watch.read().stream}


def run(label: str, found: Texts, described: Any, full_hidden: Float32) -> dict[str, Any]:  # noqa: ANN401
    """Quantize the first decoder blocks and measure them."""
    full, made = load_model(DEMO.model), load_model(DEMO.model)
    evaluator = PrefixEvaluator(made, found.windows, full_hidden)
    scores: dict[str, Any] = {}

    def follow(index: int, _manifest: object) -> None:
        evaluator.follow(index)
        if index + 1 in STOPS:
            score = evaluator.score()
            scores[str(index + 1)] = {"perplexity": score.perplexity, "kl": score.divergence}

    settings = plan(made, label, described, blocks=(0, STOPS[-1]))
    hooks = Hooks(block=follow)
    manifest = quantize_model(made, reference, settings, found.calibration, hooks=hooks)
    weights = sum(layer.weights for layer in manifest.layers)
    return {
        "scores": scores,
        "calibration": errors(full, made, found.calibration[:4]),
        "held_out": errors(full, made, found.held_out),
        "payload": sum(layer.payload_bits for layer in manifest.layers) / weights,
        "cpu_seconds": sum(block.cpu_seconds for block in manifest.blocks),
    }


def labels() -> list[str]:
    """Return what is measured, what matters most first."""
    names = list(SETTINGS.values())
    both = [method + own for method in METHODS for own in (names[0], HALF)]
    rest = [method + own for own in names[1:FEW] for method in METHODS]
    return list(dict.fromkeys([*both, *rest, *(ALL_SETTINGS + own for own in names)]))


def measure(only: str) -> dict[str, Any]:
    """Measure what is missing."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": {}}
    missing = [x for x in labels() if x not in results["runs"] and only in x]
    if not missing:
        return results
    model = load_model(DEMO.model)
    found, described = texts(model)
    with on_one_thread():
        hidden = last_hidden(model, found.windows)
        results |= {
            "model": DEMO.model,
            "calibration": {"text": described.text, "samples": 16, "length": 1024, "seed": 0},
            "held_out": {"sequences": len(found.held_out), "length": LENGTH, "seed": 1},
            "evaluation": {"text": DEMO.text, "windows": DEMO.windows, "length": DEMO.window},
        }
        for label in missing:
            results["runs"][label] = run(label, found, described, hidden)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return results


def propagation_table(results: Mapping[str, Any]) -> str:
    """Return the runs as a Markdown table; the least held-out error of each method is bold."""
    rows = []
    for method in METHODS:
        own = {n: results["runs"].get(method + x) for n, x in SETTINGS.items()}
        found = [r["held_out"]["stream"] for r in own.values() if r]
        least = min(found) if len(found) > 1 else None
        for name, r in own.items():
            if r:
                stream = f"{r['held_out']['stream']:.4f}"
                rows.append(
                    (
                        method,
                        name,
                        *(f"{r['scores'][str(k)]['perplexity']:.2f}" for k in STOPS),
                        *(f"{r['scores'][str(k)]['kl']:.3f}" for k in STOPS),
                        f"{r['calibration']['layers']:.4f}",
                        f"{r['held_out']['layers']:.4f}",
                        f"{r['calibration']['stream']:.4f}",
                        f"**{stream}**" if r["held_out"]["stream"] == least else stream,
                        f"{r['cpu_seconds']:.0f}",
                    )
                )
    heading = ["method", "propagation", *(f"ppl k={k}" for k in STOPS)]
    heading += [f"KL k={k}" for k in STOPS]
    heading += ["layers", "layers, held out", "stream", "stream, held out", "CPU-s"]
    return "\n\n" + table(heading, rows) + "\n\n"


def main() -> None:
    """Measure, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--fill", action="store_true")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if options.fill else measure(options.only)
    fill(HERE / "models.md", {"propagation": propagation_table(results)})


if __name__ == "__main__":
    main()
