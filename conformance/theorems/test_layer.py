"""BiLLM's whole layer: against a naive second reading, and its symmetries.

Layers are continuous, so no two candidates tie and no weight equals its mean; blocks are
narrow, so a layer has several of them and one that is narrower still.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.cases.judge import host
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Activations, Array, Mask, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds
from subbit.conformance.oracles import naive
from subbit.conformance.oracles.settled import Reading, same_layer
from subbit.conformance.target import Port

PRESETS = ("paper", "released", "released-magnitude", "corrected")
BLOCK = 16
AGREEMENT = 1e-9
BY_STATE = "level 3 judges every block from its own state"
every_preset = pytest.mark.parametrize("preset", PRESETS)
several_blocks = layers(rows=(2, 5), columns=(18, 36))
SWITCHES: dict[str, list[Any]] = {
    "center": [False, True],
    "sign_zero": [1, 0],
    "score": ["trailing", "inverse_hessian", "magnitude"],
    "scope": ["block", "matrix"],
    "search_on": ["weights", "scores"],
    "split_by": ["weights", "scores"],
    "grid": ["maximum", "quantiles", "quantiles_with_zeros", "breakpoints"],
    "search_orders": [(1, 1), (2, 2), (2, 1)],
    "counts": [(3, 6), (0, 9), (1, 12)],
    "compensation": ["exact", "released", "none"],
    "closed": [True, False],
    "dead_inputs": ["binarize", "zero"],
}

PAPER = {
    "block_size": 128,
    "percdamp": 0.01,
    "center": False,
    "sign_zero": 1,
    "score": "trailing",
    "scope": "block",
    "search_on": "weights",
    "split_by": "weights",
    "grid": "maximum",
    "search_orders": (1, 1),
    "counts": (3, 30),
    "compensation": "exact",
    "closed": True,
    "dead_inputs": "binarize",
    "column_feedback": False,
}
RELEASED = PAPER | {
    "center": True,
    "sign_zero": 0,
    "search_on": "scores",
    "split_by": "scores",
    "grid": "quantiles_with_zeros",
    "search_orders": (2, 2),
    "counts": (1, 49),
    "compensation": "released",
    "closed": False,
}
SETTINGS = {
    "paper": PAPER,
    "released": RELEASED,
    "released-magnitude": RELEASED | {"score": "magnitude"},
    "corrected": PAPER | {"grid": "quantiles", "counts": (0, 49), "dead_inputs": "zero"},
}


def _config(port: Port, preset: str, **switches: Any) -> Any:
    config = port.METHODS["billm"].presets[preset]
    return config.changed(**({"block_size": BLOCK} | switches))


def _quantize(port: Port, W: Array, H: Array, preset: str, **switches: Any) -> Array:
    return port.billm_layer(W, H, _config(port, preset, **switches)).decode()


def _masks(layer: Any) -> list[Mask]:
    return [host(group.mask) for block in layer.blocks for group in block.groups]


def _reading(config: Any) -> Reading:
    return lambda W, H: naive.billm_layer(W, H, config)


@st.composite
def full_layers(draw: st.DrawFn, inputs: tuple[str, ...] = LIVE) -> Layer:
    """Layers whose last block is wide enough that no candidate fits perfectly."""
    shape = (draw(st.integers(2, 6)), draw(st.sampled_from([16, 24, 28, 32, 40])))
    W = Weights(draw(st.sampled_from(CONTINUOUS)), draw(seeds()), shape)
    tokens = (draw(st.integers(1, 4)), draw(st.integers(8, 24)), shape[1])
    return W, Activations(draw(st.sampled_from(inputs)), draw(seeds()), tokens)


@every_preset
def test_presets_are_what_the_specification_says(port: Port, preset: str) -> None:
    """Paper, released code and corrected form differ in these switches and no others."""
    assert port.METHODS["billm"].presets[preset].switches() == SETTINGS[preset]


@every_preset
@given(layer=full_layers((*LIVE, "dead")))
def test_presets_against_the_naive_reading(port: Port, preset: str, layer: Layer) -> None:
    """Every preset does what its description says, block after block."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    dead = (np.diag(H) == 0).sum()
    # Zero columns that are binarized like the rest can leave candidates that tie.
    assume(dead == 0 or preset == "corrected")
    config = _config(port, preset)
    actual = _quantize(port, W, H, preset)
    expected = naive.billm_layer(W, H, config)
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=_reading(config))


