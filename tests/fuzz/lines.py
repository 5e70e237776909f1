"""Command lines: ``python tests/fuzz/lines.py --count 3000``.

A line is made of typer's own tree: a command, some of its options, values that it takes and values
that it does not, and files that are missing, damaged, taken or of another kind. It runs in this
process, in a folder of its own. Findings are errors that are no refusal in one sentence, a refusal
that ends with another code than 2 or leaves something behind, and lines that take too long or too
much memory. What would take minutes when it is not refused is cut short; see `short`.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import typer
from typer.testing import CliRunner

# As a script this file is found in its own folder, which has no package.
sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz import sources

from subbit.conformance.command import (
    bench,
    bench_model,
    check,
    cli,
    cli_curve,
    cli_study,
    cli_vectors,
    explore_console,
    kernel_coverage,
    kernel_tables,
    replay,
    report,
)
from subbit.conformance.command.console import REFUSED
from subbit.conformance.inputs.seeds import seed_of
from subbit.conformance.runs import cluster
from subbit.conformance.target import capabilities_of, resolve
from subbit.reference.errors import ArgumentError

SECONDS = 10
MEMORY = 1 << 30
IN_MEMORY = next((folder for folder in ("/dev/shm",) if os.access(folder, os.W_OK)), None)  # noqa: S108
CODES = (0, 1, 2, 3, 4, 5, 130)
CORPUS = Path(__file__).with_name("lines.json")
"""What was once a finding: command lines, in words."""

ANYTHING = (
    "", " ", "-1", "0", "1", "2", "3", "0.5", "1e9", "nan", "inf", "-inf", "99999999999999999999",
    "9" * 5000, "²", "٣", "é", "\udce9", "a" * 300, "a b", "..", "/", ".", "--", "-", "%s", "{}",
    "[red]x[/]", "x:y", "::", "4:8", "0:1", "1:0", "3:4", "1:", ":", "all", "none", "tiny", "a/b",
    "text.txt", "file", "full", "empty", "run", "half", "missing", "missing/x", "file/x",
    "/dev/null", "/dev/full", "/proc/x", "café", "\udce9/x", "a\nb", "=", ",", "1,,2", "True",
)  # fmt: skip
MODELS = (
    "run", "half", "broken", "empty", "file", "no", "transformers:broken", "numpy:",
    "transformers:", "owner/name", "text.txt", "é\udce9",
)  # fmt: skip
TEXTS = (
    "bad.jsonl", "enwiki-excerpt:", "hub:a:b:c", "hub:", "small", "no.txt", "empty.txt",
    "bomb.jsonl.gz", "beyond.txt", "cut.jsonl.gz",
)  # fmt: skip
TARGETS = (
    "json", "no.such", "subbit.reference:sign", "sys:exit", "exec:", "outputs:no", "fast:",
    "fast:x", "subbit", "capability_port", "reference ", "os.path:join",
)  # fmt: skip
OUTS = (
    "full", "empty", "file", "file/x", "run", "half", "study", "/proc/x", "m\udce9", "a" * 300,
    "/dev/null", "small", ".", "é new", "dangling",
)  # fmt: skip
FILES = (
    "no/new.json", "full", "file", "/dev/null", "/proc/x", "m\udce9.json", "a" * 300, "a" * 250,
    ".", "", "dangling", "new.pdf",
)  # fmt: skip
LARGE = ("0", "-1", "1000000000", "99999999999999999999")
GOOD: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("model", "reference"), ("small", "numpy:small", "small.gguf", "tiny")),
    "method": ("rtn", "rtn:sign", "billm", "gptq:2bit", "wanda@2:4", "arb-rc"),
    "preset": ("",),
    **dict.fromkeys(("calibration", "text"), ("text.txt", "lines.jsonl", "lines.jsonl.gz")),
    "budget": ("uniform",),
    "keep": ("2:4",),
    "length": ("8", "16"),
    "window": ("8", "16"),
    **dict.fromkeys(("samples", "windows"), ("1", "2")),
    **dict.fromkeys(("seed", "level"), ("0", "1")),
    "blocks": ("0:1", "1:", ":"),
    "parts": ("q", "q,k"),
    "ks": ("1", "1,2", "all"),
    **dict.fromkeys(("target", "port"), ("reference",)),
    "scales": ("float16", "float32"),
    **dict.fromkeys(("workers", "cases", "jobs", "repeats"), ("1",)),
    **dict.fromkeys(("rows", "columns", "block_size"), ("1", "4")),
    **dict.fromkeys(("out", "arrays", "badges"), ("new", "new/deep/er")),
    "folder": ("vectors", "run", "new"),
    "run": ("run", "half"),
    "file": ("new.py", "new"),
    **dict.fromkeys(("json_file", "html_file", "junit_file", "badge_file"), ("new.json", "file")),
    "plot": ("new.png", "new.svg"),
    "exceptions": ("known.toml",),
    "outputs": ("vectors",),
    "released": ("full",),
    "replay_case": ("sign:0",),
    "depth": ("quick",),
    "minutes": ("0.01",),
    "time_limit": ("5",),
    "memory_limit": ("1",),
    "device": ("simulated",),
    "language": ("python", "any"),
    "family": ("signs",),
    "size": ("small",),
    "reports": ("a=report.json", "b=report.json"),
}  # fmt: skip
BAD: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("model", "reference"), MODELS),
    "method": ("billm:released", "stbllm@4:8", "pbs2p", "rtn:x", "billm:paper@9:8", "RTN",
               "stbllm:paper@4:8/x", "stbllm@3:7"),
    "preset": ("paper", "released", "sign", "x"),
    "keep": ("4:8", "8:4", "0:8", "4:7", "x", "4:8:9", "4:²"),
    "budget": ("norm", "outlier-exact", "coarse", "x"),
    **dict.fromkeys(("calibration", "text"), TEXTS),
    **dict.fromkeys(("samples", "windows", "seed"), LARGE),
    **dict.fromkeys(("length", "window"), ("1", "257", *LARGE)),
    "blocks": ("3:4", "0:9", "2:1", "x", "1", "²:³", "9" * 5000 + ":", "-1:", "1:1"),
    "parts": ("", "x", "q,,k", " q "),
    "ks": ("0", "9", "x", "1,²", "", ",", "9" * 5000),
    **dict.fromkeys(("target", "port"), TARGETS),
    "scales": ("x", "int8", ""),
    **dict.fromkeys(("workers", "jobs", "cases", "repeats"), LARGE),
    **dict.fromkeys(("rows", "columns", "block_size"), LARGE),
    "scheduler": ("", "x", "tcp://", "127.0.0.1:1"),
    **dict.fromkeys(("out", "folder", "run", "arrays", "badges"), OUTS),
    "file": ("new.json", "no/new.py", "file", "full", "x-y.py", "m\udce9.py", "new.c", "."),
    **dict.fromkeys(("json_file", "html_file", "junit_file", "badge_file", "plot"), FILES),
    "exceptions": ("bad.toml", "no.toml", "full", "text.txt"),
    "program": ("", "no-such-program", "'", "false", "cat no"),
    "outputs": ("no", "full", "file", ""),
    "released": ("no", "file", "empty", "damaged"),
    "replay_case": ("sign:²", "sign:-1", "x:0", "sign", "sign:" + "9" * 5000, ":"),
    "level": ("3", "4", "-1", "x"),
    "depth": ("ci", "long", "x", ""),
    "minutes": ("0", "-1", "nan", "inf", "x"),
    **dict.fromkeys(("time_limit", "memory_limit"), ("0", "-1", "nan", "inf", "1e30")),
    "device": ("cuda", "x", ""),
    "language": ("c", "exec", "x"),
    "family": ("groups.binarize", "x", ""),
    "size": ("standard", "x"),
    "reports": ("a=bad.json", "a=no.json", "report.json", "=x", "é=report.json", "a=list.json",
                "a=part.json", "a=file", "a=full", "a="),
}  # fmt: skip
USUAL = ("samples", "length", "calibration", "text", "window", "windows")
"""Options whose defaults do not go with a small model."""
OFTEN = (("quantize",), ("curve",), ("evaluate",), ("check",))
DANGEROUS = re.compile(r"^(/|\.|\.\.)$|^/(?!dev/null|dev/full|proc/x)")
"""What a line must not name as a place to write to: it would be outside its folder."""


@cache
def commands() -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Arguments and options of each command."""
    found: dict[tuple[str, ...], tuple[Any, ...]] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, (*path, name))
        if not hasattr(command, "commands"):
            found[path] = tuple(command.params)

    for name in (*cli._HERE, *cli._ELSEWHERE):  # noqa: SLF001
        top: Any = typer.main.get_command(cli.make_app(name))
        walk(top.commands[name], (name,))
    return found


