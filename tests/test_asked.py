"""Details of a call that must not matter are varied; a port that depends on one is told which."""

from types import SimpleNamespace

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.asked import LAYOUTS, Asked, layout_of
from subbit.conformance.cases.draw import BROAD, PAIRED, TALL, VAST, WIDE, Draw, is_strict
from subbit.conformance.cases.draw import LAYOUTS as NUMBER
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.cases.settings import METHODS, design, samples_of
from subbit.conformance.declared import UndeclaredError, within
from subbit.reference.bounds.rounding import Arithmetic
from subbit.reference.contracts.scalars import Choice
from subbit.reference.contracts.settings import domains, later_settings

DECLARED = Arithmetic()


def port_with(**functions):
    return SimpleNamespace(**vars(reference) | functions)


def sentences(name, port, depth="ci"):
    item = OPERATIONS[name]
    outcomes = (item.check(port, DECLARED, seed) for seed in seeds_of(item, depth))
    return [outcome.message for outcome in outcomes if outcome.status == "failed"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 1), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.bool_, np.intp])
def test_layouts_hold_the_same_numbers(layout, shape, dtype):
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    laid = LAYOUTS[layout](x)
    assert np.array_equal(laid, x)
    assert not np.shares_memory(laid, x)


def test_layouts_are_what_they_say():
    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32).astype(np.float64)
    made = {name: change(x) for name, change in LAYOUTS.items()}
    assert made["plain"].flags.c_contiguous
    assert min(made["read-only, reversed, in Fortran order"].strides) < 0
    assert not made["read-only, reversed, in Fortran order"].flags.writeable
    assert not made["strided"].flags.contiguous
    assert made["in Fortran order"].flags.f_contiguous
    assert made["read-only, of narrow types"].dtype == np.float32
    assert len(LAYOUTS) == NUMBER
    assert len({layout_of(seed) for seed in range(NUMBER)}) == NUMBER


def test_a_changed_argument_is_named():
    def spoiled(W, *mask, **named):
        made = reference.masked_mean(W, *mask, **named)
        if W.flags.writeable:
            W[0, 0] += 1.0
        return made

    said = sentences("masked_mean", port_with(masked_mean=spoiled))
    assert any("masked_mean changes its argument `W`" in sentence for sentence in said)


def test_a_shared_answer_is_named():
    kept = {}

    def shared(W, Q, H):
        made = kept.setdefault("x", np.zeros(()))
        made[...] = reference.proxy_loss(W, Q, H)
        return made

    said = sentences("proxy_loss", port_with(proxy_loss=shared))
    assert "proxy_loss changes an answer it gave when it is called again" in "".join(said)


def test_a_default_of_its_own_is_named():
    def own(W, mask=None, **switches):
        return reference.residual_binarize(W, W != 0 if mask is None else mask, **switches)

    said = "".join(sentences("residual_binarize", port_with(residual_binarize=own)))
    assert "residual_binarize answers differently if `mask` is left out" in said


def test_a_mask_of_all_entries_is_left_out_only_where_it_means_the_same():
    seen = []
    port = port_with(
        trace_objective=lambda *_, **given: seen.append("entries" in given),
        masked_mean=lambda *_, **given: seen.append("mask" in given),
    )
    asked = Asked(port, Judge(DECLARED), 1)
    W, mask = np.ones((2, 2)), np.array([[True, False], [True, True]])
    asked.trace_objective(W, reference.arb_steps(W, mask), entries=np.ones_like(mask))
    asked.masked_mean(W, np.ones_like(mask))
    assert seen == [True, False]


def test_the_layout_is_said_where_a_case_fails():
    def by_memory(S, keep, group, **switches):
        return reference.nm_mask(S.ravel(order="K").reshape(S.shape), keep, group, **switches)

    said = sentences("nm_mask", port_with(nm_mask=by_memory))
    assert said
    assert all("(arrays: " in sentence for sentence in said)


