"""SparseGPT, Wanda and PB-LLM on the simulated device: masks, values, records, schedules."""

import numpy as np
import pytest
from fast_inputs import NASTY, hessian, smooth

from subbit import fast, reference
from subbit.reference import GPTQ, METHODS, PBLLM, SparseGPT, Wanda
from subbit.reference.errors import ArgumentError

PRUNERS = {
    "4:8": SparseGPT(block_size=16, tail="dense"),
    "2:4": SparseGPT(keep=(2, 4), block_size=128),
    "3:5": SparseGPT(keep=(3, 5), block_size=40, tail="dense"),
    "11:37": SparseGPT(keep=(11, 37), block_size=37, tail="dense"),
    "half": SparseGPT(keep=None, sparsity=0.5, block_size=24),
    "none but one": SparseGPT(keep=None, sparsity=0.0),
}


def same_masks(ours, theirs):
    blocks = zip(ours.blocks, theirs.blocks, strict=True)
    return all(
        a.pattern == b.pattern
        and all(np.array_equal(g.mask, h.mask) for g, h in zip(a.groups, b.groups, strict=True))
        for a, b in blocks
    )


@pytest.mark.parametrize("name", PRUNERS)
def test_pruning_reaches_the_reference(port, name):
    W, H, config = smooth((5, 48)), hessian(48, 3, dead=(7,)), PRUNERS[name]
    ours, theirs = (p.sparsegpt_layer(W, H, config) for p in (port, reference))
    assert same_masks(ours, theirs)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-5)
    values, kept = port.sparsegpt_prune(W, H, config)
    assert np.array_equal(values, ours.decode())
    assert kept.dtype == bool
    assert reference.payload_bits(ours) == reference.payload_bits(theirs)


@pytest.mark.parametrize("keep", [(1, 3), (30, 75), (4, 10)])
def test_groups_cross_tiles_and_rows_wider_than_the_registers(port, keep):
    W, H = smooth((3, 150), 1), hessian(150, 2)
    config = SparseGPT(keep=keep, block_size=150)
    ours, theirs = (p.sparsegpt_layer(W, H, config) for p in (port, reference))
    assert same_masks(ours, theirs)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", NASTY)
def test_patterns_are_exact_whatever_comes(port, family):
    W = np.clip(NASTY[family]((6, 40)), -1e18, 1e18)
    ours, theirs = (p.sparsegpt_layer(W, np.eye(40), PRUNERS["3:5"]) for p in (port, reference))
    kept = np.hstack([block.groups[0].mask for block in ours.blocks])
    assert (kept.reshape(6, -1, 5).sum(axis=2) == 3).all()
    # With a diagonal Hessian nothing moves, and of equal scores the lower column stays.
    assert same_masks(ours, theirs)
    assert np.array_equal(ours.decode(), np.where(kept, W.astype(np.float32), 0))


def test_scores_below_the_range_of_squares_still_decide(port):
    W = np.array([[1e-25, 3e-25, 2e-25, 0.5e-25]])
    config = SparseGPT(keep=(2, 4), block_size=4)
    kept = port.sparsegpt_prune(W, np.eye(4), config)[1]
    assert kept.tolist() == [[False, True, True, False]]


@pytest.mark.parametrize("preset", METHODS["wanda"].presets)
@pytest.mark.parametrize("sparsity", [None, 0.4])
def test_wanda_prunes_as_the_reference(port, preset, sparsity):
    W, H = smooth((6, 40), 2), hessian(40, 3, dead=(5,))
    fields = vars(METHODS["wanda"].presets[preset]) | {"block_size": 16}
    if sparsity is not None:
        fields |= {"keep": None, "sparsity": sparsity}
    config = Wanda(**fields)
    ours, theirs = (p.wanda_layer(W, H, config) for p in (port, reference))
    assert same_masks(ours, theirs)
    assert np.array_equal(ours.decode(), theirs.decode().astype(np.float32))


