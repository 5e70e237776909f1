"""ERRATA.md has one entry for every switch, with the effect that was measured."""

import json
import re
import subprocess

import browser
import entries
import measuring
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from myst_parser.docutils_ import Parser

from project import ROOT, pages, relative
from subbit.reference.arb_llm import ARBLLM
from subbit.reference.baselines.gptq import GPTQ
from subbit.reference.baselines.pb_llm import PBLLM
from subbit.reference.billm import BiLLM
from subbit.reference.contracts.settings import later_settings
from subbit.reference.stbllm import STBLLM

ERRATA = (ROOT / "ERRATA.md").read_text(encoding="utf-8")
MEASURED = {
    name: json.loads((ROOT / f"docs/measured/{name}.json").read_text(encoding="utf-8"))
    for name in ("arb", "billm", "stbllm")
}
SWITCHES = [(name, key) for name in sorted(MEASURED) for key in sorted(MEASURED[name]["switches"])]
CONFIG = {"arb": ARBLLM, "billm": BiLLM, "stbllm": STBLLM}
# Fields that are no difference between paper and code, and why.
NO_SWITCH = {
    BiLLM: {
        "block_size": "both sides share it",
        "percdamp": "both sides share it",
    },
    ARBLLM: {
        "block_size": "both sides share it",
        "percdamp": "both sides share it",
        "iterations": "both sides share it",
        "calibrated_iterations": "both sides share it",
        "center": "both sides subtract means",
        "closed": "the paper is silent; B-11 has what it does",
        "dead_inputs": "B-13 has what it does",
        "algorithm": "which of the family's methods",
        "column_groups": "which of the family's methods",
        "splits": "which of the family's methods",
        "levels": "ours, in neither paper nor code",
    },
    STBLLM: {
        "block_size": "both sides share it",
        "percdamp": "both sides share it",
        "center": "B-1 has what it does",
        "sign_zero": "B-2 has what it does",
        "score": "B-3 has what it does",
        "search_on": "B-5 has what it does",
        "grid": "B-7 has what it does",
        "search_orders": "B-8 has what it does",
        "counts": "B-9 has what it does",
        "compensation": "B-10 has what it does",
        "closed": "B-11 has what it does",
        "dead_inputs": "B-13 has what it does",
        "tail": "both sides demand a width that M divides",
        "regions": "which of the family's methods",
        "factor": "both sides share it",
        "levels": "both sides share it",
        "fallback": "ours, in neither paper nor code",
    },
    GPTQ: {
        "bits": "a setting of both sides",
        "group_size": "a setting of both sides",
        "activation_order": "a setting of both sides",
        "block_size": "both sides share it",
        "percdamp": "both sides share it",
    },
    PBLLM: {
        "low_share": "a setting of both sides",
        "high_bits": "a setting of both sides",
        "score": "a setting of both sides",
        "block_size": "both sides share it",
        "percdamp": "both sides share it",
    },
}


def _entries():
    parts = re.split(r"^##(?:# ([BDSPL]-\d+b?):)? .*$", ERRATA, flags=re.MULTILINE)
    return {name: text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name}


