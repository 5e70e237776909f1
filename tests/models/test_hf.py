"""The transformers adapter: every architecture, block by block, against the whole model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from subbit.conformance.models.hf_load import load_transformers
from subbit.conformance.models.llama import LlamaModel
from subbit.conformance.models.load import load_model
from subbit.conformance.models.tiny import tiny_model
from subbit.conformance.models.tokenizer import byte_codec
from subbit.reference.errors import ArgumentError

from .conftest import gguf_copy, logits

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WIDE = {
    "vocab_size": 256, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None,
}  # fmt: skip
OPT = {
    "vocab_size": 256, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "max_position_embeddings": 64, "word_embed_proj_dim": 32,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
SCALED = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {**WIDE, "attention_bias": True, "rope_parameters": SCALED}),
    "mistral": ("mistral", {**WIDE, "sliding_window": 5}),
    "qwen2": ("qwen2", {**WIDE, "use_sliding_window": True, "sliding_window": 5,
                        "max_window_layers": 1, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {**WIDE, "head_dim": 16}),
    "gemma3": ("gemma3_text", {**WIDE, "head_dim": 16, "sliding_window": 5,
                               "layer_types": ["sliding_attention"] * 2 + ["full_attention"]}),
    "gemma3-capped": ("gemma3_text", {**WIDE, "head_dim": 16, "final_logit_softcapping": 2.0}),
    "gpt2": ("gpt2", {"vocab_size": 256, "n_embd": 32, "n_layer": 3, "n_head": 4,
                      "n_positions": 64, "bos_token_id": 0, "eos_token_id": 1}),
    "opt": ("opt", OPT),
    "opt-narrow": ("opt", {**OPT, "word_embed_proj_dim": 16, "do_layer_norm_before": False}),
}  # fmt: skip
TOKENS = np.random.default_rng(0).integers(2, 256, (3, 21))


def make(folder: Path, name: str) -> Path:
    """Save a random model with a byte tokenizer; biases and gains are random too."""
    model_type, settings = MODELS[name]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(model_type, **settings)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    byte_codec().write(folder)
    return folder


def whole(folder: Path, tokens: npt.NDArray[np.int64] = TOKENS) -> npt.NDArray[np.float32]:
    """Logits of the model that plain transformers loads."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        found: npt.NDArray[np.float32] = model(torch.from_numpy(tokens)).logits.numpy()
    return found


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make(tmp_path / "model", request.param)


LLAMA = {
    "self_attn.q_proj": ("q", "attention_input"),
    "self_attn.k_proj": ("k", "attention_input"),
    "self_attn.v_proj": ("v", "attention_input"),
    "self_attn.o_proj": ("o", "attention_heads"),
    "mlp.gate_proj": ("gate", "mlp_input"),
    "mlp.up_proj": ("up", "mlp_input"),
    "mlp.down_proj": ("down", "mlp_hidden"),
}
LINEARS = {
    "opt": {
        **dict(list(LLAMA.items())[:3]),
        "self_attn.out_proj": ("o", "attention_heads"),
        "fc1": ("fc1", "mlp_input"),
        "fc2": ("fc2", "mlp_hidden"),
    },
    "gpt2": {
        "attn.c_attn": ("qkv", "attention_input"),
        "attn.c_proj": ("o", "attention_heads"),
        "mlp.c_fc": ("fc1", "mlp_input"),
        "mlp.c_proj": ("fc2", "mlp_hidden"),
    },
}


def test_linears_have_their_familiar_names_kinds_and_inputs(folder: Path) -> None:
    model = load_transformers(str(folder))
    found = {x.name: (x.kind, x.input_name) for x in model.linears(1)}
    expected = LINEARS.get(model.model.config.model_type, LLAMA)
    assert list(found.items()) == list(expected.items())
    assert model.kept(1) == ()


def test_blocks_in_turn_give_the_models_logits(folder: Path) -> None:
    model, expected = load_transformers(str(folder)), whole(folder)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(logits(model, TOKENS), expected, atol=1e-5)
    # Another length has other positions and another mask.
    short = np.ascontiguousarray(TOKENS[:1, :4])
    np.testing.assert_allclose(logits(model, short), whole(folder, short), atol=1e-5)
    assert (model.n_blocks, model.vocabulary, model.context) == (3, 256, 64)


