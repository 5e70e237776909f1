"""Evaluation: GPTQ's perplexity and the KL divergence, against whole logits in float64."""

import numpy as np
import pytest

from subbit.conformance.models.load import load_model
from subbit.conformance.models.tiny import tiny_model
from subbit.conformance.runs import calibrate
from subbit.conformance.runs import evaluate as module
from subbit.conformance.runs.evaluate import (
    PrefixEvaluator,
    evaluate,
    evaluation_windows,
    last_hidden,
    log_softmax,
)
from subbit.reference.errors import ArgumentError


def log_probabilities(model, windows):
    """Predictions of positions 1 to L-1, shape (N, L-1, V), in float64."""
    hidden = model.embed(windows)
    for index in range(model.n_blocks):
        hidden = model.run_block(index, hidden)
    logits = np.stack([model.head(window) for window in hidden])[:, :-1].astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def spoil(model, index, factor=0.5):
    for linear in model.linears(index):
        model.set_weight(index, linear.name, factor * model.weight(index, linear.name))


def test_perplexity_is_exp_of_the_mean_over_windows(tiny, windows):
    logs = log_probabilities(tiny, windows)
    losses = [-logs[w, np.arange(19), windows[w, 1:]].mean() for w in range(len(windows))]
    measured = evaluate(tiny, windows)
    assert measured.perplexity == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)
    assert measured.divergence is None


def test_divergence_is_of_the_model_from_the_reference(tiny, windows):
    full = load_model("tiny")
    spoil(tiny, 1)
    p, q = log_probabilities(full, windows), log_probabilities(tiny, windows)
    expected = (np.exp(p) * (p - q)).sum(axis=-1).mean()
    backwards = (np.exp(q) * (q - p)).sum(axis=-1).mean()
    measured = evaluate(tiny, windows, full).divergence
    assert measured == pytest.approx(expected, rel=1e-4)
    assert abs(expected - backwards) > 10 * abs(measured - expected)


def test_windows_go_through_the_model_a_few_at_a_time(tiny, windows, monkeypatch):
    whole = evaluate(tiny, windows)
    monkeypatch.setattr(calibrate, "BATCH_TOKENS", 45)
    steps, seen, embed = [], [], tiny.embed
    monkeypatch.setattr(tiny, "embed", lambda tokens: seen.append(len(tokens)) or embed(tokens))
    assert evaluate(tiny, windows, step=steps.append).perplexity == pytest.approx(
        whole.perplexity, rel=1e-6
    )
    assert seen == [2, 1]
    assert steps == ["window 2 of 3", "window 3 of 3"]


def test_divergence_from_itself_is_zero(tiny, windows):
    assert evaluate(tiny, windows, tiny).divergence == 0.0


def test_rows_of_logits_are_few_and_their_number_does_not_matter(tiny, windows, monkeypatch):
    full = load_model("tiny")
    spoil(tiny, 0)
    whole = evaluate(tiny, windows, full)
    seen = []
    head = tiny.head
    monkeypatch.setattr(tiny, "head", lambda rows: seen.append(len(rows)) or head(rows))
    monkeypatch.setattr(module, "HEAD_ROWS", 7)
    chunked = evaluate(tiny, windows, full)
    assert seen == [7, 7, 5] * 3
    assert chunked.perplexity == pytest.approx(whole.perplexity, rel=1e-6)
    assert chunked.divergence == pytest.approx(whole.divergence, rel=1e-4)


def test_models_of_different_vocabularies_are_not_compared(tiny, windows):
    other = tiny_model()
    other.vocabulary = 300
    with pytest.raises(ArgumentError, match="reference: expected a vocabulary of 256"):
        evaluate(tiny, windows, other)


def test_a_point_of_the_prefix_curve_is_the_whole_model_evaluated(tiny, windows):
    """Blocks change one by one; each score is that of the model at that moment."""
    full = load_model("tiny")
    hidden = last_hidden(full, windows)
    evaluator = PrefixEvaluator(tiny, windows, hidden)
    steps = []
    for index in range(tiny.n_blocks):
        spoil(tiny, index)
        evaluator.follow(index)
        measured = evaluator.score(steps.append)
        expected = evaluate(tiny, windows, full)
        assert measured.perplexity == pytest.approx(expected.perplexity, rel=1e-6)
        assert measured.divergence == pytest.approx(expected.divergence, rel=1e-4)
    assert len(steps) == 2 + 1 + 0


def test_the_prefix_evaluator_wants_its_blocks_in_order(tiny, windows):
    evaluator = PrefixEvaluator(tiny, windows, last_hidden(tiny, windows))
    with pytest.raises(ArgumentError, match="index"):
        evaluator.follow(1)


def test_windows_do_not_overlap_and_drop_the_rest():
    cut = evaluation_windows(np.arange(11), length=3, windows=2)
    np.testing.assert_array_equal(cut, [[0, 1, 2], [3, 4, 5]])
    assert evaluation_windows(np.arange(11), length=3).shape == (3, 3)


@pytest.mark.parametrize(("length", "windows"), [(12, None), (4, 3), (1, None), (3, 0)])
def test_a_text_that_is_too_short_is_refused(length, windows):
    with pytest.raises(ArgumentError):
        evaluation_windows(np.arange(11), length=length, windows=windows)


def test_log_softmax_bears_large_logits():
    logs = log_softmax(np.array([[1e4, 0.0], [-1e4, -1e4]], dtype=np.float32))
    np.testing.assert_allclose(np.exp(logs), [[1, 0], [0.5, 0.5]])


def test_a_hopeless_model_has_infinite_perplexity_not_nan(tiny, windows, monkeypatch):
    monkeypatch.setattr(
        tiny, "head", lambda rows: np.eye(1, 256, 0, dtype=np.float32).repeat(len(rows), 0) * 1e6
    )
    assert evaluate(tiny, windows % 255 + 1).perplexity == np.inf
