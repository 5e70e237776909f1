"""STBLLM's whole layer: against a naive second reading, its pattern and its symmetries.

The names are those of the property catalog. Blocks are narrow, so a layer has
several of them; groups of M weights never cross their edges.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.cases.stbllm import IMPORTANCES, NAMES
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Activations, Array, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds
from subbit.conformance.oracles import naive_stbllm
from subbit.conformance.oracles.settled import Reading, same_layer
from subbit.conformance.target import Port

BLOCK = 16
AGREEMENT = 1e-8
BY_STATE = "level 3 judges every block from its own state"
STBLLM = ("paper", "released", "released-magnitude", "corrected")
BILLM = ("wanda", "sparsegpt", "wanda-strict", "sparsegpt-strict")
PRESETS = tuple(("stbllm", name) for name in STBLLM) + tuple(("billm-nm", name) for name in BILLM)
STRICT = tuple(x for x in PRESETS if x[1] in {"paper", "corrected"} or x[1].endswith("strict"))
every_preset = pytest.mark.parametrize(("method", "preset"), PRESETS)
some_preset, some_strict = st.sampled_from(PRESETS), st.sampled_from(STRICT)
few = settings(max_examples=max(2, settings().max_examples // 4))

PAPER = {
    "block_size": 128,
    "percdamp": 0.01,
    "center": False,
    "sign_zero": 1,
    "score": "trailing",
    "search_on": "weights",
    "split_by": "weights",
    "grid": "maximum",
    "search_orders": (1, 1),
    "counts": (3, 30),
    "compensation": "exact",
    "closed": True,
    "dead_inputs": "binarize",
    "column_feedback": False,
    "keep": (4, 8),
    "tail": "error",
    "importance": "standardized",
    "standardize": "before",
    "exponent": 1.0,
    "axis": "row",
    "regions": 3,
    "factor": 2.0,
    "levels": 160,
    "bounded": True,
    "pruned": "zero",
    "start": "pruned",
    "free": "kept",
    "fallback": False,
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
    "importance": "ria",
    "exponent": 0.5,
    "pruned": "binarize",
    "free": "all",
}
CORRECTED = PAPER | {
    "grid": "quantiles",
    "counts": (0, 49),
    "dead_inputs": "zero",
    "importance": "ria",
    "exponent": 0.5,
    "start": "dense",
    "free": "all",
    "fallback": True,
}
TWO = {"regions": 2, "levels": 81, "exponent": 1.0}
SETTINGS = {
    "paper": PAPER,
    "released": RELEASED,
    "released-magnitude": RELEASED | {"score": "magnitude"},
    "corrected": CORRECTED,
    "wanda": RELEASED | TWO | {"importance": "wanda"},
    "sparsegpt": RELEASED | TWO | {"importance": "sparsegpt"},
    "wanda-strict": CORRECTED | TWO | {"importance": "wanda"},
    "sparsegpt-strict": CORRECTED | TWO | {"importance": "sparsegpt"},
}
SWITCHES: dict[str, list[Any]] = {
    "score": ["trailing", "inverse_hessian", "magnitude"],
    "search_on": ["weights", "scores"],
    "split_by": ["weights", "scores"],
    "grid": ["maximum", "quantiles", "quantiles_with_zeros", "breakpoints"],
    "search_orders": [(1, 1), (2, 2), (2, 1)],
    "counts": [(0, 9), (3, 6), (7, 7)],
    "compensation": ["exact", "released", "none"],
    "closed": [True, False],
    "dead_inputs": ["binarize", "zero"],
    "keep": [(2, 4), (4, 8), (6, 8), (8, 8)],
    "importance": [*IMPORTANCES],
    "standardize": ["before", "after", "none"],
    "exponent": [1.0, 0.5],
    "axis": ["row", "matrix"],
    "regions": [2, 3],
    "factor": [2.0, 1.5],
    "levels": [9, 30],
    "bounded": [True, False],
    "pruned": ["zero", "binarize"],
    "start": ["dense"],
    "free": ["kept", "all"],
    "fallback": [True, False],
}
all_switches = st.fixed_dictionaries({k: st.sampled_from(v) for k, v in SWITCHES.items()})
# If half of a group's entries are zeros and the others lie above their mean, all zeros end
# exactly on the mean of the second order. An odd number of columns has no half.
ODD: dict[str, Any] = {"counts": (7, 7)}


def _config(port: Port, method: str, preset: str, **switches: Any) -> Any:
    config = port.METHODS[method].presets[preset]
    return config.changed(**({"block_size": BLOCK} | switches))


@st.composite
def grouped_layers(
    draw: st.DrawFn,
    families: tuple[str, ...] = CONTINUOUS,
    inputs: tuple[str, ...] = LIVE,
    *,
    columns: tuple[int, ...] = (24, 32, 40),
) -> Layer:
    """Layers whose width is a multiple of 8."""
    width = draw(st.sampled_from(columns))
    W = Weights(draw(st.sampled_from(families)), draw(seeds()), (draw(st.integers(1, 5)), width))
    tokens = (draw(st.integers(1, 3)), draw(st.integers(8, 24)), width)
    return W, Activations(draw(st.sampled_from(inputs)), draw(seeds()), tokens)


def _reading(config: Any) -> Reading:
    return lambda W, H: naive_stbllm.stbllm_layer(W, H, config)


def _agrees(port: Port, layer: Layer, config: Any) -> None:
    W, H = layer[0].values, layer[1].hessian
    actual = port.stbllm_layer(W, H, config).decode()
    expected = naive_stbllm.stbllm_layer(W, H, config)
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=_reading(config))


def _kept_in_groups(Q: Array, group: int) -> Array:
    whole = Q.shape[1] // group * group
    return np.count_nonzero(Q[:, :whole].reshape(len(Q), -1, group), axis=-1)


@every_preset
def test_presets_are_what_the_specification_says(port: Port, method: str, preset: str) -> None:
    """Paper, released code and corrected form differ in these switches and no others."""
    config = port.METHODS[method].presets[preset]
    assert config.switches() == SETTINGS[preset]


@every_preset
@few
@given(layer=grouped_layers(columns=(48, 72)))
def test_presets_against_the_naive_reading(
    port: Port, method: str, preset: str, layer: Layer
) -> None:
    """Every preset does what its description says, block after block."""
    port.compares_ends(BY_STATE)
    refilled = port.METHODS[method].presets[preset].pruning.pruned == "binarize"
    counts = ODD if refilled else {"counts": (0, 9)}
    _agrees(port, layer, _config(port, method, preset, block_size=24, **counts))


@few
@given(layer=grouped_layers(columns=(48, 72)), switches=all_switches)
def test_switches_against_the_naive_reading(
    port: Port, layer: Layer, switches: dict[str, Any]
) -> None:
    """Any combination of switches does what each one says."""
    port.compares_ends(BY_STATE)
    _agrees(port, layer, _config(port, "stbllm", "paper", block_size=24, **switches))


@given(
    layer=grouped_layers((*CONTINUOUS, "tied", "integer", "zeros"), columns=(8, 24)),
    keep=st.sampled_from([(1, 2), (2, 4), (3, 8), (8, 8)]),
    importance=st.sampled_from([x for x in IMPORTANCES if x != "sparsegpt"]),
    start=st.sampled_from(["pruned", "dense"]),
)
def test_D1_N_of_M_are_kept_as_they_are(
    port: Port, layer: Layer, keep: tuple[int, int], importance: str, start: str
) -> None:
    """D1: exactly N of M are kept, and those are the same bits; others are zero or all stay."""
    W, H = port.held(layer[0].values), layer[1].hessian
    config = _config(port, "stbllm", "paper", keep=keep, importance=importance, start=start)
    weights, kept = port.choose_kept(W, H, config)
    assert (kept.reshape(len(W), -1, keep[1]).sum(axis=-1) == keep[0]).all()
    live = np.where(np.diag(H) == 0, 0.0, W)
    expected = live if start == "dense" else np.where(kept, live, 0.0)
    assert compare.exact(weights, expected) == 0


@few
@given(layer=grouped_layers(), switches=all_switches)
def test_D2_the_pattern_survives_under_every_switch(
    port: Port, layer: Layer, switches: dict[str, Any]
) -> None:
    """D2: if pruned weights are zero, no group of the result has more than N nonzero ones."""
    W, H = layer[0].values, layer[1].hessian
    config = _config(port, "stbllm", "paper", **(switches | {"pruned": "zero", "levels": 9}))
    result = port.stbllm_layer(W, H, config)
    _, kept = port.choose_kept(W, H, config)
    N, M = config.pruning.keep
    assert _kept_in_groups(result.decode(), M).max() <= N
    assert not result.decode()[~kept].any()
    assert {block.pattern for block in result.blocks} == {config.pruning.keep if N < M else None}


@few
@given(
    which=some_preset,
    layer=grouped_layers((*CONTINUOUS, "tied", "integer", "zeros", "constant_magnitude")),
)
def test_B1_groups_partition_what_is_kept(port: Port, which: tuple[str, str], layer: Layer) -> None:
    """B1, S10: disjoint groups cover the kept weights; a row of a block has at most ten values."""
    W, H = layer[0].values, layer[1].hessian
    config = _config(port, *which, levels=20)
    result = port.stbllm_layer(W, H, config)
    _, kept = port.choose_kept(W, H, config)
    alive = np.diag(H) != 0 if config.loop.dead_inputs == "zero" else np.ones(len(H), dtype=bool)
    entries = alive & (kept if config.pruning.strict else np.ones_like(kept))
    assert np.isfinite(result.decode()).all()
    low, high = config.zones.partition.counts
    for block in result.blocks:
        part = entries[:, block.columns]
        assert [group.name for group in block.groups] == [*NAMES[config.zones.regions], "salient"]
        assert [len(group.planes) for group in block.groups] == [1] * config.zones.regions + [2]
        assert compare.exact(np.sum([g.mask for g in block.groups], axis=0) == 1, part) == 0
        assert compare.exact(block.groups[-1].mask, part & block.salient) == 0
        live = np.count_nonzero(alive[block.columns])
        assert min(low, live) <= np.count_nonzero(block.salient) <= min(high, live)
        signed = all((p.sign[g.mask] != 0).all() for g in block.groups for p in g.planes)
        for row, own in zip(block.decode(), part, strict=True):
            assert not signed or len(np.unique(row[own])) <= 2 * config.zones.regions + 4


@pytest.mark.parametrize("preset", ["released", "released-magnitude", "corrected"])
@few
@given(layer=layers(rows=(1, 5), columns=(2, 40)))
def test_without_pruning_two_regions_are_billm(port: Port, preset: str, layer: Layer) -> None:
    """N = M prunes nothing: with two regions and BiLLM's grid it is BiLLM, bit for bit."""
    W, H = layer[0].values, layer[1].hessian
    switches = TWO | {"keep": (8, 8), "fallback": False}
    actual = port.stbllm_layer(W, H, _config(port, "stbllm", preset, **switches))
    expected = port.billm_layer(W, H, _config(port, "billm", preset))
    assert compare.exact(actual.decode(), expected.decode()) == 0


