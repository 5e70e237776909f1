"""Changed files of models and texts, as functions that change one and return its reading."""

import gzip
import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from fuzz.changes import TEXTS, changed, changed_bytes, changed_text

from subbit.conformance.models.base import check_tokenized
from subbit.conformance.models.llama import LlamaModel
from subbit.conformance.models.llama_config import LlamaConfig
from subbit.conformance.models.load import load_model
from subbit.conformance.models.tokenizer import byte_codec
from subbit.conformance.runs.calibrate import advance, embed
from subbit.conformance.texts.text import load_documents, sample_sequences

Read = Callable[[], object]
INDEX, SHARDS = "model.safetensors.index.json", ("a.safetensors", "b.safetensors")
BESIDE = ("tokenizer_config.json", "generation_config.json", "special_tokens_map.json")
UNREAD = ("generation_config.json", "special_tokens_map.json")
"""What only transformers reads."""
SIZES = LlamaConfig(256, 16, 24, 2, 4, 2, 4, 64, 1e-5, 10000.0)
GGUF_KINDS = "BbHhIif?s[QqD"  # the numbers of GGUF's types, as struct spells them


@cache
def _small() -> LlamaModel:
    rng = np.random.default_rng(3)
    weights = {
        name: rng.normal(size=shape, scale=0.2).astype(np.float32)
        for name, shape in SIZES.shapes().items()
    }
    return LlamaModel(SIZES, weights, byte_codec(), "small", "float32")


