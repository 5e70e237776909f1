"""Of equal keys, a layer may take any first; functions that say which one are held to it."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.cases.settings import judge_decoded
from subbit.conformance.mutants.precision import numpy_replaced
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.reference.bounds.rounding import Arithmetic
from subbit.reference.bounds.zones.salient import rank_columns_margin

DECLARED = Arithmetic()
RULED = ("rank_columns", "nm_mask", "row_mask", "spbo_schedule", "repair_budget")
"""Functions that say which of two equal keys comes first."""
SORTING = (
    "choose_salient",
    "choose_kept",
    "billm_block",
    "stbllm_block",
    "gptq_layer",
    "gptq_layer_settings",
    "wanda_layer",
    "wanda_layer_settings",
    "sparsegpt_layer",
    "sparsegpt_layer_settings",
    "exact_sparsegpt",
    "stbllm_layer_stbllm_paper",
    "stbllm_layer_billm_nm_wanda",
    "stbllm_layer_settings",
)


class LastFirst:
    """NumPy, whose stable sort puts the last of equal keys first."""

    def __getattr__(self, name):
        return getattr(np, name)

    def argsort(self, x, axis=-1, kind=None):
        flat = np.ravel(x) if axis is None else np.asarray(x)
        place = -1 if axis is None else axis
        order = np.argsort(np.flip(flat, place), axis=place, kind=kind)
        return flat.shape[place] - 1 - order


def last_first(name):
    function = getattr(reference, name)

    @functools.wraps(function)
    def sorted_otherwise(*places, **names):
        with numpy_replaced(LastFirst()):
            made = function(*places, **names)
            return iter(list(made)) if hasattr(made, "__next__") else made

    return sorted_otherwise


@pytest.fixture(scope="module")
def port():
    honest = {name: getattr(reference, name) for name in reference.__all__}
    other = {name: last_first(name) for name in PROTOCOL if name not in CLASSES}
    return SimpleNamespace(**honest | other)


@pytest.mark.parametrize("name", SORTING)
def test_layers_may_sort_equal_keys_otherwise(port, name):
    item = OPERATIONS[name]
    for seed in seeds_of(item, "quick"):
        found = item.check(port, DECLARED, seed)
        assert found.status == "passed", found.message


@pytest.mark.parametrize("name", RULED)
def test_functions_with_a_rule_may_not(port, name):
    item = OPERATIONS[name]
    assert any(item.check(port, DECLARED, s).status == "failed" for s in seeds_of(item, "ci"))
    assert "equal" in reference.__dict__[name].__doc__ or name == "repair_budget"


def test_equal_scores_of_sparsegpt_may_stay_in_any_order(port):
    """In cases where the order decides which weights are kept."""
    differing = 0
    item = OPERATIONS["exact_sparsegpt"]
    for seed in seeds_of(item, "ci"):
        kept = []
        for asked in (port, reference):
            masks = []

            def noted(*places, asked=asked, masks=masks, **names):
                layer = asked.sparsegpt_layer(*places, **names)
                masks.extend(block.groups[0].mask.tobytes() for block in layer.blocks)
                return layer

            one = SimpleNamespace(**(vars(port) | {"sparsegpt_layer": noted}))
            assert item.check(one, DECLARED, seed).status == "passed"
            kept.append(masks)
        differing += kept[0] != kept[1]
    assert differing


def tied_layer(seed):
    """Weights and Hessian with many dead inputs."""
    draw = Draw(seed)
    W = draw.rng.standard_normal((3, 24))
    X = np.where(draw.rng.random(24) < 0.5, draw.rng.standard_normal((60, 24)), 0.0)
    return W, X.T @ X


@pytest.mark.parametrize("seed", range(4))
def test_gptq_may_take_dead_inputs_in_any_order(port, seed):
    W, H = tied_layer(seed)
    config = reference.GPTQ(activation_order=True)
    found, right = (p.gptq_layer(W, H, config) for p in (port, reference))
    assert not np.array_equal(found.order, right.order)
    diagonal = np.where(np.diag(H) == 0.0, 1.0, np.diag(H))
    for ordered, limit in ((False, 0.0), (True, np.inf)):
        margin = rank_columns_margin(diagonal, found.order, ordered=ordered, arithmetic=DECLARED)
        assert margin.value.max() == limit


@pytest.mark.parametrize("seed", range(4))
def test_wanda_may_keep_any_weights_of_dead_inputs(port, seed):
    W, H = tied_layer(seed)
    config = reference.Wanda(keep=(2, 4))
    layer = port.wanda_layer(W, H, config)
    assert not np.array_equal(layer.decode(), reference.wanda_layer(W, H, config).decode())
    ratios = []
    for wrong, together in ((False, 4), (False, 1), (True, 4)):
        judge = Judge(DECLARED)
        shown = reference.wanda_layer(np.abs(W), H, config) if wrong else layer
        judge_decoded(
            judge,
            shown,
            W,
            H,
            lambda W, H: reference.wanda_layer(W, H, config),
            sorted_together=together,
        )
        ratios.append(judge.ratio)
    assert ratios[0] <= 1.0
    assert min(ratios[1:]) > 1.0
