"""The NumPy decoder: each equation against its definition, the whole against transformers."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance.models import llama
from subbit.conformance.models.llama import LlamaModel, attend, rms_norm, rotate, rotation
from subbit.conformance.models.rope_scaling import frequencies
from subbit.conformance.models.tiny import tiny_model
from subbit.reference.errors import ArgumentError

from .conftest import logits, mean_nll

# Measured with this decoder (2.443417202) and with transformers in float64 (2.443417016).
EVALUATION_NLL = 2.4434


def normal(seed: int, *shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_rms_norm_is_its_equation() -> None:
    x, gain = normal(0, 3, 8), normal(1, 8)
    wide = x.astype(np.float64)
    expected = gain * wide / np.sqrt((wide**2).mean(axis=1, keepdims=True) + 0.25)
    np.testing.assert_allclose(rms_norm(x, gain, 0.25), expected, rtol=1e-6)


def test_rotation_angles_are_position_times_frequency() -> None:
    cosine, sine = rotation(9, frequencies(8, 100.0))
    angle = np.arange(9)[:, None] * 100.0 ** (-2 * np.arange(4) / 8)
    np.testing.assert_allclose(cosine, np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(sine, np.sin(angle), atol=1e-6)


@given(shift=st.integers(0, 30), first=st.integers(0, 30), second=st.integers(0, 30))
def test_rotated_products_depend_on_the_distance_only(shift: int, first: int, second: int) -> None:
    turn = rotation(64, frequencies(8, 10000.0))
    q, k = (rotate(np.tile(normal(seed, 8), (64, 1)), *turn) for seed in (0, 1))
    near, far = q[first] @ k[second], q[first + shift] @ k[second + shift]
    # Eight products of size up to 9, with angles up to 64 in float32.
    assert abs(near - far) < 64 * 8 * 9 * 2.0**-24


def test_attention_is_its_definition() -> None:
    q, k, v = normal(0, 6, 7, 4), normal(1, 2, 7, 4), normal(2, 2, 7, 4)
    out = attend(q, k, v)
    for head in range(6):
        keys, values = (a[head // 3].astype(np.float64) for a in (k, v))
        for s in range(7):
            weight = np.exp(keys[: s + 1] @ q[head, s] / 2.0)
            expected = weight @ values[: s + 1] / weight.sum()
            np.testing.assert_allclose(out[head, s], expected, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_attention_does_not_depend_on_its_chunks(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v = normal(0, 4, 7, 4), normal(1, 2, 7, 4), normal(2, 2, 7, 4)
    whole = attend(q, k, v)
    monkeypatch.setattr(llama, "QUERY_ROWS", rows)
    np.testing.assert_allclose(attend(q, k, v), whole, atol=1e-6)


def test_a_token_sees_only_earlier_ones_and_its_own_sequence() -> None:
    model = tiny_model()
    tokens = np.arange(40).reshape(2, 20)
    changed = tokens.copy()
    changed[0, 12] = 99
    before, after = logits(model, tokens), logits(model, changed)
    np.testing.assert_array_equal(before[0, :12], after[0, :12])
    np.testing.assert_array_equal(before[1], after[1])
    assert np.abs(before[0, 12:] - after[0, 12:]).max(axis=1).min() > 1e-3


def test_captured_inputs_give_the_linears_outputs() -> None:
    model, seen, order = tiny_model(), {}, []

    def capture(name: str, activations: npt.NDArray[np.float32]) -> None:
        order.append(name)
        seen[name] = activations.astype(np.float64)

    hidden = model.embed(np.arange(24).reshape(2, 12))
    out = model.run_block(1, hidden, capture)
    linears = model.linears(1)
    assert order == list(dict.fromkeys(linear.input_name for linear in linears))
    result = {
        linear.kind: seen[linear.input_name] @ model.weight(1, linear.name).T for linear in linears
    }
    gated = result["gate"] / (1 + np.exp(-result["gate"])) * result["up"]
    np.testing.assert_allclose(seen["mlp_hidden"], gated, atol=1e-5)
    np.testing.assert_allclose(out, hidden + result["o"] + result["down"], atol=1e-4)


def test_linears_name_the_stored_shapes() -> None:
    model = tiny_model()
    for linear in model.linears(0):
        assert model.weight(0, linear.name).shape == linear.shape
        assert model.weight(0, linear.name).dtype == np.float64


def test_set_weight_changes_that_linear_only() -> None:
    model, tokens = tiny_model(), np.arange(10)[None]
    before = logits(model, tokens)
    old = model.weight(2, "mlp.up_proj")
    old[0, 0] = 7.0  # a copy: the model keeps its own
    np.testing.assert_array_equal(logits(model, tokens), before)
    model.set_weight(2, "mlp.up_proj", old)
    assert model.weight(2, "mlp.up_proj")[0, 0] == 7.0
    assert np.abs(logits(model, tokens) - before).max() > 1e-4
    np.testing.assert_array_equal(
        model.weight(1, "mlp.up_proj"), tiny_model().weight(1, "mlp.up_proj")
    )


def test_tiny_model_is_determined_by_its_seed() -> None:
    first, same, other = (tiny_model(seed).weight(0, "mlp.up_proj") for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (np.array([[0, 256]]), "numbers from 0 to 255"),
        (np.array([[-1, 3]]), "numbers from 0 to 255"),
        (np.zeros((1, 257), dtype=np.int64), "at most 256 tokens"),
        (np.zeros(3, dtype=np.int64), "shape"),
        (np.zeros((1, 0), dtype=np.int64), "shape"),
        (np.zeros((1, 3)), "whole numbers"),
    ],
)
def test_embed_refuses_what_are_no_tokens(tokens: npt.NDArray[np.int64], reason: str) -> None:
    with pytest.raises(ArgumentError, match=f"tokens: .*{reason}"):
        tiny_model().embed(tokens)


def test_bad_names_indices_and_weights_are_refused() -> None:
    model = tiny_model()
    with pytest.raises(ArgumentError, match=r"index: .*from 0 to 2, got 3"):
        model.linears(3)
    with pytest.raises(ArgumentError, match=r"name: .*got mlp\.gate"):
        model.weight(0, "mlp.gate")
    with pytest.raises(ArgumentError, match=r"weight: expected shape \(160, 64\)"):
        model.set_weight(0, "mlp.up_proj", np.zeros((64, 160)))
    with pytest.raises(ArgumentError, match="weight: expected finite"):
        model.set_weight(0, "mlp.up_proj", np.full((160, 64), np.nan))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("model.norm.weight", None, "with the weight model.norm.weight"),
        ("model.norm.weight", np.ones(3, np.float32), r"model.norm.weight of shape \(64,\)"),
        ("model.norm.weight", np.full(64, np.inf, np.float32), "finite weights"),
        ("lm_head.weight", np.ones((256, 3), np.float32), "lm_head.weight of shape"),
        ("model.extra.weight", np.ones(3, np.float32), "only the weights"),
    ],
)
def test_a_model_refuses_wrong_weights(
    name: str, value: npt.NDArray[np.float32] | None, reason: str
) -> None:
    good = tiny_model()
    weights = {**good.weights, name: value}
    if value is None:
        del weights[name]
    with pytest.raises(ArgumentError, match=f"model: .*{reason}"):
        LlamaModel(good.config, weights, good.codec, "bad", "none")


def test_embedded_model_reaches_its_likelihood(
    embedded: LlamaModel, evaluation_tokens: npt.NDArray[np.int64]
) -> None:
    scores = logits(embedded, evaluation_tokens[None])[0]
    assert mean_nll(scores, evaluation_tokens) == pytest.approx(EVALUATION_NLL, abs=1e-4)


def test_embedded_model_agrees_with_transformers(
    embedded: LlamaModel, saved_embedded: Path, evaluation_tokens: npt.NDArray[np.int64]
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    other = transformers.AutoModelForCausalLM.from_pretrained(saved_embedded, dtype=torch.float32)
    with torch.no_grad():
        theirs = other(torch.from_numpy(evaluation_tokens[None])).logits[0].numpy()
    ours = logits(embedded, evaluation_tokens[None])[0]
    # Each block rounds the residual stream about eight times in sequence (two norms, two
    # sums, four products), by u = 2⁻²⁴ of its largest logit; errors that add up without
    # canceling stay below this. Measured: a fifth of it, and 8e-5 and 6e-5 to float64.
    bound = 8 * embedded.n_blocks * 2.0**-24 * np.abs(theirs).max()
    assert np.abs(ours - theirs).max() < bound
    assert mean_nll(theirs, evaluation_tokens) == pytest.approx(EVALUATION_NLL, abs=1e-4)