@given(which=some_preset, layer=grouped_layers(), power=st.sampled_from([2, -1, 10]))
def test_S1_scaled_weights(port: Port, which: tuple[str, str], layer: Layer, power: int) -> None:
    """S1: ``W → cW`` gives ``cQ`` bit for bit for a power of two."""
    W, H = layer[0].values, layer[1].hessian
    config = _config(port, *which, levels=20)
    actual = port.stbllm_layer(2.0**power * W, H, config).decode()
    expected = 2.0**power * port.stbllm_layer(W, H, config).decode()
    assert compare.exact(actual, expected) == 0


@given(which=some_preset, layer=grouped_layers(columns=(48, 72)))
def test_S2_negated_weights(port: Port, which: tuple[str, str], layer: Layer) -> None:
    """S2: ``W → -W`` gives ``-Q``; running sums add in a different order."""
    port.compares_ends(BY_STATE)
    W, H = layer[0].values, layer[1].hessian
    config = _config(port, *which, block_size=24, **ODD)
    expected = port.stbllm_layer(W, H, config).decode()
    actual = -port.stbllm_layer(-W, H, config).decode()
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=_reading(config))


@given(which=some_preset, layer=grouped_layers())
def test_S3_scaled_inputs(port: Port, which: tuple[str, str], layer: Layer) -> None:
    """S3: ``X → 2X`` gives the same Q bit for bit."""
    W, X = layer[0].values, layer[1].values
    config = _config(port, *which, levels=20)
    expected = port.stbllm_layer(W, port.accumulate_hessian(X), config).decode()
    actual = port.stbllm_layer(W, port.accumulate_hessian(2 * X), config).decode()
    assert compare.exact(actual, expected) == 0


