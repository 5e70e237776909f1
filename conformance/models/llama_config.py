"""Sizes of a LLaMA decoder, and their Hugging Face spelling
=========================================================

`LlamaConfig` holds what the NumPy decoder needs to know. `read_config` refuses, with the
reason, every feature that the decoder does not support, so such a model goes to
transformers instead of giving wrong numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit.reference.errors import ArgumentError
from subbit.reference.notation import Array

from .base import Linear, NotCoveredError
from .rope_scaling import RopeScaling, frequencies, read_scaling
from .typed import MOST_BLOCKS, MOST_CONTEXT, real, shown, whole
from .weights import Weights

MOST_THETA = 1e30

COVERED = {
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_interleaved": False,
}


USED = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_theta",
    "rope_scaling", "rope_parameters", "tie_word_embeddings", "quantization_config", "model_type",
    "hidden_act", "attention_bias", "mlp_bias", "rope_interleaved",
)  # fmt: skip


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes of a LLaMA decoder.

    Parameters
    ----------
    vocabulary, width, mlp_width, n_blocks : int
        Tokens; d; width of the gated MLP; decoder blocks.
    heads, kv_heads, head_width : int
        Query heads, key/value heads, channels of one head.
    context : int
        Longest sequence.
    epsilon : float
        Added to the mean square in RMSNorm.
    theta : float
        Base of the rotary frequencies.
    scaling : RopeScaling, optional
        Divisors of the rotary frequencies.

    Raises
    ------
    ArgumentError
        If heads do not share keys evenly, or their channels are not in pairs.
    """

    vocabulary: int
    width: int
    mlp_width: int
    n_blocks: int
    heads: int
    kv_heads: int
    head_width: int
    context: int
    epsilon: float
    theta: float
    scaling: RopeScaling | None = None

    def __post_init__(self) -> None:
        """Refuse heads that cannot be computed."""
        if self.heads % self.kv_heads:
            expected = f"key heads that divide the {self.heads} query heads"
            raise ArgumentError("model", expected, self.kv_heads)
        if self.head_width % 2:
            raise ArgumentError("model", "heads of an even number of channels", self.head_width)

    def frequencies(self) -> Array:
        """Return the rotary frequencies.

        Returns
        -------
        ndarray of float64, shape (e/2,)
            ``ω_i = theta^(-2i/e) / f_i``, in radians per token, with the divisors f of
            `scaling`.
        """
        omega = frequencies(self.head_width, self.theta)
        return omega if self.scaling is None else omega / np.array(self.scaling.divisors)

    def linears(self) -> tuple[Linear, ...]:
        """Return the linears of a block, in the order in which they are computed.

        Returns
        -------
        tuple of Linear
            The same for every block.
        """
        d, queries, keys = self.width, self.heads * self.head_width, self.kv_heads * self.head_width
        return (
            Linear("self_attn.q_proj", "q", "attention_input", (queries, d)),
            Linear("self_attn.k_proj", "k", "attention_input", (keys, d)),
            Linear("self_attn.v_proj", "v", "attention_input", (keys, d)),
            Linear("self_attn.o_proj", "o", "attention_heads", (d, queries)),
            Linear("mlp.gate_proj", "gate", "mlp_input", (self.mlp_width, d)),
            Linear("mlp.up_proj", "up", "mlp_input", (self.mlp_width, d)),
            Linear("mlp.down_proj", "down", "mlp_hidden", (d, self.mlp_width)),
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every weight except an untied output projection.

        Returns
        -------
        dict of str to tuple of int
            Shapes by Hugging Face name.
        """
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (self.vocabulary, self.width),
            "model.norm.weight": (self.width,),
        }
        for index in range(self.n_blocks):
            for norm in ("input_layernorm", "post_attention_layernorm"):
                shapes[f"model.layers.{index}.{norm}.weight"] = (self.width,)
            for linear in self.linears():
                shapes[f"model.layers.{index}.{linear.name}.weight"] = linear.shape
        return shapes


def check_weights(config: LlamaConfig, weights: Weights) -> None:
    """Check a checkpoint's weights against the sizes.

    Parameters
    ----------
    config : LlamaConfig
        Sizes.
    weights : Weights
        Weights by Hugging Face name; none is decoded.

    Raises
    ------
    ArgumentError
        If a weight is missing, unknown, of the wrong shape or not finite.
    """
    shapes = config.shapes()
    if "lm_head.weight" in weights:
        shapes["lm_head.weight"] = (config.vocabulary, config.width)
    for name, shape in shapes.items():
        if name not in weights:
            raise ArgumentError("model", f"a checkpoint with the weight {name}", "one without it")
        if weights.shape(name) != shape:
            raise ArgumentError("model", f"{name} of shape {shape}", weights.shape(name))
        if not weights.is_finite(name):
            raise ArgumentError("model", "finite weights", f"NaN or infinite numbers in {name}")
    unknown = sorted(set(weights) - set(shapes))
    if unknown:
        raise ArgumentError("model", "only the weights of a LLaMA decoder", unknown[0])


def hugging_face_config(config: LlamaConfig, *, tied: bool) -> dict[str, Any]:
    """Return the contents of ``config.json`` for a LLaMA decoder.

    Parameters
    ----------
    config : LlamaConfig
        Sizes.
    tied : bool
        Whether the embedding is also the output projection.

    Returns
    -------
    dict
        Keys as in transformers' ``LlamaConfig``.
    """
    scaled = {} if config.scaling is None else {"rope_scaling": dict(config.scaling.settings)}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.n_blocks,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.epsilon,
        "rope_theta": config.theta,
        **scaled,
        "tie_word_embeddings": tied,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": "float32",
    }


def read_config(settings: dict[str, Any]) -> LlamaConfig:
    """Return the sizes in a ``config.json`` of a LLaMA decoder.

    Parameters
    ----------
    settings : dict
        Contents of the file, in the spelling of transformers 4 or 5.

    Returns
    -------
    LlamaConfig
        Sizes.

    Raises
    ------
    NotCoveredError
        If the model has a feature that the NumPy decoder does not support.

    Examples
    --------
    >>> read_config({"model_type": "opt"})
    Traceback (most recent call last):
        ...
    subbit.conformance.models.base.NotCoveredError: model: expected model_type llama for \
the NumPy decoder, got opt
    """
    rope = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    if not isinstance(rope, dict):
        expected = "an object for rope_scaling or rope_parameters"
        raise ArgumentError("model", expected, shown(rope))
    found = {
        "model_type": settings.get("model_type"),
        "hidden_act": settings.get("hidden_act", "silu"),
        "attention_bias": settings.get("attention_bias", False),
        "mlp_bias": settings.get("mlp_bias", False),
        "rope_interleaved": settings.get("rope_interleaved", False),
    }
    for key, covered in COVERED.items():
        if found[key] != covered:
            expected = f"{key} {covered} for the NumPy decoder"
            raise NotCoveredError("model", expected, shown(found[key]))
    heads = whole(settings, "num_attention_heads")
    width = whole(settings, "hidden_size")
    head_width = whole(settings, "head_dim", default=max(1, width // heads))
    theta = real({**rope, **_given(settings, "rope_theta")}, "rope_theta", MOST_THETA, 10000.0)
    return LlamaConfig(
        vocabulary=whole(settings, "vocab_size"),
        width=width,
        mlp_width=whole(settings, "intermediate_size"),
        n_blocks=whole(settings, "num_hidden_layers", MOST_BLOCKS),
        heads=heads,
        kv_heads=whole(settings, "num_key_value_heads", default=heads),
        head_width=head_width,
        context=whole(settings, "max_position_embeddings", MOST_CONTEXT, 2048),
        epsilon=real(settings, "rms_norm_eps", 1.0, 1e-6),
        theta=theta,
        scaling=read_scaling(rope, frequencies(head_width, theta)),
    )


def _given(settings: dict[str, Any], key: str) -> dict[str, Any]:
    return {key: settings[key]} if settings.get(key) else {}