def _value(name: str, rng: np.random.Generator, *, good: bool) -> str:
    pool = GOOD[name] if good and name in GOOD else BAD.get(name, ANYTHING)
    if not good and rng.integers(4) == 0:
        pool = ANYTHING
    return pool[rng.integers(len(pool))]


def drawn(seed: int, path: tuple[str, ...] | None = None) -> list[str]:
    """A command line, of a command in turn or of a given one."""
    names = sorted((*commands(), *OFTEN, *OFTEN))
    path = path or names[seed % len(names)]
    rng = np.random.default_rng(seed_of("lines", " ".join(path), seed))
    # Most lines have one fault, some many, some none.
    some, share = ((0.1, 0.0), (0.1, 0.0), (0.3, 0.1), (0.3, 0.5))[rng.integers(4)]
    parameters = commands()[path]
    fault = parameters[rng.integers(len(parameters))] if share == 0.0 and parameters else None
    places, options = [], []
    for parameter in parameters:
        usual = parameter.required or parameter.name in USUAL
        chance = 1.0 if parameter is fault else 0.98 if usual else some
        if rng.random() > chance:
            continue
        times = int(rng.integers(1, 3)) if parameter.multiple or parameter.nargs == -1 else 1
        for _ in range(times):
            good = parameter is not fault and rng.random() >= share
            value = _value(parameter.name, rng, good=good)
            if not parameter.opts[0].startswith("-"):
                places.append(value)
            elif getattr(parameter, "is_flag", False):
                options.append(parameter.opts[0])
            else:
                options.append(f"{parameter.opts[0]}={value}")
    rest = [places, options] if rng.integers(2) else [options, places]
    words = [*path, *rest[0], *rest[1]]
    if rng.integers(30) == 0:
        words.insert(int(rng.integers(len(words) + 1)), ANYTHING[rng.integers(len(ANYTHING))])
    return [
        "missing" if DANGEROUS.match(word.partition("=")[2] or word) else word for word in words
    ]


