"""The documentation builds without a warning; apart, so that another process can do it."""

import json
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urlsplit

import browser
import pytest
from book import anchor_of, page_of

import equations
from project import ROOT, some

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


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if browser.BROWSER is None:
        pytest.skip(browser.WITHOUT)
    with browser.opened(tmp_path_factory.mktemp("browser")) as found:
        yield found


def faults(tab, address, keep):
    """What is wrong with a page on a desk in light and on a phone in the dark."""
    found = {}
    for width, theme in ((1280, "light"), (390, "dark")):
        tab.show(width, theme)
        if theme == "light":
            tab.open(address)
        seen = tab.run("seen.layout()")
        found |= {f"{width}, {kind}": seen[kind] for kind in ("errors", "tex", "wide")}
        found[f"{width}, page"] = seen["needed"] > seen["width"]
        found[f"{width}, not typeset"] = seen["formulas"] - seen["typeset"]
        found[f"{theme}, faint"] = tab.run("seen.faint()")
        if keep:
            tab.photograph(SCREENSHOTS / f"{keep}-{width}-{theme}.png")
    for image in tab.run("seen.images()"):
        clip = {key: image[key] for key in ("x", "y", "width", "height")}
        edge = tab.run(f"seen.edge({json.dumps(tab.photograph(None, **clip))})")
        found |= {f"{image['src']} is white in the dark": edge} if edge > 0.5 else {}
    found |= {"asked of others": tab.outside(), "complaints": tab.complaints}
    return {kind: what for kind, what in found.items() if what}


WHITE = (
    "<svg xmlns='http://www.w3.org/2000/svg'><rect width='300' height='150' fill='white'/></svg>"
)


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("<p>fine</p>", set()),
        ("<script src='https://example.org/a.js'></script>", {"asked of others", "complaints"}),
        ("<script>fetch('https://example.org/a')</script>", {"asked of others", "complaints"}),
        ("<script>console.error('no')</script>", {"complaints"}),
        ("<script>null.x</script>", {"complaints"}),
        ("<p>it is \\frac{1}{2}</p>", {"1280, tex", "390, tex"}),
        ("<p>and $x_i$ too</p>", {"1280, tex", "390, tex"}),
        ("<p><span class='math'>x</span></p>", {"1280, not typeset", "390, not typeset"}),
        ("<div style='width: 800px'>wide</div>", {"390, page"}),
        (f"<div style='overflow-x: auto'><table><td>{'x' * 99}</table></div>", {"390, wide"}),
        ("<p style='color: #888'>faint</p>", {"light, faint"}),
        ("<p style='color: #444'>faint</p>", {"dark, faint"}),
        (f'<img src="data:image/svg+xml,{quote(WHITE)}">', {"white in the dark"}),
    ],
)
def test_what_is_wrong_with_a_page_is_seen(tab, tmp_path, body, kinds):
    style = (
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width'><style>"
        "@media (prefers-color-scheme: dark) { body { background: #131416; color: #ddd } }</style>"
    )
    (tmp_path / "page.html").write_text(f"<!doctype html>{style}<article>{body}</article>", "utf-8")
    seen = faults(tab, (tmp_path / "page.html").as_uri(), None)
    assert {"white in the dark" if "white" in kind else kind for kind in seen} == kinds, seen


# Of all pages a share is opened, and those that have been hard to fit.
HARD = (
    *("book/bounds/hessian", "book/compensate", "equations", "errata", "onepage/arb_llm"),
    *("pbs2p", "scoreboard", "stbllm", "tutorial", "typed"),
)
SCREENSHOTS = ROOT / "build" / "screenshots"
KEPT = ("billm", "book/groups/arb_rc", "equations", "index", "notation", "scoreboard")


def test_pages_look_as_they_should(html, tab):
    """Nothing is cut off or faint, everything is typeset, and nothing leaves the machine."""
    every = sorted(str(p.relative_to(html))[:-5] for p in html.rglob("*.html"))
    names = sorted({*some(every, every=32), *HARD, *KEPT})
    assert len(names) > 20
    keep = {name: name.replace("/", "-") for name in KEPT}
    bad = {n: faults(tab, (html / f"{n}.html").as_uri(), keep.get(n)) for n in names}
    assert {name: what for name, what in bad.items() if what} == {}


# The page goes to the equation when its formulas are typeset.
SEEN_SOON = """(async () => {
  for (let frame = 0; frame < 300; frame++) {
    const { top, bottom } = document.querySelector(":target").getBoundingClientRect();
    if (top >= 0 && bottom <= innerHeight) return true;
    await new Promise((done) => requestAnimationFrame(done));
  }
  return false;
})()"""