@cache
def folder_files() -> dict[str, bytes]:
    """The files of a small model in two shards, with all that may lie beside them."""
    from safetensors.numpy import save

    model = _small()
    with TemporaryDirectory() as folder:
        model.save(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    del files["model.safetensors"]
    names = sorted(model.weights)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    for file, half in zip(SHARDS, halves, strict=True):
        files[file] = save({name: model.weights[name] for name in half})
    placed = {n: file for file, half in zip(SHARDS, halves, strict=True) for n in half}
    size = sum(len(files[file]) for file in SHARDS)
    content = {"metadata": {"total_size": size}, "weight_map": placed}
    files[INDEX] = json.dumps(content).encode()
    files["generation_config.json"] = json.dumps({"bos_token_id": 1, "do_sample": False}).encode()
    files["special_tokens_map.json"] = json.dumps({"bos_token": "a"}).encode()
    return files


def use(model: Any) -> None:
    """What a command asks of a model, in small."""
    tokens = model.tokenize("to be")
    check_tokenized([tokens], model.vocabulary)
    some = np.arange(min(4, model.context, model.vocabulary))[None]
    hidden = embed(model, some)
    for index in range(min(2, model.n_blocks)):
        advance(model, index, hidden)
        for linear in model.linears(index):
            assert np.isfinite(model.weight(index, linear.name)).all(), linear.name
    model.head(hidden[0])


def _write(folder: Path, **files: bytes) -> None:
    for name, data in (folder_files() | files).items():
        (folder / name).write_bytes(data)


def read_folder(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Read]:
    """A folder with one JSON file changed; ``transformers`` reads it in a kind's second half."""
    name, _, engine = kind.partition(" by ")
    what, data = changed_text(json.loads(folder_files()[name]), rng)
    _write(folder, **{name: data})
    return what, lambda: use(load_model(f"{engine or 'numpy'}:{folder}"))


def read_shard(_kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Read]:
    """A folder with a shard whose header is changed, as an object or in its bytes."""
    data = folder_files()[SHARDS[0]]
    (size,) = struct.unpack("<Q", data[:8])
    match rng.integers(4):
        case 0:
            what, data = changed_bytes(data, rng, 8 + size)
        case 1:
            number = int(2.0 ** rng.uniform(0, 64)) - 1
            what, data = f"header of {number}", struct.pack("<Q", number) + data[8:]
        case 2:
            head = TEXTS[rng.integers(len(TEXTS))]
            what = f"header {head[:20]!r}"
            data = struct.pack("<Q", len(head)) + head + data[8 + size :]
        case _:
            what, content = changed(json.loads(data[8 : 8 + size]), rng)
            head = json.dumps(content).encode()
            data = struct.pack("<Q", len(head)) + head + data[8 + size :]
    _write(folder, **{SHARDS[0]: data})
    return what, lambda: use(load_model(f"numpy:{folder}"))


def _string(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data


def _value(kind: int, value: Any) -> bytes:
    match GGUF_KINDS[kind]:
        case "s":
            return _string(value)
        case "[":
            inner, items = value
            return struct.pack("<IQ", inner, len(items)) + b"".join(_value(inner, x) for x in items)
        case "D":
            return struct.pack("<d", value)
        case code:
            return struct.pack(f"<{code}", value)


@cache
def _gguf() -> tuple[dict[str, tuple[int, Any]], list[tuple[str, list[int], int, bytes]]]:
    """Metadata, and tensors with their names, lengths from the last to the first, and types."""
    from gguf import GGMLQuantizationType, quantize
    from models.conftest import gguf_name

    model, size = _small(), SIZES
    vocabulary = model.codec.tokenizer.get_vocab()
    metadata: dict[str, tuple[int, Any]] = {
        "general.architecture": (8, "llama"),
        "general.alignment": (4, 32),
        "llama.context_length": (4, size.context),
        "llama.embedding_length": (4, size.width),
        "llama.block_count": (4, size.n_blocks),
        "llama.feed_forward_length": (4, size.mlp_width),
        "llama.attention.head_count": (4, size.heads),
        "llama.attention.head_count_kv": (4, size.kv_heads),
        "llama.attention.layer_norm_rms_epsilon": (6, size.epsilon),
        "llama.rope.dimension_count": (4, size.head_width),
        "llama.rope.freq_base": (6, size.theta),
        "tokenizer.ggml.model": (8, "gpt2"),
        "tokenizer.ggml.pre": (8, "gpt-2"),
        "tokenizer.ggml.tokens": (9, (8, sorted(vocabulary, key=vocabulary.__getitem__))),
        "tokenizer.ggml.token_type": (9, (5, [3] + [1] * 255)),
        "tokenizer.ggml.merges": (9, (8, [])),
        "tokenizer.ggml.bos_token_id": (4, 0),
        "tokenizer.ggml.add_bos_token": (7, True),
        "tokenizer.chat_template": (8, "{{ x }}"),
    }
    tensors = []
    for name, weight in model.weights.items():
        # Rows of 16 are no block of a quantized type; the embedding is stored in halves.
        kind = GGMLQuantizationType.F16 if "embed" in name else GGMLQuantizationType.F32
        data = quantize(weight, kind).tobytes()
        tensors.append((gguf_name(name), list(weight.shape[::-1]), int(kind), data))
    return metadata, tensors


def _assemble(
    fields: list[tuple[str, int, Any]],
    tensors: list[tuple[str, list[int], int, bytes]],
    changes: dict[int, tuple[int, ...]],
    counts: tuple[int, int],
) -> tuple[bytes, int]:
    """A GGUF file, and where its data begins; changes are type and offset of some tensors."""
    head = b"GGUF" + struct.pack("<IQQ", 3, *counts)
    for key, kind, value in fields:
        head += _string(key) + struct.pack("<I", kind) + _value(kind, value)
    offset, data = 0, b""
    for number, (name, dims, kind, held) in enumerate(tensors):
        kind, place = changes.get(number, (kind, offset))  # noqa: PLW2901
        head += _string(name) + struct.pack("<I", len(dims))
        head += struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, place)
        data += held + b"\x00" * (-len(held) % 32)
        offset += len(held) + -len(held) % 32
    return head + b"\x00" * (-len(head) % 32) + data, len(head)


def gguf_file(*, shared: bool = False) -> bytes:
    """The GGUF file that is changed; on request, one whose tensors are in the same place."""
    metadata, tensors = _gguf()
    fields = [(key, *value) for key, value in metadata.items()]
    if not shared:
        return _assemble(fields, tensors, {}, (len(tensors), len(fields)))[0]
    places = {number: (tensor[2], 0) for number, tensor in enumerate(tensors)}
    data, head = _assemble(fields, tensors, places, (len(tensors), len(fields)))
    return data[: head + 32 + max(len(tensor[3]) for tensor in tensors)]


EDGES = (0, 1, 2, 3, 15, 16, 17, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, 2**64 - 1)
SCALARS: dict[int, tuple[Any, ...]] = {
    0: (0, 255), 1: (-128, 127), 2: (0, 65535), 3: (-32768, 32767), 4: EDGES[:10], 5: (-1, 0, 7),
    6: (0.0, -1.0, 1e-5, 3e38, float("inf"), float("nan")), 8: ("", "x", "llama", "é", b"\xff\xfe"),
    7: (True, False), 9: ((4, [1, 2]), (8, ["a"]), (9, [(4, [1])]), (6, []), (5, [0] * 99)),
    10: EDGES, 11: (-(2**63), -1, 0), 12: (0.0, -0.5, 1e308, float("nan")),
}  # fmt: skip


def read_gguf(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Read]:
    """A GGUF file changed in its metadata, in what it says of tensors, or in its header's bytes."""
    metadata, tensors = _gguf()
    fields = [(key, *value) for key, value in metadata.items()]
    tensors, changes = list(tensors), {}
    counts = [len(tensors), len(fields)]
    what = ""
    if "metadata" in kind:
        what = _change_field(fields, rng)
        counts[1] = len(fields)
    elif "tensors" in kind:
        what = _change_tensor(tensors, changes, counts, rng)
    data, head = _assemble(fields, tensors, changes, (counts[0], counts[1]))
    if "bytes" in kind:
        what, data = changed_bytes(data, rng, head)
    (folder / "a.gguf").write_bytes(data)
    engine = "transformers" if "transformers" in kind else "numpy"
    return what, lambda: use(load_model(f"{engine}:{folder / 'a.gguf'}"))


def _change_field(fields: list[tuple[str, int, Any]], rng: np.random.Generator) -> str:
    place = int(rng.integers(len(fields)))
    key, kind, value = fields[place]
    match rng.integers(8):
        case 0:
            del fields[place]
            return f"{key} left out"
        case 1:
            fields.insert(place, fields[place])
            return f"{key} twice"
        case 2:
            more = ("llama.rope.scaling.type", "split.count", "split.no", "llama.vocab_size")
            key = more[rng.integers(len(more))]
            place = len(fields)
            fields.append((key, 4, 0))
        case 3 if kind == 9 and value[1]:
            inner, items = value
            items = list(items)
            spot = int(rng.integers(len(items)))
            other = SCALARS[inner][rng.integers(len(SCALARS[inner]))]
            new = (items[:spot], items[:spot] + items[spot + 1 :], [*items, other])
            items[spot] = other
            chosen = (*new, items)[rng.integers(4)]
            fields[place] = (key, 9, (inner, chosen))
            return f"{key}[{spot}]: {str(other)[:20]}, {len(chosen)}"
    new_kind = kind if rng.integers(2) else int(rng.integers(13))
    value = SCALARS[new_kind][rng.integers(len(SCALARS[new_kind]))]
    fields[place] = (key, new_kind, value)
    return f"{key} = {value!r:.40} of type {new_kind}"


def _change_tensor(
    tensors: list[tuple[str, list[int], int, bytes]],
    changes: dict[int, tuple[int, ...]],
    counts: list[int],
    rng: np.random.Generator,
) -> str:
    place = int(rng.integers(len(tensors)))
    name, dims, kind, data = tensors[place]
    edge = int(EDGES[rng.integers(len(EDGES))])
    match rng.integers(8):
        case 0:
            del tensors[place]
            counts[0] -= 1
            return f"{name} left out"
        case 1:
            names = (tensors[0][0], "", "x", "é", "blk.9.attn_q.weight", "rope_freqs.weight")
            name = names[rng.integers(len(names))]
        case 2:
            kind = int(rng.integers(42))
            changes[place] = (kind, 0)
        case 3:
            changes[place] = (kind, edge)
        case 4:
            counts[int(rng.integers(2))] = edge
        case 5:
            dims = (dims * 3)[: int(rng.integers(6))]
        case _:
            spot = int(rng.integers(len(dims)))
            dims = [*dims[:spot], edge, *dims[spot + 1 :]]
    tensors[place] = (name, dims, kind, data)
    return f"tensor {place} {name} {dims} of type {kind}, {changes} {counts}"


LINES = [{"text": "to be or not to be, that is the question " * 3, "url": i} for i in range(6)]


@cache
def _bombs() -> tuple[bytes, ...]:
    """What unpacks to much more: one line, and many."""
    return tuple(gzip.compress(unit * (2**26 // len(unit)), 1, mtime=0) for unit in (b"0", b"{}\n"))


def read_text(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Read]:
    """A text that is changed in its bytes, or in a line."""
    lines = [json.dumps(line).encode() for line in LINES]
    plain = lines[0] * 9 if kind.endswith(".txt") else b"\n".join(lines)
    choice = rng.integers(8)
    packed = kind.endswith(".gz")
    if choice == 0 and packed and rng.integers(8) == 0:
        bomb = int(rng.integers(2))
        what, data = f"bomb {bomb}", _bombs()[bomb]
    else:
        if choice < 4:
            what, plain = changed_bytes(plain, rng)
        elif choice < 6:
            place = int(rng.integers(len(lines)))
            what, lines[place] = changed_text(LINES[place], rng)
            plain = b"\n".join(lines)
        else:
            what, plain = "", b"\n".join(lines) + rng.bytes(int(rng.integers(30)))
        data = gzip.compress(plain, 1, mtime=0) if packed else plain
        if packed and choice in (2, 7):
            what, data = changed_bytes(data, rng)
    path = folder / f"text{kind}"
    path.write_bytes(data)

    def read() -> None:
        documents = load_documents(str(path)).documents
        assert all(documents)
        tokens = [byte_codec().encode(document) for document in documents]
        samples = (3, 10**12, 10**20)[rng.integers(3)]
        sample_sequences(tokens, samples, 16, int(rng.integers(2**32)))

    return what, read
