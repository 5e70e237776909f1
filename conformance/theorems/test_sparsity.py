"""Importance scores and masks: kept entries, ties, last columns, and what moves a mask.

Scaling by powers of two rounds nothing, so an invariance under such factors holds to the
bit. If a change of the weights moves scores by less than rounding, rounding decides which
entry goes; such entries count as ties and are left out.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from subbit import reference
from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask, Weights
from subbit.conformance.inputs.strategies import Layer, layers, matrices, seeds, weights
from subbit.conformance.target import Port
from subbit.reference.bounds.pruning import sparsity as sparsity_bounds
from subbit.reference.bounds.rounding import Rounded

PATTERNS = [(1, 1), (1, 2), (2, 4), (4, 4), (3, 5), (4, 8), (5, 16), (20, 32)]
SPARSITIES = (0.0, 0.29, 0.5, 0.99)
every_pattern = pytest.mark.parametrize(("keep", "group"), PATTERNS)
scored = pytest.mark.parametrize("score", ["wanda", "ria"])
scores = matrices(columns=(1, 70))
FIRM = weights(CONTINUOUS, rows=(1, 4), columns=(8, 24))
"""Weights without ties, whose sums stay within the range of any type."""


def _norms(seed: int, width: int) -> Array:
    """Powers of two, whose roots every type also holds."""
    return np.asarray(4.0 ** np.random.default_rng(seed).integers(-3, 4, width))


def _importance(port: Port, score: str, W: Array, norms: Array) -> Any:
    return getattr(port, f"{score}_importance")(W, norms)


def _bound(port: Port, score: str, W: Array, norms: Array, **switches: str) -> Rounded:
    bounded = getattr(sparsity_bounds, f"{score}_importance_bound")
    bound: Rounded = bounded(W, norms, **switches, arithmetic=port.arithmetic)
    return bound


def _firm(margin: Rounded) -> Mask:
    """Entries that rounding on either side of a comparison cannot move."""
    return np.asarray((margin.value > 4 * margin.error) & np.isfinite(margin.error))


def _tail(width: int, group: int) -> dict[str, str]:
    return {"tail": "dense" if width % group else "error"}


@every_pattern
@given(matrix=scores)
def test_masks_are_chosen_entry_by_entry(
    port: Port, keep: int, group: int, matrix: Weights
) -> None:
    """An entry stays if fewer than N of its group are larger, or equal and before it."""
    S = port.held(matrix.values)
    whole = S.shape[1] // group * group
    wanted = np.ones(S.shape, dtype=bool)
    for row, start in np.ndindex(len(S), whole // group):
        part = S[row, group * start : group * (start + 1)]
        for j, own in enumerate(part):
            before = sum(s > own or (s == own and i < j) for i, s in enumerate(part))
            wanted[row, group * start + j] = before < keep
    found = port.nm_mask(S, keep, group, **_tail(S.shape[1], group))
    assert found.dtype == np.bool_
    assert compare.exact(found, wanted) == 0


@every_pattern
@given(matrix=scores)
def test_D1_each_group_keeps_as_many_as_asked(
    port: Port, keep: int, group: int, matrix: Weights
) -> None:
    """N of every M, none smaller than a pruned one; last columns all stay."""
    S = port.held(matrix.values)
    whole = S.shape[1] // group * group
    mask = port.nm_mask(S, keep, group, tail="dense")
    parts, kept = (x[:, :whole].reshape(len(S), -1, group) for x in (S, mask))
    assert (kept.sum(axis=-1) == keep).all()
    least = np.where(kept, parts, np.inf).min(axis=-1)
    assert (least >= np.where(kept, -np.inf, parts).max(axis=-1)).all()
    assert mask[:, whole:].all()


@every_pattern
@given(matrix=scores)
def test_Z9_longer_patterns_keep_no_less(
    port: Port, keep: int, group: int, matrix: Weights
) -> None:
    """2N of each 2M columns: place by place in descending order, no smaller than N of each M."""
    S = port.held(matrix.values)
    S = S[:, : S.shape[1] // (2 * group) * 2 * group]
    if S.shape[1]:
        short, long = port.nm_mask(S, keep, group), port.nm_mask(S, 2 * keep, 2 * group)
        kept = (S[mask].reshape(len(S), -1, 2 * keep) for mask in (long, short))
        larger, smaller = (np.sort(part, axis=-1) for part in kept)
        assert (larger >= smaller).all()


@given(matrix=scores, sparsity=st.sampled_from(SPARSITIES))
def test_row_masks_prune_the_smallest_of_each_row(
    port: Port, matrix: Weights, sparsity: float
) -> None:
    """``int(m s)`` of each row: those that a stable sort puts last."""
    S = port.held(matrix.values)
    width = S.shape[1]
    wanted = np.zeros(S.shape, dtype=bool)
    for kept, row in zip(wanted, S, strict=True):
        order = sorted(range(width), key=lambda j: (-row[j], j))
        kept[order[: width - int(width * sparsity)]] = True
    assert compare.exact(port.row_mask(S, sparsity), wanted) == 0


@given(matrix=scores, sparsity=st.sampled_from(SPARSITIES))
def test_threshold_masks_prune_one_more_than_asked(
    port: Port, matrix: Weights, sparsity: float
) -> None:
    """All up to and including entry number ``int(n k s)`` of the sorted scores."""
    S = port.held(matrix.values)
    ordered = sorted(S.ravel().tolist())
    threshold = ordered[int(S.size * sparsity)]
    mask = port.threshold_mask(S, sparsity)
    assert compare.exact(mask, threshold < S) == 0
    assert np.count_nonzero(~mask) >= int(S.size * sparsity) + 1


@given(layer=layers(CONTINUOUS, columns=(1, 24)))
def test_norms_are_those_of_the_inputs(port: Port, layer: Layer) -> None:
    """``√(H_jj / 2)`` is the root of the mean over sequences of ``‖X_j‖²``."""
    X, H = layer[1].values, layer[1].hessian
    lengths = np.sqrt(np.mean(np.sum(X**2, axis=1), axis=0))
    allowed = 4 * (X.size + 8) * port.unit_roundoff * lengths
    assert compare.bound(port.input_norms(H), lengths, allowed) <= 1


@scored
@given(matrix=FIRM, seed=seeds())
def test_scores_ignore_signs_and_scale(port: Port, score: str, matrix: Weights, seed: int) -> None:
    """Signs change nothing, and a common factor changes no mask."""
    W = port.held(matrix.values)
    norms = _norms(seed, W.shape[1])
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], W.shape)
    plain = _importance(port, score, W, norms)
    factor = 8.0 if score == "wanda" else 1.0
    assert compare.exact(_importance(port, score, signs * W, norms), plain) == 0
    assert compare.exact(_importance(port, score, 8 * W, norms), factor * plain) == 0
    mask = port.nm_mask(plain, 2, 4, tail="dense")
    assert compare.exact(port.nm_mask(factor * plain, 2, 4, tail="dense"), mask) == 0


@given(matrix=FIRM, seed=seeds())
def test_E4_wanda_ignores_the_scale_of_rows_and_the_gauge(
    port: Port, matrix: Weights, seed: int
) -> None:
    """``diag(r) W`` has the same mask, and ``W diag(c)`` with inputs ``X / c`` the same scores."""
    W = port.held(matrix.values)
    norms, c = _norms(seed, W.shape[1]), _norms(seed + 1, W.shape[1])
    r = _norms(seed + 2, len(W))[:, None]
    plain = port.wanda_importance(W, norms)
    assert compare.exact(port.wanda_importance(W * c, norms / c), plain) == 0
    mask = port.nm_mask(plain, 2, 4, tail="dense")
    scaled = port.nm_mask(port.wanda_importance(r * W, norms), 2, 4, tail="dense")
    assert compare.exact(scaled, mask) == 0


@given(matrix=weights(("constant_magnitude",), columns=(1, 40)), seed=seeds())
def test_equal_shares_deviate_by_nothing(port: Port, matrix: Weights, seed: int) -> None:
    """If all weights of a row and of all columns are equal, every score is 0."""
    W = np.broadcast_to(np.sign(matrix.values[:1]), matrix.shape) * 1.5
    ones = np.ones(W.shape[1])
    for axis in ("row", "matrix"):
        assert not port.standardized_importance(W, ones, axis=axis).any()
    norms = _norms(seed, W.shape[1])
    assert not port.standardized_importance(W, norms, standardize="before").any()


@given(matrix=FIRM, seed=seeds(), keep=st.integers(1, 4))
def test_D4_standardizing_afterwards_changes_no_mask(
    port: Port, matrix: Weights, seed: int, keep: int
) -> None:
    """It is an increasing map of a row, or of the matrix, as a whole."""
    W = port.held(matrix.values)
    norms = _norms(seed, W.shape[1])
    plain = port.standardized_importance(W, norms, standardize="none")
    mask = port.nm_mask(plain, keep, 4, tail="dense")
    for axis in ("row", "matrix"):
        switches = {"standardize": "after", "axis": axis}
        bound = _bound(port, "standardized", W, norms, **switches)
        firm = _firm(sparsity_bounds.nm_mask_margin(bound, keep, 4, arithmetic=port.arithmetic))
        after = port.standardized_importance(W, norms, **switches)
        differs = port.nm_mask(after, keep, 4, tail="dense") != mask
        assert not (differs & firm).any()


@given(matrix=FIRM, seed=seeds())
def test_standardized_shares_have_mean_0_and_deviation_1(
    port: Port, matrix: Weights, seed: int
) -> None:
    """In each row; the norms come afterwards."""
    W, ones = port.held(matrix.values), np.ones(matrix.shape[1])
    bound = _bound(port, "standardized", W, ones)
    assume(np.isfinite(bound.error).all())
    found = port.standardized_importance(W, ones)
    slack = bound.error.max(axis=1)
    assert compare.bound(found.mean(axis=1), np.zeros(len(W)), 2 * slack) <= 1
    assert compare.bound(found.std(axis=1), np.ones(len(W)), 2 * slack) <= 1
    norms = _norms(seed, W.shape[1])
    assert compare.exact(port.standardized_importance(W, norms), found * norms) == 0


def _raised(port: Port, score: str, W: Array, more: Array, norms: Array, longer: Array) -> Any:
    """Masks before and after, and the entries that rounding cannot move in either."""
    masks, firm = [], np.ones(W.shape, dtype=bool)
    for values, lengths in ((W, norms), (more, longer)):
        masks.append(port.nm_mask(_importance(port, score, values, lengths), 2, 4, tail="dense"))
        bound = _bound(port, score, values, lengths)
        firm &= _firm(sparsity_bounds.nm_mask_margin(bound, 2, 4, arithmetic=port.arithmetic))
    return *masks, firm


@pytest.mark.parametrize("score", ["wanda", "ria", "standardized"])
@given(matrix=FIRM, seed=seeds(), times=st.sampled_from([1.25, 2.0, 16.0]))
def test_D5_a_larger_weight_that_was_kept_is_kept(
    port: Port, score: str, matrix: Weights, seed: int, times: float
) -> None:
    """Raising one ``|w_ij|`` raises its score, and no other in its row.

    The same holds for standardized shares, up to the common factor 1/std: since a row's shares
    of itself add up to one, the row's mean rises by ``Δ/m``, where Δ is the rise of the
    weight's share of its column. So the weight's distance from the mean rises, and all others fall.
    """
    W = port.held(matrix.values)
    norms, rng = _norms(seed, W.shape[1]), np.random.default_rng(seed)
    at = rng.integers(len(W)), rng.integers(W.shape[1])
    more = W.copy()
    more[at] = port.held(W[at] * times)
    before, after, firm = _raised(port, score, W, more, norms, norms)
    assert after[at] or not before[at] or not firm[at]


@scored
@given(matrix=FIRM, seed=seeds(), times=st.sampled_from([4.0, 16.0]))
def test_D6_a_longer_input_loses_no_weight(
    port: Port, score: str, matrix: Weights, seed: int, times: float
) -> None:
    """Raising one norm raises the scores of its column, and no others."""
    W = port.held(matrix.values)
    norms = _norms(seed, W.shape[1])
    longer = norms.copy()
    longer[seed % len(norms)] *= times
    before, after, firm = _raised(port, score, W, W, norms, longer)
    column = (slice(None), seed % len(norms))
    assert not (before & ~after & firm)[column].any()


@given(matrix=scores)
def test_magnitudes_are_exact(port: Port, matrix: Weights) -> None:
    """``|w|``, and Wanda's score if all norms are one."""
    W = port.held(matrix.values)
    assert compare.exact(port.magnitude_importance(W), np.abs(W)) == 0
    assert compare.exact(port.wanda_importance(W, np.ones(W.shape[1])), np.abs(W)) == 0


