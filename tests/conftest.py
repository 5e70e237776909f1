"""The same examples in every run of the tests, and ports that are wrong on purpose."""

import itertools
import subprocess
import sys
import textwrap

import browser
import pytest
import typer
from typer.testing import CliRunner

from project import DEEP, ROOT, with_path
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.command import check, report
from subbit.conformance.inputs.profiles import give_seed, load_profile, one_thread

# A name is not used twice: the module of another test may still be there.
MADE = itertools.count()
FAST = ROOT / "tests" / "fast"
MANY, EVERY = 8, 2
"""From so many sets of arguments on, every second runs; `make deep` runs all."""


def pytest_configure(config: pytest.Config) -> None:
    one_thread(config)


def pytest_collectstart(collector: pytest.Collector) -> None:
    if isinstance(collector, pytest.Module):
        load_profile("quick", share=2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take a share of what runs on the simulated device, where a test has many arguments."""
    if DEEP:
        return
    sets: dict[tuple[object, str], list[pytest.Item]] = {}
    for item in items:
        if FAST in item.path.parents:
            sets.setdefault((item.path, getattr(item, "originalname", item.name)), []).append(item)
    left_out = {x for own in sets.values() if len(own) >= MANY for x in own[1::EVERY]}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    give_seed(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if browser.BROWSER is None:
        terminalreporter.write_line(browser.WITHOUT)


@pytest.fixture
def run():
    """The check command, in this process; the port is in others."""
    app = typer.Typer()
    app.command("check")(check.check_command)
    app.command("other")(lambda: None)
    return lambda *arguments: CliRunner().invoke(app, ["check", *map(str, arguments)])


@pytest.fixture
def make_port(tmp_path, monkeypatch):
    """A port that is the reference but for some functions, as a module that others can import."""
    folder = tmp_path / "ports"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def make(source="", *, drop=()):
        name = f"port_under_test_{next(MADE)}"
        lines = ["import ctypes, dataclasses, os, time", "import numpy as np"]
        lines += ["from subbit import reference"]
        kept = ", ".join(one for one in reference.__all__ if one not in drop)
        lines += [f"from subbit.reference import {kept}"] if kept else []
        text = "\n".join([*lines, textwrap.dedent(source), ""])
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return make


@pytest.fixture
def few(monkeypatch):
    """Let the command look at a few operations; it is under test, not they."""

    def choose(*names):
        chosen = [OPERATIONS[name] for name in names]
        monkeypatch.setattr(
            report, "of_level", lambda level: (item for item in chosen if item.level <= level)
        )

    return choose


@pytest.fixture
def pytester_run(tmp_path):
    """The levels in pytest, in another process."""

    def start(target, *words):
        levels = ROOT / "conformance" / "theorems" / "test_levels.py"
        call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(levels)]
        return subprocess.run(
            [*call, "--target", target, "--depth", "quick", *map(str, words)],
            cwd=tmp_path,
            env=with_path(*sys.path),
            capture_output=True,
            text=True,
            check=False,
        )

    return start
