"""Model files are read quickly, and weights decoded when they are used."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbit.conformance.models.gguf_file import SMOLLM2, read_gguf
from subbit.conformance.models.gguf_reader import reader_class
from subbit.conformance.models.gguf_weights import SCALES
from subbit.conformance.models.needs import wheel_file
from subbit.conformance.models.tiny import tiny_model
from subbit.conformance.models.weights import Stored, Weights
from subbit.reference.errors import ArgumentError

from .conftest import gguf_copy

gguf = pytest.importorskip("gguf")


def contents(reader: Any) -> dict[str, Any]:
    return {
        name: (field.contents(), field.types[:1], field.offset)
        for name, field in reader.fields.items()
    }


def same_file(path: Path) -> None:
    ours, theirs = reader_class(gguf)(path), gguf.GGUFReader(path)
    assert contents(ours) == contents(theirs)
    assert ours.data_offset == theirs.data_offset
    for one, other in zip(ours.tensors, theirs.tensors, strict=True):
        assert one[:1] + one[3:6] == other[:1] + other[3:6]


def test_the_quick_reader_reads_what_the_library_reads(tmp_path: Path) -> None:
    arrays = {
        "a.strings": ["", "é", "b" * 300],
        "a.numbers": [1, -2, 3],
        "a.floats": [0.5, -1.5],
        "a.flags": [True, False],
        "a.nested": [[1, 2], [3]],
    }
    gguf_copy(tmp_path / "a.gguf", tiny_model(), **arrays)
    same_file(tmp_path / "a.gguf")


def test_it_reads_files_of_the_other_byte_order(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama", False, gguf.GGUFEndian.BIG)  # noqa: FBT003
    writer.add_array("a.strings", ["x", "longer"])
    writer.add_array("a.numbers", [1, 2, 300])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    same_file(tmp_path / "a.gguf")


def test_it_reads_the_embedded_model() -> None:
    same_file(wheel_file(*SMOLLM2, argument="model"))


def test_an_array_that_is_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    gguf_copy(path, tiny_model(), **{"a.strings": ["last", "words"]})
    whole, count = path.read_bytes(), struct.pack("<Q", 2)
    start = whole.index(b"a.strings") + len(b"a.strings")
    for more in (2**40, 2**63):
        changed = struct.pack("<Q", more)
        for place in (start + 8, start + 16):  # the number of strings, the length of the first
            path.write_bytes(whole[:place] + changed + whole[place + len(count) :])
            with pytest.raises(ArgumentError, match="model: expected a readable GGUF file"):
                read_gguf(path, "a")


@pytest.mark.parametrize("name", SCALES)
def test_scales_stand_where_the_table_says(name: str) -> None:
    """Blocks with finite scales decode to finite numbers, and any other scale is seen."""
    kind = gguf.GGMLQuantizationType[name]
    _, size = gguf.GGML_QUANT_SIZES[kind]
    block = np.random.default_rng(0).integers(0, 256, (64, size), dtype=np.uint8)
    block[:, SCALES[name]] = np.full((64, 4), np.float16(65504)).view(np.uint8)[
        :, : block[:, SCALES[name]].shape[1]
    ]
    assert np.isfinite(gguf.dequantize(block, kind)).all()
    for first in range(SCALES[name].start, SCALES[name].stop, 2):
        changed = block.copy()
        changed[:, first : first + 2] = np.full((64, 1), np.nan, np.float16).view(np.uint8)
        assert not np.isfinite(gguf.dequantize(changed, kind)).all(axis=1).any()


def test_a_scale_that_is_not_finite_is_refused_when_the_model_is_loaded(tmp_path: Path) -> None:
    path, model = tmp_path / "a.gguf", tiny_model()
    gguf_copy(path, model, kind=gguf.GGMLQuantizationType.Q8_0)
    reader = gguf.GGUFReader(path)
    tensor = next(t for t in reader.tensors if t.name == "blk.1.ffn_up.weight")
    content = bytearray(path.read_bytes())
    content[tensor.data_offset : tensor.data_offset + 2] = np.float16(np.inf).tobytes()
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match=r"finite weights, got NaN .*layers.1.mlp.up_proj"):
        read_gguf(path, "a")


def test_loading_decodes_no_weight_that_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf_copy(tmp_path / "a.gguf", tiny_model(), kind=gguf.GGMLQuantizationType.Q8_0)
    decoded = []
    plain = gguf.dequantize
    monkeypatch.setattr(
        gguf, "dequantize", lambda data, kind: decoded.append(kind.name) or plain(data, kind)
    )
    model = read_gguf(tmp_path / "a.gguf", "a")
    assert "Q8_0" not in decoded
    model.weight(0, "mlp.up_proj")
    model.weight(0, "mlp.up_proj")
    assert decoded.count("Q8_0") == 1


def test_a_weight_is_decoded_once_and_may_be_replaced() -> None:
    made = []

    def decode() -> Any:
        made.append(1)
        return np.ones((2, 3), dtype=np.float32)

    stored = Stored((2, 3), finite=True, decode=decode)
    weights = Weights({"a": stored, "b": np.zeros(1, dtype=np.float32)})
    assert weights.shape("a") == (2, 3)
    assert weights.is_finite("a")
    assert "a" in weights
    assert "c" not in weights
    assert not made
    assert weights["a"] is weights["a"]
    assert len(made) == 1
    weights["a"] = np.full((2, 3), np.inf, dtype=np.float32)
    assert not weights.is_finite("a")
    del weights["b"]
    assert list(weights) == ["a"]
    assert len(weights) == 1
