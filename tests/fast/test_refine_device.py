"""Groups that stay on the device: several of a block, their image, and their memory traffic."""

import numpy as np
import pytest
from fast_inputs import bytes_of, hessian, smooth

from subbit import fast
from subbit.fast.launches.arb import launch_arb
from subbit.fast.launches.arb_rc import launch_arb_rc
from subbit.fast.launches.arb_x import gram, launch_calibration
from subbit.fast.launches.state import Groups
from subbit.reference import Refinement

CONFIG = Refinement(iterations=3, calibrated_iterations=4)
ORDERS = (1, 2, 2)


@pytest.fixture(scope="module")
def block():
    W = smooth((40, 70)).astype(np.float32)
    group = np.random.default_rng(5).integers(0, 4, W.shape).astype(np.uint8)
    return W, group, hessian(70).astype(np.float32)


def decoded(block, call):
    """The sum of groups that the function `call` made one by one."""
    W, group, _ = block
    return sum(call(W, group == g + 1, order=order).decode() for g, order in enumerate(ORDERS))


def assert_image(made, group, records):
    assert np.allclose(made.image, records, rtol=1e-6, atol=1e-6)
    assert not made.image[group == 0].any()
    assert not made.signs[:, group == 0].any()


def test_groups_of_a_block_share_memory(port, block):
    W, group, _ = block
    made = Groups.blank(port.device, W.shape, ORDERS)
    for number in range(3):
        launch_arb(made, W, group, number, config=CONFIG)
    assert_image(made, group, decoded(block, lambda *a, **k: port.arb(*a, config=CONFIG, **k)))
    assert made.mean.shape == (3, 40)
    assert made.scale.shape == (5, 40)


def test_calibration_follows_on_the_device(port, block):
    W, group, S = block
    made = Groups.blank(port.device, W.shape, ORDERS)
    for number in range(3):
        launch_arb(made, W, group, number, config=CONFIG)
        launch_calibration(made, W, group, number, S=gram(port.device, S), config=CONFIG)

    def refined(W, M, order):
        config = Refinement(iterations=3, calibrated_iterations=4, calibrated_start="refined")
        return port.arb_x(W, M, S, order=order, config=config)

    assert np.array_equal(made.image != 0, group != 0)
    assert np.allclose(made.image, decoded(block, refined), rtol=1e-5, atol=1e-5)


def test_row_and_column_scales_of_groups(port, block):
    W, group, _ = block
    made = Groups.blank(port.device, W.shape, ORDERS)
    for number in range(3):
        launch_arb_rc(made, W, group, number, config=CONFIG)
    assert_image(made, group, decoded(block, lambda *a, **k: port.arb_rc(*a, config=CONFIG, **k)))
    assert made.columns.shape == (5, 70)


def test_a_group_may_be_made_again(port, block):
    W, group, _ = block
    made, again = (Groups.blank(port.device, W.shape, ORDERS) for _ in range(2))
    launch_arb_rc(made, W, group, 1, config=CONFIG)
    fewer = np.where(np.arange(70) == 3, np.uint8(0), group)
    for refined in (made, again):
        launch_arb_rc(refined, W, fewer, 1, config=CONFIG)
    assert np.array_equal(made.columns, again.columns)
    assert not made.columns[1:3, 3].any()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("rounds", [1, 5])
def test_arb_reads_and_writes_each_weight_once(order, rounds):
    """Each row also stores its mean and scales, one sector each."""
    n, k = 32, 128
    port = fast.on("simulated", counters=True)
    port.arb(smooth((n, k)), order=order, config=Refinement(iterations=rounds))
    load, store, ideal = bytes_of(port.device, "arb_refine")
    assert ideal
    assert load == 5 * n * k + 32 * n  # and eps
    assert store == (4 + order) * n * k + 32 * n * (1 + order)


@pytest.mark.parametrize("order", [1, 2])
def test_calibration_reads_and_writes_each_weight_once(order):
    n, k, p = 32, 128, order + 1
    port = fast.on("simulated", counters=True)
    W = smooth((n, k))
    port.calibrate_levels(W, port.arb_start(W, order=order), np.eye(k))
    load, store, ideal = bytes_of(port.device, "calibrated_levels")
    assert ideal
    small = 32 * n * p  # means and scales
    assert load == (5 + order + 4 * p) * n * k + small + 32 * n * p + 4 * n * k  # eps, diagonal
    assert store == 4 * n * k + small


@pytest.mark.parametrize("order", [1, 2])
def test_fused_passes_read_each_weight_once(order):
    n, k, rounds = 64, 128, 3
    port = fast.on("simulated", counters=True)
    port.arb_rc(smooth((n, k)), order=order, config=Refinement(iterations=rounds))
    load, store, ideal = bytes_of(port.device, "rc_pass")
    shared = port.device.counters["rc_pass"].total("shared")
    assert ideal
    assert shared.wavefronts == shared.ideal_wavefronts
    passes, warps = order * (1 + rounds) + 1, n // 4
    unknown = order * (order + 1) // 2 * n * k  # signs that the start has not chosen yet
    columns = passes * 4 * order * k * warps
    small = passes * 32 * (order * n + 3 * warps)  # row scales; eps and unit
    assert load == passes * (5 + order) * n * k - unknown + columns + small
    fitted = order * (1 + rounds) * (32 * n + 2 * 4 * k * (n // 32))
    signs = (order + (rounds if order == 2 else 0)) * order * n * k
    assert store == 4 * n * k + fitted + signs
