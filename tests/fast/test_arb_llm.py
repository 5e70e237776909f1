"""ARB-LLM's layers: the objective of the reference is reached, whatever the switches."""

import sys

import numpy as np
import pytest
from fast_inputs import hessian, smooth

from project import some
from subbit import fast, reference
from subbit.fast import arb_llm
from subbit.fast.launches import fetch
from subbit.reference import METHODS, ColumnGroups, Zone
from subbit.reference.arb_llm import CORRECTED, PAPER, RELEASED
from subbit.reference.errors import ArgumentError

PRESETS = {
    f"{method} {name}": config
    for method in ("arb", "arb-x", "arb-rc")
    for name, config in METHODS[method].presets.items()
}
SHORT = {"block_size": 40, "iterations": 3, "calibrated_iterations": 3}
# The second signs of a row of two entries are those of zero, and an eps makes them matter.
MANY = {"counts": (12, 20), "column_groups": False, **SHORT}
VARIANTS = {
    "divided by the width": PAPER.changed(algorithm="arb", divisor="width", **SHORT),
    "divided by the width, outputs": PAPER.changed(algorithm="arb_x", divisor="width", **SHORT),
    "plain signs": PAPER.changed(algorithm="arb", initial_signs="plain", **MANY),
    "relative eps": PAPER.changed(eps=0.05, eps_kind="relative", **SHORT),
    "relative eps, rows alone": PAPER.changed(
        algorithm="arb", eps=0.05, eps_kind="relative", **MANY
    ),
    "relative eps, outputs": PAPER.changed(
        algorithm="arb_x", calibrated_eps=0.05, eps_kind="relative", **MANY
    ),
    "large eps": PAPER.changed(eps=0.5, **SHORT),
    "large eps, outputs": PAPER.changed(algorithm="arb_x", calibrated_eps=0.5, **MANY),
    "refined start": PAPER.changed(algorithm="arb_x", calibrated_start="refined", **SHORT),
    "sweeps": PAPER.changed(algorithm="arb_x", sweeps=2, **SHORT),
    "exact levels": PAPER.changed(algorithm="arb_x", levels="exact", **SHORT),
    "new signs": PAPER.changed(column_signs="refreshed", **SHORT),
    "split twice": PAPER.changed(splits=2, **SHORT),
    "kept": RELEASED.changed(splits=2, taken_error="row_column", **SHORT),
    "outputs, rows and columns": RELEASED.changed(
        split_error="outputs", search_on="weights", split_by="weights", **SHORT
    ),
    "outputs, width": RELEASED.changed(
        algorithm="arb_x", split_error="outputs", divisor="width", **SHORT
    ),
    "unordered scores, alone": CORRECTED.changed(score="inverse_hessian", compensation="none"),
    "no iterations": PAPER.changed(iterations=0, block_size=40),
    "breakpoints": PAPER.changed(grid="breakpoints", block_size=16, iterations=2),
}


def assert_reaches(ours, theirs, W, H):
    """The same groups with the same names, and the same values."""
    reached = reference.relative_error(W, ours.decode(), H)
    assert reached == pytest.approx(reference.relative_error(W, theirs.decode(), H), rel=1e-5)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-5)
    assert reference.payload_bits(ours) == reference.payload_bits(theirs)
    for a, b in zip(ours.blocks, theirs.blocks, strict=True):
        assert (a.start, a.stop) == (b.start, b.stop)
        assert np.array_equal(a.salient, b.salient)
        assert [g.name for g in a.groups] == [g.name for g in b.groups]
        assert [len(g.planes) for g in a.groups] == [len(g.planes) for g in b.groups]
        assert all(np.array_equal(g.mask, h.mask) for g, h in zip(a.groups, b.groups, strict=True))


def layers(port, config, W, H):
    return tuple(p.arb_llm_layer(W, H, config) for p in (port, reference))


