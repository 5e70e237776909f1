"""What docs/stbllm.md states of attention sinks is what was measured."""

import json

import numpy as np
import pytest
import sinks

from project import ROOT
from subbit import reference

KNOWN = json.loads(sinks.RESULTS.read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/stbllm.md").read_text(encoding="utf-8")


def test_page_shows_what_was_measured():
    made = {
        "sinks": sinks.token_table(KNOWN["tokens"]),
        "values": sinks.variant_table(KNOWN["variants"]),
        "ranks": sinks.rank_line(KNOWN["variants"]),
    }
    for name, text in made.items():
        assert f"<!-- {name} -->\n\n{text}\n\n<!-- end -->" in PAGE


def test_text_states_what_was_measured():
    e = KNOWN["tokens"]["corrected"]
    assert f"a few others, {e['tokens']:.0%} of all" in PAGE
    assert f"{e['attention']:.0%} of their attention" in PAGE
    assert f"{e['values']:.2%} of the energy" in PAGE
    assert f"they have {e['share of the sinks']:.0%} of the squared" in PAGE


def test_everything_was_measured():
    assert set(KNOWN["tokens"]) == set(sinks.PRESETS)
    calibrated = {f"`{name}`, {sinks.ATTENDED}" for name in ("corrected", "paper")}
    assert set(KNOWN["variants"]) == {*sinks.changed(), *calibrated}


def test_perplexity_follows_the_error_that_leaves_attention():
    """And not the layer error, as the page says."""
    found = sinks.ranks(KNOWN["variants"])
    assert found["attended"] > 0.8
    assert found["calibration"] < 0.5


def test_presets_differ_in_what_is_turned():
    """Apart from dead inputs, of which there are none."""
    found = (sinks.CORRECTED.switches(), sinks.PAPER.switches())
    differing = {name for name in found[0] if found[0][name] != found[1][name]}
    assert {f for fields in sinks.TURNED.values() for f in fields} == differing - {"dead_inputs"}


@pytest.mark.parametrize("groups", [1, 2])
def test_share_is_the_relative_error_of_each_group(groups):
    rng = np.random.default_rng(0)
    W, D = rng.normal(size=(2, 4, 6))
    X = rng.normal(size=(groups, 9, 6))
    H = X.swapaxes(1, 2) @ X
    rows = 4 // groups
    parts = [slice(g * rows, (g + 1) * rows) for g in range(groups)]
    made, whole = (
        sum(np.square(X[g] @ a[part].T).sum() for g, part in enumerate(parts)) for a in (D, W)
    )
    assert sinks.share(D, W, H) == pytest.approx(made / whole)
    if groups == 1:
        assert sinks.share(D, W, H) == pytest.approx(reference.relative_error(W, W - D, H[0]))
