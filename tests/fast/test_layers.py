"""Whole layers: the objective of the reference is reached, and exactly where nothing rounds."""

import numpy as np
import pytest
from fast_inputs import hessian, smooth

from subbit import fast, reference
from subbit.fast import billm, blocks
from subbit.fast.launches import fetch
from subbit.reference import METHODS, billm_layer
from subbit.reference.billm import CORRECTED, PAPER, PRESETS, RELEASED
from subbit.reference.errors import ArgumentError

SMALL = {"block_size": 24, "counts": (1, 9)}
VARIANTS = {
    "matrix": PAPER.changed(scope="matrix", **SMALL),
    "breakpoints": PAPER.changed(grid="breakpoints", **SMALL),
    "quantiles, all salient": CORRECTED.changed(block_size=24, counts=(24, 24)),
    "unordered scores": PAPER.changed(score="inverse_hessian", **SMALL),
    "split by scores": PAPER.changed(split_by="scores", closed=False, **SMALL),
    "search on scores": RELEASED.changed(split_by="weights", **SMALL),
    "alone": CORRECTED.changed(compensation="none", center=True, **SMALL),
    "wide": PAPER.changed(block_size=200, counts=(0, 3)),
}


def same_signs(plane, exact):
    """Signs of rows whose remainder exceeds the rounding of earlier orders."""
    real = exact.row_scale > 1e-5
    return np.array_equal(plane.sign[real], exact.sign[real])


def same_choices(ours, theirs):
    """The masks, the signs and the salient columns of two records."""
    blocks = list(zip(ours.blocks, theirs.blocks, strict=True))
    groups = [pair for a, b in blocks for pair in zip(a.groups, b.groups, strict=True)]
    planes = [pair for g, h in groups for pair in zip(g.planes, h.planes, strict=True)]
    return (
        all(np.array_equal(a.salient, b.salient) for a, b in blocks)
        and all(np.array_equal(g.mask, h.mask) for g, h in groups)
        and all(same_signs(p, q) for p, q in planes)
    )


def assert_reaches(ours, theirs, W, H):
    reached = reference.relative_error(W, ours.decode(), H)
    assert reached == pytest.approx(reference.relative_error(W, theirs.decode(), H), rel=1e-3)
    exact, own = reference.payload_bits(theirs), reference.payload_bits(ours)
    assert own.scales == exact.scales
    assert own.means == exact.means


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dead", [(), (0, 20, 47)])
def test_presets_reach_the_reference(port, preset, dead):
    W, H, config = smooth((11, 48)), hessian(48, dead=dead), PRESETS[preset].changed(block_size=20)
    ours, theirs = port.billm_layer(W, H, config), billm_layer(W, H, config)
    assert same_choices(ours, theirs)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-3, atol=1e-4)
    assert_reaches(ours, theirs, W, H)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_switch_reaches_the_reference(port, variant):
    W, H, config = smooth((7, 60), 1), hessian(60, 2, dead=(3, 30)), VARIANTS[variant]
    assert_reaches(port.billm_layer(W, H, config), billm_layer(W, H, config), W, H)


@pytest.mark.parametrize("preset", PRESETS)
def test_exact_where_nothing_rounds(port, preset):
    """Columns of magnitude 8 among others of magnitude 1, and uncorrelated inputs."""
    W = np.where(smooth((8, 40)) < 0, -1.0, 1.0) * np.where(np.arange(40) % 7 == 2, 8.0, 1.0)
    W *= 2.0 ** np.arange(-4, 4)[:, None]
    config = PRESETS[preset].changed(block_size=16, counts=(0, 9), center=False, percdamp=0.0)
    ours, theirs = (p.billm_layer(W, np.eye(40), config) for p in (port, reference))
    assert same_choices(ours, theirs)
    if preset in ("paper", "corrected"):
        assert np.array_equal(ours.decode(), theirs.decode())


def test_signs_of_zero_come_back(port):
    W, H = smooth((8, 24), 3), hessian(24)
    W[:, ::5] = 0.0
    config = RELEASED.changed(center=False, block_size=24)
    ours, theirs = port.billm_layer(W, H, config), billm_layer(W, H, config)
    assert same_choices(ours, theirs)
    assert any((p.sign == 0)[g.mask].any() for g in ours.blocks[0].groups for p in g.planes[:1])


@pytest.mark.parametrize(
    ("method", "preset"), [(m, p) for m in ("rtn", "gptq") for p in METHODS[m].presets]
)
def test_baselines_reach_the_reference(port, method, preset):
    W, H = smooth((6, 40), 2), hessian(40, 3)
    config = METHODS[method].presets[preset].changed(group_size=16)
    ours, theirs = (getattr(p, METHODS[method].entry)(W, H, config) for p in (port, reference))
    assert_reaches(ours, theirs, W, H)
    assert np.mean(ours.decode() == pytest.approx(theirs.decode(), rel=1e-4, abs=1e-5)) == 1