@pytest.mark.parametrize("preset", some(PRESETS, every=3))
def test_presets_reach_the_reference(port, preset):
    """Blocks narrower than the largest count, the last one narrower still."""
    W, H = smooth((8, 70), 3), hessian(70, 4, dead=(3, 50))
    ours, theirs = layers(port, PRESETS[preset].changed(block_size=40), W, H)
    assert_reaches(ours, theirs, W, H)


@pytest.mark.parametrize("preset", ["arb released", "arb-x released", "arb-rc corrected"])
@pytest.mark.parametrize("seed", [10, 20])
def test_several_layers_without_dead_inputs(port, preset, seed):
    W, H = smooth((6, 64), seed), hessian(64, seed)
    ours, theirs = layers(port, PRESETS[preset].changed(block_size=64), W, H)
    assert_reaches(ours, theirs, W, H)


@pytest.mark.parametrize("variant", some(VARIANTS, every=3))
def test_every_switch_reaches_the_reference(port, variant):
    W, H = smooth((7, 60), 1), hessian(60, 2, dead=(3, 30))
    ours, theirs = layers(port, VARIANTS[variant], W, H)
    assert_reaches(ours, theirs, W, H)


@pytest.mark.parametrize("algorithm", ["arb", "arb_x", "arb_rc"])
def test_blocks_wider_than_the_registers(port, algorithm):
    config = CORRECTED.changed(algorithm=algorithm, block_size=150, iterations=2, sweeps=1)
    W, H = smooth((4, 150), 5), hessian(150, 6)
    assert_reaches(*layers(port, config, W, H), W, H)


@pytest.mark.parametrize(
    ("power", "inputs"), some([(50, -110), (-50, -50), (50, 50), (0, 110), (0, -110)], every=4)
)
@pytest.mark.parametrize("preset", ["arb-x released", "arb-rc paper", "arb-x corrected"])
def test_powers_of_two_scale_the_answer(port, preset, power, inputs):
    """Scores are squares over squares, errors on outputs of scores are squares of those."""
    config = PRESETS[preset].changed(eps=0.0, calibrated_eps=0.0, **SHORT)
    W, H = smooth((4, 40)), hessian(40)
    plain = port.arb_llm_layer(W, H, config).decode()
    moved = port.arb_llm_layer(np.ldexp(W, power), np.ldexp(H, inputs), config)
    assert np.array_equal(moved.decode(), np.ldexp(plain, power))


@pytest.mark.parametrize("preset", some(PRESETS, every=3))
def test_a_layer_comes_back_in_one_transfer(port, monkeypatch, preset):
    seen = []
    real = fetch.to_host
    for name, module in list(sys.modules.items()):
        if name.startswith("subbit.fast.") and getattr(module, "to_host", None) is real:
            monkeypatch.setattr(module, "to_host", lambda x: seen.append(x) or real(x))
    config = PRESETS[preset].changed(**SHORT)
    port.arb_llm_layer(smooth((3, 50)), hessian(50), config)
    # Which inputs are dead is asked for first, where they are left out.
    dead = ["bool"] if config.loop.dead_inputs == "zero" else []
    assert [x.dtype.name for x in seen] == [*dead, "uint32"]


def given_block():
    W, S = smooth((5, 40), 7), smooth((5, 40), 8) ** 2
    return W, S, np.arange(40) % 9 != 4, np.arange(40) % 4 == 0


@pytest.mark.parametrize("preset", ["arb paper", "arb-x released", "arb-rc released-nocgb"])
def test_a_block_with_given_salient_columns(port, preset):
    """A dead column may be declared salient; it is in no group."""
    W, S, alive, salient = given_block()
    config, gram = PRESETS[preset].changed(**SHORT), hessian(40) / 2
    for chosen in (salient, None, np.zeros(40, dtype=bool)):
        ours, theirs = (
            p.arb_llm_block(W, S, alive, config, gram=gram, salient=chosen, start=80)
            for p in (port, reference)
        )
        assert (ours.start, ours.stop) == (80, 120)
        assert np.array_equal(ours.salient, theirs.salient)
        assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-5)
        assert not ours.decode()[:, ~alive].any()


