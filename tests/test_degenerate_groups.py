"""Edge cases of the refinements of one group: every one is defined, and none gives a NaN."""

import itertools
from functools import partial

import numpy as np
import pytest

from subbit import reference
from subbit.reference import Refinement
from subbit.reference.errors import ArgumentError

SETTINGS = {
    "paper": Refinement(),
    "released": Refinement(sign_zero=0, eps=1e-8, calibrated_eps=1e-10, calibrated_start="refined"),
    "printed": Refinement(divisor="width", initial_signs="plain"),
    "exact": Refinement(levels="exact"),
    "relative": Refinement(eps=1e-8, calibrated_eps=1e-8, eps_kind="relative"),
    "float32": Refinement(mean_denominator="float32"),
    "no-rounds": Refinement(iterations=0, calibrated_iterations=0),
}
REFINEMENTS = {
    "arb": reference.arb,
    "arb_x": lambda W, mask, **switches: reference.arb_x(W, mask, _gram(W), **switches),
    "arb_rc": reference.arb_rc,
    "arb_rc, refreshed": partial(reference.arb_rc, column_signs="refreshed"),
}
MATRICES = {
    "gauss": np.random.default_rng(0).standard_normal((4, 9)),
    "one weight": np.array([[-0.75]]),
    "one column": np.array([[1.0], [-2.0], [0.0]]),
    "one row": np.array([[1.0, -2.0, 0.0, 5.0]]),
    "zeros": np.zeros((3, 4)),
    "constant": np.full((3, 5), 0.37),
    "constant rows": np.repeat([[0.1], [-2.0], [0.0]], 6, axis=1),
    "one magnitude": np.array([[0.5, -0.5, 0.5, 0.5], [0.5, 0.5, -0.5, -0.5]]),
    "zero row": np.array([[0.0, 0.0, 0.0], [1.0, 2.0, -3.0]]),
    "zero column": np.array([[0.0, 1.0, -2.0], [0.0, 3.0, 1.0]]),
    "ties": np.array([[-1.0, 0.0, 1.0, 0.0], [2.0, 2.0, 2.0, -6.0]]),
    "tiny": 1e-30 * np.arange(-6.0, 6.0).reshape(3, 4),
    "huge": 1e90 * np.arange(-6.0, 6.0).reshape(3, 4),
    "all magnitudes": 10.0 ** np.linspace(-60, 60, 12).reshape(3, 4),
}
MASKS = {
    "full": lambda shape: np.ones(shape, dtype=bool),
    "empty": lambda shape: np.zeros(shape, dtype=bool),
    "empty row": lambda shape: np.broadcast_to(np.arange(shape[0])[:, None] != 0, shape),
    "one column": lambda shape: np.broadcast_to(np.arange(shape[1]) == 0, shape),
    "one entry": lambda shape: np.arange(shape[0] * shape[1]).reshape(shape) == 0,
    "chess": lambda shape: np.indices(shape).sum(axis=0) % 2 == 0,
}
every_refinement = pytest.mark.parametrize("refinement", REFINEMENTS)
every_matrix = pytest.mark.parametrize("matrix", MATRICES)
both_orders = pytest.mark.parametrize("order", [1, 2])


def _gram(W):
    X = np.random.default_rng(1).standard_normal((3 * W.shape[1], W.shape[1]))
    return X.T @ X


def _check(group, W, mask):
    Q = group.decode()
    assert Q.shape == W.shape
    assert np.isfinite(Q).all()
    assert not Q[~mask].any()
    for plane in group.planes:
        assert not plane.sign[~mask].any()
        assert np.isfinite(plane.row_scale).all()
        assert plane.column_scale is None or np.isfinite(plane.column_scale).all()
    assert group.mean is None or np.isfinite(group.mean).all()
    return Q


@every_refinement
@every_matrix
@both_orders
def test_any_matrix_mask_and_setting(refinement, matrix, order):
    W = MATRICES[matrix]
    for config, mask in itertools.product(SETTINGS.values(), MASKS.values()):
        entries = mask(W.shape)
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            group = REFINEMENTS[refinement](W, entries, order=order, config=config)
        _check(group, W, entries)


@every_matrix
def test_two_means_of_any_matrix_and_mask(matrix):
    W = MATRICES[matrix]
    for name, mask in MASKS.items():
        entries = mask(W.shape)
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            group = reference.two_means(W, entries)
        Q = _check(group, W, entries)
        assert (group.planes[0].row_scale >= 0).all()
        if name in {"one column", "one entry"}:
            assert np.allclose(Q, np.where(entries, W, 0.0), rtol=1e-15, atol=0)


