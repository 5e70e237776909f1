"""PBS2P's whole layer: against a naive second reading, its patterns and its symmetries.

Layers are continuous, so no two scores tie and no weight equals its mean; blocks are
narrow, so a layer has several of them.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Activations, Array, Weights
from subbit.conformance.inputs.strategies import Layer, seeds
from subbit.conformance.oracles import measures, naive_pbs2p
from subbit.conformance.oracles.settled import Reading, same_layer
from subbit.conformance.target import Port

BLOCK, AGREEMENT = 16, 1e-8
BY_STATE = "level 3 judges every block from its own state"
ROOMY = {"block_size": BLOCK, "counts": (5, 7), "calibrated_iterations": 3}
few = settings(max_examples=max(2, settings().max_examples // 4))
BEST: dict[str, Any] = {
    "levels": "exact",
    "calibrated_start": "refined",
    "scores": "recomputed",
    "sweeps": 3,
}
ALONE: dict[str, dict[str, Any]] = {
    "best": BEST,
    "exact": {"levels": "exact"},
    "resigned": {"signs": "resigned"},
    "shared": {"mean": "shared"},
    "recomputed": {"scores": "recomputed"},
    "billm-groups": {"column_groups": False},
    "one-group": {"partitioned": False},
}
PRESETS = ("canonical", *ALONE)
FINE = {f"fine-{s}": {"fine_score": s} for s in ("squared", "trailing", "magnitude", "wanda")}
CANONICAL: dict[str, Any] = {
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
    "levels": "alternate",
    "keep": (4, 8),
    "tail": "error",
    "schedule": "element",
    "parts": 4,
    "signs": "frozen",
    "mean": "masked",
    "objective": "full",
    "fine_score": "obs",
    "fine_hessian": "block",
    "scores": "once",
    "center_scores": False,
    "partitioned": True,
    "sweeps": 0,
}
SWITCHES: dict[str, list[Any]] = {
    "keep": [(4, 8), (6, 8), (2, 4), (1, 2), (8, 8)],
    "schedule": ["element", "parts", "one"],
    "parts": [2, 3],
    "signs": ["frozen", "resigned"],
    "mean": ["masked", "shared"],
    "objective": ["full", "masked"],
    "fine_score": ["obs", "squared", "trailing", "magnitude", "wanda"],
    "fine_hessian": ["block", "layer"],
    "scores": ["once", "recomputed"],
    "center_scores": [False, True],
    "partitioned": [True, True, False],
    "sweeps": [0, 0, 2],
    "levels": ["alternate", "exact"],
    "calibrated_start": ["standard", "refined"],
    "calibrated_eps": [0.0, 1e-3],
    "eps_kind": ["absolute", "relative"],
    "column_groups": [True, False],
    "bitmap": ["shared", "zones"],
    "compensation": ["exact", "released", "none"],
    "dead_inputs": ["binarize", "zero"],
    "score": ["trailing", "inverse_hessian", "magnitude"],
    "split_error": ["weights", "outputs"],
    "divisor": ["entries", "width"],
}
FIRST = {name: choices[0] for name, choices in SWITCHES.items()}


@st.composite
def full_layers(draw: st.DrawFn, inputs: tuple[str, ...] = (*LIVE, "dead")) -> Layer:
    """Layers of two blocks that are wide enough for no candidate cut to fit perfectly."""
    shape = (draw(st.integers(3, 5)), 2 * BLOCK)
    W = Weights(draw(st.sampled_from(CONTINUOUS)), draw(seeds()), shape)
    tokens = (draw(st.integers(1, 3)), draw(st.integers(16, 32)), shape[1])
    return W, Activations(draw(st.sampled_from(inputs)), draw(seeds()), tokens)


def _config(port: Port, preset: str = "canonical", **switches: Any) -> Any:
    return port.METHODS["pbs2p"].presets[preset].changed(**(ROOMY | switches))


def _quantize(port: Port, W: Array, H: Array, preset: str = "canonical", **switches: Any) -> Array:
    return np.asarray(port.pbs2p_layer(W, H, _config(port, preset, **switches)).decode())


def _reading(config: Any) -> Reading:
    return lambda W, H: naive_pbs2p.pbs2p_layer(W, H, config)


def _against_the_naive_reading(port: Port, layer: Layer, config: Any) -> None:
    W, H = layer[0].values, layer[1].hessian
    actual = port.pbs2p_layer(W, H, config).decode()
    expected = naive_pbs2p.pbs2p_layer(W, H, config)
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=_reading(config))


@pytest.mark.parametrize("preset", [*PRESETS, *FINE])
def test_presets_are_what_the_specification_says(port: Port, preset: str) -> None:
    """The canonical reading, and readings that differ from it in one switch."""
    config = port.METHODS["pbs2p"].presets[preset]
    assert config.switches() == CANONICAL | (ALONE | FINE).get(preset, {})
    assert set(port.METHODS["pbs2p"].presets) == {*PRESETS, *FINE}


@pytest.mark.parametrize("preset", PRESETS)
@few
@given(layer=full_layers())
def test_presets_against_the_naive_reading(port: Port, preset: str, layer: Layer) -> None:
    """Every preset does what its description says, block after block."""
    port.compares_ends(BY_STATE)
    _against_the_naive_reading(port, layer, _config(port, preset))


@given(
    layer=full_layers(),
    switches=st.fixed_dictionaries({k: st.sampled_from(v) for k, v in SWITCHES.items()}),
)
@example(
    layer=(Weights("gauss", 0, (3, 32)), Activations("dead", 0, (1, 16, 32))),
    switches=FIRST | {"keep": (6, 8), "levels": "exact", "calibrated_eps": 1e-3},
)
def test_switches_against_the_naive_reading(
    port: Port, layer: Layer, switches: dict[str, Any]
) -> None:
    """Any combination of switches does what each one says.

    A salient zone has few entries per row. Levels that fit them all leave only rounding to be
    signed, so no signs are taken after a joint fit or a sweep there. Two entries leave only
    rounding to the second order, which sweeps would fit, and which matters with an eps. And
    the residual of a shifted row may have only one sign; mean and scale are then one level,
    and a joint fit has no unique solution to take signs from.
    """
    port.compares_ends(BY_STATE)
    one_sided = layer[0].family == "shifted" and switches["levels"] == "exact"
    assume(not (one_sided and switches["signs"] == "resigned"))
    if switches["partitioned"] and (switches["levels"] == "exact" or switches["sweeps"]):
        switches |= {"signs": "frozen", "calibrated_start": "standard"}
    if switches["partitioned"] and (switches["sweeps"] or switches["calibrated_eps"]):
        switches |= {"column_groups": False, "counts": (7, 8)}
    _against_the_naive_reading(port, layer, _config(port, **switches))


@pytest.mark.parametrize("preset", PRESETS)
@few
@given(layer=full_layers(), keep=st.sampled_from([(4, 8), (5, 8), (6, 8), (2, 4)]))
def test_B1_every_block_is_N_of_M(
    port: Port, preset: str, layer: Layer, keep: tuple[int, int]
) -> None:
    """B1: N of every M columns have signs; the record says so; the rest is zero or a mean."""
    W, H = layer[0].values, layer[1].hessian
    result = port.pbs2p_layer(W, H, _config(port, preset, keep=keep))
    for block in result.blocks:
        signed = np.any([group.mask for group in block.groups if group.planes], axis=0)
        counts = signed.reshape(len(W), -1, keep[1]).sum(axis=2)
        assert (counts == keep[0]).all()
        assert block.pattern == (None if preset == "shared" else keep)
        covered = np.sum([group.mask for group in block.groups], axis=0)
        everything = np.ones(covered.shape) if preset == "shared" else signed
        assert compare.exact(covered, everything.astype(covered.dtype)) == 0
        assert np.isfinite(block.decode()).all()


@few
@given(layer=full_layers(LIVE))
def test_B2_a_shared_mean_is_that_of_the_group(port: Port, layer: Layer) -> None:
    """B2: each group is followed by its pruned entries, which decode to its mean."""
    W, H = layer[0].values, layer[1].hessian
    result = port.pbs2p_layer(W, H, _config(port, "shared"))
    for block in result.blocks:
        for kept, pruned in zip(block.groups[::2], block.groups[1::2], strict=True):
            assert pruned.name == f"{kept.name}-pruned"
            assert pruned.planes == ()
            assert compare.exact(pruned.mean, kept.mean) == 0


@few
@given(layer=full_layers(LIVE))
def test_keeping_all_is_ARB_X(port: Port, layer: Layer) -> None:
    """With M of M there is no step, and PBS2P reduces to ARB-X with its bitmap."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    arb_x = port.METHODS["arb-x"].presets["paper"].changed(**ROOMY)
    actual = _quantize(port, W, H, keep=(8, 8))
    expected, reading = (
        port.arb_llm_layer(W, H, arb_x).decode(),
        _reading(_config(port, keep=(8, 8))),
    )
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading)


