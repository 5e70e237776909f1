"""Models whose rotary frequencies are divided, and GGUF files in parts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from subbit.conformance.models.base import NotCoveredError
from subbit.conformance.models.llama import LlamaModel
from subbit.conformance.models.load import load_model
from subbit.conformance.models.rope_scaling import frequencies, given_divisors, read_scaling
from subbit.conformance.models.tiny import tiny_model
from subbit.reference.errors import ArgumentError

from .conftest import gguf_copy, logits

TOKENS = np.random.default_rng(0).integers(2, 256, (2, 90))
LLAMA3: dict[str, Any] = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
GROWING = [float(x) for x in np.geomspace(1, 6, 8)]  # the tiny model has 8 pairs of channels
LONGROPE: dict[str, Any] = {
    "rope_type": "longrope",
    "short_factor": GROWING,
    "long_factor": GROWING,
    "attention_factor": 1.0,
    "original_max_position_embeddings": 64,
}
LINEAR: dict[str, Any] = {"rope_type": "linear", "factor": 4.0}
DIVISORS = np.array(GROWING, dtype=np.float32)


def tiny_folder(folder: Path, **changes: Any) -> Path:
    tiny_model().save(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


@pytest.mark.parametrize("rope", [LLAMA3, LONGROPE, LINEAR], ids=lambda rope: rope["rope_type"])
@pytest.mark.parametrize("spelling", ["rope_scaling", "rope_parameters"])
def test_scaled_folders_are_computed_as_in_transformers(
    tmp_path: Path, rope: dict[str, Any], spelling: str
) -> None:
    pytest.importorskip("transformers")
    tiny_folder(tmp_path, **{spelling: rope})
    ours, theirs = (load_model(f"{engine}:{tmp_path}") for engine in ("numpy", "transformers"))
    found = logits(ours, TOKENS)
    np.testing.assert_allclose(found, logits(theirs, TOKENS), atol=2e-5)
    assert np.abs(found - logits(tiny_model(), TOKENS)).max() > 1e-3
    ours.save(tmp_path / "again")
    for engine in ("numpy", "transformers"):
        again = load_model(f"{engine}:{tmp_path / 'again'}")
        np.testing.assert_allclose(logits(again, TOKENS), found, atol=2e-5)


def test_llama3_has_three_bands() -> None:
    omega = frequencies(16, 10000.0)
    scaling = read_scaling(LLAMA3, omega)
    assert scaling is not None
    low, high = LLAMA3["low_freq_factor"], LLAMA3["high_freq_factor"]
    for divisor, frequency in zip(scaling.divisors, omega, strict=True):
        turns = LLAMA3["original_max_position_embeddings"] * frequency / (2 * np.pi)
        if turns > high:
            expected = 1.0
        elif turns < low:
            expected = LLAMA3["factor"]
        else:
            share = (turns - low) / (high - low)
            expected = 1 / ((1 - share) / LLAMA3["factor"] + share)
        assert divisor == pytest.approx(expected, rel=1e-14)
    assert {1.0, 8.0} < set(scaling.divisors)


@pytest.mark.parametrize("engine", ["numpy:", "transformers:"])
def test_divisors_in_a_gguf_file_divide(tmp_path: Path, engine: str) -> None:
    if engine == "transformers:":
        pytest.importorskip("transformers")
    gguf_copy(tmp_path / "a.gguf", tiny_model(), **{"rope_freqs.weight": DIVISORS})
    found = logits(load_model(f"{engine}{tmp_path / 'a.gguf'}"), TOKENS)
    folder = tiny_folder(tmp_path / "folder", rope_scaling=LONGROPE)
    expected = logits(load_model(f"numpy:{folder}"), TOKENS)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_file_as_of_llama_3_1_loads_and_is_saved_as_the_same_function(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    more = {"tokenizer.ggml.scores": [0.0] * 256, "rope_freqs.weight": DIVISORS}
    gguf_copy(tmp_path / "a.gguf", tiny_model(), pre="llama-bpe", **more)
    model = load_model(str(tmp_path / "a.gguf"))
    assert not isinstance(model, LlamaModel)
    found = logits(model, TOKENS)
    model.save(tmp_path / "saved")
    for engine in ("numpy", "transformers"):
        again = load_model(f"{engine}:{tmp_path / 'saved'}")
        np.testing.assert_allclose(logits(again, TOKENS), found, atol=2e-5)


def test_a_linear_scaling_in_a_gguf_file_divides(tmp_path: Path) -> None:
    scaled = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    gguf_copy(tmp_path / "a.gguf", tiny_model(), **scaled)
    folder = tiny_folder(tmp_path / "folder", rope_scaling=LINEAR)
    found, expected = (logits(load_model(f"numpy:{path}"), TOKENS)
                       for path in (tmp_path / "a.gguf", folder))  # fmt: skip
    np.testing.assert_array_equal(found, expected)
    gguf_copy(tmp_path / "b.gguf", tiny_model(), **scaled, **{"rope_freqs.weight": DIVISORS})
    with pytest.raises(ArgumentError, match=r"rope_freqs\.weight or .*, got both"):
        load_model(f"numpy:{tmp_path / 'b.gguf'}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rope_type": "yarn"}, "rope_type default, linear, llama3, longrope .* got yarn"),
        ({"low_freq_factor": None}, "numbers for rope_type llama3"),
        ({"low_freq_factor": 5.0}, "numbers for .*, got a high_freq_factor below low_freq_factor"),
        ({"factor": 0.0}, "positive, finite divisors"),
        ({"factor": -2.0}, "positive, finite divisors"),
        ({"factor": float("nan")}, "positive, finite divisors"),
        ({"mscale": 0.5}, "keys of rope_type llama3 that the NumPy decoder knows, got mscale"),
    ],
)
def test_bad_scalings_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ArgumentError, match=f"model: expected {reason}"):
        read_scaling({**LLAMA3, **change}, frequencies(16, 10000.0))


def test_missing_numbers_are_refused_by_name() -> None:
    rope = {key: value for key, value in LLAMA3.items() if key != "low_freq_factor"}
    with pytest.raises(ArgumentError, match=r"numbers for rope_type llama3, got .*low_freq_factor"):
        read_scaling(rope, frequencies(16, 10000.0))


@pytest.mark.parametrize(
    "change", [{"long_factor": [1.0] * 8}, {"attention_factor": 1.2}], ids=["lists", "attention"]
)
def test_a_longrope_that_does_more_is_left_to_transformers(change: dict[str, Any]) -> None:
    with pytest.raises(NotCoveredError, match="model: expected a longrope with"):
        read_scaling({**LONGROPE, **change}, frequencies(16, 10000.0))


@pytest.mark.parametrize(
    ("divisors", "reason"),
    [
        (np.ones(7), r"8 divisors of rotary frequencies, .* got an array of shape \(7,\)"),
        (np.ones((8, 1)), r"8 divisors of rotary frequencies"),
        (np.zeros(8), "positive, finite divisors"),
        (np.full(8, np.inf), "positive, finite divisors"),
    ],
)
def test_divisors_that_do_not_fit_are_refused(
    divisors: npt.NDArray[np.float64], reason: str
) -> None:
    with pytest.raises(ArgumentError, match=f"model: expected {reason}"):
        given_divisors(divisors, frequencies(16, 10000.0), 64)


def parts_of_tiny(folder: Path, stem: str = "a", *, total: int | None = None) -> list[Path]:
    """Write the tiny model as three GGUF files: only metadata, block 1, and the rest."""
    kept = (
        lambda _name: False,
        lambda name: name.startswith("blk.1."),
        lambda name: not name.startswith("blk.1."),
    )
    paths = [folder / f"{stem}-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    tensors = len(tiny_model().weights) if total is None else total
    for number, (path, some) in enumerate(zip(paths, kept, strict=True)):
        place = {"split.no": number, "split.count": 3, "split.tensors.count": tensors}
        gguf_copy(path, tiny_model(), kept=some, **place)
    return paths


def test_a_gguf_file_in_parts_is_read_whole(tmp_path: Path) -> None:
    first, *_ = parts_of_tiny(tmp_path)
    model = load_model(str(first))
    assert model.precision == "dequantized F32 GGUF"
    np.testing.assert_array_equal(logits(model, TOKENS), logits(tiny_model(), TOKENS))


def test_a_later_part_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    _, second, _ = parts_of_tiny(tmp_path)
    with pytest.raises(ArgumentError, match=r"first of 3 parts, .*00001-of-00003.*got part 2, a-"):
        load_model(str(second))


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    first, _, last = parts_of_tiny(tmp_path)
    last.unlink()
    with pytest.raises(ArgumentError, match=r"3 parts beside .* got no a-00003-of-00003\.gguf"):
        load_model(str(first))


def test_parts_with_too_few_tensors_are_refused(tmp_path: Path) -> None:
    first, *_ = parts_of_tiny(tmp_path, total=99)
    with pytest.raises(ArgumentError, match=r"99 tensors in 3 parts, got \d+"):
        load_model(str(first))


def test_parts_for_transformers_are_refused_with_the_command(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    first, *_ = parts_of_tiny(tmp_path)
    with pytest.raises(ArgumentError, match=r"llama-gguf-split --merge.*first of 3 parts"):
        load_model(f"transformers:{first}")
