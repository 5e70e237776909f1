"""STBLLM's layers: the objective of the reference is reached, whatever the switches."""

import sys

import numpy as np
import pytest
from fast_inputs import hessian, smooth

from project import some
from subbit import fast, reference
from subbit.fast import stbllm
from subbit.fast.launches import fetch
from subbit.reference import METHODS, BiLLM
from subbit.reference.errors import ArgumentError
from subbit.reference.stbllm import CORRECTED, PAPER, RELEASED

PRESETS = {
    f"{method} {name}": config
    for method in ("stbllm", "billm-nm")
    for name, config in METHODS[method].presets.items()
}
SMALL = {"block_size": 24, "counts": (1, 9), "levels": 30}
ONCE = CORRECTED.changed(fallback=False, **SMALL)
VARIANTS = {
    "unordered scores": PAPER.changed(score="inverse_hessian", **SMALL),
    "split by scores": PAPER.changed(split_by="scores", closed=False, **SMALL),
    "breakpoints": ONCE.changed(grid="breakpoints"),
    "unbounded": ONCE.changed(bounded=False, factor=1.5),
    "after the norms": ONCE.changed(importance="standardized", standardize="after", axis="matrix"),
    "over the matrix": ONCE.changed(importance="standardized", axis="matrix"),
    "magnitude, 6:8": ONCE.changed(importance="magnitude", keep=(6, 8)),
    "surgeon, 2:4": ONCE.changed(importance="obs", keep=(2, 4), free="kept", start="pruned"),
    "trailing, 1:3": ONCE.changed(importance="trailing", keep=(1, 3)),
    "released feedback, strict": RELEASED.changed(pruned="zero", free="kept", **SMALL),
    "alone": ONCE.changed(compensation="none", center=True),
    "nothing pruned": RELEASED.changed(keep=(8, 8), **SMALL),
    "wide": ONCE.changed(block_size=200, counts=(0, 3)),
}


def assert_reaches(ours, theirs, W, H):
    """The same groups to the last entry, and the same values."""
    reached = reference.relative_error(W, ours.decode(), H)
    assert reached == pytest.approx(reference.relative_error(W, theirs.decode(), H), rel=1e-4)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-5)
    assert reference.payload_bits(ours) == reference.payload_bits(theirs)
    for a, b in zip(ours.blocks, theirs.blocks, strict=True):
        assert (a.start, a.stop, a.pattern) == (b.start, b.stop, b.pattern)
        assert np.array_equal(a.salient, b.salient)
        assert [g.name for g in a.groups] == [g.name for g in b.groups]
        assert all(np.array_equal(g.mask, h.mask) for g, h in zip(a.groups, b.groups, strict=True))


def layers(port, config, W, H):
    return tuple(p.stbllm_layer(W, H, config) for p in (port, reference))


@pytest.mark.parametrize("preset", some(PRESETS, every=3))
def test_presets_reach_the_reference(port, preset):
    """Two blocks, the last of them narrower, columns that are dead, a tail that fills no group."""
    W, H = smooth((7, 61), 3), hessian(61, 4, dead=(3, 50))
    config = PRESETS[preset].changed(block_size=40, tail="dense", levels=30)
    assert_reaches(*layers(port, config, W, H), W, H)


@pytest.mark.parametrize("variant", some(VARIANTS, every=3))
def test_every_switch_reaches_the_reference(port, variant):
    W, H = smooth((6, 48), 1), hessian(48, 2, dead=(3, 30))
    assert_reaches(*layers(port, VARIANTS[variant], W, H), W, H)


@pytest.mark.parametrize("importance", ["standardized", "ria", "wanda", "magnitude", "sparsegpt"])
@pytest.mark.parametrize("start", ["pruned", "dense"])
def test_the_same_weights_are_kept(port, importance, start):
    W, H = smooth((5, 40), 6), hessian(40, 7, dead=(1,))
    config = PAPER.changed(importance=importance, start=start)
    (ours, own), (theirs, mask) = (p.choose_kept(W, H, config) for p in (port, reference))
    assert np.array_equal(own, mask)
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chosen", [None, "some", "none"])
@pytest.mark.parametrize("config", [RELEASED, CORRECTED], ids=["released", "corrected"])
def test_a_block_with_given_salient_columns(port, config, chosen):
    """A dead column, or one without kept entries, may be declared salient; it is in no group."""
    W, S = smooth((3, 40), 7), smooth((3, 40), 8) ** 2
    alive, kept = np.arange(40) % 9 != 4, smooth((3, 40), 9) > 0
    kept[:, 8] = False
    salient = {None: None, "some": np.arange(40) % 4 == 0, "none": np.zeros(40, dtype=bool)}[chosen]
    ours, theirs = (
        p.stbllm_block(W, S, alive, kept, config, salient=salient, start=80)
        for p in (port, reference)
    )
    assert (ours.start, ours.stop) == (80, 120)
    assert np.array_equal(ours.salient, theirs.salient)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-5)
    assert not ours.decode()[:, ~alive].any()