@given(
    layer=full_layers(LIVE), sweeps=st.integers(0, 3), mean=st.sampled_from(["masked", "shared"])
)
def test_sweeps_never_raise_the_error_of_a_block(
    port: Port, layer: Layer, sweeps: int, mean: str
) -> None:
    """Fitting each group to the others' residual lowers every row's error, pruned weights' too."""
    W, S = layer[0].values[:, :BLOCK], layer[1].hessian[:BLOCK, :BLOCK]
    alive, errors, units = np.ones(BLOCK, dtype=bool), [], 0.0
    masks = port.spbo_schedule(np.abs(W), 4, 8)
    for count in (sweeps, sweeps + 1):
        config = _config(port, sweeps=count, mean=mean)
        block = port.pbs2p_block(W, W**2, masks, alive, config, gram=S)
        R = W - block.decode()
        errors.append(np.sum((R @ S) * R, axis=1))
        signed = [group for group in block.groups if group.planes]
        sensitive = max(measures.sensitivities(W, group, S=S).max() for group in signed)
        units = max(units, np.trace(S) * BLOCK * (sensitive**2 + np.abs(W).max() ** 2))
    assert compare.objective(errors[1], errors[0], port.gamma(64 * BLOCK) * units) <= 1


@pytest.mark.parametrize("preset", PRESETS)
@few
@given(layer=full_layers(LIVE), power=st.sampled_from([2, -1, 10]))
def test_scaled_weights(port: Port, preset: str, layer: Layer, power: int) -> None:
    """``W → cW`` gives ``cQ`` bit for bit for a power of two."""
    W, H = layer[0].values, layer[1].hessian
    scaled = _quantize(port, 2.0**power * W, H, preset)
    assert compare.exact(scaled, 2.0**power * _quantize(port, W, H, preset)) == 0