def _switches(text):
    """Fields named in an entry's paragraph on switches, with their configuration."""
    paragraph = re.search(r"^Switch\n: (.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"`([A-Z]\w+)\.(\w+)`", paragraph[1]) if paragraph else []


@pytest.mark.parametrize("config", [ARBLLM, BiLLM, GPTQ, PBLLM, STBLLM])
def test_every_switch_has_one_entry(config):
    named = [field for text in _entries().values() for field in _switches(text)]
    # What came later is beyond papers and codes.
    fields = set(config().switches()) - set(NO_SWITCH[config]) - later_settings(config)
    assert sorted(f for owner, f in named if owner == config.__name__) == sorted(fields)
    assert {owner for owner, _ in named} == {c.__name__ for c in NO_SWITCH}


@pytest.mark.parametrize("config", [ARBLLM, BiLLM, GPTQ, PBLLM, STBLLM])
def test_fields_without_a_switch_exist(config):
    assert set(NO_SWITCH[config]) < set(config().switches())


def test_every_difference_has_an_entry():
    headings = " ".join(re.findall(r"^### .*$", ERRATA, flags=re.MULTILINE))
    missing = [n for n in range(1, 19) if not re.search(rf"D-{n}\b", headings)]
    assert not missing
    assert "D-8b" in headings


@pytest.mark.parametrize(("name", "key"), SWITCHES, ids=[key for _, key in SWITCHES])
def test_entry_states_what_was_measured(name, key):
    effects = MEASURED[name]["switches"][key]
    text = _entries()[key.split()[0]]
    assert (CONFIG[name].__name__, effects["field"]) in _switches(text)
    if "<!-- measured" not in text:
        assert effects["to_code"]["least"] == effects["to_code"]["most"] == 1.0
        return
    line = measuring.measured_line(key, effects)
    assert f"<!-- measured: {key} -->\n  {line}\n  <!-- end -->" in text


def test_every_entry_helps_to_choose():
    """Those of a table change no result, and say so."""
    silent = [
        name for name, (_, text) in entries.entries(ERRATA).items() if "\nChoice\n: " not in text
    ]
    assert all("change no result" in entries.entries(ERRATA)[name][1] for name in silent)
    assert len(silent) == 3


@pytest.mark.parametrize("path", pages(), ids=relative)
def test_no_text_stands_behind_a_comment(path):
    """A line that begins with an HTML comment is HTML to its end, and shows its Markdown bare."""
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^[ :>]*<!--[^>]*-->[^\n]*[`*\[][^\n]*$", text, re.MULTILINE) == []


def test_the_page_shows_no_markup():
    page = publish_doctree(
        ERRATA,
        parser=Parser(),
        settings_overrides={"myst_enable_extensions": ["deflist"], "myst_heading_anchors": 3},
    )
    shown = [
        text
        for text in page.findall(nodes.Text)
        if not isinstance(text.parent, nodes.literal) and re.search(r"`|\*\*|\]\(", text)
    ]
    assert shown == []
    links = {link["refuri"] for link in page.findall(nodes.reference) if "refuri" in link}
    anchors = {f"#{slug}" for section in page.findall(nodes.section) for slug in section["names"]}
    assert not {link for link in links if link.startswith("#")} - anchors


TABLE = re.search(r"<!-- all entries -->\n\n(.*?)\n\n<!-- end -->", ERRATA, re.DOTALL)[1]


def test_table_has_all_entries_as_they_were_measured():
    assert entries.entry_table(ERRATA) == TABLE
    known = json.loads(measuring.ENTRIES.read_text(encoding="utf-8"))
    assert set(known["switches"]) == set(entries.effects())
    named = [row.split("](#")[0].removeprefix("| [") for row in TABLE.splitlines()[2:]]
    assert list(dict.fromkeys(named)) == list(entries.entries(ERRATA))


def test_table_says_what_was_not_measured(tmp_path, monkeypatch):
    known = json.loads(measuring.ENTRIES.read_text(encoding="utf-8"))
    known["points"] = {"billm": {"perplexity": 18.0, "payload": 2.5}}
    monkeypatch.setattr(measuring, "ENTRIES", tmp_path / "errata.json")
    measuring.ENTRIES.write_text(json.dumps(known), encoding="utf-8")
    rows = entries.entry_table(ERRATA).splitlines()
    first = next(row for row in rows if "`center`" in row)
    assert first.endswith("| -0.014 | not measured | 18.00 | not measured |")
    assert next(row for row in rows if row.startswith("| [D-4]")).endswith("| none |" + " - |" * 5)


def test_brittleness_is_that_of_both_tables():
    here, there = re.search(r"`billm:paper` has (\S+) here and (\S+) on", ERRATA).groups()
    known = json.loads(measuring.ENTRIES.read_text(encoding="utf-8"))
    assert here == f"{known['points']['billm']['perplexity']:.2f}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| billm:paper | {there} |" in readme


SORTED = """<!doctype html><section id="all-entries"><table>
<thead><tr><th>entry</th><th>error</th></tr></thead>
<tbody>{rows}</tbody></table></section>
<script src="{script}"></script>
<script>addEventListener("load", () => {{
  const seen = [];
  const names = () => [...document.querySelectorAll("td:first-child")].map((x) => x.textContent);
  for (const column of [0, 1, 1]) {{
    const button = document.querySelectorAll("th button")[column];
    button.focus();
    if (document.activeElement === button) button.click();
    seen.push([names(), button.closest("th").getAttribute("aria-sort")]);
  }}
  document.body.setAttribute("data-seen", JSON.stringify(seen));
}});</script>
"""


@pytest.mark.skipif(browser.BROWSER is None, reason="there is no Chromium on this machine")
def test_table_sorts_numbers_as_numbers(tmp_path):
    cells = {"B-10": "×1.184", "B-2": "-0.5", "B-9": "-", "B-1": "×10.5", "D-1": "not measured"}
    rows = "".join(f"<tr><td>{name}</td><td>{cell}</td></tr>" for name, cell in cells.items())
    page = tmp_path / "page.html"
    script = (ROOT / "docs/_ext/sort.js").as_uri()
    page.write_text(SORTED.format(rows=rows, script=script), encoding="utf-8")
    result = subprocess.run(
        [
            *(browser.BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--disable-background-networking", "--virtual-time-budget=5000", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    seen = re.search(r'data-seen="([^"]*)"', result.stdout)[1].replace("&quot;", '"')
    assert json.loads(seen) == [
        [["B-1", "B-2", "B-9", "B-10", "D-1"], "ascending"],
        [["B-2", "B-10", "B-1", "B-9", "D-1"], "ascending"],
        [["B-1", "B-10", "B-2", "B-9", "D-1"], "descending"],
    ]


@pytest.mark.parametrize(("name", "key"), SWITCHES, ids=[key for _, key in SWITCHES])
def test_both_settings_differ(name, key):
    effects = MEASURED[name]["switches"][key]
    default = CONFIG[name]().switches()[effects["field"]]
    assert type(default).__name__ in {"bool", "int", "float", "str", "tuple"}
    if "before" in effects["to_code"]:
        assert all(effects[e]["before"] != effects[e]["after"] for e in ("to_code", "to_paper"))
    else:
        assert effects["paper"] != effects["code"]