@given(
    layer=full_layers(),
    switches=st.fixed_dictionaries({k: st.sampled_from(v) for k, v in SWITCHES.items()}),
)
def test_switches_against_the_naive_reading(
    port: Port, layer: Layer, switches: dict[str, Any]
) -> None:
    """Any combination of switches does what each one says."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    config = _config(port, "paper", **switches)
    actual = _quantize(port, W, H, "paper", **switches)
    expected = naive.billm_layer(W, H, config)
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=_reading(config))


@every_preset
@given(layer=several_blocks, power=st.sampled_from([2, -1, 10]))
def test_S1_scaled_weights(port: Port, preset: str, layer: Layer, power: int) -> None:
    """S1, all presets: ``W → cW`` gives ``cQ``, bit for bit for a power of two."""
    W, H = layer[0].values, layer[1].hessian
    scaled = _quantize(port, 2.0**power * W, H, preset)
    assert compare.exact(scaled, 2.0**power * _quantize(port, W, H, preset)) == 0


@every_preset
@given(layer=full_layers())
@example(layer=(Weights("t3", 288, (2, 40)), Activations("ar0.9", 4, (2, 8, 40))))
def test_S2_negated_weights(port: Port, preset: str, layer: Layer) -> None:
    """S2, all presets: ``W → -W`` gives ``-Q``, bit for bit; here no weight is zero.

    Running sums add in a different order, so either of two candidates that tie may win.
    """
    W, H = layer[0].values, layer[1].hessian
    config = _config(port, preset)
    negated, plain = port.billm_layer(-W, H, config), port.billm_layer(W, H, config)
    actual, expected = -negated.decode(), plain.decode()
    if all(map(np.array_equal, _masks(negated), _masks(plain))):
        assert compare.exact(actual, expected) == 0
        return
    port.compares_ends(BY_STATE)
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=_reading(config))


@every_preset
@given(layer=several_blocks)
def test_S3_scaled_inputs(port: Port, preset: str, layer: Layer) -> None:
    """S3, all presets: ``X → 2X`` gives the same Q bit for bit, ``X → 3X`` to rounding."""
    W, X = layer[0].values, layer[1].values
    H = port.accumulate_hessian(X)
    Q = _quantize(port, W, H, preset)
    assert compare.exact(_quantize(port, W, port.accumulate_hessian(2 * X), preset), Q) == 0
    port.compares_ends(BY_STATE)
    tripled = _quantize(port, W, port.accumulate_hessian(3 * X), preset)
    assert same_layer(tripled, Q, W, H, AGREEMENT, reading=_reading(_config(port, preset)))


@every_preset
@given(layer=several_blocks, seed=seeds())
def test_S4_permuted_rows(port: Port, preset: str, layer: Layer, seed: int) -> None:
    """S4, all presets: permuting rows permutes Q; sums over rows may round differently."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    order = np.random.default_rng(seed).permutation(len(W))
    expected = _quantize(port, W, H, preset)[order]
    actual = _quantize(port, W[order], H, preset)
    reading = _reading(_config(port, preset))
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading)