@pytest.mark.parametrize("preset", PRESETS)
@few
@given(layer=full_layers(LIVE))
def test_scaled_inputs(port: Port, preset: str, layer: Layer) -> None:
    """``X → 2X`` gives the same Q bit for bit."""
    W, H = layer[0].values, layer[1].hessian
    expected = _quantize(port, W, H, preset)
    assert compare.exact(_quantize(port, W, 4.0 * H, preset), expected) == 0


@pytest.mark.parametrize("preset", ["canonical", "shared", "one-group"])
@few
@given(layer=full_layers(LIVE))
def test_negated_weights(port: Port, preset: str, layer: Layer) -> None:
    """B10: ``W → -W`` gives ``-Q``."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    expected, actual = _quantize(port, W, H, preset), -_quantize(port, -W, H, preset)
    reading = _reading(_config(port, preset))
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading)


@few
@given(layer=full_layers(LIVE), preset=st.sampled_from(PRESETS), seed=seeds())
def test_permuted_rows(port: Port, layer: Layer, preset: str, seed: int) -> None:
    """B10: permuting rows permutes Q; sums over rows may round differently."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    order = np.random.default_rng(seed).permutation(len(W))
    expected = _quantize(port, W, H, preset)[order]
    actual = _quantize(port, W[order], H, preset)
    reading = _reading(_config(port, preset))
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading)


