"""Writing that is stopped at every operation on files: ``python tests/fuzz/crashes.py``.

What a command writes is written in a process of its own, whose operations on files are counted:
opening, writing, flushing, syncing, closing, renaming, removing, making folders, permissions. Then
it is done again for each of them, and stopped there: killed before it, after it, or in the middle
of a write; interrupted; with a disk that is full, or read-only, from there on. What is left is
read, then the work is done once more from what is there. A finding is whatever then differs from
the work done in one go, every file that should not be there, and every error but the project's
own or the system's.
"""

import argparse
import builtins
import contextlib
import errno
import io
import json
import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.command.cli_curve import CurveOptions, run_curve
from subbit.conformance.command.cli_run import CalibrationOptions
from subbit.conformance.command.explored import Tally, claimed, load_state, save_state
from subbit.conformance.frozen.make import make as make_vectors
from subbit.conformance.models import checkpoint
from subbit.conformance.models.claim import PARTIAL
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.held import save_checkpoint, verify
from subbit.conformance.runs.manifest import MANIFEST, Manifest, load_manifest
from subbit.conformance.runs.plan import describe_calibration, plan
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.conformance.runs.study import RESULTS, load_results
from subbit.reference.errors import SubbitError

KILLED, STOPPED, FAILED = 99, 98, 97
KILLS = ("before", "half", "after")
HOWS = (*KILLS, "interrupted", "full", "read-only")
BY_PATH = ("mkdir", "rmdir", "unlink", "remove", "rename", "replace", "chmod")
MEMORY = Path("/dev/shm")  # noqa: S108 - where syncing takes no time
FREES = ("close", "unlink", "remove", "rmdir", "lock")
"""Operations that need no room on a disk."""


