"""LLaMA models in Hugging Face folders
=====================================

The NumPy decoder reads a folder itself if it supports everything that the folder's
``config.json`` requires, so a saved model can be evaluated without torch.
"""

from pathlib import Path
from typing import Any

import numpy as np

from subbit.reference.errors import ArgumentError, is_whole

from .base import Float32, NotCoveredError
from .checkpoint import companion_files, read_weights, weight_files
from .ledger import LLAMA_KEYS, TENSORS, is_listed
from .llama import LlamaModel
from .llama_config import USED, read_config
from .reading import read_json
from .tokenizer import read_folder as read_tokenizer
from .typed import flag, shown, word

EMBEDDING = "model.embed_tokens.weight"
TOKEN_ROLES = ("bos_token_id", "eos_token_id", "pad_token_id")


def read_folder(folder: Path, name: str) -> LlamaModel:
    """Load a LLaMA model from a Hugging Face folder.

    Parameters
    ----------
    folder : Path
        Folder with ``config.json``, safetensors files and ``tokenizer.json``.
    name : str
        The user's name for it.

    Returns
    -------
    LlamaModel
        The model, in float32.

    Raises
    ------
    NotCoveredError
        If it needs transformers, with the reason.
    ArgumentError
        If a file is missing or damaged, or a weight is not finite.
    """
    settings = read_json(folder / "config.json")
    config = read_config(settings)
    _check_keys(settings)
    if "quantization_config" in settings:
        raise NotCoveredError("model", "plain weights for the NumPy decoder", "quantized ones")
    if not weight_files(folder):
        raise NotCoveredError("model", "safetensors files for the NumPy decoder", folder)
    if not (folder / "tokenizer.json").is_file():
        raise NotCoveredError("model", "a tokenizer.json for the NumPy decoder", folder)
    weights = {
        key: weight
        for key, weight in read_weights(folder).items()
        if key in config.shapes() or not is_listed(key, TENSORS)
    }
    _settle_head(weights, tied=flag(settings, "tie_word_embeddings"))
    return LlamaModel(
        config, weights, read_tokenizer(folder), name, _precision(settings), _roles(settings),
        companion_files(folder),
    )  # fmt: skip


def _settle_head(weights: dict[str, Float32], *, tied: bool) -> None:
    """Leave out a copy of the embedding; refuse to use the embedding where the file does not."""
    head = weights.get("lm_head.weight")
    if head is None and not tied:
        expected = "a checkpoint with the weight lm_head.weight, or tie_word_embeddings"
        raise ArgumentError("model", expected, "one without it")
    # As in transformers, a head that differs counts, whatever config.json says.
    if tied and head is not None and np.array_equal(head, weights.get(EMBEDDING, ())):
        del weights["lm_head.weight"]


def _check_keys(settings: dict[str, Any]) -> None:
    """Refuse keys whose effect the NumPy decoder does not know; transformers may know it."""
    unknown = [key for key in settings if key not in USED and not is_listed(key, LLAMA_KEYS)]
    if unknown:
        expected = "keys of config.json that the NumPy decoder knows"
        raise NotCoveredError("model", expected, unknown[0])


def _roles(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of special tokens; some models end at one of several."""
    found = {role: settings[role] for role in TOKEN_ROLES if role in settings}
    for role, value in found.items():
        numbers = value if isinstance(value, list) else [] if value is None else [value]
        if not all(is_whole(number) for number in numbers):
            raise ArgumentError("model", f"a whole number for {role}", shown(value))
    return found


def _precision(settings: dict[str, Any]) -> str:
    stored = word(settings, "torch_dtype", "float32")
    return f"{word(settings, 'dtype', stored)} checkpoint"
