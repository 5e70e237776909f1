"""A share of the fuzzed calls, those that were findings once, and that findings are noticed."""

import warnings

import numpy as np
import pytest
from fuzz import calls

from project import some
from subbit import reference
from subbit.conformance.target import resolve
from subbit.reference.errors import ArgumentError

EACH = 8


@pytest.mark.parametrize("name", some(calls.FUNCTIONS, every=3))
def test_wrong_arguments_are_answered_or_refused(name):
    endings = [(seed, *calls.ending_of(reference, name, seed)) for seed in range(EACH)]
    findings = [
        f"{name}:{seed} ({what}): {one.finding}" for seed, what, one in endings if one.finding
    ]
    assert not findings
    assert calls.calls_of(name)


@pytest.mark.parametrize("name", some(calls.FUNCTIONS, every=12))
def test_the_kernels_answer_or_refuse_them_too(name):
    port = resolve("fast:simulated")
    endings = [(seed, *calls.ending_of(port, name, seed)) for seed in range(4)]
    assert [(seed, what, one.finding) for seed, what, one in endings if one.finding] == []


def test_most_changes_are_refused_and_some_are_not():
    endings = [calls.ending_of(reference, "proxy_loss", seed)[1] for seed in range(60)]
    assert 10 < sum(one.refused for one in endings) < 58


class Faulty:
    """A port whose masked_mean does what no function may do."""

    def __init__(self, fault):
        self.fault = fault

    def masked_mean(self, W, mask):
        reference.masked_mean(W, mask)
        return self.fault(W)


def written(W):
    if isinstance(W, np.ndarray) and W.size and W.flags.writeable:
        W.flat[0] = W.flat[0] + 1
    return 0.0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda _: np.array([np.nan]), "an answer that is not finite"),
        (lambda _: {}["x"], "KeyError"),
        (lambda _: np.float64(1e300) * np.float64(1e300), "RuntimeWarning"),
        (written, "its arguments have changed"),
    ],
)
def test_findings_are_noticed(fault, said):
    endings = [calls.ending_of(Faulty(fault), "masked_mean", seed)[1] for seed in range(30)]
    assert any(said in one.finding for one in endings)


class Showing:
    """A port that takes what is hidden in a masked array for its entries."""

    def masked_mean(self, W, mask):
        return float(np.asarray(W, dtype=np.float64).size + np.size(mask))


def test_hidden_entries_that_are_taken_are_noticed():
    with warnings.catch_warnings(action="ignore"):
        endings = [calls.ending_of(Showing(), "masked_mean", seed)[1] for seed in range(60)]
    assert any("hidden" in one.finding for one in endings)


HUGE = (1, 10**18)


@pytest.mark.parametrize("name", ["salient_search_direct", "bell_split_search_direct"])
def test_orders_that_would_never_end_are_refused(name):
    call = calls.calls_of(name)[0]
    with pytest.raises(ArgumentError, match=r"orders: expected .* 64"):
        getattr(reference, name)(**{**call, "orders": HUGE})


def test_no_patterns_are_no_weights():
    assert reference.unrank_patterns(np.zeros((0, 3), dtype=int), 2, 4).shape == (0, 12)


def test_numbers_that_overflow_are_refused_without_a_warning():
    W, H = np.full((1, 2), 1e-160), np.eye(2)
    with warnings.catch_warnings(action="error"), pytest.raises(ArgumentError, match="finite"):
        reference.trailing_saliency(np.full((1, 2), 1e90), 1e-310 * H + 0 * W.sum())


def test_no_rows_have_no_patterns():
    assert reference.rank_patterns(np.zeros((0, 8), dtype=bool), 2, 4).shape == (0, 2)


def test_more_blocks_than_a_layer_has_are_refused():
    assert len(reference.block_slices(2**20, 1)) == 2**20
    with pytest.raises(ArgumentError, match="block_size: expected at least 16 for 16777216 col"):
        reference.block_slices(2**24, 15)