@few
@given(layer=grouped_layers(), regions=st.sampled_from([2, 3]))
def test_C7_what_is_fed_forward_is_the_whole_loss(port: Port, layer: Layer, regions: int) -> None:
    """C7: from the dense weights with exact feedback ``½ Σ E²`` is the loss, pruning included."""
    W, H = port.held(layer[0].values), layer[1].hessian
    switches = {"fallback": False, "dead_inputs": "binarize", "regions": regions, "levels": 9}
    config = _config(port, "stbllm", "corrected", **switches)
    prepared = port.prepare_hessian(H, config.loop.percdamp)
    damped, U = (np.asarray(x, dtype=np.float64) for x in (prepared.damped, prepared.factor))
    _, kept = port.choose_kept(W, H, config)
    everything = np.ones(W.shape[1], dtype=bool)

    def quantize(current: Array, columns: slice) -> Any:
        block = np.asarray(current[:, columns])
        scores, alive = block**2 / np.diag(U)[columns] ** 2, everything[columns]
        mask, start = kept[:, columns], columns.start
        return port.stbllm_block(block, scores, alive, mask, config, start=start)

    live = np.where(np.diag(H) == 0, 0.0, W)
    made = port.compensate(live, U, quantize, block_size=BLOCK, mode="exact")
    E = np.asarray(made.errors, dtype=np.float64)
    loss = port.proxy_loss(live, made.layer.decode(), damped)
    slack = port.gamma(64 * W.shape[1]) * np.linalg.cond(damped) * float(np.sum(E**2))
    assert abs(loss - 0.5 * float(np.sum(E**2))) <= slack + 1e-30
    assert _kept_in_groups(made.layer.decode(), 8).max() <= 4


