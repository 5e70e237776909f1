"""Changed records, manifests and models: ``python tests/fuzz/files.py --count 10000``.

A record file is changed in its bytes, or in its description with a recomputed checksum; a
manifest is changed in one field, with or without its checksum. Whatever reading it comes to is a
finding, except an error of the project's own, or with a new checksum, a layer or a manifest. One
field of a model's description is changed; it is refused, or the model gives finite numbers.
"""

import argparse
import copy
import json
import math
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.inputs.seeds import seed_of
from subbit.conformance.models.load import load_model
from subbit.conformance.runs import records
from subbit.conformance.runs.held import verify
from subbit.conformance.runs.inventory import take_inventory
from subbit.conformance.runs.manifest import MANIFEST, _digest, load_manifest
from subbit.conformance.runs.plan import describe_calibration, plan
from subbit.conformance.runs.quantize import quantize_model
from subbit.reference.errors import SubbitError

SECONDS = 10
MEMORY = 1 << 30
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 2.5, -0.5, 1e300, math.inf, math.nan, 10**7, 6 * 10**7,
    10**12, 10**30, "", "x", "all", "float16", "float99", [], [0], [1, 2], [[0, 1]], {}, {"a": 1},
    "9" * 5000, [None] * 3, "../../etc/passwd", "\x00", "é",
)  # fmt: skip
Read = Callable[[], object]


@cache
def _layers() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    W, X = rng.normal(size=(6, 24)), rng.normal(size=(2, 60, 24))
    H = reference.accumulate_hessian(X)
    made = {
        "billm": reference.billm_layer(W, H, reference.METHODS["billm"].presets["paper"]),
        "stbllm": reference.stbllm_layer(W, H, reference.STBLLM(keep=(2, 4), block_size=8)),
        "gptq": reference.gptq_layer(W, H, reference.GPTQ(activation_order=True)),
        "wanda": reference.wanda_layer(W, H),
    }
    return {name: layer.with_scales("float16") for name, layer in made.items()}


@cache
def _file() -> bytes:
    return records.pack_records(_layers(), about={"block": 0})


@cache
def _run() -> tuple[str, dict[str, bytes]]:
    """A manifest, and the record files beside it."""
    with tempfile.TemporaryDirectory() as folder:
        model, out = load_model("tiny"), Path(folder) / "run"
        tokens = np.random.default_rng(1).integers(0, 256, size=(2, 16))
        calibration = describe_calibration("random", 0, tokens)
        settings = plan(model, "rtn:sign", calibration, blocks=(0, 2), parts=("v",))
        quantize_model(model, reference, settings, tokens, out=out)
        held = {x.name: x.read_bytes() for x in (out / "layers").iterdir()}
        return (out / MANIFEST).read_text(encoding="utf-8"), held


