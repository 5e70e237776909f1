"""A second reading shows which of its own choices rounding decides."""

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.inputs import moved
from subbit.conformance.inputs.families import Activations, Weights
from subbit.conformance.oracles import choices, naive_arb, settled
from subbit.reference.bounds.rounding import Arithmetic

# The two entries of row 1 that are left in a salient group fit exactly, wherever they are cut.
TIED = (
    reference.METHODS["arb"]
    .presets["paper"]
    .changed(
        block_size=24,
        bitmap="zones",
        splits=2,
        counts=(5, 9),
        score="magnitude",
        divisor="width",
        iterations=0,
    )
)
PLAIN = reference.METHODS["arb"].presets["paper"].changed(block_size=24, iterations=0)


class UndecidedError(Exception):
    pass


def leave_out():
    raise UndecidedError


def same(change, config, monkeypatch):
    monkeypatch.setattr(settled, "_undecided", leave_out)
    W = Weights(family="outlier_columns", seed=61473, shape=(3, 48)).values
    H = Activations(family="iid", seed=0, shape=(1, 8, 48)).hessian

    def reading(W, H):
        return naive_arb.arb_llm_layer(W, H, config)

    answer = reference.arb_llm_layer(W, H, config).decode()
    return settled.same_layer(change(answer), reading(W, H), W, H, 1e-8, reading=reading)


def test_a_choice_between_equally_good_candidates_is_left_to_rounding(monkeypatch):
    with pytest.raises(UndecidedError):
        same(lambda answer: answer, TIED, monkeypatch)


def test_without_other_candidates_the_port_would_be_wrong(monkeypatch):
    monkeypatch.setattr(choices, "TIE", 0.0)
    assert not same(lambda answer: answer, TIED, monkeypatch)


def test_where_nothing_is_tied_a_wrong_layer_is_wrong(monkeypatch):
    assert same(lambda answer: answer, PLAIN, monkeypatch)
    assert not same(
        lambda answer: np.where(answer == answer.max(), 0.0, answer), PLAIN, monkeypatch
    )


def test_ties_are_taken_last_only_within():
    errors = [2.0, 1.0, 1.0 + 1e-16, 1.0 + 1e-9]
    assert choices.least(errors, 1.0) == 1
    with choices.last_of_ties():
        assert choices.least(errors, 1.0) == 2
    assert choices.least(errors, 1.0) == 1


def test_candidates_that_only_rounding_separates_are_chosen_either_way():
    """Their errors share all but 1e-8 of a sum, which every move of the weights leaves alone."""

    def chosen(W, _):
        return reference.Search(np.array([3, 5]), np.sum(W) + np.array([0.0, 1e-8])).choice

    W, single = np.full((1, 2), 0.5), Arithmetic("float32")
    seeds = range(settled.TRIES)
    moves = [moved.moved(W, np.eye(2), seed, arithmetic=single) for seed in seeds]
    assert {chosen(*move) for move in moves} == {3}
    asked = {moved.answer_moved(chosen, W, np.eye(2), seed, arithmetic=single) for seed in seeds}
    assert asked == {3, 5}
    assert {moved.answer_moved(chosen, W, np.eye(2), seed) for seed in seeds} == {3}
    assert chosen(W, np.eye(2)) == 3