@given(layer=several_blocks, seed=seeds())
def test_S6b_permuted_columns(port: Port, layer: Layer, seed: int) -> None:
    """S6b, magnitude metric without compensation: columns permute inside their blocks."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    rng = np.random.default_rng(seed)
    slices = port.block_slices(W.shape[1], BLOCK)
    order = np.concatenate([s.start + rng.permutation(s.stop - s.start) for s in slices])
    given: tuple[Any, ...] = ("released-magnitude",)
    expected = _quantize(port, W, H, *given, compensation="none")[:, order]
    moved = H[np.ix_(order, order)]
    actual = _quantize(port, W[:, order], moved, *given, compensation="none")
    reading = _reading(_config(port, *given, compensation="none"))
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading)


@every_preset
@given(layer=several_blocks)
def test_S7_batches_of_inputs(port: Port, preset: str, layer: Layer) -> None:
    """S7: one sequence per call gives the same layer as all at once, to rounding."""
    port.compares_ends(BY_STATE)
    W, X = layer[0].values, layer[1].values
    accumulator = port.HessianAccumulator(X.shape[-1])
    for sequence in X:
        accumulator.add(sequence)
    actual, H = _quantize(port, W, accumulator.hessian(), preset), port.accumulate_hessian(X)
    expected, reading = _quantize(port, W, H, preset), _reading(_config(port, preset))
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=reading)


@given(layer=layers((*CONTINUOUS, "tied", "integer"), ("dead",), columns=(2, 40)))
def test_S8_dead_inputs_end_at_zero(port: Port, layer: Layer) -> None:
    """S8, corrected: columns whose input never fires are zero and in no other group."""
    W, H = layer[0].values, layer[1].hessian
    dead = np.diag(H) == 0
    result = port.billm_layer(W, H, _config(port, "corrected"))
    assert not result.decode()[:, dead].any()
    for block in result.blocks:
        assert not any(group.mask[:, dead[block.columns]].any() for group in block.groups)


@given(layer=layers(inputs=("dead",), columns=(2, 40)))
def test_S8_weights_of_dead_inputs_do_not_matter(port: Port, layer: Layer) -> None:
    """All presets set them to zero first, so their values change nothing."""
    W, H = layer[0].values, layer[1].hessian
    other = np.where(np.diag(H) == 0, 1e3, W)
    for preset in PRESETS:
        assert compare.exact(_quantize(port, other, H, preset), _quantize(port, W, H, preset)) == 0


@every_preset
@given(
    width=st.one_of(st.integers(1, 49), st.integers(50, 127), st.integers(129, 290)),
    rows=st.integers(1, 3),
    seed=seeds(),
)
def test_S9_last_block_is_narrower(
    port: Port, preset: str, width: int, rows: int, seed: int
) -> None:
    """S9: any width works, with blocks of 128; the last one takes the remainder."""
    W = Weights("gauss", seed, (rows, width)).values
    H = Activations("scaled", seed, (2, 32, width)).hessian
    result = port.billm_layer(W, H, port.METHODS["billm"].presets[preset])
    expected = [(s, min(s + 128, width)) for s in range(0, width, 128)]
    assert [(block.start, block.stop) for block in result.blocks] == expected
    assert result.shape == W.shape == result.decode().shape
    assert np.isfinite(result.decode()).all()


@every_preset
@given(layer=several_blocks)
def test_S10_few_values_in_a_row_of_a_block(port: Port, preset: str, layer: Layer) -> None:
    """S10: two values for each plain group and four for the salient one, eight in all."""
    W, H = layer[0].values, layer[1].hessian
    for block in port.billm_layer(W, H, _config(port, preset)).blocks:
        for row in block.decode():
            assert len(np.unique(row)) <= 8
        for group in block.groups:
            for row, mask in zip(group.decode(), group.mask, strict=True):
                assert len(np.unique(row[mask])) <= 2 ** len(group.planes)


@every_preset
@given(layer=layers((*CONTINUOUS, "tied", "integer", "zeros", "constant_magnitude"), rows=(1, 5)))
def test_B1_groups_partition_every_block(port: Port, preset: str, layer: Layer) -> None:
    """B1, B2: three groups, disjoint, covering the block; salient ones are whole columns."""
    W, H = layer[0].values, layer[1].hessian
    config = _config(port, preset)
    low, high = config.zones.counts
    for block in port.billm_layer(W, H, config).blocks:
        width = block.stop - block.start
        groups: dict[str, Mask] = {group.name: group.mask for group in block.groups}
        assert set(groups) == {"concentrated", "sparse", "salient"}
        assert (np.sum(list(groups.values()), axis=0) == 1).all()
        assert (
            compare.exact(groups["salient"], np.broadcast_to(block.salient, (len(W), width))) == 0
        )
        assert min(low, width) <= np.count_nonzero(block.salient) <= min(high, width)


@pytest.mark.parametrize("compensation", ["none", "released", "exact"])
@every_preset
@given(layer=layers(rows=(1, 5), columns=(2, BLOCK)))
def test_C8_single_block_layers_ignore_the_compensation(
    port: Port, preset: str, compensation: str, layer: Layer
) -> None:
    """C8: in a layer of one block there is nothing to compensate, bit for bit."""
    W, H = layer[0].values, layer[1].hessian
    actual = _quantize(port, W, H, preset, compensation=compensation)
    assert compare.exact(actual, _quantize(port, W, H, preset)) == 0


@every_preset
@given(layer=layers(rows=(1, 5)))
def test_arguments_are_not_changed(port: Port, preset: str, layer: Layer) -> None:
    """A port does not change its arguments."""
    W, H = layer[0].values.copy(), layer[1].hessian.copy()
    W.setflags(write=False)
    H.setflags(write=False)
    port.billm_layer(W, H, _config(port, preset))
    assert compare.exact(W, layer[0].values) == 0
    assert compare.exact(H, layer[1].hessian) == 0