@pytest.mark.parametrize("statistics", ["row", "group"])
@pytest.mark.parametrize("block_size", [20, 150])
def test_pb_llm_reaches_the_reference(port, statistics, block_size):
    W, H = smooth((4, 150), 4), hessian(150, 5, dead=(3,))
    config = PBLLM(statistics=statistics, block_size=block_size, low_share=0.8)
    ours, theirs = (p.pb_llm_layer(W, H, config) for p in (port, reference))
    assert same_masks(ours, theirs)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-3, atol=1e-3)
    assert reference.payload_bits(ours) == reference.payload_bits(theirs)


@pytest.mark.parametrize("sign_zero", [0, 1])
def test_a_weight_on_its_mean_has_the_sign_of_zero(port, sign_zero):
    W = np.array([[1.0, 2.0, 3.0, 8.0]])
    config = PBLLM(
        low_share=0.5, score="magnitude", statistics="group", sign_zero=sign_zero, percdamp=0.0
    )
    ours, theirs = (p.pb_llm_layer(W, np.eye(4), config) for p in (port, reference))
    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-6)
    assert ours.blocks[0].groups[0].planes[0].sign.tolist() == [[-1, sign_zero, 1, 0]]


def test_widths_that_no_group_divides_are_refused(port):
    for entry, config in (("sparsegpt_layer", SparseGPT()), ("wanda_layer", Wanda())):
        with pytest.raises(ArgumentError, match="W: expected a width that the group 8 divides"):
            getattr(port, entry)(np.ones((1, 12)), np.eye(12), config)


@pytest.mark.parametrize(
    "call",
    [
        lambda p: p.sparsegpt_layer(smooth((10, 50)), hessian(50), PRUNERS["4:8"]),
        lambda p: p.sparsegpt_layer(smooth((10, 48)), hessian(48), PRUNERS["11:37"]),
        lambda p: p.sparsegpt_layer(smooth((9, 50)), hessian(50), PRUNERS["half"]),
        lambda p: p.sparsegpt_layer(
            smooth((2, 150)), hessian(150), SparseGPT(keep=(5, 10), block_size=150)
        ),
        lambda p: p.pb_llm_layer(smooth((9, 50)), hessian(50), PBLLM(block_size=40)),
    ],
    ids=["4:8", "11:37", "half", "wide", "pb-llm"],
)
def test_no_race_and_no_dependence_on_the_schedule(port, strict, call):
    assert np.array_equal(call(strict).decode(), call(port).decode())


def test_columns_are_pruned_in_whole_sectors():
    counted = fast.on("simulated", counters=True)
    counted.sparsegpt_layer(smooth((32, 128)), np.eye(128), SparseGPT(keep=(4, 8)))
    found = counted.device.counters["prune_columns"]
    assert found.total("shared").wavefronts == 0
    # A column's byte is read and written by its own lane; U's diagonal by all lanes at once.
    assert found.total("global").sectors <= 1.2 * found.total("global").ideal_sectors


@pytest.mark.parametrize("share", [2.0**-12, 2.0**-16])
def test_dead_inputs_have_their_place_in_an_order_by_activations(port, share):
    """They count as 1, which is more than any other input has here."""
    W, H = smooth((3, 40)), share * hessian(40, 3, dead=(7, 21))
    config = GPTQ(bits=3, activation_order=True)
    ours, theirs = (p.gptq_layer(W, H, config) for p in (port, reference))
    assert np.array_equal(ours.order, theirs.order)
    assert list(theirs.order[:2]) == [7, 21]


@pytest.mark.parametrize("config", [GPTQ(bits=3), PBLLM(high_bits=3, low_share=0.5)])
def test_grids_are_fitted_before_or_after_dead_inputs_are_zeroed(port, config):
    W, H = smooth((3, 40)), hessian(40, 3, dead=(7, 21))
    W[:, 7] = 9.0
    layer = "gptq_layer" if isinstance(config, GPTQ) else "pb_llm_layer"
    made = []
    for when in ("given", "zeroed"):
        config = config.changed(dead_grid=when)
        ours, theirs = (getattr(p, layer)(W, H, config).decode() for p in (port, reference))
        assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        made.append(theirs)
    assert not np.allclose(*made)