def test_captured_inputs_give_the_linears_outputs(folder: Path) -> None:
    model, seen, order = load_transformers(str(folder)), {}, []
    outputs: dict[str, npt.NDArray[np.float32]] = {}

    def capture(name: str, activations: npt.NDArray[np.float32]) -> None:
        order.append(name)
        seen[name] = activations.copy()

    linears, hidden = model.linears(1), model.embed(TOKENS)
    block = model.decoder.blocks[1]
    for linear in linears:
        module = block.get_submodule(linear.name)
        module.register_forward_hook(
            lambda _module, _args, out, name=linear.name: outputs.update({name: out.numpy()})
        )
    out = model.run_block(1, hidden, capture)
    np.testing.assert_array_equal(out, model.run_block(1, hidden))
    assert order == list(dict.fromkeys(linear.input_name for linear in linears))
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    block = plain.get_submodule(model.decoder.path)[1]
    for linear in linears:
        activations, weight = seen[linear.input_name], model.weight(1, linear.name)
        assert activations.shape == (3, 21, linear.shape[1])
        assert weight.shape == linear.shape
        bias = block.get_submodule(linear.name).bias
        expected = activations @ weight.T + (0 if bias is None else bias.detach().numpy())
        np.testing.assert_allclose(
            outputs[linear.name].reshape(expected.shape), expected, atol=1e-5
        )


def test_set_weights_are_saved_and_loaded_by_transformers(folder: Path, tmp_path: Path) -> None:
    model, before = load_transformers(str(folder)), whole(folder)
    last = before
    for linear in model.linears(2):
        # One factor for all would be undone by the norms of queries and keys.
        factors = np.linspace(0.5, 1.5, linear.shape[1])
        model.set_weight(2, linear.name, model.weight(2, linear.name) * factors)
        now = logits(model, TOKENS)
        assert np.abs(now - last).max() > 1e-4, linear
        last = now
    model.save(tmp_path / "out")
    np.testing.assert_allclose(whole(tmp_path / "out"), last, atol=1e-5)
    np.testing.assert_array_equal(whole(folder), before)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("a 1")["input_ids"] == model.tokenize("a 1").tolist()
    modes = {path.stat().st_mode for path in (tmp_path / "out").iterdir()}
    assert len(modes) == 1


def test_fused_projections_are_turned_to_rows_of_outputs(tmp_path: Path) -> None:
    model = load_transformers(str(make(tmp_path, "gpt2")))
    kinds = {linear.kind: linear.shape for linear in model.linears(0)}
    assert kinds == {"qkv": (96, 32), "o": (32, 32), "fc1": (128, 32), "fc2": (32, 128)}


def test_a_plain_llama_folder_is_the_same_in_both_decoders(tmp_path: Path) -> None:
    tiny_model().save(tmp_path)
    ours, theirs = load_model(f"numpy:{tmp_path}"), load_model(f"transformers:{tmp_path}")
    assert isinstance(ours, LlamaModel)
    assert not isinstance(theirs, LlamaModel)
    assert ours.linears(0) == theirs.linears(0)
    assert ours.precision == theirs.precision == "float32 checkpoint"
    np.testing.assert_allclose(logits(ours, TOKENS), logits(theirs, TOKENS), atol=2e-5)
    seen: list[dict[str, npt.NDArray[np.float32]]] = [{}, {}]
    for model, found in zip((ours, theirs), seen, strict=True):
        model.run_block(
            0, model.embed(TOKENS), lambda n, a, found=found: found.update({n: a.copy()})
        )
    for name, activations in seen[0].items():
        np.testing.assert_allclose(activations, seen[1][name], atol=1e-5)


def test_load_model_falls_back_to_transformers(tmp_path: Path) -> None:
    model = load_model(str(make(tmp_path, "llama")))
    assert not isinstance(model, LlamaModel)


