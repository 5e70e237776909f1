"""Wrong arguments for public functions: ``python tests/fuzz/calls.py --count 100000 --jobs 2``.

Each call starts from one that a case of the suite makes, and changes something in its arguments.
Whatever comes of it is a finding, except an answer of finite numbers, to entries none of which is
hidden, or an error of the project's own. The seed of a call is printed with its finding;
``--replay FUNCTION:SEED`` repeats it.
"""

import argparse
import copy
import math
import os
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.asked import snapshot_of
from subbit.conformance.inputs.seeds import seed_of
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.conformance.target import arithmetic_of, resolve
from subbit.reference.contracts.door import is_finite
from subbit.reference.errors import SubbitError

SECONDS = 10
MEMORY = 1 << 30
ITEMS = 100  # of an answer that is a generator
ONE = 0.8  # of the calls have one change, the others two
FUNCTIONS = sorted(
    name for name, one in PROTOCOL.items() if name not in CLASSES and one.signature.parameters
)

Call = dict[str, Any]
Change = Callable[[Any, np.random.Generator], Any]


class _Recorder:
    """The reference, keeping the arguments of one function's calls."""

    def __init__(self, port: object, name: str) -> None:
        self.port, self.name, self.calls = port, name, list[Call]()

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.port, name)
        if name != self.name:
            return function

        def recorded(*args: Any, **kwargs: Any) -> Any:
            bound = PROTOCOL[name].signature.bind(*args, **kwargs)
            bound.apply_defaults()
            self.calls.append(copy.deepcopy(bound.arguments))
            return function(*args, **kwargs)

        return recorded


@cache
def calls_of(name: str) -> list[Call]:
    """Calls of a function in the first cases of the operations that need it."""
    found: list[Call] = []
    for item in OPERATIONS.values():
        if item.level and name in item.needs:
            for seed in range(8 if item.numbered else 3):
                recorder = _Recorder(resolve("reference"), name)
                item.check(recorder, arithmetic_of(resolve("reference")), seed)
                found += recorder.calls[:2]
        if len(found) > 8:
            break
    return found


def _element(value: float) -> Change:
    def change(x: Any, rng: np.random.Generator) -> Any:
        y = np.array(x, dtype=np.float64)
        if y.size:
            y.flat[rng.integers(y.size)] = value
        return y

    return change


def _scaled(power: int) -> Change:
    def change(x: Any, _rng: np.random.Generator) -> Any:
        with np.errstate(all="ignore"):
            return np.clip(np.asarray(x, dtype=np.float64) * 10.0**power, -1e300, 1e300)

    return change


def _some_scaled(x: Any, rng: np.random.Generator) -> Any:
    powers = rng.choice([0, 0, 0, -310, -160, -30, 30, 90], size=np.shape(x))
    with np.errstate(all="ignore"):
        return np.clip(np.asarray(x, dtype=np.float64) * 10.0**powers, -1e300, 1e300)


