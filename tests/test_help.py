"""What `help()` and `python -m pydoc` show in a terminal."""

import inspect
import pydoc
import re
import subprocess
import sys
from itertools import pairwise

import pytest
import stated
from equation_lines import typeset_lines

from subbit import fast, reference
from subbit.fast import port as ports
from subbit.reference.contracts.settings import Switches
from subbit.reference.contracts.shown import Shown, equations_of

WIDTH = 100
# Pydoc's own first line, then nothing.
SKIPPED = 2
# Summary and equation come before a screen's first half is full.
FIRST = 10
FUNCTIONS = [n for n in reference.__all__ if inspect.isfunction(getattr(reference, n))]
SETTINGS = [
    name
    for name, value in vars(reference).items()
    if inspect.isclass(value) and issubclass(value, Switches)
]
# A class or a module in full, as Python prints an alias for what it stands for.
EXPANDED = re.compile(r"\b(?:subbit|numpy|typing|collections)\.\w|ndarray\[|Literal\[|Union\[")
TEX = re.compile(r"\\[a-zA-Z]+|\$")
CITED = re.compile(
    r"(?:Eq\. \(.+?\)|Eqs\. \(|Alg\. \d|Algorithm \d|section \d|arXiv|ICLR|released code)"
)


def page(value):
    return pydoc.plain(pydoc.render_doc(value)).splitlines()[SKIPPED:]


def head(lines):
    """The signature: all lines up to the one that closes its parenthesis."""
    text = [" ".join(lines[: n + 1]) for n in range(len(lines))]
    return lines[: next(n for n, t in enumerate(text, 1) if t.count("(") == t.count(")"))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_fit_a_terminal(name):
    lines = page(getattr(reference, name))
    assert [line for line in lines if len(line) > WIDTH] == []
    assert not any(a.strip() == b.strip() == "" for a, b in pairwise(lines))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_say_names_and_defaults(name):
    signature = head(page(getattr(reference, name)))
    text = " ".join(line.strip() for line in signature)
    assert text.startswith(f"{name}(")
    assert not EXPANDED.search(text)
    assert all(p in text for p in inspect.signature(getattr(reference, name)).parameters)
    # One line, if pydoc's fits with the module's name before it.
    assert len(signature) == 1 or len(f"subbit.reference.{name} = {text}") > WIDTH - 4


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_equation_comes_first(name):
    lines = page(getattr(reference, name))
    below = lines[len(head(lines)) :][:FIRST]
    own = below[: below.index("    Parameters")]
    assert CITED.search("\n".join(own[1:])), own
    assert not TEX.search("\n".join(lines)), "TeX"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sections_are_there(name):
    text = "\n".join(page(getattr(reference, name)))
    for title in ("Parameters", "Raises"):
        assert f"    {title}\n    {'-' * len(title)}\n" in text
    assert re.search(r"    (Returns|Yields)\n    -+\n", text)


def test_equations_are_those_of_the_code():
    """`python tests/stated.py` writes them; a change of a tag is a change of the help."""
    assert stated.TABLE.read_text(encoding="utf-8") == stated.written()
    found = equations_of("subbit.reference.signs", "sign")
    assert found == ["Eq. (2), BiLLM:  sign(x) = +1 if x ≥ 0, −1 otherwise"]


def test_twins_show_the_same():
    functions = ports.functions()
    for name, twin in functions.items():
        if not inspect.isfunction(getattr(reference, name)):
            continue
        lines = page(twin)
        text = " ".join(line.strip() for line in head(lines))
        assert text.startswith(f"{name}(device, ")
        assert not EXPANDED.search(text)
        original = getattr(reference, name).contract
        own = equations_of(original.function.__module__, name)
        assert all(f"        {line}" in lines for line in own)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_show_all_of_their_parts(name):
    kind = getattr(reference, name)
    lines = [line.removeprefix(" |  ") for line in page(kind)]
    signature = str(inspect.signature(kind))
    assert isinstance(inspect.signature(kind), Shown)
    assert not EXPANDED.search(signature)
    assert max(map(len, signature.splitlines())) <= WIDTH
    text = " ".join(line.strip() for line in lines)
    for part in vars(kind()).values():
        if isinstance(part, Switches):
            for key, value in part.switches().items():
                assert f"{key}={value!r}" in text


def test_a_preset_is_shown_as_its_class():
    assert "block_size=128" in "\n".join(page(reference.billm.PAPER))


def test_the_package_lists_its_functions_by_topic():
    """Each once, so that nothing has to be looked for in an alphabet."""
    listed = re.findall(r"(?<![`\w.])\w+", inspect.getdoc(reference).partition("\nMethods, ")[2])
    missing = [n for n in FUNCTIONS if listed.count(n) != 1 and n not in {"sign", "arb", "damp"}]
    assert missing == []
    assert {"sign", "arb", "damp"} <= set(listed)


def test_it_is_the_same_from_the_command_line():
    for name, first in (
        ("subbit.reference.billm_layer", "billm_layer(W, H, config=BiLLM()) -> QuantizedLayer"),
        ("subbit.fast.signs.sign", "sign(device, x, zero=1) -> signs"),
    ):
        command = [sys.executable, "-m", "pydoc", name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said.splitlines()[SKIPPED] == f"{name} = {first}"


def test_bound_functions_keep_their_short_form():
    assert str(inspect.signature(fast.simulated.sign)) == "(x, zero=1) -> signs"


def test_the_built_documentation_typesets_the_same_lines():
    lines = ["Say it.", "", "    Paper, arXiv 1.", "    Eq. (1), BiLLM:  Ŵ = α B", "", "Parameters"]
    typeset_lines(None, "function", "f", None, None, lines)
    assert lines[:2] == ["Say it.", ""]
    assert lines[2].startswith("| **Eq. (1), BiLLM**  :math:`")
    assert r"\alpha" in lines[2]
    assert lines[3:] == ["", "Parameters"]
