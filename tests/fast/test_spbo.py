"""Stepwise pruning on a device: schedules, one launch for all steps, and its memory traffic."""

import numpy as np
import pytest
from fast_inputs import (
    NASTY,
    U,
    assert_same_bits,
    bytes_of,
    hessian,
    last,
    mask,
    single,
    smooth,
)

from subbit import fast, reference
from subbit.fast.launches import arb as refine_arb
from subbit.fast.launches import depths
from subbit.fast.launches import masks as pruning
from subbit.fast.launches import spbo as refine_spbo
from subbit.fast.launches.kernels import SORTED
from subbit.reference import SPBO, calibrated_error_trace
from subbit.reference.errors import ArgumentError

every_order = pytest.mark.parametrize("order", [1, 2])
SHORT = {"calibrated_iterations": 4, "iterations": 2}
SWITCHES = {
    "canonical": SPBO(**SHORT),
    "resigned": SPBO(signs="resigned", **SHORT),
    "shared": SPBO(mean="shared", **SHORT),
    "shared, resigned": SPBO(mean="shared", signs="resigned", **SHORT),
    "masked": SPBO(objective="masked", mean="shared", levels="exact", **SHORT),
    "exact": SPBO(levels="exact", signs="resigned", calibrated_start="refined", **SHORT),
    "eps": SPBO(calibrated_eps=0.1, sign_zero=0, **SHORT),
    "relative": SPBO(calibrated_eps=0.1, eps_kind="relative", signs="resigned", **SHORT),
    "relative, shared": SPBO(calibrated_eps=0.1, eps_kind="relative", mean="shared", **SHORT),
}
every_switch = pytest.mark.parametrize("switch", SWITCHES)


def masks_of(shape, keep=(4, 8), seed=5):
    return reference.spbo_schedule(np.abs(smooth(shape, seed)), *keep, tail="dense")


def both(port, shape, switch, order, family="smooth"):
    W, cell, S = single(NASTY[family](shape)), mask(shape), single(hessian(shape[1]))
    args, given = (W, cell, masks_of(shape), S), {"order": order, "config": SWITCHES[switch]}
    return port.spbo(*args, **given), reference.spbo(*args, **given), (W, cell, S)


@pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 8, 16, 20, 32])
@pytest.mark.parametrize("rest", [0, 1])
@pytest.mark.parametrize("schedule", ["element", "parts", "one"])
def test_schedules_are_the_references(port, group, rest, schedule):
    """With ties; rows of one word and of several, the last one not full."""
    for width in (3 * group - rest, 32 + group - 32 % group):
        S = np.round(2 * smooth((9, width)))
        for keep in {(group + 1) // 2, group - rest or 1}:
            args, how = (S, keep, group), {"schedule": schedule, "parts": 3, "tail": "dense"}
            found = port.spbo_schedule(*args, **how)
            assert np.array_equal(found, reference.spbo_schedule(*args, **how))


@pytest.mark.parametrize("group", SORTED)
def test_sorted_groups_have_the_words_of_any_others(port, monkeypatch, group):
    S = np.round(single(smooth((5, 70)))).astype(np.float32)
    words = pruning.step_masks(port.device, S, group - 1, 2, group)
    monkeypatch.setattr(pruning, "SORTED", ())
    assert np.array_equal(pruning.step_masks(port.device, S, group - 1, 2, group), words)


def test_words_are_masks(port):
    masks = mask((3, 4, 70))
    words = pruning.words_of(port.device, masks)
    assert (words.dtype, words.shape) == (np.uint32, (3, 4, 3))
    assert int(words[1, 2, 1]) == sum(1 << j for j in range(32) if masks[1, 2, 32 + j])
    assert np.array_equal(pruning.masks_of(port.device, words, 70), masks)


@every_switch
@every_order
@pytest.mark.parametrize("family", ["smooth", "shifted", "dead"])
def test_every_switch_reaches_the_error_of_the_reference(port, family, switch, order):
    ours, theirs, (W, cell, S) = both(port, (4, 24), switch, order, family)
    own = np.where(cell, W, 0.0)
    errors = [calibrated_error_trace(own, group.decode(), S) for group in (ours, theirs)]
    assert abs(errors[0] - errors[1]) <= 1e-4 * np.sum((own @ S) * own)
    assert np.array_equal(ours.mask, theirs.mask)
    if family == "smooth":
        assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-5)
        for plane, other in zip(ours.planes, theirs.planes, strict=True):
            assert np.array_equal(plane.sign, other.sign)