@few
@given(layer=full_layers(LIVE), seed=seeds(), keep=st.sampled_from([(2, 4), (4, 8)]))
def test_B10_shifted_rows(port: Port, layer: Layer, seed: int, keep: tuple[int, int]) -> None:
    """B10: with a shared mean and centered scores, ``W + s`` gives ``Q + s`` in a block."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values[:, :BLOCK], layer[1].hessian[:BLOCK, :BLOCK]
    s = np.random.default_rng(seed).uniform(-1, 1, (len(W), 1)) * np.abs(W).max()
    switches = {"partitioned": False, "center_scores": True, "levels": "exact", "keep": keep}
    actual = _quantize(port, W + s, H, "shared", **switches)
    agreement = AGREEMENT * np.linalg.cond(H + np.eye(len(H)) * 1e-6)
    expected = _quantize(port, W, H, "shared", **switches) + s
    reading = _reading(_config(port, "shared", **switches))
    assert same_layer(actual, expected, W, H, agreement, reading=reading)


@few
@given(layer=full_layers(LIVE), preset=st.sampled_from(PRESETS))
def test_Q2_blocks_do_not_look_ahead(port: Port, layer: Layer, preset: str) -> None:
    """Q2: weights of later blocks change nothing that came before them, bit for bit."""
    W, H = layer[0].values, layer[1].hessian
    later = np.where(np.arange(W.shape[1]) >= BLOCK, -3 * W + 1, W)
    expected = _quantize(port, W, H, preset)
    actual = _quantize(port, later, H, preset)
    assert compare.exact(actual[:, :BLOCK], expected[:, :BLOCK]) == 0


@few
@given(layer=full_layers(("dead",)), preset=st.sampled_from(PRESETS))
def test_dead_inputs_are_pruned_first(port: Port, layer: Layer, preset: str) -> None:
    """With ``dead_inputs="zero"`` they end at zero, in no group; live inputs are kept first."""
    W, H = layer[0].values, layer[1].hessian
    dead = np.diag(H) == 0
    result = port.pbs2p_layer(W, H, _config(port, preset, dead_inputs="zero"))
    assert not result.decode()[:, dead].any()
    for block in result.blocks:
        own = dead[block.columns]
        signed = np.any([group.mask for group in block.groups if group.planes], axis=0)
        assert not signed[:, own].any()
        living = (~own).reshape(-1, 8).sum(axis=1)
        counts = signed.reshape(len(W), -1, 8).sum(axis=2)
        assert compare.exact(counts, np.minimum(living, 4) + 0 * counts) == 0


@few
@given(layer=full_layers(LIVE), preset=st.sampled_from(PRESETS))
def test_bits_are_counted_from_the_record(port: Port, layer: Layer, preset: str) -> None:
    """Nominal bits are N / M, twice that in salient columns."""
    W, H = layer[0].values, layer[1].hessian
    result = port.pbs2p_layer(W, H, _config(port, preset))
    signs = sum(
        np.count_nonzero(g.mask) * len(g.planes) for block in result.blocks for g in block.groups
    )
    assert compare.bound(port.nominal_bits(result), signs / W.size, 1e-12) <= 1
    assert 0.5 <= port.nominal_bits(result) <= 1.0


@few
@given(layer=full_layers(LIVE), preset=st.sampled_from(PRESETS))
def test_arguments_are_not_changed(port: Port, layer: Layer, preset: str) -> None:
    """A port does not change its arguments."""
    W, H = layer[0].values.copy(), layer[1].hessian.copy()
    W.setflags(write=False)
    H.setflags(write=False)
    _quantize(port, W, H, preset)
    assert compare.exact(W, layer[0].values) == 0
