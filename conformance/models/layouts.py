"""Where each architecture keeps its parts
========================================

All that the transformers adapter needs to know about an architecture: the path of its
decoder blocks, the modules after the last of them, and the linears of a block with the
inputs that they share. A new architecture is a new entry in `LAYOUTS`.
"""

from dataclasses import dataclass

from subbit.reference.errors import ArgumentError


@dataclass(frozen=True)
class Layout:
    """Locations of an architecture's parts.

    Parameters
    ----------
    blocks : str
        Path of the list of decoder blocks.
    head : tuple of str
        Paths of the modules after the last block; those that a model lacks are skipped.
    linears : tuple of (str, str, str)
        Name, kind and input of each linear in a block, in the order of computation.
    """

    blocks: str
    head: tuple[str, ...]
    linears: tuple[tuple[str, str, str], ...]


LLAMA = Layout(
    "model.layers",
    ("model.norm", "lm_head"),
    (
        ("self_attn.q_proj", "q", "attention_input"),
        ("self_attn.k_proj", "k", "attention_input"),
        ("self_attn.v_proj", "v", "attention_input"),
        ("self_attn.o_proj", "o", "attention_heads"),
        ("mlp.gate_proj", "gate", "mlp_input"),
        ("mlp.up_proj", "up", "mlp_input"),
        ("mlp.down_proj", "down", "mlp_hidden"),
    ),
)
OPT = Layout(
    "model.decoder.layers",
    ("model.decoder.final_layer_norm", "model.decoder.project_out", "lm_head"),
    (
        ("self_attn.q_proj", "q", "attention_input"),
        ("self_attn.k_proj", "k", "attention_input"),
        ("self_attn.v_proj", "v", "attention_input"),
        ("self_attn.out_proj", "o", "attention_heads"),
        ("fc1", "fc1", "mlp_input"),
        ("fc2", "fc2", "mlp_hidden"),
    ),
)
GPT2 = Layout(
    "transformer.h",
    ("transformer.ln_f", "lm_head"),
    (
        ("attn.c_attn", "qkv", "attention_input"),
        ("attn.c_proj", "o", "attention_heads"),
        ("mlp.c_fc", "fc1", "mlp_input"),
        ("mlp.c_proj", "fc2", "mlp_hidden"),
    ),
)
LAYOUTS = {
    "gemma3_text": LLAMA,
    "gpt2": GPT2,
    "llama": LLAMA,
    "mistral": LLAMA,
    "opt": OPT,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
}
GGUF_NAMES = {"gemma3": "gemma3_text"}  # where GGUF spells an architecture differently


def find_layout(model_type: str) -> Layout:
    """Return the layout of an architecture.

    Parameters
    ----------
    model_type : str
        Name of the architecture in ``config.json``.

    Returns
    -------
    Layout
        Its layout.

    Raises
    ------
    ArgumentError
        If it is not supported.

    Examples
    --------
    >>> find_layout("t5")
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: model: expected an architecture among gemma3_text, \
gpt2, llama, mistral, opt, qwen2, qwen3, got t5
    """
    if model_type not in LAYOUTS:
        supported = ", ".join(LAYOUTS)
        raise ArgumentError("model", f"an architecture among {supported}", model_type)
    return LAYOUTS[model_type]
