"""PBS2P's layers: the reference's groups and values, with one transfer each way."""

import sys

import numpy as np
import pytest
from fast_inputs import hessian, smooth

from project import some
from subbit import fast, reference
from subbit.fast import pbs2p
from subbit.fast.launches import arb_x as refine_x
from subbit.fast.launches import fetch
from subbit.fast.launches import masks as pruning
from subbit.reference import SPBO, BiLLM
from subbit.reference.errors import ArgumentError
from subbit.reference.pbs2p import CANONICAL, PRESETS

SMALL = {"block_size": 16, "counts": (1, 4), "grid": "maximum", "calibrated_iterations": 3}
ONCE = CANONICAL.changed(**SMALL)
VARIANTS = {
    "5:8 in parts, released feedback": ONCE.changed(
        keep=(5, 8), schedule="parts", parts=3, compensation="released"
    ),
    "2:4 at once, alone": ONCE.changed(keep=(2, 4), schedule="one", compensation="none"),
    "centered scores, squared": ONCE.changed(center_scores=True, fine_score="squared"),
    "trailing, of the layer": ONCE.changed(fine_score="trailing", fine_hessian="layer"),
    "wanda": ONCE.changed(fine_score="wanda", signs="resigned", objective="masked"),
    "magnitude, zones": ONCE.changed(fine_score="magnitude", bitmap="zones", splits=2),
    "sweeps": ONCE.changed(sweeps=2),
    "sweeps, shared": ONCE.changed(sweeps=1, mean="shared", objective="masked"),
    "outputs": ONCE.changed(column_groups=False, split_error="outputs"),
    "nothing pruned": ONCE.changed(keep=(8, 8)),
    "dead inputs zero": ONCE.changed(dead_inputs="zero", mean="shared", column_groups=False),
    "recomputed, one group": ONCE.changed(
        scores="recomputed", partitioned=False, mean="shared", calibrated_start="refined"
    ),
    "3 of 12": ONCE.changed(keep=(3, 12), block_size=12),
}


def assert_reaches(ours, theirs):
    """The same groups to the last entry, and the same values."""
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-5)
    assert reference.payload_bits(ours) == reference.payload_bits(theirs)
    for a, b in zip(ours.blocks, theirs.blocks, strict=True):
        assert (a.start, a.stop, a.pattern) == (b.start, b.stop, b.pattern)
        assert (a.salient is None) == (b.salient is None)
        assert a.salient is None or np.array_equal(a.salient, b.salient)
        assert [g.name for g in a.groups] == [g.name for g in b.groups]
        assert [len(g.planes) for g in a.groups] == [len(g.planes) for g in b.groups]
        assert all(np.array_equal(g.mask, h.mask) for g, h in zip(a.groups, b.groups, strict=True))


@pytest.mark.parametrize("preset", some(PRESETS, every=3))
def test_presets_reach_the_reference(port, preset):
    """Two blocks, the last of them narrower, columns that are dead, a tail that fills no group."""
    W, H = smooth((5, 29), 3), hessian(29, 4, dead=(3, 20))
    config = PRESETS[preset].changed(block_size=16, counts=(1, 5), tail="dense")
    assert_reaches(*(p.pbs2p_layer(W, H, config) for p in (port, reference)))


@pytest.mark.parametrize("variant", some(VARIANTS, every=3))
def test_every_switch_reaches_the_reference(port, variant):
    config = VARIANTS[variant]
    width = 2 * config.loop.block_size
    W, H = smooth((4, width), 1), hessian(width, 2, dead=(3, 18))
    assert_reaches(*(p.pbs2p_layer(W, H, config) for p in (port, reference)))


@pytest.mark.parametrize("scores", ["once", "recomputed"])
@pytest.mark.parametrize("score", ["obs", "squared", "trailing", "magnitude", "wanda"])
def test_the_same_weights_are_pruned(port, score, scores):
    W, H, alive = smooth((6, 40), 5), hessian(40, 6) + np.eye(40), np.arange(40) % 9 != 4
    config = CANONICAL.changed(fine_score=score, scores=scores, center_scores=True)
    for unit in (None, np.linspace(0.5, 2.0, 40)):
        ours, theirs = (p.pruning_masks(W, H, alive, config, unit=unit) for p in (port, reference))
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("chosen", [None, "some", "none"])
@pytest.mark.parametrize("mean", ["masked", "shared"])
def test_a_block_with_given_salient_columns(port, mean, chosen):
    """A dead column may be declared salient; it is in no group."""
    W, S, gram = smooth((3, 24), 7), smooth((3, 24), 8) ** 2, hessian(24)
    alive, config = np.arange(24) % 9 != 4, ONCE.changed(mean=mean)
    salient = {None: None, "some": np.arange(24) % 4 == 0, "none": np.zeros(24, dtype=bool)}[chosen]
    masks = reference.spbo_schedule(np.abs(W), 4, 8)
    ours, theirs = (
        p.pbs2p_block(W, S, masks, alive, config, gram=gram, salient=salient, start=48)
        for p in (port, reference)
    )
    assert (ours.start, ours.stop) == (48, 72)
    assert np.array_equal(ours.salient, theirs.salient)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-5)
    assert not ours.decode()[:, ~alive].any()


