"""Error propagation through decoders of transformers."""

from pathlib import Path

import numpy as np
import pytest

from project import some
from subbit import reference
from subbit.conformance.models.base import DecoderModel
from subbit.conformance.models.hf_load import load_transformers
from subbit.conformance.runs.calibrate import advance, embed
from subbit.conformance.runs.plan import describe_calibration, plan
from subbit.conformance.runs.quantize import quantize_model
from subbit.reference.errors import ArgumentError

from .random_decoders import make_decoder

pytest.importorskip("torch")
pytest.importorskip("transformers")

TOKENS = np.random.default_rng(0).integers(2, 256, (3, 21))
ADD_ALONE = ("llama", "gpt2", "gptj", "phi3", "bloom", "opt", "stablelm")
"""Blocks that add the outputs of two linears to their input, in turn or both at once."""
ADD_MORE = ("gemma2", "granite", "olmo2")
"""Blocks that scale or normalize what they add."""
WITH_EXPERTS = ("mixtral", "dbrx")


def run(folder: Path, label: str) -> tuple[DecoderModel, int]:
    model = load_transformers(str(folder))
    calibration = describe_calibration("random", 0, TOKENS)
    manifest = quantize_model(model, reference, plan(model, label, calibration), TOKENS)
    return model, len(manifest.layers)


def stream_error(folder: Path, made: DecoderModel) -> float:
    full = load_transformers(str(folder))
    h = embed(full, TOKENS)
    g = h.copy()
    for index in range(full.n_blocks):
        advance(full, index, h)
        advance(made, index, g)
    return float(np.sum((h - g) ** 2) / np.sum(h**2))


@pytest.mark.parametrize("name", some(ADD_ALONE, every=3))
def test_the_residual_stream_is_corrected(tmp_path: Path, name: str) -> None:
    folder = make_decoder(tmp_path, name)
    errors = [stream_error(folder, run(folder, f"gptq:3bit{own}")[0]) for own in ("", "+loaq")]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("name", some(ADD_MORE, every=3))
def test_another_residual_stream_is_refused_and_inputs_are_corrected(
    tmp_path: Path, name: str
) -> None:
    folder = make_decoder(tmp_path, name)
    with pytest.raises(ArgumentError, match=r"adds something else than those of .*; beta=0 asks"):
        run(folder, "rtn:sign+loaq")
    assert run(folder, "rtn:sign+gptaq")[1] == 21


@pytest.mark.parametrize("name", some(WITH_EXPERTS, every=2))
def test_experts_are_refused(tmp_path: Path, name: str) -> None:
    folder = make_decoder(tmp_path, name)
    with pytest.raises(ArgumentError, match="every token reaches every linear, without experts"):
        run(folder, "rtn:sign+gptaq")