@given(which=some_strict, layer=grouped_layers(inputs=("ar0.9", "low_rank", "iid")))
def test_a_fallback_is_never_worse(port: Port, which: tuple[str, str], layer: Layer) -> None:
    """The returned layer has the lower loss of the two forms."""
    W, H = port.held(layer[0].values), layer[1].hessian
    damped = np.asarray(port.prepare_hessian(H, 0.01).damped, dtype=np.float64)
    losses = []
    for switches in ({"fallback": True}, {"fallback": False}, {"compensation": "none"}):
        config = _config(port, *which, levels=20, **switches)
        Q = port.stbllm_layer(W, H, config).decode()
        losses.append(float(np.einsum("ij,jk,ik->", W - Q, damped, W - Q)))
    slack = port.gamma(8 * len(H)) * float(np.einsum("ij,jk,ik->", abs(W), abs(damped), abs(W)))
    assert compare.objective(losses[0], min(losses[1:]), 4 * slack) <= 1


@every_preset
@pytest.mark.parametrize("family", ["constant_magnitude", "zero_rows", "zeros", "all_equal"])
def test_B6_degenerate_blocks(port: Port, method: str, preset: str, family: str) -> None:
    """B6: no candidate's second threshold fits, or nothing is left to cut; still a result."""
    W = Weights(family, 1, (3, 24)).values
    H = Activations("dead", 2, (2, 30, 24)).hessian
    for rows in (3, 1):
        result = port.stbllm_layer(W[:rows], H, _config(port, method, preset, levels=20))
        assert np.isfinite(result.decode()).all()


@every_preset
@pytest.mark.parametrize("width", [1, 7, 19])
def test_last_columns_that_fill_no_group_are_kept(
    port: Port, method: str, preset: str, width: int
) -> None:
    """With a dense tail, a width that M does not divide, even one below M, is no error."""
    W = Weights("gauss", 3, (4, width)).values
    H = Activations("iid", 4, (2, 30, width)).hessian
    config = _config(port, method, preset, tail="dense", levels=20)
    _, kept = port.choose_kept(W, H, config)
    assert kept[:, width // 8 * 8 :].all()
    assert port.stbllm_layer(W, H, config).decode()[:, width // 8 * 8 :].all()
    if width % 8:
        with pytest.raises(ValueError, match=r"group|W"):
            port.stbllm_layer(W, H, config.changed(tail="error"))


@given(which=some_strict, layer=grouped_layers((*CONTINUOUS, "tied"), ("dead",)))
def test_S8_dead_inputs_end_at_zero(port: Port, which: tuple[str, str], layer: Layer) -> None:
    """S8: columns whose input never fires are zero and in no group."""
    W, H = layer[0].values, layer[1].hessian
    dead = np.diag(H) == 0
    config = _config(port, *which, dead_inputs="zero", levels=20)
    result = port.stbllm_layer(W, H, config)
    assert not result.decode()[:, dead].any()
    for block in result.blocks:
        assert not any(group.mask[:, dead[block.columns]].any() for group in block.groups)


@given(which=some_preset, layer=grouped_layers())
def test_arguments_are_not_changed(port: Port, which: tuple[str, str], layer: Layer) -> None:
    """A port does not change its arguments."""
    W, H = layer[0].values.copy(), layer[1].hessian.copy()
    W.setflags(write=False)
    H.setflags(write=False)
    port.stbllm_layer(W, H, _config(port, *which, levels=5))
    assert compare.exact(W, layer[0].values) == 0
    assert compare.exact(H, layer[1].hessian) == 0


@pytest.mark.parametrize("regions", [2, 3])
def test_where_there_is_nothing_all_regions_are_empty(port: Port, regions: int) -> None:
    """As many as asked for, of the shape of the weights."""
    W, nothing = np.ones((2, 4)), np.zeros(4, dtype=np.bool_)
    masks = port.choose_regions(W, W**2, nothing, port.Regions(regions=regions))
    assert [mask.shape for mask in masks] == [W.shape] * regions
    assert not np.any(masks)
