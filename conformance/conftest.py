"""Options and fixtures of the conformance suite."""

import os

import hypothesis
import pytest

import subbit.reference
from subbit.conformance.target import Port, resolve
from subbit.reference.errors import ArgumentError

EXAMPLES = {"quick": 10, "ci": 40, "long": 400}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("subbit")
    group.addoption(
        "--target",
        default=os.environ.get("SUBBIT_TARGET", "reference"),
        help="the port to test: reference, an entry point, module or module:name",
    )
    group.addoption(
        "--depth",
        choices=tuple(EXAMPLES),
        default="ci",
        help="examples for each property: " + ", ".join(f"{k} {v}" for k, v in EXAMPLES.items()),
    )


def pytest_configure(config: pytest.Config) -> None:
    for name, examples in EXAMPLES.items():
        hypothesis.settings.register_profile(
            name,
            max_examples=examples,
            deadline=None,
            print_blob=True,
            suppress_health_check=[hypothesis.HealthCheck.too_slow],
        )
    hypothesis.settings.load_profile(config.getoption("--depth", "ci"))


class _Tested:
    """A port whose missing functions skip the test that asks for them."""

    def __init__(self, name: str, port: Port) -> None:
        self._name, self._port = name, port

    def __repr__(self) -> str:
        return f"<port {self._name}>"

    def __getattr__(self, function: str) -> object:
        if hasattr(self._port, function) or not hasattr(subbit.reference, function):
            return getattr(self._port, function)
        pytest.skip(f"not implemented by {self._name}: {function}")


@pytest.fixture(scope="session")
def port(request: pytest.FixtureRequest) -> Port:
    name = request.config.getoption("--target", os.environ.get("SUBBIT_TARGET", "reference"))
    try:
        return _Tested(name, resolve(name))
    except ArgumentError as error:
        pytest.exit(str(error), returncode=2)
