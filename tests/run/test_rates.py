"""Payload bits that one linear leaves and others get."""

import dataclasses

import numpy as np
import pytest
from run.helpers import files_of, make_settings

from subbit import reference
from subbit.conformance.command.crews import CrewOptions, open_crew
from subbit.conformance.models.base import Linear
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.labels import Label, parse_label
from subbit.conformance.runs.quantize import quantize_model
from subbit.conformance.runs.rates import MOST, nominal_rate, stage_rates
from subbit.reference.errors import ArgumentError

LABEL = "typed:3bit/carried"


@pytest.fixture
def quantized(tiny, sequences):
    def make(label=LABEL, model=None, port=reference, out=None, **choices):
        model = model or load_model("tiny")
        settings = make_settings(tiny, sequences, label, **choices)
        return quantize_model(model, port, settings, sequences, out=out)

    return make


def spent(manifest):
    return np.array([(x.payload_bits, x.weights) for x in manifest.layers])


@pytest.mark.parametrize("propagation", ["", "+half"])
def test_a_run_keeps_to_its_bits_and_leaves_fewer(quantized, propagation):
    even, carried = quantized(f"typed:3bit{propagation}"), quantized(LABEL + propagation)
    bits, weights = spent(carried).T
    # After each decoder block, not only at the end.
    ends = np.flatnonzero(np.diff([x.block for x in carried.layers] + [-1]))
    assert np.all(np.cumsum(bits)[ends] <= 3.0 * np.cumsum(weights)[ends])
    assert bits.sum() > spent(even)[:, 0].sum()


def test_value_projections_get_more(quantized):
    layers = quantized(blocks=(0, 1)).layers
    rate = {x.kind: x.payload_bits / x.weights for x in layers}
    assert rate["v"] > max(bits for kind, bits in rate.items() if kind != "v")


def test_workers_and_interruptions_change_nothing(quantized, sequences, tmp_path, tiny):
    whole = quantized(out=tmp_path / "whole")
    settings = make_settings(tiny, sequences, LABEL)
    quantize_model(load_model("tiny"), reference, settings, sequences, out=tmp_path / "part")
    manifest = tmp_path / "part" / "manifest.json"
    (tmp_path / "part" / "layers" / "block-002.safetensors").unlink()
    lost = pytest.warns(RuntimeWarning, match="decoder block 2 is quantized again")
    with open_crew("reference", CrewOptions(2)) as crew, lost:
        quantize_model(
            load_model("tiny"), crew, settings, sequences, out=tmp_path / "part", resume=True
        )
    assert manifest.is_file()
    assert files_of(tmp_path / "part") == files_of(tmp_path / "whole")
    assert spent(whole).tolist() == spent(quantized()).tolist()


def test_the_first_blocks_are_those_of_a_shorter_run(quantized):
    longer, shorter = quantized(), quantized(blocks=(0, 2))
    assert spent(longer)[: len(shorter.layers)].tolist() == spent(shorter).tolist()


def test_a_block_keeps_to_the_mean():
    block = [Linear(k, k, k, shape) for k, shape in (("q", (8, 4)), ("v", (2, 4)), ("o", (4, 8)))]
    sizes = [n * m for n, m in (x.shape for x in block)]
    rates = [nominal_rate(2.5, x, block) for x in block]
    assert np.average(rates, weights=sizes) == pytest.approx(2.5)
    assert rates[1] - rates[0] == 1.0
    found = stage_rates(2.5, block[:2], block, 20.0)
    assert found["q"] - rates[0] == found["v"] - rates[1] == 20.0 / 40


def test_what_cannot_be_spent_is_left():
    q = Linear("q", "q", "q", (2, 4))
    assert stage_rates(3.0, [q], [q], 1e6) == {"q": MOST}


def test_labels():
    label = parse_label("typed:2.25bit/carried+half")
    assert dataclasses.replace(label, correction=None) == Label("typed", "2.25bit", None, "carried")
    assert str(label) == "typed:2.25bit/carried+half"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("billm/carried", "budget: expected a method and preset that prune to N:M"),
        ("wanda@2:4/carried", "budget: expected one of uniform, norm"),
        ("typed/norm", "budget: expected one of uniform, carried"),
        ("typed@2:4/carried", "keep: expected a method and preset that prune to N:M"),
    ],
)
def test_refused_labels(text, said):
    with pytest.raises(ArgumentError) as error:
        parse_label(text)
    assert str(error.value).startswith(said)
