"""Tiny random models of many architectures, in folders as the library writes them."""

from pathlib import Path
from typing import Any

import pytest

from subbit.conformance.models.tokenizer import byte_codec

SIZES = {
    "vocab_size": 256, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None,
}  # fmt: skip
GPT = {
    "vocab_size": 256, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64,
    "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
DECODERS: dict[str, dict[str, Any]] = {
    "bloom": {"vocab_size": 256, "hidden_size": 32, "n_layer": 3, "n_head": 4},
    "cohere": {**SIZES, "logit_scale": 0.5},
    "codegen": {**GPT, "rotary_dim": 4},
    "dbrx": {
        "vocab_size": 256, "d_model": 32, "n_heads": 4, "n_layers": 3, "max_seq_len": 64,
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v3": {
        **SIZES, **EXPERTS, "num_key_value_heads": 4, "n_routed_experts": 4, "n_group": 2,
        "topk_group": 1, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8, "v_head_dim": 8, "first_k_dense_replace": 1,
    },
    "falcon": {
        "vocab_size": 256, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1,
    },
    "gemma2": {
        **SIZES, "head_dim": 16, "sliding_window": 5, "query_pre_attn_scalar": 8,
        "final_logit_softcapping": 2.0, "attn_logit_softcapping": 3.0,
    },
    "gemma3_text": {**SIZES, "head_dim": 16, "sliding_window": 5},
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gpt_neox": SIZES,
    "gpt_oss": {**SIZES, "head_dim": 16, "num_local_experts": 4, "sliding_window": 5,
                "num_experts_per_tok": 2},
    "gptj": {**GPT, "rotary_dim": 4},
    "granite": {**SIZES, "logits_scaling": 4.0, "residual_multiplier": 0.5,
                "embedding_multiplier": 3.0},
    "jetmoe": {**SIZES, "kv_channels": 16, "num_local_experts": 4},
    "llama": SIZES,
    "llama4_text": {**SIZES, "head_dim": 8, "num_local_experts": 4, "intermediate_size_mlp": 48},
    "mamba": {"vocab_size": 256, "hidden_size": 32, "num_hidden_layers": 3, "state_size": 4},
    "mistral": {**SIZES, "sliding_window": 5},
    "mixtral": {**SIZES, "num_local_experts": 4, "sliding_window": 5},
    "mpt": {"vocab_size": 256, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64},
    "olmo2": SIZES,
    "opt": {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 16, "pad_token_id": 1},
    "phi": {**SIZES, "num_key_value_heads": 4},
    "phi3": SIZES,
    "qwen2": {**SIZES, "tie_word_embeddings": True},
    "qwen2_moe": {**SIZES, **EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 40},
    "qwen3": {**SIZES, "head_dim": 16},
    "qwen3_moe": {**SIZES, **EXPERTS, "num_experts": 4, "head_dim": 16},
    "stablelm": SIZES,
    "starcoder2": SIZES,
}  # fmt: skip


def make_decoder(folder: Path, model_type: str, **changes: Any) -> Path:
    """Save a random model with a byte tokenizer; biases and gains are random too."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = {**DECODERS.get(model_type, {}), **changes}
    config = transformers.AutoConfig.for_model(model_type, **settings)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    byte_codec().write(folder)
    return folder
