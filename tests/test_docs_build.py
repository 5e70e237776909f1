"""The documentation builds without a warning; apart, so that another process can do it."""

import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import browser
import pytest
from book import anchor_of, page_of

import equations
from project import DEEP, ROOT

# Where HTML names what a browser loads without being asked.
LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
# Links that only say where something is.
UNLOADED = {"author", "canonical", "index", "license", "next", "prev", "search"}
IN_CSS = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")


def in_css(text):
    return [first or second for first, second in IN_CSS.findall(text)]


class Page(HTMLParser):
    """The addresses that a page loads, the links that it shows, and the anchors that it has."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.anchors, self.styled = [], [], set(), False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.styled = tag == "style"
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        self.loads += in_css(given.get("style", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and set(given.get("rel", "").split()) <= UNLOADED:
            return
        for name in LOADED.get(tag, ()):
            several = given.get(name, "").split(",") if name == "srcset" else [given.get(name, "")]
            self.loads += [part.split()[0] for part in several if part.split()]

    def handle_data(self, data):
        if self.styled:
            self.loads += in_css(data)


def is_elsewhere(address):
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in {"", "data"}


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"),
            *("-d", folder / "doctrees", ROOT / "docs", folder / "html"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def built(html):
    return {path: Page(path.read_text(encoding="utf-8")) for path in html.rglob("*.html")}


def test_documentation_builds_without_warnings(html):
    assert (html / "index.html").exists()


def test_nothing_is_loaded_from_another_host(html, built):
    loaded = [(path, address) for path, page in built.items() for address in page.loads]
    for path in html.rglob("*.css"):
        loaded += [(path, address) for address in in_css(path.read_text(encoding="utf-8"))]
    assert loaded
    assert [(str(p.relative_to(html)), a) for p, a in loaded if is_elsewhere(a)] == []


def test_what_pages_load_is_there(html, built):
    missing = [
        (str(path.relative_to(html)), address)
        for path, page in built.items()
        for address in page.loads
        if not is_elsewhere(address) and not address.startswith(("#", "data:"))
        if not (path.parent / unquote(urlsplit(address).path)).is_file()
    ]
    assert missing == []


def test_each_link_between_pages_arrives(html, built):
    """The page is there, and its anchor."""
    lost = []
    for path, page in built.items():
        for address in page.links:
            parts = urlsplit(address)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if is_elsewhere(address) or not target.is_relative_to(html):
                continue
            anchors = built[target].anchors if target in built else set()
            found = target.is_file() and (not parts.fragment or unquote(parts.fragment) in anchors)
            if not found:
                lost.append((str(path.relative_to(html)), address))
    assert lost == []


def test_each_equation_leads_to_its_code(html, built):
    """On the page of equations, each row of the table is a link to an equation above code."""
    index = built[html / "equations.html"]
    for key in equations.rows(equations.TABLE.read_text(encoding="utf-8")):
        address = f"{page_of(key.file)}.html#{anchor_of(key)}"
        assert address in index.links
        assert anchor_of(key) in built[html / f"{page_of(key.file)}.html"].anchors


def test_side_by_side_pages_show_the_source(html):
    """Code stands as it is, with its line numbers, and its equations are typeset beside it."""
    page = (html / "book" / "signs.html").read_text(encoding="utf-8")
    shown = unescape(re.sub(r"<[^>]*>", "", page))
    source = (ROOT / "reference" / "signs.py").read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(source, 1) if "# Eq. (2), BiLLM:" in line)
    for number in (at, at + 1):
        assert f"{number}{source[number - 1]}" in re.sub(r"(?m)^ *(\d+)", r"\1", shown)
    assert r"\operatorname{sign} \left( x \right)" in shown


# All equations, and long ones beside code.
NARROW = ("equations", "book/bounds/hessian")


@pytest.mark.skipif(browser.BROWSER is None, reason="there is no Chromium on this machine")
def test_pages_are_whole_on_a_phone(html, tmp_path):
    """Nothing is wider than the screen, and every formula is typeset, without a network."""
    every = html.rglob("book/**/*.html") if DEEP else ()
    for path in sorted({*every, *(html / f"{name}.html" for name in NARROW)}):
        seen = browser.seen(path, tmp_path, width=390)
        assert seen["needed"] <= seen["width"] < 400, path
        assert seen["tables"] == 0, path
        assert seen["typeset"] == seen["formulas"], path
        assert seen["errors"] == seen["tex"] == [], path


def test_mathematics_is_typeset_by_the_pages_own_script(built):
    having = [page for path, page in built.items() if path.name == "design.html"]
    assert having
    assert all(any("tex-svg.js" in address for address in page.loads) for page in having)


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://example.org/a.js"></script>',
        '<link rel="stylesheet" href="//example.org/a.css">',
        '<img src="a.png" srcset="a.png 1x, https://example.org/a.png 2x">',
        "<style>@import 'https://example.org/a.css';</style>",
        "<p style=\"background: url('http://example.org/a.png')\"></p>",
        "<style>@font-face { src: url(https://example.org/a.woff2) }</style>",
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(text):
    assert any(is_elsewhere(address) for address in Page(text).loads)


def test_a_link_is_not_loaded():
    text = '<a href="https://example.org"></a><link rel="canonical" href="https://example.org">'
    assert Page(text).loads == []
