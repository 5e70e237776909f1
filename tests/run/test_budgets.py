"""Budgets: planned on the dense model over all of its decoder blocks, and followed."""

from types import MappingProxyType

import numpy as np
import pytest
from run.helpers import all_weights, make_settings

from subbit import reference
from subbit.conformance.models.tiny import tiny_model
from subbit.conformance.runs import budgets, calibrate, labels
from subbit.conformance.runs.budgets import (
    BUDGETS,
    OUTLIER_THRESHOLD,
    BlockCosine,
    Measure,
    OutlierShare,
    Rule,
    WeightNorm,
    count_budget_steps,
    plan_kept,
)
from subbit.conformance.runs.calibrate import advance, embed
from subbit.conformance.runs.manifest import record_path
from subbit.conformance.runs.plan import count_steps
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.conformance.runs.records import load_records
from subbit.reference.errors import ArgumentError, SubbitError

PATTERN = (4, 8)


@pytest.fixture
def uneven():
    """A tiny model whose decoder blocks differ in the size and tails of their weights."""
    model = tiny_model(blocks=4)
    rng = np.random.default_rng(7)
    for index in range(model.n_blocks):
        for linear in model.linears(index):
            spread = (2.0, 0.5, 1.0, 1.0)[index] * linear.shape[1] ** -0.5
            tail = rng.standard_t(3 + 3 * index, size=linear.shape)
            model.set_weight(index, linear.name, spread * tail)
    return model


def captured(model, index, hidden):
    """Whole inputs of each linear of a block, in float64."""
    found = {}
    model.run_block(index, hidden, lambda name, X: found.update({name: X.astype(np.float64)}))
    return found


def shares(model, sequences):
    """OWL's layerwise outlier distribution, from whole arrays."""
    hidden, found = embed(model, sequences), []
    for index in range(model.n_blocks):
        X = captured(model, index, hidden)
        scores = []
        for linear in model.linears(index):
            W = np.abs(model.weight(index, linear.name))
            norms = np.sqrt((X[linear.input_name] ** 2).sum(axis=(0, 1)) / len(hidden))
            relative = W / W.sum(axis=0) + W / W.sum(axis=1, keepdims=True)
            scores.append((relative * norms**0.5).ravel())
        flat = np.concatenate(scores)
        found.append(100 * np.mean(flat > OUTLIER_THRESHOLD * flat.mean()))
        hidden = model.run_block(index, hidden)
    return found


@pytest.mark.parametrize("exact", [False, True])
def test_the_norm_is_of_all_weights_of_a_decoder_block(uneven, sequences, exact):
    flat = [
        np.concatenate([uneven.weight(i, x.name).ravel() for x in uneven.linears(i)])
        for i in range(uneven.n_blocks)
    ]
    norms = [np.sqrt(np.sum(weights**2)) for weights in flat]
    values = [WeightNorm(uneven, index).value() for index in range(uneven.n_blocks)]
    np.testing.assert_allclose(values, norms, rtol=1e-12)
    kept = plan_kept(uneven, "norm-exact" if exact else "norm", PATTERN, sequences)
    assert kept == tuple(reference.norm_budget(norms, *PATTERN, repair=exact))
    assert len(set(kept)) > 1


@pytest.mark.parametrize("exact", [False, True])
def test_outliers_are_counted_on_the_dense_model(uneven, sequences, exact):
    expected = shares(uneven, sequences)
    hidden = embed(uneven, sequences)
    for index, share in enumerate(expected):
        measure = OutlierShare(uneven, index)
        advance(uneven, index, hidden, measure)
        assert measure.value() == pytest.approx(share, abs=1e-3)
    kept = plan_kept(uneven, "outlier-exact" if exact else "outlier", PATTERN, sequences)
    assert kept == tuple(reference.outlier_budget(expected, *PATTERN, repair=exact))
    assert len(set(kept)) > 1