def test_large_cases_are_large():
    wide, tall = Draw(WIDE), Draw(TALL)
    assert wide.weights(rows=(1, 3), columns=(1, 20)).shape[1] > 128
    assert tall.weights(rows=(1, 3), columns=(1, 20)).shape[0] > 256
    assert tall.weights(rows=(1, 3), columns=(1, 20)).shape[1] < 20
    assert wide.inputs(3).shape[1] > 64
    assert 32 < Draw(PAIRED).number("columns", 1, 20) <= 64 < Draw(BROAD).number("columns", 1, 20)
    assert Draw(BROAD).number("columns", 1, 20) <= 96
    vast = Draw(VAST).weights(rows=(1, 3), columns=(1, 20)).shape
    assert vast > (36, 288)
    for item in OPERATIONS.values():
        if item.level and not item.numbered:
            assert WIDE in seeds_of(item, "ci")
            assert WIDE not in seeds_of(item, "quick")


@pytest.mark.parametrize("method", METHODS)
def test_all_pairs_of_settings_meet_at_the_depth_ci(method):
    """And every setting of a method has values that it is tried with."""
    kind = METHODS[method]
    rows, samples = design(kind), samples_of(kind)
    assert len(rows) <= len(seeds_of(OPERATIONS[f"{method}_layer_settings"], "ci"))
    later = later_settings(kind)
    named = {n for values in samples.values() for value in values for n in value}
    assert named == set(kind().switches()) - later
    for name, domain in domains(kind).items():
        if name in later:
            continue
        values = {repr(row.switches()[name]) for row in rows}
        wanted = [value[name] for tried in samples.values() for value in tried if name in value]
        assert values == set(map(repr, wanted))
        assert len(values) > 1
        assert not isinstance(domain, Choice) or set(domain.options) == set(wanted)
    names = [name for name in samples if len(samples[name][0]) == 1]
    for a in names:
        for b in names:
            met = {(repr(r.switches()[a]), repr(r.switches()[b])) for r in rows}
            for x in samples[a]:
                for y in samples[b]:
                    pair = {**x, **y}
                    if a != b and possible(kind, pair):
                        assert (repr(x[a]), repr(y[b])) in met


def possible(kind, settings):
    try:
        kind(**settings)
    except ValueError:
        return False
    return True


class _Twin:
    """A port whose strict twin is another port."""

    def __init__(self, port, twin):
        self.__dict__.update(vars(port))
        self.STRICT_TWIN = lambda seed: (twin, f"strictly, by {seed}")


def test_strict_cases_ask_the_strict_twin_and_say_so():
    wrong = port_with(masked_mean=lambda W, _: W[:, 0] + 9.0)
    port = _Twin(port_with(), wrong)
    item = OPERATIONS["masked_mean"]
    for seed in seeds_of(item, "ci"):
        found = item.check(port, Arithmetic(), seed)
        assert (found.status == "failed") == is_strict(seed)
        assert (f"(strictly, by {seed})" in found.message) == is_strict(seed)
        assert item.check(port, Arithmetic(), seed) == found


def test_every_operation_has_strict_cases_at_the_depth_ci():
    for item in OPERATIONS.values():
        seeds = seeds_of(item, "ci")
        strict = sum(map(is_strict, seeds))
        assert not item.level or 1 <= strict <= len(seeds) / 3 + 3, item.name


def test_a_strict_twin_stands_behind_its_ports_declaration():
    capabilities = {"settings": {"sign": {"zero": [1]}}}
    port = port_with(CAPABILITIES=capabilities, STRICT_TWIN=lambda _: (port_with(), "strictly"))
    twin, how = within(port).STRICT_TWIN(0)
    assert how == "strictly"
    assert np.array_equal(twin.sign(np.zeros(2), 1), [1, 1])
    with pytest.raises(UndeclaredError, match="sign has zero 1, not 0"):
        twin.sign(np.zeros(2), 0)
