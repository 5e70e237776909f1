"""Row statistics, binarization, saliency and ranks against the reference."""

import numpy as np
import pytest
from fast_inputs import NASTY, U, mask, smooth

from subbit import reference
from subbit.fast.launches import depths
from subbit.fast.launches import rows as launched
from subbit.reference.errors import ArgumentError

WIDTHS = (1, 31, 33, 100, 128, 129, 300)
every_input = pytest.mark.parametrize("family", NASTY)
every_mode = pytest.mark.parametrize("center", [False, True])


def row_tolerance(W, orders=1):
    """A few roundings per addition in a row, each at most that of the row's largest magnitude."""
    largest = np.max(np.abs(W), axis=1, keepdims=True)
    return 8 * orders * (depths.row(W.shape[1]) + 4) * U * largest


@every_input
@pytest.mark.parametrize("width", WIDTHS)
def test_masked_statistics(port, family, width):
    W, M = NASTY[family]((9, width)), mask((9, width))
    mean = reference.masked_mean(W, M)
    allowed = row_tolerance(W)[:, 0]
    assert np.all(np.abs(port.masked_mean(W, M) - mean) <= allowed)
    assert np.all(
        np.abs(port.masked_scale(W, M, mean) - reference.masked_scale(W, M, mean)) <= allowed
    )
    assert np.all(np.abs(port.masked_scale(W) - reference.masked_scale(W)) <= allowed)


@every_input
@every_mode
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("sign_zero", [0, 1])
def test_residual_binarize(port, family, center, order, sign_zero):
    W, M = NASTY[family]((9, 70)), mask((9, 70))
    switches = {"order": order, "center": center, "sign_zero": sign_zero, "name": "some"}
    ours = port.residual_binarize(W, M, **switches)
    theirs = reference.residual_binarize(W, M, **switches)
    allowed = row_tolerance(W, order)
    assert (ours.name, len(ours.planes), ours.mean is None) == ("some", order, not center)
    assert np.array_equal(ours.mask, M)
    rest, shift = W, np.zeros((9, 1))
    for plane, exact in zip(ours.planes, theirs.planes, strict=True):
        assert np.all(np.abs(plane.row_scale - exact.row_scale) <= allowed[:, 0])
        shift = reference.masked_mean(rest, M)[:, None] if center else shift
        decided = M & (np.abs(rest - shift) > allowed)
        assert np.array_equal(plane.sign[decided], exact.sign[decided])
        assert not plane.sign[~M].any()
        if not np.array_equal(plane.sign, exact.sign):
            return
        rest = rest - shift - exact.decode()
    assert np.all(np.abs(ours.decode() - theirs.decode()) <= allowed)


@every_mode
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 2, 8])
def test_exact_where_nothing_rounds(port, center, order, width):
    W = np.random.default_rng(width).integers(-9, 10, (20, width)).astype(np.float64)
    for sign_zero in (0, 1):
        ours = port.residual_binarize(W, order=order, center=center, sign_zero=sign_zero)
        theirs = reference.residual_binarize(W, order=order, center=center, sign_zero=sign_zero)
        assert np.array_equal(ours.decode(), theirs.decode())
        for a, b in zip(ours.planes, theirs.planes, strict=True):
            assert np.array_equal(a.sign, b.sign)
            assert np.array_equal(a.row_scale, b.row_scale)


@pytest.mark.parametrize("width", [5, 32, 100, 128])
def test_registers_and_memory_give_the_same_bits(port, monkeypatch, width):
    W, M = smooth((10, width)), mask((10, width))
    held = port.residual_binarize(W, M, order=2, center=True)
    monkeypatch.setattr(launched, "held", lambda _: 0)
    streamed = port.residual_binarize(W, M, order=2, center=True)
    assert np.array_equal(held.decode(), streamed.decode())
    assert np.array_equal(held.mean, streamed.mean)


def test_binarize_once_is_the_first_order(port):
    W, M = smooth((3, 40)), mask((3, 40))
    ours = port.binarize_once(W, M, center=True, sign_zero=1)
    theirs = reference.binarize_once(W, M, center=True, sign_zero=1)
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_rows_of_several_blocks_and_a_tail(port):
    W = smooth((67, 12))
    assert np.allclose(port.masked_mean(W), W.mean(axis=1), rtol=1e-5, atol=1e-6)


@every_input
def test_scores_of_weights(port, family):
    W, d = NASTY[family]((5, 40)), np.linspace(0.5, 2.0, 40)
    if family == "rows far apart":
        with pytest.raises(ArgumentError, match="W: expected weights whose scores"):
            port.trailing_saliency(W, np.diag(d))
        return
    H, tiny = np.diag(1 / d), np.finfo(np.float32).tiny
    for ours, theirs in (
        (port.trailing_saliency(W, np.diag(d)), W**2 / d**2),
        (port.inverse_hessian_saliency(W, H), W**2 / d**2),
        (port.obs_saliency(W, H), W**2 / d),
    ):
        assert np.all(np.abs(ours - theirs) <= 16 * U * theirs + tiny)
    assert np.array_equal(port.magnitude_saliency(W), W.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 1), (9, 33), (255, 3), (256, 40), (600, 65)])
def test_column_scores(port, shape):
    S = NASTY["spread"](shape)
    exact = np.abs(S).sum(axis=0)
    assert np.all(
        np.abs(port.column_saliency(S) - exact) <= (depths.column(shape[0]) + 1) * U * exact
    )


@pytest.mark.parametrize("k", [1, 7, 256, 300])
def test_ranks_fall_and_ties_go_to_the_lower_column(port, k):
    scores = np.random.default_rng(k).integers(0, max(2, k // 4), k).astype(np.float64)
    ranking = port.rank_columns(scores)
    assert np.array_equal(ranking, reference.rank_columns(scores))
    assert ranking.dtype == np.intp


def test_sign_of_zero(port):
    values = [-2.0, -0.0, 0.0, 3.0]
    assert port.sign(values).tolist() == [-1, 1, 1, 1]
    assert port.sign(values, zero=0).tolist() == [-1, 0, 0, 1]
    assert port.sign(values).dtype == np.int8


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([1.0, 2.0], "shape"),
        ([[1.0, np.nan]], "finite"),
        ([[1.0, 1e39]], "range of float32"),
        (np.zeros((0, 3)), "at least one element"),
        ([["a"]], "real numbers"),
    ],
)
def test_bad_arguments_are_refused_by_name(port, bad, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        port.residual_binarize(bad)
    assert caught.value.argument == "W"


def test_bad_switches_are_refused(port):
    with pytest.raises(ArgumentError, match="mask"):
        port.masked_mean([[1.0]], [[1.0]])
    with pytest.raises(ArgumentError, match="order"):
        port.residual_binarize([[1.0]], order=0)
    with pytest.raises(ArgumentError, match="sign_zero"):
        port.residual_binarize([[1.0]], sign_zero=2)


def test_arguments_stay_as_they_are(port):
    W = smooth((4, 40)).astype(np.float32)
    before = W.copy()
    port.residual_binarize(W, order=2, center=True)
    port.magnitude_saliency(W)[:] = 0
    assert np.array_equal(W, before)
