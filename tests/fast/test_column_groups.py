"""The column-group bitmap on a device: the reference's groups under every switch."""

from dataclasses import replace

import numpy as np
import pytest
from fast_inputs import hessian, smooth

from subbit import fast, reference
from subbit.fast.launches import column_groups as zones
from subbit.fast.launches import searches
from subbit.reference import ColumnGroups
from subbit.reference.errors import ArgumentError

PLAIN = ColumnGroups(grid="quantiles", closed=False)
ZONES = PLAIN.changed(bitmap="zones")
VARIANTS = {
    "shared": PLAIN,
    "zones": ZONES,
    "tenths": ZONES.changed(grid="maximum", closed=True),
    "breakpoints": PLAIN.changed(grid="breakpoints", center=True),
    "with zeros": ZONES.changed(grid="quantiles_with_zeros", center=True),
    "with zeros, shared": PLAIN.changed(grid="quantiles_with_zeros"),
    "scores": ZONES.changed(search_on="scores", split_by="scores", sign_zero=0),
    "cut by scores": PLAIN.changed(split_by="scores"),
    "salient whole": ZONES.changed(column_groups=False),
    "salient whole, twice": PLAIN.changed(column_groups=False, splits=2),
    "shared, twice": PLAIN.changed(splits=2),
    "zones, three times": ZONES.changed(splits=3),
    "kept": ZONES.changed(splits=3, minimum="kept"),
    "kept, rows and columns": ZONES.changed(
        splits=3, minimum="kept", taken_error="row_column", grid="maximum"
    ),
    "outputs": ZONES.changed(split_error="outputs"),
    "outputs, salient whole": ZONES.changed(split_error="outputs", column_groups=False),
    "outputs, twice": ZONES.changed(split_error="outputs", splits=2),
    "outputs, kept": ZONES.changed(split_error="outputs", splits=2, minimum="kept"),
    "outputs, shared": PLAIN.changed(split_error="outputs"),
}


def block(shape=(7, 60), seed=0):
    W, S = smooth(shape, seed), smooth(shape, seed + 1) ** 2
    rng = np.random.default_rng(seed + 2)
    W, S = (x.astype(np.float32).astype(np.float64) for x in (W, S))
    return W, S, rng.random(shape[1]) < 0.9, rng.random(shape[1]) < 0.3


def as_text(found):
    """Names, orders and masks in a form that compares."""
    return [(zone.name, zone.order, zone.mask.astype(int).tolist()) for zone in found]


def both(port, *arguments, **switches):
    ours = port.choose_column_groups(*arguments, **switches)
    theirs = reference.choose_column_groups(*arguments, **switches)
    shape = arguments[0].shape
    theirs = [replace(zone, mask=np.broadcast_to(zone.mask, shape)) for zone in theirs]
    return as_text(ours), as_text(theirs)


