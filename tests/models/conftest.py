"""Models that several test files share."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from subbit.conformance.models.base import DecoderModel
from subbit.conformance.models.gguf_file import GLOBAL, IN_BLOCK, smollm2
from subbit.conformance.models.llama import LlamaModel
from subbit.conformance.texts.text import load_documents


@pytest.fixture(scope="session")
def embedded() -> LlamaModel:
    """The embedded model; tests must not change it."""
    return smollm2()


@pytest.fixture(scope="session")
def saved_embedded(
    embedded: LlamaModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with the embedded model, half a gigabyte, removed at the end."""
    folder = tmp_path_factory.mktemp("embedded")
    embedded.save(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def evaluation_tokens(embedded: LlamaModel) -> npt.NDArray[np.int64]:
    """The first 512 tokens of the embedded evaluation text."""
    return embedded.tokenize(load_documents("enwiki-excerpt:evaluation").joined()[:4000])[:512]


def logits(model: DecoderModel, tokens: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Run the whole model through the interface: (N, L) tokens to (N, L, V) logits."""
    hidden = model.embed(tokens)
    for index in range(model.n_blocks):
        hidden = model.run_block(index, hidden)
    return np.stack([model.head(sequence) for sequence in hidden])


def mean_nll(scores: npt.NDArray[np.float32], tokens: npt.NDArray[np.int64]) -> float:
    """Mean negative log-likelihood of each token after the first, in float64."""
    wide = scores[:-1].astype(np.float64)
    top = wide.max(axis=1)
    total = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
    return float(np.mean(total - wide[np.arange(len(wide)), tokens[1:]]))


def gguf_copy(path: Path, model: LlamaModel, **changes: Any) -> None:
    """Write a GGUF file as its converters do: rows of q and k interleaved, norms in F32."""
    gguf = pytest.importorskip("gguf")
    writer, size = gguf.GGUFWriter(path, changes.pop("architecture", "llama")), model.config
    writer.add_context_length(size.context)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.n_blocks)
    writer.add_feed_forward_length(size.mlp_width)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.kv_heads)
    writer.add_rope_dimension_count(changes.pop("rotated", size.head_width))
    writer.add_rope_freq_base(size.theta)
    writer.add_layer_norm_rms_eps(size.epsilon)
    vocabulary = model.codec.tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(changes.pop("pre", "gpt-2"))
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    if "merges" in changes:
        writer.add_token_merges(changes.pop("merges"))
    kind = changes.pop("kind", gguf.GGMLQuantizationType.F32)
    kept = changes.pop("kept", lambda _name: True)
    for name, value in model.weights.items():
        ours = gguf_name(name)
        if not kept(ours):
            continue
        stored = value
        for part, heads in (("attn_q", size.heads), ("attn_k", size.kv_heads)):
            if part + "." in ours:
                halves = stored.reshape(heads, 2, -1, size.width)
                stored = halves.swapaxes(1, 2).reshape(stored.shape)
        if ours.startswith("blk") and value.ndim == 2:
            writer.add_tensor(ours, gguf.quantize(stored, kind), raw_dtype=kind)
        else:
            writer.add_tensor(ours, np.ascontiguousarray(stored))
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            writer.add_tensor(name, value)
        else:
            writer.add_key_value(name, value, gguf.GGUFValueType.get_type(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    for ours, theirs in GLOBAL.items():
        if name == theirs:
            return ours
    _, _, index, *rest = name.removesuffix(".weight").split(".")
    part = next(ours for ours, theirs in IN_BLOCK.items() if theirs == ".".join(rest))
    return f"blk.{index}.{part}.weight"