class Disk:
    """The operations of this process on the files in a folder, for the rest of its life.

    Parameters
    ----------
    root : Path
        The folder.
    at : int
        The operation at which the process is stopped; -1 for none.
    how : str
        One of `HOWS`.
    """

    def __init__(self, root: Path, at: int = -1, how: str = "") -> None:
        self.root, self.at, self.how = str(root), at, how
        self.log: list[str] = []
        for name in BY_PATH:
            setattr(os, name, self._by_path(name, getattr(os, name)))
        for name in ("fsync", "close"):
            setattr(os, name, self._by_descriptor(name, getattr(os, name)))
        os.open = self._locked(os.open)  # type: ignore[assignment]
        builtins.open = io.open = self._opened(io.open)  # type: ignore[assignment]
        checkpoint.save_file = self._saved  # type: ignore[assignment]

    def do(self, name: str, path: object, work: Callable[[], Any], half: Any = None) -> Any:
        """Do an operation, or what comes in its place."""
        if not str(path).startswith(self.root):
            return work()
        number = len(self.log)
        self.log.append(f"{name} {str(path).removeprefix(self.root)}")
        if number < self.at or self.at < 0:
            return work()
        if number == self.at and self.how in KILLS:
            try:
                (half if self.how == "half" and half else work if self.how == "after" else int)()
            finally:
                os._exit(KILLED)
        if number == self.at and self.how == "interrupted":
            raise KeyboardInterrupt
        if self.how == "full" and name not in FREES:
            if half:
                half()
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        if self.how == "read-only" and name not in {"close", "lock"}:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return work()

    def _by_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda path, *a, **k: self.do(name, path, lambda: real(path, *a, **k))

    def _by_descriptor(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def done(descriptor: int) -> Any:
            path = ""
            with contextlib.suppress(OSError):
                path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            return self.do(name, path, lambda: real(descriptor))

        return done

    def _locked(self, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda path, *a, **k: self.do("lock", path, lambda: real(path, *a, **k))

    def _opened(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def done(path: Any, mode: str = "r", *a: Any, **k: Any) -> Any:
            inside = str(path).startswith(self.root) and not set(mode).isdisjoint("wax+")
            if not inside:
                return real(path, mode, *a, **k)
            return Written(self, self.do("open", path, lambda: real(path, mode, *a, **k)))

        return done

    def _saved(self, weights: Any, path: Path, metadata: Any) -> None:
        data = checkpoint_bytes(weights, metadata=metadata)
        with path.open("wb") as stream:
            stream.write(data)


class Written:
    """A file that is written, whose operations are a disk's."""

    def __init__(self, disk: Disk, stream: Any) -> None:
        self.disk, self.stream = disk, stream

    def write(self, data: Any) -> Any:
        def half() -> None:
            self.stream.write(data[: len(data) // 2])
            self.stream.flush()

        return self.disk.do("write", self.stream.name, lambda: self.stream.write(data), half)

    def flush(self) -> None:
        self.disk.do("flush", self.stream.name, self.stream.flush)

    def close(self) -> None:
        self.disk.do("close", self.stream.name, self.stream.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def checkpoint_bytes(weights: Any, metadata: Any) -> bytes:
    """What safetensors writes, which no hook of Python sees."""
    from safetensors.numpy import save

    return save(weights, metadata=metadata)


@cache
def _settings() -> tuple[Any, Any]:
    tokens = np.random.default_rng(1).integers(0, 256, size=(2, 16))
    calibration = describe_calibration("random", 0, tokens)
    label, parts = "wanda@2:4/norm", ("k", "v")
    return plan(load_model("tiny"), label, calibration, blocks=(0, 2), parts=parts), tokens


def quantize(folder: Path) -> None:
    settings, tokens = _settings()
    model, run = load_model("tiny"), folder / "run"
    hooks = Hooks(notice=lambda _: None)
    manifest = quantize_model(model, reference, settings, tokens, out=run, resume=True, hooks=hooks)
    save_checkpoint(model, run, manifest)


def damaged(folder: Path) -> None:
    """A finished run with a record that is not whole, and what a killed process has left."""
    quantize(folder)
    record = folder / "run" / "layers" / "block-000.safetensors"
    record.write_bytes(record.read_bytes()[:-1])
    (folder / "run" / f"{PARTIAL}abc").mkdir()
    (folder / "run" / f"{PARTIAL}abc" / "model.safetensors").write_bytes(b"half")
    (folder / "run" / "layers" / f"{PARTIAL}block-001.safetensors").write_bytes(b"half")


def curve(folder: Path) -> None:
    text = Path(__file__).resolve().parents[2] / "constraints.txt"
    calibration = CalibrationOptions(str(text), samples=2, length=16, seed=0)
    options = CurveOptions(
        model="tiny",
        labels=("rtn:sign",),
        ks="1,2",
        calibration=calibration,
        text=str(text),
        window=16,
        windows=1,
        out=folder / "study",
        with_parts=False,
    )
    run_curve(options)


def explore(folder: Path) -> None:
    path = folder / "reference.json"
    with claimed(path):
        state = load_state(path, "reference", "float64")
        state.stream, state.round = 7, 0
        for cases in (1, 2):
            state.operations["sign"] = Tally(cases=cases)
            save_state(path, state)


def vectors(folder: Path) -> None:
    if not (folder / "made" / "v1").exists():
        make_vectors([OPERATIONS["sign"]], "small", folder / "made")


@dataclass(frozen=True)
class Work:
    """Something that writes, and goes on with what is there."""

    do: Callable[[Path], None]
    before: Callable[[Path], None] = lambda _: None


WORKS = {
    "quantize": Work(quantize),
    "quantize --resume": Work(quantize, damaged),
    "curve": Work(curve),
    "explore": Work(explore),
    "vectors": Work(vectors),
}


def without_times(content: Any) -> Any:
    """JSON without times, memory, and the digest over them."""
    if isinstance(content, dict):
        left_out = {"seconds", "cpu_seconds", "peak_bytes"} | (
            {"sha256"} if "settings" in content else set()
        )
        return {k: without_times(v) for k, v in content.items() if k not in left_out}
    return [without_times(one) for one in content] if isinstance(content, list) else content


def content_of(folder: Path) -> dict[str, Any]:
    """All that is in a folder, but for times."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name, data = str(path.relative_to(folder)), None
        if path.is_file():
            data = path.read_bytes()
            if path.name in {MANIFEST, RESULTS}:
                data = without_times(json.loads(data))
            elif path.name == "tables.md":
                data = len(data.splitlines())  # CPU seconds are in it
        found[name] = data
    return found


def _checked_manifest(folder: Path) -> Manifest:
    manifest = load_manifest(folder)
    faults = [part.fault for part in verify(folder, manifest) if part.fault]
    assert not faults, faults
    return manifest


def look(folder: Path, work: str, *, cleaned: bool) -> None:
    """Read what a stopped process has left: whatever it says is there has to be whole."""
    if cleaned and work != "quantize --resume":
        left = list(folder.rglob(f"{PARTIAL}*"))
        assert not left, f"left behind: {left}"
    for path in folder.rglob(MANIFEST):
        if work != "quantize --resume":
            manifest = _checked_manifest(path.parent)
            if (path.parent / "config.json").exists():
                assert manifest.checkpoint is not None, "a checkpoint that no manifest announces"
    for path in folder.rglob(RESULTS):
        load_results(path.parent)


def in_a_process(folder: Path, work: Work, at: int, how: str) -> tuple[int, list[str]]:
    """Work in a forked process, and return its exit code, and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        said, code = [], FAILED
        try:
            disk = Disk(folder, at, how)
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                work.do(folder)
            code, said = 0, disk.log
        except (SubbitError, OSError, KeyboardInterrupt) as error:
            code, said = STOPPED, [f"{type(error).__name__}: {error}"]
        except BaseException:  # noqa: BLE001 - whatever comes is a finding
            said = [traceback.format_exc()]
        finally:
            with contextlib.suppress(OSError):
                os.write(writing, "\n".join(said).encode()[:60_000])
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@dataclass
class Bench:
    """A work done in one go, to which the stopped ones are compared."""

    name: str
    place: Path

    def __post_init__(self) -> None:
        self.work = WORKS[self.name]
        self.begun, whole = self.place / "begun", self.place / "whole"
        self.begun.mkdir()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self.work.before(self.begun)
        shutil.copytree(self.begun, whole)
        code, self.log = in_a_process(whole, self.work, -1, "")
        if code:
            raise RuntimeError(f"{self.name} itself ended with {code}: {self.log[-3:]}")
        self.wanted = content_of(whole)
        shutil.rmtree(whole)

    def points(self) -> Iterator[tuple[int, str]]:
        for number, operation in enumerate(self.log):
            for how in HOWS:
                if how != "half" or operation.startswith("write"):
                    yield number, how

    def finding(self, at: int, how: str) -> str:
        """What is wrong after the work was stopped at an operation and done again."""
        folder = self.place / "stopped"
        shutil.copytree(self.begun, folder)
        try:
            code, said = in_a_process(folder, self.work, at, how)
            wanted = {KILLED} if how in KILLS else {STOPPED}
            # Where nothing but room is lacking, what only frees room goes on.
            if code not in wanted | ({0} if how in {"full", "read-only"} else set()):
                return f"ended with {code}: {' '.join(said[-3:])}"
            look(folder, self.name, cleaned=how == "full")
            code, said = in_a_process(folder, self.work, -1, "")
            if code:
                return f"did not go on, {code}: {' '.join(said[-3:])}"
            found = content_of(folder)
            differs = [
                name
                for name in sorted(found.keys() | self.wanted.keys())
                if name not in found or name not in self.wanted or found[name] != self.wanted[name]
            ]
            return f"differs in {', '.join(differs)}" if differs else ""
        except Exception as error:  # noqa: BLE001
            return f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(folder)


def share(points: list[Any], number: int | None) -> list[Any]:
    """Some of the points, spread over all and the same every time, or all."""
    order = np.random.default_rng(0).permutation(len(points))[:number]
    return [points[n] for n in sorted(order)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", choices=WORKS, action="append", help="all by default")
    parser.add_argument("--points", type=int, help="of each work; all by default")
    options = parser.parse_args(arguments)
    total, faults = Counter[str](), 0
    for name in options.work or WORKS:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
            bench = Bench(name, Path(place))
            points, counts, findings = list(bench.points()), Counter[str](), 0
            for at, how in share(points, options.points):
                counts["killed" if how in KILLS else how] += 1
                if said := bench.finding(at, how):
                    findings += 1
                    sys.stdout.write(f"{name}, {bench.log[at]}, {how}: {said}\n")
        total.update(counts)
        faults += findings
        ways = ", ".join(f"{how} at {number:,}" for how, number in sorted(counts.items()))
        said = f"{name}: {len(bench.log)} operations, {ways}; {findings} findings\n"
        sys.stdout.write(said)
        sys.stdout.flush()
    points = total["killed"]
    sys.stdout.write(f"{total.total() - faults:,} of {total.total():,} crash points, {points:,} ")
    sys.stdout.write("of them kills: gone on, the same bits, nothing left behind\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