OF_ARRAYS: dict[str, Change] = {
    "a NaN": _element(math.nan),
    "an infinity": _element(-math.inf),
    "a huge element": _element(1e300),
    "a tiny element": _element(5e-324),
    "times 1e150": _scaled(150),
    "times 1e90": _scaled(90),
    "times 1e-160": _scaled(-160),
    "times 1e-310": _scaled(-310),
    "scaled here and there": _some_scaled,
    "zeros": lambda x, _: np.zeros_like(x),
    "minus zeros": lambda x, _: np.full(np.shape(x), -0.0),
    "one value": lambda x, rng: np.full(np.shape(x), rng.normal()),
    "negated": lambda x, _: np.logical_not(x) if x.dtype == bool else -x.astype(np.float64),
    "shuffled": lambda x, rng: rng.permuted(x.ravel()).reshape(x.shape),
    "no rows": lambda x, _: x[:0],
    "one row": lambda x, _: x[:1],
    "one column less": lambda x, _: x[..., :-1],
    "a column twice": lambda x, _: np.concatenate([x, x[..., -1:]], axis=-1) if x.ndim else x,
    "transposed": lambda x, _: x.T,
    "an axis more": lambda x, _: x[None],
    "one axis": lambda x, _: x.ravel(),
    "a number": lambda x, _: float(np.ravel(x)[0]) if x.size else 0.0,
    "lists": lambda x, _: x.tolist(),
    "ragged lists": lambda x, _: [*x.tolist(), [1.0]] if x.ndim else [[1.0], []],
    "objects": lambda x, _: x.astype(object),
    "words": lambda x, _: x.astype(str),
    "complex": lambda x, _: x.astype(complex),
    "flags": lambda x, _: x.astype(bool),
    "int8": lambda x, _: np.clip(np.nan_to_num(x), -128, 127).astype(np.int8),
    "float16": lambda x, _: np.clip(x.astype(np.float64), -6e4, 6e4).astype(np.float16),
    "large whole numbers": lambda x, _: np.full(np.shape(x), 2**62, dtype=np.int64),
    "negative whole numbers": lambda x, _: np.full(np.shape(x), -1, dtype=np.int64),
    "hidden entries": lambda x, rng: np.ma.masked_array(x, rng.random(np.shape(x)) < 0.5),
    "hidden entries in a list": lambda x, rng: list(
        np.ma.masked_array(x, rng.random(x.shape) < 0.5)
    ),
    "None": lambda *_: None,
    "a dictionary": lambda *_: {},
    "bytes": lambda *_: b"abc",
    "structured": lambda x, _: np.zeros(np.shape(x), dtype=[("a", "f8")]),
    "dates": lambda x, _: np.zeros(np.shape(x), dtype="M8[s]"),
    "an iterator": lambda *_: iter([1.0, 2.0]),
}
OTHERS: tuple[Any, ...] = (
    None, "x", "", b"x", -1, 0, 1, 2, 3, 1.5, -0.5, math.nan, math.inf, -math.inf, 10**9, 10**18,
    -(10**18), 10**400, 2**31, 2**63, True, False, 1e-320, 1e300, [], {}, (), (0, 0), (2, 4),
    (1, 1), (4, 2), (10**9, 10**9), ("a", "b"), [1, [2]], np.float32(0.5), np.int8(3),
    np.array([1]), np.array(["released"]), np.array(2), np.bool_(1), slice(3), range(3), 1j, ...,
)  # fmt: skip


def _changed_record(value: Any, rng: np.random.Generator) -> tuple[str, Any]:
    field = fields(value)[rng.integers(len(fields(value)))].name
    said, other = changed(getattr(value, field), rng)
    return f"{type(value).__name__}.{field}: {said}", replace(value, **{field: other})


def _changed_items(value: Sequence[Any], rng: np.random.Generator) -> tuple[str, Any]:
    place, items = int(rng.integers(len(value))), list(value)
    match rng.integers(4):
        case 0:
            return "one item less", type(value)(items[:place] + items[place + 1 :])
        case 1:
            return "an item twice", type(value)([*items, items[place]])
    said, items[place] = changed(items[place], rng)
    return f"item {place}: {said}", type(value)(items)


def changed(value: Any, rng: np.random.Generator) -> tuple[str, Any]:
    """What is changed in a value, and the changed value."""
    if rng.random() < 0.2:
        other = OTHERS[rng.integers(len(OTHERS))]
        return f"{other!r} for it", other
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biuf":
        name = list(OF_ARRAYS)[rng.integers(len(OF_ARRAYS))]
        return name, OF_ARRAYS[name](value, rng)
    if is_dataclass(value) and not isinstance(value, type) and fields(value):
        return _changed_record(value, rng)
    if isinstance(value, tuple | list) and len(value) and type(value) in {tuple, list}:
        return _changed_items(value, rng)
    if isinstance(value, int | float) and rng.random() < 0.3:
        return "another number", value + type(value)(rng.integers(-3, 4))
    other = OTHERS[rng.integers(len(OTHERS))]
    return f"{other!r} for it", other


@dataclass(frozen=True)
class Ending:
    """What came of a call; `finding` is empty if nothing is wrong with it."""

    refused: bool = False
    finding: str = ""


def _made(name: str, seed: int) -> tuple[str, Call]:
    """What is changed in a call, and the changed call."""
    rng = np.random.default_rng(seed_of("fuzz", name, seed))
    calls = calls_of(name)
    call, said = copy.deepcopy(calls[rng.integers(len(calls))]), []
    for _ in range(1 if rng.random() < ONE else 2):
        argument = list(call)[rng.integers(len(call))]
        what, call[argument] = changed(call[argument], rng)
        said.append(f"{argument}: {what}")
    return ", ".join(said), call