@every_switch
@every_order
@pytest.mark.parametrize("shape", [(9, 20), (2, 35)], ids=str)
def test_steps_of_the_host_end_in_the_same_bits(port, shape, switch, order):
    """One launch for all steps, or one for each fit and each set of signs."""
    args = (smooth(shape), mask(shape), masks_of(shape, (6, 8)), hessian(shape[1]))
    how = {"order": order, "config": SWITCHES[switch], "name": "rest"}
    assert_same_bits(port.spbo(*args, **how), last(port.spbo_steps(*args, **how)))


@every_switch
def test_a_step_is_the_loops(port, switch):
    W, config, masks = smooth((4, 40)), SWITCHES[switch], masks_of((4, 40))
    S = hessian(40)
    group = last(port.spbo_steps(W, None, masks[:0], S, config=config))
    for keep in masks:
        group = port.spbo_step(W, group, keep, S, config=config)
    assert_same_bits(group, port.spbo(W, None, masks, S, config=config))


@every_switch
@every_order
def test_registers_and_memory_give_the_same_bits(port, monkeypatch, switch, order):
    shape = (3, 70)
    args = (smooth(shape), mask(shape), masks_of(shape, (6, 8)), hessian(70))
    held = port.spbo(*args, order=order, config=SWITCHES[switch])
    for module in (refine_spbo, refine_arb):
        monkeypatch.setattr(module, "held", lambda _: 0)
    assert_same_bits(port.spbo(*args, order=order, config=SWITCHES[switch]), held)


@pytest.mark.parametrize(("switch", "launches"), [("resigned", 1), ("relative", 5), ("masked", 1)])
def test_all_steps_are_one_launch_unless_rows_are_averaged(port, monkeypatch, switch, launches):
    seen = []
    real = port.device.launch
    monkeypatch.setattr(port.device, "launch", lambda k, *a: seen.append(k.entry) or real(k, *a))
    port.spbo(smooth((4, 40)), None, masks_of((4, 40)), hessian(40), config=SWITCHES[switch])
    assert seen == ["arb_refine", *["prune_stepwise"] * launches]


def cost(call, entry):
    port = fast.on("simulated", counters=True)
    call(port)
    shared = port.device.counters[entry].total("shared")
    assert shared.wavefronts == shared.ideal_wavefronts
    return bytes_of(port.device, entry)


