"""The column-group bitmap: searches on outputs, and how cuts relate to each other.

Whole blocks and layers are in ``test_arb_llm``; this is only about the cuts, on weights
and scores that the port's type holds exactly.
"""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, MODES, Array, Mask, Masks, Weights
from subbit.conformance.inputs.strategies import Layer, layers, masks, seeds, weights
from subbit.conformance.oracles import exact
from subbit.conformance.target import Port

ROUNDINGS = 2**13
"""Roundings, of the energy, that a search's objective may lose: 1e-12 in float64."""
ORDERS = [(1, 1), (2, 2), (2, 1), (1, 2)]
every_mode = pytest.mark.parametrize("mode", MODES)
every_orders = pytest.mark.parametrize("orders", ORDERS)
SWITCHES: dict[str, list[Any]] = {
    "center": [False, True],
    "search_on": ["weights", "scores"],
    "split_by": ["weights", "scores"],
    "grid": ["maximum", "quantiles", "quantiles_with_zeros", "breakpoints"],
    "closed": [True, False],
    "column_groups": [True, False],
    "bitmap": ["shared", "zones"],
    "minimum": ["reset", "kept"],
    "taken_error": ["residual", "row_column"],
    "split_error": ["weights", "outputs"],
}
switches = st.fixed_dictionaries({name: st.sampled_from(v) for name, v in SWITCHES.items()})


def _thresholds(T: Array, seed: int) -> Array:
    """Thresholds on entries, between them and outside all of them."""
    rng = np.random.default_rng(seed)
    return np.append(rng.choice(np.abs(T).ravel(), 4), rng.uniform(0, 1.2, 4) * np.abs(T).max())


@every_mode
@every_orders
@given(matrix=weights(CONTINUOUS), mask=masks(), seed=seeds(), closed=st.booleans())
def test_a_calibrated_search_of_orthonormal_inputs_is_a_plain_one(
    port: Port,
    mode: str,
    orders: tuple[int, int],
    matrix: Weights,
    mask: Masks,
    seed: int,
    *,
    closed: bool,
) -> None:
    """``S = 1``, and the other entries decode to themselves: ``Tr(R S Rᵀ) = ‖R‖²``."""
    T, part = port.held(matrix.values), mask.of(matrix.shape)
    cuts, S = port.held(_thresholds(T, seed)), np.eye(T.shape[1])
    arguments = {"orders": orders, "closed": closed, **MODES[mode]}
    plain = port.bell_split_search_direct(T, part, cuts, **arguments)
    allowed = port.gamma(ROUNDINGS) * np.sum(T**2)
    for image in (None, T):
        found = port.calibrated_split_search(T, part, cuts, S, image=image, **arguments)
        assert compare.bound(found.candidates, plain.candidates, 0.0) <= 1
        assert compare.bound(found.objectives, plain.objectives, allowed) <= 1
        reached = plain.objectives[found.best]
        assert compare.objective(reached, plain.objectives.min(), 2 * allowed) <= 1


@every_orders
@given(layer=layers(columns=(1, 20)), mask=masks(), seed=seeds(), by_key=st.booleans())
def test_calibrated_objectives_are_errors_of_outputs(
    port: Port, orders: tuple[int, int], layer: Layer, mask: Masks, seed: int, *, by_key: bool
) -> None:
    """Every candidate re-evaluated from its groups: ``⟨S, RᵀR⟩`` of everything, image and all."""
    T, S = port.held(layer[0].values), port.held(layer[1].hessian)
    part, rng = mask.of(layer[0].shape), np.random.default_rng(seed)
    image = port.held(rng.standard_normal(T.shape) * np.abs(T).max())
    key = rng.integers(0, 4, T.shape).astype(np.float64) if by_key else None
    cuts = np.array([0.5, 2.0, 1.0]) if by_key else port.held(_thresholds(T, seed))
    found = port.calibrated_split_search(
        T, part, cuts, S, image=image, key=key, orders=orders, center=True
    )
    size = np.abs(T) if key is None else key
    again = []
    for threshold in cuts:
        Q = np.where(part, 0.0, image)
        for own, order in ((size <= threshold, orders[0]), (size > threshold, orders[1])):
            group = port.residual_binarize(T, part & own, order=order, center=True)
            Q = Q + group.decode()
        again.append(np.sum(((T - Q) @ S) * (T - Q)))
    energy = (np.abs(T) + np.abs(image)) ** 2
    allowed = port.gamma(ROUNDINGS) * np.trace(S) * np.sum(energy)
    assert compare.bound(found.objectives, again, allowed) <= 1
    assert found.best == list(found.objectives).index(min(found.objectives))


