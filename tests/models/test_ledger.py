"""Nothing of a source is dropped silently: used, without effect, or refused by name."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from subbit.conformance.models.base import NotCoveredError
from subbit.conformance.models.gguf_file import read_gguf
from subbit.conformance.models.gguf_transformers import check_keys
from subbit.conformance.models.llama import LlamaModel
from subbit.conformance.models.load import load_model
from subbit.conformance.models.tiny import tiny_model
from subbit.reference.errors import ArgumentError

from .conftest import gguf_copy, logits

TOKENS = np.random.default_rng(0).integers(2, 256, (2, 21))


def filled(size: int, value: float) -> npt.NDArray[np.float32]:
    return np.full(size, value, dtype=np.float32)


# Names of the tiny model: heads of 16 channels, a context of 256 tokens.
HARMLESS: dict[str, Any] = {
    "llama.attention.sliding_window": 256,
    "llama.attention.scale": 0.25,
    "llama.attention.value_length": 16,
    "llama.rope.scaling.type": "none",
    "llama.rope.scaling.factor": 1.0,
    "llama.rope.scaling.original_context_length": 64,
    "llama.final_logit_softcapping": 0.0,
    "llama.expert_count": 0,
    "general.type": "model",
    "general.license": "none",
    "quantize.imatrix.file": "a.dat",
    "tokenizer.ggml.eot_token_id": 3,
    "tokenizer.ggml.add_space_prefix": False,
    "rope_freqs.weight": filled(8, 1),
}
HARMFUL: dict[str, Any] = {
    "llama.attention.sliding_window": 255,
    "llama.attention.scale": 0.3,
    "llama.attention.value_length": 32,
    "llama.rope.scaling.factor": 8.0,
    "llama.rope.scaling.attn_factor": 1.5,
    "llama.attn_logit_softcapping": 50.0,
    "llama.final_logit_softcapping": 30.0,
    "llama.expert_count": 8,
    "llama.logit_scale": 0.5,
    "llama.use_parallel_residual": True,
    "llama.something.new": 1,
    "other.key": "x",
    "general.type": "adapter",
    "blk.1.attn_q.bias": filled(64, 0.5),
    "blk.1.attn_output.bias": filled(64, 0.5),
    "blk.0.attn_sinks.weight": filled(4, 0.5),
}


@pytest.mark.parametrize("key", HARMLESS)
def test_gguf_entries_without_effect_are_passed_over(tmp_path: Path, key: str) -> None:
    gguf_copy(tmp_path / "a.gguf", tiny_model(), **{key: HARMLESS[key]})
    model = load_model(f"numpy:{tmp_path / 'a.gguf'}")
    np.testing.assert_array_equal(logits(model, TOKENS), logits(tiny_model(), TOKENS))


@pytest.mark.parametrize("key", HARMFUL)
@pytest.mark.parametrize("engine", ["numpy:", ""])
def test_gguf_entries_that_nothing_uses_are_refused_by_name(
    tmp_path: Path, engine: str, key: str
) -> None:
    if not engine:
        pytest.importorskip("transformers")
    gguf_copy(tmp_path / "a.gguf", tiny_model(), **{key: HARMFUL[key]})
    with pytest.raises(ArgumentError, match=f"model: .*{key}"):
        load_model(f"{engine}{tmp_path / 'a.gguf'}")


def test_transformers_passes_over_the_same_entries(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    gguf_copy(tmp_path / "a.gguf", tiny_model(), **HARMLESS)
    model = load_model(f"transformers:{tmp_path / 'a.gguf'}")
    np.testing.assert_allclose(logits(model, TOKENS), logits(tiny_model(), TOKENS), atol=2e-5)


def test_transformers_takes_what_the_numpy_decoder_declines(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    # Without merges, the library goes by scores; no bytes are joined here.
    scores = {"tokenizer.ggml.scores": [0.0] * 256}
    gguf_copy(tmp_path / "a.gguf", tiny_model(), pre="llama-bpe", **scores)
    with pytest.raises(NotCoveredError, match="llama-bpe"):
        read_gguf(tmp_path / "a.gguf", "a")
    model = load_model(str(tmp_path / "a.gguf"))
    assert not isinstance(model, LlamaModel)
    np.testing.assert_array_equal(model.tokenize("a 12"), tiny_model().tokenize("a 12"))
    np.testing.assert_allclose(logits(model, TOKENS), logits(tiny_model(), TOKENS), atol=2e-5)


def test_an_unknown_split_of_words_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    gguf_copy(tmp_path / "a.gguf", tiny_model(), pre="seen-nowhere")
    with pytest.raises(ArgumentError, match=r"split of words .* got seen-nowhere"):
        load_model(str(tmp_path / "a.gguf"))


def test_biases_count_where_the_architecture_has_them(tmp_path: Path) -> None:
    pytest.importorskip("transformers")

    def biases(value: float) -> dict[str, npt.NDArray[np.float32]]:
        sizes = {"q": 64, "k": 32, "v": 32}
        return {
            f"blk.{i}.attn_{x}.bias": filled(n, value) for i in range(3) for x, n in sizes.items()
        }

    path, found = tmp_path / "a.gguf", []
    for value in (0.0, 0.5):
        gguf_copy(path, tiny_model(), architecture="qwen2", **biases(value))
        found.append(logits(load_model(str(path)), TOKENS))
    assert np.abs(found[0] - found[1]).max() > 1e-2
    more = {**biases(0.5), "blk.2.attn_output.bias": filled(64, 0.5)}
    gguf_copy(path, tiny_model(), architecture="qwen2", **more)
    with pytest.raises(ArgumentError, match=r"model: .*blk\.2\.attn_output\.bias"):
        load_model(str(path))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"sliding_window": 64}, None),
        ({"sliding_window": 63}, r"with gemma3\.attention\.sliding_window, got none, .* takes 63"),
        ({"query_pre_attn_scalar": 256}, "root of 16, the width of a head, got transformers' 256"),
    ],
)
def test_defaults_that_a_gguf_file_does_not_state_are_refused(
    change: dict[str, int], reason: str | None
) -> None:
    pytest.importorskip("transformers")
    sizes = {"head_dim": 16, "max_position_embeddings": 64, "query_pre_attn_scalar": 16}
    config = SimpleNamespace(**{**sizes, **change})
    stated: dict[str, Any] = {"general.architecture": "gemma3"}
    if reason is None:
        check_keys(stated, config)
        return
    with pytest.raises(NotCoveredError, match=reason):
        check_keys(stated, config)
    if "sliding_window" in change:
        check_keys({**stated, "gemma3.attention.sliding_window": 63}, config)


def add(folder: Path, **tensors: npt.NDArray[np.float32]) -> None:
    """Add tensors to a folder's weights."""
    path = folder / "model.safetensors"
    save_file({**load_file(path), **tensors}, path, metadata={"format": "pt"})