def gram_and_image(W, alive, salient):
    return {"gram": hessian(W.shape[1], 3) / 2, "image": np.where(alive & salient, 0.8 * W, 0.0)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_groups_are_those_of_the_reference(port, variant):
    W, S, alive, salient = block((4, 40), 1)
    switches = gram_and_image(W, alive, salient)
    ours, theirs = both(port, W, S, alive, salient, VARIANTS[variant], **switches)
    assert ours == theirs


@pytest.mark.parametrize("variant", ["zones", "with zeros", "shared, twice", "outputs"])
def test_wide_blocks(port, variant):
    W, S, alive, salient = block((2, 140))
    switches = gram_and_image(W, alive, salient)
    ours, theirs = both(port, W, S, alive, salient, VARIANTS[variant], **switches)
    assert ours == theirs


def test_the_variants_choose_different_groups():
    """Otherwise a switch without effect would go unnoticed."""
    W, S, alive, salient = block((4, 40), 1)
    switches = gram_and_image(W, alive, salient)
    texts = {}
    for name, config in VARIANTS.items():
        if "kept" not in name:
            found = reference.choose_column_groups(W, S, alive, salient, config, **switches)
            texts[name] = str([np.broadcast_to(z.mask, W.shape).tolist() for z in found])
    assert texts.pop("outputs, shared") == texts["shared"]
    assert len(set(texts.values())) == len(texts)


def test_the_image_of_salient_entries_counts(port):
    W, S, alive, salient = block((4, 40), 1)
    switches = gram_and_image(W, alive, salient)
    ours, theirs = both(port, W, S, alive, salient, VARIANTS["outputs"], gram=switches["gram"])
    assert ours == theirs
    assert ours != both(port, W, S, alive, salient, VARIANTS["outputs"], **switches)[0]


JUDGED = ZONES.changed(splits=3, search_on="scores", center=True)
"""Where a further cut may be worse than none."""


@pytest.mark.parametrize("seed", [50, 52])
def test_what_is_cut_off_counts_by_its_initial_values(port, seed):
    config = JUDGED.changed(split_by="scores", minimum="kept")
    W, S, alive, _ = block((6, 24), seed)
    none, texts = np.zeros(24, dtype=bool), []
    for taken in ("residual", "row_column"):
        ours, theirs = both(port, W, S, alive, none, config.changed(taken_error=taken))
        assert ours == theirs
        texts.append(ours)
    assert texts[0] != texts[1]


@pytest.mark.parametrize("seed", [65, 76])
def test_a_cut_has_to_beat_all_before_not_the_last(port, seed):
    config = JUDGED.changed(split_by="scores", grid="maximum", splits=4, minimum="kept")
    W, S, alive, _ = block((2, 12), seed)
    none = np.zeros(12, dtype=bool)
    ours, theirs = both(port, W, S, alive, none, config.changed(taken_error="row_column"))
    assert ours == theirs


def test_what_is_cut_off_counts_by_weights_and_the_rest_by_outputs(port):
    """The released sum has two units; which part leads depends on the inputs' scale."""
    W, S, alive, salient = block((4, 30))
    texts = []
    for power in (-20, 0):
        gram = np.ldexp(hessian(30, 3), power)
        ours, theirs = both(port, W, S, alive, salient, VARIANTS["outputs, kept"], gram=gram)
        assert ours == theirs
        texts.append(ours)
    assert texts[0] != texts[1]


def test_zeros_of_the_salient_zone_are_no_sample(port):
    W, S, alive, salient = block((4, 40))
    W[:, salient] *= np.random.default_rng(0).random((4, np.count_nonzero(salient))) < 0.1
    for columns in (salient, salient & (W == 0.0).all(axis=0)):
        ours, theirs = both(port, W, S, alive, columns, VARIANTS["with zeros"])
        assert ours == theirs


@pytest.mark.parametrize("seed", [50, 60])
def test_a_further_cut_has_to_beat_those_before(port, seed):
    W, S, alive, _ = block((2, 12), seed)
    everything, texts = np.ones(12, dtype=bool), []
    for minimum in ("reset", "kept"):
        config = JUDGED.changed(grid="maximum", minimum=minimum)
        ours, theirs = both(port, W, S, alive, everything, config)
        assert ours == theirs
        texts.append(ours)
    assert texts[0] != texts[1]


@pytest.mark.parametrize("variant", ["shared", "zones", "outputs", "kept", "tenths"])
@pytest.mark.parametrize("columns", ["none", "all", "dead"])
def test_empty_zones(port, variant, columns):
    W, S, alive, _ = block((3, 30))
    salient = np.full(30, columns == "all")
    if columns == "dead":
        alive = np.zeros(30, dtype=bool)
    ours, theirs = both(port, W, S, alive, salient, VARIANTS[variant], gram=np.eye(30))
    assert ours == theirs


@pytest.mark.parametrize("config", [PLAIN, ZONES, ZONES.changed(column_groups=False)])
@pytest.mark.parametrize("splits", [1, 2])
def test_numbers_say_which_group(config, splits):
    groups = zones.groups_of(config.changed(splits=splits))
    W, S, alive, salient = block()
    expected = reference.choose_column_groups(W, S, alive, salient, config.changed(splits=splits))
    assert groups.names == tuple(zone.name for zone in expected)
    assert groups.orders == tuple(zone.order for zone in expected)
    assert groups.salient == tuple(i + 1 for i, name in enumerate(groups.names) if "sal" in name)
    assert groups.bits == (3 if len(groups.names) > 3 else 2)


def test_both_zones_are_searched_in_one_launch(port, monkeypatch):
    W, S, alive, salient = block()
    launches = []
    real = searches.over_rows

    def counted(device, which, *arguments):
        launches.append((which.entry, arguments[2:]))
        real(device, which, *arguments)

    monkeypatch.setattr(searches, "over_rows", counted)
    port.choose_column_groups(W, S, alive, salient, ZONES)
    assert launches == [("split_errors", (162,)), ("cut_zones", ())]


def test_outputs_need_a_gram_matrix(port):
    W, S, alive, salient = block()
    with pytest.raises(ArgumentError, match="gram: expected"):
        port.choose_column_groups(W, S, alive, salient, VARIANTS["outputs"])
    with pytest.raises(ArgumentError, match="gram: expected"):
        port.choose_column_groups(W, S, alive, salient, VARIANTS["outputs"], gram=np.eye(3))


@pytest.mark.parametrize("power", [-60, 60])
@pytest.mark.parametrize("variant", ["shared", "kept", "kept, rows and columns", "outputs, kept"])
def test_powers_of_two_change_no_choice(port, variant, power):
    W, S, alive, salient = block((4, 30))
    gram, config = hessian(30, 3) / 2, VARIANTS[variant]
    plain = port.choose_column_groups(W, S, alive, salient, config, gram=gram)
    moved = port.choose_column_groups(
        np.ldexp(W, power), np.ldexp(S, power), alive, salient, config, gram=gram
    )
    assert as_text(moved) == as_text(plain)


@pytest.mark.parametrize("variant", ["zones", "outputs", "kept"])
def test_no_race_and_no_dependence_on_the_schedule(port, variant):
    W, S, alive, salient = block((3, 40))
    arguments, gram = (W, S, alive, salient, VARIANTS[variant]), hessian(40)
    expected = as_text(port.choose_column_groups(*arguments, gram=gram))
    for seed in (1, 2):
        strict = fast.on("simulated", races=True, schedule="random", seed=seed)
        assert as_text(strict.choose_column_groups(*arguments, gram=gram)) == expected
