"""Records of Haar coefficients: what is refused, and sizes and inputs at the edge of HBLLM."""

import dataclasses
import re

import numpy as np
import pytest

from subbit import reference
from subbit.reference import HBLLM, HaarGroup, HaarTerm
from subbit.reference.hbllm import _filled
from subbit.reference.record_checks import check_group

EVERY = np.ones(5, dtype=bool)


def group(**switches):
    rng = np.random.default_rng(0)
    X, config = rng.standard_normal((3, 5)), HBLLM(counts=(2, 2), **switches)
    return reference.hbllm_block(X, X**2, EVERY, config).groups[0]


def changed(found, place=0, **fields):
    terms = list(found.terms)
    terms[place] = dataclasses.replace(terms[place], **fields)
    return dataclasses.replace(found, terms=tuple(terms))


def with_side(found, **fields):
    first, *others = found.terms[0].groups
    return changed(found, groups=(dataclasses.replace(first, **fields), *others))


SCALED = dataclasses.replace(group().terms[0].groups[0].planes[0], column_scale=np.ones(5))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda g: dataclasses.replace(g, mask=g.mask & np.eye(3, 5, dtype=bool)), "some columns"),
        (lambda g: dataclasses.replace(g, mask=g.mask & (np.arange(5) > 0)), "of the terms"),
        (lambda g: dataclasses.replace(g, terms=list(g.terms)), "a tuple of HaarTerm"),
        (lambda g: dataclasses.replace(g, terms=(1,)), "a tuple of HaarTerm"),
        (lambda g: dataclasses.replace(g, shared_means=1), "False, True"),
        (lambda g: changed(g, axis="both"), "one of columns, rows"),
        (lambda g: changed(g, columns=EVERY[:-1]), "shape (5,)"),
        (lambda g: changed(g, 1, columns=~EVERY), "at least one column"),
        (lambda g: changed(g, columns=EVERY & (np.arange(5) < 4)), "shape (3, 4)"),
        (lambda g: changed(g, groups=()), "at least one group"),
        (lambda g: changed(g, groups=g.terms[0].groups[1:]), "each coefficient once"),
        (lambda g: changed(g, groups=g.terms[0].groups * 2), "each coefficient once"),
        (lambda g: with_side(g, planes=(SCALED,)), "without column scales"),
        (lambda g: with_side(g, mean=np.full(3, np.nan)), "finite numbers"),
        (lambda g: dataclasses.replace(g, shared_means=True), "same means"),
    ],
)
def test_a_group_that_is_none_is_refused(make, said):
    check_group("group", group(), HaarGroup)
    with pytest.raises(ValueError, match=re.escape(said)):
        check_group("group", make(group()), HaarGroup)


@pytest.mark.parametrize("change", [{"mean": None}, {"mean": np.ones(3)}])
def test_shared_means_that_are_not_shared_are_refused(change):
    found = group(share_mean=True)
    check_group("group", found, HaarGroup)
    with pytest.raises(ValueError, match="means"):
        check_group("group", with_side(found, **change), HaarGroup)


def test_shared_means_of_a_group_in_both_bands_are_refused():
    side = reference.residual_binarize([[1.0, 2.0]], center=True)
    term = HaarTerm("columns", np.ones(2, dtype=bool), (side,))
    found = HaarGroup("all", np.ones((1, 2), dtype=bool), (term,), shared_means=True)
    with pytest.raises(ValueError, match="groups of one band"):
        check_group("group", found, HaarGroup)


@pytest.mark.parametrize("pairs", ["columns", "rows"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 7), (7, 1), (3, 5), (4, 50)])
@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e20])
def test_any_size_and_scale(pairs, shape, scale):
    """Odd numbers of rows and columns, one of either, and only salient columns."""
    rng = np.random.default_rng(sum(shape))
    W = scale * rng.standard_normal(shape)
    for counts in ((0, 0), (1, 3), (50, 50)):
        config = HBLLM(pairs=pairs, counts=counts, scale="mean_abs", quantiles=7)
        Q = reference.hbllm_layer(W, np.eye(shape[1]), config).decode()
        assert np.isfinite(Q).all()
        assert np.sum(((W - Q) / scale) ** 2) <= np.sum((W / scale) ** 2)


@pytest.mark.parametrize("pairs", ["columns", "rows"])
def test_dead_inputs_are_no_neighbors(pairs):
    """Where they are left out, the others are quantized as if they were not there."""
    rng = np.random.default_rng(1)
    W, S = rng.standard_normal((4, 9)), rng.random((4, 9))
    alive = np.arange(9) % 3 != 1
    config = HBLLM(pairs=pairs, counts=(2, 2))
    whole = reference.hbllm_block(W, S, alive, config).decode()
    left = reference.hbllm_block(W[:, alive], S[:, alive], EVERY[:1].repeat(6), config).decode()
    assert np.array_equal(whole[:, alive], left)
    assert not whole[:, ~alive].any()
    none = reference.hbllm_block(W, S, ~EVERY[:1].repeat(9), config)
    assert (none.groups[0].terms, none.decode().any()) == ((), False)


def test_what_stands_in_for_salient_columns():
    """Neighbors within three columns; else the nearest to the left, else to the right; else 0."""
    W = np.arange(1.0, 13.0)[None]
    salient = np.zeros(12, dtype=bool)
    salient[[0, 5]] = True
    assert np.array_equal(_filled(W, salient)[0, [0, 5]], [3.0, 6.0])
    salient[1:5], salient[6:9] = True, True
    assert np.array_equal(_filled(W, salient)[0, :9], [10, 10, 10, 10, 10, 10, 10, 10.5, 11])
    salient[:], salient[2] = True, False
    assert np.array_equal(_filled(W, salient)[0], np.full(12, 3.0))
    salient[2] = True
    assert not _filled(W, salient).any()