def test_norms_of_inputs_are_those_of_the_hessian(uneven, sequences):
    hidden = embed(uneven, sequences)
    inputs = {linear.input_name for linear in uneven.linears(0)}
    hessians = calibrate.block_hessians(uneven, 0, hidden, inputs)
    measure = OutlierShare(uneven, 0)
    advance(uneven, 0, hidden, measure)
    for name, H in hessians.items():
        np.testing.assert_allclose(measure.norms(name), reference.input_norms(H), rtol=1e-6)


@pytest.mark.parametrize("budget", BUDGETS)
def test_planning_changes_nothing_and_tells_each_step(budget, uneven, sequences):
    before, steps = all_weights(uneven), []
    kept = plan_kept(uneven, budget, PATTERN, sequences, steps.append)
    assert len(kept) == uneven.n_blocks
    assert all(1 <= count <= PATTERN[1] for count in kept)
    assert len(steps) == count_budget_steps(uneven, budget)
    for key, weight in all_weights(uneven).items():
        np.testing.assert_array_equal(weight, before[key])
    if budget == "uniform" or budget.endswith("exact"):
        assert np.mean(kept) == PATTERN[0]


def test_only_what_a_rule_needs_is_run(uneven, sequences, monkeypatch):
    monkeypatch.setattr(uneven, "run_block", lambda *_: pytest.fail("no activations are needed"))
    for budget in ("uniform", "norm", "norm-exact"):
        plan_kept(uneven, budget, PATTERN, sequences)
    monkeypatch.setattr(uneven, "weight", lambda *_: pytest.fail("no weights are needed"))
    assert plan_kept(uneven, "uniform", PATTERN, sequences) == (4,) * 4


def test_few_tokens_are_in_a_block_at_a_time(uneven, sequences, monkeypatch):
    whole = plan_kept(uneven, "outlier", PATTERN, sequences)
    monkeypatch.setattr(calibrate, "BATCH_TOKENS", 50)
    seen, run_block = [], uneven.run_block

    def spy(index, hidden, capture=None):
        seen.append(hidden.shape[0] * hidden.shape[1])
        return run_block(index, hidden, capture)

    monkeypatch.setattr(uneven, "run_block", spy)
    assert plan_kept(uneven, "outlier", PATTERN, sequences) == whole
    assert seen == [48, 48, 24] * 4


def test_activations_that_are_not_finite_are_refused(tiny, sequences, monkeypatch):
    run_block = tiny.run_block

    def spoiled(index, hidden, capture=None):
        return run_block(index, hidden, lambda name, X: capture(name, X * np.nan))

    monkeypatch.setattr(tiny, "run_block", spoiled)
    with pytest.raises(SubbitError, match="of decoder block 0 holds NaN"):
        plan_kept(tiny, "outlier", PATTERN, sequences)


class Port:
    """The reference, recording the configurations it receives."""

    def __init__(self):
        self.configs = []

    def wanda_layer(self, W, H, config):
        self.configs.append(config)
        return reference.wanda_layer(W, H, config)


def test_each_decoder_block_keeps_what_is_planned_for_it(uneven, sequences, tmp_path):
    expected = plan_kept(uneven, "norm", (7, 8), sequences)
    assert set(expected) == {7, 8}
    port, settings = Port(), make_settings(uneven, sequences, "wanda@7:8/norm")
    manifest = quantize_model(uneven, port, settings, sequences, out=tmp_path)
    assert manifest.kept == expected
    assert [config.keep for config in port.configs] == [(n, 8) for n in expected for _ in range(7)]
    for index, count in enumerate(expected):
        records = load_records(record_path(tmp_path, index))
        assert records.about["config"]["keep"] == [count, 8]
        for layer in records.layers.values():
            decoded = layer.decode()
            per_group = np.count_nonzero(decoded.reshape(len(decoded), -1, 8), axis=2)
            assert set(np.unique(per_group)) == {count}


