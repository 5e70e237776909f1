"""Options and fixtures of the conformance suite."""

import functools
import inspect
import os
from collections.abc import Callable

import hypothesis
import numpy as np
import pytest

import subbit.reference
from subbit.conformance import compare
from subbit.conformance.cases.judge import host
from subbit.conformance.families import Array
from subbit.conformance.target import Port, arithmetic_of, resolve
from subbit.reference.errors import ArgumentError

EXAMPLES = {"quick": 16, "ci": 40, "long": 400}
DEFAULT_TARGET = "fast:simulated"
# A simulated device executes every instruction in Python.
SIMULATED_SHARE = 8


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("subbit")
    group.addoption(
        "--target",
        default=os.environ.get("SUBBIT_TARGET", DEFAULT_TARGET),
        help="the port to test: reference, fast:simulated, fast:cuda, an entry point, module or "
        "module:name",
    )
    group.addoption(
        "--depth",
        choices=tuple(EXAMPLES),
        default=os.environ.get("SUBBIT_DEPTH", "ci"),
        help="examples for each property: " + ", ".join(f"{k} {v}" for k, v in EXAMPLES.items()),
    )


def _target(config: pytest.Config) -> str:
    return str(config.getoption("--target", os.environ.get("SUBBIT_TARGET", DEFAULT_TARGET)))


def _share(target: str) -> int:
    try:
        capabilities = getattr(resolve(target), "CAPABILITIES", {})
    except ArgumentError:
        # The fixture says so.
        return 1
    return SIMULATED_SHARE if capabilities.get("device") == "simulated" else 1


def pytest_configure(config: pytest.Config) -> None:
    share = _share(_target(config))
    for name, examples in EXAMPLES.items():
        hypothesis.settings.register_profile(
            name,
            max_examples=examples // share,
            deadline=None,
            print_blob=True,
            suppress_health_check=[hypothesis.HealthCheck.too_slow],
        )
    hypothesis.settings.load_profile(config.getoption("--depth", "ci"))


class _Tested:
    """A port whose missing functions skip the test that asks for them.

    It also says how the port computes, so that tolerances follow its type.
    """

    def __init__(self, name: str, port: Port) -> None:
        self._name = name
        self.tested = port
        self.arithmetic = arithmetic_of(port)
        self.unit_roundoff = self.arithmetic.unit_roundoff

    def gamma(self, depth: int) -> float:
        return compare.gamma(depth, self.unit_roundoff)

    def compares_ends(self, instead: str) -> None:
        """Skip what compares two whole layers, which part at one tie in lower precision."""
        if self.arithmetic.dtype != "float64":
            declared = f"{self._name} declares {self.arithmetic.dtype}"
            pytest.skip(f"whole layers are compared in float64 only and {declared}: {instead}")

    def holds(self, bits: int) -> bool:
        """Tell whether the port's type holds whole numbers of so many bits."""
        return bits <= np.finfo(self.arithmetic.dtype).nmant + 1

    def held(self, values: Array) -> Array:
        """Values as the port's type holds them."""
        return values.astype(self.arithmetic.dtype).astype(np.float64)

    def __repr__(self) -> str:
        return f"<port {self._name}>"

    def __getattr__(self, function: str) -> object:
        if not hasattr(self.tested, function) and hasattr(subbit.reference, function):
            pytest.skip(f"not implemented by {self._name}: {function}")
        value = getattr(self.tested, function)
        return value if inspect.isclass(value) or not callable(value) else _widening(value)


def _widening(function: Callable[..., object]) -> Callable[..., object]:
    """Let a function answer in float64 on the host, where properties are evaluated."""

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
    try:
        return _Tested(name, resolve(name))
    except ArgumentError as error:
        pytest.exit(str(error), returncode=2)
