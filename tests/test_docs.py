"""The documentation builds without a warning, and its commands work."""

import doctest
import functools
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import api
import pytest
import typer
from typer.testing import CliRunner

from project import PYPROJECT, ROOT, import_name, pages, relative, sources
from subbit.conformance.command.cli import make_app
from subbit.conformance.texts import text as texts
from subbit.conformance.texts.wikipedia import excerpt

# Commands of the documents that run here. All others are parsed only: they need the model, a GPU,
# minutes, or another machine.
RUN = ["make help", "subbit --help"]

# What a document may ask for besides `subbit`, `make` and `pip`.
KNOWN = {"cd", "cp", "git", "node", "source", "pytest", "python", "python3"}

FENCE = re.compile(
    r"^(?P<mark>`{3,})(?P<language>\w+)?[^\n]*\n(?P<text>.*?)^(?P=mark)", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks(*languages):
    for path in pages():
        page = path.read_text(encoding="utf-8")
        for match in FENCE.finditer(page):
            if match["language"] in languages:
                line = page.count("\n", 0, match.start("text")) + 1
                yield Block(relative(path), line, match["language"], match["text"])


def commands(block):
    """One list of words for each command; output lines in console blocks are skipped."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words:
            yield words


ALL_COMMANDS = [(block, words) for block in blocks("sh", "console") for words in commands(block)]


def targets(folder=ROOT):
    makefile = (folder / "Makefile").read_text(encoding="utf-8")
    made = {match[1] for match in re.finditer(r"^([a-z]+):", makefile, re.MULTILINE)}
    listed = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    return made & set(listed[1].split()) if listed else made


def complaint_about_make(words):
    folder = ROOT
    if words[1:2] == ["-C"]:
        folder, words = ROOT / words[2], words[2:]
    goals = [w for w in words[1:] if not re.fullmatch(r"-\w+|\w+=.*", w)]
    unknown = set(goals) - targets(folder)
    return f"no such target: {unknown}" if unknown else None


def complaint_about_pip(words):
    extras = {e for word in words for e in re.findall(r"\[([\w,]+)\]", word)}
    unknown = set(",".join(extras).split(",")) - set(PYPROJECT["project"]["optional-dependencies"])
    return f"no such extra: {unknown}" if unknown - {""} else None


def complaint_about_subbit(words):
    """Parse a command as typer would, without running it."""
    name, *rest = words
    command = typer.main.get_command(make_app(*rest[:1]))
    while rest and rest[0] in getattr(command, "commands", {}):
        name, *rest = rest
        command = command.commands[name]
    if "--help" in rest:
        rest.remove("--help")
        return f"unknown: {rest}" if rest else None
    if getattr(command, "commands", None):
        return f"no such command: {rest}"
    try:
        command.make_context(name, rest)
    except Exception as error:  # noqa: BLE001  (typer's exceptions have no public base class)
        return None if "does not exist" in str(error) else f"{type(error).__name__}: {error}"
    return None


def complaint_about_dask(words):
    """Parse a command of dask as it would, without running it."""
    if words[1] not in {"scheduler", "worker"}:
        return f"unknown: {words[1]}"
    if importlib.util.find_spec("distributed") is None:
        return None
    command = importlib.import_module(f"distributed.cli.dask_{words[1]}").main
    try:
        command.make_context(words[1], words[2:])
    except Exception as error:  # noqa: BLE001  (click is no requirement of these tests)
        return f"{type(error).__name__}: {error}"
    return None


def complaint(words):
    program = words[0]
    if words[:3] == ["python", "-m", "pip"]:
        program, words = "pip", words[2:]
    checks = {
        "dask": complaint_about_dask,
        "make": complaint_about_make,
        "pip": complaint_about_pip,
        "subbit": complaint_about_subbit,
    }
    if program in checks:
        return checks[program](words)
    return None if program in KNOWN else "unknown program"


@pytest.mark.parametrize(
    ("block", "words"), ALL_COMMANDS, ids=[f"{b}-{' '.join(w)}" for b, w in ALL_COMMANDS]
)
def test_each_command_is_known(block, words):
    assert complaint(words) is None, str(block)


@pytest.mark.parametrize(
    "line",
    [
        "make dmeo",
        "make -C docs/ports/c prot",
        "pip install 'subbit[demos]'",
        "subbit quantize smollm2-135m",
        "subbit bits --blokcs 0:4",
        "subbit",
        "dask worker --threads 1",
        "curl example",
    ],
)
def test_an_unknown_command_is_noticed(line):
    assert complaint(shlex.split(line))


@pytest.mark.parametrize("line", RUN)
def test_command_runs(line):
    assert line in [" ".join(words) for _, words in ALL_COMMANDS], "it stands in no document"
    program, *rest = shlex.split(line)
    start = [sys.executable, "-m", "subbit.conformance"] if program == "subbit" else [program]
    result = subprocess.run([*start, *rest], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


STAND_INS = {
    # All cases take a minute and a half.
    "check fast:simulated --depth quick": "check fast:simulated --replay rtn_layer:1",
    "smollm2-135m": "tiny",
    # What a cluster does has its own tests.
    "--scheduler tcp://10.0.0.1:8786": "--workers 1",
    "--workers 4": "--workers 2",
    "wikitext-2-raw-v1.test.txt": "enwiki-excerpt:evaluation",  # a file that users bring
}
# How a documented command is made small: the model, and options that win by standing last.
SMALL = {
    "quantize": "--samples 2 --length 64",
    "evaluate": "--length 64 --windows 2",
    "curve": "--samples 2 --length 64 --window 64 --windows 2 --ks 1,all --no-parts",
    "bench reference": "--rows 4 --columns 32 --block-size 16 --repeats 1",
    "bits": "",
    "verify": "",
    "bench simulator": "--rows 8",
    "bench kernels": "--rows 8 --device simulated",
    "study": "--quick --rows 4 --model tiny --samples 2 --length 64",
    "check reference": "",
    "check fast:simulated": "",
    "doctor": "",
    "init-port": "",
    # Minutes; what they do has its own tests.
    "bench model": "--help",
    "demo": "--help",
    "kernels": "--help",
    "--help": "",
}


def made_small(words):
    line = " ".join(words[1:])
    if line.startswith("bench reference"):
        # Sizes add up where an option is given twice.
        line = re.sub(r" --(rows|columns|block-size|repeats) \d+", "", line)
    for large, small in STAND_INS.items():
        line = line.replace(large, small)
    for start, options in SMALL.items():
        if line.startswith(start):
            return shlex.split(f"{line} {options}")
    return None


@pytest.fixture(scope="module")
def short_excerpt():
    """A few of its articles: reading and tokenizing all takes longer than the rest of a command."""
    few = excerpt()[:6]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "excerpt", lambda *_: few)
        yield


@functools.cache
def checked(line):
    """Run a check; several pages show the same one, and it writes nothing."""
    return CliRunner().invoke(make_app("check"), shlex.split(line))


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/arb.md",
        "docs/billm.md",
        "docs/cluster.md",
        "docs/fast.md",
        "docs/gpu.md",
        "docs/models.md",
        "docs/pbs2p.md",
        "docs/promises.md",
        "docs/speed.md",
        "docs/stbllm.md",
    ],
)
@pytest.mark.usefixtures("short_excerpt")
def test_each_subbit_command_runs_in_small(page, tmp_path, monkeypatch):
    """In the order of the page, because a later command may read files of an earlier one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conformance").symlink_to(ROOT / "conformance")
    lines = [words for block, words in ALL_COMMANDS if block.page == page and words[0] == "subbit"]
    assert lines
    for words in lines:
        small = made_small(words)
        assert small is not None, f"SMALL does not know {words}"
        if small[0] == "check":
            result = checked(shlex.join(small))
        else:
            result = CliRunner().invoke(make_app(*small[:1]), small)
        assert result.exit_code == 0, f"{small}: {result.output}"


@pytest.mark.parametrize("page", [relative(p) for p in pages()])
def test_python_blocks_run(page):
    """Blocks with prompts are doctests; the others just run. One page shares its names."""
    names = {"__name__": "__main__"}
    for block in blocks("python"):
        if block.page != page:
            continue
        if ">>>" in block.text:
            parser = doctest.DocTestParser()
            test = parser.get_doctest(block.text, names, str(block), page, block.line - 1)
            runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
            runner.run(test, clear_globs=False)
            assert runner.failures == 0, str(block)
            names = test.globs
        else:
            exec(compile(block.text, str(block), "exec"), names)  # noqa: S102


def test_each_block_has_a_language():
    """Otherwise a command could escape the tests above."""
    for path in pages():
        for match in FENCE.finditer(path.read_text(encoding="utf-8")):
            assert match["language"] in {"sh", "console", "python", "text", "toml", "json", None}
            assert match["language"] or match[0].startswith("```{"), relative(path)


def test_each_target_is_explained():
    text = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r"^make (\w+)", text, re.MULTILINE)) == targets() - {"help"}


def test_each_module_has_its_place_in_the_api_pages():
    listed = {module for room in api.rooms() for module in room.modules}
    public = {import_name(p) for p in sources("reference") if p.name != "__init__.py"}
    assert public <= listed