@given(matrix=FIRM, seed=seeds())
def test_ria_is_what_is_not_standardized(port: Port, matrix: Weights, seed: int) -> None:
    """With the same exponent, the two functions agree to the bit."""
    W, norms = port.held(matrix.values), _norms(seed, matrix.shape[1])
    for exponent in (0.5, 1.0):
        plain = port.standardized_importance(W, norms, exponent=exponent, standardize="none")
        assert compare.exact(port.ria_importance(W, norms, exponent=exponent), plain) == 0


@given(matrix=weights(("integer", "tied"), rows=(1, 3), columns=(1, 6)), seed=seeds())
def test_scores_are_their_equations(port: Port, matrix: Weights, seed: int) -> None:
    """Wanda's and RIA's scores again, entry by entry in whole numbers."""
    W, norms = matrix.values, _norms(seed, matrix.shape[1])
    magnitudes = np.abs(W)
    relative = np.zeros(W.shape)
    for i, j in np.ndindex(W.shape):
        for total in (magnitudes[i].sum(), magnitudes[:, j].sum()):
            relative[i, j] += magnitudes[i, j] / total if total else 0.0
    u = 16 * port.unit_roundoff
    assert compare.exact(port.wanda_importance(W, norms), magnitudes * norms) == 0
    expected = relative * np.sqrt(norms)
    assert compare.bound(port.ria_importance(W, norms), expected, u * expected) <= 1


def test_bad_arguments_are_refused_by_name(port: Port) -> None:
    """Values out of range, and a width that the group does not divide."""
    W, norms = np.ones((2, 6)), np.ones(6)
    for argument, name, given_ in (
        ("group", "nm_mask", (W, 2, 4)),
        ("keep", "nm_mask", (W, 4, 3)),
        ("keep", "nm_mask", (W, 0, 3)),
        ("sparsity", "row_mask", (W, 1.0)),
        ("sparsity", "threshold_mask", (W, -0.1)),
        ("norms", "wanda_importance", (W, -norms)),
        ("H", "input_norms", (-np.eye(2),)),
    ):
        with pytest.raises(reference.ArgumentError, match=f"^{argument}:"):
            getattr(port, name)(*given_)
    with pytest.raises(reference.ArgumentError, match=r"^exponent:"):
        port.ria_importance(W, norms, exponent=2.0)
