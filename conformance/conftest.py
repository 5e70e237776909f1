"""Options and fixtures of the conformance suite."""

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import subbit.reference
from subbit.conformance import compare
from subbit.conformance.cases.judge import host
from subbit.conformance.cases.seeds import CASES, DEFAULT_DEPTH
from subbit.conformance.command.told import Told
from subbit.conformance.command.workers import Workers
from subbit.conformance.declared import within
from subbit.conformance.exceptions import OPTION, Exceptions, read_exceptions
from subbit.conformance.inputs.families import Array
from subbit.conformance.inputs.profiles import (
    EXAMPLES,
    SEED_OPTION,
    give_seed,
    load_profile,
    one_thread,
)
from subbit.conformance.programs.worker import Allowance
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import Port, arithmetic_of, capabilities_of, resolve
from subbit.reference.errors import ArgumentError

DEFAULT_TARGET = "fast:simulated"
# A simulated device executes every instruction in Python.
SIMULATED_SHARE = 7
DEPTHS = tuple(CASES)
KNOWN = pytest.StashKey[Exceptions]()
ALLOWANCE = pytest.StashKey[Allowance]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("subbit")
    group.addoption(
        "--target",
        default=os.environ.get("SUBBIT_TARGET", DEFAULT_TARGET),
        help="port to test: reference, fast:simulated, fast:cuda, an entry point, module or "
        "module:name",
    )
    group.addoption(
        "--depth",
        choices=tuple(EXAMPLES),
        default=os.environ.get("SUBBIT_DEPTH", DEFAULT_DEPTH),
        help="examples per property: " + ", ".join(f"{k} {v}" for k, v in EXAMPLES.items()),
    )
    for name, default, text in (
        (OPTION, None, "TOML file of cases to skip, and of expected failures"),
        ("--time-limit", Allowance.seconds, "seconds that one case of a level may take"),
        ("--memory-limit", Allowance.memory, "GiB that one case of a level may take"),
    ):
        group.addoption(name, default=os.environ.get(_variable(name), default), help=text)


def _variable(option: str) -> str:
    return "SUBBIT_" + option.strip("-").replace("-", "_").upper()


def _option(config: pytest.Config, name: str, default: object) -> object:
    """Return an option; where this is no initial conftest, pytest knows only the variable."""
    return config.getoption(name, os.environ.get(_variable(name), default))


def _allowance(config: pytest.Config) -> Allowance:
    limits = []
    for name, default in (
        ("--time-limit", Allowance.seconds),
        ("--memory-limit", Allowance.memory),
    ):
        given = str(_option(config, name, default))
        try:
            limits.append(float(given))
        except ValueError as error:
            raise ArgumentError(name, "a number above 0", given) from error
    return Allowance(*limits)


def _target(config: pytest.Config) -> str:
    return str(config.getoption("--target", os.environ.get("SUBBIT_TARGET", DEFAULT_TARGET)))


def _is_simulated(target: str) -> bool:
    try:
        return capabilities_of(resolve(target)).device == "simulated"
    except ArgumentError:
        # The fixture reports it.
        return False


def pytest_configure(config: pytest.Config) -> None:
    one_thread(config)
    try:
        file = _option(config, OPTION, None)
        known = read_exceptions(None if file is None else Path(str(file)))
        config.stash[KNOWN] = known
        config.stash[ALLOWANCE] = _allowance(config)
    except (ArgumentError, OSError) as error:
        raise pytest.UsageError(str(error)) from error
    if known.file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Told(known))


def pytest_collectstart(collector: pytest.Collector) -> None:
    # A module's number of examples is set before it is imported, whatever else is collected.
    if isinstance(collector, pytest.Module):
        share = SIMULATED_SHARE if _is_simulated(_target(collector.config)) else 1
        load_profile(collector.config.getoption("--depth", DEFAULT_DEPTH), share=share)


def pytest_runtest_setup(item: pytest.Item) -> None:
    give_seed(item)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the command that repeats each failure of an exploration."""
    seed = config.getoption(SEED_OPTION, None)
    failed = terminalreporter.stats.get("failed", [])
    if seed is None or not failed:
        return
    options = f"--target {_target(config)} --depth {config.getoption('--depth', DEFAULT_DEPTH)}"
    terminalreporter.section("to repeat them")
    for report in failed:
        terminalreporter.write_line(f"pytest '{report.nodeid}' {options} --hypothesis-seed {seed}")


class _Tested:
    """A port whose missing functions skip the tests that need them.

    It also knows the port's arithmetic, so tolerances follow its type.
    """

    def __init__(self, name: str, port: Port, depth: str) -> None:
        self.name = name
        self.tested = port
        self.depth = depth
        self.arithmetic = arithmetic_of(port)
        self.unit_roundoff = self.arithmetic.unit_roundoff

    def gamma(self, depth: int) -> float:
        return compare.gamma(depth, self.unit_roundoff)

    def compares_ends(self, instead: str) -> None:
        """Skip comparisons of two whole layers, which diverge at one tie in lower precision."""
        if self.arithmetic.dtype != "float64":
            declared = f"{self.name} declares {self.arithmetic.dtype}"
            pytest.skip(f"whole layers are compared in float64 only and {declared}: {instead}")

    def holds(self, bits: int) -> bool:
        """Return whether the port's type holds whole numbers of this many bits."""
        return bits <= np.finfo(self.arithmetic.dtype).nmant + 1

    def held(self, values: Array) -> Array:
        """Return values as the port's type holds them."""
        return values.astype(self.arithmetic.dtype).astype(np.float64)

    def __repr__(self) -> str:
        return f"<port {self.name}>"

    def __getattr__(self, function: str) -> object:
        if not hasattr(self.tested, function) and hasattr(subbit.reference, function):
            pytest.skip(f"not implemented by {self.name}: {function}")
        if self.arithmetic.narrows and function in PROTOCOL and PROTOCOL[function].records:
            pytest.skip(f"{self.name} stores records in fewer digits than it computes: {function}")
        value = getattr(self.tested, function)
        return value if inspect.isclass(value) or not callable(value) else _widening(value)


def _widening(function: Callable[..., object]) -> Callable[..., object]:
    """Make a function return float64 on the host, where properties are evaluated."""

    @functools.wraps(function)
    def widened(*arguments: object, **switches: object) -> object:
        try:
            return _wide(function(*arguments, **switches))
        except NotImplementedError as error:
            pytest.skip(f"not implemented: {error}")

    return widened


def _wide(value: object) -> object:
    if type(value) is tuple:
        return tuple(map(_wide, value))
    if not hasattr(value, "dtype"):
        return value
    array = host(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


@pytest.fixture(scope="session")
def port(request: pytest.FixtureRequest) -> Port:
    name = _target(request.config)
    depth = str(request.config.getoption("--depth", DEFAULT_DEPTH))
    if _is_simulated(name):
        depth = DEPTHS[max(DEPTHS.index(depth) - 1, 0)]
    try:
        return _Tested(name, within(resolve(name)), depth)
    except ArgumentError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
def workers(request: pytest.FixtureRequest, port: Port) -> Iterator[Workers]:
    """A process that judges the cases of the levels, so that a crash is a failure of one test."""
    with Workers(port.name, 1, request.config.stash[ALLOWANCE]) as found:
        yield found


@pytest.fixture(scope="session")
def exceptions(request: pytest.FixtureRequest) -> Exceptions:
    return request.config.stash[KNOWN]
