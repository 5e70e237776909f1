"""What a source may hold without effect
======================================

Every tensor and every key of a source is used, or has no effect on the logits and stands
here with its reason, or is refused by name. So a model that a decoder would get wrong does
not load.

=================== =================================================================
table               entries
=================== =================================================================
`TENSORS`           tensors of any source
`LLAMA_KEYS`        keys of a ``config.json``, for the NumPy decoder
`GGUF_KEYS`         keys of a GGUF file, whatever their value
`GGUF_NEUTRAL`      keys of a GGUF file after its architecture, with the values at which
                    they change nothing
=================== =================================================================

A name may have wild cards, as in file names. For a folder that transformers loads,
``config.json`` is what that library makes of it.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from .base import NotCoveredError

TENSORS: Mapping[str, str] = MappingProxyType(
    {
        "*rotary_emb.inv_freq": "computed again from the base of the rotary frequencies",
        "*attn.masked_bias": "the value that old versions of GPT-2 wrote over masked scores",
        "h.*.attn.bias": "the causal mask of old versions of GPT-2",
        "transformer.h.*.attn.bias": "the causal mask of old versions of GPT-2",
        "*decoder.version": "the version of the code that wrote an OPT checkpoint",
    }
)

LLAMA_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "architectures": "names the class; model_type decides",
        "transformers_version": "the version that wrote the file",
        "_name_or_path": "where it was read from",
        "_commit_hash": "where it was read from",
        "dtype": "names the precision; the weights have their own",
        "torch_dtype": "names the precision; the weights have their own",
        "*_token_id": "carried over; a text's tokens come from the tokenizer",
        "use_cache": "a cache of keys and values changes no logits",
        "_attn_implementation*": "which code computes the same attention",
        "initializer_range": "for training from scratch",
        "attention_dropout": "for training",
        "attn_pdrop": "for training",
        "embd_pdrop": "for training",
        "resid_pdrop": "for training",
        "pretraining_tp": "the order of summation of a distributed training",
        "is_llama_config": "a note of the converter",
        "transformers.js_config": "for another library",
    }
)

GGUF_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "GGUF.*": "the structure of the file, which its reader follows",
        "general.*": "origin, license and kind of quantization",
        "quantize.*": "how the quantized tensors were made",
        "split.count": "more than one part is refused when the file is read",
        "split.no": "the number of the part",
        "split.tensors.count": "the tensors of all parts",
        "tokenizer.ggml.scores": "a byte-level tokenizer has its merges in order",
        "tokenizer.ggml.token_type_count": "a byte-level tokenizer has no segments",
        "tokenizer.ggml.*_token_id": "roles in chats and infilling; no text's tokens change",
        "tokenizer.chat_template*": "templates of chats",
        "*.rope.scaling.original_context_length": "used by scalings, and their type is checked",
        "*.rope.scaling.finetuned": "a note on training",
    }
)

GGUF_NEUTRAL: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "attention.causal": (True,),
        "attention.clamp_kqv": (0,),
        "attention.max_alibi_bias": (0,),
        "attn_logit_softcapping": (0,),
        "embedding_scale": (0, 1),
        "expert_count": (0,),
        "expert_used_count": (0,),
        "final_logit_softcapping": (0,),
        "logit_scale": (0, 1),
        "pooling_type": (0,),
        "residual_scale": (0, 1),
        "rope.scale_linear": (0, 1),
        "rope.scaling.attn_factor": (1,),
        "rope.scaling.factor": (0, 1),
        "rope.scaling.type": ("none",),
        "tensor_data_layout": ("Meta AI original pth",),
        "type": ("model",),  # of general.type
        "use_parallel_residual": (False,),
        "ggml.add_eos_token": (False,),  # this and the next of tokenizer.ggml
        "ggml.add_sep_token": (False,),
        "ggml.add_space_prefix": (False,),
        "ggml.remove_extra_whitespaces": (False,),
    }
)


@dataclass(frozen=True)
class Sizes:
    """Sizes that decide whether a key has an effect.

    Parameters
    ----------
    head_width : int
        Channels of one attention head.
    context : int
        Longest sequence.
    """

    head_width: int
    context: int


def is_listed(name: str, table: Iterable[str]) -> bool:
    """Return whether a name is in a table of names with wild cards.

    Parameters
    ----------
    name : str
        A tensor or a key.
    table : iterable of str
        Such as `TENSORS`.

    Returns
    -------
    bool
        Whether an entry matches.

    Examples
    --------
    >>> is_listed("model.layers.3.self_attn.rotary_emb.inv_freq", TENSORS)
    True
    """
    return any(fnmatchcase(name, pattern) for pattern in table)


def check_gguf_keys(
    metadata: Mapping[str, Any], used: Collection[str], sizes: Sizes, reader: str
) -> None:
    """Refuse metadata of a GGUF file that would be dropped with an effect.

    Parameters
    ----------
    metadata : mapping of str to object
        Values by key.
    used : collection of str
        Keys that the reader uses.
    sizes : Sizes
        Sizes of the model that is built.
    reader : str
        The reader, for the message.

    Raises
    ------
    NotCoveredError
        If a key is neither used nor without effect; the message has its value.

    Examples
    --------
    >>> check_gguf_keys({"llama.attention.sliding_window": 64}, (), Sizes(16, 64), "it")
    >>> check_gguf_keys({"llama.attention.sliding_window": 63}, (), Sizes(16, 64), "it")
    Traceback (most recent call last):
        ...
    subbit.conformance.models.base.NotCoveredError: model: expected a GGUF file whose \
metadata it uses, got llama.attention.sliding_window = 63
    """
    for key, value in metadata.items():
        if key not in used and not _has_no_effect(key, value, sizes):
            expected = f"a GGUF file whose metadata {reader} uses"
            raise NotCoveredError("model", expected, f"{key} = {str(value)[:60]}")


def _has_no_effect(key: str, value: Any, sizes: Sizes) -> bool:  # noqa: ANN401 - as in the file
    rest = key.partition(".")[2]
    match rest:
        case "attention.sliding_window":
            return bool(value == 0 or value >= sizes.context)
        case "attention.scale":
            return value == 0 or math.isclose(value, sizes.head_width**-0.5, rel_tol=1e-6)
        case "attention.key_length" | "attention.value_length" | "rope.dimension_count":
            return bool(value == sizes.head_width)
    if rest in GGUF_NEUTRAL:
        return value in GGUF_NEUTRAL[rest]
    return is_listed(key, GGUF_KEYS)
