"""Models that transformers reads
==============================

A folder or a hub name is read lazily: the weights of decoder blocks stay in their
safetensors files. A GGUF file is dequantized as a whole. Nothing that is pickled is read,
and what a source holds beyond the model is refused by name.
"""

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from subbit.conformance.memory import check_memory
from subbit.reference.errors import ArgumentError

from .base import NotCoveredError
from .checkpoint import companion_files, stored_shapes, weight_files
from .decoder import Module
from .gguf_file import open_gguf, read_codec, read_metadata, stored_precision
from .gguf_transformers import (
    check_architecture,
    check_keys,
    check_tensors,
    check_tokenizer,
    divide_frequencies,
)
from .gguf_weights import shape_of
from .hf import Codec, TransformersCodec, TransformersModel
from .ledger import TENSORS, is_listed
from .needs import quiet, require
from .reading import is_fault, read_json, reading
from .stored_weights import on_disk, store
from .tokenizer import has_tokenizer

LOADS = "a model that transformers can load"
RUNS = "a model that transformers can run"
MOST_REASON = 300
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def load_transformers(spec: str) -> TransformersModel:
    """Load a model through transformers.

    Parameters
    ----------
    spec : str
        A Hugging Face folder, a GGUF file, or the name of a hub model.

    Returns
    -------
    TransformersModel
        The model, in float32.

    Raises
    ------
    ArgumentError
        If it cannot be read or reached, lacks a weight, has one that is not finite or not
        used, if its parts in turn do not give its logits, or if it is no decoder.
    """
    library = require("transformers", "model", "models")
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    # They warn of weights that are left on disk, and of each try to reach the hub.
    quiet("accelerate.big_modeling", "huggingface_hub")
    path = Path(spec)
    if path.is_file():
        return _load_gguf(path, spec)
    if path.is_dir():
        read_json(path / "config.json")
    config = _attempt(spec, library.AutoConfig.from_pretrained)
    if path.is_dir():
        _check_files(path)
        skeleton = _checked_skeleton(config, stored_shapes(path), spec)
    else:
        skeleton = _skeleton(config)
    precision = f"{config.dtype or 'float32'} checkpoint".removeprefix("torch.")
    with on_disk(skeleton) as options:
        model = _load_weights(spec, use_safetensors=True, **options)
        weights = store(model, options)
        codec = TransformersCodec(_attempt(spec, library.AutoTokenizer.from_pretrained))
        files = companion_files(path) if path.is_dir() else ()
        with reading(RUNS, spec):
            return TransformersModel(model, codec, spec, precision, files, weights)


def _skeleton(config: Any) -> Module:  # noqa: ANN401 - an untyped library
    """Return the model without weights, if it is a causal language model."""
    if config.is_encoder_decoder:
        came = f"{config.model_type}, an encoder with a decoder"
        raise ArgumentError("model", "a decoder-only language model", came)
    loader = require("transformers", "model", "models").AutoModelForCausalLM.from_config
    with require("torch", "model", "models").device("meta"):
        return _attempt(config, loader, named=config.model_type)


def _check_files(folder: Path) -> None:
    if not weight_files(folder):
        pickled = sorted(x.name for pattern in PICKLED for x in folder.glob(pattern))
        came = f"{folder} with {pickled[0]}" if pickled else f"{folder} without one"
        expected = "a folder with safetensors files, since pickled ones can run code"
        raise ArgumentError("model", expected, came)
    if not has_tokenizer(folder):
        expected = "a folder with a tokenizer, such as a file tokenizer.json"
        raise ArgumentError("model", expected, f"{folder} without one")


def _checked_skeleton(config: Any, shapes: Collection[tuple[int, ...]], source: str) -> Module:  # noqa: ANN401
    """Return the model without weights; refuse one that is larger than its files.

    The library makes modules for each decoder block, and fills in what the files lack.
    """
    blocks = getattr(config.get_text_config(), "num_hidden_layers", None)
    if isinstance(blocks, int) and blocks > len(shapes):
        expected = f"at most as many decoder blocks as {source} has weights, {len(shapes)}"
        raise ArgumentError("model", expected, blocks)
    skeleton = _skeleton(config)
    needed, held = sum(x.numel() for x in skeleton.parameters()), sum(map(math.prod, shapes))
    # A head that is tied to the embedding may be counted twice; packed numbers are of two bits.
    if needed > (16 if hasattr(config, "quantization_config") else 2) * held:
        expected = f"a model of the {held:,} numbers that {source} has"
        raise ArgumentError("model", expected, f"a description of {needed:,}")
    return skeleton


def _load_gguf(path: Path, spec: str) -> TransformersModel:
    library = require("transformers", "model", "models")
    reader = open_gguf(path)
    if reader.count > 1:
        expected = "a GGUF file in one part for transformers (llama-gguf-split --merge joins parts)"
        raise ArgumentError("model", expected, f"the first of {reader.count} parts")
    metadata = read_metadata(reader)
    architecture = check_architecture(metadata)
    where = {"gguf_file": path.name}
    config = _attempt(str(path.parent), library.AutoConfig.from_pretrained, **where)
    with reading(LOADS, spec):
        check_keys(metadata, config)
    shapes = [shape_of(tensor) for tensor in reader.tensors]
    _checked_skeleton(config, shapes, spec)
    check_memory("model", 4 * sum(map(math.prod, shapes)), f"the weights of {spec}")
    model = _load_weights(str(path.parent), **where)
    config = model.config
    with reading(LOADS, spec):
        check_tensors(reader, model, architecture)
        divide_frequencies(reader, config)
    # transformers refuses to save a model whose config says it came from a quantized file.
    del config.quantization_config
    plain = library.AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(model.state_dict())
    try:
        codec: Codec = read_codec(metadata)
    except NotCoveredError:
        check_tokenizer(metadata)
        own = _attempt(str(path.parent), library.AutoTokenizer.from_pretrained, **where)
        codec = TransformersCodec(own)
    with reading(RUNS, spec):
        return TransformersModel(plain, codec, spec, stored_precision(reader))


def _load_weights(source: str, **where: Any) -> Module:  # noqa: ANN401 - the library's options
    torch = require("torch", "model", "models")
    loader = require("transformers", "model", "models").AutoModelForCausalLM.from_pretrained
    # Mismatched shapes are in the report too; the library's own message only points at a log.
    asked: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    model, report = _attempt(source, loader, dtype=torch.float32, **asked, **where)
    if report["missing_keys"]:
        missing = min(report["missing_keys"])
        raise ArgumentError("model", f"a checkpoint with the weight {missing}", "one without it")
    if report["mismatched_keys"]:
        name, came, expected = min(report["mismatched_keys"])
        raise ArgumentError("model", f"{name} of shape {tuple(expected)}", tuple(came))
    extra = sorted(key for key in report["unexpected_keys"] if not is_listed(key, TENSORS))
    if extra:
        expected = f"only tensors that {type(model).__name__} of transformers uses"
        raise ArgumentError("model", expected, extra[0])
    return model


def _attempt(source: Any, load: Any, *, named: str = "", **options: Any) -> Any:  # noqa: ANN401
    try:
        return load(source, **options)
    except BaseException as error:  # the library raises many kinds, each with its reason
        if not is_fault(error):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # A line that ends in a colon announces the reason.
        reason = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
        came = f"{named or source} ({reason[:MOST_REASON] or type(error).__name__})"
        raise ArgumentError("model", LOADS, came) from error
