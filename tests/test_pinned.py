"""Pinned cases: each draws what it says and is judged correctly, exactly where possible."""

from types import SimpleNamespace

import numpy as np
import pytest

from subbit import fast, reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.pinned import pinned_cases
from subbit.conformance.cases.seeds import CASES, seeds_of
from subbit.conformance.oracles import exact
from subbit.conformance.target import arithmetic_of

ARITHMETIC = arithmetic_of(reference)
PINNED = pinned_cases()
TINY = [pin for pin in PINNED if "W tiny" in pin.drawn]
each_pin = pytest.mark.parametrize("pin", PINNED, ids=lambda pin: pin.replay)


def named(operation):
    return [pin for pin in PINNED if pin.operation == operation]


def asked(pin):
    """The arguments that a case passes to the function of its name, and the result."""
    calls = []

    def record(*arguments, **switches):
        answer = getattr(reference, pin.operation)(*arguments, **switches)
        calls.append((arguments, switches, answer))
        return answer

    port = SimpleNamespace(**vars(reference) | {pin.operation: record})
    with np.errstate(all="ignore"):
        OPERATIONS[pin.operation].examine(port, Judge(ARITHMETIC), Draw(pin.seed))
    (call,) = calls
    return call


@each_pin
def test_a_pin_draws_what_it_says_and_the_reference_passes(pin):
    outcome = OPERATIONS[pin.operation].check(reference, ARITHMETIC, pin.seed)
    assert outcome.message == pin.drawn
    assert outcome.status == "passed"
    assert outcome.compared > 0
    assert pin.found.endswith(".")


@pytest.mark.parametrize("pin", TINY, ids=lambda pin: pin.replay)
def test_pins_near_the_least_normal_number_pass_for_a_port_that_flushes(pin):
    port = fast.on("simulated")
    outcome = OPERATIONS[pin.operation].check(port, arithmetic_of(port), pin.seed)
    assert (outcome.message, outcome.status) == (pin.drawn, "passed")


@each_pin
@pytest.mark.parametrize("depth", CASES)
def test_pins_are_looked_at_at_every_depth(pin, depth):
    assert pin.seed in seeds_of(OPERATIONS[pin.operation], depth)


def test_no_case_is_pinned_twice():
    assert len({pin.replay for pin in PINNED}) == len(PINNED)


def exact_error(T, masks, orders, mode):
    """Squared error of the groups, in rational numbers."""
    total = exact.rational(np.zeros((1, 1)))[0, 0]
    for mask, order in zip(masks, orders, strict=True):
        T_rational = exact.rational(np.where(mask, T, 0.0))
        steps = exact.residual_binarize(T_rational, mask, order=order, **mode)
        total += exact.squared_sum(T_rational - steps[-1].total)
    return float(total)


def rounding_of(T, mask):
    """Rounding of a group's error from running sums: that of the group's own numbers."""
    own = np.where(mask, np.abs(T), 0.0)
    return 2.0**-53 * 4096 * float(np.sum(own.max(axis=1) * own.sum(axis=1)))


@pytest.mark.parametrize("pin", named("prefix_errors"), ids=lambda pin: pin.replay)
def test_errors_of_prefixes_are_right(pin):
    (T, counts), switches, answer = asked(pin)
    mode = {key: switches[key] for key in ("center", "sign_zero")}
    part = np.ones(T.shape, dtype=bool) if switches["part"] is None else switches["part"]
    for count, found in zip(counts, answer, strict=True):
        mask = part & (np.arange(T.shape[1]) < count)
        wanted = exact_error(T, [mask], [switches["order"]], mode)
        assert abs(found - wanted) <= rounding_of(T, mask)


@pytest.mark.parametrize("pin", named("salient_search"), ids=lambda pin: pin.replay)
def test_objectives_of_a_salient_search_are_right(pin):
    (T, ranking, counts), switches, answer = asked(pin)
    mode = {key: switches[key] for key in ("center", "sign_zero")}
    used = np.isin(np.arange(T.shape[1]), ranking) & switches["entries"]
    for count, found in zip(counts, answer.objectives, strict=True):
        salient = used & np.isin(np.arange(T.shape[1]), ranking[:count])
        groups = [salient, used & ~salient]
        wanted = exact_error(T, groups, switches["orders"], mode)
        assert abs(found - wanted) <= sum(rounding_of(T, mask) for mask in groups)


@pytest.mark.parametrize("pin", named("arb_rc"), ids=lambda pin: pin.replay)
def test_an_eps_takes_a_tiny_weight_to_zero(pin):
    """The scale is ``num / (den + ε)``, and the divisor is ``ε`` alone."""
    (W, mask), switches, group = asked(pin)
    config = switches["config"]
    start = reference.rc_start(W, mask, order=switches["order"], config=config)
    (plane, *_), ((own, *_)) = start.planes, group.planes
    c = plane.column_scale[0]
    expected = abs(W[0, 0]) * c / (c**2 + config.eps)
    assert own.row_scale[0] == pytest.approx(expected, rel=1e-12)
    assert np.sum((W - group.decode()) ** 2) == pytest.approx(np.sum(W**2), rel=1e-6)


@pytest.mark.parametrize("pin", named("pbs2p_block"), ids=lambda pin: pin.replay)
def test_signs_taken_after_a_fit_do_not_show_in_the_record(pin):
    """The levels before the sweeps belong to signs other than the recorded ones."""
    (W, S, masks, alive, config), switches, block = asked(pin)
    without = reference.pbs2p_block(W, S, masks, alive, config.changed(sweeps=0), **switches)
    merged = [group for group in without.groups if group.planes]
    for group, swept in zip(merged, [g for g in block.groups if g.planes], strict=True):
        for before, after in zip(group.planes, swept.planes, strict=True):
            assert np.array_equal(before.sign, after.sign)
    kept = masks[-1] if config.pruning.objective == "masked" and len(masks) else True
    gram, stale = switches["gram"], 0
    zones = reference.choose_column_groups(W, S, alive, block.salient, config.zones, gram=gram)
    for zone, group in zip(zones, merged, strict=True):
        target = np.where(zone.mask & kept, W, 0.0)
        again = reference.calibrate_levels(target, group, gram, config=config.pruning.refinement)
        stale += not np.allclose(again.decode(), group.decode(), rtol=1e-6, atol=1e-9)
    assert stale
