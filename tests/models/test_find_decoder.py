"""What is no list of decoder blocks between an embedding and a head is refused by its reason."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from subbit.conformance.models import hf_load
from subbit.conformance.models.decoder import Arguments
from subbit.conformance.models.find_decoder import find_decoder
from subbit.conformance.models.hf_load import load_transformers
from subbit.reference.errors import ArgumentError

from .random_decoders import SIZES, make_decoder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
nn = torch.nn

TOKENS = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 3, 7, 7, 7]])
WIDTH = 8


class Block(nn.Module):  # type: ignore[misc, name-defined]
    """A block whose output is returned in the given form."""

    def __init__(self, outside: int = WIDTH, form: Callable[[Any], Any] = lambda x: x) -> None:
        super().__init__()
        self.linear, self.form = nn.Linear(WIDTH, outside), form

    def forward(self, hidden: Any, **_: Any) -> Any:
        return self.form(self.linear(hidden))


class Model(nn.Module):  # type: ignore[misc, name-defined]
    """A model that goes through its parts in the way of a test."""

    def __init__(self, way: Callable[[Any, Any, Any], Any], count: int = 3, **block: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(9, WIDTH), nn.Linear(WIDTH, 9)
        self.layers = nn.ModuleList(Block(**block) for _ in range(count))
        self.more = nn.ModuleList(Block() for _ in range(2))
        self.way = way

    def forward(self, input_ids: Any, *, use_cache: bool) -> Any:
        assert not use_cache
        x = self.way(self, self.embedding(input_ids), input_ids)
        return SimpleNamespace(logits=self.head(x))


def in_order(model: Any, x: Any, _tokens: Any) -> Any:
    for layer in model.layers:
        x = layer(x)
        x = x[0] if isinstance(x, tuple) else x
    return x


def with_more(model: Any, x: Any, tokens: Any) -> Any:
    x = in_order(model, x, tokens)
    for layer in model.more:
        x = layer(x)
    return x


def backwards(model: Any, x: Any, _tokens: Any) -> Any:
    for layer in reversed(model.layers):
        x = layer(x)
    return x


def twice(model: Any, x: Any, tokens: Any) -> Any:
    return in_order(model, in_order(model, x, tokens), tokens)


def changed_between(model: Any, x: Any, _tokens: Any) -> Any:
    for layer in model.layers:
        x = layer(2 * x)
    return x


def given_tokens(model: Any, x: Any, tokens: Any) -> Any:
    for layer in model.layers:
        x = layer(x, tokens=tokens)
    return x


def given_the_first(model: Any, x: Any, _tokens: Any) -> Any:
    first = x
    for number, layer in enumerate(model.layers):
        x = layer(x, cache=[number, first])
        first = x
    return x


def given_an_object(model: Any, x: Any, _tokens: Any) -> Any:
    for layer in model.layers:
        x = layer(x, state=object())
    return x


def flat(model: Any, x: Any, _tokens: Any) -> Any:
    shape, x = x.shape, x.reshape(-1, WIDTH)
    for layer in model.layers:
        x = layer(x)
    return x.reshape(shape)


def seeing_all(model: Any, x: Any, tokens: Any) -> Any:
    x = in_order(model, x, tokens)
    return x + x.mean(1, keepdim=True)


def failing(_model: Any, _x: Any, _tokens: Any) -> Any:
    message = "pixel_values are missing\nand more"
    raise ValueError(message)


@pytest.mark.parametrize("form", [lambda x: x, lambda x: (x,), lambda x: (x, None)])
def test_a_list_in_order_is_found_and_run_in_parts(form: Callable[[Any], Any]) -> None:
    model = Model(in_order, form=form)
    decoder, whole = find_decoder(model, TOKENS)
    assert decoder.path == "layers"
    with torch.no_grad():
        x = decoder.embed(TOKENS)
        for index in range(3):
            x = decoder.run(index, x)
        torch.testing.assert_close(decoder.head(x.reshape(-1, WIDTH)).reshape(2, 6, 9), whole)
    # The stand-ins of the blocks are gone.
    torch.testing.assert_close(model(TOKENS, use_cache=False).logits, whole)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (with_more, "Model with layers and more$"),
        (backwards, r"layers, whose 3 entries ran in the order 2, 1, 0; more, .* order none"),
        (twice, "order 0, 1, 2, 0, 1, 2;"),
        (changed_between, "layers, whose entry 1 takes something else than entry 0 returns"),
        (given_tokens, "text comes .* got tokens of decoder block 0,"),
        (given_the_first, "text comes .* got cache of decoder block 0,"),
        (given_an_object, "text comes .* got state of decoder block 0,"),
        (flat, r"layers, whose entry 0 takes no hidden states of \(N, L, d\)"),
        (seeing_all, "do not depend on later tokens, got Model"),
        (failing, r"runs on token numbers alone, got Model \(pixel_values are missing\)$"),
    ],
)
def test_other_forms_are_refused_with_the_reason(way: Any, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        find_decoder(Model(way), TOKENS)


def test_blocks_of_other_forms_are_refused() -> None:
    with pytest.raises(ArgumentError, match="entry 0 returns hidden states of another width"):
        find_decoder(Model(lambda m, x, _: m.layers[0](x)[..., :WIDTH], 1, outside=9), TOKENS)
    with pytest.raises(ArgumentError, match="entry 0 returns no hidden states"):
        find_decoder(Model(lambda m, x, _: m.layers[0](x)[1], 1, form=lambda x: ({}, x)), TOKENS)
    model = Model(lambda _model, x, _tokens: x)
    del model.layers, model.more
    with pytest.raises(ArgumentError, match="Model with no list of modules"):
        find_decoder(model, TOKENS)


def test_arguments_by_position_have_numbers() -> None:
    hidden, rest = Arguments.split((1, 2), {"a": 3})
    assert (hidden, rest.named()) == (1, {"argument 1": 2, "a": 3})
    assert rest.passed(lambda *args, **kwargs: (args, kwargs), 5) == ((5, 2), {"a": 3})
    hidden, rest = Arguments.split((), {"x": 1, "a": 3})
    assert (hidden, rest.passed(dict, 5)) == (1, {"x": 5, "a": 3})
    assert Arguments.split((), {})[0] is None


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("bert", {**SIZES, "is_decoder": False}, "logits do not depend on later tokens, got Bert"),
        ("t5", {}, "a decoder-only language model, got t5, an encoder with a decoder"),
        ("vit", {}, "a model that transformers can load, got vit .*Unrecognized configuration"),
    ],
)
def test_models_that_are_no_decoders_are_refused(
    tmp_path: Path, name: str, settings: dict[str, Any], reason: str
) -> None:
    if settings:
        make_decoder(tmp_path, name, **settings)
    else:
        transformers.AutoConfig.for_model(name).save_pretrained(tmp_path)
        # What is missing would be refused first.
        weights = {f"weight {number}": np.zeros(1) for number in range(12)}
        save_file(weights, tmp_path / "model.safetensors")
        (tmp_path / "tokenizer.json").touch()
    with pytest.raises(ArgumentError, match=reason):
        load_transformers(str(tmp_path))


def test_a_model_that_does_more_than_its_parts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that hands its successor something behind the caller's back."""
    make_decoder(tmp_path, "llama", **SIZES)
    kind = transformers.models.llama.modeling_llama.LlamaMLP
    plain, left = kind.forward, []

    def forward(self: Any, x: Any) -> Any:
        left.append(x.sum())
        return plain(self, x) + left[-2 % len(left)]

    monkeypatch.setattr(kind, "forward", forward)
    with pytest.raises(ArgumentError, match=r"LlamaForCausalLM that is .* from its own"):
        load_transformers(str(tmp_path))


def test_pickled_weights_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_decoder(tmp_path, "llama", **SIZES)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ArgumentError, match=r"pickled ones can run code, got .* without one"):
        load_transformers(str(tmp_path))
    # Were it read, this would be found out.
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nabort\n)R.")
    with pytest.raises(ArgumentError, match=r"safetensors files.* with pytorch_model\.bin"):
        load_transformers(str(tmp_path))
    # The library itself is told not to read it, whatever a hub's name stands for.
    monkeypatch.setattr(hf_load, "_check_files", lambda _folder: None)
    monkeypatch.setattr(hf_load, "stored_shapes", lambda _folder: [(10**6,)] * 3)
    with pytest.raises(ArgumentError, match=r"transformers can load.*model\.safetensors"):
        load_transformers(str(tmp_path))