@pytest.mark.parametrize("algorithm", ["arb", "arb_x", "arb_rc"])
@pytest.mark.parametrize("sweeps", [0, 3])
def test_groups_are_refined_as_they_are_given(port, algorithm, sweeps):
    W, rng = smooth((6, 40), 9), np.random.default_rng(9)
    number = rng.integers(0, 4, W.shape)
    zones = tuple(Zone(f"zone {i}", number == i, 1 + i % 2) for i in (2, 1, 3))
    config = PAPER.changed(algorithm=algorithm, sweeps=sweeps, **SHORT)
    ours, theirs = (p.refine_zones(W, zones, config, gram=hessian(40)) for p in (port, reference))
    for a, b, zone in zip(ours, theirs, zones, strict=True):
        assert a.name == b.name == zone.name
        assert np.array_equal(a.mask, zone.mask)
        assert (a.mean is None) == (b.mean is None)
        assert np.allclose(a.decode(), b.decode(), rtol=1e-4, atol=1e-5)
        for p, q in zip(a.planes, b.planes, strict=True):
            assert (p.column_scale is None) == (q.column_scale is None)
            assert not p.sign[~zone.mask].any()
    assert port.refine_zones(W, (), config, gram=np.eye(40)) == ()
    assert len(port.refine_zones(W, zones[1:2], config, gram=np.eye(40))) == 1


def test_sweeps_lower_the_error_of_the_block(port):
    W, H = smooth((6, 40), 9), hessian(40)
    config = PAPER.changed(algorithm="arb_x", compensation="none", levels="exact", **SHORT)
    errors = [
        reference.relative_error(W, port.arb_llm_layer(W, H, config.changed(sweeps=s)).decode(), H)
        for s in (0, 1, 4)
    ]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("preset", ["arb-x released", "arb-rc released"])
def test_the_record_is_the_image_on_the_device(port, preset):
    """Feedback uses the decoded values, up to the last roundings of float32."""
    config, device = PRESETS[preset].changed(**SHORT), port.device
    W, S, alive, _ = given_block()
    W, S = W.astype(np.float32), S.astype(np.float32)
    gram = arb_llm.in_range(device, hessian(40).astype(np.float32))
    made = arb_llm._block(device, W, S, alive, config, gram=gram, start=0)  # noqa: SLF001
    (block,) = fetch.fetch(device, [made])
    assert np.allclose(block.decode(), made.decode(), rtol=8 * 2.0**-24, atol=1e-6)


def test_a_calibrated_method_needs_a_gram_matrix(port):
    W, S, alive, _ = given_block()
    for config in (
        PAPER.changed(algorithm="arb_x"),
        PAPER.changed(bitmap="zones", split_error="outputs"),
    ):
        with pytest.raises(ArgumentError, match="gram: expected"):
            port.arb_llm_block(W, S, alive, config)
    zone = Zone("all", np.ones((5, 40), dtype=bool), 1)
    with pytest.raises(ArgumentError, match="gram: expected"):
        port.refine_zones(W, (zone,), PAPER.changed(algorithm="arb_x"))


def test_a_configuration_of_another_kind_is_refused(port):
    with pytest.raises(ArgumentError, match="config: expected"):
        port.arb_llm_layer(np.ones((1, 4)), np.eye(4), ColumnGroups())


@pytest.mark.parametrize("preset", ["arb-x released", "arb-x corrected", "arb-rc paper"])
def test_no_race_and_no_dependence_on_the_schedule(port, preset):
    config = PRESETS[preset].changed(block_size=30, iterations=1, calibrated_iterations=1)
    W, H = smooth((9, 35), 7), hessian(35, 8)
    expected = port.arb_llm_layer(W, H, config).decode()
    strict = fast.on("simulated", races=True, schedule="random", seed=1)
    assert np.array_equal(strict.arb_llm_layer(W, H, config).decode(), expected)
