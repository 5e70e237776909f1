"""ARB-LLM's whole layer: against a naive second reading, its groups and its symmetries.

Layers are continuous, so no two candidates tie and no weight equals its mean; blocks are
narrow, so a layer has several of them and one that is narrower still.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Activations, Array, Mask, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds
from subbit.conformance.oracles import measures, naive_arb
from subbit.conformance.oracles.settled import Reading, same_layer
from subbit.conformance.target import Port

BLOCK = 16
ROOMY = {"block_size": 24, "counts": (6, 12)}
ALONE = ROOMY | {"sweeps": 0}
AGREEMENT = 1e-8
BY_STATE = "level 3 judges every block from its own state"
METHODS = ("arb", "arb-x", "arb-rc")
WHOLE = ("paper", "released", "released-magnitude", "corrected")
PRESETS = (*WHOLE, "paper-nocgb", "released-nocgb", "released-magnitude-nocgb")
every_method = pytest.mark.parametrize("method", METHODS)
presets = st.sampled_from(WHOLE)
SOON = {"iterations": 2, "calibrated_iterations": 2}
# A layer takes long, and every method has its own.
few = settings(max_examples=max(2, settings().max_examples // 4))
several_blocks = layers(rows=(2, 4), columns=(18, 28))

PAPER = {
    "block_size": 128,
    "percdamp": 0.01,
    "center": True,
    "sign_zero": 1,
    "score": "inverse_hessian",
    "search_on": "weights",
    "split_by": "weights",
    "grid": "quantiles",
    "search_orders": (1, 1),
    "counts": (1, 49),
    "compensation": "exact",
    "closed": False,
    "dead_inputs": "binarize",
    "column_feedback": False,
    "column_groups": True,
    "bitmap": "shared",
    "splits": 1,
    "minimum": "reset",
    "taken_error": "residual",
    "split_error": "weights",
    "iterations": 15,
    "calibrated_iterations": 15,
    "divisor": "entries",
    "initial_signs": "centered",
    "eps": 0.0,
    "calibrated_eps": 0.0,
    "eps_kind": "absolute",
    "calibrated_start": "standard",
    "mean_denominator": "float64",
    "column_signs": "fixed",
    "levels": "alternate",
    "sweeps": 0,
}
RELEASED = PAPER | {
    "sign_zero": 0,
    "score": "trailing",
    "search_on": "scores",
    "split_by": "scores",
    "grid": "quantiles_with_zeros",
    "search_orders": (2, 2),
    "compensation": "released",
    "bitmap": "zones",
    "minimum": "kept",
    "eps": 1e-8,
    "calibrated_eps": 1e-10,
    "calibrated_start": "refined",
}
CORRECTED = PAPER | {
    "score": "trailing",
    "counts": (0, 49),
    "dead_inputs": "zero",
    "bitmap": "zones",
    "calibrated_start": "refined",
    "sweeps": 3,
}
SETTINGS = {
    "paper": PAPER,
    "released": RELEASED,
    "released-magnitude": RELEASED | {"score": "magnitude"},
    "corrected": CORRECTED,
}
RELEASED_ALONE = {
    "arb": {},
    "arb-x": {"split_error": "outputs"},
    "arb-rc": {"taken_error": "row_column"},
}
SWITCHES: dict[str, list[Any]] = {
    "score": ["trailing", "inverse_hessian", "magnitude"],
    "search_on": ["weights", "scores"],
    "split_by": ["weights", "scores"],
    "grid": ["quantiles", "quantiles_with_zeros", "breakpoints"],
    "search_orders": [(1, 1), (2, 2), (2, 1)],
    "counts": [(6, 6), (5, 9), (6, 12)],
    "compensation": ["exact", "released", "none"],
    "closed": [True, False],
    "dead_inputs": ["binarize", "zero"],
    "column_groups": [True, False],
    "bitmap": ["shared", "zones"],
    "splits": [1, 2],
    "minimum": ["reset", "kept"],
    "taken_error": ["residual", "row_column"],
    "split_error": ["weights", "outputs"],
    "iterations": [0, 1, 3],
    "calibrated_iterations": [0, 2],
    "divisor": ["entries", "width"],
    "eps": [0.0, 1e-9],
    "calibrated_eps": [0.0, 1e-3],
    "eps_kind": ["absolute", "relative"],
    "calibrated_start": ["standard", "refined"],
    "column_signs": ["fixed", "refreshed"],
    "sweeps": [0, 2],
}


def _config(port: Port, method: str, preset: str, **switches: Any) -> Any:
    config = port.METHODS[method].presets[preset]
    return config.changed(**({"block_size": BLOCK} | switches))


def _quantize(port: Port, W: Array, H: Array, method: str, preset: str, **switches: Any) -> Array:
    config = _config(port, method, preset, **switches)
    return np.asarray(port.arb_llm_layer(W, H, config).decode())


@st.composite
def full_layers(draw: st.DrawFn, inputs: tuple[str, ...] = LIVE) -> Layer:
    """Layers whose last block is wide enough that no candidate fits perfectly.

    A second order fits any two entries of a row perfectly, however they are cut off; so there
    are also more than two salient columns.
    """
    shape = (draw(st.integers(3, 6)), draw(st.sampled_from([24, 48, 44, 24])))
    W = Weights(draw(st.sampled_from(CONTINUOUS)), draw(seeds()), shape)
    tokens = (draw(st.integers(1, 4)), draw(st.integers(8, 24)), shape[1])
    return W, Activations(draw(st.sampled_from(inputs)), draw(seeds()), tokens)


def _reading(config: Any) -> Reading:
    return lambda W, H: naive_arb.arb_llm_layer(W, H, config)


def _against_the_naive_reading(port: Port, layer: Layer, config: Any) -> None:
    """Compare, except where rounding decides.

    The second order of two entries is nothing but rounding, signs and all. ARB-X fits its
    level once more, to the residual of other groups or with an eps.
    """
    W, H = layer[0].values, layer[1].hessian
    result = port.arb_llm_layer(W, H, config)
    rows = np.ones(len(W), dtype=bool)
    if config.algorithm == "arb_x":
        salient = [g for block in result.blocks for g in block.groups if len(g.planes) == 2]
        rows = np.all([group.mask.sum(axis=1) != 2 for group in salient], axis=0)
        assume(rows.all() or len(result.blocks) == 1)
    expected, reading = naive_arb.arb_llm_layer(W, H, config), _reading(config)
    actual = result.decode()
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading, rows=rows)


@every_method
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_what_the_specification_says(port: Port, method: str, preset: str) -> None:
    """Paper, released code and corrected form differ in these switches and no others."""
    name = preset.removesuffix("-nocgb")
    expected = SETTINGS[name] | {"algorithm": method.replace("-", "_")}
    if name.startswith("released"):
        expected |= RELEASED_ALONE[method]
    if preset != name:
        expected["column_groups"] = False
    config = port.METHODS[method].presets[preset]
    assert {field: config.switches()[field] for field in expected} == expected
    assert set(expected) == set(config.switches())


@every_method
@pytest.mark.parametrize("preset", PRESETS)
@few
@given(layer=full_layers())
def test_presets_against_the_naive_reading(
    port: Port, method: str, preset: str, layer: Layer
) -> None:
    """Every preset does what its description says, block after block."""
    port.compares_ends(BY_STATE)
    _against_the_naive_reading(port, layer, _config(port, method, preset, **ROOMY))


@every_method
@few
@given(
    layer=full_layers(),
    switches=st.fixed_dictionaries({k: st.sampled_from(v) for k, v in SWITCHES.items()}),
)
def test_switches_against_the_naive_reading(
    port: Port, method: str, layer: Layer, switches: dict[str, Any]
) -> None:
    """Any combination of switches does what each one says."""
    port.compares_ends(BY_STATE)
    if method == "arb-rc" and switches["bitmap"] == "zones":
        # To the search, the few entries left by one cut of a salient zone fit perfectly
        # however they are cut again.
        switches |= {"splits": 1}
    _against_the_naive_reading(port, layer, _config(port, method, "paper", **(ROOMY | switches)))


@every_method
@few
@given(
    preset=st.sampled_from(PRESETS),
    layer=layers((*CONTINUOUS, "tied", "integer", "zeros", "constant_magnitude"), rows=(1, 5)),
)
def test_G1_groups_partition_every_block(
    port: Port, method: str, preset: str, layer: Layer
) -> None:
    """G1: disjoint groups cover the block, the salient ones whole columns; all is finite."""
    W, H = layer[0].values, layer[1].hessian
    config = _config(port, method, preset, **SOON)
    salient_names = ["salient-sparse", "salient-concentrated"] * config.zones.column_groups
    names = (salient_names or ["salient"]) + ["sparse", "concentrated"]
    result = port.arb_llm_layer(W, H, config)
    assert np.isfinite(result.decode()).all()
    low, high = config.zones.partition.counts
    for block in result.blocks:
        width = block.stop - block.start
        assert [group.name for group in block.groups] == names
        assert [len(group.planes) for group in block.groups] == [2] * (len(names) - 2) + [1, 1]
        assert (np.sum([group.mask for group in block.groups], axis=0) == 1).all()
        zone = np.any([group.mask for group in block.groups[:-2]], axis=0)
        assert compare.exact(zone, np.broadcast_to(block.salient, (len(W), width))) == 0
        assert min(low, width) <= np.count_nonzero(block.salient) <= min(high, width)


@every_method
@few
@given(preset=presets, layer=layers(rows=(1, 5), columns=(2, BLOCK)))
def test_G1_the_bitmap_refines_the_salient_zone(
    port: Port, method: str, preset: str, layer: Layer
) -> None:
    """G1: the same salient columns with and without the bitmap, which only cuts them up.

    With one threshold for each zone, the rest is cut where it is without the bitmap.
    """
    W, H = layer[0].values, layer[1].hessian
    blocks = []
    for column_groups in (True, False):
        config = _config(port, method, preset, iterations=1, sweeps=0, column_groups=column_groups)
        (block,) = port.arb_llm_layer(W, H, config).blocks
        blocks.append(block)
    cut, whole = blocks
    assert compare.exact(cut.salient, whole.salient) == 0
    assert compare.exact(cut.groups[0].mask | cut.groups[1].mask, whole.groups[0].mask) == 0
    if config.zones.bitmap == "zones":
        for one, other in zip(cut.groups[2:], whole.groups[1:], strict=True):
            assert compare.exact(one.mask, other.mask) == 0


def _searched(W: Array, masks: list[Mask], orders: list[int]) -> float:
    total = 0.0
    for mask, order in zip(masks, orders, strict=True):
        rest = np.where(mask, W, 0.0)
        count = np.maximum(mask.sum(axis=1, keepdims=True), 1)
        for _ in range(order):
            mean = rest.sum(axis=1, keepdims=True) / count
            away = np.where(mask, rest - mean, 0.0)
            scale = np.abs(away).sum(axis=1, keepdims=True) / count
            rest = np.where(mask, away - scale * np.where(away >= 0, 1, -1), 0.0)
        total += float(np.sum(rest**2))
    return total


@pytest.mark.parametrize("bitmap", ["shared", "zones"])
@few
@given(matrix=st.builds(Weights, st.sampled_from(CONTINUOUS), seeds(), st.just((4, 24))))
def test_G2_the_chosen_threshold_has_the_least_error(
    port: Port, bitmap: str, matrix: Weights
) -> None:
    """G2: no candidate quantile has a smaller search error than the chosen one."""
    W = port.held(matrix.values)
    salient = np.arange(24) % 4 == 1
    config = _config(port, "arb-rc", "paper", bitmap=bitmap)
    everything = np.ones(24, dtype=bool)
    zones = port.choose_column_groups(W, W**2, everything, salient, config.zones)
    masks, orders = [zone.mask for zone in zones], [zone.order for zone in zones]
    assert orders == [2, 2, 1, 1]
    key, parts = np.abs(W), [np.broadcast_to(x, W.shape) for x in (salient, ~salient)]
    jobs = [(np.ones(W.shape, dtype=bool), [0, 1, 2, 3])]
    if bitmap == "zones":
        jobs = [(parts[0], [0, 1]), (parts[1], [2, 3])]
    for whole, own in jobs:
        reached = _searched(W, [masks[i] for i in own], [orders[i] for i in own])
        for p in np.quantile(key[whole], np.linspace(0.1, 0.9, 81)):
            pairs = [(part & (key >= p), part & (key < p)) for part in parts]
            candidate = [mask & whole for pair in pairs for mask in pair]
            error = _searched(W, candidate, [2, 2, 1, 1])
            slack = port.gamma(8 * W.size) * 4 * np.sum(W**2)
            assert compare.objective(reached, error, slack) <= 1


@given(layer=layers(rows=(1, 4), columns=(4, BLOCK)), sweeps=st.integers(0, 4))
def test_sweeps_over_groups_never_raise_the_error(port: Port, layer: Layer, sweeps: int) -> None:
    """X5 fixed: fitting each group to the residual of the others lowers the error of every row."""
    W, S = layer[0].values, layer[1].hessian
    width = W.shape[1]
    salient, everything = np.arange(width) < 2, np.ones(width, dtype=bool)
    errors = []
    for count in (sweeps, sweeps + 1):
        config = _config(
            port, "arb-x", "corrected", sweeps=count, iterations=3, calibrated_iterations=3
        )
        zones = port.choose_column_groups(W, W**2, everything, salient, config.zones)
        groups = port.refine_zones(W, zones, config, gram=S)
        R = W - sum(group.decode() for group in groups)
        errors.append(np.sum((R @ S) * R, axis=1))
    units = [measures.natural(W, group, S=S).sum() for group in groups]
    sensitive = [measures.sensitivities(W, group, S=S).max() for group in groups]
    slack = port.gamma(64 * width) * (sum(units) + np.trace(S) * width * max(sensitive) ** 2)
    assert compare.objective(errors[1], errors[0], slack) <= 1


@every_method
@few
@given(preset=presets, layer=several_blocks, power=st.sampled_from([2, -1, 10]))
def test_scaled_weights(port: Port, method: str, preset: str, layer: Layer, power: int) -> None:
    """``W → cW`` gives ``cQ`` bit for bit for a power of two; ARB-RC without absolute eps."""
    W, H = layer[0].values, layer[1].hessian
    switches = SOON | ({"eps_kind": "relative"} if method == "arb-rc" else {})
    scaled = _quantize(port, 2.0**power * W, H, method, preset, **switches)
    expected = 2.0**power * _quantize(port, W, H, method, preset, **switches)
    assert compare.exact(scaled, expected) == 0


@every_method
@few
@given(preset=presets, layer=full_layers())
def test_negated_weights(port: Port, method: str, preset: str, layer: Layer) -> None:
    """``W → -W`` gives ``-Q``; tied levels decode alike, as long as none is fitted again."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    expected = _quantize(port, W, H, method, preset, **ALONE)
    actual = -_quantize(port, -W, H, method, preset, **ALONE)
    reading = _reading(_config(port, method, preset, **ALONE))
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading)


