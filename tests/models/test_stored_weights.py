"""Weights stay in their files: one decoder block in memory, changes kept, sources untouched."""

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbit.conformance.models.hf_load import load_transformers
from subbit.conformance.models.stored_weights import StoredWeights

from .conftest import logits
from .random_decoders import SIZES, make_decoder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOKENS = np.random.default_rng(0).integers(2, 256, (2, 21))


def stored(folder: Path, name: str, dtype: Any = torch.float32, **changes: Any) -> Path:
    """A random model in the given precision, in several files."""
    make_decoder(folder, name, **changes)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def whole(folder: Path) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.from_numpy(TOKENS)).logits.numpy()


def held(model: Any) -> set[int]:
    """Blocks of which some weights are in memory."""
    return {int(name.split(".")[2]) for name in model.weights.held}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "mixtral"])
def test_one_block_is_in_memory(tmp_path: Path, name: str, dtype: Any) -> None:
    changes = SIZES if name == "llama" else {}
    folder = stored(tmp_path / "model", name, dtype, **changes)
    model = load_transformers(str(folder))
    assert isinstance(model.weights, StoredWeights)
    assert model.precision == f"{dtype} checkpoint".removeprefix("torch.")
    np.testing.assert_allclose(logits(model, TOKENS), whole(folder), atol=1e-5)
    for index in range(3):
        model.run_block(index, model.embed(TOKENS))
        assert held(model) == {index}
        weight = model.weight(index, model.linears(index)[0].name)
        assert weight.dtype == np.float64
    blocks = model.decoder.blocks
    assert all(weight.device.type == "meta" for weight in blocks.parameters())
    rest = [x for name, x in model.model.named_parameters() if ".layers." not in name]
    assert rest
    assert all(weight.dtype == torch.float32 and weight.device.type == "cpu" for weight in rest)


@pytest.mark.parametrize(("name", "dtype"), [("llama", "float32"), ("mixtral", "bfloat16")])
def test_changes_stay_when_another_block_is_used(tmp_path: Path, name: str, dtype: str) -> None:
    changes = SIZES if name == "llama" else {}
    folder = stored(tmp_path / "model", name, getattr(torch, dtype), **changes)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model, expected = load_transformers(str(folder)), {}
    for turn in range(2):
        for index in range(3):
            for linear in model.linears(index)[turn::2]:
                changed = model.weight(index, linear.name) * 0.5 + 0.3 ** (index + 2)
                model.set_weight(index, linear.name, changed)
                expected[index, linear.name] = changed.astype(np.float32)
    for (index, linear_name), weight in expected.items():
        np.testing.assert_array_equal(model.weight(index, linear_name), weight)
    now = logits(model, TOKENS)
    model.save(tmp_path / "out")
    np.testing.assert_allclose(whole(tmp_path / "out"), now, atol=1e-5)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_was_read_is_not_written_to(tmp_path: Path) -> None:
    weights = load_transformers(str(make_decoder(tmp_path, "llama", **SIZES))).weights
    assert weights is not None
    name = "model.layers.1.mlp.up_proj.weight"
    read = weights[name]
    before = read.clone()
    weights.for_writing(name).add_(1)
    assert torch.equal(read, before)
    assert torch.equal(weights[name], before + 1)


def test_a_checkpoint_has_files_of_limited_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_transformers(str(make_decoder(tmp_path / "model", "mixtral")))
    monkeypatch.setattr("subbit.conformance.models.hf.SHARD", "60KB")
    model.save(tmp_path / "out")
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 3
    np.testing.assert_allclose(whole(tmp_path / "out"), logits(model, TOKENS), atol=1e-5)


def test_the_temporary_folder_holds_each_weight_once_and_goes(tmp_path: Path) -> None:
    model = load_transformers(str(make_decoder(tmp_path, "llama", **SIZES)))
    folder = model.weights.folder
    for _ in range(3):
        for index in range(2):
            model.set_weight(index, "mlp.up_proj", model.weight(index, "mlp.up_proj"))
    assert len(list(folder.iterdir())) == 2
    del model
    gc.collect()
    assert not folder.exists()


def test_tied_embeddings_are_saved_once(tmp_path: Path) -> None:
    folder = make_decoder(tmp_path / "model", "llama", **SIZES, tie_word_embeddings=True)
    model = load_transformers(str(folder))
    model.save(tmp_path / "out")
    np.testing.assert_array_equal(whole(tmp_path / "out"), whole(folder))
    sizes = [(tmp_path / x / "model.safetensors").stat().st_size for x in ("model", "out")]
    assert sizes[0] == sizes[1]
