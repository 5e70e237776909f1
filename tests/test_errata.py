"""ERRATA.md has one entry for every switch, with the effect that was measured."""

import dataclasses
import importlib.util
import json
import re
from pathlib import Path

import pytest

from subbit.reference.billm import BiLLM

ROOT = Path(__file__).resolve().parents[1]
ERRATA = (ROOT / "ERRATA.md").read_text(encoding="utf-8")
MEASURED = json.loads((ROOT / "docs/measured/billm.json").read_text(encoding="utf-8"))
# Sizes that both sides share.
NO_SWITCH = {"block_size", "percdamp"}


def _entries() -> dict[str, str]:
    parts = re.split(r"^### (B-\d+): .*$", ERRATA, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_switch_has_one_entry() -> None:
    named = re.findall(r"^: `BiLLM\.(\w+)`", ERRATA, flags=re.MULTILINE)
    fields = {field.name for field in dataclasses.fields(BiLLM)} - NO_SWITCH
    assert sorted(named) == sorted(fields)


@pytest.mark.parametrize("entry", sorted(MEASURED["switches"]))
def test_entry_states_what_was_measured(entry: str) -> None:
    effects = MEASURED["switches"][entry]
    text = _entries()[entry]
    assert f"`BiLLM.{effects['field']}`" in text
    if "<!-- measured" not in text:
        assert effects["to_code"]["least"] == effects["to_code"]["most"] == 1.0
        return
    assert _script().measured_line(effects) in text


def _script() -> object:
    spec = importlib.util.spec_from_file_location("measure", ROOT / "docs/measure_billm.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_settings_are_those_that_billm_has() -> None:
    for effects in MEASURED["switches"].values():
        default = getattr(BiLLM(), effects["field"])
        assert type(default).__name__ in {"bool", "int", "str", "tuple"}
        assert effects["paper"] != effects["code"]