@every_method
@few
@given(preset=st.sampled_from(["paper", "corrected"]), layer=several_blocks)
def test_scaled_inputs(port: Port, method: str, preset: str, layer: Layer) -> None:
    """Without an absolute eps, ``X → 2X`` gives the same Q bit for bit."""
    W, X = layer[0].values, layer[1].values
    Q = _quantize(port, W, port.accumulate_hessian(X), method, preset, **SOON)
    actual = _quantize(port, W, port.accumulate_hessian(2 * X), method, preset, **SOON)
    assert compare.exact(actual, Q) == 0


@every_method
@few
@given(preset=presets, layer=full_layers(), seed=seeds())
def test_permuted_rows(port: Port, method: str, preset: str, layer: Layer, seed: int) -> None:
    """Permuting rows permutes Q; sums over rows may round differently."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    order = np.random.default_rng(seed).permutation(len(W))
    expected = _quantize(port, W, H, method, preset, **ALONE)[order]
    actual = _quantize(port, W[order], H, method, preset, **ALONE)
    reading = _reading(_config(port, method, preset, **ALONE))
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading)


@every_method
@few
@given(preset=presets, layer=layers(rows=(2, 4), columns=(20, 36)))
def test_Q2_blocks_do_not_look_ahead(port: Port, method: str, preset: str, layer: Layer) -> None:
    """Q2: weights of later blocks change nothing that came before them, bit for bit."""
    W, H = layer[0].values, layer[1].hessian
    later = np.where(np.arange(W.shape[1]) >= BLOCK, -3 * W + 1, W)
    expected = _quantize(port, W, H, method, preset, **SOON)
    actual = _quantize(port, later, H, method, preset, **SOON)
    assert compare.exact(actual[:, :BLOCK], expected[:, :BLOCK]) == 0


@every_method
@pytest.mark.parametrize("compensation", ["none", "released"])
@few
@given(preset=presets, layer=layers(rows=(1, 5), columns=(2, BLOCK)))
def test_Q2_the_last_block_is_not_compensated(
    port: Port, method: str, preset: str, compensation: str, layer: Layer
) -> None:
    """Q2: in a layer of one block there is nothing to compensate, bit for bit."""
    W, H = layer[0].values, layer[1].hessian
    actual = _quantize(port, W, H, method, preset, compensation=compensation, **SOON)
    expected = _quantize(port, W, H, method, preset, compensation="exact", **SOON)
    assert compare.exact(actual, expected) == 0


@every_method
@few
@given(layer=layers((*CONTINUOUS, "tied", "integer"), ("dead",), columns=(2, 40)))
def test_dead_inputs_end_at_zero(port: Port, method: str, layer: Layer) -> None:
    """Corrected: columns whose input never fires are zero and in no group."""
    W, H = layer[0].values, layer[1].hessian
    dead = np.diag(H) == 0
    result = port.arb_llm_layer(W, H, _config(port, method, "corrected", **SOON))
    assert not result.decode()[:, dead].any()
    for block in result.blocks:
        assert not any(group.mask[:, dead[block.columns]].any() for group in block.groups)


@pytest.mark.parametrize("method", ["arb", "arb-x"])
@few
@given(preset=presets, layer=several_blocks)
def test_few_values_in_a_row_of_a_group(port: Port, method: str, preset: str, layer: Layer) -> None:
    """Two values for each plain group of a row and four for a salient one, up to sign(0) = 0."""
    W, H = layer[0].values, layer[1].hessian
    result = port.arb_llm_layer(W, H, _config(port, method, preset, **SOON))
    for block in result.blocks:
        for group in block.groups:
            signs = np.stack([plane.sign for plane in group.planes])
            assume((signs[:, group.mask] != 0).all())
            for row, mask in zip(group.decode(), group.mask, strict=True):
                assert len(np.unique(row[mask])) <= 2 ** len(group.planes)


@every_method
@few
@given(preset=presets, layer=layers(rows=(1, 5)))
def test_arguments_are_not_changed(port: Port, method: str, preset: str, layer: Layer) -> None:
    """A port does not change its arguments."""
    W, H = layer[0].values.copy(), layer[1].hessian.copy()
    W.setflags(write=False)
    H.setflags(write=False)
    _quantize(port, W, H, method, preset, iterations=1)
    assert compare.exact(W, layer[0].values) == 0
    assert compare.exact(H, layer[1].hessian) == 0
