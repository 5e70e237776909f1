"""Figures: each is drawn twice, from what was measured, and readable on light and dark pages."""

import json
import re
from importlib import import_module

import pytest
import real_layers
import worked_panels as show

from project import ROOT

DOCS = ROOT / "docs"
FIGURES = DOCS / "figures"
DRAWN = sorted(path.stem for path in FIGURES.glob("*.svg") if not path.stem.endswith("-dark"))
NAMED = re.compile(r"```\{themed-figure\} (\S+)\n:alt: \S")
PICTURE = re.compile(
    r"<picture>\s*"
    r'<source media="\(prefers-color-scheme: dark\)" srcset="docs/figures/(\S+)-dark\.svg">\s*'
    r'<img alt="[^"]+" src="docs/figures/(\S+)\.svg">\s*</picture>'
)


def read(path):
    return path.read_text(encoding="utf-8")


@pytest.fixture
def measure(monkeypatch):
    """The module that draws."""
    monkeypatch.syspath_prepend(DOCS / "measure")
    return import_module("draw")


def named():
    return [name for page in DOCS.glob("*.md") for name in NAMED.findall(read(page))]


def test_pages_name_the_figures_that_there_are(measure):
    assert set(named()) == set(DRAWN) == set(measure.DRAWN)
    assert {path.stem for path in FIGURES.glob("*-dark.svg")} == {f"{name}-dark" for name in DRAWN}


def test_no_figure_is_shown_in_one_form_only():
    for page in [*DOCS.glob("*.md"), *ROOT.glob("*.md")]:
        text = read(page)
        pairs = PICTURE.findall(text)
        assert all(dark == light and dark in DRAWN for dark, light in pairs), page
        assert text.count("figures/") == 2 * len(pairs), page
    assert [light for _, light in PICTURE.findall(read(ROOT / "README.md"))] == [
        "groups",
        "perplexity",
    ]


PATH = re.compile(r'<path d="([^"]*)"[^>]*style="([^"]*)"')
SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


def backgrounds(text):
    """Fills of shapes as large as a fifth of the figure, in white or what is nearly white."""
    width, height = map(float, SIZE.search(text).groups())
    for outline, style in PATH.findall(text):
        fill = re.search(r"fill: (#[0-9a-f]{6})", style)
        numbers = [float(x) for x in re.findall(r"-?[\d.]+", outline)]
        across, up = numbers[::2], numbers[1::2]
        area = (max(across) - min(across)) * (max(up) - min(up))
        transparent = re.search(r"(?<!-)opacity: 0(?![.\d])", style)
        if fill and not transparent and area > 0.2 * width * height:
            light = min(int(fill[1][place : place + 2], 16) for place in (1, 3, 5))
            if light > 0xE0:
                yield fill[1]


@pytest.mark.parametrize("name", [form for name in DRAWN for form in (name, f"{name}-dark")])
def test_figures_have_no_background(name):
    text = read(FIGURES / f"{name}.svg")
    assert list(backgrounds(text)) == []
    figure = text[text.index('<g id="patch_1">') :]
    assert "fill: none" in PATH.search(figure)[2]
    filled = text.replace("fill: none", "fill: #ffffff", 1)
    assert list(backgrounds(filled)) == ["#ffffff"]


@pytest.mark.parametrize("name", DRAWN)
def test_letters_are_text_that_both_pages_can_be_read_by(name):
    light, dark = (read(FIGURES / f"{name}{ending}.svg") for ending in ("", "-dark"))
    words = [re.findall(r"<text[^>]*>([^<]*)</text>", text) for text in (light, dark)]
    assert words[0] == words[1] != []
    assert "#24292f" in light
    assert "#24292f" not in dark
    assert "#d0d4da" in dark
    assert all("DejaVuSans-" not in text and "<dc:date>" not in text for text in (light, dark))


@pytest.mark.parametrize("name", ["billm-thresholds", "groups", "perplexity"])
def test_figures_are_what_was_measured(name, measure, tmp_path):
    """Drawn again they are the same, to the byte."""
    measure.draw(name, tmp_path)
    for ending in ("", "-dark"):
        assert read(tmp_path / f"{name}{ending}.svg") == read(FIGURES / f"{name}{ending}.svg")


def test_the_first_pages_sum_up_the_scoreboard(measure, monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "measure")
    ports = import_module("ports")
    assert measure
    for page in (ROOT / "README.md", DOCS / "index.md"):
        part = read(page).partition("<!-- ports -->")[2].partition("<!-- end -->")[0]
        assert part.strip() == ports.ports_table()
    whole = next(iter(ports.rows()))
    text = read(DOCS / "scoreboard.md")
    families = re.findall(r"^\| `\w+` \| (\d) \| (\d+) of (\d+),", text, re.MULTILINE)
    for place, level in enumerate("123"):
        assert whole[2 + place] == "{} of {}".format(
            *(sum(int(f[part]) for f in families if f[0] == level) for part in (1, 2))
        )


MEASURED = json.loads(read(real_layers.MEASURED))["methods"]


@pytest.mark.parametrize("method", MEASURED)
def test_real_layers_are_drawn_from_what_was_measured(method):
    for made in MEASURED[method].values():
        html = "".join(panel.html() for panel in real_layers.panels(method, made))
        shares, errors = made["shares"], made.get("steps") or made["curves"]["arb-rc"]
        for name, share in shares.items():
            assert f"{name} {share:.1%}" in html
        for error in errors.values() if isinstance(errors, dict) else errors:
            digits = 3 if method != "arb" else 4
            assert f"<td>{show.few(error, digits)}</td>" in html
        assert ("pruned" in html) == (sum(shares.values()) < 0.99)
        assert f"{min(made['salient'])} to {max(made['salient'])} of 128" in real_layers.chosen(
            made
        )