@given(matrix=weights(("integer",), rows=(1, 2), columns=(2, 6)), seed=seeds())
def test_exact_calibrated_objectives(port: Port, matrix: Weights, seed: int) -> None:
    """Against rational numbers, with a Gram matrix of whole numbers."""
    T, rng = matrix.values, np.random.default_rng(seed)
    X = rng.integers(-2, 3, (4, T.shape[1])).astype(np.float64)
    image = rng.integers(-4, 5, T.shape).astype(np.float64)
    columns = rng.random(T.shape[1]) < 0.7
    cuts = np.array([1.0, 3.5, 6.0, 9.0])
    found = port.calibrated_split_search(T, columns, cuts, X.T @ X, image=image)
    expected = []
    for cut in cuts:
        R = exact.rational(np.where(columns, T, T - image))
        for own in (np.abs(T) <= cut, np.abs(T) > cut):
            mask = own & columns
            (step,) = exact.residual_binarize(
                exact.rational(T), mask, order=1, **MODES["mean-free"]
            )
            R = R - step.total
        expected.append(exact.squared_sum(R @ exact.rational(X.T)))
    energy = float(np.sum((np.abs(T) + np.abs(image)) ** 2)) * np.trace(X.T @ X)
    allowed = port.gamma(ROUNDINGS) * energy
    assert compare.bound(found.objectives, exact.floats(expected), allowed) <= 1


def _block(port: Port, layer: Layer, seed: int) -> dict[str, Any]:
    W, rng = port.held(layer[0].values), np.random.default_rng(seed)
    alive = rng.random(W.shape[1]) < 0.9
    salient = alive & (rng.random(W.shape[1]) < rng.choice([0.0, 0.3, 1.0]))
    S = port.held(W**2 * rng.uniform(0.5, 2.0, W.shape[1]))
    gram = layer[1].hessian / 2
    return {"W": W, "S": S, "alive": alive, "salient": salient, "gram": gram}


def _masks(zones: Any) -> dict[str, Mask]:
    return {zone.name: zone.mask for zone in zones}


@given(
    layer=layers((*CONTINUOUS, "tied", "zero_rows", "zeros"), rows=(1, 4), columns=(1, 16)),
    seed=seeds(),
    settings=switches,
    splits=st.integers(1, 3),
)
def test_G1_groups_partition_and_larger_entries_are_cut_off_first(
    port: Port, layer: Layer, seed: int, settings: dict[str, Any], splits: int
) -> None:
    """G1: disjoint, covering; salient ones are whole columns; a cut's entries exceed the rest.

    With one bitmap for the block, they do so in both zones at once.
    """
    block = _block(port, layer, seed)
    config = port.ColumnGroups(splits=splits, **settings)
    zones = port.choose_column_groups(**block, config=config)
    cover = np.sum([zone.mask for zone in zones], axis=0)
    shape, together = block["W"].shape, config.column_groups and config.bitmap == "shared"
    assert compare.exact(cover, np.broadcast_to(block["alive"], shape).astype(int)) == 0
    parts = [[z.mask for z in zones if z.order == order] for order in (2, 1)]
    assert [len(part) for part in parts] == [splits + 1 if config.column_groups else 1, splits + 1]
    salient = np.any(parts[0], axis=0)
    assert compare.exact(salient, np.broadcast_to(block["salient"], shape)) == 0
    if together:
        parts = [[one | other for one, other in zip(*parts, strict=True)]]
    key = np.abs(block["W"] if config.partition.split_by == "weights" else block["S"])
    for groups in parts:
        for large, small in itertools.pairwise(groups):
            least = key[large].min(initial=np.inf)
            assert least >= key[small].max(initial=0.0)


