"""ERRATA.md has one entry for every switch, with the effect that was measured."""

import importlib.util
import json
import re

import pytest

from project import ROOT
from subbit.reference.arb_llm import ARBLLM
from subbit.reference.baselines.gptq import GPTQ
from subbit.reference.baselines.pb_llm import PBLLM
from subbit.reference.billm import BiLLM
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
    fields = set(config().switches()) - set(NO_SWITCH[config])
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
    assert f"<!-- measured: {key} --> {_measuring().measured_line(effects)} <!-- end -->" in text


def _measuring():
    spec = importlib.util.spec_from_file_location("measuring", ROOT / "docs/measure/measuring.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "key"), SWITCHES, ids=[key for _, key in SWITCHES])
def test_both_settings_differ(name, key):
    effects = MEASURED[name]["switches"][key]
    default = CONFIG[name]().switches()[effects["field"]]
    assert type(default).__name__ in {"bool", "int", "float", "str", "tuple"}
    if "before" in effects["to_code"]:
        assert all(effects[e]["before"] != effects[e]["after"] for e in ("to_code", "to_paper"))
    else:
        assert effects["paper"] != effects["code"]
