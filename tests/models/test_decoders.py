"""Any decoder of transformers: the same function, quantized, saved and loaded again."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from project import some
from subbit import reference
from subbit.conformance.command import cli
from subbit.conformance.models.hf_load import load_transformers
from subbit.conformance.runs.calibrate import UnreachedWarning, block_hessians
from subbit.conformance.runs.plan import describe_calibration, plan
from subbit.conformance.runs.quantize import quantize_model

from .conftest import logits, mean_nll
from .random_decoders import DECODERS, make_decoder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOKENS = np.random.default_rng(0).integers(2, 256, (2, 21))
STACKED = {
    "dbrx": tuple("ffn.experts.mlp.{}." + part for part in ("w1", "v1", "w2")),
    "gpt_oss": ("mlp.experts.{}.gate_up_proj", "mlp.experts.{}.down_proj"),
    "jetmoe": ("mlp.input_linear.{}", "mlp.output_linear.{}"),
    "llama4_text": ("feed_forward.experts.{}.gate_up_proj", "feed_forward.experts.{}.down_proj"),
    "mixtral": ("mlp.experts.{}.gate_up_proj", "mlp.experts.{}.down_proj"),
    "qwen2_moe": ("mlp.experts.{}.gate_up_proj", "mlp.experts.{}.down_proj"),
}


def perplexity(folder: Path) -> float:
    """Perplexity of the model that plain transformers loads."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        scores = model(torch.from_numpy(TOKENS)).logits.numpy()
    return float(np.exp(np.mean([mean_nll(*pair) for pair in zip(scores, TOKENS, strict=True)])))


def ours(model: Any) -> float:
    pairs = zip(logits(model, TOKENS), TOKENS, strict=True)
    return float(np.exp(np.mean([mean_nll(*pair) for pair in pairs])))