@contextmanager
def short() -> Iterator[None]:
    """Cut short what takes long once it is not refused; options and files are as always."""
    rows = {"routine": "x", "n": 1, "seconds": 0.5}

    def explored(target: str, _path: Path, **_: object) -> Any:
        resolve(target)
        raise KeyboardInterrupt

    def reported(request: report.Request, *_: object) -> Any:
        capabilities_of(resolve(request.target))
        return json.loads((_scene() / "report.json").read_text(encoding="utf-8"))

    def replayed(target: str, case: str, _allowance: object) -> replay.Replayed:
        name, seed = replay.parse_case(case)
        resolve(target)
        found = replay.Replayed(case)
        found.outcome = replace(found.outcome, operation=name, seed=seed, status="passed")
        return found

    def compared(port: str, folder: Path, _allowance: object) -> list[Any]:
        return list(check.compare_folder(resolve(port), folder))

    def kernels(*places: object, **_: object) -> bool:
        file = next((place for place in places if isinstance(place, Path)), None)
        if file is not None:
            file.write_text("{}", encoding="utf-8")
        return True

    def connected(address: str, *_: object) -> Any:
        # A scheduler that is not there is waited for.
        raise ArgumentError("scheduler", "the address of a dask scheduler", address)

    demo = replace(
        cli_curve.DEMO,
        model="small",
        labels=("rtn:sign",),
        ks="1",
        calibration=replace(cli_curve.DEMO.calibration, text="text.txt", samples=2, length=16),
        text="text.txt",
        window=16,
        windows=2,
    )
    cut = (
        (cluster, "Cluster", connected),
        (explore_console, "explore", explored),
        (report, "run", reported),
        (replay, "replay", replayed),
        (check, "_compared", compared),
        (kernel_tables, "check_kernels", kernels),
        (kernel_coverage, "cover_kernels", kernels),
        (bench, "time_kernels", kernels),
        (bench, "compare_with_copy", kernels),
        (bench, "_measured", lambda *_, **__: {title: [rows] for title in bench.TITLES}),
        (
            bench_model,
            "measure_model",
            lambda *_: [{"phase": "load", "one": 1.0, "several": 1.0, "ratio": 1.0}],
        ),
        (cli_curve, "DEMO", demo),
        (cli_curve, "DEMO_ALL", demo),
        (cli_study, "EMBEDDED", "small"),
        (cli_study, "measure_all", partial(_first, cli_study.measure_all)),
        (cli_vectors, "of_level", partial(_few, cli_vectors.of_level)),
    )
    with ExitStack() as stack:
        for module, name, instead in cut:
            stack.enter_context(mock.patch.object(module, name, instead))
        stack.enter_context(mock.patch.dict(os.environ, {"HF_HUB_OFFLINE": "1"}))
        yield