@pytest.mark.parametrize("choices", [{}, {"blocks": (1, 2)}, {"parts": ("q", "down")}])
def test_runs_of_the_same_label_share_one_plan(choices, uneven, sequences):
    expected = plan_kept(uneven, "outlier", PATTERN, sequences)
    settings, steps = make_settings(uneven, sequences, "wanda@4:8/outlier", **choices), []
    count = count_steps(uneven, settings)
    manifest = quantize_model(
        uneven, reference, settings, sequences, hooks=Hooks(step=steps.append)
    )
    assert manifest.kept == expected
    assert len(steps) == count


@pytest.mark.parametrize(("label", "kept"), [("wanda@4:8", (4, 4)), ("rtn", (4, 4, 4))])
def test_a_plan_of_another_model_or_method_is_refused(label, kept, tiny, sequences):
    settings = make_settings(tiny, sequences, label)
    with pytest.raises(ArgumentError, match="kept: expected 3 counts, and settings that prune"):
        quantize_model(tiny, reference, settings, sequences, kept=kept)


def test_without_a_pattern_there_is_no_plan(tiny, sequences, settings):
    manifest = quantize_model(tiny, reference, settings, sequences)
    assert (settings.keep, settings.budget, manifest.kept) == (None, "uniform", None)
    assert "keep" not in settings.config


def test_settings_hold_pattern_and_budget(tiny, sequences):
    settings = make_settings(tiny, sequences, "wanda@2:4/norm")
    assert (settings.keep, settings.budget) == ((2, 4), "norm")
    assert settings.label == f"wanda:{settings.preset}@2:4/norm"
    assert settings.choice.config(1).keep == (1, 4)
    assert "keep" not in settings.config
    same = make_settings(tiny, sequences, f"wanda:{settings.preset}@2:4/norm")
    assert same == settings


def test_a_group_that_does_not_divide_a_width_is_refused_before_the_run(tiny, sequences):
    with pytest.raises(ArgumentError, match=r"keep: expected .* 64 columns of self_attn\.q_proj"):
        make_settings(tiny, sequences, "wanda@64:128")
    down = make_settings(tiny, sequences, "wanda@16:32", parts=("down",))
    assert down.keep == (16, 32)


@pytest.mark.parametrize("exact", [False, True])
def test_cosines_are_of_what_a_decoder_block_reads_and_gives(uneven, sequences, exact, monkeypatch):
    monkeypatch.setattr(calibrate, "BATCH_TOKENS", 50)
    hidden, expected = embed(uneven, sequences), []
    for index in range(uneven.n_blocks):
        after = uneven.run_block(index, hidden)
        x, y = hidden.astype(np.float64), after.astype(np.float64)
        sizes = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
        expected.append(np.mean(np.sum(x * y, axis=-1) / sizes))
        measure = BlockCosine(uneven, index)
        advance(uneven, index, hidden.copy(), measure)
        assert measure.value() == pytest.approx(expected[-1], rel=1e-5)
        hidden = after
    importance = reference.layer_importance(expected)
    kept = plan_kept(uneven, "coarse-exact" if exact else "coarse", PATTERN, sequences)
    assert kept == tuple(reference.coarse_budget(importance, *PATTERN, repair=exact))
    assert len(set(kept)) > 1


def test_a_rule_is_one_entry_of_the_table(uneven, sequences, monkeypatch):
    """By position alone: the first decoder block keeps all."""

    def decide(values, keep, group):
        return np.array([group, *[keep] * (len(values) - 1)])

    table = MappingProxyType({**BUDGETS, "first": Rule("nothing", Measure, decide)})
    monkeypatch.setattr(budgets, "BUDGETS", table)
    monkeypatch.setattr(labels, "BUDGETS", table)
    settings = make_settings(uneven, sequences, "wanda@4:8/first")
    manifest = quantize_model(uneven, reference, settings, sequences)
    assert settings.label.endswith("@4:8/first")
    assert manifest.kept == (8, 4, 4, 4)