def _numbers_are_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_numbers_are_finite, value.values()))
    return is_finite(value)


def _hides(value: Any) -> bool:
    if isinstance(value, np.ma.MaskedArray):
        return bool(np.ma.getmaskarray(value).any())
    if isinstance(value, dict):
        return any(map(_hides, value.values()))
    if is_dataclass(value) and not isinstance(value, type):
        return any(_hides(getattr(value, field.name)) for field in fields(value))
    return isinstance(value, list | tuple) and any(map(_hides, value))


def ending_of(port: object, name: str, seed: int) -> tuple[str, Ending]:
    """What was changed in a call, and what came of it."""
    try:
        with warnings.catch_warnings(action="ignore"):
            what, call = _made(name, seed)
    except SubbitError:
        # A record refuses the change itself.
        return "a record", Ending(refused=True)
    except Exception as error:  # noqa: BLE001 - whatever comes is a finding
        return "a record", Ending(finding=f"making it raised {type(error).__name__}: {error}")
    before, begun = _snapshot(call), time.process_time()
    try:
        with warnings.catch_warnings(action="error"):
            answer = getattr(port, name)(**call)
            if hasattr(answer, "__next__"):
                answer = list(islice(answer, ITEMS))
    except SubbitError:
        ending = Ending(refused=True)
    except Exception as error:  # noqa: BLE001
        return what, Ending(finding=f"{type(error).__name__}: {str(error)[:200]}")
    else:
        finite = _numbers_are_finite(answer)
        ending = Ending(finding="" if finite else "an answer that is not finite")
        if _hides(call):
            ending = Ending(finding="an answer to entries that are hidden")
    if before is not None and _snapshot(call) != before:
        ending = Ending(finding="its arguments have changed")
    if time.process_time() - begun > SECONDS:
        ending = Ending(finding=f"more than {SECONDS} s")
    return what, ending


def _snapshot(call: Call) -> object:
    try:
        return snapshot_of(call)
    except (TypeError, ValueError):
        return None  # nothing that could be compared


def _late(*_: object) -> None:
    message = f"more than {SECONDS} s"
    raise TimeoutError(message)


def batch(target: str, name: str, first: int, number: int) -> list[tuple[int, str, Ending]]:
    """The endings of some calls, in a process with little memory."""
    port = resolve(target)
    calls_of(name)
    held = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = held * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    found = []
    signal.signal(signal.SIGPROF, _late)
    for seed in range(first, first + number):
        try:
            signal.setitimer(signal.ITIMER_PROF, 2 * SECONDS)
            found.append((seed, *ending_of(port, name, seed)))
            signal.setitimer(signal.ITIMER_PROF, 0)
        except TimeoutError as error:
            # Raised only after a library has come back.
            found.append((seed, "a call", Ending(finding=str(error))))
    return found


def fuzz(target: str, count: int, first: int, jobs: int) -> Iterator[tuple[str, int, str, Ending]]:
    """Calls of all functions, equally many of each."""
    each = -(-count // len(FUNCTIONS))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        made = [pool.submit(batch, target, name, first, each) for name in FUNCTIONS]
        for name, results in zip(FUNCTIONS, made, strict=True):
            for seed, what, ending in results.result():
                yield name, seed, what, ending


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="reference")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first calls")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--replay", metavar="FUNCTION:SEED")
    options = parser.parse_args(arguments)
    if options.replay:
        name, _, seed = options.replay.partition(":")
        results = [(name, int(seed), *ending_of(resolve(options.target), name, int(seed)))]
    else:
        results = fuzz(options.target, options.count, options.first, options.jobs)
    counts = Counter[str]()
    for name, seed, what, ending in results:
        counts["calls"] += 1
        counts["refused"] += ending.refused
        if ending.finding:
            counts["findings"] += 1
            sys.stdout.write(f"{name}:{seed} ({what}): {ending.finding}\n")
    said = ", ".join(f"{counts[word]:,} {word}" for word in ("calls", "refused", "findings"))
    sys.stdout.write(f"{said}\n")
    return 1 if counts["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