def _first(whole: Callable[..., Any], cases: Any, settings: Any, _bar: object = None) -> Any:
    return whole(list(cases)[:1], list(settings)[:1])


def _few(whole: Callable[..., Any], level: int) -> Iterator[Any]:
    return (item for item in whole(level) if item.name in {"sign", "weighted_mean"})


@cache
def _scene() -> Path:
    """A folder with all that a line may name."""
    place = Path(tempfile.mkdtemp(prefix="subbit-lines-"))
    text = "to be or not to be, that is the question; " * 60
    lines = "".join(json.dumps({"text": text}) + "\n" for _ in range(3))
    files: dict[str, bytes] = {
        "text.txt": text.encode(),
        "beyond.txt": ("日本 \x00 " * 90).encode(),
        "empty.txt": b"",
        "lines.jsonl": lines.encode(),
        "bad.jsonl": b'{"text": 3}\n',
        "lines.jsonl.gz": sources.gzip.compress(lines.encode()),
        "bomb.jsonl.gz": sources._bombs()[0],  # noqa: SLF001
        "file": b"x",
        "full/keep": b"x",
        "damaged/x.npz": b"PK",
        "small.gguf": sources.gguf_file(),
        "bad.json": b"{",
        "cut.jsonl.gz": sources.gzip.compress(lines.encode())[:-9],
        "list.json": b"[1]",
        "part.json": b'{"summary": 3, "verdicts": 1, "result": [], "level": {}, "exit_code": "x"}',
        "known.toml": b"",
        "bad.toml": b"[[skip]]\noperation = 3\n",
        "capability_port.py": b"from subbit.reference import *\nCAPABILITIES = 3\n",
    }
    for name, data in sources.folder_files().items():
        files[f"small/{name}"] = data
        files[f"broken/{name}"] = b"{}" if name.endswith(".json") else data
    for name, data in files.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(data)
    (place / "empty").mkdir()
    (place / "dangling").symlink_to("nowhere")
    fixed = ["--method=rtn", "--calibration=text.txt", "--samples=2", "--length=16"]
    here = Path.cwd()
    os.chdir(place)
    try:
        for line in (
            ["quantize", "small", *fixed, "--out=run", "--no-checkpoint"],
            ["quantize", "small", *fixed, "--out=half", "--no-checkpoint"],
            ["curve", "small", *fixed, "--out=study", "--text=text.txt", "--window=16", "--ks=1",
             "--windows=2", "--no-parts"],
            ["vectors", "make", "vectors", "--family=signs"],
        ):  # fmt: skip
            with mock.patch.object(cli_vectors, "of_level", partial(_few, cli_vectors.of_level)):
                done = CliRunner().invoke(cli.make_app(line[0]), line)
            assert done.exit_code == 0, done.output
        whole = report.of_level
        with mock.patch.object(report, "of_level", partial(_few, whole)):
            request = report.Request("reference", 1, "quick", 1)
            content = json.dumps(report.run(request))
        (place / "report.json").write_text(content, encoding="utf-8")
        manifest = _runs_manifest(place / "half")
        manifest.before(1).save(place / "half")
    finally:
        os.chdir(here)
    return place