@pytest.mark.parametrize(
    "switches",
    [
        {"activation_order": True, "group_size": None},
        {"group_size": 5, "block_size": 12},
        {"group_size": 30, "block_size": 7, "bits": 4},
        {"block_size": 200},
    ],
    ids=str,
)
def test_gptq_by_any_blocks_and_groups(port, switches):
    W, H = smooth((5, 150), 4), hessian(150, 5, dead=(7,))
    config = reference.GPTQ(**switches)
    ours, theirs = port.gptq_layer(W, H, config), reference.gptq_layer(W, H, config)
    assert_reaches(ours, theirs, W, H)
    assert (ours.order is None) == (theirs.order is None)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_uniform_grids(port, bits):
    W = np.vstack([smooth((3, 20)), np.zeros((1, 20)), np.full((1, 20), 2.5)])
    for ours, theirs in zip(port.minmax_grid(W, bits), reference.minmax_grid(W, bits), strict=True):
        assert np.allclose(ours, theirs, rtol=1e-6)
    scale, zero = reference.minmax_grid(W, bits)
    codes = port.grid_codes(W, scale, zero, bits)
    assert codes.dtype == np.uint8
    assert np.array_equal(codes, reference.grid_codes(W, scale, zero, bits))


def test_steps_of_a_block(port):
    W, S = smooth((5, 30)), smooth((5, 30), 9) ** 2
    alive = np.arange(30) % 6 != 1
    salient = port.choose_salient(W, S, alive, CORRECTED.zones)
    assert np.array_equal(salient, reference.choose_salient(W, S, alive, CORRECTED.zones))
    none = np.zeros(30, dtype=bool)
    assert not port.choose_salient(W, S, none).any()
    for columns in (alive, none):
        ours = port.choose_split(W, S, columns, CORRECTED.zones)
        theirs = reference.choose_split(W, S, columns, CORRECTED.zones)
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for chosen in (None, np.arange(30) < 4):
        block = port.billm_block(W, S, alive, PAPER, salient=chosen, start=60)
        exact = reference.billm_block(W, S, alive, PAPER, salient=chosen, start=60)
        assert (block.start, block.stop) == (60, 90)
        assert np.array_equal(block.salient, exact.salient)
        assert np.allclose(block.decode(), exact.decode(), rtol=1e-5, atol=1e-6)


def test_the_last_breakpoint_of_the_columns_that_take_part_is_tried(port):
    W = np.array([[1.0, -1.0, 9.0, 1.0, 5.0]])
    config = PAPER.zones.changed(grid="breakpoints", closed=False)
    columns = np.abs(W[0]) < 9
    for chooser in (port, reference):
        concentrated, sparse = chooser.choose_split(W, W**2, columns, config)
        assert concentrated.tolist() == [[True, True, False, True, False]]
        assert sparse.tolist() == [[False, False, False, False, True]]


def test_the_record_is_the_image_on_the_device(port):
    """Feedback uses the decoded values, up to the last rounding of float32."""
    W, alive = smooth((4, 40)), np.ones(40, dtype=bool)
    made = billm._block(  # noqa: SLF001
        port.device,
        W.astype(np.float32),
        (W**2).astype(np.float32),
        alive,
        RELEASED,
        zone=None,
        start=0,
    )
    (block,) = fetch.fetch(port.device, [made])
    assert np.allclose(block.decode(), made.decode(), rtol=4 * 2.0**-24, atol=1e-7)


@pytest.mark.parametrize("config", [PAPER, RELEASED, CORRECTED])
def test_a_layer_comes_back_in_one_transfer(port, monkeypatch, config):
    seen = []
    real = fetch.to_host
    for module in (fetch, blocks, billm):
        monkeypatch.setattr(module, "to_host", lambda x: seen.append(x) or real(x))
    port.billm_layer(smooth((4, 60)), hessian(60), config.changed(**SMALL))
    # Which inputs are dead is asked for first, where they are left out.
    dead = ["bool"] if config.loop.dead_inputs == "zero" else []
    assert [x.dtype.name for x in seen] == [*dead, "uint32"]


def test_weights_out_of_range_are_refused(port):
    with pytest.raises(ArgumentError, match="range of float32"):
        port.billm_layer(np.full((1, 4), 1e39), np.eye(4))


@pytest.mark.parametrize("method", METHODS)
def test_configurations_of_another_kind_are_refused(port, method):
    with pytest.raises(ArgumentError, match="config: expected"):
        getattr(port, METHODS[method].entry)(np.ones((1, 4)), np.eye(4), "paper")


@pytest.mark.parametrize("power", [-60, 60])
def test_powers_of_two_scale_the_answer(port, power):
    W, H = smooth((4, 48)), hessian(48)
    config = RELEASED.changed(**SMALL)
    plain, moved = port.billm_layer(W, H, config), port.billm_layer(np.ldexp(W, power), H, config)
    assert np.array_equal(moved.decode(), np.ldexp(plain.decode(), power))


@pytest.mark.parametrize("config", [PAPER, RELEASED], ids=["paper", "released"])
def test_no_race_and_no_dependence_on_the_schedule(port, config):
    W, H = smooth((10, 50), 7), hessian(50, 8)
    config = config.changed(block_size=40)
    expected = port.billm_layer(W, H, config)
    for seed in (1, 2):
        strict = fast.on("simulated", races=True, schedule="random", seed=seed)
        layer = strict.billm_layer(W, H, config)
        assert same_choices(layer, expected)
        assert np.array_equal(layer.decode(), expected.decode())