def test_columns_that_are_pruned_stay_salient(port):
    """One row: a salient column is in the record even if its only entry is pruned."""
    W = np.array([[9.0, 1.0, -8.0, 1.0, 7.0, -1.0, 1.0, 1.0]])
    masks = np.array([[[False, True, True, True, False, True, True, True]]])
    config = ONCE.changed(counts=(3, 3))
    for p in (port, reference):
        alive = np.ones(8, dtype=bool)
        block = p.pbs2p_block(W, W**2, masks, alive, config, gram=np.eye(8))
        assert np.flatnonzero(block.salient).tolist() == [0, 2, 4]
        assert np.flatnonzero(block.groups[0].mask | block.groups[1].mask).tolist() == [2]


@pytest.mark.parametrize("mean", ["masked", "shared"])
@pytest.mark.parametrize("fine_hessian", ["block", "layer"])
def test_a_layer_comes_back_in_one_transfer(port, monkeypatch, mean, fine_hessian):
    seen = []
    real = fetch.to_host
    for name, module in list(sys.modules.items()):
        if name.startswith("subbit.fast.") and getattr(module, "to_host", None) is real:
            monkeypatch.setattr(module, "to_host", lambda x: seen.append(x) or real(x))
    config = ONCE.changed(mean=mean, fine_hessian=fine_hessian, sweeps=1)
    port.pbs2p_layer(smooth((3, 32)), hessian(32), config)
    assert [x.dtype.name for x in seen if x.ndim] == ["uint32"]


@pytest.mark.parametrize("mean", ["masked", "shared"])
def test_the_record_is_the_image_on_the_device(port, mean):
    """Feedback uses the decoded values, up to the last roundings of float32."""
    W, alive = smooth((4, 32)).astype(np.float32), np.arange(32) % 7 != 2
    config = ONCE.changed(mean=mean, sweeps=1)
    masks = reference.spbo_schedule(np.abs(W), 4, 8)
    words = pruning.words_of(port.device, masks)
    gram = refine_x.gram(port.device, hessian(32).astype(np.float32))
    made = pbs2p._block(  # noqa: SLF001
        port.device, W, W**2, alive, config, words=words, gram=gram, start=0
    )
    (block,) = fetch.fetch(port.device, [made])
    assert np.allclose(block.decode(), made.decode(), rtol=8 * 2.0**-24, atol=1e-6)


@pytest.mark.parametrize("power", [-50, 50])
def test_powers_of_two_scale_the_answer(port, power):
    W, H = smooth((4, 32)), hessian(32)
    plain = port.pbs2p_layer(W, H, ONCE).decode()
    moved = port.pbs2p_layer(np.ldexp(W, power), H, ONCE).decode()
    assert np.array_equal(moved, np.ldexp(plain, power))


def test_bad_arguments_are_refused(port):
    W, H = np.ones((1, 12)), np.eye(12)
    for config in (BiLLM(), SPBO()):
        with pytest.raises(ArgumentError, match=r"^config: expected"):
            port.pbs2p_layer(W, H, config)
    with pytest.raises(ArgumentError, match=r"^group: expected a divisor"):
        port.pbs2p_layer(W, H)
    masks = np.zeros((1, 1, 12), dtype=bool)
    with pytest.raises(ArgumentError, match=r"^masks: expected"):
        port.pbs2p_block(W, W, masks[0], np.ones(12, dtype=bool), gram=H)


def test_no_race_and_no_dependence_on_the_schedule(port):
    W, H = smooth((9, 32), 7), hessian(32, 8)
    config = ONCE.changed(mean="shared", signs="resigned", sweeps=1)
    expected = port.pbs2p_layer(W, H, config).decode()
    strict = fast.on("simulated", races=True, schedule="random", seed=1)
    assert np.array_equal(strict.pbs2p_layer(W, H, config).decode(), expected)