def test_from_the_first_page_to_the_line_of_an_equation(html, tab):
    """The first page, the equations of BiLLM by number, both lines of (13), one of them."""
    tab.show(1280, "light")
    tab.open((html / "index.html").as_uri())
    tab.follow('article a[href="equations.html"]')
    tab.follow('.book-numbers a[title="BiLLM, Eq. (13)"]')
    assert tab.run("location.hash") == "#of-billm-eq-13"
    tab.follow('a[href="book/zones/search.html#billm-eq-13-search-best"]')
    beside = tab.run(
        """(() => {
          const row = document.querySelector(":target").closest(".book-row");
          const [left, right] = [".book-tag", ".book-right pre"].map((s) => row.querySelector(s));
          const [a, b] = [left, right].map((part) => part.getBoundingClientRect());
          return { known: left.querySelector(".book-standing").textContent,
                   symbols: seen.all(".book-where a", left).map((a) => a.textContent),
                   behind: seen.all(".book-behind a", row).length,
                   code: right.textContent, apart: Math.abs(a.top - b.top) };
        })()"""
    )
    assert beside["known"] == "read in the paper"
    assert "return int(np.argmin(self.objectives))" in beside["code"]
    assert {"p", "θ"} <= set(beside["symbols"])
    assert beside["behind"] > 3
    assert beside["apart"] < 20
    assert tab.run(SEEN_SOON)
    tab.follow(".book-tag:target .book-where a")
    assert tab.run("document.querySelector(':target').textContent").split()[0] == "p"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("arb_rc", "api/reference.groups.arb_rc.html#subbit.reference.groups.arb_rc.arb_rc"),
        ("Eq. (13), BiLLM", "book/zones/split.html#billm-eq-13-breakpoint-grid"),
        ("trisection", "api/reference.zones.trisection.html#subbit.reference.zones.trisection."),
        ("payload bits", "api/reference.storage.bits.html#subbit.reference.storage.bits.payload"),
        ("BiLLM", "billm.html"),
    ],
)
def test_a_search_lands_on_the_right_page(html, tab, query, expected):
    assert results(html, tab, query)[0].startswith(expected)


def results(html, tab, query):
    """The addresses that a search lists, without a server."""
    tab.open(f"{(html / 'search.html').as_uri()}?q={quote(query)}")
    return tab.run(
        """new Promise((done) => {
          const look = () => {
            const links = seen.all("#search-results li a").map((a) => a.getAttribute("href"));
            const said = document.querySelector(".search-summary")?.textContent;
            said ? done(links) : setTimeout(look, 20);
          };
          look();
        })"""
    )


def test_a_search_for_a_number_lists_the_papers_that_have_it(html, tab):
    first = results(html, tab, "Eq. (13)")[:5]
    assert sum("#billm-eq-13-" in address for address in first) == 2
    assert sum("#arb-llm-eq-13-" in address for address in first) == 3


def test_places_of_the_one_page_that_the_api_was_are_found(html, tab):
    address = (html / "api.html").as_uri() + "#subbit.reference.groups.arb.refine_mean"
    tab.open(address)
    moved = "api/reference.groups.arb.html#subbit.reference.groups.arb.refine_mean"
    tab.run("new Promise((done) => setTimeout(done, 100))")
    while not tab.run("location.href").endswith(moved):
        tab.hear()
    assert tab.run("document.querySelector(':target') !== null")


def test_each_page_is_in_the_navigation_beside_it(html, built):
    for name in ("book/zones/split", "api/reference.zones.split", "conformance", "index"):
        text = (html / f"{name}.html").read_text(encoding="utf-8")
        assert text.count("current-page") == (name != "index"), name
    links = built[html / "book" / "zones" / "split.html"].links
    assert {"../../index.html", "trisection.html", "../zones.html", "../../api.html"} <= set(links)
    assert "../groups/arb.html" not in links


def test_names_in_code_and_tables_lead_to_their_pages(html, built):
    links = built[html / "book" / "groups" / "arb_rc.html"].links
    assert "arb.html#reference-groups-arb-joint-signs" in links
    assert "#reference-groups-arb-rc-plane" in links
    assert "../../book/zones/salient.html#reference-zones-salient-salient-search" not in links
    chapter = built[html / "billm.html"].links
    assert "book/zones/salient.html#reference-zones-salient-salient-search" in chapter
    theorem = built[html / "book" / "conformance" / "theorems" / "test_arb_rc.html"].links
    assert any(link.endswith("arb_rc.html#reference-groups-arb-rc-arb-rc") for link in theorem)


@pytest.mark.parametrize(("factor", "code"), [(1, 0), (2, 1)])
def test_reports_of_checks_look_as_they_should(tab, run, few, make_port, tmp_path, factor, code):
    """A page of a port that passes, and of one that fails, with its failures in view."""
    few("proxy_loss", "sign")
    name = make_port(f"def proxy_loss(W, Q, H): return {factor} * reference.proxy_loss(W, Q, H)")
    made = run(name, "--depth", "quick", "--html", tmp_path / "out.html")
    assert made.exit_code == code, made.output
    assert faults(tab, (tmp_path / "out.html").as_uri(), f"report-{code}") == {}
    tab.show(1280, "light")
    texts = tab.run('seen.all("h1, h2").map((part) => part.textContent)')
    assert texts[1] == ("Failures" if code else "Summary")
    if code:
        box = tab.run('document.querySelector(".failure").getBoundingClientRect().toJSON()')
        assert box["bottom"] < 900


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