def _runs_manifest(folder: Path) -> Any:
    from subbit.conformance.runs.manifest import load_manifest

    return load_manifest(folder)


def _tree(folder: Path) -> dict[str, str]:
    return {
        os.fsencode(path.relative_to(folder)).decode(errors="backslashreplace"): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _memory(*, peak: bool) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", status)
    return 0 if found is None else 1024 * int(found[1])


def _said(result: Any) -> list[str]:
    """The sentences of a refusal on standard error: the last line, or typer's own box."""
    lines = result.stderr.splitlines()
    own = [line for line in lines if line.startswith("subbit: ")]
    return own or [line for line in lines if line.startswith(("╭─ Error", "Error", "Usage"))][:1]


def _judged(result: Any, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        return f"{type(error).__name__}: {str(error)[:200]}"
    if "Traceback" in result.stderr or result.exit_code not in CODES:
        return f"exit code {result.exit_code}: {result.stderr[-200:]}"
    code, said = result.exit_code, _said(result)
    refused = bool(said) and ("expected" in said[-1] or not said[-1].startswith("subbit"))
    if code == 0 and refused:
        return f"exit code 0 after {said[-1][:160]}"
    if code == REFUSED and not said and "missing" not in result.output:
        return "exit code 2 without a word"
    changed = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    if code == REFUSED and said and changed:
        return f"a refusal that leaves {changed[:4]}: {said[-1][:160]}"
    return ""


def ending_of(words: list[str]) -> tuple[str, int]:
    """What is wrong with the end of a line, if anything, and its exit code."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as place:
        folder = Path(place, "x")
        shutil.copytree(_scene(), folder, symlinks=True)
        before = _tree(folder)
        os.chdir(folder)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        held, spent = _memory(peak=False), _cpu()
        try:
            with (
                short(),
                warnings.catch_warnings(),
                mock.patch.object(sys, "path", [*sys.path, ""]),
            ):
                warnings.simplefilter("ignore")
                result = CliRunner().invoke(cli.make_app(words[0] if words else None), words)
        finally:
            os.chdir(here)
        spent, taken = _cpu() - spent, _memory(peak=True) - held
        if spent > SECONDS:
            return f"{spent:.0f} CPU-s", result.exit_code
        if taken > MEMORY:
            return f"{taken:,} bytes", result.exit_code
        return _judged(result, before, _tree(folder)), result.exit_code


def _late(*_: object) -> None:
    message = f"more than {6 * SECONDS} s"
    raise TimeoutError(message)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGALRM, _late)
    counts = Counter[str]()
    for seed in range(options.first, options.first + options.count):
        words = drawn(seed)
        signal.alarm(6 * SECONDS)
        finding, code = ending_of(words)
        signal.alarm(0)
        counts[f"code {code}"] += 1
        if finding:
            counts["findings"] += 1
            line = ascii(
                [word if len(word) < 200 else f"{word[:8]}...{len(word)}" for word in words]
            )
            sys.stdout.write(f"{seed} {line}: {ascii(finding)[1:-1]}\n")
            sys.stdout.flush()
    said = ", ".join(f"{counts[key]:,} {key}" for key in sorted(counts) if key != "findings")
    sys.stdout.write(f"{options.count:,} lines, {said}, {counts['findings']:,} findings\n")
    return 1 if counts["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
