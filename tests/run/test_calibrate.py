"""Calibration: the correct Hessians, once each, from a few sequences at a time."""

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.runs import calibrate
from subbit.conformance.runs.calibrate import (
    UnreachedWarning,
    advance,
    batches,
    block_hessians,
    embed,
)
from subbit.reference.errors import ArgumentError, SubbitError


def input_names(model):
    return {linear.input_name for linear in model.linears(0)}


def captured(model, hidden):
    """Whole inputs of each linear of block 0, the sequences one by one."""
    found = {}
    for sequence in hidden:
        model.run_block(
            0,
            sequence[None],
            lambda name, X: found.setdefault(name, []).append(X[0].astype(np.float64)),
        )
    return {name: np.stack(parts) for name, parts in found.items()}


def test_hessians_are_those_of_the_captured_inputs(tiny, sequences):
    hidden = embed(tiny, sequences)
    found = block_hessians(tiny, 0, hidden, input_names(tiny))
    expected = captured(tiny, hidden)
    assert set(found) == set(expected)
    for name, X in expected.items():
        H = reference.accumulate_hessian(X)
        assert found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], H, atol=1e-6 * np.abs(H).max())
        np.testing.assert_array_equal(found[name], found[name].T)


def test_hessians_do_not_depend_on_the_batches(tiny, sequences, monkeypatch):
    hidden = embed(tiny, sequences)
    whole = block_hessians(tiny, 0, hidden, input_names(tiny))
    monkeypatch.setattr(calibrate, "BATCH_TOKENS", 1)
    single = block_hessians(tiny, 0, hidden, input_names(tiny))
    for name, H in whole.items():
        np.testing.assert_allclose(single[name], H, atol=1e-6 * np.abs(H).max())


def test_linears_that_share_an_input_share_a_hessian(tiny, sequences):
    inputs = {linear.kind: linear.input_name for linear in tiny.linears(0)}
    assert inputs["q"] == inputs["k"] == inputs["v"]
    assert inputs["gate"] == inputs["up"]
    assert len(block_hessians(tiny, 0, embed(tiny, sequences), set(inputs.values()))) == 4
    assert set(block_hessians(tiny, 0, embed(tiny, sequences), {inputs["o"]})) == {inputs["o"]}


def test_calibrating_leaves_the_hidden_states_and_advancing_replaces_them(tiny, sequences):
    hidden = embed(tiny, sequences)
    before = hidden.copy()
    block_hessians(tiny, 1, hidden, input_names(tiny))
    np.testing.assert_array_equal(hidden, before)
    advance(tiny, 1, hidden)
    np.testing.assert_allclose(hidden, tiny.run_block(1, before), rtol=1e-4, atol=1e-5)


def test_few_tokens_are_in_a_block_at_a_time(tiny, sequences, monkeypatch):
    monkeypatch.setattr(calibrate, "BATCH_TOKENS", 50)
    seen = []
    run_block = tiny.run_block

    def spy(index, hidden, capture=None):
        seen.append(hidden.shape[0] * hidden.shape[1])
        return run_block(index, hidden, capture)

    monkeypatch.setattr(tiny, "run_block", spy)
    hidden = embed(tiny, sequences)
    block_hessians(tiny, 0, hidden, input_names(tiny))
    advance(tiny, 0, hidden)
    assert seen == [48, 48, 24] * 2


@pytest.mark.parametrize(("count", "length"), [(1, 5000), (7, 3), (5, 1024)])
def test_batches_cover_the_sequences_once(count, length):
    found = [index for batch in batches((count, length, 8)) for index in range(count)[batch]]
    assert found == list(range(count))


def test_sequences_longer_than_the_context_are_refused(tiny):
    with pytest.raises(ArgumentError, match="at most the 256 tokens of the model's context"):
        embed(tiny, np.zeros((1, 257), dtype=np.int64))


def test_nan_is_found_where_it_arises(tiny, sequences, monkeypatch):
    hidden = embed(tiny, sequences)
    monkeypatch.setattr(tiny, "run_block", lambda *_: np.full((2, 24, 64), np.nan, np.float32))
    with pytest.raises(SubbitError, match="decoder block 1 gives NaN"):
        advance(tiny, 1, hidden[:2])


def test_inputs_that_are_all_zero_get_the_identity_and_are_named(tiny, sequences):
    tiny.set_weight(0, "mlp.gate_proj", np.zeros((160, 64)))
    with pytest.warns(UnreachedWarning, match="block 0: no token reaches mlp_hidden; the identity"):
        found = block_hessians(tiny, 0, embed(tiny, sequences), input_names(tiny))
    np.testing.assert_array_equal(found["mlp_hidden"], np.eye(160))
    assert not np.array_equal(found["mlp_input"], np.eye(64))