@pytest.mark.parametrize("engine", ["numpy:", "transformers:"])
def test_old_llama_folders_with_rotary_buffers_load(tmp_path: Path, engine: str) -> None:
    if engine == "transformers:":
        pytest.importorskip("transformers")
    tiny_model().save(tmp_path)
    name = "model.layers.{}.self_attn.rotary_emb.inv_freq"
    add(tmp_path, **{name.format(index): filled(8, 1) for index in range(3)})
    model = load_model(f"{engine}{tmp_path}")
    np.testing.assert_allclose(logits(model, TOKENS), logits(tiny_model(), TOKENS), atol=2e-5)


@pytest.mark.parametrize("engine", ["numpy:", "transformers:"])
def test_extra_tensors_of_a_folder_are_refused_by_name(tmp_path: Path, engine: str) -> None:
    if engine == "transformers:":
        pytest.importorskip("transformers")
    tiny_model().save(tmp_path)
    name = "model.layers.1.self_attn.o_proj.bias"
    add(tmp_path, **{name: filled(64, 1)})
    with pytest.raises(ArgumentError, match=f"model: expected only .* got {name}"):
        load_model(f"{engine}{tmp_path}")


def test_keys_that_common_folders_have_stay_with_the_numpy_decoder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tiny_model().save(tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    # As in SmolLM2's folder.
    notes = {"is_llama_config": True, "rope_interleaved": False, "pretraining_tp": 1}
    (tmp_path / "config.json").write_text(json.dumps({**written, **notes}))
    model = load_model(f"numpy:{tmp_path}")
    np.testing.assert_array_equal(logits(model, TOKENS), logits(tiny_model(), TOKENS))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("something_new", 1),
        ("embedding_multiplier", 12.0),
        ("rope_parameters", {"rope_type": "default", "partial_rotary_factor": 0.5}),
    ],
)
def test_unknown_keys_of_a_folder_are_left_to_transformers(
    tmp_path: Path, key: str, value: object
) -> None:
    pytest.importorskip("transformers")
    tiny_model().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}))
    unknown = "partial_rotary_factor" if isinstance(value, dict) else key
    with pytest.raises(NotCoveredError, match=f"that the NumPy decoder knows, got {unknown}"):
        load_model(f"numpy:{tmp_path}")
    assert not isinstance(load_model(str(tmp_path)), LlamaModel)


@pytest.mark.parametrize("engine", ["numpy:", "transformers:"])
def test_all_files_but_weights_travel_to_a_saved_folder(tmp_path: Path, engine: str) -> None:
    if engine == "transformers:":
        pytest.importorskip("transformers")
    source, out = tmp_path / "source", tmp_path / "out"
    tiny_model().save(source)
    kept = {
        "chat_template.jinja": "{{ messages }}",
        "generation_config.json": '{"temperature": 0.5}',
        "README.md": "# Tiny",
        "tokenizer.model": "x",
    }
    left = {"old.bin": "x", ".hidden": "x", "manifest.json": "{}", "model.gguf": "x"}
    for name, text in {**kept, **left}.items():
        (source / name).write_text(text)
    (source / "onnx").mkdir()
    model = load_model(f"{engine}{source}")
    model.set_weight(0, "mlp.up_proj", model.weight(0, "mlp.up_proj") * 2)
    model.save(out)
    assert {path.name for path in out.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", *kept
    }  # fmt: skip
    for name in ("chat_template.jinja", "README.md", "tokenizer.model"):
        assert (out / name).read_text() == kept[name]
    assert json.loads((out / "generation_config.json").read_text())["temperature"] == 0.5
    assert not np.array_equal(
        load_model(f"numpy:{out}").weight(0, "mlp.up_proj"), tiny_model().weight(0, "mlp.up_proj")
    )