@pytest.mark.parametrize("group", SORTED)
def test_a_score_is_read_once_and_a_step_writes_a_bit(group):
    n, m = 8, 8 * group
    found = cost(lambda port: port.spbo_schedule(smooth((n, m)), group // 2, group), "step_masks")
    warps, steps = n * m // (32 * group), group - group // 2
    # A warp's words are those of its 32 groups, at least one sector.
    assert found == (4 * n * m, steps * warps * max(32, 4 * group), True)


@every_order
@pytest.mark.parametrize("mean", ["masked", "shared"])
def test_what_is_pruned_costs_nothing(order, mean):
    """One entry fewer in the last step reads one row of S less; a state is written once."""
    n, m, config = 8, 128, SPBO(mean=mean, levels="exact", calibrated_iterations=1)
    W, S, masks = smooth((n, m)), hessian(m), masks_of((n, m), (6, 8))
    fewer = masks.copy()
    fewer[-1, 2, np.flatnonzero(masks[-1, 2])[:5]] = False
    runs = [
        cost(
            lambda port, kept=kept: port.spbo(W, None, kept, S, order=order, config=config),
            "prune_stepwise",
        )
        for kept in (masks, fewer)
    ]
    assert runs[0][0] - runs[1][0] == 5 * 4 * m
    assert runs[0][1] == n * m * (4 + order) + 32 * n * (1 + order)
    assert runs[0][2]


def test_products_of_a_shared_mean_are_made_once():
    """Only the entries that have signs are multiplied again."""
    n, m, S = 4, 128, hessian(128)
    masks = np.zeros((3, n, m), dtype=bool)
    loads = [
        cost(
            lambda port, t=t: port.spbo(
                smooth((n, m)), None, masks[:t], S, config=SPBO(mean="shared", iterations=0)
            ),
            "prune_stepwise",
        )[0]
        for t in (1, 2, 3)
    ]
    assert loads[2] - loads[1] == loads[1] - loads[0] < 4 * n * m * m


@pytest.mark.parametrize("power", [-60, 60])
def test_powers_of_two_scale_the_answer(port, power):
    W, S, masks = smooth((5, 40)), hessian(40), masks_of((5, 40))
    plain = port.spbo(W, None, masks, S).decode()
    assert np.array_equal(
        port.spbo(np.ldexp(W, power), None, masks, S).decode(), np.ldexp(plain, power)
    )
    assert np.array_equal(port.spbo(W, None, masks, np.ldexp(S, power)).decode(), plain)


def test_nothing_pruned_and_everything_pruned(port):
    W, S = smooth((3, 16)), hessian(16)
    assert np.allclose(
        port.spbo(W, None, masks_of((3, 16), (8, 8)), S).decode(),
        reference.arb_x(W, None, S).decode(),
        atol=1e-5,
    )
    nothing = np.zeros((1, 3, 16), dtype=bool)
    for mean in ("masked", "shared"):
        config = SPBO(mean=mean, signs="resigned")
        ours, theirs = (
            p.spbo(W, None, nothing, S, config=config).decode() for p in (port, reference)
        )
        assert np.allclose(ours, theirs, atol=1e-5)


def test_arguments_are_held_to_the_rules(port):
    W, S = np.ones((2, 8)), np.eye(8)
    masks = masks_of((2, 8))
    start = reference.arb_start(W)
    for call, name in (
        (lambda: port.spbo(W, None, masks[::-1], S), "masks"),
        (lambda: port.spbo(W, None, masks[0], S), "masks"),
        (lambda: port.spbo(W, None, masks, np.eye(7)), "S"),
        (lambda: port.spbo(W, None, masks, S, order=3), "order"),
        (lambda: port.spbo(W, None, masks, S, config=reference.Refinement()), "config"),
        (lambda: port.spbo_step(W, start, np.ones((2, 7), dtype=bool), S), "keep"),
        (lambda: port.spbo_step(W, start, masks[0], S, config=reference.Refinement()), "config"),
        (lambda: port.spbo_schedule(W, 2, 3), "group"),
        (lambda: port.spbo_schedule(W, 2, 4, schedule="all"), "schedule"),
        (lambda: port.block_cosine(W, W[:1]), "y"),
        (lambda: port.fine_scores(W, S, score="random"), "score"),
    ):
        with pytest.raises(ArgumentError, match=f"^{name}: expected"):
            call()


@pytest.mark.parametrize("shape", [(1, 1), (9, 33), (300, 5), (2, 130)], ids=str)
@pytest.mark.parametrize("power", [0, 100, -100])
def test_cosines_of_any_length(port, shape, power):
    """Squares of these numbers exceed float32; tokens of zeros have a cosine of 0."""
    x, y = single(smooth(shape)), single(smooth(shape, 1))
    x[::4] = 0.0
    found = port.block_cosine(np.ldexp(x, power), np.ldexp(y, -power))
    allowed = 2 * depths.row(shape[1]) + depths.objective(shape[0]) + 8
    assert abs(found - reference.block_cosine(x, y)) <= allowed * U


def test_cosines_at_both_ends_of_the_range(port):
    x = np.full((3, 40), 3e38)
    assert port.block_cosine(x, x) == pytest.approx(1.0, abs=1e-6)
    assert port.block_cosine(x, -x[None]) == pytest.approx(-1.0, abs=1e-6)
    assert port.block_cosine(np.full((2, 3), 2.0**-126), np.ones((2, 3))) <= 1.0
    assert port.block_cosine(np.zeros((2, 3)), np.ones((2, 3))) == 0.0


def test_a_token_is_read_twice():
    found = cost(
        lambda port: port.block_cosine(smooth((8, 128)), smooth((8, 128))), "token_cosines"
    )
    assert found == (2 * 2 * 4 * 8 * 128, 4 * 8 * 8, True)
