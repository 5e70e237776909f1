"""Degenerate cases: what they draw, and what their bounds may not take for a copy."""

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.draw import BARE, Draw
from subbit.conformance.cases.pinned import pinned_seeds
from subbit.conformance.cases.seeds import CASES, DEGENERATE, seeds_of
from subbit.conformance.inputs import families
from subbit.conformance.target import arithmetic_of
from subbit.reference.bounds.pruning.cfs import block_cosine_bound
from subbit.reference.bounds.rounding import Arithmetic, Rounded


@pytest.mark.parametrize("depth", CASES)
def test_every_operation_that_draws_has_degenerate_cases(depth):
    for item in OPERATIONS.values():
        if item.level in {1, 2} and item.share >= 1.0:
            bare = [seed - BARE for seed in seeds_of(item, depth) if seed >> 32 == BARE >> 32]
            drawn = list(range(DEGENERATE[depth]))
            assert bare[: len(drawn)] == drawn
            # A pinned case may be a degenerate one, too.
            assert {seed + BARE for seed in bare[len(drawn) :]} <= pinned_seeds()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_they_go_through_all_kinds(dtype):
    names = set()
    for seed in range(BARE, BARE + len(families.DEGENERATE)):
        draw = Draw(seed, dtype=dtype)
        W = draw.weights()
        names.add(draw.said["W"])
        if draw.said["W"] == "tiny":
            assert np.abs(W).max() < np.finfo(dtype).tiny * 2.0**12
            assert W.any()
        if draw.said["W"] == "far from zero":
            assert np.all(np.abs(W.mean(axis=1)) > 300 * W.std(axis=1))
    assert names == set(families.DEGENERATE)


def test_an_infinite_bound_is_no_copy():
    """A number that the type cannot hold is infinitely far from the held one."""
    port = Arithmetic("float32")
    large = Rounded(np.array([1e71, 0.1]), np.array([np.inf, 0.0]), port)
    assert not large.copied.any()
    assert port.read([0.1]).copied.all()


@pytest.mark.parametrize("size", [1.0, 1e-300, 1e90])
def test_the_bound_of_a_cosine_holds_at_any_size(size):
    x = size * np.random.default_rng(0).standard_normal((3, 8))
    arithmetic = arithmetic_of(reference)
    bound = block_cosine_bound(x, x[::-1], arithmetic=arithmetic)
    assert abs(bound.value - reference.block_cosine(x, x[::-1])) <= bound.error < 1e-12
