"""What `docs/format.md` says is so: its tables, its examples, and the bytes of a record file."""

import json
import re
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

import formats
from programs import records
from subbit import reference
from subbit.conformance.programs.calls import read_error
from subbit.conformance.programs.forms import Codec
from subbit.conformance.programs.port import HELLO
from subbit.conformance.runs.records import pack_records
from subbit.reference import LevelGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.leveled import CODES

PAGE = formats.PAGE.read_text(encoding="utf-8")


def schema(name):
    return json.loads((files("subbit.conformance") / f"schemas/{name}.json").read_text())


@pytest.mark.parametrize("table", [formats.records, formats.settings])
def test_the_tables_are_those_of_the_code(table):
    assert table() in PAGE, "run `python tests/formats.py` to see them"


def examples():
    return [
        json.loads(line)
        for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]


def test_the_examples_are_valid():
    validator = jsonschema.Draft202012Validator(schema("messages"))
    messages = [example for example in examples() if "type" in example]
    assert len(messages) == 6
    for message in messages:
        validator.validate(message)
    asked, answered = messages[2], messages[3]
    zero = asked["arguments"]["zero"]
    wanted = reference.sign(asked["arguments"]["x"], zero)
    assert Codec().read(answered["value"]) == wanted
    errors = [example for example in examples() if "kind" in example]
    assert [str(read_error(error)) for error in errors] == ["W: expected finite numbers, got NaN"]


def test_all_that_a_hello_may_have_is_explained():
    for key in set(HELLO) - {"type"}:
        assert f"`{key}`" in PAGE


def layers():
    rng = np.random.default_rng(3)
    W, X = rng.standard_normal((6, 40)), rng.standard_normal((80, 40))
    X[:, 7] = 0.0
    H = X.T @ X
    for name, method in reference.METHODS.items():
        for preset, config in method.presets.items():
            wide = config.changed(payload=64.0) if "payload" in config.switches() else config
            yield f"{name}.{preset}", getattr(reference, method.entry)(W, H, wide)
    yield "leveled", leveled()
    yield "ordered", reference.gptq_layer(W, H, reference.GPTQ(activation_order=True))
    shared = reference.HBLLM(
        pairs="rows", share_mean=True, counts=(3, 9), dead_inputs="zero", block_size=15
    )
    yield "haar", reference.hbllm_layer(W[:5], H, shared)
    yield "haar.columns", reference.hbllm_layer(W[:5], H, shared.changed(pairs="columns"))
    tied = np.round(W)
    for zero in (0, 1):
        config = reference.BiLLM(sign_zero=zero, dead_inputs="zero", block_size=16)
        yield f"zeros{zero}", reference.billm_layer(tied, H, config)


def leveled():
    """A layer with each code, with and without exponents and column scales."""
    rng, blocks = np.random.default_rng(4), []
    references = rng.random((2, 5))
    for place, (code, coding) in enumerate(CODES.items()):
        top = 2**coding.planes - 1
        levels = (2 * rng.integers(0, top + 1, (5, 40)) - top).astype(np.int8)
        if coding.large:
            levels = np.sign(levels)
            for first in (0, 16):
                levels[:, first : first + coding.large] *= 3
        exponent = rng.integers(-128, 128, 5).astype(np.int8) if place % 3 else None
        columns = rng.random(40) if place % 2 else None
        mask = np.ones((5, 40), dtype=np.bool_)
        group = LevelGroup("all", mask, code, levels, references[place // 4], exponent, columns)
        blocks.append(QuantizedBlock(40 * place, 40 * place + 40, (group,)))
    return QuantizedLayer((5, 40 * len(blocks)), tuple(blocks))


def test_a_file_of_records_is_read_by_the_page_alone():
    made = {name: layer.with_scales("float32") for name, layer in layers()}
    data = pack_records(made, scales="float32", about={"by": "a test"})
    found = records.read(data)
    assert found.keys() == made.keys()
    for name, layer in made.items():
        np.testing.assert_allclose(
            found[name], layer.decode(), rtol=1e-15, atol=1e-15, err_msg=name
        )
    said = json.loads(records.safetensors(data)[0]["subbit"])
    validator = jsonschema.Draft202012Validator(schema("records"))
    validator.check_schema(schema("records"))
    validator.validate(said)
    assert not validator.is_valid(said | {"version": 5})
    # All that the page describes occurs in these layers.
    blocks = [b for one in said["content"]["layers"].values() for b in one["patterns"]]
    assert {b["kept"] for b in blocks} == {"all", "columns", "entries"}
    groups = [group for b in blocks for group in b["groups"]]
    assert {key for group in groups for key in group} == {
        *("name", "mean", "planes", "bits", "plain"),
        *("levels", "exponents", "column_scale", "reference"),
        "rank",
        *("haar", "shared_means"),
    }
    terms = [term for group in groups for term in group.get("haar", ())]
    assert {term["columns"] for term in terms} == {"all", "rest", "map"}
    planes = [plane for group in groups for plane in group.get("planes", ())]
    assert {key for plane in planes for key, there in plane.items() if there} == {
        "zeros",
        "column_scale",
    }