def test_columns_without_kept_entries_stay_salient(port):
    """One row: a salient column is in the record even if its only entry is pruned."""
    W = np.array([[9.0, 1.0, -8.0, 1.0, 7.0, -1.0, 1.0, 1.0]])
    kept = np.array([[False, True, True, True, False, True, True, True]])
    config = CORRECTED.changed(counts=(3, 3), levels=5)
    for p in (port, reference):
        block = p.stbllm_block(W, W**2, np.ones(8, dtype=bool), kept, config)
        assert np.flatnonzero(block.salient).tolist() == [0, 2, 4]
        assert np.flatnonzero(block.groups[-1].mask).tolist() == [2]


@pytest.mark.parametrize("config", [ONCE, RELEASED], ids=["corrected", "released"])
def test_a_layer_comes_back_in_one_transfer(port, monkeypatch, config):
    seen = []
    real = fetch.to_host
    for name, module in list(sys.modules.items()):
        if name.startswith("subbit.fast.") and getattr(module, "to_host", None) is real:
            monkeypatch.setattr(module, "to_host", lambda x: seen.append(x) or real(x))
    port.stbllm_layer(smooth((3, 48)), hessian(48), config.changed(block_size=24, levels=9))
    # Which inputs are dead is asked for first, where they are left out.
    dead = ["bool"] if config.loop.dead_inputs == "zero" else []
    assert [x.dtype.name for x in seen if x.ndim] == [*dead, "uint32"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fallback_brings_the_better_layer(port, seed):
    W, H = smooth((4, 48), seed), hessian(48, seed)
    losses = []
    for switches in ({"fallback": True}, {}, {"compensation": "none"}):
        layer = port.stbllm_layer(W, H, ONCE.changed(**switches))
        damped = reference.damp(H, ONCE.loop.percdamp)
        losses.append(reference.proxy_loss(W, layer.decode(), damped))
    assert losses[0] == min(losses[1:])


def test_the_record_is_the_image_on_the_device(port):
    """Feedback uses the decoded values, up to the last roundings of float32."""
    W, kept = smooth((4, 40)).astype(np.float32), smooth((4, 40), 9) > 0
    switches = {"kept": kept, "zone": None, "start": 0}
    everything = np.ones(40, dtype=bool)
    made = stbllm._block(port.device, W, W**2, everything, ONCE, **switches)  # noqa: SLF001
    (block,) = fetch.fetch(port.device, [made])
    assert np.allclose(block.decode(), made.decode(), rtol=8 * 2.0**-24, atol=1e-6)


@pytest.mark.parametrize("power", [-50, 50])
@pytest.mark.parametrize("config", [ONCE, RELEASED], ids=["corrected", "released"])
def test_powers_of_two_scale_the_answer(port, config, power):
    W, H, config = smooth((4, 40)), hessian(40), config.changed(block_size=24, levels=20)
    plain = port.stbllm_layer(W, H, config).decode()
    moved = port.stbllm_layer(np.ldexp(W, power), H, config).decode()
    assert np.array_equal(moved, np.ldexp(plain, power))


def test_a_configuration_of_another_kind_is_refused(port):
    with pytest.raises(ArgumentError, match="config: expected"):
        port.stbllm_layer(np.ones((1, 8)), np.eye(8), BiLLM())


@pytest.mark.parametrize("config", [CORRECTED, RELEASED], ids=["corrected", "released"])
def test_no_race_and_no_dependence_on_the_schedule(port, config):
    W, H = smooth((9, 40), 7), hessian(40, 8)
    config = config.changed(block_size=24, levels=9)
    expected = port.stbllm_layer(W, H, config).decode()
    strict = fast.on("simulated", races=True, schedule="random", seed=1)
    assert np.array_equal(strict.stbllm_layer(W, H, config).decode(), expected)