def quantize(model: Any, label: str = "rtn:sign") -> Any:
    calibration = describe_calibration("random bytes", 0, TOKENS)
    settings = plan(model, label, calibration, blocks=(0, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnreachedWarning)
        return quantize_model(model, reference, settings, TOKENS)


@pytest.mark.parametrize("name", some(DECODERS, every=2))
def test_an_architecture_is_read_quantized_saved_and_read_again(tmp_path: Path, name: str) -> None:
    model = load_transformers(str(make_decoder(tmp_path / "model", name)))
    before = perplexity(tmp_path / "model")
    assert ours(model) == pytest.approx(before, rel=1e-5)
    # One sequence alone has arguments of its own.
    both = model.run_block(1, model.embed(TOKENS))
    np.testing.assert_allclose(model.run_block(1, model.embed(TOKENS[:1])), both[:1], atol=1e-5)
    manifest = quantize(model)
    assert {layer.block for layer in manifest.layers} == {0, 1}
    now = ours(model)
    assert abs(now - before) > 1e-2
    model.save(tmp_path / "out")
    assert perplexity(tmp_path / "out") == pytest.approx(now, rel=1e-5)
    assert ours(load_transformers(str(tmp_path / "out"))) == pytest.approx(now, rel=1e-5)
    assert perplexity(tmp_path / "model") == before


@pytest.mark.parametrize("name", STACKED)
def test_experts_are_linears_that_give_the_outputs_of_the_block(tmp_path: Path, name: str) -> None:
    model = load_transformers(str(make_decoder(tmp_path / "model", name)))
    names = [linear.name for linear in model.linears(1)]
    for expert in range(4):
        for pattern in STACKED[name]:
            assert pattern.format(expert) in names
    hidden = model.embed(TOKENS)
    before = model.run_block(1, hidden)
    for linear in model.linears(1):
        weight = model.weight(1, linear.name)
        assert weight.shape == linear.shape
        model.set_weight(1, linear.name, 0 * weight)
        now = model.run_block(1, hidden)
        model.set_weight(1, linear.name, weight)
        assert np.abs(now - before).max() > 1e-6, linear
    np.testing.assert_array_equal(model.run_block(1, hidden), before)


def routed(model: Any, expert: int) -> npt.NDArray[Any]:
    """Inputs of an expert of block 0, from the library's own forward pass of the whole model."""
    plain = transformers.AutoModelForCausalLM.from_pretrained(
        model.name, dtype=torch.float32, experts_implementation="eager"
    )
    seen = []
    plain.model.layers[0].mlp.experts.register_forward_pre_hook(lambda _, args: seen.append(args))
    with torch.no_grad():
        plain(torch.from_numpy(TOKENS))
    inputs, chosen, _ = seen[0]
    rows: npt.NDArray[Any] = inputs[(chosen == expert).any(-1)].numpy().astype(np.float64)
    return rows


def test_an_experts_hessian_is_of_the_tokens_routed_to_it(tmp_path: Path) -> None:
    model = load_transformers(str(make_decoder(tmp_path, "mixtral")))
    hidden, total = model.embed(TOKENS), 0
    for expert in range(4):
        linear = next(x for x in model.linears(0) if x.name == f"mlp.experts.{expert}.gate_up_proj")
        found = block_hessians(model, 0, hidden, {linear.input_name})[linear.input_name]
        X = routed(model, expert)
        total += len(X)
        np.testing.assert_allclose(found, 2 / len(TOKENS) * X.T @ X, rtol=1e-4, atol=1e-5)
    assert total == 2 * TOKENS.size


def test_linears_beside_experts_keep_their_inputs_apart(tmp_path: Path) -> None:
    model = load_transformers(str(make_decoder(tmp_path, "qwen2_moe")))
    found = {linear.name: (linear.kind, linear.input_name) for linear in model.linears(0)}
    assert found["mlp.experts.2.down_proj"] == ("down", "mlp.experts.2.down_proj.input")
    assert found["mlp.shared_expert.up_proj"] == ("up", "mlp_input")
    assert model.kept(0) == ("mlp.gate.weight", "mlp.shared_expert_gate.weight")


@pytest.mark.parametrize("label", ["gptq:2bit", "stbllm:paper@4:8/outlier"])
def test_an_expert_that_no_token_reaches_is_named(tmp_path: Path, label: str) -> None:
    model = load_transformers(str(make_decoder(tmp_path, "mixtral")))
    # One token again and again goes to the same two of four experts.
    same = np.full((2, 21), 7)
    inputs = {x.input_name for x in model.linears(0) if "experts" in x.name}
    with pytest.warns(UnreachedWarning, match=r"block 0: no token reaches mlp\.experts\.\d"):
        found = block_hessians(model, 0, model.embed(same), inputs)
    assert len(found) == 8
    assert sum(np.array_equal(H, np.eye(len(H))) for H in found.values()) == 4
    calibration = describe_calibration("one token", 0, same)
    settings = plan(model, label, calibration, blocks=(0, 1))
    with pytest.warns(UnreachedWarning, match="identity is its Hessian"):
        manifest = quantize_model(model, reference, settings, same)
    assert all(np.isfinite(layer.relative_error) for layer in manifest.layers)


def test_the_command_names_what_it_leaves_and_what_it_never_saw(tmp_path: Path) -> None:
    folder, text, out = make_decoder(tmp_path / "model", "mixtral"), tmp_path / "a.txt", "out"
    text.write_text("a" * 500)
    options = ["--method=rtn", f"--calibration={text}", "--samples=2", "--length=20"]
    words = ["quantize", str(folder), *options, "--blocks=0:1", f"--out={tmp_path / out}"]
    done = CliRunner().invoke(cli.make_app("quantize"), [*words, "--parts=gate_up,down"])
    assert done.exit_code == 0, done.output
    kept = "in full precision, beside embedding, norms and head: mlp.gate.weight"
    lines = done.stderr.splitlines()
    assert kept in lines
    told = [line for line in lines if line.startswith("subbit: decoder block 0: no token reaches")]
    assert len(told) == 4
    assert all("UnreachedWarning" not in line for line in lines)
    assert {"gate_up", "down"} <= set(done.stdout.split())
    scored = CliRunner().invoke(
        cli.make_app("evaluate"),
        ["evaluate", str(tmp_path / out), f"--text={text}", "--length=20", "--windows=2"],
    )
    assert scored.exit_code == 0, scored.output