def test_gguf_files_are_loaded_and_saved(tmp_path: Path) -> None:
    gguf_copy(tmp_path / "tiny.gguf", tiny_model())
    model = load_model(f"transformers:{tmp_path / 'tiny.gguf'}")
    np.testing.assert_allclose(logits(model, TOKENS), logits(tiny_model(), TOKENS), atol=2e-5)
    np.testing.assert_array_equal(model.tokenize("a 12"), tiny_model().tokenize("a 12"))
    assert model.precision == "dequantized F32 GGUF"
    model.save(tmp_path / "out")
    assert "quantization_config" not in json.loads((tmp_path / "out/config.json").read_text())
    np.testing.assert_allclose(whole(tmp_path / "out"), logits(tiny_model(), TOKENS), atol=2e-5)


def test_an_unknown_architecture_is_refused_with_the_librarys_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nothing-known"}')
    with pytest.raises(ArgumentError, match=r"can load, got .*nothing-known.* not recognize"):
        load_model(str(tmp_path))
    gguf_copy(tmp_path / "a.gguf", tiny_model(), architecture="mamba")
    expected = "among gemma3, gpt2, llama, mistral, qwen2, qwen3, got mamba"
    with pytest.raises(ArgumentError, match=expected):
        load_model(str(tmp_path / "a.gguf"))


def damage(folder: Path, name: str, value: float | None) -> None:
    library = pytest.importorskip("safetensors.torch")
    weights = library.load_file(folder / "model.safetensors")
    if value is None:
        del weights[name]
    else:
        weights[name].view(-1)[0] = value
    library.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), "finite"), (None, "the weight")])
def test_missing_and_nan_weights_are_refused(
    tmp_path: Path, value: float | None, reason: str
) -> None:
    damage(make(tmp_path, "gpt2"), "transformer.h.1.mlp.c_fc.weight", value)
    with pytest.raises(ArgumentError, match=rf"model: .*{reason}.*transformer.h.1.mlp.c_fc"):
        load_model(str(tmp_path))


def test_a_weight_of_another_shape_is_named_with_both(tmp_path: Path) -> None:
    path = make(tmp_path, "qwen2") / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 40}))
    expected = (
        r"model: expected model\.layers\.0\.mlp\.\w+_proj\.weight of shape \(.*40.*\), got \(.*48"
    )
    with pytest.raises(ArgumentError, match=expected):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("this failed:\n\n  for a reason\nand more", r"this failed: for a reason\)$"),
        ("for a reason\nand more", r" \(for a reason\)$"),
        ("", r" \(OSError\)$"),
    ],
)
def test_a_reason_of_the_library_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, reason: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(message)

    make(tmp_path, "opt")
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", fail)
    with pytest.raises(ArgumentError, match=reason):
        load_model(str(tmp_path))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, name: str) -> None:
    (make(tmp_path, name) / "tokenizer.json").unlink()
    with pytest.raises(ArgumentError, match=r"with a tokenizer, such as .*tokenizer\.json"):
        load_model(str(tmp_path))


def test_a_damaged_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    make(tmp_path, "opt")
    (tmp_path / "model.safetensors").write_bytes(b"\x10")
    with pytest.raises(ArgumentError, match="readable safetensors file") as caught:
        load_model(str(tmp_path))
    assert "\n" not in str(caught.value)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "opt", "vocab_size": "x"}))
    with pytest.raises(ArgumentError, match="transformers can load"):
        load_model(str(tmp_path))


def test_bad_names_and_weights_are_refused(tmp_path: Path) -> None:
    model = load_transformers(str(make(tmp_path, "gpt2")))
    with pytest.raises(ArgumentError, match="name: "):
        model.weight(0, "ln_1")
    with pytest.raises(ArgumentError, match=r"weight: expected shape \(96, 32\)"):
        model.set_weight(0, "attn.c_attn", np.zeros((32, 96)))
    with pytest.raises(ArgumentError, match="index: "):
        model.run_block(3, model.embed(TOKENS))
    with pytest.raises(ArgumentError, match="at most 64 tokens"):
        model.embed(np.zeros((1, 65), dtype=np.int64))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 10**6}, "at most as many decoder blocks as .* got 1000000"),
        ({"vocab_size": 2**24}, r"a model of the [\d,]+ numbers that .* a description of"),
    ],
)
def test_a_description_of_a_larger_model_than_its_files_is_refused(
    tmp_path: Path, changes: dict[str, int], said: str
) -> None:
    make(tmp_path, "opt")
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | changes), encoding="utf-8")
    with pytest.raises(ArgumentError, match=f"model: expected {said}"):
        load_model(str(tmp_path))