@cache
def _model() -> dict[str, bytes]:
    """The files of the tiny model's folder."""
    with tempfile.TemporaryDirectory() as folder:
        load_model("tiny").save(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = content.items() if isinstance(content, dict) else ()
    items = enumerate(content) if isinstance(content, list) else items
    for key, value in items:
        yield from _places(value, (*path, key))


def changed(content: Any, rng: np.random.Generator) -> tuple[str, Any]:
    """JSON with one field changed, left out or doubled."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    *path, last = places[rng.integers(len(places))]
    inner = content
    for key in path:
        inner = inner[key]
    match rng.integers(6):
        case 0:
            del inner[last]
            return f"{[*path, last]} left out", content
        case 1 if isinstance(inner, list):
            inner.append(copy.deepcopy(inner[last]))
            return f"{[*path, last]} twice", content
        case 2 if isinstance(inner[last], int):
            inner[last] += int(rng.integers(-3, 4))
        case _:
            inner[last] = VALUES[rng.integers(len(VALUES))]
    return f"{[*path, last]} = {str(inner[last])[:40]}", content


def _described(rng: np.random.Generator) -> tuple[str, bytes]:
    tensors = records.load(_file())
    content = json.loads(records._metadata(_file())[records.METADATA_KEY])["content"]  # noqa: SLF001
    what, content = changed(content, rng)
    said = {"format": records.FORMAT, "version": 2, "content": content}
    said["sha256"] = records._digest(content, tensors)  # noqa: SLF001
    return what, records.save(tensors, metadata={records.METADATA_KEY: json.dumps(said)})


def _bytes(rng: np.random.Generator) -> tuple[str, bytes]:
    data = bytearray(_file())
    place = int(rng.integers(len(data)))
    match rng.integers(4):
        case 0:
            return f"cut at {place}", bytes(data[:place])
        case 1:
            return f"a byte more at {place}", bytes(data[:place] + b"\x00" + data[place:])
    data[place] ^= 1 << int(rng.integers(8))
    return f"a bit of byte {place}", bytes(data)


def _read_records(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Read]:
    what, data = _described(rng) if kind == "description" else _bytes(rng)
    path = folder / "x"
    path.write_bytes(data)
    return what, lambda: [layer.decode() for layer in records.load_records(path).layers.values()]


def _read_manifest(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Read]:
    text, held = _run()
    content = json.loads(text)
    old = content.pop("sha256")
    what, new = changed(content, rng)
    while new == content:
        what, new = changed(content, rng)
    new["sha256"] = old if kind in SEALED else _digest(new)
    (folder / MANIFEST).write_text(json.dumps(new), encoding="utf-8")
    (folder / "layers").mkdir()
    for name, data in held.items():
        (folder / "layers" / name).write_bytes(data)

    def read() -> None:
        manifest = load_manifest(folder)
        list(verify(folder, manifest))
        take_inventory(folder, manifest)

    return what, read


def _read_model(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Read]:
    for name, data in _model().items():
        (folder / name).write_bytes(data)
    what, content = changed(json.loads(_model()[kind]), rng)
    (folder / kind).write_text(json.dumps(content), encoding="utf-8")

    def read() -> None:
        model = load_model(f"numpy:{folder}")
        model.tokenize("to be")
        tokens = np.arange(min(4, model.context, model.vocabulary))[None]
        hidden = model.run_block(0, model.embed(tokens))
        assert np.isfinite(hidden).all(), "hidden states that are not finite"

    return what, read


KINDS: dict[str, Callable[[str, np.random.Generator, Path], tuple[str, Read]]] = {
    "bytes": _read_records,
    "description": _read_records,
    "manifest": _read_manifest,
    "manifest with a new checksum": _read_manifest,
    "config.json": _read_model,
    "tokenizer.json": _read_model,
}
SEALED = ("bytes", "manifest")
"""Kinds whose every change has to be refused."""


def finding_of(kind: str, seed: int) -> tuple[str, str, bool]:
    """What was changed, what is wrong with the reading, if anything, and whether it was refused."""
    rng = np.random.default_rng(seed_of("files", kind, seed))
    begun, said, refused = time.process_time(), "", False
    with tempfile.TemporaryDirectory() as place:
        what, read = KINDS[kind](kind, rng, Path(place))
        try:
            read()
        except SubbitError:
            refused = True
        except Exception as error:  # noqa: BLE001 - whatever comes is a finding
            said = f"{type(error).__name__}: {str(error)[:160]}"
    if not refused and kind in SEALED:
        said = said or "read without an error"
    slow = time.process_time() - begun > SECONDS
    return what, f"more than {SECONDS} s" if slow else said, refused


def _late(*_: object) -> None:
    message = f"more than {SECONDS} s"
    raise TimeoutError(message)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args(arguments)
    _run(), _file(), _model()
    held = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = held * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, _late)
    faults = 0
    for kind in KINDS:
        counts = Counter[str]()
        for seed in range(options.first, options.first + options.count):
            signal.setitimer(signal.ITIMER_PROF, 2 * SECONDS)
            what, finding, refused = finding_of(kind, seed)
            signal.setitimer(signal.ITIMER_PROF, 0)
            counts["refused"] += refused
            if finding:
                counts["findings"] += 1
                sys.stdout.write(f"{kind}:{seed} ({what}): {finding}\n")
        faults += counts["findings"]
        said = f"{counts['refused']:,} refused, {counts['findings']:,} findings"
        sys.stdout.write(f"{kind}: {options.count:,} changed, {said}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
