"""What transformers does not use of a GGUF file
==============================================

The library drops metadata and tensors that it has no place for, and fills in defaults of
its own. Here a file is held to what the library knows of its architecture, so that a file
which would load as another model is refused.
"""

from typing import Any

from subbit.reference.errors import ArgumentError

from .base import NotCoveredError
from .gguf_file import FREQUENCIES, TOKENIZER, GGUFParts, read_divisors
from .ledger import Sizes, check_gguf_keys
from .needs import require

READER = "transformers"
# Those whose files are known: what transformers fills in for others may not be in the file.
ARCHITECTURES = ("gemma3", "gpt2", "llama", "mistral", "qwen2", "qwen3")


def _library() -> Any:  # noqa: ANN401 - an untyped library
    return require("transformers.modeling_gguf_pytorch_utils", "model", "models")


def check_architecture(metadata: dict[str, Any]) -> str:
    """Refuse a file of an architecture whose metadata is not known here.

    Parameters
    ----------
    metadata : dict
        All metadata of the file.

    Returns
    -------
    str
        GGUF's name of the architecture.

    Raises
    ------
    ArgumentError
        If it is another; a folder of it may well load.

    Examples
    --------
    >>> check_architecture({"general.architecture": "llama"})
    'llama'
    """
    architecture = str(metadata.get("general.architecture"))
    if architecture not in ARCHITECTURES:
        expected = f"a GGUF file of an architecture among {', '.join(ARCHITECTURES)}"
        raise ArgumentError("model", expected, architecture)
    return architecture


def check_keys(metadata: dict[str, Any], config: Any) -> None:  # noqa: ANN401 - an untyped library
    """Refuse metadata that transformers drops, and defaults that the file does not state.

    Parameters
    ----------
    metadata : dict
        All metadata of the file.
    config : transformers.PreTrainedConfig
        The configuration that transformers makes of it.

    Raises
    ------
    NotCoveredError
        If a key has an effect, and transformers does not use it; the message names it.
    """
    architecture = str(metadata.get("general.architecture"))
    known = _library().GGUF_TO_TRANSFORMERS_MAPPING["config"].get(architecture, {})
    used = {
        f"{architecture}.{key}"
        for key, name in known.items()
        if name is not None and not isinstance(metadata.get(f"{architecture}.{key}"), list)
    }
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rest = {key: value for key, value in metadata.items() if not key.startswith(TOKENIZER)}
    check_gguf_keys(rest, used, Sizes(width, config.max_position_embeddings), READER)
    _check_defaults(metadata, config, architecture, width)


def _check_defaults(
    metadata: dict[str, Any],
    config: Any,  # noqa: ANN401 - an untyped library
    architecture: str,
    head_width: int,
) -> None:
    window = getattr(config, "sliding_window", None)
    stated = f"{architecture}.attention.sliding_window" in metadata
    if window and window < config.max_position_embeddings and not stated:
        expected = f"a GGUF file with {architecture}.attention.sliding_window"
        raise NotCoveredError("model", expected, f"none, where transformers takes {window}")
    scale = getattr(config, "query_pre_attn_scalar", head_width)
    if scale != head_width:
        expected = f"queries divided by the root of {head_width}, the width of a head"
        raise NotCoveredError("model", expected, f"transformers' {scale}, not stated in the file")


def check_tensors(reader: GGUFParts, model: Any, architecture: str) -> None:  # noqa: ANN401
    """Refuse tensors that transformers has no place for.

    Parameters
    ----------
    reader : GGUFParts
        From `open_gguf`.
    model : transformers.PreTrainedModel
        The model that transformers makes of the file.
    architecture : str
        GGUF's name of its architecture.

    Raises
    ------
    ArgumentError
        If there is one; the message names it.
    """
    library = _library()
    processor = library.TENSOR_PROCESSORS.get(architecture, library.TensorProcessor)(config={})
    places = {*library.get_gguf_hf_weights_map(model, processor), "output.weight"}
    for tensor in reader.tensors:
        if tensor.name not in places and tensor.name != FREQUENCIES:
            expected = f"only tensors that {type(model).__name__} of transformers uses"
            raise ArgumentError("model", expected, tensor.name)


def divide_frequencies(reader: GGUFParts, config: Any) -> None:  # noqa: ANN401
    """Put the divisors that a file has as a tensor, which transformers drops, into a config.

    Parameters
    ----------
    reader : GGUFParts
        From `open_gguf`.
    config : transformers.PreTrainedConfig
        The configuration that transformers makes of it; changed in place.

    Raises
    ------
    NotCoveredError
        If the config has a scaling of its own as well.
    ArgumentError
        If the divisors do not fit the heads, or are not positive and finite.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    theta = rope.get("rope_theta", 10000.0)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    turned = int(width * rope.get("partial_rotary_factor", 1.0))
    scaling = read_divisors(reader, turned, theta, config.max_position_embeddings)
    if scaling is None:
        return
    if rope.get("rope_type", "default") != "default":
        expected = f"{FREQUENCIES} or a rope_type in the metadata, not both"
        raise NotCoveredError("model", expected, f"both, {rope['rope_type']}")
    config.rope_parameters = {**rope, **scaling.settings}


def check_tokenizer(metadata: dict[str, Any]) -> None:
    """Refuse what transformers drops of a tokenizer's description.

    Parameters
    ----------
    metadata : dict
        All metadata of the file.

    Raises
    ------
    NotCoveredError
        If a key has an effect, and transformers does not use it, or if it does not know how
        the tokenizer splits words.
    """
    own = {key: value for key, value in metadata.items() if key.startswith(TOKENIZER)}
    mapping = _library().GGUF_TOKENIZER_MAPPING
    used = {TOKENIZER + key for group in mapping.values() for key in group}
    check_gguf_keys(own, used, Sizes(0, 0), READER)
    splits = require("transformers.integrations.gguf.gguf_tokenizer_mapping", "model", "models")
    kind = own.get("tokenizer.ggml.pre", "gpt-2")
    known = {"gpt-2", *splits.GGUF_PRE_TOKENIZER_SPLITS}
    if own.get("tokenizer.ggml.model") == "gpt2" and kind not in known:
        raise NotCoveredError("model", "a split of words that transformers knows", kind)
