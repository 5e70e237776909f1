"""Scores and N:M masks on a device: every width of group, last columns, ties, traffic."""

import numpy as np
import pytest
from fast_inputs import NASTY, U, bytes_of, single, smooth

from subbit import fast, reference
from subbit.fast.launches import masks as pruning
from subbit.fast.launches.kernels import SORTED
from subbit.reference.errors import ArgumentError

every_group = pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 8, 16, 20, 32])
every_sorted = pytest.mark.parametrize("group", SORTED)


def tied(shape, seed=0):
    """Few values, with both zeros among them."""
    return np.random.default_rng(seed).choice([-2.0, -0.0, 0.0, 1.0, 1.5], shape)


@every_group
@pytest.mark.parametrize("rest", [0, 1])
@pytest.mark.parametrize("family", NASTY)
def test_masks_are_the_references(port, group, rest, family):
    width = 3 * group + rest * (group - 1)
    for S in (single(NASTY[family]((5, width))), tied((5, width))):
        for keep in sorted({1, -(-group // 2), group}):
            wanted = reference.nm_mask(S, keep, group, tail="dense")
            assert np.array_equal(port.nm_mask(S, keep, group, tail="dense"), wanted)


@every_sorted
def test_sorting_networks_sort_every_order(port, group):
    """All inputs of zeros and ones for groups of 4 and 8, as many for 16, with every N."""
    count = 2 ** min(group, 8)
    numbers = np.random.default_rng(group).permutation(2**group)[:count]
    S = (numbers[:, None] >> np.arange(group) & 1).astype(np.float64)
    for keep in range(1, group + 1, max(1, group // 8)):
        assert np.array_equal(port.nm_mask(S, keep, group), reference.nm_mask(S, keep, group))


@every_sorted
def test_groups_of_several_blocks_and_a_tail(port, group):
    """A block has 256 groups; rows begin in the middle of a warp."""
    S = tied((67, 5 * group + 3))
    wanted = reference.nm_mask(S, 3, group, tail="dense")
    assert np.array_equal(port.nm_mask(S, 3, group, tail="dense"), wanted)


def test_rows_narrower_than_a_group_stay_whole(port):
    for group in (4, 7):
        assert port.nm_mask(smooth((3, 3)), 2, group, tail="dense").all()


@every_sorted
def test_the_network_agrees_with_counting(port, monkeypatch, group):
    S = tied((9, 6 * group), group)
    sorted_ = port.nm_mask(S, group // 2, group)
    monkeypatch.setattr(pruning, "SORTED", ())
    assert np.array_equal(port.nm_mask(S, group // 2, group), sorted_)


def traffic(call, entry):
    port = fast.on("simulated", counters=True)
    call(port)
    shared = port.device.counters[entry].total("shared")
    assert shared.wavefronts == shared.ideal_wavefronts
    return bytes_of(port.device, entry)


@every_sorted
def test_a_score_is_read_once_and_its_flag_written_once(group):
    n, m = 8, 8 * group
    found = traffic(lambda port: port.nm_mask(smooth((n, m)), group // 2, group), "nm_mask")
    assert found == (4 * n * m, n * m, True)


def test_a_held_weight_is_read_once_and_scored_once():
    """Besides the weights, a row reads column sums and norms."""
    n, m = 16, 128
    W, norms = smooth((n, m)), np.ones(m)
    for standardize in ("before", "after", "none"):
        found = traffic(
            lambda port, how=standardize: port.standardized_importance(W, norms, standardize=how),
            "relative_importance",
        )
        assert found == (n * m * (4 + 4 + 4), n * m * 4, True)
    found = traffic(lambda port: port.wanda_importance(W, norms), "scaled_magnitude")
    assert found == (n * m * (4 + 4), n * m * 4, True)


@pytest.mark.parametrize("width", [5, 32, 100, 128])
@pytest.mark.parametrize("standardize", ["before", "after", "none"])
def test_registers_and_memory_give_the_same_bits(port, monkeypatch, width, standardize):
    W, norms = smooth((10, width)), smooth(width) ** 2
    held = port.standardized_importance(W, norms, standardize=standardize)
    monkeypatch.setattr(pruning, "held", lambda _: 0)
    streamed = port.standardized_importance(W, norms, standardize=standardize)
    assert np.array_equal(held, streamed)


@pytest.mark.parametrize("family", sorted(set(NASTY) - {"rows far apart"}))
@pytest.mark.parametrize("width", [1, 33, 129])
def test_scores_near_the_references(port, family, width):
    W, norms = single(NASTY[family]((9, width))), single(smooth(width) ** 2)
    for ours, theirs in (
        (port.wanda_importance(W, norms), reference.wanda_importance(W, norms)),
        (port.ria_importance(W, norms), reference.ria_importance(W, norms)),
    ):
        assert np.all(np.abs(ours - theirs) <= 64 * U * theirs + np.finfo(np.float32).tiny)


def test_row_and_threshold_masks(port):
    S = tied((5, 40))
    for sparsity in (0.0, 0.29, 0.5, 0.99):
        assert np.array_equal(port.row_mask(S, sparsity), reference.row_mask(S, sparsity))
        assert np.array_equal(
            port.threshold_mask(S, sparsity), reference.threshold_mask(S, sparsity)
        )


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda port: port.wanda_importance([[1e30]], [1e30]), "W"),
        (lambda port: port.ria_importance([[3e38, 3e38]], [1.0, 1.0]), "W"),
        (lambda port: port.nm_mask([[1.0, 2.0]], 1, 4), "group"),
        (lambda port: port.input_norms([[-1.0]]), "H"),
    ],
)
def test_what_float32_cannot_hold_is_refused(port, call, argument):
    with pytest.raises(ArgumentError, match=f"^{argument}:"):
        call(port)