@given(layer=layers(rows=(1, 4), columns=(2, 16)), seed=seeds(), settings=switches)
def test_further_cuts_refine_earlier_ones(
    port: Port, layer: Layer, seed: int, settings: dict[str, Any]
) -> None:
    """Without outputs, a cut does not depend on how many come after it."""
    block, settings = _block(port, layer, seed), settings | {"split_error": "weights"}
    few, more = (
        _masks(port.choose_column_groups(**block, config=port.ColumnGroups(splits=n, **settings)))
        for n in (1, 3)
    )
    for zone in ("salient-", "")[not settings["column_groups"] :]:
        assert compare.exact(more[f"{zone}sparse-1"], few[f"{zone}sparse"]) == 0
        rest = more[f"{zone}sparse-2"] | more[f"{zone}sparse-3"] | more[f"{zone}concentrated"]
        assert compare.exact(rest, few[f"{zone}concentrated"]) == 0


@given(layer=layers(rows=(1, 4), columns=(2, 16)), seed=seeds(), settings=switches)
def test_zones_are_searched_by_themselves(
    port: Port, layer: Layer, seed: int, settings: dict[str, Any]
) -> None:
    """With one threshold per zone, the content of one zone moves no cut in the other."""
    settings = settings | {"bitmap": "zones", "split_error": "weights", "column_groups": True}
    block, config = _block(port, layer, seed), port.ColumnGroups(**settings)
    found = _masks(port.choose_column_groups(**block, config=config))
    for name, columns in (("salient-", block["salient"]), ("", ~block["salient"])):
        other = block | {x: np.where(columns, block[x], 32 * block[x]) for x in ("W", "S")}
        again = _masks(port.choose_column_groups(**other, config=config))
        for group in ("sparse", "concentrated"):
            assert compare.exact(again[name + group], found[name + group]) == 0


@given(
    layer=layers(CONTINUOUS, rows=(1, 4), columns=(2, 16)),
    seed=seeds(),
    settings=switches,
    splits=st.integers(2, 3),
)
def test_cuts_do_not_see_the_unit(
    port: Port, layer: Layer, seed: int, settings: dict[str, Any], splits: int
) -> None:
    """Weights and scores times a power of two are cut in the same places, however small."""
    block, config = _block(port, layer, seed), port.ColumnGroups(splits=splits, **settings)
    found = _masks(port.choose_column_groups(**block, config=config))
    small = block | {name: 2.0**-30 * block[name] for name in ("W", "S")}
    for name, mask in _masks(port.choose_column_groups(**small, config=config)).items():
        assert compare.exact(mask, found[name]) == 0


@given(layer=layers(CONTINUOUS, rows=(1, 4), columns=(2, 16)), seed=seeds(), rows=st.integers(1, 4))
def test_rows_of_zeros_move_no_cut_of_salient_columns(
    port: Port, layer: Layer, seed: int, rows: int
) -> None:
    """The released grid of a salient zone has the quantiles of its nonzero entries."""
    config = port.ColumnGroups(grid="quantiles_with_zeros", bitmap="zones", splits=2)
    block = _block(port, layer, seed)
    found = _masks(port.choose_column_groups(**block, config=config))
    more = block | {name: np.pad(block[name], ((0, rows), (0, 0))) for name in ("W", "S")}
    again = _masks(port.choose_column_groups(**more, config=config))
    for name in ("salient-sparse-1", "salient-sparse-2", "salient-concentrated"):
        assert compare.exact(again[name][:-rows], found[name]) == 0


def test_a_cut_no_better_than_those_before_takes_the_first_candidate(port: Port) -> None:
    """As in the released loop: leaving all together is best, at first and again. Nothing rounds."""
    W, alive = np.array([[18.0, -27.0, -36.0, 27.0]]), np.ones(4, dtype=np.bool_)
    settings = {"center": True, "grid": "breakpoints", "bitmap": "zones", "minimum": "kept"}
    config = port.ColumnGroups(splits=2, **settings)
    found = _masks(port.choose_column_groups(W, W**2, alive, ~alive, config))
    assert not found["sparse-1"].any()
    assert compare.exact(found["sparse-2"], np.abs(W) > 18.0) == 0
