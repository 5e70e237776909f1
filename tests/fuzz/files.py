"""Changed files: ``python tests/fuzz/files.py --count 10000``.

A record file is changed in its bytes, or in its description with a recomputed checksum; a
manifest is changed in one field, with or without its checksum. Whatever reading it comes to is a
finding, except an error of the project's own, or with a new checksum, a layer or a manifest.
Files of a model are changed in a field, in what they say of sizes or in their bytes; the model is
refused, or it passes a sequence through its first blocks. Texts are changed in bytes and lines.
"""

import argparse
import json
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

# As a script this file is found in its own folder, which has no package.
sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz import sources
from fuzz.changes import changed, changed_bytes

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
LONGEST = 12_000
MEMORY = 1 << 30
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
def _leveled() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    W, X = rng.normal(size=(6, 40)), rng.normal(size=(2, 60, 40))
    H, wide = reference.accumulate_hessian(X), reference.TypedGroups(payload=64.0, sweeps=0)
    made = {
        code: reference.typed_groups_layer(W, H, wide.changed(codes=(code,), scales=scales))
        for code, scales in (("0", "exponents"), ("2:16", "exponents"), ("3", "references"))
    }
    return {name: layer.with_scales("float16") for name, layer in made.items()}


@cache
def _transformed() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    W, X = rng.normal(size=(5, 24)), rng.normal(size=(2, 60, 24))
    X[:, :, 5] = 0.0
    H, base = reference.accumulate_hessian(X), reference.HBLLM(counts=(2, 6), block_size=16)
    made = {
        "columns": reference.hbllm_layer(W, H, base.changed(dead_inputs="zero")),
        "rows": reference.hbllm_layer(W, H, base.changed(pairs="rows", share_mean=True)),
    }
    return {name: layer.with_scales("float16") for name, layer in made.items()}


OWN = {"leveled": _leveled, "transformed": _transformed}


@cache
def _file(kind: str = "") -> bytes:
    made = OWN.get(kind.partition(" ")[0], _layers)()
    return records.pack_records(made, about={"block": 0})


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


def _described(kind: str, rng: np.random.Generator) -> tuple[str, bytes]:
    tensors = records.load(_file(kind))
    metadata = json.loads(records._metadata(_file(kind))[records.METADATA_KEY])  # noqa: SLF001
    what, content = changed(metadata["content"], rng)
    said = {"format": records.FORMAT, "version": metadata["version"], "content": content}
    said["sha256"] = records._digest(content, tensors)  # noqa: SLF001
    return what, records.save(tensors, metadata={records.METADATA_KEY: json.dumps(said)})


def _read_records(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Read]:
    bytes_, own = kind.endswith("bytes"), kind if kind.partition(" ")[0] in OWN else ""
    what, data = changed_bytes(_file(own), rng) if bytes_ else _described(own, rng)
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


KINDS: dict[str, Callable[[str, np.random.Generator, Path], tuple[str, Read]]] = {
    "bytes": _read_records,
    "description": _read_records,
    "leveled bytes": _read_records,
    "leveled description": _read_records,
    "transformed bytes": _read_records,
    "transformed description": _read_records,
    "manifest": _read_manifest,
    "manifest with a new checksum": _read_manifest,
    **dict.fromkeys(("config.json", "tokenizer.json", sources.INDEX), sources.read_folder),
    **dict.fromkeys(sources.BESIDE, sources.read_folder),
    "safetensors": sources.read_shard,
    **dict.fromkeys(("gguf metadata", "gguf tensors", "gguf bytes"), sources.read_gguf),
    **dict.fromkeys((".txt", ".jsonl", ".json.gz"), sources.read_text),
}
SLOW = {
    **dict.fromkeys(
        ("config.json by transformers", f"{sources.INDEX} by transformers"), sources.read_folder
    ),
    **dict.fromkeys((f"{name} by transformers" for name in sources.BESIDE), sources.read_folder),
    "gguf metadata by transformers": sources.read_gguf,
}
"""Kinds that take a second for each change; only named ones are asked for."""
SLOWER = ("manifest", "manifest with a new checksum")
"""Kinds that take longer than the others."""
SEALED = ("bytes", "leveled bytes", "transformed bytes", "manifest")
"""Kinds whose every change has to be refused."""
CORPUS = Path(__file__).with_name("found.json")
"""What was once a finding: seeds by kind."""


def _out_of_memory(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, MemoryError) or _out_of_memory(error.__cause__))


def finding_of(kind: str, seed: int) -> tuple[str, str, bool]:
    """What was changed, what is wrong with the reading, if anything, and whether it was refused."""
    rng = np.random.default_rng(seed_of("files", kind, seed))
    begun, said, refused = time.process_time(), "", False
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        what, read = (KINDS | SLOW)[kind](kind, rng, Path(place))
        try:
            read()
        except SubbitError as error:
            refused = True
            if len(str(error)) > LONGEST:
                said = f"refused in {len(str(error))} characters: {str(error)[:160]!r}"
            if _out_of_memory(error):
                said = f"more than {MEMORY} bytes"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            said = f"{type(error).__name__}: {str(error)[:160]}"
    if not refused and kind in SEALED:
        said = said or "read without an error"
    slow = time.process_time() - begun > SECONDS
    return what, f"more than {SECONDS} s" if slow else said, refused


def _late(*_: object) -> None:
    message = f"more than {SECONDS} s"
    raise TimeoutError(message)


def limit() -> None:
    """Let this process take so much memory more, and no work of it take much too long."""
    held = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = held * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, _late)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", action="append", help="of these kinds; all quick ones by default")
    options = parser.parse_args(arguments)
    kinds = options.kind or list(KINDS)
    for kind in kinds:
        # What is imported or made once is not counted.
        finding_of(kind, options.first)
    limit()
    faults = 0
    for kind in kinds:
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
        sys.stdout.flush()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