@pytest.mark.parametrize("refinement", ["arb", "arb_x"])
@pytest.mark.parametrize("setting", ["paper", "released", "exact"])
@pytest.mark.parametrize("matrix", ["constant", "constant rows", "zeros", "one column"])
@both_orders
def test_constant_rows_are_exact(refinement, setting, matrix, order):
    W = MATRICES[matrix]
    group = REFINEMENTS[refinement](W, None, order=order, config=SETTINGS[setting])
    assert np.allclose(group.decode(), W, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "matrix", ["constant", "constant rows", "zeros", "one column", "one row", "one magnitude"]
)
@both_orders
def test_magnitudes_of_rank_one_are_exact_with_row_and_column_scales(matrix, order):
    W = MATRICES[matrix]
    Q = reference.arb_rc(W, order=order).decode()
    assert np.allclose(Q, W, rtol=1e-12, atol=1e-15)


@both_orders
@pytest.mark.parametrize("S", [np.zeros((4, 4)), np.ones((4, 4)), np.diag([1.0, 0.0, 0.0, 0.0])])
@pytest.mark.parametrize("setting", SETTINGS)
def test_inputs_that_see_little(order, S, setting):
    """No inputs, one input, or equal inputs: levels that do not affect the error stay."""
    W = np.array([[3.0, 1.0, -1.0, -2.0], [1.0, 1.0, 1.0, 1.0]])
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        group = reference.arb_x(W, None, S, order=order, config=SETTINGS[setting])
    _check(group, W, np.ones(W.shape, dtype=bool))
    start = reference.arb_start(W, order=order, config=SETTINGS[setting])
    errors = [reference.calibrated_error_trace(W, g.decode(), S) for g in (group, start)]
    assert errors[0] <= errors[1] + 1e-9


@every_refinement
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(refinement, bad):
    W = MATRICES["gauss"].copy()
    W[1, 2] = bad
    with pytest.raises(ArgumentError, match=r"^W: "):
        REFINEMENTS[refinement](W, None)


@every_refinement
@pytest.mark.parametrize("order", [0, 3, 1.5, "2", None])
def test_orders_that_do_not_exist(refinement, order):
    with pytest.raises(ArgumentError, match=r"^order: "):
        REFINEMENTS[refinement](MATRICES["gauss"], None, order=order)


@every_refinement
@pytest.mark.parametrize(
    "mask", [np.ones((4, 8), dtype=bool), np.ones((4, 9)), np.ones(9, dtype=bool)]
)
def test_masks_that_do_not_fit(refinement, mask):
    with pytest.raises(ArgumentError, match=r"^mask: "):
        REFINEMENTS[refinement](MATRICES["gauss"], mask)


@pytest.mark.parametrize("S", [np.eye(8), np.ones(9), np.full((9, 9), np.nan)])
def test_gram_matrices_that_do_not_fit(S):
    with pytest.raises(ArgumentError, match=r"^S: "):
        reference.arb_x(MATRICES["gauss"], None, S)


@pytest.mark.parametrize("name", ["refine_scale", "refine_row_scale", "refine_column_scale"])
@pytest.mark.parametrize("plane", [1, -1, 0.5])
def test_planes_that_do_not_exist(name, plane):
    W = MATRICES["gauss"]
    start = reference.arb_start(W) if name == "refine_scale" else reference.rc_start(W)
    with pytest.raises(ArgumentError, match=r"^plane: "):
        getattr(reference, name)(W, start, plane)


@pytest.mark.parametrize("name", ["refine_row_scale", "refine_column_scale", "refine_rc_signs"])
def test_groups_without_column_scales(name):
    W = MATRICES["gauss"]
    with pytest.raises(ArgumentError, match=r"^group: .*column scales"):
        getattr(reference, name)(W, reference.arb_start(W))


def test_a_trace_of_nothing():
    with pytest.raises(ArgumentError, match=r"^steps: "):
        reference.trace_objective(MATRICES["gauss"], [])


@pytest.mark.parametrize("argument", ["n", "k", "rounds", "batch", "length"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_sizes_that_do_not_exist(argument, value):
    sizes = {"n": 4, "k": 2, "rounds": 3, "batch": 1, "length": 8} | {argument: value}
    with pytest.raises(ArgumentError, match=rf"^{argument}: "):
        reference.gram_cost_ratio(**sizes)
